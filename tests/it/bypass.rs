//! The coordinator is bypassed: a valid coordinator certificate sends forbidden requests to a
//! node itself, for its own cells and in masked rounds that both authorities have signed. The node
//! decides alone, and nothing leaves.

mod forged;
mod messages;
mod rogue;

use model::RefusalCode;
use proto::v1::code_domain::Outside;
use proto::v1::measure::Kind;
use proto::{decode_request, v1};
use record::Archive;
use rogue::{Rogue, VICTIM};
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};
use tonic::Status;

const KEYS: &str = "stay.person_key AS person_key, stay.stay_key AS stay_key";
const COST_BOUND: u128 = 1_000_000_000_000;

/// A request that is fine: stays and cost by DRG group, of one hospital.
pub(crate) fn fine() -> v1::ReleaseRequest {
    let relation_sql =
        format!("SELECT stay.drg_code AS d0, stay.total_cost AS m0, {KEYS} FROM stay");
    v1::ReleaseRequest {
        version: 2,
        scope: v1::Scope::PerHospital.into(),
        asker: "ana".to_owned(),
        relation_sql,
        dimensions: vec!["drg_code".to_owned()],
        inputs: vec![input(COST_BOUND)],
        measures: vec![measure(Kind::Rows), measure(Kind::Sum)],
        deadline_ms: 20_000,
        domains: Vec::new(),
        supports: vec![0, 4],
        pack: None,
        step: None,
        growth: None,
        rho_micro: None,
        project: None,
    }
}

fn input(bound: u128) -> v1::Input {
    let scale = Some(v1::input::Scale::DecimalDigits(4));
    v1::Input { scale, bound: bound.to_le_bytes().to_vec(), money: true }
}

fn measure(kind: Kind) -> v1::Measure {
    v1::Measure { kind: kind.into(), x: 0, y: 0, bins: 0 }
}

/// A list of these codes and all others.
fn list(codes: &[&str]) -> v1::Domain {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    let list = v1::CodeDomain { codes, outside: Outside::Named.into() };
    v1::Domain { kind: Some(v1::domain::Kind::Codes(list)) }
}

/// `2^bits` buckets.
fn buckets(bits: u32, salt: usize) -> v1::Domain {
    let buckets = v1::BucketDomain { bits, level: 0, salt: vec![0; salt] };
    v1::Domain { kind: Some(v1::domain::Kind::Buckets(buckets)) }
}

/// The same request for masked cells, with a code list for each dimension.
fn masked(mut request: v1::ReleaseRequest) -> v1::ReleaseRequest {
    if request.scope() == v1::Scope::PerHospital {
        request.scope = v1::Scope::Pooled.into();
    }
    if request.domains.is_empty() {
        request.domains = request.dimensions.iter().map(|_| list(&["DA1", "DB2"])).collect();
    }
    request
}

/// The same request about another relation.
fn relation(sql: &str) -> v1::ReleaseRequest {
    v1::ReleaseRequest { relation_sql: sql.replace("KEYS", KEYS), ..fine() }
}

fn changed(change: impl FnOnce(&mut v1::ReleaseRequest)) -> v1::ReleaseRequest {
    let mut request = fine();
    change(&mut request);
    request
}

/// A request that is refused with this code.
type Case<'a> = (RefusalCode, &'a str, v1::ReleaseRequest);

/// Three hospitals of sixty stays each.
async fn region() -> (tempfile::TempDir, Region) {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = ["h-1", "h-2", "h-3"].map(|id| {
        HospitalSource::small(id, fixture::write(folder.path(), id, (0..60).map(Stay::plain)))
    });
    let region = Region::builder().hospitals(hospitals).start().await.unwrap();
    (folder, region)
}

/// What was found wrong, if anything.
fn met<T>(
    expected: RefusalCode,
    what: &str,
    outcome: Result<T, Status>,
    size: impl Fn(&T) -> usize,
) -> Option<String> {
    match outcome {
        Ok(answer) => Some(format!("{what}: ANSWERED with {}", size(&answer))),
        Err(status) => match service::status::refusal_of(&status) {
            Some(refusal) if refusal.code == expected => None,
            Some(refusal) => Some(format!("{what}: {expected} expected: {refusal}")),
            None => Some(format!("{what}: {expected} expected: {status:?}")),
        },
    }
}

/// The ways to a node's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `Release`, for the hospital's own cells.
    Own,
    /// `Release`, for cells that only a signed round opens.
    Unsigned,
    /// `Join`, with a round that both authorities have signed.
    Signed,
}

/// What of `cases` was not refused as it should be on `ways`. What is fine passes before and after.
async fn wrong_on(ways: &[Way], cases: &[Case<'_>]) -> Vec<String> {
    let (_folder, region) = region().await;
    let mut rogue = Rogue::of(&region);
    let fine_masked = decode_request(masked(fine())).unwrap();
    let mut wrong = Vec::new();
    for (code, what, request) in cases {
        for way in ways {
            let what = format!("{way:?}: {what}");
            wrong.extend(match way {
                Way::Own => met(*code, &what, rogue.release(request.clone()).await, Vec::len),
                Way::Unsigned => {
                    let request = masked(request.clone());
                    // What cannot be parsed is refused as that.
                    let parsed = decode_request(request.clone());
                    let code = parsed.map_or_else(|refusal| refusal.code, |_| RefusalCode::Offer);
                    met(code, &what, rogue.release(request).await, Vec::len)
                }
                Way::Signed => {
                    let offer = rogue.offer(masked(request.clone()), &fine_masked).await;
                    met(*code, &what, rogue.join(offer).await, Vec::len)
                }
            });
        }
    }
    let chunks = rogue.release(fine()).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.groups).sum::<u32>(), 1, "the fine one passes");
    let offer = rogue.offer(masked(fine()), &fine_masked).await;
    let upload = rogue.join(offer).await.unwrap();
    assert_eq!(upload.len(), privacy::Shape::of(&fine_masked).unwrap().bytes());
    assert_eq!(released(&region), ["masked", "clear"], "nothing else has left");
    wrong
}

/// The modes of what the victim has released, newest first.
fn released(region: &Region) -> Vec<String> {
    let file = region.site(VICTIM).folder().join("data").join(record::FILE);
    let rows = Archive::open(&file).unwrap().releases(1_000).unwrap();
    rows.into_iter().map(|row| row.mode).collect()
}

async fn all_refused(cases: Vec<Case<'_>>) {
    let wrong = wrong_on(&[Way::Own, Way::Unsigned, Way::Signed], &cases).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_outputs_are_refused() {
    use RefusalCode as C;
    let cases = [
        (C::Identity, "SELECT stay.person_key AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (C::Identity, "SELECT stay.stay_key AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (C::Identity, "SELECT stay.drg_code AS d0, stay.person_key AS m0, KEYS FROM stay"),
        (C::Grouping, "SELECT stay.total_cost AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (C::Grouping, "SELECT stay.los_days AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (C::Grouping, "SELECT stay.age_years AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (C::Grouping, "SELECT stay.discharged_at AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        (
            C::Function,
            "SELECT date_trunc('day', stay.discharged_at) AS d0, stay.total_cost AS m0, KEYS FROM stay",
        ),
        (C::Measure, "SELECT stay.drg_code AS d0, stay.sex AS m0, KEYS FROM stay"),
        (C::Measure, "SELECT stay.drg_code AS d0, stay.total_cost > 5 AS m0, KEYS FROM stay"),
        (C::Function, "SELECT stay.drg_code AS d0, abs(stay.total_cost) AS m0, KEYS FROM stay"),
        (C::Function, "SELECT stay.drg_code AS d0, random() AS m0, KEYS FROM stay"),
        (C::Function, "SELECT stay.drg_code AS d0, sum(stay.total_cost) AS m0, KEYS FROM stay"),
        (C::Function, "SELECT stay.drg_code AS d0, row_number() OVER () AS m0, KEYS FROM stay"),
        (C::Request, "SELECT stay.drg_code AS d0, stay.total_cost AS m0 FROM stay"),
        (C::Request, "SELECT stay.drg_code AS d0, KEYS FROM stay"),
        (
            C::Request,
            "SELECT stay.drg_code AS d0, stay.sex AS d1, stay.total_cost AS m0, KEYS FROM stay",
        ),
        (
            C::Request,
            "SELECT stay.drg_code AS d0, stay.total_cost AS m0, stay.stay_key AS person_key, stay.person_key AS stay_key FROM stay",
        ),
        (
            C::Request,
            "SELECT stay.drg_code AS d0, stay.total_cost AS m0, stay.stay_key AS person_key, stay.stay_key AS stay_key FROM stay",
        ),
        (
            C::Request,
            "SELECT stay.drg_code AS d0, stay.total_cost AS m0, 1 AS person_key, 2 AS stay_key FROM stay",
        ),
    ];
    all_refused(cases.map(|(code, sql)| (code, sql, relation(sql))).to_vec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_conditions_are_refused() {
    use RefusalCode as C;
    let cases = [
        (C::Identity, "WHERE stay.person_key = 7"),
        (C::Identity, "WHERE stay.person_key IN (7, 8)"),
        (C::Identity, "WHERE stay.stay_key < 7"),
        (C::Identity, "WHERE stay.person_key % 40 = 7"),
        (C::Granularity, "WHERE stay.age_years = 37"),
        (C::Granularity, "WHERE stay.age_years >= 37"),
        (C::Granularity, "WHERE stay.discharged_at >= '2024-03-05'"),
        (C::Granularity, "WHERE stay.total_cost >= 1234"),
        (C::Granularity, "WHERE stay.total_cost = 1200"),
        (C::Filter, "WHERE stay.total_cost >= stay.total_charge"),
        (C::Filter, "WHERE stay.total_cost >= (SELECT 1)"),
        (C::Filter, "WHERE stay.sex LIKE '%F%'"),
        (C::Filter, "WHERE stay.drg_code ~ 'D.*'"),
        (
            C::Filter,
            "WHERE stay.stay_key IN (SELECT stay.stay_key FROM stay WHERE stay.hospital_id = 'h-1')",
        ),
        (
            C::Identity,
            "WHERE stay.stay_key IN (SELECT stay.stay_key FROM stay WHERE stay.person_key = 7)",
        ),
    ];
    let sql = |condition: &str| {
        format!("SELECT stay.drg_code AS d0, stay.total_cost AS m0, KEYS FROM stay {condition}")
    };
    let long = format!("WHERE stay.drg_code = '{}'", "x".repeat(81));
    let numbers: Vec<_> = (0..501).map(|n| format!("'{n}'")).collect();
    let many = format!("WHERE stay.drg_code IN ({})", numbers.join(", "));
    let mut requests: Vec<_> = cases.map(|(code, c)| (code, c, relation(&sql(c)))).to_vec();
    requests.push((C::Bounds, "a long text", relation(&sql(&long))));
    requests.push((C::Bounds, "many literals", relation(&sql(&many))));
    all_refused(requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_statements_and_clauses_are_refused() {
    use RefusalCode as C;
    const ROW: &str = "SELECT stay.drg_code AS d0, stay.total_cost AS m0, KEYS FROM stay";
    let with = |rest: &str| ROW.to_owned() + rest;
    let cases = [
        (C::Statement, "DROP TABLE stay".to_owned()),
        (C::Statement, format!("CREATE TABLE leak AS {ROW}")),
        (C::Statement, format!("CREATE VIEW leak AS {ROW}")),
        (C::Statement, "CREATE EXTERNAL TABLE leak STORED AS CSV LOCATION '/tmp/x'".to_owned()),
        (C::Statement, format!("COPY ({ROW}) TO '/tmp/leak.csv'")),
        (C::Statement, format!("INSERT INTO stay {ROW}")),
        (C::Statement, format!("EXPLAIN {ROW}")),
        (C::Statement, format!("EXPLAIN ANALYZE {ROW}")),
        (C::Statement, "SET datafusion.catalog.information_schema = true".to_owned()),
        (C::Syntax, with("; DROP TABLE stay")),
        (C::Syntax, "not sql".to_owned()),
        (C::Syntax, String::new()),
        (C::Clause, with(" UNION ALL ") + ROW),
        (C::Clause, with(" LIMIT 1")),
        (C::Clause, with(" ORDER BY 2 DESC")),
        (C::Clause, with(" GROUP BY 1, 2, 3, 4")),
        (C::Clause, ROW.replace("SELECT", "SELECT DISTINCT")),
        (C::Clause, format!("WITH RECURSIVE r AS ({ROW}) SELECT * FROM r")),
        (C::UnknownName, ROW.replace("FROM stay", "FROM stays AS stay")),
        (C::UnknownName, ROW.replace("FROM stay", "FROM information_schema.tables AS stay")),
        (C::UnknownName, ROW.replace("FROM stay", "FROM '/etc/passwd' AS stay")),
        (C::UnknownName, ROW.replace("stay.drg_code", "stay.name")),
        (C::Function, ROW.replace("FROM stay", "FROM generate_series(1, 9) AS stay")),
        (C::Join, with(", fee")),
        (C::Join, with(" LEFT JOIN fee ON stay.stay_key = fee.stay_key")),
        (C::Join, with(" JOIN fee ON stay.person_key = fee.person_key")),
        (C::Join, with(" JOIN fee ON stay.drg_code = fee.class")),
    ];
    let named: Vec<_> = cases.iter().map(|(code, sql)| (*code, &**sql, relation(sql))).collect();
    all_refused(named).await;
}
