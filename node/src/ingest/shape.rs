//! Which result column of a mapping fills which governed column.

use arrow::datatypes::Schema;
use model::manifest::HospitalRecord;
use model::schema::{Column, ColumnType, HOSPITAL_ID, Kind, Table};
use query::mapping::nearest;

use super::error::IngestError;

/// Columns every mapping file gives beside governed ones.
const LINE: &str = "line";
const STAY_ID: &str = "stay_id";
const PERSON_ID: &str = "person_id";

/// Where the values of a governed column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Result column at this position.
    Given(usize),
    /// The same for every row: an attribute of the hospital.
    Constant(String),
    /// A key; made from `stay_id` and `person_id`.
    Key,
    /// Nothing gives it; ingest may derive it, else it is NULL.
    Absent,
}

/// A governed table seen from one mapping file.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) table: &'static Table,
    pub(crate) line: usize,
    pub(crate) stay_id: usize,
    /// Present for the stay table; the others take the person of their stay.
    pub(crate) person_id: Option<usize>,
    /// One for each governed column.
    pub(crate) origins: Vec<Origin>,
}

impl Shape {
    /// Matches a statement's result with the table.
    pub(crate) fn new(
        table: &'static Table,
        result: &Schema,
        hospital: &HospitalRecord,
    ) -> Result<Self, IngestError> {
        let fail = |reason| IngestError::Mapping { name: format!("{}.sql", table.name), reason };
        for (position, field) in result.fields().iter().enumerate() {
            let repeated = result.fields().iter().take(position).any(|f| f.name() == field.name());
            let reason = if repeated {
                Some(format!("gives column {} twice", field.name()))
            } else {
                refuse(table, field.name())
            };
            if let Some(reason) = reason {
                return Err(fail(reason));
            }
        }
        let find = |name: &str| result.fields().iter().position(|field| field.name() == name);
        let must = |name: &str| find(name).ok_or_else(|| fail(format!("gives no column {name}")));
        let person_id = if table.one_row_per_stay { Some(must(PERSON_ID)?) } else { None };
        let mut origins = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            let origin = match (column.column_type, column.kind) {
                (ColumnType::Key, _) => Origin::Key,
                (_, Kind::Local) => Origin::Constant(local(column, hospital)),
                _ if column.required => Origin::Given(must(column.name)?),
                _ => find(column.name).map_or(Origin::Absent, Origin::Given),
            };
            origins.push(origin);
        }
        Ok(Self { table, line: must(LINE)?, stay_id: must(STAY_ID)?, person_id, origins })
    }

    /// Position of a governed column.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.table.columns.iter().position(|column| column.name == name)
    }
}

fn local(column: &Column, hospital: &HospitalRecord) -> String {
    match column.name {
        HOSPITAL_ID => hospital.id.to_string(),
        "hospital_tier" => hospital.tier.clone(),
        _ => hospital.county.clone(),
    }
}

/// Why a result column has no place in the table.
fn refuse(table: &Table, name: &str) -> Option<String> {
    if [LINE, STAY_ID, PERSON_ID].contains(&name) {
        return None;
    }
    match table.column(name) {
        Some(column) if column.kind == Kind::Id => {
            Some(format!("gives {name}: keys are made by ingest from stay_id and person_id"))
        }
        Some(column) if column.kind == Kind::Local => {
            Some(format!("gives {name}: it comes from the hospital's record, leave it out"))
        }
        Some(_) => None,
        None => {
            let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
            let near = nearest(name, &names).join(", ");
            Some(format!("gives {name}, which the table {} has not; nearest: {near}", table.name))
        }
    }
}
