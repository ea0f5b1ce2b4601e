//! Three hospitals of a region, and what an outsider may know of their patients.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tests::fixture::Stay;

/// Stays of the hospital that is attacked, and of each of the two others.
const STAYS: [u32; 3] = [2_000, 1_200, 1_200];
/// Groups, how frequent they are, and what their stays typically cost.
pub(super) const GROUPS: [(&str, u32, f64); 10] = [
    ("DA1", 30, 4_000.0),
    ("DA2", 20, 6_500.0),
    ("DB1", 16, 12_000.0),
    ("DB2", 12, 3_000.0),
    ("DC1", 9, 21_000.0),
    ("DC2", 6, 8_000.0),
    ("DD1", 4, 15_000.0),
    ("DD2", 2, 30_000.0),
    ("DE1", 1, 9_000.0),
    ("DE2", 1, 50_000.0),
];
/// Of the logarithm of costs within a group.
const DEVIATION: f64 = 0.6;
/// What the largest stay costs that a source may hold, or nearly.
const GIANT_CENTS: i64 = 9_500_000_000;

/// See the module.
pub(super) struct World {
    pub(super) hospitals: Vec<Vec<Stay>>,
    /// Persons who were patients nowhere.
    strangers: Vec<Stay>,
    rng: StdRng,
}

/// What an outsider knows of a person, and what is to be found out.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) drg: &'static str,
    pub(super) sex: &'static str,
    pub(super) age: u32,
    pub(super) month: u8,
    pub(super) los_days: u32,
    /// What stays of the group typically cost.
    pub(super) typical: f64,
    /// To be found out.
    pub(super) cost: f64,
    /// To be found out.
    pub(super) is_patient: bool,
}

impl Known {
    fn of(stay: &Stay, is_patient: bool) -> Self {
        let typical = GROUPS.iter().find(|group| group.0 == stay.drg).unwrap().2;
        Self {
            drg: stay.drg,
            sex: stay.sex,
            age: stay.age_years,
            month: stay.month,
            los_days: stay.los_days,
            typical,
            cost: stay.cost_cents as f64 / 100.0,
            is_patient,
        }
    }

    /// The conditions that the person meets, from the widest on.
    pub(super) fn conditions(&self) -> [String; 5] {
        let (year, next) = match self.month {
            12 => ("2025", 1),
            month => ("2024", month + 1),
        };
        let from = self.age / 5 * 5;
        [
            format!("drg_code = '{}'", self.drg),
            format!("sex = '{}'", self.sex),
            format!("age_years >= {from} AND age_years < {}", from + 5),
            format!(
                "discharged_at >= '2024-{:02}-01' AND discharged_at < '{year}-{next:02}-01'",
                self.month
            ),
            format!("los_band = '{}'", los_band(self.los_days)),
        ]
    }

    /// The person, and hardly anybody else.
    pub(super) fn alone(&self) -> String {
        self.conditions().join(" AND ")
    }

    /// Many, of whom the person is one.
    pub(super) fn many(&self) -> String {
        self.conditions()[0].clone()
    }

    /// Those who meet a condition, without the person.
    pub(super) fn all_but(&self, condition: &str) -> String {
        format!("{condition} AND NOT ({})", self.alone())
    }
}

fn cents(amount: f64) -> u32 {
    // Whole hundredths of what is small enough, as text says it.
    format!("{:.0}", amount * 100.0).parse().unwrap()
}

fn stay(number: u32, rng: &mut StdRng) -> Stay {
    let all: u32 = GROUPS.iter().map(|group| group.1).sum();
    let mut draw = rng.random_range(0..all);
    let group = GROUPS.iter().find(|group| {
        let is_it = draw < group.1;
        draw = draw.saturating_sub(group.1);
        is_it
    });
    let (drg, _, typical) = *group.unwrap();
    // A sum of twelve is normal enough (Irwin and Hall).
    let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    Stay {
        drg,
        sex: if rng.random() { "F" } else { "M" },
        age_years: rng.random_range(18..90),
        month: rng.random_range(1..=12),
        los_days: rng.random_range(1..=12),
        cost_cents: i64::from(cents(typical * (DEVIATION * normal).exp())),
        drug_cents: 1_000,
        ..Stay::plain(number)
    }
}

/// The band of `los_band` in which so many days are.
pub(crate) const fn los_band(days: u32) -> &'static str {
    match days {
        1 => "1",
        2..=3 => "2-3",
        4..=7 => "4-7",
        _ => "8-14",
    }
}

/// The stays of a small hospital.
pub(crate) fn small_hospital(seed: u64, stays: u32) -> Vec<Stay> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..stays).map(|number| stay(number, &mut rng)).collect()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let hospitals = STAYS.map(|count| (0..count).map(|n| stay(n, &mut rng)).collect());
        let strangers = (0..STAYS[0]).map(|number| stay(number, &mut rng)).collect();
        Self { hospitals: hospitals.into(), strangers, rng }
    }

    /// In eight groups one stay that costs twenty times what all others together do.
    pub(super) fn with_giants(seed: u64) -> Self {
        let mut world = Self::new(seed);
        let ones: Vec<String> = world.targets(usize::MAX).iter().map(Known::alone).collect();
        for (group, ..) in GROUPS.iter().filter(|group| !["DB1", "DC1"].contains(&group.0)) {
            let is_it = |stay: &&mut Stay| {
                stay.drg == *group && ones.contains(&Known::of(stay, true).alone())
            };
            world.hospitals[0].iter_mut().find(is_it).unwrap().cost_cents = GIANT_CENTS;
        }
        world
    }

    /// How many patients of the first hospital meet each person's conditions.
    fn alike(&self) -> BTreeMap<String, usize> {
        let mut alike = BTreeMap::new();
        for stay in &self.hospitals[0] {
            *alike.entry(Known::of(stay, true).alone()).or_default() += 1;
        }
        alike
    }

    /// Patients of the first hospital to whom nobody else is like; giants first, and one of each group first.
    pub(super) fn targets(&self, count: usize) -> Vec<Known> {
        let alike = self.alike();
        let mut all: Vec<Known> =
            self.hospitals[0].iter().map(|stay| Known::of(stay, true)).collect();
        all.retain(|one| alike[&one.alone()] == 1);
        all.shuffle(&mut self.rng.clone());
        let is_giant = |one: &Known| one.cost * 100.0 >= GIANT_CENTS as f64;
        all.sort_by_key(|one| !is_giant(one));
        // Some of each group before others of it.
        let mut seen: Vec<&str> = Vec::new();
        let is_again = |one: &Known| {
            let again = seen.contains(&one.drg);
            seen.push(one.drg);
            again
        };
        all.sort_by_cached_key(is_again);
        all.truncate(count);
        all
    }

    /// Persons to whom no other patient is like, of whom every second was a patient of the first hospital.
    pub(super) fn candidates(&self, count: usize) -> Vec<Known> {
        let alike = self.alike();
        let patients = self.hospitals[0].iter().map(|stay| Known::of(stay, true));
        let strangers = self.strangers.iter().map(|stay| Known::of(stay, false));
        // In frequent groups, so that the group alone says nothing.
        let is_frequent = |one: &Known| GROUPS[..6].iter().any(|group| group.0 == one.drg);
        let patients = patients.filter(|one| alike[&one.alone()] == 1 && is_frequent(one));
        let strangers =
            strangers.filter(|one| !alike.contains_key(&one.alone()) && is_frequent(one));
        let mut all: Vec<Known> =
            patients.take(count / 2).chain(strangers.take(count - count / 2)).collect();
        all.shuffle(&mut self.rng.clone());
        all
    }
}
