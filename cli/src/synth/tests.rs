use std::collections::BTreeMap;

use super::*;

const PARAMS: SynthParams =
    SynthParams { hospitals: 10, stays: 40_000, seed: 7, years: 1, subgroups: 1, alike: false };

fn bytes(hospital: &SynthHospital, params: &SynthParams) -> Vec<u8> {
    let mut out = Vec::new();
    write_csv(hospital, params, &mut out).unwrap();
    out
}

fn cents(text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    let (yuan, cents) = text.split_once('.').unwrap();
    assert_eq!(cents.len(), 2);
    yuan.parse::<u64>().unwrap() * 100 + cents.parse::<u64>().unwrap()
}

/// Sums over one group at one hospital.
#[derive(Debug, Default)]
struct Sums {
    stays: f64,
    days: f64,
    charge: f64,
    consumable: f64,
    major: f64,
    persons: std::collections::BTreeSet<String>,
}

fn sums(hospital: &SynthHospital) -> BTreeMap<String, Sums> {
    let text = bytes(hospital, &PARAMS);
    let mut reader = csv::Reader::from_reader(&text[..]);
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|h| h == name).unwrap();
    let fees: Vec<usize> = stay::FEES.iter().map(|fee| at(&format!("fee_{fee}"))).collect();
    let mut groups: BTreeMap<String, Sums> = BTreeMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        let charge = cents(&record[at("total_charge")]);
        let parts: u64 = fees.iter().map(|fee| cents(&record[*fee])).sum();
        assert_eq!(parts, charge, "fee classes add up");
        let paid = cents(&record[at("fund_paid")]) + cents(&record[at("self_paid")]);
        assert_eq!(paid, charge);
        assert!(record[at("discharged_at")] >= record[at("admitted_at")], "{record:?}");
        assert!(record[at("discharged_at")].starts_with("2024-"), "{record:?}");
        let number = |text: &str| text.parse::<f64>().unwrap();
        let yuan = |cents: u64| cents.to_f64().unwrap() / 100.0;
        for key in [&record[at("adrg_code")], ""] {
            let sums = groups.entry(key.to_owned()).or_default();
            sums.stays += 1.0;
            sums.days += number(&record[at("los_days")]);
            sums.charge += yuan(charge);
            sums.consumable += yuan(cents(&record[at("fee_consumable")]));
            sums.major += f64::from(u8::from(&record[at("severity")] == "mcc"));
            sums.persons.insert(record[at("person_id")].to_owned());
        }
    }
    groups
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let region = hospitals(&PARAMS);
    assert_eq!(region.len(), 10);
    assert_eq!(region.iter().map(|h| h.stays).sum::<u64>(), PARAMS.stays);
    let small = &region[9];
    assert_eq!(bytes(small, &PARAMS), bytes(small, &PARAMS));
    let other = SynthParams { seed: 8, ..PARAMS };
    assert_ne!(
        bytes(small, &PARAMS),
        bytes(&SynthHospital { stays: small.stays, ..small.clone() }, &other)
    );
    let lines = bytes(small, &PARAMS).iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(u64::try_from(lines).unwrap(), small.stays + 1);
    let tertiary: u64 = region.iter().filter(|h| h.tier == "tertiary").map(|h| h.stays).sum();
    assert!(tertiary * 2 > PARAMS.stays * 4 / 5, "{region:?}");
    let mut seen = Vec::new();
    let made = generate(
        &SynthParams { hospitals: 2, stays: 50, seed: 1, years: 1, subgroups: 1, alike: false },
        |hospital| {
            seen.push(hospital.id.clone());
            Ok(io::sink())
        },
    );
    assert_eq!(made.unwrap().len(), 2);
    assert_eq!(seen, ["h-001", "h-002"]);
}

#[test]
fn sums_are_exact_and_exactly_the_planted_anomalies_are_there() {
    let wrong = anomalies(&PARAMS);
    let region = hospitals(&PARAMS);
    let all: Vec<_> = region.iter().map(|hospital| (hospital, sums(hospital))).collect();
    let total = |key: &str, of: fn(&Sums) -> f64, but: &str| -> f64 {
        let others = all.iter().filter(|(hospital, _)| hospital.id != but);
        others.filter_map(|(_, groups)| groups.get(key)).map(of).sum()
    };
    for (hospital, groups) in &all {
        let Some(appendix) = groups.get(groups::APPENDECTOMY) else { continue };
        let share = appendix.consumable / appendix.charge;
        let expected = if hospital.id == wrong.consumables { 0.45 } else { 0.30 };
        assert!((share - expected).abs() < 0.02, "{}: {share}", hospital.id);
    }
    let find = |id: &str| &all.iter().find(|(hospital, _)| hospital.id == id).unwrap().1;
    let stroke = &find(&wrong.long_stays)[groups::STROKE];
    let usual = total(groups::STROKE, |s| s.days, &wrong.long_stays)
        / total(groups::STROKE, |s| s.stays, &wrong.long_stays);
    assert!(stroke.days / stroke.stays > 1.3 * usual, "{stroke:?} {usual}");
    let coded = &find(&wrong.upcoding)[""];
    let tier = region.iter().find(|hospital| hospital.id == wrong.upcoding).unwrap().tier;
    for (hospital, groups) in &all {
        if hospital.tier == tier && hospital.id != wrong.upcoding {
            let usual = groups[""].major / groups[""].stays;
            assert!(coded.major / coded.stays > 1.6 * usual, "{}: {usual}", hospital.id);
        }
    }
    let everyone = &all[0].1[""];
    let persons = everyone.persons.len().to_f64().unwrap();
    assert!(persons < 0.95 * everyone.stays && persons > 0.5 * everyone.stays, "people come back");
    assert_eq!(drg_names().len(), 68);
    assert!(drg_names().contains(&("GD19".into(), "appendectomy".into(), "阑尾切除术".into())));
}

#[test]
fn the_nodes_mapping_takes_every_row() {
    use node::ingest::{IngestRequest, run};

    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("h-001.csv");
    let params =
        SynthParams { hospitals: 1, stays: 3_000, seed: 3, years: 1, subgroups: 1, alike: false };
    generate(&params, |_| std::fs::File::create(&source)).unwrap();
    let request = IngestRequest {
        source,
        mapping: "synthetic".into(),
        hospital: model::manifest::HospitalRecord {
            id: "h-001".parse().unwrap(),
            tier: "tertiary".into(),
            county: "Donghu".into(),
        },
        data_dir: folder.path().join("data"),
        key_file: folder.path().join("key"),
        encoding: None,
        dip_list: None,
        accuracy_floor: 1.0,
        now: std::time::UNIX_EPOCH,
        threads: 2,
    };
    let report = run(&request, &mut |_| {}).unwrap();
    let manifest = &report.manifest;
    assert_eq!((manifest.quality.read, manifest.stays()), (3_000, 3_000));
    assert_eq!(manifest.quality.by_rule, BTreeMap::new());
    assert!(manifest.persons < 3_000 && manifest.persons > 2_000);
    for (table, least) in [("diagnosis", 6_000), ("procedure", 1_500), ("fee", 30_000)] {
        assert!(manifest.tables[table].rows > least, "{table}: {:?}", manifest.tables[table]);
    }
}
