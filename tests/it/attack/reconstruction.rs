//! All tables of counts and costs of a small hospital, put together.
//!
//! Whoever collects all tables, and knows of every patient everything but group and cost, solves them for
//! these (Dinur and Nissim 2003; Garfinkel, Abowd and Martindale, *ACM Queue* 16 (2018) 28). That this
//! pins nobody is shown by what it would have to rule out: for each stay *another hospital* that agrees with
//! every number that was told, in which the stay has another group, or a cost that is far from its own. (That
//! the rules would have withheld the same of that hospital is not shown.)
//! With the minimum off the same tables tell the costs of many.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
/// First month, and the one after the last: the year, its quarters and halves, and each month.
const SPANS: [(u32, u32); 20] = [
    (1, 13),
    (1, 4),
    (4, 7),
    (7, 10),
    (10, 13),
    (1, 7),
    (7, 13),
    (4, 10),
    (1, 2),
    (2, 3),
    (3, 4),
    (4, 5),
    (5, 6),
    (6, 7),
    (7, 8),
    (8, 9),
    (9, 10),
    (10, 11),
    (11, 12),
    (12, 13),
];

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

/// What the told cells say of a stay in the place of one and with the group (and, where that is asked, the cost) of
/// another, in one number: sums of random weights, so that what agrees in all cells has the same sum, and anything else
/// hardly ever.
struct Weighed(Vec<Vec<u64>>);

impl Weighed {
    fn of(told: &[Cell], stays: &[Stay], with_costs: bool) -> Self {
        let word = |cell: usize, kind: u8| {
            let hash = privacy::sha256(format!("{kind} {cell}").as_bytes());
            u64::from_le_bytes(std::array::from_fn(|index| hash[index]))
        };
        let words: Vec<[u64; 2]> =
            (0..told.len()).map(|cell| [word(cell, 0), word(cell, 1)]).collect();
        let groups: BTreeSet<&'static str> = stays.iter().map(|stay| stay.drg).collect();
        let weigh = |place: &Stay| {
            let of_group = |group: &&'static str| {
                let stay = Stay { drg: group, ..place.clone() };
                let cells = told.iter().zip(&words).filter(|(cell, _)| cell.has(&stay));
                let sums = cells.fold((0u64, 0u64), |(number, sum), (cell, [one, other])| {
                    let is_told = u64::from(with_costs && cell.cost.is_some());
                    (number.wrapping_add(*one), sum.wrapping_add(other * is_told))
                });
                (*group, sums)
            };
            let sums: BTreeMap<_, _> = groups.iter().map(of_group).collect();
            let with_those_of = |other: &Stay| {
                let (number, cost) = sums[other.drg];
                number.wrapping_add(cost.wrapping_mul(other.cost_cents.cast_unsigned()))
            };
            stays.iter().map(with_those_of).collect()
        };
        Self(stays.iter().map(weigh).collect())
    }

    /// By how much the sum changes when the stay in `place` takes what `other` has.
    fn change(&self, place: usize, other: usize) -> u64 {
        self.0[place][other].wrapping_sub(self.0[place][place])
    }

    /// Circles of two, three and four stays, from `a`, in which each may take what the next has, so that `a` has
    /// another group.
    fn circles<'a>(&'a self, stays: &'a [Stay], a: usize) -> impl Iterator<Item = Vec<usize>> + 'a {
        let all = move || 0..stays.len();
        let others = move || all().filter(move |b| stays[*b].drg != stays[a].drg);
        let pairs = move || {
            let pairs = others().flat_map(move |b| all().map(move |c| (b, c)));
            pairs.filter(move |(b, c)| a != *c && b != c)
        };
        let sum = |parts: &[u64]| parts.iter().fold(0u64, |sum, part| sum.wrapping_add(*part));
        let two = others().filter(move |b| sum(&[self.change(a, *b), self.change(*b, a)]) == 0);
        let three = pairs().filter(move |(b, c)| {
            sum(&[self.change(a, *b), self.change(*b, *c), self.change(*c, a)]) == 0
        });
        let four = move || {
            // The two halves of a circle: what c and d add must be what a and b take away.
            let mut halves = HashMap::<(usize, u64), usize>::new();
            for (c, d) in all().flat_map(|c| all().map(move |d| (c, d))) {
                if a != c && a != d && c != d {
                    let rest = sum(&[self.change(c, d), self.change(d, a)]).wrapping_neg();
                    halves.entry((c, rest)).or_insert(d);
                }
            }
            pairs().filter_map(move |(b, c)| {
                let d = *halves.get(&(c, sum(&[self.change(a, b), self.change(b, c)])))?;
                (d != b).then(|| vec![a, b, c, d])
            })
        };
        let three = three.map(move |(b, c)| vec![a, b, c]);
        two.map(move |b| vec![a, b]).chain(three).chain(std::iter::once_with(four).flatten())
    }
}

/// The hospital in which each of these stays has group and cost of the next, and the last those of the first.
fn exchanged(stays: &[Stay], circle: &[usize]) -> Vec<Stay> {
    let mut all = stays.to_vec();
    for (place, other) in circle.iter().zip(circle.iter().cycle().skip(1)) {
        (all[*place].drg, all[*place].cost_cents) = (stays[*other].drg, stays[*other].cost_cents);
    }
    all
}

/// Whether each told number is that of `stays`, and the cost, where that is asked.
fn agrees(told: &[Cell], stays: &[Stay], original: &[Stay], with_costs: bool) -> bool {
    let sum = |cell: &Cell, stays: &[Stay]| {
        let own = stays.iter().filter(|stay| cell.has(stay));
        let counted = |stay: &Stay| match cell.cost {
            Some(_) if with_costs => stay.cost_cents,
            _ => 0,
        };
        own.fold((0, 0), |(n, cost), stay| (n + 1, cost + counted(stay)))
    };
    told.iter().all(|cell| sum(cell, stays) == sum(cell, original))
}

/// Whether these stays can have costs, none below zero, with every told sum: least changes of their costs by conjugate
/// gradients (Hestenes and Stiefel 1952), and from what is negative again.
fn costs_fit(told: &[Cell], stays: &[Stay]) -> bool {
    let members = |cell: &Cell| -> Vec<usize> {
        (0..stays.len()).filter(|index| cell.has(&stays[*index])).collect()
    };
    let rows: Vec<(Vec<usize>, f64)> =
        told.iter().filter_map(|cell| Some((members(cell), cell.cost?))).collect();
    let left = |costs: &[f64]| -> Vec<f64> {
        let sum = |of: &[usize]| of.iter().map(|index| costs[*index]).sum::<f64>();
        rows.iter().map(|(of, told)| told - sum(of)).collect()
    };
    let back = |of_rows: &[f64]| {
        let mut all = vec![0.0; stays.len()];
        for ((of, _), value) in rows.iter().zip(of_rows) {
            of.iter().for_each(|index| all[*index] += value);
        }
        all
    };
    let square = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
    let mut costs: Vec<f64> = stays.iter().map(cost).collect();
    for _ in 0..20 {
        let mut rest = left(&costs);
        let mut gradient = back(&rest);
        let mut direction = gradient.clone();
        for _ in 0..400 {
            let (size, along) = (square(&gradient), left(&direction));
            // What a direction adds to the sums: of the told ones nothing.
            let along: Vec<f64> = along.iter().zip(&rows).map(|(x, (_, told))| told - x).collect();
            if size < 1e-12 || square(&along) == 0.0 {
                break;
            }
            let step = size / square(&along);
            costs.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
            rest.iter_mut().zip(&along).for_each(|(x, a)| *x -= step * a);
            gradient = back(&rest);
            let turn = square(&gradient) / size;
            direction.iter_mut().zip(&gradient).for_each(|(d, g)| *d = g + turn * *d);
        }
        let is_told = left(&costs).iter().all(|rest| rest.abs() < 0.005);
        if !is_told {
            return false;
        }
        if costs.iter().all(|cost| *cost >= 0.0) {
            return true;
        }
        costs.iter_mut().for_each(|cost| *cost = cost.max(0.0));
    }
    false
}

/// Stays for which no hospital that agrees with what was told was found in which they have another group. Tried
/// are ways of two, three or four stays exchanging group and cost in a circle, and then of exchanging groups, with other
/// costs for everybody.
fn without_another_group(told: &[Cell], stays: &[Stay]) -> usize {
    /// Circles for which other costs are looked for.
    const TRIED: usize = 50;
    let (exact, groups) = (Weighed::of(told, stays, true), Weighed::of(told, stays, false));
    let is_open = |stay: usize| {
        let same = |circle: Vec<usize>| agrees(told, &exchanged(stays, &circle), stays, true);
        let fits = |circle: Vec<usize>| {
            let other = exchanged(stays, &circle);
            agrees(told, &other, stays, false) && costs_fit(told, &other)
        };
        exact.circles(stays, stay).any(same) || groups.circles(stays, stay).take(TRIED).any(fits)
    };
    (0..stays.len()).filter(|stay| !is_open(*stay)).count()
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
    let all = published(off.clone(), &stays).await;
    let (follow, _) = pinned_costs(&all, &stays);
    assert!(follow > 30, "{follow} costs follow");
    // Of fewer stays hardly two are alike but for their groups.
    let stays = small_hospital(7, STAYS / 10);
    let pinned = without_another_group(&published(off, &stays).await, &stays);
    assert!(pinned > 0, "{pinned} groups follow");
}
