//! The catalogue: the data model, the region's rules, and the code lists that hospitals hold.

use std::collections::{BTreeMap, BTreeSet};

use model::schema::{Column, Grain, TABLES, Table};
use privacy::Policy;
use privacy::policy::Use;
use proto::v1;

/// Codes by table and column; a code is listed when some hospital holds its minimum of persons.
type Codes = BTreeMap<(String, String), BTreeSet<String>>;

/// The catalogue under the region's rules.
pub(crate) fn catalog(policy: &Policy, described: &[v1::DescribeResponse]) -> v1::CatalogResponse {
    let mut codes = Codes::new();
    for list in described.iter().flat_map(|one| &one.code_lists) {
        let key = (list.table.clone(), list.column.clone());
        codes.entry(key).or_default().extend(list.codes.iter().cloned());
    }
    let tables = TABLES.iter().map(|table| v1::CatalogTable {
        name: table.name.to_owned(),
        note: table.note.to_owned(),
        columns: table.columns.iter().map(|c| column(policy, table, c, &codes)).collect(),
    });
    v1::CatalogResponse { tables: tables.collect() }
}

fn column(policy: &Policy, table: &Table, column: &Column, codes: &Codes) -> v1::CatalogColumn {
    let may = |usage: Use| policy.allows_column(table.name, column.name, usage);
    let found = codes.get(&(table.name.to_owned(), column.name.to_owned()));
    let filterable = column.is_filterable() && may(Use::Filter);
    v1::CatalogColumn {
        name: column.name.to_owned(),
        r#type: column.column_type.as_str().to_owned(),
        kind: column.kind.as_str().to_owned(),
        note: column.note.to_owned(),
        groupable: (column.is_groupable() || column.is_calendar()) && may(Use::Group),
        filterable,
        measurable: column.is_measurable() && may(Use::Measure),
        conditions: if filterable { conditions(policy, column) } else { String::new() },
        codes: found.map(|codes| codes.iter().cloned().collect()).unwrap_or_default(),
    }
}

fn conditions(policy: &Policy, column: &Column) -> String {
    let grain = &policy.granularity;
    match column.grain {
        Grain::Code if column.prefixes.is_empty() => "=, <>, IN, LIKE 'prefix%'".to_owned(),
        Grain::Code => "=, <>, IN, LIKE 'prefix%', left(column, n)".to_owned(),
        Grain::Month => format!(
            ">=, < at the first day of a {0}; date_trunc('{0}', column)",
            grain.time.as_str()
        ),
        Grain::AgeBand => format!(">=, < with multiples of {} up to 90", grain.age_years),
        Grain::Whole => "=, <, >=, BETWEEN with whole numbers".to_owned(),
        Grain::Step(step) => format!(">=, < with multiples of {step}"),
        Grain::Amount => format!(">=, < with multiples of {}", grain.money),
        Grain::None => String::new(),
    }
}
