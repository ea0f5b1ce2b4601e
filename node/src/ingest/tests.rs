use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Decimal128Type, Int32Type, TimestampSecondType, UInt32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

mod dip;

const STAY_SQL: &str = "SELECT line, sid AS stay_id, pid AS person_id, nullif(adm, '-') AS admitted_at, \
    nullif(dis, '-') AS discharged_at, los AS los_days, age AS age_years, drg AS drg_code, cost AS total_cost \
    FROM source";
const FEE_SQL: &str = "SELECT line, sid AS stay_id, 'bed' AS class, bed AS amount FROM source WHERE bed <> '' \
    UNION ALL SELECT line, sid, 'consumable', mat FROM source WHERE mat <> ''";
const HEADER: &str = "sid,pid,adm,dis,los,age,drg,cost,bed,mat\n";

/// A data folder with a mapping of its own.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mapping = folder.path().join("own");
        fs::create_dir(&mapping).unwrap();
        fs::write(mapping.join("stay.sql"), STAY_SQL).unwrap();
        fs::write(mapping.join("fee.sql"), FEE_SQL).unwrap();
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        chmod(&folder.path().join("key"), 0o600);
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn source(&self, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("export.csv");
        fs::write(&path, text).unwrap();
        path
    }

    fn request(&self, source: &Path) -> IngestRequest {
        IngestRequest {
            source: source.to_owned(),
            mapping: self.path("own").display().to_string(),
            hospital: HospitalRecord {
                id: "h-1".parse().unwrap(),
                tier: "tertiary".into(),
                county: "东湖".into(),
            },
            data_dir: self.path("data"),
            key_file: self.path("key"),
            encoding: None,
            dip_list: None,
            accuracy_floor: DEFAULT_ACCURACY_FLOOR,
            now: UNIX_EPOCH + Duration::from_secs(1_709_164_800),
            threads: 2,
        }
    }

    fn ingest(&self, text: impl AsRef<[u8]>) -> Result<IngestReport, IngestError> {
        let source = self.source(text);
        run(&self.request(&source), &mut |_| {})
    }

    fn in_force(&self) -> Option<String> {
        current(&self.path("data")).unwrap().map(|(_, manifest)| manifest.snapshot_id)
    }
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn table(report: &IngestReport, name: &str) -> RecordBatch {
    let file = fs::File::open(report.folder.join(format!("{name}.parquet"))).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = Arc::clone(builder.schema());
    let governed = schema::table(name).unwrap();
    assert_eq!(schema.fields(), query::catalog::arrow_schema(governed).fields(), "{name}");
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

/// What each number stands for.
fn hmacs(report: &IngestReport, name: &str) -> Vec<Vec<u8>> {
    let file = fs::File::open(report.folder.join(name)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let hmacs = |batch: RecordBatch| -> Vec<_> {
        batch.column(1).as_fixed_size_binary().iter().map(|hmac| hmac.unwrap().to_vec()).collect()
    };
    batches.flat_map(|batch| hmacs(batch.unwrap())).collect()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let text = cast(batch.column_by_name(name).unwrap(), &DataType::Utf8).unwrap();
    text.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn quarantined(report: &IngestReport) -> Vec<String> {
    let Some(path) = &report.quarantine else { return Vec::new() };
    fs::read_to_string(path).unwrap().lines().skip(1).map(str::to_owned).collect()
}

const GOOD: &str = "a,p1,2024-01-05 08:00,2024-01-09,4,67,GD15,1234.5678,10.50,2\n\
                    b,p1,20240201,20240201,0,68,GD13,99,,\n\
                    c,p2,-,-,3,4,,,1,\n";

#[test]
fn good_rows_are_typed_keyed_sorted_and_stored() {
    let site = Site::new();
    let report = site.ingest(format!("{HEADER}{GOOD}")).unwrap();
    assert_eq!((report.already, report.accuracy, report.below_floor), (false, 1.0, false));
    assert_eq!(report.quarantine, None);
    let manifest = &report.manifest;
    assert_eq!((manifest.stays(), manifest.persons, manifest.quality.read), (3, 2, 3));
    assert_eq!(manifest.created_at, "2024-02-29T00:00:00Z");
    assert_eq!(manifest.source.encoding, "utf-8");
    assert!(manifest.source.encoding_detected);
    assert_eq!(manifest.snapshot_id, snapshot_id(manifest));

    let stays = table(&report, "stay");
    // No date comes first, then by month.
    assert_eq!(texts(&stays, "drg_code"), [None, Some("GD15".into()), Some("GD13".into())]);
    let band = texts(&stays, "age_band");
    assert_eq!(band, ["00-04", "65-69", "65-69"].map(|band| Some(band.to_owned())));
    let band = texts(&stays, "los_band");
    assert_eq!(band, ["2-3", "4-7", "1"].map(|band| Some(band.to_owned())));
    assert_eq!(texts(&stays, "hospital_county"), vec![Some("东湖".to_owned()); 3]);
    let keys: Vec<u32> = stays.column(0).as_primitive::<UInt32Type>().values().to_vec();
    let persons: Vec<u32> = stays.column(1).as_primitive::<UInt32Type>().values().to_vec();
    // A stay's number is its place.
    assert_eq!((keys, persons), (vec![0, 1, 2], vec![1, 0, 0]));
    let (key, names) = (HospitalKey::open(&site.path("key")).unwrap(), ["c", "a", "b"]);
    let expected = names.map(|stay| key.sign("stay:", stay).bytes().to_vec());
    assert_eq!(hmacs(&report, "stay_keys.parquet"), expected);
    let cost = stays.column_by_name("total_cost").unwrap().as_primitive::<Decimal128Type>();
    assert_eq!((cost.is_null(0), cost.value(1), cost.value(2)), (true, 12_345_678, 990_000));
    let los = stays.column_by_name("los_days").unwrap().as_primitive::<Int32Type>();
    assert_eq!(los.values().to_vec(), [3, 4, 1]);
    let time = stays.column_by_name("admitted_at").unwrap().as_primitive::<TimestampSecondType>();
    assert_eq!(time.value(1), 1_704_441_600);

    let fees = table(&report, "fee");
    let class = texts(&fees, "class");
    assert_eq!(class, ["bed", "bed", "consumable"].map(|class| Some(class.to_owned())));
    let keys = fees.column(0).as_primitive::<UInt32Type>().values().to_vec();
    assert_eq!(keys, [0, 1, 1]);
    assert_eq!(table(&report, "diagnosis").num_rows(), 0);
    for entry in fs::read_dir(&report.folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(2).any(|pair| pair == b"p1"), "no identifier in a snapshot");
    }
    assert!(report.folder.join("person_keys.parquet").is_file());
}

#[test]
fn bad_rows_go_to_quarantine_one_by_one_and_good_rows_survive() {
    let site = Site::new();
    let mut text = format!("{HEADER}{GOOD}").into_bytes();
    let bad: &[&[u8]] = &[
        b"d,p3,-,-,x,30,G,1,,\n",                   // 5: not a number
        b"e,p3,-,-,1,30,G,1\n",                     // 6: fields
        b"f,p3,-,-,1,30,\xFF\xFE,1,,\n",            // 7: bytes
        b"g,p3,-,-,-4,30,G,1,5,\n",                 // 8: negative, its fee is silent
        b"h,p3,-,-,1,131,G,1,,\n",                  // 9: bounds
        b"i,p3,-,-,1,30,G,1.00001,,\n",             // 10: digits
        b"j,p3,2024-13-01,-,1,30,G,1,,\n",          // 11: no such month
        b"a,p3,-,-,1,30,G,1,,\n",                   // 12: stay a again
        b",p3,-,-,1,30,G,1,,\n",                    // 13: no id
        b"k,,-,-,1,30,G,1,,\n",                     // 14: no person
        b"l,p3,2024-02-02,2024-02-01,,30,G,1,,\n",  // 15: backwards
        b"m,p3,2024-02-02,2024-02-05,9,30,G,1,,\n", // 16: los
        b"n,p3,-,-,1,30,G,999999999,,\n",           // 17: bounds
        b"\"o\",p3,-,-,1,30,\"G\nH\",1,bad,\n",     // 18-19: good stay, bad fee
        b"q,p3,-,-,1,30,G,1,,\n",                   // 20: good
    ];
    text.extend(bad.concat());
    text.extend(format!("r,p3,-,-,1,30,{},1,,\n", "长".repeat(201)).into_bytes()); // 21
    let report = site.ingest(&text).unwrap();
    assert_eq!(
        quarantined(&report),
        [
            "5,stay,los_days,not_a_number,\"text, 1 characters\"",
            "6,source,,field_count,8 fields",
            "7,source,,not_text,unreadable bytes",
            "8,stay,los_days,out_of_bounds,negative number",
            "9,stay,age_years,out_of_bounds,number above bound",
            "10,stay,total_cost,too_many_digits,number with a fraction",
            "11,stay,admitted_at,not_a_time,\"text, 10 characters\"",
            "12,stay,stay_key,duplicate_stay,key",
            "13,stay,stay_key,missing,empty",
            "14,stay,person_key,missing,empty",
            "15,stay,discharged_at,discharge_before_admission,contradicts another column",
            "16,stay,los_days,los_disagrees,contradicts another column",
            "17,stay,total_cost,out_of_bounds,number above bound",
            "18,fee,amount,not_a_number,\"text, 3 characters\"",
            "21,stay,drg_code,text_too_long,\"text, 201 characters\"",
        ]
    );
    let quality = &report.manifest.quality;
    assert_eq!((quality.read, quality.accepted, quality.quarantined), (19, 5, 15));
    assert_eq!(quality.by_rule["out_of_bounds"], 3);
    assert!(report.below_floor);
    assert_eq!(table(&report, "stay").num_rows(), 5);
    assert_eq!(table(&report, "fee").num_rows(), 3);
}

#[test]
fn rows_of_unknown_stays_are_orphans_and_long_sources_work() {
    let site = Site::new();
    let sql = "SELECT line, sid AS stay_id, pid AS person_id FROM source WHERE kind = 'stay'";
    fs::write(site.path("own/stay.sql"), sql).unwrap();
    let sql = "SELECT line, sid AS stay_id, pid AS class, amount FROM source WHERE kind = 'fee'";
    fs::write(site.path("own/fee.sql"), sql).unwrap();
    let text = "kind,sid,pid,amount\nfee,s1,bed,1\nstay,s1,p,\nfee,s2,bed,1\nfee,s1,,1\n";
    let report = site.ingest(text).unwrap();
    assert_eq!(quarantined(&report), ["4,fee,stay_key,orphan,key", "5,fee,class,missing,empty"]);
    assert_eq!(table(&report, "fee").num_rows(), 1);
}

#[test]
fn gb18030_gzip_and_byte_order_marks_are_read() {
    let site = Site::new();
    let mut text = HEADER.to_owned();
    for n in 0..200 {
        text += &format!("s{n},p{n},-,-,1,30,急性阑尾炎切除术第{n}组,1,,\n");
    }
    let utf8 = site.ingest(format!("\u{feff}{text}")).unwrap();
    assert_eq!(utf8.manifest.source.encoding, "utf-8");
    let (bytes, _, _) = encoding_rs::GB18030.encode(&text);
    let detected = site.ingest(&bytes).unwrap();
    assert_eq!(detected.manifest.source.encoding, "gb18030");
    assert!(detected.manifest.source.encoding_detected && !detected.already);
    assert_eq!(detected.manifest.tables, utf8.manifest.tables, "same rows, same bytes");
    let names = texts(&table(&detected, "stay"), "drg_code");
    assert!(names.contains(&Some("急性阑尾炎切除术第77组".to_owned())));

    let mut damaged = bytes.to_vec();
    damaged.extend(b"x,y,-,-,1,30,\xFF\xFF,1,,\n");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&damaged).unwrap();
    let source = site.source(packed.finish().unwrap());
    let request = IngestRequest { encoding: Some(Encoding::Gb18030), ..site.request(&source) };
    let declared = run(&request, &mut |_| {}).unwrap();
    assert!(!declared.manifest.source.encoding_detected);
    assert_eq!(quarantined(&declared), ["202,source,,not_text,unreadable bytes"]);
    assert_eq!(declared.manifest.tables, utf8.manifest.tables);
}

#[test]
fn the_same_source_is_recognised_and_ids_are_reproducible() {
    let (site, other) = (Site::new(), Site::new());
    let text = format!("{HEADER}{GOOD}");
    let first = site.ingest(&text).unwrap();
    let again = site.ingest(&text).unwrap();
    assert!(again.already && again.manifest == first.manifest);
    let elsewhere = other.ingest(&text).unwrap();
    assert_eq!(elsewhere.manifest.snapshot_id, first.manifest.snapshot_id);
    for change in ["key", "mapping", "hospital"] {
        let source = site.source(&text);
        let mut request = site.request(&source);
        match change {
            "key" => request.key_file = site.path("other/key"),
            "mapping" => {
                fs::write(site.path("own/mapping.toml"), "description = \"x\"").unwrap();
            }
            _ => request.hospital.tier = "primary".into(),
        }
        let changed = run(&request, &mut |_| {}).unwrap();
        assert!(!changed.already, "{change}");
        assert_ne!(changed.manifest.snapshot_id, first.manifest.snapshot_id, "{change}");
    }
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(site.path("other/key")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_crash_leaves_the_snapshot_in_force() {
    let site = Site::new();
    assert_eq!(site.in_force(), None);
    let first = site.ingest(format!("{HEADER}{GOOD}")).unwrap();
    let id = Some(first.manifest.snapshot_id.clone());
    let left = site.path("data/snapshots/.incoming-dead");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("stay.parquet"), "half").unwrap();
    assert_eq!(site.in_force(), id);

    let source = site.source(format!("{HEADER}{GOOD}z,p9,-,-,1,30,G,1,,\n"));
    let request = site.request(&source);
    let mut crash = || Err(IngestError::write("crash"));
    assert!(run_until(&request, &mut |_| {}, &mut crash).is_err());
    assert_eq!(site.in_force(), id, "CURRENT was not replaced");
    assert!(!left.exists(), "left-overs are removed");
    let second = run(&request, &mut |_| {}).unwrap();
    assert_eq!(site.in_force(), Some(second.manifest.snapshot_id.clone()));
    assert_eq!(second.manifest.stays(), 4);

    let held = lock(&site.path("data")).unwrap();
    let error = run(&request, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("another ingest is running"), "{error}");
    drop(held);
    let error = site.ingest(format!("{HEADER}x,p,-,-,bad,1,1,1,,\n")).unwrap_err().to_string();
    assert!(error.contains("no stay of") && error.contains("not_a_number"), "{error}");
    assert_eq!(site.in_force(), Some(second.manifest.snapshot_id));
    let names: Vec<_> = fs::read_dir(site.path("data/snapshots")).unwrap().collect();
    assert_eq!(names.len(), 2, "a failed ingest leaves nothing: {names:?}");
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let site = Site::new();
    let told = |text: &[u8]| site.ingest(text).unwrap_err().to_string();
    for (text, expected) in [
        (&b""[..], "is empty"),
        (b"PAR1....", "is not text"),
        (b"a,a\n1,2\n", "column 2 of the header is called \"a\" like an earlier one"),
        (b"a,,c\n1,2,3\n", "column 2 of the header has no name"),
        (b"sid,line\n1,2\n", "rename it"),
        (b"si,pid\n1,2\n", "nearest: "),
        (HEADER.as_bytes(), "no stay of"),
    ] {
        let told = told(text);
        assert!(
            told.contains(expected) && told.contains("export.csv") || told.contains(".sql"),
            "{told}"
        );
        assert!(told.contains(expected), "{told}");
    }
    let open_quote = format!("{HEADER}\"a,b\n{}", GOOD.repeat(40));
    assert!(told(open_quote.as_bytes()).contains("line 2 runs on"));

    let mapped = |file: &str, sql: &str| {
        fs::write(site.path("own").join(file), sql).unwrap();
        told(format!("{HEADER}{GOOD}").as_bytes())
    };
    let error = mapped("stay.sql", &STAY_SQL.replace("dis,", "dist,"));
    for part in ["stay.sql", "no column dist", "nearest: dis", "FROM source"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = mapped("stay.sql", &STAY_SQL.replace("drg_code", "drgcode"));
    assert!(error.contains("gives drgcode") && error.contains("nearest: drg_code"), "{error}");
    let error = mapped("stay.sql", &STAY_SQL.replace("drg_code", "hospital_id"));
    assert!(error.contains("hospital's record"), "{error}");
    let error = mapped("stay.sql", "SELECT line, sid AS stay_id FROM source");
    assert!(error.contains("no column person_id"), "{error}");
    fs::write(site.path("own/stay.sql"), STAY_SQL).unwrap();
    let error = mapped("fees.sql", FEE_SQL);
    assert!(error.contains("fees.sql") && error.contains("fee"), "{error}");
    fs::remove_file(site.path("own/fees.sql")).unwrap();

    chmod(&site.path("key"), 0o644);
    assert!(told(b"x\n1\n").contains("chmod 600"));
    let source = site.source("x\n1\n");
    let request = IngestRequest { mapping: "sparks".into(), ..site.request(&source) };
    let error = run(&request, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("sparcs, synthetic"), "{error}");
}

/// The real discharges of DOMAIN, section 4; `None` (said aloud) when they are not there.
fn sparcs() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sparcs");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("NOT TESTED: the SPARCS data is absent, looked in {}", folder.display());
    None
}

#[test]
fn sparcs_sums_are_those_computed_independently() {
    let Some(folder) = sparcs() else { return };
    let site = Site::new();
    let source = folder.join("discharges.csv.gz");
    let request = IngestRequest { mapping: "sparcs".into(), ..site.request(&source) };
    let report = run(&request, &mut |_| {}).unwrap();
    assert_eq!((report.manifest.stays(), report.manifest.persons), (16_462, 16_462));
    assert_eq!(quarantined(&report), Vec::<String>::new());
    assert!(report.notes.person_id.contains("each discharge counts as one person"));
    let stays = table(&report, "stay");
    let mut sums: BTreeMap<String, (u64, i128, i64)> = BTreeMap::new();
    let cost = stays.column_by_name("total_cost").unwrap().as_primitive::<Decimal128Type>();
    let died = stays.column_by_name("died").unwrap().as_boolean();
    for (row, drg) in texts(&stays, "drg_code").into_iter().enumerate() {
        let sum = sums.entry(drg.unwrap()).or_default();
        *sum = (sum.0 + 1, sum.1 + cost.value(row), sum.2 + i64::from(died.value(row)));
    }
    let mut expected = csv::Reader::from_path(folder.join("expected_by_drg.csv")).unwrap();
    let mut groups = 0;
    for record in expected.records() {
        let record = record.unwrap();
        let found = sums[&record[0]];
        assert_eq!(found.0.to_string(), record[1], "stays of {}", &record[0]);
        let exact = i128::from(parse::money(&record[3]).unwrap());
        assert_eq!(found.1, exact, "cost of {}", &record[0]);
        assert_eq!(found.2.to_string(), record[10], "deaths of {}", &record[0]);
        groups += 1;
    }
    assert_eq!(groups, sums.len());
    assert_eq!(table(&report, "diagnosis").num_rows(), 16_462);
    assert_eq!(table(&report, "procedure").num_rows(), 16_462 - 3_796);
    let bands = texts(&stays, "age_band");
    assert_eq!(bands.iter().filter(|band| band.as_deref() == Some("50-69")).count(), 9_723);

    let out = site.path("split");
    let parts = split_source(&source, "Permanent.Facility.Id", &out).unwrap();
    assert_eq!((parts.len(), parts.iter().map(|part| part.rows).sum::<u64>()), (50, 16_462));
    let request =
        IngestRequest { source: parts[0].path.clone(), data_dir: site.path("one"), ..request };
    let one = run(&request, &mut |_| {}).unwrap();
    assert_eq!(one.manifest.stays(), parts[0].rows);
    let error = split_source(&source, "Facility.Id", &out).unwrap_err().to_string();
    assert!(error.contains("Permanent.Facility.Id"), "{error}");
    let error = split_source(&source, "APR.DRG.Description", &out).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("is not a hospital id"), "{error}");
}
