//! Noise: answers that are true to a stated deviation, and what they cost.
//!
//! A noisy question needs neither a minimum of persons nor a steward's leave: whatever somebody else knows, and
//! however many questions are asked, an answer says nearly the same with and without any one person. Four steps make it
//! so for a hospital's own cells; how regional sums take them is said in [`regional`]:
//! 1. *Contributions are bounded.* Of each person the relation keeps [`Noise::rows_per_person`] rows, and each
//!    value is clamped to what the hospital's policy says. One person then moves the numbers of one cell
//!    kind, over all groups together, by at most `Δ` = rows × bound (in the Euclidean norm).
//! 2. *Noise is drawn* from the discrete Gaussian ([`gaussian`]), with the whole deviation
//!    `σ = ⌈Δ √(k / 2ρ)⌉`: each of `k` kinds of cells costs `ρ / k`, the question `ρ` (zero-concentrated
//!    differential privacy: Bun and Steinke, TCC 2016, propositions 1.6 and 1.7; for the discrete
//!    law: Canonne, Kamath and Steinke, NeurIPS 2020, theorem 4). The answer is kept and repeated; whatever is drawn
//!    anew, because it was asked twice at once or is no longer kept, is paid anew.
//! 3. *Groups are told by their noisy number of rows* and no other. One person alone can make a group
//!    appear; with a threshold of `rows + σ √(2 ln(rows / δ'))` that happens with a probability of at most `δ'`.
//! 4. *The hospital's ledger pays* `ρ` from what the user and what everybody may spend in a year.
//!
//! Bounds, threshold and deviations follow from the question and the policy, never from rows, and are told. What
//! bounding takes away is not told, and is no noise: the deviation is not the whole error.
//!
//! Not covered: how long an answer takes, and whether the engine runs out of memory or time over it. A question that
//! fails after rows were looked at is paid for.

pub mod gaussian;
pub mod regional;

use model::{Refusal, RefusalCode};
use num_bigint::BigUint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::gate::{Released, ReleasedGroup};
use crate::measure::{Input, Measure};
use crate::partial::{Partial, PartialGroup};
use crate::request::{ReleaseRequest, Scope};
use gaussian::Gaussian;
use model::moments::Scale;

/// Parts of one: ρ is counted in millionths.
pub const MICRO: u64 = 1_000_000;
/// Parts in which a policy states δ.
const DELTA_PARTS: f64 = 1e9;

/// What a hospital's policy says about noisy answers; without the section there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Most that one question may cost, in millionths of ρ.
    pub rho_request_micro: u64,
    /// Most that one user may spend in a calendar year (UTC).
    pub rho_user_year_micro: u64,
    /// Most that everybody together may spend in a calendar year.
    pub rho_hospital_year_micro: u64,
    /// δ of a whole year, in billionths.
    pub delta_e9: u32,
    /// Rows of the relation that one person contributes at most.
    pub rows_per_person: u32,
    /// Amounts of money count up to this many units of currency.
    pub money: u32,
    /// Other numbers count up to this.
    pub number: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            rho_request_micro: 5_000,
            rho_user_year_micro: 50_000,
            rho_hospital_year_micro: 250_000,
            delta_e9: 1_000,
            rows_per_person: 1,
            money: 100_000,
            number: 100,
        }
    }
}

impl Noise {
    /// What is wrong with it, for people.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let budgets = [
            ("rho_request_micro", self.rho_request_micro),
            ("rho_user_year_micro", self.rho_user_year_micro),
            ("rho_hospital_year_micro", self.rho_hospital_year_micro),
        ];
        for (name, value) in budgets {
            if !(1..=100 * MICRO).contains(&value) {
                problems.push(format!("noise.{name} is outside 1..={}", 100 * MICRO));
            }
        }
        if self.rho_hospital_year_micro < self.rho_request_micro {
            problems.push("noise.rho_hospital_year_micro is below noise.rho_request_micro".into());
        }
        for (name, value, most) in [
            ("delta_e9", self.delta_e9, 10_000),
            ("rows_per_person", self.rows_per_person, 100),
            ("money", self.money, 100_000_000),
            ("number", self.number, 1_000_000),
        ] {
            if !(1..=most).contains(&value) {
                problems.push(format!("noise.{name} is outside 1..={most}"));
            }
        }
        problems
    }

    /// Whether a policy can say so.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        self.problems().is_empty()
    }

    /// Up to where values of `input` count, in units of its scale.
    #[must_use]
    pub fn bound(&self, input: &Input) -> u128 {
        let whole = u128::from(if input.money { self.money } else { self.number });
        let scaled = match input.scale {
            Scale::Decimal(digits) => 10u128.checked_pow(digits.into()),
            Scale::Binary(bits) => 1u128.checked_shl(bits.into()),
        };
        let bound = scaled.and_then(|scale| whole.checked_mul(scale));
        bound.map_or(input.bound, |bound| bound.min(input.bound))
    }

    /// ε of everything that a year's budget can buy, for the half of δ that is kept for it
    /// (Bun and Steinke, proposition 1.3).
    #[must_use]
    pub fn epsilon_year(&self) -> f64 {
        epsilon(self.rho_hospital_year_micro, f64::from(self.delta_e9) / DELTA_PARTS / 2.0)
    }

    /// The part of the other half of δ that a question of `rho_micro` may use for its threshold.
    #[allow(clippy::cast_precision_loss, reason = "budgets are far below 2^53")]
    fn delta_of(&self, rho_micro: u64) -> f64 {
        let share = rho_micro as f64 / self.rho_hospital_year_micro as f64;
        share * f64::from(self.delta_e9) / DELTA_PARTS / 2.0
    }

    /// Noise for a question of this policy.
    ///
    /// # Errors
    /// A [`Refusal`] when the question asks for what cannot be bounded.
    pub(crate) fn admit(self, request: &ReleaseRequest) -> Result<Noisy, Refusal> {
        let rho_micro = request.rho_micro().unwrap_or_default();
        check_linear(request)?;
        Ok(Noisy { rule: self, rho_micro })
    }
}

/// What a hospital's policy says about noise, if a question may cost `rho_micro` there.
///
/// # Errors
/// A [`Refusal`] with code `budget`.
pub fn afford(policy: Option<Noise>, rho_micro: u64) -> Result<Noise, Refusal> {
    let Some(noise) = policy else {
        return Err(Refusal::new(
            RefusalCode::Budget,
            "--noise",
            "The hospital has set no budget for noisy answers.",
            "Ask without --noise, or ask the hospital's steward for a [noise] section in the policy.",
        ));
    };
    if (1..=noise.rho_request_micro).contains(&rho_micro) {
        return Ok(noise);
    }
    Err(Refusal::new(
        RefusalCode::Budget,
        "--noise",
        format!(
            "The hospital answers a question for at most {} of its noise budget, and this one would cost {}.",
            share(noise.rho_request_micro),
            share(rho_micro)
        ),
        "Ask with a smaller --noise.",
    ))
}

/// Checks that noise can hide what `request` asks for: each person moves each cell by a bounded number.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn check_linear(request: &ReleaseRequest) -> Result<(), Refusal> {
    let is_pooled = request.scope() == Scope::Pooled;
    let counts_hospitals = |one: &Measure| *one == Measure::Contributors;
    if is_pooled && request.measures().iter().any(counts_hospitals) {
        return Err(Refusal::new(
            RefusalCode::Request,
            "--noise",
            "How many hospitals have a group is not told with noise.",
            "Ask for COUNT(*), SUM and AVG, or without --noise.",
        ));
    }
    let is_plain = request.measures().iter().all(|one| is_linear(*one));
    // A round without measures is a search for codes.
    let is_bare = is_pooled && request.measures().is_empty();
    if request.fitting().is_some() || !is_plain || is_bare {
        return Err(Refusal::new(
            RefusalCode::Request,
            "--noise",
            "With noise, counts, sums and means are told.",
            "Ask for COUNT, SUM and AVG only, or without --noise.",
        ));
    }
    Ok(())
}

/// Whether a person moves each of its cells by a bounded number.
const fn is_linear(measure: Measure) -> bool {
    use Measure::{Contributors, Count, Persons, Rows, Stays, Sum};
    matches!(measure, Rows | Persons | Stays | Contributors | Count(_) | Sum(_))
}

/// Millionths as people read them.
#[must_use]
pub fn share(micro: u64) -> String {
    let text = format!("{}.{:06}", micro / MICRO, micro % MICRO);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// ε that `rho_micro` of zero-concentrated privacy amounts to beside a `delta` above zero.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "budgets are far below 2^53")]
pub fn epsilon(rho_micro: u64, delta: f64) -> f64 {
    let rho = rho_micro as f64 / MICRO as f64;
    rho + 2.0 * (rho * -delta.ln()).sqrt()
}

/// How a noisy question is answered in one hospital.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noisy {
    rule: Noise,
    rho_micro: u64,
}

/// What a noisy answer says about itself. Nothing in it depends on rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What the question cost, in millionths of ρ.
    pub rho_micro: u64,
    /// ε of a year's whole budget, at `delta`.
    pub epsilon_year: f64,
    /// δ of a year.
    pub delta: f64,
    /// Rows that one person contributes at most.
    pub rows_per_person: u32,
    /// Groups of fewer noisy rows than this are not told.
    pub least_rows: u64,
    /// Standard deviation of a group's number of rows.
    pub rows_deviation: u128,
    /// Standard deviation of each cell, in units of its scale; 0 where none is needed.
    pub deviations: Vec<u128>,
    /// Up to where values of each input count, in units of its scale.
    pub bounds: Vec<u128>,
}

impl Noisy {
    /// The policy's section.
    #[must_use]
    pub const fn rule(&self) -> Noise {
        self.rule
    }

    /// What it costs.
    #[must_use]
    pub const fn rho_micro(&self) -> u64 {
        self.rho_micro
    }

    /// Bounds, deviations and threshold for the cells of `request`.
    #[must_use]
    pub fn statement(&self, request: &ReleaseRequest, minimum: u32) -> Statement {
        let rule = self.rule;
        let bounds: Vec<_> = request.inputs().iter().map(|input| rule.bound(input)).collect();
        let cells = request.measures().iter().flat_map(|measure| bounds_of(*measure, &bounds));
        let cells: Vec<Option<u128>> = cells.collect();
        // The number of rows is always drawn, and is what COUNT(*) tells.
        let kinds = 1 + cells.iter().flatten().count();
        let deviation = |bound: u128| {
            let most = u128::from(rule.rows_per_person).saturating_mul(bound);
            gaussian::deviation(most, kinds, self.rho_micro)
        };
        let rows_deviation = deviation(1);
        let least = threshold(rule.rows_per_person, rows_deviation, rule.delta_of(self.rho_micro));
        Statement {
            rho_micro: self.rho_micro,
            epsilon_year: rule.epsilon_year(),
            delta: f64::from(rule.delta_e9) / DELTA_PARTS,
            rows_per_person: rule.rows_per_person,
            least_rows: least.max(minimum.into()),
            rows_deviation,
            deviations: cells.iter().map(|bound| bound.map_or(0, deviation)).collect(),
            bounds,
        }
    }
}

/// The cells of a measure that need noise of their own, with what one row adds to each at most.
fn bounds_of(measure: Measure, bounds: &[u128]) -> Vec<Option<u128>> {
    match measure {
        Measure::Persons | Measure::Stays | Measure::Count(_) => vec![Some(1)],
        Measure::Sum(x) => vec![Some(1), bounds.get(x).copied()],
        // Of the rows, or of nobody's row.
        _ => vec![None; measure.width()],
    }
}

/// Least noisy rows of a group that one person's `rows` reach with a probability of at most `delta`: the
/// law has tails below `exp(-t² / 2σ²)` (Canonne, Kamath and Steinke, proposition 25), and a person is in
/// as many groups as rows.
#[allow(clippy::cast_precision_loss, reason = "a deviation is below 2^53 but for absurd policies")]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, above zero")]
fn threshold(rows: u32, deviation: u128, delta: f64) -> u64 {
    let tail = deviation as f64 * (2.0 * (f64::from(rows) / delta).ln()).sqrt();
    u64::from(rows) + tail.ceil() as u64 + 1
}

/// Tells the groups of `partial` with noise drawn from `seed`, which serves this one answer. A partial of a
/// question without noise tells nothing.
#[must_use]
pub fn release(partial: Partial, seed: &Zeroizing<[u8; 32]>) -> Released {
    let Some(noisy) = partial.admitted().noisy() else { return Released::nothing() };
    let request = partial.admitted().request().clone();
    let statement = noisy.statement(&request, partial.admitted().thresholds().persons_cap());
    let (mut groups, _) = partial.into_parts();
    if request.dimensions().is_empty() && groups.is_empty() {
        groups.push(PartialGroup::empty(&request));
    }
    let whole = request.dimensions().is_empty();
    let mut draw = Gaussian::new(seed);
    let mut told = Vec::new();
    for group in groups {
        let rows = add(group.rows.into(), draw.sample(statement.rows_deviation));
        // The only group of an answer is there whoever is in it.
        if !whole && rows < i128::from(statement.least_rows) {
            continue;
        }
        told.push(noisy_group(group, rows, &request, &statement, &mut draw));
    }
    Released::noisy(told, statement)
}

fn noisy_group(
    group: PartialGroup,
    rows: i128,
    request: &ReleaseRequest,
    statement: &Statement,
    draw: &mut Gaussian,
) -> ReleasedGroup {
    let rows = rows.max(0);
    let mut cells = Vec::with_capacity(group.cells.len());
    let exact = group.cells.iter().zip(&statement.deviations);
    cells.extend(exact.map(|(cell, deviation)| match deviation {
        0 => *cell,
        deviation => add(*cell, draw.sample(*deviation)),
    }));
    tidy(&mut cells, rows, request);
    let withheld = vec![false; request.measures().len()];
    ReleasedGroup::new(group.key, u64::try_from(rows).unwrap_or(u64::MAX), cells, withheld)
}

/// Cells as they are told: those that are no draw of their own, and no number of rows below none.
pub(crate) fn tidy(cells: &mut [i128], rows: i128, request: &ReleaseRequest) {
    let mut offset = 0;
    for measure in request.measures() {
        match measure {
            Measure::Rows => cells[offset] = rows,
            Measure::Contributors => cells[offset] = 1,
            _ => cells[offset] = cells[offset].max(0),
        }
        offset += measure.width();
    }
}

const fn add(cell: i128, noise: i128) -> i128 {
    cell.saturating_add(noise)
}

/// ⌈√x⌉.
pub(crate) fn root_up(x: &BigUint) -> BigUint {
    let root = x.sqrt();
    if &root * &root < *x { root + 1u32 } else { root }
}

#[cfg(test)]
mod tests;
