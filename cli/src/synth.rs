//! A synthetic region for demonstrations, tests and benchmarks.
//!
//! No record is taken from anywhere: frequencies, costs and stays are invented so that the
//! platform's questions have answers (costs follow group, tier, hospital and severity; length of
//! stay goes with cost; persons come back), and three things are wrong on purpose, see
//! [`Anomalies`]. A region can also be made without differences, or with its groups divided. The layout is that of the node's `synthetic` mapping.
//!
//! Guarantees: the same parameters give the same bytes on every machine with the same math
//! library; each hospital has its own random stream, so its file can be written alone or in
//! parallel; money is whole cents, fee classes add up to the total charge exactly, and fund plus
//! self-payment too. Left out: dirty rows, persons who visit two hospitals, newborns.

mod groups;
mod stay;
mod write;

use std::io::{self, Write};

use num_traits::ToPrimitive as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal};
use serde::{Deserialize, Serialize};

pub use groups::{all_drg_names, drg_names};
pub use write::DRG_SCHEME;

use self::stay::Maker;

/// Bytes collected before they are handed to the writer.
const CHUNK_BYTES: usize = 256 << 10;
/// Streams of the generator: 0 allocates stays, hospital `i` uses `i + 1`.
const ALLOCATION: u64 = 0;

/// What region to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthParams {
    /// Number of hospitals, 1 to 999.
    pub hospitals: u16,
    /// Stays in the whole region; every hospital has at least one.
    pub stays: u64,
    /// Same seed, same bytes.
    pub seed: u64,
    /// Years over which the stays are spread; the last is 2024.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub years: u16,
    /// Groups into which each group is divided; 1 leaves them whole.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub subgroups: u16,
    /// Hospitals of a tier do not differ, and nothing is wrong anywhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alike: bool,
}

const fn one() -> u16 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_one(count: &u16) -> bool {
    *count == one()
}

/// One hospital of the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthHospital {
    /// Position in the region, from 0.
    pub number: u16,
    /// `h-001` and so on.
    pub id: String,
    /// English name.
    pub name: String,
    /// Chinese name.
    pub name_zh: String,
    /// tertiary, secondary or primary.
    pub tier: &'static str,
    /// County or district.
    pub county: &'static str,
    /// Stays in its file.
    pub stays: u64,
}

/// Ids of the hospitals where something is wrong on purpose. A region of fewer than three
/// hospitals has several at one hospital.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomalies {
    /// Consumables are 45 % of the charge of appendectomies, elsewhere 30 %, and the charge is
    /// a third higher.
    pub consumables: String,
    /// Stroke patients stay half as long again.
    pub long_stays: String,
    /// Twice as many stays are coded with major complications.
    pub upcoding: String,
}

const TIERS: [&str; 3] = ["tertiary", "secondary", "primary"];
/// Mean size of a hospital by tier.
const SIZES: [f64; 3] = [6.0, 2.0, 0.7];
const COUNTIES: [(&str, &str); 8] = [
    ("Donghu", "东湖"),
    ("Xishan", "西山"),
    ("Nanling", "南岭"),
    ("Beihe", "北河"),
    ("Qingyuan", "清源"),
    ("Baiyun", "白云"),
    ("Longtan", "龙潭"),
    ("Fenghuang", "凤凰"),
];
const KINDS: [(&str, &str); 3] = [
    ("General Hospital", "总医院"),
    ("People's Hospital", "人民医院"),
    ("Health Centre", "中心卫生院"),
];

/// Number of tertiary and secondary hospitals: a fifth and two fifths.
fn tiers(hospitals: u16) -> (u16, u16) {
    let tertiary = ((hospitals + 2) / 5).max(1);
    let secondary = ((2 * hospitals + 2) / 5).min(hospitals - tertiary);
    (tertiary, secondary)
}

fn stream(params: &SynthParams, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(params.seed);
    rng.set_stream(stream);
    rng
}

/// The hospitals of a region, tertiary ones first.
#[must_use]
pub fn hospitals(params: &SynthParams) -> Vec<SynthHospital> {
    let count = params.hospitals.clamp(1, 999);
    let (tertiary, secondary) = tiers(count);
    let mut rng = stream(params, ALLOCATION);
    let tier = |number: u16| match number {
        n if n < tertiary => 0,
        n if n < tertiary + secondary => 1,
        _ => 2,
    };
    let weights: Vec<f64> =
        (0..count).map(|number| SIZES[tier(number)] * rng.random_range(0.7..1.4)).collect();
    let total: f64 = weights.iter().sum();
    let spread = params.stays.saturating_sub(u64::from(count));
    let mut stays: Vec<u64> = weights
        .iter()
        .map(|w| 1 + (spread.to_f64().unwrap_or(0.0) * w / total).floor().to_u64().unwrap_or(0))
        .collect();
    // Rounding down leaves less than one stay for each hospital; the first ones take them.
    let rest = params.stays.saturating_sub(stays.iter().sum());
    for (_, stays) in (0..rest).zip(stays.iter_mut()) {
        *stays += 1;
    }
    let make = |(number, stays): (u16, u64)| {
        let (county, county_zh) = COUNTIES[usize::from(number) % COUNTIES.len()];
        let (kind, kind_zh) = KINDS[tier(number)];
        SynthHospital {
            number,
            id: format!("h-{:03}", number + 1),
            name: format!("{county} {kind} No. {}", number + 1),
            name_zh: format!("{county_zh}第{}{kind_zh}", number + 1),
            tier: TIERS[tier(number)],
            county,
            stays,
        }
    };
    (0..count).zip(stays).map(make).collect()
}

/// What is wrong where; nowhere when hospitals are alike.
#[must_use]
pub fn anomalies(params: &SynthParams) -> Anomalies {
    if params.alike {
        let nowhere = String::new;
        return Anomalies { consumables: nowhere(), long_stays: nowhere(), upcoding: nowhere() };
    }
    let count = params.hospitals.clamp(1, 999);
    let (tertiary, _) = tiers(count);
    let id = |offset: u16| format!("h-{:03}", (tertiary + offset) % count + 1);
    Anomalies { consumables: id(0), long_stays: id(1), upcoding: id(2) }
}

/// Writes one hospital's CSV.
///
/// # Errors
/// When the writer fails.
pub fn write_csv(
    hospital: &SynthHospital,
    params: &SynthParams,
    mut writer: impl Write,
) -> io::Result<()> {
    let mut rng = stream(params, u64::from(hospital.number) + 1);
    // A normal distribution with a finite, positive deviation exists.
    let effect = Normal::new(0.0, 0.08).map_or(1.0, |n: Normal<f64>| n.sample(&mut rng).exp());
    let effect = if params.alike { 1.0 } else { effect };
    let maker = Maker::new(hospital, &anomalies(params), effect, rng);
    let mut maker = maker.over(params.years).divided(params.subgroups);
    let mut buffer = Vec::with_capacity(CHUNK_BYTES + 4_096);
    write::header(&mut buffer);
    for number in 0..hospital.stays {
        let stay = maker.next_stay(number);
        write::row(&mut buffer, hospital, &stay);
        if buffer.len() >= CHUNK_BYTES {
            writer.write_all(&buffer)?;
            buffer.clear();
        }
    }
    writer.write_all(&buffer)?;
    writer.flush()
}

/// Makes the whole region: `sink` gives a writer for each hospital.
///
/// # Errors
/// When a writer cannot be had or fails.
pub fn generate<W: Write>(
    params: &SynthParams,
    mut sink: impl FnMut(&SynthHospital) -> io::Result<W>,
) -> io::Result<Vec<SynthHospital>> {
    let hospitals = hospitals(params);
    for hospital in &hospitals {
        write_csv(hospital, params, sink(hospital)?)?;
    }
    Ok(hospitals)
}

#[cfg(test)]
mod tests;
