//! The command line client against a real region: what it prints and how it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const SQL: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost, avg(los_days) AS los \
                   FROM stay GROUP BY 1";
const BY_HOSPITAL: &str = "SELECT hospital_id, count(*) AS n FROM stay GROUP BY 1";

pub(crate) async fn consilium(words: &[&str]) -> Output {
    let words: Vec<_> = ["cli"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let run = move || Command::new(EXE).args(words).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The folder that a user gets.
pub(crate) fn user_folder(region: &Region, at: &Path) -> PathBuf {
    let folder = at.join("user");
    std::fs::create_dir(&folder).unwrap();
    let identity = region.user_identity();
    let text = format!(
        "region = \"test\"\ncoordinator = \"{}\"\n[identity]\ncertificate = {:?}\nkey = {:?}\n\
         authority = {:?}\n",
        region.coordinator_address(),
        identity.certificate,
        identity.key,
        identity.authority
    );
    std::fs::write(folder.join("client.toml"), text).unwrap();
    folder
}

/// A region of five, and the program of a user of it.
struct Desk {
    folder: tempfile::TempDir,
    region: Region,
    user: String,
}

impl Desk {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hospitals = ["h-1", "h-2", "h-3", "h-4", "h-5"].map(|id| {
            HospitalSource::small(id, fixture::write(folder.path(), id, (0..30).map(Stay::plain)))
        });
        let region = Region::builder().hospitals(hospitals).start().await.unwrap();
        let user = user_folder(&region, folder.path()).to_str().unwrap().to_owned();
        Self { folder, region, user }
    }

    async fn query(&self, sql: &str) -> Output {
        let words = ["query", "--region", &self.user, sql, "--format", "json", "--deadline", "20s"];
        consilium(&words).await
    }

    async fn answer(&self, sql: &str) -> Value {
        let output = self.query(sql).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The question ends with `code`, has said `text`, and has printed nothing else.
    async fn fails(&self, sql: &str, code: i32, text: &str) {
        let output = self.query(sql).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
        assert!(said.contains(text), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_a_stable_shape() {
    let desk = Desk::open().await;
    let answer = desk.answer(SQL).await;
    let names: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["drg_code", "n", "cost", "los"]);
    let row = &answer["rows"][0];
    assert_eq!((&row["drg_code"], &row["n"]), (&"DA1".into(), &150.into()));
    assert_eq!(row["cost"], "152175.0000", "exact decimals are text");
    assert!(row["los"].is_f64());
    let release = &answer["release"];
    assert_eq!((&release["scope"], &release["mode"]), (&"pooled".into(), &"masked".into()));
    assert_eq!(release["hospitals"], json!({"asked": 5, "answered": 5, "missing": []}));
    assert_eq!(release["cells"], json!({"released": 1, "withheld": 0}), "of the region");
    assert_eq!(release["sids"][0].as_str().map(str::len), Some(64));
    assert_eq!(release["stays_coverage"], 1.0);
    assert!(release["id"].is_string() && release["elapsed_ms"].is_u64());

    let answer = desk.answer(BY_HOSPITAL).await;
    assert_eq!(answer["rows"][4], json!({"hospital_id": "h-5", "n": 30}));
    let release = &answer["release"];
    assert_eq!((&release["scope"], &release["mode"]), (&"per_hospital".into(), &"clear".into()));
    assert_eq!(release["cells"], json!({"released": 5, "withheld": 0}), "of hospitals");
    assert_eq!(release.get("sids"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ending_has_its_code() {
    let desk = Desk::open().await;
    let other = SQL.replace("FROM stay", "FROM stay WHERE los_days < 900");
    assert_eq!(desk.query(SQL).await.status.code(), Some(0));
    desk.fails("SELECT max(total_cost) FROM stay", 77, "max").await;
    assert_eq!(consilium(&["query", "--no-such-option"]).await.status.code(), Some(64));
    let nowhere = desk.folder.path().join("nowhere");
    let nowhere = ["query", "--region", nowhere.to_str().unwrap(), "SELECT 1"];
    assert_eq!(consilium(&nowhere).await.status.code(), Some(78));

    desk.region.site("h-2").stop().await;
    let missing = json!([{"hospital": "h-2", "reason": "unreachable"}]);
    let answer = desk.answer(&other).await;
    assert_eq!(answer["release"]["hospitals"]["missing"], missing);
    assert_eq!(answer["rows"][0]["n"], 120);
    // Five hospitals less four is one: the same question is not opened over fewer.
    desk.fails(SQL, 77, "quorum").await;

    desk.region.stop_witness().await;
    desk.fails(&other, 69, "witness").await;
    assert_eq!(desk.answer(BY_HOSPITAL).await["release"]["hospitals"]["missing"], missing);
    desk.region.start_witness(None).await.unwrap();
    assert_eq!(desk.answer(&other).await["rows"][0]["n"], 120);

    for id in ["h-1", "h-3", "h-4", "h-5"] {
        desk.region.site(id).stop().await;
    }
    for sql in [other.as_str(), BY_HOSPITAL] {
        desk.fails(sql, 69, "none of 5 hospitals answered").await;
    }
}
