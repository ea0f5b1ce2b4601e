//! Combinations, and coding by a DIP list.

use model::casemix::catalogue::{self, CatalogueRules, Cell, catalogue};

use super::*;

const STAY: &str = "SELECT line, sid AS stay_id, pid AS person_id, dis AS discharged_at, \
    dx AS principal_diagnosis, nullif(dip, '') AS dip_code FROM source";
const PROCEDURE: &str = "SELECT line, sid AS stay_id, 2 AS seq, p1 AS code, 'ICD-9-CM-3' AS code_system \
    FROM source WHERE p1 <> '' UNION ALL SELECT line, sid, 1, p2, 'ICD-9-CM-3' FROM source WHERE p2 <> ''";
const ROWS: &str = "sid,pid,dis,dx,p1,p2,dip\n\
    a,p1,2024-03-01,K35.800,47.09,47.01,\n\
    b,p2,2024-01-02,K35.8,47.01,47.09,own\n\
    c,p3,2023-12-31,I10.x00,,,\n\
    d,p4,2024-05-05,K35.2,47.01,88.72,\n\
    e,p5,2024-06-06,,47.01,,\n";
const FULL: &str = "2024|surgery|K35|K35.8:47.01+47.09";

fn site() -> Site {
    let site = Site::new();
    let mapping = site.path("own");
    fs::remove_file(mapping.join("fee.sql")).unwrap();
    fs::write(mapping.join("stay.sql"), STAY).unwrap();
    fs::write(mapping.join("procedure.sql"), PROCEDURE).unwrap();
    site
}

/// A list with one core group, a category, and a class.
fn list(at: &Path) -> catalogue::DipList {
    let cell = |path: &str| Cell {
        combination: format!("2024|{path}"),
        stays: 20,
        cost_e4: 1_000_000,
        sd: Some(1.5),
    };
    let cells = ["surgery|K35|K35.8:47.01+47.09", "surgery|K35", "conservative"].map(cell);
    let made = catalogue(&cells, &CatalogueRules::default()).unwrap();
    let mut list = catalogue::DipList::of(&made, "region", "2025");
    list.hash = source::hex(&privacy::sha256(&serde_json::to_vec(&list.hashed()).unwrap()));
    fs::write(at, serde_json::to_string_pretty(&list).unwrap()).unwrap();
    list
}

/// The values of the stays c, b, a, d and e: by month.
fn by_month(report: &IngestReport, column: &str) -> Vec<Option<String>> {
    texts(&table(report, "stay"), column)
}

#[test]
fn every_stay_has_its_combination() {
    let site = site();
    let report = site.ingest(ROWS).unwrap();
    let class = by_month(&report, "treatment_class");
    let surgery = Some("surgery");
    let expected = [Some("conservative"), surgery, surgery, surgery, surgery];
    assert_eq!(class.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    let combination = by_month(&report, "dip_combination");
    let expected = [
        Some("2023|conservative|I10|I10"),
        Some(FULL),
        Some(FULL),
        Some("2024|surgery|K35|K35.2:47.01+88.72"),
        None,
    ];
    assert_eq!(combination.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    assert_eq!(by_month(&report, "dip_code"), [None, Some("own".to_owned()), None, None, None]);
    assert_eq!(report.manifest.dip_list, None);
}

#[test]
fn a_list_codes_what_the_mapping_did_not() {
    let site = site();
    let source = site.source(ROWS);
    let plain = run(&site.request(&source), &mut |_| {}).unwrap();
    let file = site.path("dip.json");
    let list = list(&file);
    let read = Arc::new(DipList::read(&file).unwrap());
    let request = IngestRequest { dip_list: Some(Arc::clone(&read)), ..site.request(&source) };
    let report = run(&request, &mut |_| {}).unwrap();
    assert!(!report.already && report.manifest.snapshot_id != plain.manifest.snapshot_id);
    let codes = by_month(&report, "dip_code");
    let expected = [Some("C-*"), Some("own"), Some("S-K35.8:47.01+47.09"), Some("S-K35*"), None];
    assert_eq!(codes.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    assert_eq!(report.manifest.dip_list, Some(list.record()));
    assert!(run(&request, &mut |_| {}).unwrap().already, "the same list again");
    // A manifest of an earlier version has none of it, and can still be read.
    let mut old = serde_json::to_value(&report.manifest).unwrap();
    old.as_object_mut().unwrap().retain(|name, _| name != "dip_list" && name != "derivation");
    let old: Manifest = serde_json::from_value(old).unwrap();
    assert_eq!((old.derivation, old.dip_list), (0, None));
}

#[test]
fn a_list_that_cannot_be_used_says_why() {
    let site = site();
    let file = site.path("dip.json");
    let good = list(&file);
    let text = fs::read_to_string(&file).unwrap();
    for (from, to, says) in [
        ("\"mean\": 5.0", "\"mean\": 6.0", "hash: is not that"),
        ("\"S-K35*\"", "\"S-K36*\"", "groups[1].dip_code"),
        ("\"format\": 1", "\"format\": 9", "format: is 9"),
        ("\"DIP\"", "\"DRG\"", "scheme: is DRG"),
        ("\"core_coverage\"", "\"coverage\"", "coverage"),
        ("{", "[", "consilium dip catalogue"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let error = DipList::read(&file).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("dip.json"), "{error}");
    }
    let mut turned = good.clone();
    turned.groups.reverse();
    assert!(turned.check().unwrap_err().contains("groups[1].combination"));
    let missing = DipList::read(&site.path("nowhere.json")).unwrap_err().to_string();
    assert!(missing.contains("nowhere.json") && missing.contains("check the path"), "{missing}");
}
