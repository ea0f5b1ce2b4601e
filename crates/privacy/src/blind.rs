//! What coordinator and nodes share and the witness must not know, and the other way round.
//!
//! *Round key* (coordinator and nodes): the order of the cells, so that the witness sees counts
//! without labels; the factor by which a cell's money sums are blinded before the witness compares
//! hospitals; and the coefficients of the value checks. *Guard key* (witness and nodes): the
//! coefficients of the guard check.
//!
//! # Checks
//!
//! A check is a linear combination modulo 2^128 with odd secret coefficients, so it holds for sums
//! over hospitals as it does for each. Whoever adds `d` to one column has to add `coefficient · d`
//! to the check. With `d = odd · 2^k` that product has `2^(127 - k)` equally likely values: a small
//! `d` is never guessed, but 2^127 times anything odd is 2^127, which needs no guess at all. **A
//! check is therefore worth nothing without a bound on what it covers**; with |entry| <= B, a
//! change that stays in bounds is guessed with probability at most 2^-(126 - log2 B). That is why
//! a blinded sum and its square travel in limbs of 64 bits (B = 2^74 for 2^10 hospitals: 2^-52, and
//! 2^-105 for counts; two tallies of bins share a cell, so B = 2^64 and 2^-62; a sketch has three lanes
//! of 32 bits, so B = 2^88 and 2^-40), and why values
//! are held against their declared bounds ([`crate::reveal`]).
//! A failed guess ends the round and is noticed.
//!
//! The bins of a plain histogram are many and their numbers of rows small, so each carries its check
//! above it in one cell: `rows + (coefficient · rows mod 2^87) · 2^41`. Both parts add up over hospitals
//! and over joined bins. A change of the rows by `odd · 2^k` leaves `2^(86 - k)` equally likely checks:
//! with at most 2^40 rows, one in 2^46, and one in 2^66 for a million.
//!
//! # Blinding
//!
//! The witness compares hospitals' money sums in a unit that it does not know: `v = floor(x · f)`,
//! with `f` secret, equal at all hospitals, and spread over sixteen binary orders of magnitude in
//! steps of 2^-96. Each money sum of each cell has a factor of its own, and the steps are finer
//! than 1/x, so that every `x` within 2^16 has a factor that gives the same `v`: with coarse steps
//! the witness could factor `v`, and with one factor for two sums read their ratio, and amounts in
//! whole cents would be found from it. What remains is the order of magnitude (`v / 2^16 <= x <=
//! v`) and the concentration `Σv² / (Σv)²`, which the rule of dominance is about.
//!
//! Rounding: `x` is first divided by `2^shift`, rounded up, so that something never becomes
//! nothing; `shift` is 0 unless the declared bound exceeds 2^50 units. Then `v` is rounded down. Let
//! R be the true concentration of `n` hospitals' sums of one sign, and `S = |Σx| / 2^shift`. Since
//! `f >= 1`, each hospital's part of S is off by less than 1, and what the witness computes lies in
//!
//! * `[R - 2/S, R / (1 - n/S)²]` without a shift,
//! * `[(R - 2/S) / (1 + n/S)², (R + 2/S + n/S²) / (1 - n/S)²]` with one.
//!
//! From `S > 20,000 · n` units on (two yuan for each hospital) that is less than the step of 10^-4
//! in which the rule is written. Sums of unlike signs cancel in `Σv` and not in `Σv²`: the rule
//! then errs on the side of withholding.

use zeroize::Zeroizing;

use crate::canonical::Writer;
use crate::mask::Stream;
use crate::sign::derive;

/// Fraction bits of a blinding factor.
const FACTOR_FRACTION_BITS: u32 = 96;
/// Factors lie between 1 and 2 to this power.
const FACTOR_ORDERS: u128 = 16;
/// A sum is blinded up to 2^80; larger ones are first shifted down by a public number of bits.
const SUM_BITS: u32 = 80;
/// Bits of the limbs in which a blinded sum and its square travel.
pub(crate) const LIMB_BITS: u32 = 64;
/// Bits of the upper limb of a blinded sum.
pub(crate) const UPPER_LIMB_BITS: u32 = 32;
const LIMB: u128 = (1 << LIMB_BITS) - 1;

/// Bits of a number of rows that carries its check above it.
const COUNT_BITS: u32 = 41;

/// A number of rows with its check, in one cell.
pub(crate) const fn counted(rows: u128, coefficient: u128) -> u128 {
    rows.wrapping_add(coefficient.wrapping_mul(rows) << COUNT_BITS)
}

/// The number of rows in a sum of such cells; `None` when the check is that of another one.
pub(crate) fn count_of(cell: u128, coefficient: u128) -> Option<u128> {
    let rows = cell & ((1 << COUNT_BITS) - 1);
    (counted(rows, coefficient) == cell).then_some(rows)
}

/// Known to coordinator and nodes. Erased when dropped.
#[derive(Clone)]
pub struct RoundKey(Zeroizing<[u8; 32]>);

/// Known to witness and nodes: what the guard keys of all rounds under one roster are made of. A hospital
/// that is offered a round knows its guard key anyway; sealing the secret to each hospital once instead of
/// a key in each round spares both sides half of the key agreements. Erased when dropped.
#[derive(Clone)]
pub struct GuardSecret(Zeroizing<[u8; 32]>);

/// Known to witness and nodes, of one round. Erased when dropped.
#[derive(Clone)]
pub struct GuardKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for GuardSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardSecret(..)")
    }
}

impl std::fmt::Debug for RoundKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoundKey(..)")
    }
}

impl std::fmt::Debug for GuardKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GuardKey(..)")
    }
}

fn from_slice(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let mut key = Zeroizing::new([0u8; 32]);
    (bytes.len() == key.len()).then(|| {
        key.copy_from_slice(bytes);
        key
    })
}

/// `count` odd coefficients.
fn coefficients(key: &[u8; 32], purpose: &[u8], count: usize) -> Vec<u128> {
    let mut stream = Stream::of(&Zeroizing::new(derive(key, &[purpose]))).take(count);
    stream.iter_mut().for_each(|coefficient| *coefficient |= 1);
    stream
}

/// Adds `coefficient · column` to `check`, cell by cell.
pub(crate) fn accumulate(check: &mut [u128], coefficient: u128, column: &[u128]) {
    for (sum, cell) in check.iter_mut().zip(column) {
        *sum = sum.wrapping_add(coefficient.wrapping_mul(*cell));
    }
}

impl GuardSecret {
    /// The secret of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads a secret that travelled sealed.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        from_slice(bytes).map(Self)
    }

    /// Its bytes, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key of the round `sid`; no other round's key says anything of it.
    #[must_use]
    pub fn key(&self, sid: &[u8; 32]) -> GuardKey {
        GuardKey(Zeroizing::new(derive(&self.0, &[b"guard-key", sid])))
    }
}

impl GuardKey {
    /// One coefficient for each guard column.
    pub(crate) fn coefficients(&self, guards: usize) -> Vec<u128> {
        coefficients(&self.0, b"guard", guards)
    }
}

impl RoundKey {
    /// The key of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads a key from an offer.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        from_slice(bytes).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What an offer is bound to instead of the key itself.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        let mut writer = Writer::new("consilium/round-key/v1");
        writer.bytes(self.0.as_ref());
        writer.hash()
    }

    /// A key of its own for another purpose of the round.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(derive(&self.0, &[purpose.as_bytes()]))
    }

    /// One coefficient for each value column, `rows` first.
    pub(crate) fn coefficients(&self, values: usize) -> Vec<u128> {
        coefficients(&self.0, b"values", values)
    }

    /// The place at which each cell of the domain stands in the vectors of this round:
    /// Fisher-Yates with the round's own stream. The bias of reducing 64 bits to a range of at
    /// most 2^22 is below 2^-42.
    #[must_use]
    pub fn order(&self, cells: usize) -> Vec<u32> {
        let stream = Stream::of(&self.derive("order")).take(cells);
        let mut places: Vec<u32> = (0..cells).filter_map(|cell| u32::try_from(cell).ok()).collect();
        for last in (1..places.len()).rev() {
            let random = stream[last] >> 64;
            let other = (random * (last as u128 + 1)) >> 64;
            places.swap(last, usize::try_from(other).unwrap_or(last));
        }
        places
    }

    /// Blinding factors, one for each money sum of each cell.
    pub(crate) fn factors(&self, count: usize) -> Vec<Factor> {
        Stream::of(&self.derive("blind")).take(count).into_iter().map(Factor).collect()
    }
}

/// A blinding factor: 128 random bits, of which the lowest four choose the order of magnitude and
/// the highest 96 the fraction.
#[derive(Clone, Copy)]
pub(crate) struct Factor(u128);

impl Factor {
    /// `floor(magnitude · factor)`, below 2^96 for magnitudes up to 2^80.
    fn times(self, magnitude: u128) -> u128 {
        let order = u32::try_from(self.0 & (FACTOR_ORDERS - 1)).unwrap_or(0);
        let fraction = self.0 >> (u128::BITS - FACTOR_FRACTION_BITS);
        let mantissa = (1 << FACTOR_FRACTION_BITS) | fraction;
        // The product has up to 177 bits; its lowest 64 are dropped in any case.
        let (high, low) = (magnitude >> LIMB_BITS, magnitude & LIMB);
        let (upper, lower) = (mantissa >> LIMB_BITS, mantissa & LIMB);
        let product = ((high * upper) << LIMB_BITS)
            + high * lower
            + low * upper
            + ((low * lower) >> LIMB_BITS);
        product >> (FACTOR_FRACTION_BITS - LIMB_BITS - order)
    }
}

/// Bits by which sums of at most 2^30 contributions of `bound_bits` bits are shifted down.
pub(crate) const fn shift(bound_bits: u32) -> u32 {
    (bound_bits + 30).saturating_sub(SUM_BITS)
}

/// A money sum times its factor in two limbs with its sign, and the square of that in three limbs,
/// each low first. Every limb stays below 2^64, and the upper one of the sum below 2^32.
pub(crate) fn blinded(sum: i128, shift: u32, factor: Factor) -> [u128; 5] {
    // Rounded up, so that a hospital with any money at all is one that can dominate.
    let value = factor.times(sum.unsigned_abs().div_ceil(1 << shift));
    let (low, high) = (value & LIMB, value >> LIMB_BITS);
    // value² = low² + 2·low·high·2^64 + high²·2^128, and below 2^192.
    let (square, cross) = (low * low, 2 * low * high);
    let middle = (square >> LIMB_BITS) + (cross & LIMB);
    let third = high * high + (cross >> LIMB_BITS) + (middle >> LIMB_BITS);
    let signed = |limb: u128| if sum < 0 { limb.wrapping_neg() } else { limb };
    [signed(low), signed(high), square & LIMB, middle & LIMB, third]
}

#[cfg(test)]
mod tests {
    use num_bigint::BigUint;
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> RoundKey {
        RoundKey::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn the_order_is_a_permutation_that_the_key_decides() {
        let order = key(1).order(1_000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<u32>>());
        assert_eq!(order, key(1).order(1_000));
        assert_ne!(order, key(2).order(1_000));
        let fixed = order.iter().zip(0..).filter(|(place, cell)| *place == cell).count();
        assert!(fixed < 12, "about one cell of any permutation stays where it is");
    }

    #[test]
    fn factors_spread_over_sixteen_orders_of_magnitude() {
        // A sum of 2^80 shows the factor in fixed point with 80 fraction bits.
        let factors: Vec<u128> =
            key(3).factors(4_000).into_iter().map(|factor| factor.times(1 << 80)).collect();
        for order in 80..96 {
            let here = factors.iter().filter(|factor| factor.ilog2() == order).count();
            assert!((150..350).contains(&here), "2^{order}: {here}");
        }
        let above = factors.iter().filter(|f| **f - (1 << f.ilog2()) >= 1 << (f.ilog2() - 1));
        assert!((1_800..2_200).contains(&above.count()), "halves of an order are alike");
    }

    #[test]
    fn every_sum_within_sixteen_orders_explains_what_the_witness_sees() {
        // The attack: v = floor(x · f) with f on a coarse grid leaves few x that divide some
        // number near v. Here each x' has an f' that gives exactly v: nothing can be excluded.
        for (x, factor) in
            [982_451_653_u128, 10_000 * 77_777, 3 << 60].iter().zip(key(4).factors(3))
        {
            let seen = factor.times(*x);
            for other in [x + 1, x - 1, x / 2 + 7, x * 100 / 99, x + 1_000_003] {
                let order = (seen / other).ilog2();
                // The mantissa of the smallest f' with other · f' >= seen, in steps of 2^-96.
                let scaled = BigUint::from(seen) << (FACTOR_FRACTION_BITS - order);
                let mantissa = (scaled + other - 1u8) / other;
                let fraction = u128::try_from(mantissa - (BigUint::from(1u8) << 96u8)).unwrap();
                let explained = Factor((fraction << 32) | u128::from(order));
                assert_eq!(explained.times(other), seen, "{other} instead of {x}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_factor_multiplies_exactly(magnitude in 0..=1u128 << 80, random: u128) {
            let mantissa = (BigUint::from(1u8) << 96u8) + (random >> 32);
            let expected = (BigUint::from(magnitude) * mantissa) >> (96 - (random & 15));
            prop_assert_eq!(BigUint::from(Factor(random).times(magnitude)), expected);
        }

        #[test]
        fn limbs_are_the_sum_and_its_square(
            sum in -(1i128 << 115)..=1i128 << 115,
            lowered in 35u32..50,
            random: u128,
        ) {
            let [low, high, first, second, third] = blinded(sum, lowered, Factor(random));
            let value = (high.cast_signed() << 64) + low.cast_signed();
            prop_assert_eq!(value.signum(), sum.signum(), "something never becomes nothing");
            let square = BigUint::from(first)
                + (BigUint::from(second) << 64u8)
                + (BigUint::from(third) << 128u8);
            prop_assert_eq!(square, BigUint::from(value.unsigned_abs()).pow(2));
            prop_assert!([first, second, third].iter().all(|limb| *limb <= LIMB));
            prop_assert!(low.cast_signed().unsigned_abs() <= LIMB);
            prop_assert!(high.cast_signed().unsigned_abs() < 1 << 32);
        }
    }

    proptest! {
        #[test]
        fn a_number_of_rows_carries_its_check_over_hospitals_and_bins(
            rows in prop::collection::vec(0u128..1 << 30, 1..200),
            coefficient in any::<u128>().prop_map(|c| c | 1),
            power in 0u32..40,
            odd in (0u128..1 << 20).prop_map(|n| 2 * n + 1),
        ) {
            let cells = rows.iter().map(|rows| counted(*rows, coefficient));
            let sum = cells.fold(0u128, u128::wrapping_add);
            prop_assert_eq!(count_of(sum, coefficient), Some(rows.iter().sum()));
            // Other rows need another check, and each coefficient of 2^86 another one.
            let delta = (odd << power) & ((1 << COUNT_BITS) - 1);
            prop_assert!(delta == 0 || count_of(sum.wrapping_add(delta), coefficient).is_none());
            let guessed = counted(delta, coefficient ^ 2);
            prop_assert!(delta == 0 || count_of(sum.wrapping_add(guessed), coefficient).is_none());
        }
    }
}
