//! The command line client against a real region: what it prints and how it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const SQL: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost, avg(los_days) AS los \
                   FROM stay GROUP BY 1";

async fn consilium(words: &[&str]) -> Output {
    let words: Vec<_> = ["cli"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let run = move || Command::new(EXE).args(words).output().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The folder that a user gets.
fn user_folder(region: &Region, at: &Path) -> PathBuf {
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

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_a_stable_shape_and_endings_a_code() {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = ["h-1", "h-2"].map(|id| {
        HospitalSource::small(id, fixture::write(folder.path(), id, (0..30).map(Stay::plain)))
    });
    let region = Region::builder().hospitals(hospitals).start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let query = async |sql: &str| {
        consilium(&["query", "--region", user, sql, "--format", "json", "--deadline", "20s"]).await
    };

    let output = query(SQL).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["drg_code", "n", "cost", "los"]);
    let row = &answer["rows"][0];
    assert_eq!((&row["drg_code"], &row["n"]), (&"DA1".into(), &60.into()));
    assert_eq!(row["cost"], "60870.0000", "exact decimals are text");
    assert!(row["los"].is_f64());
    let release = &answer["release"];
    assert_eq!((&release["scope"], &release["mode"]), (&"pooled".into(), &"clear".into()));
    assert_eq!(release["hospitals"]["answered"], 2);
    assert_eq!(release["hospitals"]["missing"], serde_json::json!([]));
    assert_eq!(release["cells"], serde_json::json!({"released": 2, "withheld": 0}));
    assert_eq!(release["stays_coverage"], 1.0);
    assert!(release["id"].is_string() && release["elapsed_ms"].is_u64());

    assert_eq!(query("SELECT max(total_cost) FROM stay").await.status.code(), Some(77));
    assert_eq!(consilium(&["query", "--no-such-option"]).await.status.code(), Some(64));
    let nowhere = ["query", "--region", "/no/such", "SELECT 1"];
    assert_eq!(consilium(&nowhere).await.status.code(), Some(78));

    region.site("h-2").stop().await;
    let output = query(SQL).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing = serde_json::json!([{"hospital": "h-2", "reason": "unreachable"}]);
    assert_eq!(answer["release"]["hospitals"]["missing"], missing);
    region.site("h-1").stop().await;
    let output = query(SQL).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(69), 0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("none of 2 hospitals answered"), "{said}");
}
