//! The coordinator is bypassed: a valid coordinator certificate sends forbidden requests to a
//! node itself. The node decides alone, and nothing leaves.

use model::{RefusalCode, Role};
use proto::v1;
use proto::v1::measure::Kind;
use proto::v1::node_client::NodeClient;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region, peer};
use tonic::transport::Channel;
use tonic::{Code, Status};

const KEYS: &str = "stay.person_key AS person_key, stay.stay_key AS stay_key";
const COST_BOUND: u128 = 1_000_000_000_000;

/// A request that is fine: stays and cost by DRG group.
fn fine() -> v1::ReleaseRequest {
    let relation_sql =
        format!("SELECT stay.drg_code AS d0, stay.total_cost AS m0, {KEYS} FROM stay");
    v1::ReleaseRequest {
        version: 1,
        scope: v1::Scope::Pooled.into(),
        asker: "ana".to_owned(),
        relation_sql,
        dimensions: vec!["drg_code".to_owned()],
        inputs: vec![input(COST_BOUND)],
        measures: vec![measure(Kind::Rows), measure(Kind::Sum)],
        deadline_ms: 20_000,
    }
}

fn input(bound: u128) -> v1::Input {
    let scale = Some(v1::input::Scale::DecimalDigits(4));
    v1::Input { scale, bound: bound.to_le_bytes().to_vec() }
}

fn measure(kind: Kind) -> v1::Measure {
    v1::Measure { kind: kind.into(), x: 0, y: 0 }
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

async fn release(
    client: &mut NodeClient<Channel>,
    request: v1::ReleaseRequest,
) -> Result<Vec<v1::ReleaseChunk>, Status> {
    let mut stream = client.release(request).await?.into_inner();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.message().await? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

async fn node() -> (tempfile::TempDir, Region, NodeClient<Channel>) {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", (0..60).map(Stay::plain));
    let hospital = HospitalSource::small("h-1", source);
    let region = Region::builder().hospitals([hospital]).start().await.unwrap();
    let client = region.node_client_as("h-1", &peer(Role::Coordinator, "main")).unwrap();
    (folder, region, client)
}

async fn all_refused(requests: Vec<(RefusalCode, &str, v1::ReleaseRequest)>) {
    let (_folder, _region, mut client) = node().await;
    let chunks = release(&mut client, fine()).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.groups).sum::<u32>(), 1, "the fine one passes");
    let mut wrong = Vec::new();
    for (code, what, request) in requests {
        match release(&mut client, request).await {
            Ok(chunks) => wrong.push(format!("{what}: ANSWERED {chunks:?}")),
            Err(status) => match service::status::refusal_of(&status) {
                Some(refusal) if refusal.code == code => {}
                Some(refusal) => wrong.push(format!("{what}: {code} expected: {refusal}")),
                None => wrong.push(format!("{what}: {code} expected: {status:?}")),
            },
        }
    }
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
        (C::Scope, "WHERE stay.hospital_id = 'h-1'"),
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

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    use RefusalCode as C;
    let cases = vec![
        (C::Request, "version 99", changed(|r| r.version = 99)),
        (C::Request, "version 0", changed(|r| r.version = 0)),
        (C::Request, "no scope", changed(|r| r.scope = 0)),
        (C::Request, "unknown scope", changed(|r| r.scope = 77)),
        (C::Request, "no asker", changed(|r| r.asker.clear())),
        (C::Request, "a long asker", changed(|r| r.asker = "a".repeat(65))),
        (C::Request, "a kind of measure", changed(|r| r.measures[0].kind = 99)),
        (C::Request, "no scale", changed(|r| r.inputs[0].scale = None)),
        (C::Request, "a short bound", changed(|r| r.inputs[0].bound = vec![1])),
        (
            C::Request,
            "another scale than the column's",
            changed(|r| r.inputs[0].scale = Some(v1::input::Scale::DecimalDigits(2))),
        ),
        (
            C::Request,
            "a binary scale for a decimal",
            changed(|r| r.inputs[0].scale = Some(v1::input::Scale::BinaryBits(40))),
        ),
        (C::Request, "another number of dimensions", changed(|r| r.dimensions.clear())),
        (C::TooLarge, "a bound that overflows", changed(|r| r.inputs = vec![input(1 << 100)])),
        (C::TooLarge, "a bound of zero", changed(|r| r.inputs = vec![input(0)])),
        (
            C::TooLarge,
            "squares that overflow",
            changed(|r| {
                r.inputs = vec![input(1 << 60)];
                r.measures = vec![measure(Kind::Squares)];
            }),
        ),
        (C::TooLarge, "65 inputs", changed(|r| r.inputs = vec![input(COST_BOUND); 65])),
        (C::TooLarge, "65 measures", changed(|r| r.measures = vec![measure(Kind::Rows); 65])),
        (C::TooLarge, "9 dimensions", changed(|r| r.dimensions = vec!["d".to_owned(); 9])),
        (C::TooLarge, "an input that is not there", changed(|r| r.measures[1].x = 1)),
        (C::Bounds, "a long SQL", changed(|r| r.relation_sql.push_str(&" ".repeat(64 * 1024)))),
        (
            C::Scope,
            "pooled, but naming hospitals",
            relation("SELECT stay.hospital_id AS d0, stay.total_cost AS m0, KEYS FROM stay"),
        ),
    ];
    all_refused(cases).await;
    let (_folder, _region, mut client) = node().await;
    let late = release(&mut client, changed(|r| r.deadline_ms = 0)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}
