//! The DIP catalogue of one region's stays, spread over 1, 10 and 50 hospitals.
//!
//! Under an open policy the code list is the same bytes for each; under the default policy no
//! combination in it is rare, and what is rare is in the mixed groups. Nodes that load the list
//! code every stay by it.

use model::casemix::parameters::SHIPPED;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cli::synth::{SynthParams, hospitals, write_csv};
use model::casemix::catalogue::DipList;
use tests::{HospitalSource, Region, open_policy};

use crate::client::{consilium, user_folder};

const STAYS: u64 = 20_000;
const YEARS: u16 = 3;
/// The default minimum.
const MINIMUM: u64 = 11;
const TRUTH: &str = "SELECT hospital_id, dip_combination, count(*) AS n FROM stay GROUP BY 1, 2";
const CODED: &str = "SELECT dip_code, count(*) AS n FROM stay GROUP BY 1";

/// The region's stays, line by line in turn, in so many files.
fn spread(text: &str, folder: &Path, parts: usize) -> Vec<HospitalSource> {
    let (header, lines) = text.split_once('\n').unwrap();
    let mut files = vec![format!("{header}\n"); parts];
    for (number, line) in lines.lines().enumerate() {
        let file = &mut files[number % parts];
        file.push_str(line);
        file.push('\n');
    }
    let source = |(number, text): (usize, String)| {
        let path = folder.join(format!("{parts}-{number}.csv"));
        std::fs::write(&path, text).unwrap();
        HospitalSource {
            id: format!("h-{:03}", number + 1),
            tier: "tertiary".into(),
            county: "East".into(),
            source: Some(path),
            mapping: "synthetic".into(),
        }
    };
    files.into_iter().enumerate().map(source).collect()
}

fn source() -> String {
    let params = SynthParams {
        hospitals: 1,
        stays: STAYS,
        seed: 20_261_122,
        years: YEARS,
        subgroups: 1,
        alike: false,
    };
    let mut bytes = Vec::new();
    write_csv(&hospitals(&params)[0], &params, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The code list without how it was made, and its file.
async fn catalogue(region: &Region, at: &Path, scope: &str) -> (DipList, String, PathBuf) {
    std::fs::create_dir(at).unwrap();
    let user = user_folder(region, at);
    // Invented costs vary little: groups are split where real ones would not be.
    let rules = at.join("rules.toml");
    let lowered = SHIPPED.replace("split_cv = 0.7", "split_cv = 0.4");
    let lowered = lowered.replace("split_gain = 0.2", "split_gain = 0.05");
    std::fs::write(&rules, lowered).unwrap();
    let out = at.join("dip.json");
    let words = ["dip", "catalogue", "--region", user.to_str().unwrap(), "--scope", scope];
    let files = ["--parameters", rules.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let output = consilium(&[&words[..], &files].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("DIP catalogue dip 2022-2024"), "{shown}");
    let mut list: DipList = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    list.check().unwrap();
    assert_eq!(list.made.take().unwrap().coverage, Some(1.0), "{said}");
    let text = cli::dip::json(&list).unwrap();
    (list, text, out)
}

/// Stays of each path, over all years.
async fn truth(alone: &Region) -> BTreeMap<String, u64> {
    let mut truth = BTreeMap::new();
    for row in alone.ask(TRUTH).await.unwrap().rows() {
        let path = row[1].split_once('|').unwrap().1.to_owned();
        *truth.entry(path).or_default() += row[2].parse::<u64>().unwrap();
    }
    truth
}

fn stays(list: &DipList) -> u64 {
    list.groups.iter().map(|group| group.stays).sum()
}

/// Under the default policy no combination is rare, and no stay is lost.
fn check_default(list: &DipList, open: &DipList, truth: &BTreeMap<String, u64>) {
    for group in list.groups.iter().filter(|group| group.kind == "core") {
        let held = truth[&group.combination];
        assert!(held >= MINIMUM && group.stays <= held, "{group:?} of {held}");
    }
    // Mixed groups take up the rest, but for what is rare in a whole year and so has no year.
    let unplaced = list.source.unplaced;
    assert_eq!(stays(list) + unplaced, STAYS);
    assert!(unplaced < MINIMUM * u64::from(YEARS), "{unplaced} stays in no group");
    let rare = truth.values().filter(|stays| **stays < MINIMUM).count();
    assert!(rare > 50, "{rare} rare combinations are too few for a test");
    let core = |list: &DipList| list.groups.iter().filter(|group| group.kind == "core").count();
    assert!(core(list) > 50 && core(list) <= core(open), "{} of {}", core(list), core(open));
}

/// Every hospital takes in its file again, coded by the list.
async fn check_coded(region: &Region, sources: &[HospitalSource], list: &DipList, file: &Path) {
    for (site, source) in region.sites().iter().zip(sources) {
        let (site, source) = (std::sync::Arc::clone(site), source.clone());
        let file = file.to_owned();
        let ingest = move || {
            let source = source.source.unwrap();
            site.ingest_coded(&source, "synthetic", Some(&file)).unwrap()
        };
        let report = tokio::task::spawn_blocking(ingest).await.unwrap();
        assert!(!report.already, "a list makes another snapshot");
        let record = report.manifest.dip_list.unwrap();
        assert_eq!((record.name, record.hash), ("dip".to_owned(), list.hash.clone()));
    }
    for site in region.sites() {
        site.stop().await;
        site.start().await.unwrap();
    }
    region.hospitals().await.unwrap();
    let coded: BTreeMap<String, u64> = region
        .ask(CODED)
        .await
        .unwrap()
        .rows()
        .into_iter()
        .map(|row| (row[0].clone(), row[1].parse().unwrap()))
        .collect();
    let listed: BTreeMap<String, u64> =
        list.groups.iter().map(|group| (group.dip_code.clone(), group.stays)).collect();
    assert_eq!(coded, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_the_same_bits_for_1_10_and_50_hospitals() {
    let folder = tempfile::tempdir().unwrap();
    let text = source();
    let mut lists = Vec::new();
    let mut exact = BTreeMap::new();
    for parts in [1, 10, 50] {
        let sources = spread(&text, folder.path(), parts);
        let region = Region::builder().hospitals(sources.clone()).policy(open_policy());
        let region = region.start().await.unwrap();
        let scope = if parts < 3 { "per-hospital" } else { "pooled" };
        let at = folder.path().join(format!("open-{parts}"));
        let made = catalogue(&region, &at, scope).await;
        if parts == 1 {
            exact = truth(&region).await;
        }
        if parts == 10 {
            check_coded(&region, &sources, &made.0, &made.2).await;
        }
        lists.push(made);
    }
    let (open, bytes, _) = &lists[0];
    assert_eq!((stays(open), exact.values().sum::<u64>()), (STAYS, STAYS));
    assert!(open.groups.iter().any(|group| group.kind == "mixed"));
    let split = open.groups.iter().filter_map(|group| Some((group.stays, group.split.as_ref()?)));
    let split: Vec<_> = split.collect();
    assert!(split.iter().any(|(_, split)| split.by == "severity"), "{} splits", split.len());
    for (stays, split) in split {
        assert_eq!(split.parts.iter().map(|part| part.stays).sum::<u64>(), stays);
    }
    for (_, other, _) in &lists[1..] {
        assert!(other == bytes, "the lists differ");
    }

    let sources = spread(&text, folder.path(), 10);
    let region = Region::builder().hospitals(sources).start().await.unwrap();
    let (list, _, _) = catalogue(&region, &folder.path().join("default"), "pooled").await;
    check_default(&list, open, &exact);
}
