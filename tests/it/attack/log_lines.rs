//! Small counts in log lines: what is asked for and what is withheld stays out of every log.

use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use super::stays;

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");

#[tokio::test(flavor = "multi_thread")]
async fn no_literal_no_code_and_no_sql_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let few: Vec<Stay> = stays(60, 7, |stay| stay.drg = "SECRET7");
    let hospital = HospitalSource::small("h-1", fixture::write(folder.path(), "h-1", few));
    let builder = Region::builder().hospitals([hospital]);
    let region = builder.node_processes(EXE).coordinator_process(EXE).start().await.unwrap();
    for sql in [
        "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1",
        "SELECT count(*) AS n FROM stay WHERE drg_code = 'SECRET7'",
        "SELECT max(total_cost) FROM stay WHERE drg_code = 'SECRET7'",
        "SELECT payer, sum(total_cost) / 0 AS n FROM stay WHERE drg_code <> 'SECRET7' GROUP BY 1",
    ] {
        let _ = region.ask(sql).await;
    }
    for mut process in [region.site("h-1").terminate(), region.terminate_coordinator()] {
        assert_eq!(process.exit_code().await, Some(0));
        let log = process.log();
        assert!(log.contains("asked to stop") && !log.contains("SECRET7"), "{log}");
        assert!(!log.contains("SELECT") && !log.contains("drg_code"), "{log}");
    }
}
