//! Receipts, rosters, models and lists as their makers write them; logs and files as they are stored.

use std::collections::BTreeMap;

use learn::boost::{Ensemble, FeatureCard, NodeCard};
use learn::card::{CARD_FORMAT, Card, CoefficientCard, DesignCard, FitCard, ProvenanceCard};
use learn::design::{Design, Levels};
use learn::formula::Formula;
use model::casemix::catalogue::{DipGroup, DipList, DipPart, DipSource, DipSplit, LIST_FORMAT};
use model::casemix::combination::dip_code;
use model::casemix::parameters::SHIPPED;
use privacy::Policy;
use privacy::sign::hex;
use privacy::sketch::{Mark, Sketch};
use query::pack::Pack;

use super::Seed;
use crate::hospital::engine;
use crate::parties::parties;
use crate::records::{DECIDED, month, records};

fn file(kind: u8, name: &str, bytes: &[u8]) -> Seed {
    Seed::of("receipts", kind, name, bytes)
}

fn stored(kind: u8, name: &str, bytes: &[u8]) -> Seed {
    Seed::of("logs", kind, name, bytes)
}

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = written();
    seeds.extend(logs());
    seeds
}

/// What a receiver reads.
fn written() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for receipt in &records().receipts {
        let name = receipt.index.to_string();
        seeds.push(file(b'r', &name, receipt.to_json().unwrap().as_bytes()));
        seeds.push(file(b'k', &name, &receipt.checkpoint.to_bytes()));
    }
    seeds.push(file(b's', "roster", &parties().signed_roster.to_bytes()));
    for (name, card) in [("terms", terms()), ("trees", trees())] {
        seeds.push(file(b'm', name, &serde_json::to_vec(&card).unwrap()));
    }
    seeds.push(file(b'd', "list", &serde_json::to_vec(&dip_list()).unwrap()));
    let engine = engine(Policy::answering());
    seeds.push(file(b'i', "manifest", &serde_json::to_vec(engine.manifest()).unwrap()));
    let packs = Pack::shipped().iter();
    seeds.extend(packs.map(|pack| file(b'p', pack.name(), pack.text().as_bytes())));
    seeds.push(file(b'u', "rules", SHIPPED.as_bytes()));
    seeds
}

const FORMULA: &str = "died ~ sex + log(los_days) + sex:age_years";

fn design() -> DesignCard {
    let formula = Formula::parse(FORMULA).unwrap();
    let names = ["F", "M", "OTHER"].map(str::to_owned).to_vec();
    let sexes = Levels { names, reference: "F".to_owned(), text: true };
    let levels: BTreeMap<_, _> = [("sex".to_owned(), sexes)].into();
    let design = Design::new(&formula, &levels).unwrap();
    DesignCard::new(&formula, &design, &levels, &BTreeMap::new())
}

/// Columns and what they are or go through.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A model with coefficients.
fn terms() -> Card {
    let (m, other) = (("sex", "M"), ("sex", "OTHER"));
    let columns: [(&str, Pairs<'_>, Pairs<'_>); 7] = [
        ("(Intercept)", &[], &[]),
        ("sex=M", &[m], &[]),
        ("sex=OTHER", &[other], &[]),
        ("log(los_days)", &[], &[("los_days", "log")]),
        ("sex=F:age_years", &[("sex", "F")], &[("age_years", "identity")]),
        ("sex=M:age_years", &[m], &[("age_years", "identity")]),
        ("sex=OTHER:age_years", &[other], &[("age_years", "identity")]),
    ];
    let owned =
        |pairs: Pairs<'_>| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let coefficients = columns.iter().map(|(name, levels, numbers)| CoefficientCard {
        name: (*name).to_owned(),
        levels: owned(levels),
        numbers: owned(numbers),
        estimate: 0.1,
        standard_error: 0.01,
        robust_standard_error: Some(0.012),
        clustered_standard_error: None,
        z: 10.0,
        p: 1e-23,
        lower: 0.08,
        upper: 0.12,
    });
    Card {
        format: CARD_FORMAT,
        name: "deaths".to_owned(),
        created_at: "2026-11-21T08:30:00Z".to_owned(),
        asker: "ana".to_owned(),
        formula: FORMULA.to_owned(),
        family: "binomial".to_owned(),
        link: "logit".to_owned(),
        condition: "drg_code = '039'".to_owned(),
        ridge: 1.0,
        firth: false,
        weight: String::new(),
        design: design(),
        coefficients: coefficients.collect(),
        // Numbers that need all their digits.
        covariance: (1..=49).map(|n| f64::from(n).sqrt() * 1e-3).collect(),
        ensemble: None,
        fit: fit(),
        provenance: ProvenanceCard { scope: "pooled".to_owned(), ..ProvenanceCard::default() },
        notes: vec!["Standard errors are approximate.".to_owned()],
    }
}

fn fit() -> FitCard {
    FitCard {
        stays: 16_462,
        residual_degrees: 16_455,
        deviance: 2_512.25,
        null_deviance: Some(3_000.5),
        pearson_dispersion: 0.98,
        dispersion: 1.0,
        shape: None,
        shape_standard_error: None,
        log_likelihood: Some(-1_256.125),
        aic: Some(2_526.25),
        bic: None,
        response_mean: 0.02,
        withheld_pairs: 1,
        steps: 7,
        trace: vec![(1_300.0, 2.0, false), (1_256.2, 0.001, true)],
    }
}

/// A model of boosted trees.
fn trees() -> Card {
    let feature = |column: &str, edges: &[f64], bins: &[u8]| FeatureCard {
        column: column.to_owned(),
        edges: edges.to_vec(),
        bins: bins.to_vec(),
        gain: 0.5,
    };
    let node = |split, value| NodeCard { split, value };
    let formula = "total_cost ~ sex + los_days".to_owned();
    let mut design = design();
    design.response = "total_cost".to_owned();
    design.response_transform = "identity".to_owned();
    design.numbers = vec!["total_cost".to_owned(), "los_days".to_owned()];
    Card {
        formula,
        family: "gamma".to_owned(),
        link: "log".to_owned(),
        design,
        coefficients: Vec::new(),
        covariance: Vec::new(),
        ensemble: Some(Ensemble {
            features: vec![feature("sex", &[], &[0, 1, 1]), feature("los_days", &[2.0, 9.0], &[])],
            unit: 1024.0,
            start: 2.25,
            learning_rate: 0.1,
            depth: 2,
            least_stays: 20,
            penalty: 1.0,
            trees: vec![
                vec![node(Some((1, 0)), 0.0), node(None, -0.5), node(None, 0.25)],
                vec![node(None, 0.125)],
            ],
        }),
        ..terms()
    }
}

/// A list of two groups, one of them split.
fn dip_list() -> DipList {
    let group = |combination: &str, split| DipGroup {
        dip_code: dip_code(combination).unwrap(),
        combination: combination.to_owned(),
        kind: "core".to_owned(),
        name: Some("阑尾切除术".to_owned()),
        stays: 120,
        years: vec![2022, 2023, 2024],
        mean: 12_345.678_9,
        weighted_mean: 12_400.0,
        sd: Some(800.5),
        cv: Some(0.064_8),
        weight: Some(1.25),
        split,
    };
    let part = |part: &str| DipPart {
        part: part.to_owned(),
        stays: 60,
        mean: 12_000.0,
        sd: None,
        cv: Some(0.03),
        weight: None,
    };
    let split =
        DipSplit { by: "severity".to_owned(), mean_cv: 0.04, parts: vec![part("1"), part("2")] };
    let mut list = DipList {
        format: LIST_FORMAT,
        name: "east".to_owned(),
        version: "2026.1".to_owned(),
        scheme: "DIP".to_owned(),
        hash: String::new(),
        made: None,
        source: DipSource {
            years: vec![(2022, 1), (2023, 2), (2024, 7)],
            stays: 240,
            unplaced: 3,
            mean: 9_876.5,
        },
        groups: vec![
            group("conservative|I10", None),
            group("surgery|K35|K35.8:47.01", Some(split)),
        ],
        core_coverage: 0.85,
        below_core_share: false,
    };
    list.hash = hex(&privacy::sha256(&serde_json::to_vec(&list.hashed()).unwrap()));
    list
}

/// What a party stores.
fn logs() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let numbers = |first: u64, second: u64| [first.to_le_bytes(), second.to_le_bytes()].concat();
    for receipt in &records().receipts {
        let entry = receipt.entry.to_bytes().unwrap();
        let head = numbers(receipt.index, receipt.checkpoint.size());
        let proof = [head, receipt.proof.concat(), entry.clone()].concat();
        seeds.push(stored(b'e', &receipt.index.to_string(), &entry));
        seeds.push(stored(b'i', &receipt.index.to_string(), &proof));
    }
    for (old, new, proof) in &records().continuations {
        let root = |size: u64| records().roots[usize::try_from(size).unwrap()];
        let roots = [root(*old), root(*new)].concat();
        let bytes = [numbers(*old, *new), roots, proof.concat()].concat();
        seeds.push(stored(b'c', &format!("{old}-{new}"), &bytes));
    }
    let declined = DECIDED.replace("approved", "declined").replace("0101", "0201");
    let lines = format!("{DECIDED}\n{declined}\n{DECIDED}");
    seeds.push(stored(b'd', "decisions", lines.as_bytes()));
    let mut sketch = Sketch::default();
    sketch.add(Mark::of(&[200; 16], &[7; 16]));
    seeds.push(stored(b's', "sketch", &sketch.to_bytes()));
    seeds.push(stored(b'p', "place", &month(3).to_bytes()));
    for file in *b"012345o" {
        seeds.push(stored(file, "whole", &[]));
        seeds.push(stored(file, "patched", b"\x10\x00\x04\x01\x02\x03\x04\x20\x10\x02\xff\x00"));
    }
    seeds
}
