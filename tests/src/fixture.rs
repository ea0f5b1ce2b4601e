//! Small sources, written by code, for the mapping in `tests/mappings/small`.

use std::path::{Path, PathBuf};

/// One row of a source.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Stays are told apart by it.
    pub stay: String,
    /// Persons are told apart by it.
    pub person: String,
    /// `drg_code`.
    pub drg: &'static str,
    /// `F` or `M`.
    pub sex: &'static str,
    /// `payer`.
    pub payer: &'static str,
    /// Month of admission and discharge in 2024.
    pub month: u8,
    /// Length of stay, 1 to 25 days.
    pub los_days: u32,
    /// Age.
    pub age_years: u32,
    /// Whether the person died.
    pub died: bool,
    /// `principal_diagnosis`; empty for none.
    pub diagnosis: &'static str,
    /// The second diagnosis; empty for none.
    pub diagnosis_2: &'static str,
    /// `total_cost` in hundredths.
    pub cost_cents: i64,
    /// Fee of class `western_drug` in hundredths.
    pub drug_cents: i64,
}

impl Stay {
    /// The stay number `number` of a person of their own: plain, in DRG `DA1`, costing
    /// 1000 + `number`.
    #[must_use]
    pub fn plain(number: u32) -> Self {
        Self {
            stay: format!("s{number}"),
            person: format!("p{number}"),
            drg: "DA1",
            sex: if number.is_multiple_of(2) { "F" } else { "M" },
            payer: "UEBMI",
            month: 3,
            los_days: 1 + number % 9,
            age_years: 20 + number % 60,
            died: false,
            diagnosis: "I10",
            diagnosis_2: "",
            cost_cents: 100_000 + 100 * i64::from(number),
            drug_cents: 10_000,
        }
    }

    fn fields(&self) -> Vec<String> {
        let money = |cents: i64| format!("{}.{:02}", cents / 100, cents % 100);
        vec![
            self.stay.clone(),
            self.person.clone(),
            format!("2024-{:02}-02 08:00:00", self.month),
            format!("2024-{:02}-{:02} 10:00:00", self.month, 2 + self.los_days),
            self.los_days.to_string(),
            self.age_years.to_string(),
            self.sex.to_owned(),
            self.payer.to_owned(),
            self.died.to_string(),
            self.diagnosis.to_owned(),
            self.diagnosis_2.to_owned(),
            self.drg.to_owned(),
            money(self.cost_cents),
            money(self.drug_cents),
            "1.00".to_owned(),
        ]
    }
}

const HEADER: [&str; 15] = [
    "stay_id",
    "person_id",
    "admitted_at",
    "discharged_at",
    "los_days",
    "age_years",
    "sex",
    "payer",
    "died",
    "principal_diagnosis",
    "diagnosis_2",
    "drg_code",
    "total_cost",
    "fee_drug",
    "fee_consumable",
];

/// The folder of the mapping.
#[must_use]
pub fn mapping() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/small").to_owned()
}

/// The folder of the same mapping with a grouper scheme, made in `folder`.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn mapping_with(folder: &Path, scheme: &str) -> String {
    let made = folder.join(scheme);
    std::fs::create_dir(&made).expect("a folder without it");
    for entry in std::fs::read_dir(mapping()).expect("the mapping") {
        let path = entry.expect("a file of the mapping").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let named = format!("    '{scheme}' AS drg_scheme,\n    drg_code,");
        let text = text.replace("    drg_code,", &named);
        std::fs::write(made.join(path.file_name().expect("a name")), text).expect("a copy");
    }
    made.to_str().expect("a path in Unicode").to_owned()
}

/// Writes `stays` to `folder/name.csv`.
///
/// # Panics
/// When the file cannot be written.
pub fn write(folder: &Path, name: &str, stays: impl IntoIterator<Item = Stay>) -> PathBuf {
    let path = folder.join(format!("{name}.csv"));
    let mut writer = csv::Writer::from_path(&path).expect("a writable folder");
    writer.write_record(HEADER).expect("a writable file");
    for stay in stays {
        writer.write_record(stay.fields()).expect("a writable file");
    }
    writer.flush().expect("a writable file");
    path
}
