//! All tables of counts and costs of a small hospital, put together.
//!
//! Whoever collects all tables, and knows of every patient everything but group and cost, solves them for
//! these (Dinur and Nissim 2003; Garfinkel, Abowd and Martindale, *ACM Queue* 16 (2018) 28). That this
//! pins nobody is shown by what it would have to rule out: for each stay *another hospital* that agrees with
//! every number that was told, in which the stay has another group, or a cost that is far from its own. (That
//! the rules would have withheld the same of that hospital is not shown.)
//! With the minimum off the same tables tell the costs of many.

use model::RefusalCode;
use privacy::policy::Minimum;
use privacy::{Dominance, Policy};
use tests::fixture::Stay;

use super::adversary::{los_band, small_hospital};
use super::stretches::between;
use super::{hospital_under, refusal};

const STAYS: u32 = 300;
/// A guess within this of a cost has found it.
const NEAR: f64 = 0.05;
/// What is zero but for rounding.
const TINY: f64 = 1e-9;

/// Columns of the tables that are asked for, each over the spans of [`SPANS`] that follow.
const TABLES: [&[&str]; 8] = [
    &[],
    &["drg_code"],
    &["sex"],
    &["los_band"],
    &["drg_code", "sex"],
    &["drg_code", "los_band"],
    &["sex", "los_band"],
    &["drg_code", "sex", "los_band"],
];
/// First month, and the one after the last.
const SPANS: [(u32, u32); 8] =
    [(1, 13), (1, 4), (4, 7), (7, 10), (10, 13), (1, 7), (7, 13), (4, 10)];

/// A cell that was told: who is in it, and the sum of costs where that was told too.
struct Cell {
    span: (u32, u32),
    labels: Vec<(&'static str, String)>,
    cost: Option<f64>,
}

impl Cell {
    fn has(&self, stay: &Stay) -> bool {
        let label = |(column, value): &(&str, String)| match *column {
            "drg_code" => stay.drg == value,
            "sex" => stay.sex == value,
            _ => los_band(stay.los_days) == value,
        };
        (self.span.0..self.span.1).contains(&stay.month.into()) && self.labels.iter().all(label)
    }
}

fn cost(stay: &Stay) -> f64 {
    stay.cost_cents as f64 / 100.0
}

/// Asks for all tables of the hospital; what it told.
async fn published(policy: Policy, stays: &[Stay]) -> Vec<Cell> {
    let region = hospital_under(policy, stays.to_vec()).await;
    let mut told = Vec::new();
    for span in SPANS {
        for columns in TABLES {
            let names: String = columns.iter().map(|name| format!("{name}, ")).collect();
            let condition = between(span.0, span.1);
            let sql = format!(
                "SELECT hospital_id, {names}count(*) AS n, sum(total_cost) AS cost FROM stay \
                 {condition} GROUP BY {names}hospital_id"
            );
            let answer = match region.ask(&sql).await {
                Ok(answer) => answer,
                // A question may be refused as a whole, which tells nothing.
                refused => {
                    let code = refusal(refused).code;
                    assert_eq!(code, RefusalCode::Differencing, "{sql}");
                    continue;
                }
            };
            for row in answer.rows() {
                let labels = columns.iter().copied().zip(row[1..].iter().cloned()).collect();
                let cell = Cell { span, labels, cost: row[columns.len() + 2].parse().ok() };
                let own: Vec<_> = stays.iter().filter(|stay| cell.has(stay)).collect();
                let n = row[columns.len() + 1].parse::<usize>();
                assert!(n.is_ok_and(|n| n == own.len()), "{row:?}");
                let sum: f64 = own.iter().map(|stay| cost(stay)).sum();
                assert!(cell.cost.is_none_or(|told| (told - sum).abs() < 0.005), "{row:?}: {sum}");
                told.push(cell);
            }
        }
    }
    told
}

/// Stays for which no hospital that agrees with what was told was found in which they have another group. Tried
/// are all ways of two stays exchanging group and cost.
fn without_another_group(told: &[Cell], stays: &[Stay]) -> usize {
    let with_those_of =
        |a: &Stay, b: &Stay| Stay { drg: b.drg, cost_cents: b.cost_cents, ..a.clone() };
    let adds = |cell: &Cell, stay: &Stay| match cell.has(stay) {
        true => (1, cell.cost.map_or(0, |_| stay.cost_cents)),
        false => (0, 0),
    };
    let sum = |cell: &Cell, one: &Stay, two: &Stay| {
        let (one, two) = (adds(cell, one), adds(cell, two));
        (one.0 + two.0, one.1 + two.1)
    };
    let is_same = |a: &Stay, b: &Stay| {
        let (new_a, new_b) = (with_those_of(a, b), with_those_of(b, a));
        told.iter().all(|cell| sum(cell, a, b) == sum(cell, &new_a, &new_b))
    };
    let is_open = |a: &Stay| stays.iter().any(|b| a.drg != b.drg && is_same(a, b));
    stays.iter().filter(|stay| !is_open(stay)).count()
}

/// What the told sums are sums of, as an orthonormal basis.
#[derive(Default)]
struct Rows(Vec<Vec<f64>>);

impl Rows {
    fn of(told: &[Cell], stays: &[Stay]) -> Self {
        let mut all = Self::default();
        for cell in told.iter().filter(|cell| cell.cost.is_some()) {
            let mut row: Vec<f64> = stays.iter().map(|stay| f64::from(cell.has(stay))).collect();
            let size = row.iter().sum::<f64>().sqrt();
            all.remove(&mut row);
            let rest = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            if rest > TINY * size {
                row.iter_mut().for_each(|x| *x /= rest);
                all.0.push(row);
            }
        }
        all
    }

    /// Takes from `row` what lies along these; twice is enough (Kahan, in Parlett 1980, section 6.9).
    fn remove(&self, row: &mut [f64]) {
        for known in self.0.iter().chain(&self.0) {
            let along: f64 = known.iter().zip(row.iter()).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(known).for_each(|(x, k)| *x -= along * k);
        }
    }
}

/// Stays whose cost follows from the told sums, and those of which no hospital with the same sums was found
/// in which it is not within [`NEAR`] of any one guess. Costs are not negative, and nothing else is known
/// of them.
fn pinned_costs(told: &[Cell], stays: &[Stay]) -> (usize, usize) {
    let rows = Rows::of(told, stays);
    let (mut follow, mut near) = (0, 0);
    for index in 0..stays.len() {
        let mut direction = vec![0.0; stays.len()];
        direction[index] = 1.0;
        rows.remove(&mut direction);
        if direction[index] < TINY {
            follow += 1;
            continue;
        }
        // As far as no cost becomes negative, both ways.
        let reach = |sign: f64| {
            let each = stays.iter().zip(&direction).map(|(stay, d)| (cost(stay), sign * d));
            let falling = each.filter(|(_, d)| *d < -TINY);
            falling.map(|(cost, d)| -cost / d).fold(f64::INFINITY, f64::min)
        };
        let own = cost(&stays[index]);
        let least = own - reach(-1.0) * direction[index];
        let most = own + reach(1.0) * direction[index];
        if most * (1.0 - NEAR) <= least * (1.0 + NEAR) {
            near += 1;
        }
    }
    (follow, near)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_of_a_small_hospital_together_pin_nobody() {
    let stays = small_hospital(7, STAYS);
    let told = published(Policy::answering(), &stays).await;
    assert!(told.len() > 50, "{} cells", told.len());
    assert_eq!(pinned_costs(&told, &stays), (0, 0));
    assert_eq!(without_another_group(&told, &stays), 0);

    let off = Policy {
        dominance: Dominance::OFF,
        minimum: Minimum { persons: Some(1), stays: Some(1) },
        ..Policy::answering()
    };
    let all = published(off, &stays).await;
    let (follow, _) = pinned_costs(&all, &stays);
    assert!(follow > 30, "{follow} costs follow");
}
