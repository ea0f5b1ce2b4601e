//! A benchmark as a region of fifty hospitals would have it, without a region.

use model::casemix::benchmark::{Basis, Benchmark, Best, Bounded, GroupRow, HospitalRow, Share};

pub(super) const GROUPS: u32 = 60;
pub(super) const HOSPITALS: u32 = 50;
/// The group of which only the number of stays was released.
pub(super) const SILENT: u32 = 11;

const TIERS: [&str; 3] = ["tertiary", "secondary", "primary"];
const NAMES: [(&str, &str); 12] = [
    ("Appendectomy without complications", "阑尾切除术，不伴合并症与并发症"),
    ("Percutaneous coronary intervention with stent", "经皮冠状动脉支架植入术"),
    ("Ischaemic stroke", "脑缺血性疾患"),
    ("Pneumonia with major complications", "肺炎，伴严重合并症与并发症"),
    ("Vaginal delivery", "阴道分娩"),
    ("Caesarean section", "剖宫产术"),
    ("Hip or knee replacement", "髋、膝关节置换术"),
    ("Chronic obstructive pulmonary disease", "慢性气道阻塞病"),
    (
        "Heart failure and shock, with complications and comorbidities",
        "心力衰竭、休克，伴合并症与并发症",
    ),
    ("Laparoscopic cholecystectomy", "腹腔镜胆囊切除术"),
    ("Chemotherapy of malignant neoplasms", "恶性增生性疾患的化学治疗"),
    ("Diabetes", "糖尿病"),
];
/// Parts in a thousand of a charge.
const PARTS: [(&str, f64); 15] = [
    ("bed", 45.0),
    ("nursing", 45.0),
    ("medical_service", 50.0),
    ("examination", 45.0),
    ("laboratory", 110.0),
    ("imaging", 80.0),
    ("treatment", 80.0),
    ("surgery", 100.0),
    ("anaesthesia", 35.0),
    ("western_drug", 190.0),
    ("chinese_drug", 30.0),
    ("blood", 8.0),
    ("consumable", 150.0),
    ("rehabilitation", 14.0),
    ("other", 18.0),
];

/// Numbers in 0..1 that are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = u32::try_from(self.0 >> 32).unwrap();
        f64::from(high) / f64::from(u32::MAX)
    }

    /// About a standard normal.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.roll()).sum::<f64>() - 6.0
    }
}

pub(super) fn benchmark() -> Benchmark {
    let mut dice = Dice(20_240_101);
    Benchmark {
        region: "east".into(),
        scheme: "chs-drg@2.0".into(),
        period: "2024Q1".into(),
        tier: String::new(),
        measure: "charge".into(),
        trim: "multiple".into(),
        parameters: "national@2024.1".into(),
        hospitals_answered: (50, 52),
        coverage: (Some(0.9874), Some(0.9312)),
        withheld: (7, 412),
        groups: (0..GROUPS).map(|index| group(index, &mut dice)).collect(),
        hospitals: (0..HOSPITALS).map(|index| hospital(index, &mut dice)).collect(),
    }
}

fn group(index: u32, dice: &mut Dice) -> GroupRow {
    let (en, zh) = NAMES[usize::try_from(index).unwrap() % NAMES.len()];
    let mean = 11_000.0 * (dice.normal() * 0.75).exp();
    let spread = 0.3 + 0.5 * dice.roll();
    // Group 7 has a mean but no percentiles.
    let (told, known) = (index != 7 && index != SILENT, index != SILENT);
    let at = |z: f64| {
        let value = mean * (spread * z - spread * spread / 2.0).exp();
        told.then_some(Bounded {
            value,
            error: if index.is_multiple_of(3) { value * 0.01 } else { 0.0 },
        })
    };
    let letter = char::from(b'A' + u8::try_from(index % 26).unwrap());
    let stays = 9_000.0 * (-0.07 * f64::from(index)).exp();
    GroupRow {
        drg_code: format!(
            "{letter}{}{}{}",
            ["B", "R", "D"][usize::try_from(index % 3).unwrap()],
            1 + index % 4,
            1 + 2 * (index % 3)
        ),
        name: (index % 17 != 16).then(|| (en.to_owned(), zh.to_owned())),
        stays: format!("{stays:.0}").parse().unwrap(),
        hospitals: u64::from(50 - index / 3),
        mean: known.then_some(mean),
        sd: known.then_some(mean * spread),
        cv: known.then_some(spread),
        geometric_mean: told.then_some(mean * (-spread * spread / 2.0).exp()),
        percentiles: [-1.2816, -0.6745, 0.0, 0.6745, 1.2816].map(at),
        relative_weight: known.then_some(mean / 11_800.0),
        weight_basis: match index {
            SILENT => Basis::None,
            _ if index % 19 == 18 => Basis::Adjacent,
            _ => Basis::Own,
        },
        trimmed_stays: (index % 4 != 3).then_some(u64::from(40 - index / 2)),
        los_mean: known.then_some(3.0 + mean / 2_500.0),
        los_median: told.then_some(Bounded { value: (3.0 + mean / 2_900.0).round(), error: 0.0 }),
        los_geometric_mean: known.then_some(2.6 + mean / 2_600.0),
        death_rate: (index % 5 != 4).then_some(0.03 * dice.roll()),
        composition: if known { composition(index, dice) } else { Vec::new() },
        best: if known { best(mean, dice) } else { Vec::new() },
    }
}

fn composition(index: u32, dice: &mut Dice) -> Vec<Share> {
    let weights: Vec<f64> =
        PARTS.iter().map(|(_, part)| part * (0.4 + 1.2 * dice.roll())).collect();
    let sum: f64 = weights.iter().sum();
    // Of every fifth group two classes were withheld.
    let kept = if index % 5 == 2 { 13 } else { 15 };
    let shares = PARTS.iter().zip(&weights).take(kept);
    let mut shares: Vec<_> = shares
        .map(|((class, _), weight)| Share { class: (*class).to_owned(), share: weight / sum })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

fn best(mean: f64, dice: &mut Dice) -> Vec<Best> {
    let best = TIERS.iter().enumerate().map(|(index, tier)| Best {
        tier: (*tier).to_owned(),
        hospital_id: format!("H{:03}", 1 + 16 * index),
        mean: mean * (0.7 + 0.15 * dice.roll()),
        stays: 40,
    });
    best.collect()
}

fn hospital(index: u32, dice: &mut Dice) -> HospitalRow {
    let tier = match index {
        0..12 => TIERS[0],
        12..36 => TIERS[1],
        _ => TIERS[2],
    };
    let cost = 1.0 + 0.11 * dice.normal();
    let time = 1.0 + 0.5 * (cost - 1.0) + 0.08 * dice.normal();
    let known = index != 47;
    let cmi = 0.75 + 0.5 * dice.roll();
    let size = if index < 12 { 6_000.0 } else { 1_800.0 };
    let stays: u64 = format!("{:.0}", size * (0.3 + dice.roll())).parse().unwrap();
    let weight = cmi * stays.to_string().parse::<f64>().unwrap();
    HospitalRow {
        hospital_id: format!("H{:03}", index + 1),
        tier: tier.to_owned(),
        stays,
        grouping_rate: Some(0.96 + 0.04 * dice.roll()),
        cmi: known.then_some(cmi),
        total_weight: known.then_some(weight),
        cost_index: known.then_some(cost),
        cost_index_mean_ratio: known.then_some(cost + 0.01 * dice.normal()),
        time_index: known.then_some(time),
        time_index_mean_ratio: known.then_some(time + 0.01 * dice.normal()),
        share_above: known.then_some((cost - 0.8).clamp(0.0, 1.0)),
        share_below: known.then_some((1.1 - cost).clamp(0.0, 1.0)),
        alerts: u64::from(index % 6),
    }
}
