//! The discrete Gaussian, drawn exactly: no floating point, so no answer is more likely than the law says.
//!
//! A law on whole numbers, `P(x) ∝ exp(-x² / 2σ²)`, with a whole σ. Its sampler is that of Canonne,
//! Kamath and Steinke ("The discrete Gaussian for differential privacy", NeurIPS 2020, algorithms 1 to 3):
//! a discrete Laplace proposal is kept with a probability `exp(-γ)`, which is decided by coins of rational
//! bias. All arithmetic is of whole numbers of any size. How long a draw takes depends on what is drawn, as
//! in the reference; an answer is sent when all of it is drawn.

use num_bigint::BigUint;
use zeroize::Zeroizing;

use super::{MICRO, root_up};
use crate::mask::{Expander, Stream};

/// Words of the stream that are made at once.
const WORDS: usize = 64;

/// Draws from one stream of coins: AES-256-GCM over zeros under a key that is used for one answer.
pub struct Gaussian {
    stream: Stream,
    next: usize,
    words: Zeroizing<Vec<u128>>,
}

impl std::fmt::Debug for Gaussian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gaussian(..)")
    }
}

/// The least whole σ with which a vector that one person moves by at most `most` costs a `kinds`-th of `rho_micro`:
/// `σ² ≥ most² · kinds / 2ρ`.
#[must_use]
pub fn deviation(most: u128, kinds: usize, rho_micro: u64) -> u128 {
    let most = BigUint::from(most);
    let wanted = &most * &most * kinds * MICRO;
    let variance = (wanted + 2 * rho_micro - 1u32) / (2 * rho_micro);
    u128::try_from(root_up(&variance)).unwrap_or(u128::MAX >> 2)
}

impl Gaussian {
    /// Draws that follow from 32 random bytes.
    #[must_use]
    pub fn new(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self { stream: Stream::of(seed), next: 0, words: Zeroizing::new(Vec::new()) }
    }

    /// One draw with the standard deviation parameter `sigma`; 0 when that is 0.
    pub fn sample(&mut self, sigma: u128) -> i128 {
        if sigma == 0 {
            return 0;
        }
        let sigma = BigUint::from(sigma);
        let (scale, variance) = (&sigma + 1u32, &sigma * &sigma);
        let bottom = &variance * &scale * &scale * 2u32;
        loop {
            let (is_negative, size) = self.laplace(&scale);
            let reach = &size * &scale;
            let away = if reach > variance { reach - &variance } else { &variance - reach };
            if self.happens_exp(&(&away * &away), &bottom) {
                let size = i128::try_from(size).unwrap_or(i128::MAX >> 1);
                return if is_negative { -size } else { size };
            }
        }
    }

    /// The discrete Laplace law of a whole scale: its sign and size.
    fn laplace(&mut self, scale: &BigUint) -> (bool, BigUint) {
        let one = BigUint::from(1u32);
        loop {
            let rest = self.below(scale);
            if !self.happens_exp_below_one(&rest, scale) {
                continue;
            }
            let mut times = 0u64;
            while self.happens_exp_below_one(&one, &one) {
                times += 1;
            }
            let size = rest + scale * times;
            let is_negative = self.below(&BigUint::from(2u32)) == one;
            if !(is_negative && size == BigUint::ZERO) {
                return (is_negative, size);
            }
        }
    }

    /// True with probability `exp(-top / bottom)`.
    fn happens_exp(&mut self, top: &BigUint, bottom: &BigUint) -> bool {
        let one = BigUint::from(1u32);
        let (mut whole, rest) = (top / bottom, top % bottom);
        while whole > BigUint::ZERO {
            if !self.happens_exp_below_one(&one, &one) {
                return false;
            }
            whole -= 1u32;
        }
        self.happens_exp_below_one(&rest, bottom)
    }

    /// The same for `top <= bottom`.
    fn happens_exp_below_one(&mut self, top: &BigUint, bottom: &BigUint) -> bool {
        let mut tries = 1u32;
        while self.below(&(bottom * tries)) < *top {
            tries += 1;
        }
        tries % 2 == 1
    }

    /// A whole number below `limit`, each as likely as any. Each try succeeds with more than one half, as
    /// `limit` has as many bits as what is drawn; the loops above end with a probability of one likewise.
    fn below(&mut self, limit: &BigUint) -> BigUint {
        let bits = limit.bits();
        loop {
            let mut number = BigUint::ZERO;
            for first in (0..bits).step_by(128) {
                let mask = u128::MAX >> (128 - (bits - first).min(128));
                number |= BigUint::from(self.word() & mask) << first;
            }
            if number < *limit {
                return number;
            }
        }
    }

    fn word(&mut self) -> u128 {
        let place = self.next % WORDS;
        if place == 0 {
            self.words.clear();
            self.words.resize(WORDS, 0);
            Expander::default().add(&self.stream, self.next, &mut self.words);
        }
        self.next += 1;
        self.words[place]
    }
}

#[cfg(test)]
mod tests;
