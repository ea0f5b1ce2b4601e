//! Small counts in log lines: what is asked for and what is withheld stays out of every log, and
//! out of every record.

use std::path::Path;

use tests::fixture;
use tests::{HospitalSource, Region};

use super::{SPREAD, stays};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
const SECRET: &str = "SECRET7";

/// The files of a party's record that hold [`SECRET`].
fn records_with_secret(data: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let records = entries.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(record::FILE) && path.is_file()
    });
    let mut found = 0;
    let holds = records.filter(|path| {
        found += 1;
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    });
    let holds = holds.map(|path| path.display().to_string()).collect();
    assert!(found > 0, "{} holds no record", data.display());
    holds
}

#[tokio::test(flavor = "multi_thread")]
async fn no_literal_no_code_and_no_sql_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = SPREAD.map(|id| {
        let few = stays(60, 3, |stay| stay.drg = SECRET);
        HospitalSource::small(id, fixture::write(folder.path(), id, few))
    });
    let builder = Region::builder().hospitals(hospitals).node_processes(EXE);
    let builder = builder.coordinator_process(EXE).witness_process(EXE);
    let region = builder.start().await.unwrap();
    for sql in [
        "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1",
        "SELECT hospital_id, drg_code, count(*) AS n FROM stay GROUP BY 1, 2",
        "SELECT count(*) AS n FROM stay WHERE drg_code = 'SECRET7'",
        "SELECT hospital_id, count(*) AS n FROM stay WHERE drg_code = 'SECRET7' GROUP BY 1",
        "SELECT max(total_cost) FROM stay WHERE drg_code = 'SECRET7'",
        "SELECT payer, sum(total_cost) / 0 AS n FROM stay WHERE drg_code <> 'SECRET7' GROUP BY 1",
    ] {
        let _ = region.ask(sql).await;
    }
    let mut processes = Vec::from(SPREAD.map(|id| region.site(id).terminate()));
    processes.push(region.terminate_coordinator());
    processes.push(region.terminate_witness());
    for process in &mut processes {
        assert_eq!(process.exit_code().await, Some(0));
        let log = process.log();
        assert!(log.contains("asked to stop") && !log.contains(SECRET), "{log}");
        assert!(!log.contains("SELECT") && !log.contains("WHERE"), "{log}");
    }
    let nodes = region.sites().iter().map(|site| site.folder().join("data"));
    let others = ["coordinator/data", "witness/data"].map(|data| region.folder().join(data));
    for data in nodes.chain(others) {
        assert!(records_with_secret(&data).is_empty(), "{:?}", records_with_secret(&data));
    }
}
