//! Noise in regional sums: drawn once by the witness, paid for by every hospital in the sum.
//!
//! A noisy round is a masked round of which everything is opened, and nothing as it is:
//! 1. *The terms state the noise* ([`RoundNoise`]): what it costs, up to where one person of a hospital counts, and the
//!    deviation of each column. Both authorities sign that with the sid.
//! 2. *Each hospital computes the deviations itself* from its own reading of the question, and takes part only when
//!    they are these and the bounds are no wider than its policy's (`RoundNoise::bind`). It bounds what each person
//!    contributes, pays, and uploads sums without any guard, sketch or check: a check of an exact sum would tell it.
//! 3. *The witness adds a draw to each mask sum* before it returns it ([`open`]), so the coordinator reads the sum and
//!    the draw, and cannot part them. The witness never sees the sum.
//!
//! What that protects: against the coordinator, whoever reads the answer, and hospitals that work with them, one
//! patient of one hospital, as the statement says. Somebody who is in several hospitals is a patient of each. It does not protect hospitals: a
//! group that only one of them has is told as that one's noisy number. The witness is believed to draw; who trusts it
//! with sums of masks trusts it with that. The value checks that catch a lying witness in exact rounds cannot be had here.
//!
//! Which groups there are comes from code lists, which are exact and not part of the budget. So a group is told or not by
//! its noisy number of rows only so that people are not shown a list of empty ones.

use std::iter::empty;

use model::{Refusal, RefusalCode};
use zeroize::Zeroizing;

use super::gaussian::Gaussian;
use super::{Noise, Noisy};
use crate::open::{Opened, Seeds, Verdict, mask_sums, slots};
use crate::request::ReleaseRequest;
use crate::shape::{MAX_MASKED_MEASURES, Shape};
use crate::sketch::Sketched;
use crate::terms::Sid;

/// The subject of a refusal of a round whose noise is not what the hospital's policy calls for.
pub const SUBJECT: &str = "noise";
/// Most draws of one round; each takes some microseconds.
pub const MAX_DRAWS: usize = 1 << 18;
/// Largest deviation of a column; sums of cells stay below 2^126 beside it.
const MAX_DEVIATION: u128 = 1 << 110;
/// Groups of fewer noisy rows than so many deviations are not shown: one empty group in 740 is.
const SHOWN_DEVIATIONS: u64 = 3;

/// The noise of a masked round, as its terms state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoundNoise {
    /// What it costs each hospital, in millionths of ρ.
    pub rho_micro: u64,
    /// Rows that one person of a hospital contributes at most.
    pub rows_per_person: u32,
    /// Amounts of money count up to this many units of currency.
    pub money: u32,
    /// Other numbers count up to this.
    pub number: u32,
    /// Deviations of the number of rows and then of each cell of the measures, in units of its scale. 0: a
    /// cell that hospitals leave empty, being no draw of its own.
    pub deviations: Vec<u128>,
}

/// The first of these rules with the narrowest bounds of all on what a person contributes.
#[must_use]
pub fn narrowest(rules: impl Iterator<Item = Noise>) -> Option<Noise> {
    rules.reduce(|one, other| Noise {
        rows_per_person: one.rows_per_person.min(other.rows_per_person),
        money: one.money.min(other.money),
        number: one.number.min(other.number),
        ..one
    })
}

/// Groups of fewer noisy rows than this are not shown.
#[must_use]
pub fn least_rows(noise: &RoundNoise, minimum: u32) -> u64 {
    let deviation = noise.deviations.first().copied().unwrap_or_default();
    let deviation = u64::try_from(deviation).unwrap_or(u64::MAX);
    deviation.saturating_mul(SHOWN_DEVIATIONS).max(minimum.into())
}

fn refuse(reason: &str, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::Offer, SUBJECT, reason, instead)
}

impl RoundNoise {
    /// The noise of `request` when it costs `rho_micro` and each person contributes as `rule` says.
    #[must_use]
    pub fn of(rule: Noise, rho_micro: u64, request: &ReleaseRequest) -> Self {
        let told = Noisy { rule, rho_micro }.statement(request, 0);
        let deviations = [told.rows_deviation].into_iter().chain(told.deviations).collect();
        let Noise { rows_per_person, money, number, .. } = rule;
        Self { rho_micro, rows_per_person, money, number, deviations }
    }

    /// Checks what is true of every honest noisy round, whoever looks.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer`, or `too_large` when there are more cells than may be drawn for.
    pub fn check(&self, shape: &Shape) -> Result<(), Refusal> {
        let plain = shape.measures().iter().all(|measure| {
            measure.supports == 0 && measure.money == 0 && measure.bins == 0 && !measure.whole
        });
        let width: usize = shape.measures().iter().map(|measure| measure.width as usize).sum();
        let fits = self.deviations.len() == width + 1
            && self.deviations.iter().all(|one| *one <= MAX_DEVIATION)
            && self.deviations.first().is_some_and(|rows| *rows > 0)
            && [self.rows_per_person, self.money, self.number].iter().all(|bound| *bound > 0);
        let is_question = !shape.measures().is_empty() && shape.sketched() == Sketched::Nothing;
        if !plain || !fits || !is_question || self.rho_micro == 0 {
            return Err(refuse("The offer's noise is not that of its cells.", ""));
        }
        let drawn = self.deviations.iter().filter(|one| **one > 0).count();
        if drawn.saturating_mul(shape.cells()) > MAX_DRAWS {
            return Err(Refusal::new(
                RefusalCode::TooLarge,
                "--noise",
                format!("With noise a regional question has at most {MAX_DRAWS} numbers."),
                "Group by fewer or coarser columns.",
            ));
        }
        Ok(())
    }

    /// How a hospital whose policy says `own` takes part: bounded as the terms say, which is no more than its policy
    /// allows, and with the deviations that it has found itself.
    ///
    /// # Errors
    /// A [`Refusal`] with code `offer`.
    pub(crate) fn bind(&self, own: Noisy, request: &ReleaseRequest) -> Result<Noisy, Refusal> {
        let Noise { rows_per_person, money, number, .. } = own.rule;
        let is_within = self.rows_per_person <= rows_per_person
            && self.money <= money
            && self.number <= number
            && self.rho_micro == own.rho_micro;
        if !is_within {
            return Err(refuse(
                "The offer lets one person contribute more than the hospital's policy.",
                "The coordinator asks again within the bounds that the hospital tells.",
            ));
        }
        let Self { rows_per_person, money, number, .. } = *self;
        let rule = Noise { rows_per_person, money, number, ..own.rule };
        if Self::of(rule, self.rho_micro, request) != *self {
            let reason = "The offer's noise is not that which the question calls for.";
            return Err(refuse(reason, "Use matching versions of Consilium."));
        }
        Ok(Noisy { rule, rho_micro: self.rho_micro })
    }
}

/// The witness's part: the sums of all masks, each less a draw of the stated deviation. `seed` is 32 random bytes that
/// serve this one round.
#[must_use]
pub fn open(
    noise: &RoundNoise,
    shape: &Shape,
    (sid, seeds): (&Sid, &Seeds),
    seed: &Zeroizing<[u8; 32]>,
) -> Opened {
    let bits = all_of(shape);
    let everything = Verdict {
        cells: vec![bits; shape.cells()],
        runs: Vec::new(),
        withheld_groups: 0,
        withheld_measures: 0,
        remainder_passes: false,
        told: Vec::new(),
    };
    let mut opened = mask_sums(&everything, shape, sid, seeds);
    let first = shape.value_columns(0).0.start;
    let deviation =
        |column: usize| noise.deviations.get(column - first).copied().unwrap_or_default();
    let slots = slots(shape, bits, &mut empty());
    let deviations: Vec<u128> = slots.iter().map(|slot| deviation(slot.start)).collect();
    let mut draw = Gaussian::new(seed);
    for masks in opened.masks.chunks_mut(deviations.len()) {
        for (mask, deviation) in masks.iter_mut().zip(&deviations) {
            *mask = mask.wrapping_sub(draw.sample(*deviation).cast_unsigned());
        }
    }
    opened
}

/// The verdict that a group and all its measures are opened.
pub(crate) fn all_of(shape: &Shape) -> u64 {
    u64::MAX >> (MAX_MASKED_MEASURES - shape.measures().len())
}

#[cfg(test)]
mod tests;
