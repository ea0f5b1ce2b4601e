//! What noise may cost, as people type it, and what an answer says of it.

use std::fmt::Display;

use privacy::noise::MICRO;

use crate::answer::Noise;
use crate::console::Console;
use crate::message::Message;
use crate::sheet::number;

/// Digits of a millionth.
const DIGITS: usize = 6;

/// Reads a cost such as `0.005` in millionths.
///
/// # Errors
/// What is accepted.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = || {
        format!("\"{text}\" is no cost such as 0.005: above 0, at most 100, with up to 6 digits")
    };
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > DIGITS || !is_digits(whole) || !is_digits(part) {
        return Err(expected());
    }
    let micro = format!("{whole}{part:0<DIGITS$}").parse::<u64>().map_err(|_| expected())?;
    if (1..=100 * MICRO).contains(&micro) { Ok(micro) } else { Err(expected()) }
}

/// What the noise of an answer is, one line for each kind of statement.
#[must_use]
pub(crate) fn lines(noise: &[Noise], console: Console) -> Vec<String> {
    let mut kinds: Vec<(&Noise, usize)> = Vec::new();
    for one in noise {
        match kinds.iter_mut().find(|(known, _)| known.says_like(one)) {
            Some((_, times)) => *times += 1,
            None => kinds.push((one, 1)),
        }
    }
    let line = |(one, times): (&Noise, usize)| {
        let (epsilon, deviation) = (number(one.epsilon_year), number(one.rows_deviation));
        let said: [&dyn Display; 6] =
            [&one.rho, &epsilon, &one.delta, &one.rows_per_person, &deviation, &one.least_rows];
        if one.hospital.is_empty() {
            return console.text(Message::RegionNoiseTold, &said);
        }
        let of_hospitals: Vec<&dyn Display> =
            std::iter::once(&times as &dyn Display).chain(said).collect();
        console.text(Message::NoiseTold, &of_hospitals)
    };
    let mut lines: Vec<_> = kinds.into_iter().map(line).collect();
    if !lines.is_empty() {
        lines.push(console.text(Message::NoiseColumns, &[]));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_a_number_of_millionths() {
        for (text, micro) in [("0.005", 5_000), ("1", MICRO), ("0.000001", 1), ("100", 100 * MICRO)]
        {
            assert_eq!(parse(text), Ok(micro));
        }
        for bad in ["", "0", "0.0", ".5", "-1", "1e-3", "0.0000001", "101", "0,005", "\u{0665}"] {
            assert!(parse(bad).is_err(), "{bad} must not be accepted");
        }
    }
}
