//! A hospital with a few made-up stays, for requests that come as far as its rows.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::manifest::HospitalRecord;
use node::ingest::{self, DEFAULT_ACCURACY_FLOOR, IngestRequest};
use privacy::Policy;
use query::engine::{Engine, Limits, runtime};

const STAYS: u32 = 60;
/// Memory of all questions together; a fuzzer has other limits of its own.
const MEMORY_BYTES: usize = 256 << 20;

/// Stays of 30 persons, with all values that conditions of the seeds name somewhere.
fn source() -> String {
    let mut text = "stay_id,person_id,admitted_at,discharged_at,los_days,age_years,sex,payer,died,\
                    principal_diagnosis,diagnosis_2,drg_code,total_cost,fee_drug,fee_consumable\n"
        .to_owned();
    for stay in 0..STAYS {
        let (person, month) = (stay / 2, 1 + stay % 12);
        let (los, age, cost) = (1 + stay % 20, stay, 1_000 + 10 * stay);
        let sex = ["F", "M", ""][stay as usize % 3];
        let drg = ["039", "DA1", ""][stay as usize % 3];
        let died = stay % 7 == 0;
        text += &format!(
            "s{stay},p{person},2024-{month:02}-01 08:00:00,2024-{month:02}-{:02} 09:00:00,{los},\
             {age},{sex},UEBMI,{died},I10,K35.8,{drg},{cost}.50,10.00,1.25\n",
            1 + los
        );
    }
    text
}

/// An engine over those stays.
pub(crate) fn engine(policy: Policy) -> Arc<Engine> {
    let folder = tempfile::tempdir().unwrap();
    let source_file = folder.path().join("source.csv");
    std::fs::write(&source_file, source()).unwrap();
    let hospital = HospitalRecord {
        id: "h-1".parse().unwrap(),
        tier: "tertiary".to_owned(),
        county: "East".to_owned(),
    };
    let request = IngestRequest {
        source: source_file,
        mapping: concat!(env!("CARGO_MANIFEST_DIR"), "/../mappings/small").to_owned(),
        hospital,
        data_dir: folder.path().join("data"),
        key_file: folder.path().join("hmac.key"),
        encoding: None,
        dip_list: None,
        accuracy_floor: DEFAULT_ACCURACY_FLOOR,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        threads: 1,
    };
    let report = ingest::run(&request, &mut |_| {}).unwrap();
    let limits = Limits {
        threads: 1,
        memory_bytes: MEMORY_BYTES,
        spill_folder: folder.path().join("spill"),
        spill_bytes: 0,
    };
    let runtime = runtime(&limits).unwrap();
    // Its tables are small enough to be in memory, so the files may go.
    Arc::new(Engine::open(&report.folder, report.manifest, policy, 1, runtime).unwrap())
}
