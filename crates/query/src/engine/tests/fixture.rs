//! A small hospital in memory, and requests that its policy admits.

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Int32Array, RecordBatch,
    TimestampSecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::Int32Type;
use datafusion::datasource::MemTable;
use model::HospitalId;
use model::schema::{Column, ColumnType, TABLES};
use privacy::blind::{GuardSecret, RoundKey};
use privacy::request::RequestParts;
use privacy::roster::{HospitalKeys, Roster, SignedRoster};
use privacy::sign::SigningKey;
use privacy::terms::Signatures;
use privacy::{Floor, Offer, Shape, Terms, Veil, VeilKey, admit, admit_round};

use super::super::*;
use crate::catalog::{arrow_schema, arrow_type};
use crate::marks::Marks;
use crate::question::{Planner, Question};

/// Stays of the hospital; two of each person follow each other.
pub(super) const STAYS: u32 = 240;
const FIRST_OF_2024: i64 = 1_704_067_200;
const MONTH_OR_SO: i64 = 31 * 86_400;

/// The code of a stay: three common ones; persons 0..20 have two rare ones each.
pub(super) fn drg(stay: u32) -> Option<String> {
    match stay {
        0..40 => Some(format!("R{stay}")),
        _ if stay.is_multiple_of(17) => None,
        _ => Some(format!("D{}", stay % 3)),
    }
}

/// A column over `rows` rows, of which `each` belong to one stay.
fn column(column: &Column, rows: u32, each: u32) -> ArrayRef {
    let stays = || (0..rows).map(move |row| row / each);
    let text = |code: &dyn Fn(u32) -> Option<String>| -> ArrayRef {
        let codes: Vec<_> = stays().map(code).collect();
        let codes = codes.iter().map(Option::as_deref);
        Arc::new(codes.collect::<DictionaryArray<Int32Type>>())
    };
    let count = |n: u32| i64::from(n);
    match (column.name, column.column_type) {
        ("stay_key", _) => Arc::new(stays().map(Some).collect::<UInt32Array>()),
        ("person_key", _) => Arc::new(stays().map(|s| Some(s / 2)).collect::<UInt32Array>()),
        ("drg_code", _) => text(&drg),
        ("sex", _) => text(&|s| (s % 5 > 0).then(|| if s % 2 == 0 { "F" } else { "M" }.into())),
        ("principal_diagnosis" | "code", _) => text(&|s| Some(format!("J{:02}.{}", s % 20, s % 7))),
        (_, ColumnType::Boolean) => {
            let flags = stays().map(|s| (s % 4 > 0).then_some(s % 8 == 1));
            Arc::new(flags.collect::<BooleanArray>())
        }
        (_, ColumnType::Money) => {
            let amounts = stays().map(|s| {
                (column.required || s % 6 > 0).then(|| i128::from(count(s) - 30) * 10_000)
            });
            let amounts = amounts.collect::<Decimal128Array>();
            Arc::new(amounts.with_precision_and_scale(18, 4).unwrap())
        }
        (_, ColumnType::Integer) => {
            let days = stays().map(|s| Some(i32::try_from(s % 30).unwrap()));
            Arc::new(days.collect::<Int32Array>())
        }
        (_, ColumnType::Timestamp) => {
            let times = stays().map(|s| Some(FIRST_OF_2024 + count(s % 14) * MONTH_OR_SO));
            Arc::new(times.collect::<TimestampSecondArray>())
        }
        (_, ColumnType::Text) if column.required => text(&|_| Some("x".into())),
        _ => new_null_array(&arrow_type(column.column_type), rows as usize),
    }
}

/// One stay as a snapshot holds it that does not have the column `name`.
pub(super) fn one_stay_without(name: &str) -> RecordBatch {
    let table = table("stay").unwrap();
    let columns = table.columns.iter().map(|c| column(c, 1, 1)).collect();
    let whole = RecordBatch::try_new(arrow_schema(table), columns).unwrap();
    let kept = table.columns.iter().enumerate().filter(|(_, column)| column.name != name);
    whole.project(&kept.map(|(place, _)| place).collect::<Vec<_>>()).unwrap()
}

fn manifest() -> Manifest {
    let text = r#"{
        "format": 1, "snapshot_id": "s", "created_at": "2026-01-01T00:00:00Z", "key_id": "k",
        "hospital": { "id": "h-1", "tier": "x", "county": "x" },
        "source": {
            "file": "f", "sha256": "0", "bytes": 0, "encoding": "utf-8", "encoding_detected": false
        },
        "mapping": { "name": "m", "sha256": "0" },
        "tables": {}, "persons": 120,
        "quality": { "read": 240, "accepted": 240, "quarantined": 0, "by_rule": {} }
    }"#;
    serde_json::from_str(text).unwrap()
}

/// A policy that shows every group.
pub(super) fn open_policy() -> Policy {
    let mut policy = Policy::answering();
    (policy.minimum.persons, policy.minimum.stays) = (Some(1), Some(1));
    policy.selectivity.persons = 1;
    policy
}

/// The hospital's engine, its tables in two partitions each.
pub(super) fn engine_in_memory() -> Engine {
    let context = engine(2, Arc::new(RuntimeEnv::default()));
    for table in TABLES {
        let each = if table.one_row_per_stay { 1 } else { 2 };
        let columns = table.columns.iter().map(|c| column(c, STAYS * each, each)).collect();
        let batch = RecordBatch::try_new(arrow_schema(table), columns).unwrap();
        let half = batch.num_rows() / 2 + 1;
        let rest = batch.slice(half, batch.num_rows() - half);
        let partitions = vec![vec![batch.slice(0, half)], vec![rest]];
        let provider = MemTable::try_new(arrow_schema(table), partitions).unwrap();
        context.register_table(table.name, Arc::new(provider)).unwrap();
    }
    let policy = open_policy();
    let (prepared, trees, found) = (Mutex::default(), Mutex::default(), Found::default());
    let marks = Arc::new(Marks::made_up((0..STAYS).map(|stay| stay / 2)));
    Engine { context, manifest: manifest(), policy, prepared, trees, marks, found }
}

/// The parts of a request, to be altered.
pub(super) fn parts_of(request: &ReleaseRequest) -> RequestParts {
    RequestParts {
        scope: request.scope(),
        asker: request.asker().to_owned(),
        relation_sql: request.relation_sql().to_owned(),
        dimensions: request.dimensions().to_vec(),
        domains: request.domains().to_vec(),
        inputs: request.inputs().to_vec(),
        measures: request.measures().to_vec(),
        supports: request.supports().to_vec(),
    }
}

/// What a coordinator makes of `sql`.
pub(super) async fn question(sql: &str) -> Question {
    let planner = Planner::new(64 << 20).unwrap();
    planner.plan(sql, &open_policy()).await.unwrap_or_else(|refusal| panic!("{sql}: {refusal}"))
}

/// The only request of `sql`, over lists of `codes`.
pub(super) async fn request(sql: &str, codes: &[&str]) -> ReleaseRequest {
    let question = question(sql).await;
    let codes = || codes.iter().map(|code| (*code).to_owned()).collect();
    let specs = question.specs()[0];
    let domains = specs.iter().map(|spec| spec.domain(codes()).unwrap()).collect();
    question.requests("ana", &[domains]).unwrap().remove(0)
}

/// The same request without domains, as one hospital would be asked for its own cells.
pub(super) fn own(request: &ReleaseRequest) -> Admitted {
    let parts =
        RequestParts { scope: Scope::PerHospital, domains: Vec::new(), ..parts_of(request) };
    admit(ReleaseRequest::try_from(parts).unwrap(), &open_policy(), privacy::Leave::None).unwrap()
}

fn roster(key: impl Fn(u8) -> SigningKey) -> Roster {
    let keys = |seed: u8| HospitalKeys { sign: key(seed).verify_key(), seal: [seed; 32] };
    let hospitals = (1..=3).map(|n| (format!("h-{n}").parse().unwrap(), keys(10 + n)));
    let (a, b) = (key(1).verify_key(), key(2).verify_key());
    let signed = SignedRoster::sign(&key(9), "east", 1, a, b, &hospitals.collect());
    signed.verify(&key(9).verify_key(), "east").unwrap()
}

/// The request with the salt of its round in every bucket domain; its hash stays the same.
fn salted(request: &ReleaseRequest, sid: [u8; 32]) -> ReleaseRequest {
    let mut parts = parts_of(request);
    for domain in &mut parts.domains {
        if let Domain::Buckets { salt, .. } = domain {
            *salt = sid;
        }
    }
    let salted = ReleaseRequest::try_from(parts).unwrap();
    assert_eq!((salted.hash(), salted.family()), (request.hash(), request.family()));
    salted
}

/// A pooled request, admitted as a masked round of three hospitals.
pub(super) fn pooled(request: &ReleaseRequest) -> Admitted {
    let key = |seed: u8| SigningKey::from_seed([seed; 32]);
    let roster = roster(key);
    let own: HospitalId = "h-1".parse().unwrap();
    let round_key = RoundKey::from_slice(&[5; 32]).unwrap();
    let terms = Terms {
        region: "east".to_owned(),
        nonce_a: [1; 32],
        nonce_b: [2; 32],
        request: request.hash(),
        family: request.family(),
        round_key: round_key.commitment(),
        veiled: [0; 32],
        noise: None,
        witness_key: [3; 32],
        floor: Floor::of(&open_policy()).unwrap(),
        roster: roster.hash(),
        hospitals: roster.hospitals().keys().cloned().collect(),
        shape: Shape::of(request).unwrap(),
        lifetime_ms: 1_000,
    };
    let signatures = Signatures { coordinator: terms.sign(&key(1)), witness: terms.sign(&key(2)) };
    let guard_key = GuardSecret::from_slice(&[6; 32]).unwrap().key(&terms.sid());
    let request = salted(request, terms.sid());
    let terms = terms.vouched(&roster, &signatures).unwrap();
    let veil = Veil {
        key: VeilKey::from_slice(&[7; 32]).unwrap(),
        extents: BTreeMap::new(),
        constants: BTreeMap::new(),
    };
    let offer = Offer { request, terms, round_key, guard_key, veil };
    admit_round(offer, &open_policy(), &own, privacy::Leave::None).unwrap().admitted().clone()
}
