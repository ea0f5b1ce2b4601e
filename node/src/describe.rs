//! What a node says about itself: sizes and code lists, both through the same gate as cells.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::manifest::ListRecord;
use model::schema::{
    ColumnType, DRG_SCHEME, Kind, PERSON_KEY, STAY_KEY, TABLES, Table, UNNAMED_SCHEME,
};
use privacy::project::CODE_LISTS;
use privacy::request::{RequestParts, Scope};
use privacy::{Leave, Measure, Policy, ReleaseRequest, admit};
use proto::v1;
use query::engine::Engine;

use crate::answer::Desk;

/// What was found in the snapshot in force.
type Known<T> = Mutex<HashMap<String, Arc<T>>>;
/// Code lists of the snapshots that have been asked for, by snapshot id.
pub(crate) type CodeLists = Known<Vec<v1::CodeList>>;

/// Rows per table; zero below the hospital's minimum.
pub(crate) fn table_sizes(engine: &Engine, policy: &Policy) -> Vec<v1::TableSize> {
    let minimum = u64::from(policy.minimum.stays.unwrap_or(u32::MAX));
    let tables = engine.manifest().tables.iter();
    tables
        .map(|(name, record)| v1::TableSize {
            table: name.clone(),
            rows: if record.rows >= minimum { record.rows } else { 0 },
        })
        .collect()
}

/// Grouper schemes of the snapshots that have been asked for, by snapshot and minima.
pub(crate) type Schemes = Known<Vec<String>>;

const DRG_CODE: &str = "drg_code";
/// Most schemes that a hospital names, and the longest name in bytes.
const MAX_SCHEMES: usize = 8;
const MAX_SCHEME_BYTES: usize = 64;

/// Grouper name@version of the groups in its stays, as far as enough persons have them: through the
/// same gate as cells, because a wrong mapping could put anything there.
pub(crate) async fn drg_schemes(
    desk: &Desk,
    known: &Schemes,
    engine: &Arc<Engine>,
    policy: &Policy,
) -> Arc<Vec<String>> {
    let id = id_of(engine, policy);
    if let Some(found) = recall(known, &id) {
        return found;
    }
    let stays = TABLES.iter().find(|table| table.one_row_per_stay);
    let Some(stays) = stays else { return Arc::default() };
    let mut schemes = released_codes(desk, engine, policy, stays, DRG_SCHEME).await;
    schemes.retain(|scheme| scheme.len() <= MAX_SCHEME_BYTES);
    schemes.truncate(MAX_SCHEMES);
    let grouped = released_codes(desk, engine, policy, stays, DRG_CODE);
    if schemes.is_empty() && !grouped.await.is_empty() {
        // Groups of a scheme that the mapping does not name are nobody else's.
        schemes.push(UNNAMED_SCHEME.to_owned());
    }
    remember(known, id, schemes)
}

/// What is known under `id`, which names snapshot and minima.
fn recall<T>(known: &Known<T>, id: &str) -> Option<Arc<T>> {
    known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
}

/// Keeps what was found; of earlier snapshots nothing is asked any more.
fn remember<T>(known: &Known<T>, id: String, found: T) -> Arc<T> {
    let found = Arc::new(found);
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.clear();
    known.insert(id, Arc::clone(&found));
    found
}

fn id_of(engine: &Engine, policy: &Policy) -> String {
    format!("{} {:?}", engine.manifest().snapshot_id, policy.minimum)
}

/// The codes of a column that pass the gate, ascending.
async fn released_codes(
    desk: &Desk,
    engine: &Arc<Engine>,
    policy: &Policy,
    table: &Table,
    column: &str,
) -> Vec<String> {
    ask(desk, engine, policy, table, column).await.unwrap_or_default()
}

/// The DIP list by which stays are coded, as `name@version#hash`.
pub(crate) fn dip_list(list: &ListRecord) -> String {
    format!("{}@{}#{}", list.name, list.version, list.hash)
}

/// The codes of every dimension that pass the gate, each found by an ordinary request.
pub(crate) async fn code_lists(
    desk: &Desk,
    known: &CodeLists,
    engine: &Arc<Engine>,
    policy: &Policy,
) -> Arc<Vec<v1::CodeList>> {
    let id = id_of(engine, policy);
    if let Some(found) = recall(known, &id) {
        return found;
    }
    let mut lists = Vec::new();
    for table in TABLES {
        // Hierarchical codes are too many to be shown to people.
        let listed = table.columns.iter().filter(|column| {
            let text = column.column_type == ColumnType::Text && column.levels == 0;
            text && column.kind == Kind::Dimension
        });
        for column in listed {
            let codes = released_codes(desk, engine, policy, table, column.name).await;
            if !codes.is_empty() {
                let (table, column) = (table.name.to_owned(), column.name.to_owned());
                lists.push(v1::CodeList { table, column, codes });
            }
        }
    }
    remember(known, id, lists)
}

async fn ask(
    desk: &Desk,
    engine: &Arc<Engine>,
    policy: &Policy,
    table: &Table,
    column: &str,
) -> Option<Vec<String>> {
    let name = table.name;
    let relation_sql = format!(
        "SELECT {name}.{column} AS d0, {name}.{PERSON_KEY} AS {PERSON_KEY}, \
         {name}.{STAY_KEY} AS {STAY_KEY} FROM {name}"
    );
    let parts = RequestParts {
        scope: Scope::PerHospital,
        asker: CODE_LISTS.to_owned(),
        relation_sql,
        dimensions: vec![column.to_owned()],
        domains: Vec::new(),
        inputs: Vec::new(),
        measures: vec![Measure::Rows],
        supports: vec![0],
    };
    let request = ReleaseRequest::try_from(parts).ok()?;
    // Nobody asks this but the node itself, whatever questions it answers.
    let own = Policy { questions: Policy::answering().questions, ..policy.clone() };
    let admitted = admit(request, &own, Leave::None).ok()?;
    let partial = desk.compute(Arc::clone(engine), admitted).await.ok()?;
    Some(privacy::gate::codes(partial))
}
