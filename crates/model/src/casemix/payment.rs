//! What a fund pays hospitals: by rate, by points, by DIP points (F6, F7, F11) \[V*\].
//!
//! The three differ in what a case scores; then all divide a fund by scores. A score and each
//! coefficient are decimals of six places, and so is their product, a half rounded up. From there
//! everything is exact integers: what hospitals get adds up to the fund to the cent, and what a
//! hospital gets by group adds up to what it gets.

mod compare;

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed, ToPrimitive};

pub use super::parameters::PaymentRules;
use super::{
    CasemixError,
    money::{apportion, parse_cents},
    parameters::Parameters,
};
use crate::moments;

pub use compare::{Difference, GroupDifference, compare};

/// Millionths in a whole case or point.
pub const MICRO: i128 = 1_000_000;

/// Cases of a group in a hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Hospital.
    pub hospital: String,
    /// Its tier.
    pub tier: String,
    /// Code of the group.
    pub group: String,
    /// What the cases count as, in millionths of a case: `stays` times [`MICRO`], unless costs
    /// that deviate count otherwise (F10).
    pub cases: i128,
    /// Stays.
    pub stays: u64,
}

/// How cases are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Relative weights and a base rate (F6).
    DrgRate,
    /// Relative weights as points, [`PaymentRules::base_points`] for the mean stay (F7).
    DrgPoints,
    /// DIP scores as points, and a pool that is more than the fund (F11).
    DipPoints,
}

/// What one hospital gets. Money is in cents.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Hospital.
    pub hospital: String,
    /// Its points, or weights, with coefficients.
    pub points: f64,
    /// Its part of the fund.
    pub gross_cents: i128,
    /// What it already has.
    pub prepaid_cents: i128,
    /// `gross - prepaid`; negative when it pays back.
    pub balance_cents: i128,
    /// Group and part of the gross amount, by code.
    pub by_group: Vec<(String, i128)>,
}

/// What a region pays.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// Base rate or point value, in currency units: the fund over all points.
    pub value: f64,
    /// Points, or weights, of all hospitals, with coefficients.
    pub total_points: f64,
    /// What is divided, in cents: the gross amounts add up to it. Under DIP it is the fund over
    /// the reimbursement ratio.
    pub fund_cents: i128,
    /// By hospital.
    pub settlements: Vec<Settlement>,
}

/// Points of each group of each hospital, in millionths of a millionth.
type Ledger<'a> = BTreeMap<&'a str, BTreeMap<&'a str, i128>>;

/// Divides a fund among hospitals.
///
/// A case scores `scores[group]` (a relative weight; a DIP score under [`Scheme::DipPoints`])
/// times the coefficients of tier, hospital and group, and under [`Scheme::DrgPoints`] times
/// [`PaymentRules::base_points`]. Rate and point value are over scores *with* coefficients: over
/// plain ones, as F6 can also be read, what is paid would not add up to the fund.
///
/// Under [`Scheme::DipPoints`] what is divided is `fund / reimbursement ratio`, to the nearest
/// cent (F11): the fund's share of it is the fund, and patients pay the rest.
///
/// A hospital that has a prepayment and no volume owes it back. Rows of the same hospital and
/// group add up. Errors: points that add up to zero (F7), a group without a score, anything
/// negative, scores that are no numbers.
pub fn settle(
    scheme: Scheme,
    fund_cents: i128,
    scores: &BTreeMap<String, f64>,
    volumes: &[Volume],
    parameters: &Parameters,
) -> Result<Settled, CasemixError> {
    let rules = &parameters.payment;
    if fund_cents < 0 {
        return Err(CasemixError::Negative("the fund"));
    }
    let pool_cents = pool(scheme, fund_cents, rules)?;
    let prepaid = prepaid(rules)?;
    let mut ledger: Ledger<'_> = prepaid.keys().map(|name| (*name, BTreeMap::new())).collect();
    for volume in volumes {
        let points = points(scheme, volume, scores, rules)?;
        let groups = ledger.entry(&volume.hospital).or_default();
        let sum = groups.entry(&volume.group).or_default();
        *sum = sum.checked_add(points).ok_or(CasemixError::TooLarge("points"))?;
    }
    let totals: Vec<i128> = ledger.values().map(total).collect::<Result<_, _>>()?;
    let all: BigInt = totals.iter().map(|points| BigInt::from(*points)).sum();
    if !all.is_positive() {
        return Err(CasemixError::ZeroTotal("points"));
    }
    let unit = BigInt::from(MICRO * MICRO);
    let real = |points: &BigInt| moments::quotient(points, &unit).unwrap_or(f64::NAN);
    let mut settlements = Vec::with_capacity(ledger.len());
    let parts = apportion(pool_cents, &totals)?;
    for (((hospital, groups), points), gross_cents) in ledger.iter().zip(totals).zip(parts) {
        let prepaid_cents = prepaid.get(hospital).copied().unwrap_or(0);
        settlements.push(Settlement {
            hospital: (*hospital).to_owned(),
            points: real(&points.into()),
            gross_cents,
            prepaid_cents,
            balance_cents: gross_cents - prepaid_cents,
            by_group: by_group(gross_cents, groups, points)?,
        });
    }
    let value = moments::quotient(&(BigInt::from(pool_cents) * &unit), &(&all * 100));
    Ok(Settled {
        value: value.unwrap_or(f64::NAN),
        total_points: real(&all),
        fund_cents: pool_cents,
        settlements,
    })
}

/// Divides a fund among classes of payers by [`PaymentRules::pools`], to the cent; nothing when
/// there is one pool. Employees' and residents' point values then differ, as F11 allows.
pub fn split_fund(
    fund_cents: i128,
    rules: &PaymentRules,
) -> Result<BTreeMap<String, i128>, CasemixError> {
    if rules.pools.is_empty() {
        return Ok(BTreeMap::new());
    }
    let shares: Vec<_> = rules.pools.values().map(|share| micro(*share, "shares")).collect();
    let parts = apportion(fund_cents, &shares.into_iter().collect::<Result<Vec<_>, _>>()?)?;
    Ok(rules.pools.keys().cloned().zip(parts).collect())
}

/// What is divided, in cents.
fn pool(scheme: Scheme, fund_cents: i128, rules: &PaymentRules) -> Result<i128, CasemixError> {
    if scheme != Scheme::DipPoints {
        return Ok(fund_cents);
    }
    let ratio = micro(rules.reimbursement_ratio, "the reimbursement ratio")?;
    if ratio == 0 {
        return Err(CasemixError::ZeroTotal("the reimbursement ratio"));
    }
    let pool = half_up(&(BigInt::from(fund_cents) * MICRO), &BigInt::from(ratio));
    pool.ok_or(CasemixError::TooLarge("amounts"))
}

fn prepaid(rules: &PaymentRules) -> Result<BTreeMap<&str, i128>, CasemixError> {
    let read = |(hospital, text): (_, &String)| match parse_cents(text)? {
        cents if cents < 0 => Err(CasemixError::Negative("prepayments")),
        cents => Ok((hospital, cents)),
    };
    rules.prepaid.iter().map(|(hospital, text)| read((hospital.as_str(), text))).collect()
}

/// A row's points, in millionths of a millionth.
fn points(
    scheme: Scheme,
    volume: &Volume,
    scores: &BTreeMap<String, f64>,
    rules: &PaymentRules,
) -> Result<i128, CasemixError> {
    if volume.cases < 0 {
        return Err(CasemixError::Negative("cases"));
    }
    let missing = || CasemixError::NoScore(volume.group.clone());
    let score = scores.get(&volume.group).ok_or_else(missing)?;
    let base = if scheme == Scheme::DrgPoints { rules.base_points } else { 1.0 };
    let of = |map: &BTreeMap<String, f64>, key: &str| map.get(key).copied().unwrap_or(1.0);
    let mut product = BigInt::from(micro(score * base, "scores")?);
    let mut scale = BigInt::from(1);
    for coefficient in [
        of(&rules.tier, &volume.tier),
        of(&rules.hospital, &volume.hospital),
        of(&rules.policy, &volume.group),
    ] {
        product *= micro(coefficient, "coefficients")?;
        scale *= MICRO;
    }
    let each = half_up(&product, &scale).ok_or(CasemixError::TooLarge("points"))?;
    each.checked_mul(volume.cases).ok_or(CasemixError::TooLarge("points"))
}

/// The whole number nearest to a ratio that is not negative; a half goes up.
fn half_up(numerator: &BigInt, denominator: &BigInt) -> Option<i128> {
    let nearest: BigInt = (numerator * 2 + denominator) / (denominator * 2);
    nearest.to_i128()
}

/// The nearest millionth.
fn micro(value: f64, what: &'static str) -> Result<i128, CasemixError> {
    if !value.is_finite() {
        return Err(CasemixError::NotFinite(what));
    }
    let millionths = (value * 1e6).round();
    if millionths < 0.0 {
        return Err(CasemixError::Negative(what));
    }
    i128::from_f64(millionths).ok_or(CasemixError::TooLarge(what))
}

fn total(groups: &BTreeMap<&str, i128>) -> Result<i128, CasemixError> {
    let add = |sum: i128, points: &i128| sum.checked_add(*points);
    groups.values().try_fold(0, add).ok_or(CasemixError::TooLarge("points"))
}

fn by_group(
    gross_cents: i128,
    groups: &BTreeMap<&str, i128>,
    points: i128,
) -> Result<Vec<(String, i128)>, CasemixError> {
    let weights: Vec<i128> = groups.values().copied().collect();
    // Without points a hospital gets nothing, for no group.
    let parts =
        if points == 0 { vec![0; weights.len()] } else { apportion(gross_cents, &weights)? };
    Ok(groups.keys().map(|group| (*group).to_owned()).zip(parts).collect())
}

#[cfg(test)]
mod tests;
