//! One synthetic stay after another.

use num_traits::ToPrimitive as _;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::groups::{ADRGS, APPENDECTOMY, Adrg, Kind, STROKE};
use super::{Anomalies, SynthHospital};

/// The fee classes, in the order of the governed data model.
pub(super) const FEES: [&str; 15] = [
    "bed",
    "nursing",
    "medical_service",
    "examination",
    "laboratory",
    "imaging",
    "treatment",
    "surgery",
    "anaesthesia",
    "western_drug",
    "chinese_drug",
    "blood",
    "consumable",
    "rehabilitation",
    "other",
];
const CONSUMABLE: usize = 12;
/// Parts in a thousand of the charge, by class.
const SURGICAL: [u32; 15] = [40, 40, 40, 30, 90, 70, 60, 170, 60, 180, 10, 20, 170, 10, 10];
const MEDICAL: [u32; 15] = [60, 60, 60, 60, 160, 110, 110, 0, 0, 290, 40, 0, 70, 20, 20];
const PROCEDURAL: [u32; 15] = [30, 30, 40, 50, 90, 60, 60, 130, 20, 120, 10, 0, 340, 10, 10];
/// Appendectomy: consumables are 30 %.
const APPENDIX: [u32; 15] = [40, 40, 40, 20, 90, 60, 50, 160, 60, 120, 10, 0, 300, 0, 10];
/// Appendectomy at the hospital with the consumables: 45 %.
const APPENDIX_DEAR: [u32; 15] = [31, 31, 31, 16, 71, 47, 39, 126, 47, 95, 8, 0, 450, 0, 8];
/// Each subgroup is dearer than the one before by one part in so many.
const SUBGROUP_STEPS: u64 = 25;
const DEAR_FACTOR: f64 = 4.0 / 3.0;
const LONG_FACTOR: f64 = 1.5;

/// Last day of the year 2024, counted from 0.
const LAST_DAY: i64 = 365;
/// Days of a year before 2024; that 2020 had one more does not matter here.
const YEAR_DAYS: i64 = 365;
/// Persons who may come back.
const RECENT: usize = 2_048;
const MAX_DAYS: i64 = 180;
const SECONDARY: [&str; 16] = [
    "I10", "E11.9", "I25.1", "J44.9", "N18.3", "I48.9", "E78.5", "K21.9", "D64.9", "I50.9",
    "E87.6", "J96.0", "N39.0", "F41.9", "M81.0", "Z95.5",
];
const EXTRA_PROCEDURES: [&str; 6] = ["38.93", "96.04", "88.72", "87.41", "45.13", "99.04"];
pub(super) const SEVERITIES: [&str; 3] = ["none", "cc", "mcc"];

/// A person who was here before.
#[derive(Debug, Clone, Copy)]
struct Person {
    number: u64,
    female: bool,
    age: i32,
    payer: &'static str,
    adrg: usize,
    discharged: i64,
}

/// One stay; amounts in cents, days counted from 2024-01-01.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) number: u64,
    pub(super) person: u64,
    pub(super) adrg: &'static Adrg,
    pub(super) subgroup: u16,
    pub(super) severity: usize,
    pub(super) admitted: i64,
    pub(super) admitted_minute: u32,
    pub(super) discharged: i64,
    pub(super) discharged_minute: u32,
    pub(super) days: i64,
    pub(super) age: i32,
    pub(super) female: bool,
    pub(super) payer: &'static str,
    pub(super) route: &'static str,
    pub(super) disposition: &'static str,
    pub(super) died: bool,
    pub(super) icu_hours: u32,
    pub(super) vent_hours: u32,
    pub(super) diagnosis: &'static str,
    pub(super) procedure: Option<&'static str>,
    pub(super) others: Vec<(&'static str, bool)>,
    pub(super) extra: Vec<&'static str>,
    pub(super) mortality_risk: &'static str,
    pub(super) readmit_planned: bool,
    pub(super) referred_in: &'static str,
    pub(super) referred_out: &'static str,
    pub(super) charge: u64,
    pub(super) cost: u64,
    pub(super) fund: u64,
    pub(super) fees: [u64; 15],
}

/// Draws the stays of one hospital.
#[derive(Debug)]
pub(super) struct Maker {
    rng: ChaCha8Rng,
    tier: usize,
    effect: f64,
    dear_consumables: bool,
    long_stays: bool,
    upcodes: bool,
    /// Running totals of the groups' frequencies at this tier.
    cumulated: Vec<u32>,
    recent: Vec<Person>,
    persons: u64,
    first_day: i64,
    subgroups: u16,
}

impl Maker {
    pub(super) fn new(
        hospital: &SynthHospital,
        anomalies: &Anomalies,
        effect: f64,
        rng: ChaCha8Rng,
    ) -> Self {
        let tier = super::TIERS.iter().position(|tier| *tier == hospital.tier).unwrap_or(1);
        let mut total = 0;
        let cumulated = ADRGS.iter().map(|adrg| {
            total += frequency(adrg, tier);
            total
        });
        Self {
            tier,
            effect,
            dear_consumables: hospital.id == anomalies.consumables,
            long_stays: hospital.id == anomalies.long_stays,
            upcodes: hospital.id == anomalies.upcoding,
            cumulated: cumulated.collect(),
            recent: Vec::with_capacity(RECENT),
            persons: 0,
            first_day: 0,
            subgroups: 1,
            rng,
        }
    }

    /// Spreads the stays over so many years, the last being 2024.
    pub(super) fn over(self, years: u16) -> Self {
        Self { first_day: -YEAR_DAYS * (i64::from(years.max(1)) - 1), ..self }
    }

    /// Divides each group into so many, each a little dearer than the one before.
    pub(super) fn divided(self, subgroups: u16) -> Self {
        Self { subgroups: subgroups.max(1), ..self }
    }

    pub(super) fn next_stay(&mut self, number: u64) -> Stay {
        let back = self.comes_back();
        let (person, admitted) = back.unwrap_or_else(|| self.newcomer());
        let adrg = &ADRGS[person.adrg];
        let severity = self.severity(person.age);
        let length: f64 = self.rng.sample(StandardNormal);
        let (days, discharged) = self.length(adrg, severity, length, admitted);
        let admitted = discharged - days.max(0);
        let subgroup = self.subgroup();
        let charge = self.charge(adrg, severity, length);
        let charge = charge * (SUBGROUP_STEPS + u64::from(subgroup)) / SUBGROUP_STEPS;
        let fees = self.fees(adrg, charge);
        let ratio = self.rng.random_range(780..960_u64);
        let fund_share = self.fund_share(person.payer);
        let died = self.dies(adrg, severity, person.age);
        let critical = severity == 2 && self.rng.random_bool(0.4);
        let icu_hours = if critical { self.rng.random_range(6..160) } else { 0 };
        let vent_hours = if critical { self.rng.random_range(0..=icu_hours) } else { 0 };
        let referred_out = self.referred_out(severity);
        let stay = Stay {
            number,
            person: person.number,
            adrg,
            subgroup,
            severity,
            admitted,
            admitted_minute: self.rng.random_range(0..720),
            discharged,
            discharged_minute: self.rng.random_range(720..1_440),
            days: days.max(1),
            age: person.age,
            female: person.female,
            payer: person.payer,
            route: self.pick(&["emergency", "outpatient", "outpatient", "transfer", "other"]),
            disposition: self.disposition(died, referred_out),
            died,
            icu_hours,
            vent_hours,
            diagnosis: self.pick(adrg.diagnoses),
            procedure: self.procedure(adrg),
            others: self.others(severity),
            extra: self.extra(severity),
            mortality_risk: self.mortality_risk(severity, person.age),
            readmit_planned: adrg.code == "RE1" && self.rng.random_bool(0.8),
            referred_in: self.referred_in(),
            referred_out,
            charge,
            cost: charge * ratio / 1_000,
            fund: charge * fund_share / 100,
            fees,
        };
        self.remember(Person { discharged, ..person }, died);
        stay
    }

    /// Drawn only where there is a choice, so that undivided regions keep their bytes.
    fn subgroup(&mut self) -> u16 {
        if self.subgroups == 1 { 0 } else { self.rng.random_range(0..self.subgroups) }
    }

    fn pick(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.rng.random_range(0..choices.len())]
    }

    fn newcomer(&mut self) -> (Person, i64) {
        let total = self.cumulated.last().copied().unwrap_or(1);
        let ticket = self.rng.random_range(0..total);
        let adrg = self.cumulated.partition_point(|end| *end <= ticket);
        let spread: f64 = self.rng.sample(StandardNormal);
        let age = (ADRGS[adrg].age + 13.0 * spread).round().clamp(0.0, 99.0);
        let age = age.to_i32().unwrap_or(50);
        let women = ["N", "O", "J"].iter().any(|mdc| ADRGS[adrg].code.starts_with(mdc));
        let female = women || self.rng.random_bool(0.47);
        let age = if ADRGS[adrg].code.starts_with('O') { age.clamp(17, 47) } else { age };
        let payer = self.pick(&[
            "employee",
            "employee",
            "employee",
            "employee",
            "resident",
            "resident",
            "resident",
            "resident",
            "self",
            "commercial",
        ]);
        self.persons += 1;
        let person = Person { number: self.persons, female, age, payer, adrg, discharged: 0 };
        (person, self.rng.random_range(self.first_day..=LAST_DAY))
    }

    /// A quarter of stays are of someone who was here before, a third of these within 31 days.
    fn comes_back(&mut self) -> Option<(Person, i64)> {
        if self.recent.is_empty() || !self.rng.random_bool(0.25) {
            return None;
        }
        let place = self.rng.random_range(0..self.recent.len());
        let person = self.recent[place];
        let gap = if self.rng.random_bool(0.35) {
            self.rng.random_range(1..=31)
        } else {
            self.rng.random_range(32..200)
        };
        let admitted = person.discharged + gap;
        (admitted < LAST_DAY).then_some((person, admitted))
    }

    fn remember(&mut self, person: Person, died: bool) {
        let known = self.recent.iter().position(|other| other.number == person.number);
        match (known, died) {
            (Some(place), true) => {
                self.recent.swap_remove(place);
            }
            (Some(place), false) => self.recent[place] = person,
            (None, true) => {}
            (None, false) if self.recent.len() < RECENT => self.recent.push(person),
            (None, false) => {
                let place = self.rng.random_range(0..RECENT);
                self.recent[place] = person;
            }
        }
    }

    fn severity(&mut self, age: i32) -> usize {
        let old = f64::from(age.max(20) - 20) / 80.0;
        let heavy_tier = [1.3, 1.0, 0.5][self.tier];
        let factor = if self.upcodes { 2.2 } else { 1.0 };
        let major = (0.04 + 0.12 * old) * heavy_tier * factor;
        let some = 0.16 + 0.22 * old;
        match self.rng.random_range(0.0..1.0) {
            draw if draw < major => 2,
            draw if draw < major + some => 1,
            _ => 0,
        }
    }

    fn length(&mut self, adrg: &Adrg, severity: usize, noise: f64, from: i64) -> (i64, i64) {
        let long = if self.long_stays && adrg.code == STROKE { LONG_FACTOR } else { 1.0 };
        let tier = [1.0, 0.97, 0.92][self.tier];
        let median = adrg.days * long * tier * [1.0, 1.2, 1.55][severity];
        let days = (median * (0.33 * noise).exp()).round().to_i64().unwrap_or(1);
        let days = days.clamp(0, MAX_DAYS);
        (days, (from + days).min(LAST_DAY))
    }

    /// Cents; goes with the length of stay through the shared noise.
    fn charge(&mut self, adrg: &Adrg, severity: usize, length: f64) -> u64 {
        let own: f64 = StandardNormal.sample(&mut self.rng);
        let dear = self.dear_consumables && adrg.code == APPENDECTOMY;
        let dear = if dear { DEAR_FACTOR } else { 1.0 };
        let tier = [1.18, 0.95, 0.76][self.tier];
        let median = adrg.charge * tier * self.effect * dear * [1.0, 1.3, 1.9][severity];
        let yuan = median * (0.3 * (0.55 * length + 0.835 * own)).exp();
        (yuan * 100.0).round().to_u64().unwrap_or(0).max(10_000)
    }

    /// Shares with some noise; what rounding leaves goes to the largest class, so the sum is exact.
    fn fees(&mut self, adrg: &Adrg, charge: u64) -> [u64; 15] {
        let profile = match adrg.kind {
            _ if adrg.code == APPENDECTOMY && self.dear_consumables => &APPENDIX_DEAR,
            _ if adrg.code == APPENDECTOMY => &APPENDIX,
            Kind::Surgical => &SURGICAL,
            Kind::Medical => &MEDICAL,
            Kind::Procedural => &PROCEDURAL,
        };
        let mut weights = [0_u64; 15];
        for (weight, share) in weights.iter_mut().zip(profile) {
            *weight = u64::from(*share) * self.rng.random_range(85..=115);
        }
        let total: u64 = weights.iter().sum();
        let mut fees = weights.map(|weight| charge * weight / total.max(1));
        let rest = charge - fees.iter().sum::<u64>();
        let largest = (0..fees.len()).max_by_key(|class| fees[*class]).unwrap_or(CONSUMABLE);
        fees[largest] += rest;
        fees
    }

    fn fund_share(&mut self, payer: &str) -> u64 {
        match payer {
            "employee" => self.rng.random_range(72..=86),
            "resident" => self.rng.random_range(52..=66),
            "commercial" => self.rng.random_range(45..=60),
            _ => 0,
        }
    }

    fn dies(&mut self, adrg: &Adrg, severity: usize, age: i32) -> bool {
        let base = f64::from(adrg.deaths) / 10_000.0;
        let old = 0.4 + f64::from(age.max(0)) / 80.0;
        let chance = base * [0.5, 1.3, 3.5][severity] * old;
        self.rng.random_bool(chance.clamp(0.0, 0.6))
    }

    fn procedure(&mut self, adrg: &Adrg) -> Option<&'static str> {
        if adrg.procedures.is_empty() { None } else { Some(self.pick(adrg.procedures)) }
    }

    fn others(&mut self, severity: usize) -> Vec<(&'static str, bool)> {
        let count = self.rng.random_range(0..=2) + [0, 1, 3][severity];
        (0..count).map(|_| (self.pick(&SECONDARY), self.rng.random_bool(0.93))).collect()
    }

    fn extra(&mut self, severity: usize) -> Vec<&'static str> {
        let count = if severity == 0 { 0 } else { self.rng.random_range(0..=severity) };
        (0..count).map(|_| self.pick(&EXTRA_PROCEDURES)).collect()
    }

    fn mortality_risk(&mut self, severity: usize, age: i32) -> &'static str {
        let step = severity + usize::from(age >= 75) + usize::from(self.rng.random_bool(0.1));
        ["minor", "moderate", "major", "extreme"][step.min(3)]
    }

    fn disposition(&mut self, died: bool, referred_out: &str) -> &'static str {
        match referred_out {
            _ if died => "died",
            "none" => {
                self.pick(&["home", "home", "home", "home", "home", "home", "against advice"])
            }
            _ => "transferred",
        }
    }

    /// Heavy tiers receive from below, light ones from above.
    fn referred_in(&mut self) -> &'static str {
        let chance = [0.12, 0.05, 0.06][self.tier];
        match (self.rng.random_bool(chance), self.tier) {
            (false, _) => "none",
            (true, 0 | 1) => "up",
            (true, _) => "down",
        }
    }

    fn referred_out(&mut self, severity: usize) -> &'static str {
        let chance = [0.06, 0.04 + 0.03 * [0.0, 1.0, 2.0][severity], 0.05][self.tier];
        match (self.rng.random_bool(chance), self.tier) {
            (false, _) => "none",
            (true, 0) => "down",
            (true, _) => "up",
        }
    }
}

/// Small hospitals do few operations and many simple medical cases.
fn frequency(adrg: &Adrg, tier: usize) -> u32 {
    let per_mille = match (adrg.kind, adrg.charge > 20_000.0) {
        (_, true) => [1_400, 500, 60][tier],
        (Kind::Medical, false) => [900, 1_050, 1_250][tier],
        (_, false) => [900, 1_150, 800][tier],
    };
    adrg.weight * per_mille / 100 + 1
}
