//! Boosted trees from end to end: against LightGBM on the pooled rows
//! (`testdata/models/sparcs_trees.py`, its output beside it), over several partitions, with a
//! hospital lost on the way, and against leaves of a few patients.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cli::client::Client;
use flate2::read::GzDecoder;
use learn::boost::NodeCard;
use proto::v1::{FitRequest, TreeOptions};
use serde_json::Value;
use service::Clock;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, open_policy};

use super::sparcs::{discharges, rerun};
use super::{json, number, refusal};
use crate::client::{consilium, user_folder};

const REFERENCE: &str = include_str!("../../testdata/models/sparcs_trees.json");
/// How far test error and discrimination may lie from LightGBM's.
const TOLERANCE: f64 = 0.01;
/// Hospitals that the facilities of the discharges are dealt to.
const HOSPITALS: usize = 6;
const TERMS: &str = "age_band + sex + severity + drg_code + los_days";

/// The discharges as text: names, then rows.
struct Discharges {
    names: csv::StringRecord,
    rows: Vec<csv::StringRecord>,
}

impl Discharges {
    fn read(file: &Path) -> Self {
        let mut text = String::new();
        GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        Self { names, rows: reader.records().map(Result::unwrap).collect() }
    }

    fn value<'a>(&self, row: &'a csv::StringRecord, name: &str) -> &'a str {
        &row[self.names.iter().position(|known| known == name).unwrap()]
    }

    /// One file for each hospital with four of five rows.
    fn train(&self, folder: &Path) -> Vec<HospitalSource> {
        let mut facilities: Vec<&str> = Vec::new();
        let mut writers: Vec<_> = (0..HOSPITALS)
            .map(|hospital| {
                let path = folder.join(format!("h-{hospital}.csv"));
                let mut writer = csv::Writer::from_path(&path).unwrap();
                writer.write_record(&self.names).unwrap();
                (path, writer)
            })
            .collect();
        for (_, row) in self.rows.iter().enumerate().filter(|(number, _)| number % 5 != 4) {
            let facility = self.value(row, "Permanent.Facility.Id");
            let known = facilities.iter().position(|one| *one == facility);
            let place = known.unwrap_or_else(|| {
                facilities.push(facility);
                facilities.len() - 1
            });
            writers[place % HOSPITALS].1.write_record(row).unwrap();
        }
        let hospitals = writers.into_iter().enumerate().map(|(hospital, (path, mut writer))| {
            writer.flush().unwrap();
            HospitalSource {
                id: format!("h-{hospital}"),
                tier: "tertiary".into(),
                county: "New York".into(),
                source: Some(path),
                mapping: "sparcs".into(),
            }
        });
        hospitals.collect()
    }

    /// The rest, in the terms of the data model; rows without a severity are left out.
    fn test(&self, file: &Path) {
        let mut writer = csv::Writer::from_path(file).unwrap();
        let names = ["age_band", "sex", "severity", "drg_code", "los_days", "total_cost", "died"];
        writer.write_record(names).unwrap();
        for (_, row) in self.rows.iter().enumerate().filter(|(number, _)| number % 5 == 4) {
            let (age, los) = (self.value(row, "age"), self.value(row, "los"));
            let age = match age.contains(" or ") {
                true => format!("{}+", age.split(' ').next().unwrap()),
                false => age.replace(" to ", "-"),
            };
            let severity = self.value(row, "illseveritydesc");
            if severity == "NA" {
                continue;
            }
            writer
                .write_record([
                    age.as_str(),
                    self.value(row, "Gender"),
                    severity,
                    self.value(row, "APR.DRG.Code"),
                    los.trim_end_matches(" +"),
                    self.value(row, "Total.Costs"),
                    self.value(row, "death"),
                ])
                .unwrap();
        }
        writer.flush().unwrap();
    }
}

/// Response and prediction of each row of a file that `model predict` has written.
fn predicted(file: &Path, response: &str) -> Vec<(f64, f64)> {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let names = reader.headers().unwrap().clone();
    let place = |name: &str| names.iter().position(|known| known == name).unwrap();
    let (response, predicted) = (place(response), place("predicted"));
    let row =
        |row: csv::StringRecord| (row[response].parse().unwrap(), row[predicted].parse().ok());
    let rows = reader.records().map(|one| row(one.unwrap()));
    rows.filter_map(|(y, mean): (f64, Option<f64>)| Some((y, mean?))).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = u32::try_from(values.len()).unwrap();
    values.sum::<f64>() / f64::from(count)
}

/// The share of pairs of an event and none in which the event has the higher score.
fn auc(rows: &[(f64, f64)]) -> f64 {
    let (events, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(y, _)| *y > 0.5);
    let won = |event: &(f64, f64), other: &(f64, f64)| match event.1.total_cmp(&other.1) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    mean(events.iter().map(|event| mean(others.iter().map(|other| won(event, other)))))
}

fn deviance(family: &str, y: f64, mean: f64) -> f64 {
    match family {
        "gaussian" => (y.ln() - mean).powi(2),
        "gamma" => 2.0 * ((y - mean) / mean - (y / mean).ln()),
        _ => -2.0 * if y > 0.5 { mean.ln() } else { (1.0 - mean).ln() },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_predict_unseen_stays_as_well_as_lightgbm() {
    against_lightgbm(open_policy(), [TOLERANCE; 3], TOLERANCE).await;
}

/// Under the default minimum of eleven patients and three hospitals bins are joined. Costs do not suffer;
/// of deaths, of which each run needs eleven, few remain apart: the AUC is 0.76 instead of 0.92.
#[tokio::test(flavor = "multi_thread")]
async fn trees_under_the_default_rules_predict_nearly_as_well() {
    let mut policy = privacy::Policy::answering();
    policy.usage.requests_per_day = 1_000_000;
    against_lightgbm(policy, [TOLERANCE, TOLERANCE, 0.02], 0.2).await;
}

/// `tolerances` are those of the models in the order of the reference, and of the AUC.
async fn against_lightgbm(policy: privacy::Policy, tolerances: [f64; 3], of_auc: f64) {
    let Some(file) = discharges() else { return };
    let tells_all = policy.minimum.persons == Some(1);
    let folder = tempfile::tempdir().unwrap();
    let all = Discharges::read(&file);
    let hospitals = all.train(folder.path());
    let unseen = folder.path().join("unseen.csv");
    all.test(&unseen);
    let region = Region::builder().hospitals(hospitals).policy(policy);
    let region = region.start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let option = |name: &str| reference[name].to_string();
    let options =
        [option("trees"), option("depth"), option("learning_rate"), option("least_stays")];
    let names = ["--trees", "--depth", "--learning-rate", "--least-stays"];
    let options: Vec<&str> =
        names.iter().zip(&options).flat_map(|(name, value)| [*name, value.as_str()]).collect();
    let expected = reference["models"].as_array().unwrap();
    for (expected, tolerance) in expected.iter().zip(tolerances) {
        let family = expected["family"].as_str().unwrap();
        let response = expected["response"].as_str().unwrap();
        let column = if family == "binomial" { "died" } else { "total_cost" };
        let formula = format!("{response} ~ {TERMS}");
        let words = ["fit", &formula, "--region", user, "--family", family, "--format", "json"];
        let card = json(&[&words[..], &options, &["--name", family]].concat()).await;
        let left = expected["train"].as_u64().unwrap() - card["fit"]["stays"].as_u64().unwrap();
        assert!(left < 50, "{family}: {left} stays are in levels of a few patients");
        assert_eq!(card["ensemble"]["trees"].as_array().unwrap().len(), 25);
        let fit = |name: &str| number(&card["fit"][name]);
        assert!(fit("deviance") < fit("null_deviance"), "{family}");
        let out = folder.path().join(format!("{family}.csv"));
        let (input, output) = (unseen.to_str().unwrap(), out.to_str().unwrap());
        let words = ["model", "predict", family, input, "--region", user, "--out", output];
        let done = consilium(&words).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let rows = predicted(&out, column);
        assert!(rows.len() as u64 + 50 > expected["test"].as_u64().unwrap(), "{family}");
        let found = mean(rows.iter().map(|(y, mean)| deviance(family, *y, *mean)));
        let wanted = number(&expected["mean_deviance"]);
        assert!(found <= wanted * (1.0 + tolerance), "{family}: {found}, LightGBM {wanted}");
        if let Some(wanted) = expected["auc"].as_f64() {
            let found = auc(&rows);
            assert!(found >= wanted * (1.0 - of_auc), "AUC {found}, LightGBM {wanted}");
        }
    }
    if tells_all {
        observed_and_expected(user).await;
    }
}

/// Each hospital applies the trees to its own stays; over all they expect what was observed.
async fn observed_and_expected(user: &str) {
    for (model, outcome) in [("gamma", "total_cost"), ("binomial", "died")] {
        let words = ["benchmark", "oe", "--model", model, "--outcome", outcome];
        let standings = json(&[&words[..], &["--region", user, "--format", "json"]].concat()).await;
        let hospitals = standings["hospitals"].as_array().unwrap();
        assert_eq!(hospitals.len(), HOSPITALS);
        let sum = |field: &str| hospitals.iter().map(|one| number(&one[field])).sum::<f64>();
        let ratio = sum("observed") / sum("expected");
        assert!((ratio - 1.0).abs() < 0.03, "{model}: {ratio}");
    }
}

#[test]
fn the_reference_is_what_lightgbm_says() {
    let Some(found) = rerun("sparcs_trees.py", "lightgbm") else { return };
    let kept: Value = serde_json::from_str(REFERENCE).unwrap();
    assert_eq!(found["source_sha256"], kept["source_sha256"]);
    let (found, kept) = (found["models"].as_array().unwrap(), kept["models"].as_array().unwrap());
    for (found, kept) in found.iter().zip(kept) {
        let (a, b) = (number(&found["mean_deviance"]), number(&kept["mean_deviance"]));
        assert!((a - b).abs() <= 1e-6 * b, "{a} {b}");
    }
}

/// Stays with groups, days and ages that matter; a few patients alone have the longest.
fn stay(hospital: u32, number: u32) -> Stay {
    let mixed = (hospital * 1_000 + number).wrapping_mul(2_654_435_761) >> 8;
    let drg = ["DA1", "DB1", "DC1", "DD1"][usize::try_from(mixed % 4).unwrap()];
    let los = if number < 2 { 25 } else { 1 + mixed / 4 % 12 };
    let cost = 100_000 + 40_000 * i64::from(los) + 70_000 * i64::from(mixed % 4);
    Stay {
        stay: format!("s{hospital}-{number}"),
        // Some patients come back.
        person: format!("p{hospital}-{}", number / 3 * 2 + number % 2),
        drg,
        los_days: los,
        age_years: 20 + mixed / 64 % 60,
        cost_cents: if number < 2 { cost * 40 } else { cost },
        ..Stay::plain(number)
    }
}

fn hospitals(folder: &Path, count: u32, stays: u32) -> Vec<HospitalSource> {
    let each = (0..count).map(|hospital| {
        let id = format!("h-{hospital}");
        let own = (0..stays).map(|number| stay(hospital, number));
        let source: PathBuf = fixture::write(folder, &id, own);
        HospitalSource::small(&id, source)
    });
    each.collect()
}

fn request(trees: u32) -> FitRequest {
    FitRequest {
        formula: "total_cost ~ drg_code + sex + los_days + age_years".into(),
        family: "gamma".into(),
        trees: Some(TreeOptions { trees, depth: 3, learning_rate: None, least_stays: 1 }),
        ..FitRequest::default()
    }
}

/// The leaf of a row that is in these bins.
fn leaf_of(tree: &[NodeCard], bins: &[u8]) -> usize {
    let mut node = 0;
    while let Some((feature, bin)) = tree[node].split {
        let left = bins[usize::from(feature)] <= bin;
        node = if left { 2 * node + 1 } else { 2 * node + 2 };
    }
    node
}

/// Under a minimum of eleven no leaf holds fewer patients, though a fit may ask for leaves of one stay.
#[tokio::test(flavor = "multi_thread")]
async fn no_leaf_is_of_a_few_patients() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = privacy::Policy::answering();
    policy.usage.requests_per_day = 1_000_000;
    let region = Region::builder().hospitals(hospitals(folder.path(), 5, 120)).policy(policy);
    let region = region.start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let card = client.fit(request(6), None, |_| ()).await.unwrap();
    let ensemble = card.ensemble.as_ref().unwrap();
    let column = |name: &str| ensemble.features.iter().find(|one| one.column == name).unwrap();
    let level = |name: &str, value: &str| {
        let factor = card.design.factors.iter().find(|factor| factor.column == name).unwrap();
        column(name).bins[factor.levels.iter().position(|level| level == value).unwrap()]
    };
    let edge = |name: &str, value: u32| {
        u8::try_from(column(name).edges.partition_point(|edge| *edge <= f64::from(value))).unwrap()
    };
    let mut leaves = 0;
    for tree in &ensemble.trees {
        let mut persons: HashMap<usize, std::collections::HashSet<String>> = HashMap::new();
        for hospital in 0..5 {
            for number in 0..120 {
                let Stay { drg, sex, los_days, age_years, person, .. } = stay(hospital, number);
                let bins = ensemble.features.iter().map(|feature| match feature.column.as_str() {
                    "drg_code" => level("drg_code", drg),
                    "sex" => level("sex", sex),
                    "los_days" => edge("los_days", los_days),
                    _ => edge("age_years", age_years),
                });
                let leaf = leaf_of(tree, &bins.collect::<Vec<u8>>());
                persons.entry(leaf).or_default().insert(person);
            }
        }
        leaves += persons.len();
        for (leaf, persons) in persons {
            assert!(persons.len() >= 11, "leaf {leaf} has {} patients", persons.len());
        }
    }
    assert!(leaves > 6 * 3, "trees have grown: {leaves} leaves");
    // What a node was parted by can part its children again.
    let of = |tree: &[NodeCard], node: usize| tree[node].split.map(|(feature, _)| feature);
    let again = |tree: &Vec<NodeCard>| {
        (1..tree.len())
            .any(|node| of(tree, node).is_some() && of(tree, node) == of(tree, (node - 1) / 2))
    };
    assert!(ensemble.trees.iter().any(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_is_lost_leaves_no_mixture_of_trees() {
    let folder = tempfile::tempdir().unwrap();
    let sources = hospitals(folder.path(), 6, 100);
    let region = Region::builder().hospitals(sources.clone()).policy(open_policy());
    let region = region.proxied().start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let mut told = Vec::new();
    let fitted = client.fit(request(3), None, |progress| {
        if progress.trees == 1 && told.is_empty() {
            region.site("h-4").proxy().cut();
            told.push(String::new());
        }
        told.extend(Some(progress.restarted.clone()).filter(|why| !why.is_empty()));
    });
    let card = fitted.await.unwrap();
    assert!(told.iter().any(|why| why.contains("h-4")), "{told:?}");
    assert_eq!(card.provenance.left_out["h-4"], "unreachable");
    // One round for the mean, one for the bins, three for each tree, and one for the fit.
    assert_eq!(card.provenance.rounds.len(), 2 + 3 * 3 + 1);

    let kept = sources.into_iter().filter(|one| card.provenance.snapshots.contains_key(&one.id));
    let again = tempfile::tempdir().unwrap();
    let alone = Region::builder().hospitals(kept.collect::<Vec<_>>()).policy(open_policy());
    let alone = alone.start().await.unwrap();
    let user = user_folder(&alone, again.path());
    let client = Client::open(&user, &Clock::system()).unwrap();
    let fresh = client.fit(request(3), None, |_| ()).await.unwrap();
    assert_eq!(card.ensemble, fresh.ensemble);
    assert_eq!(card.fit, fresh.fit);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_policies_bound_trees() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = open_policy();
    policy.models.trees = 2;
    let region = Region::builder().hospitals(hospitals(folder.path(), 3, 200)).policy(policy);
    let region = region.start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let ask = async |formula: &str, family: &str, words: &[&str]| {
        let base = ["fit", formula, "--region", user, "--family", family];
        refusal(&[&base[..], words].concat()).await
    };
    let plain = "total_cost ~ drg_code + los_days";
    for (formula, family, words, part) in [
        (plain, "gamma", &["--trees", "3"][..], "has 3 trees; the hospital's policy admits 2"),
        (plain, "gamma", &["--trees", "2", "--depth", "5"], "Use a smaller --depth"),
        (plain, "inverse-gaussian", &["--trees", "2"], "gaussian, gamma, poisson, binomial"),
        (plain, "gamma", &["--trees", "2", "--link", "identity"], "have the link log"),
        (plain, "gamma", &["--trees", "2", "--learning-rate", "2"], "learning rate"),
        (
            plain,
            "gamma",
            &["--trees", "2", "--weights", "los_days"],
            "cannot be fitted with --weights",
        ),
        ("total_cost ~ log(los_days)", "gamma", &["--trees", "2"], "log(los_days)"),
        ("total_cost ~ drg_code:sex", "gamma", &["--trees", "2"], "drg_code:sex"),
        ("total_cost ~ sex + offset(los_days)", "gamma", &["--trees", "2"], "no offset"),
        ("total_cost ~ 1", "gamma", &["--trees", "2"], "at least one column"),
        ("total_cost ~ drg_code + mdc_code", "gamma", &["--trees", "2"], "say the same"),
    ] {
        let said = ask(formula, family, words).await;
        assert!(said.contains(part), "{formula} {words:?}: {said}");
    }
    let words = ["fit", plain, "--region", user, "--family", "gamma", "--depth", "3"];
    assert_eq!(consilium(&words).await.status.code(), Some(64), "--depth without --trees");
}
