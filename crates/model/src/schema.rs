//! The common data model: the governed tables, their columns, and what may be done with each.
//!
//! This is the one place that says which column identifies a person, which may be grouped by,
//! filtered or measured, and how finely. The analyst's catalogue, the planner's empty tables, the
//! ingest's type checks and the node's policy walk all read it. Source: DOMAIN, section 1.

pub mod bins;
mod tables;

pub use tables::TABLES;

/// The column that identifies a stay inside one hospital, in every table.
pub const STAY_KEY: &str = "stay_key";
/// The column that identifies a person inside one hospital, in every table.
pub const PERSON_KEY: &str = "person_key";
/// The column whose use makes a question per-hospital.
pub const HOSPITAL_ID: &str = "hospital_id";
/// The column with a stay's grouper name@version.
pub const DRG_SCHEME: &str = "drg_scheme";
/// What a hospital says whose groups have no scheme.
pub const UNNAMED_SCHEME: &str = "unnamed";

/// Digits after the point of every money column.
pub const MONEY_SCALE: i8 = 4;
/// Total decimal digits of every money column.
pub const MONEY_PRECISION: u8 = 18;

/// The stored type of a governed column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A dense number that stands for an HMAC key; meaningless outside its snapshot.
    Key,
    /// A code or short text.
    Text,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// A binary floating-point number.
    Float,
    /// An exact amount in the region's currency, [`MONEY_SCALE`] digits after the point.
    Money,
    /// Local time without zone, to the second.
    Timestamp,
}

impl ColumnType {
    /// The name shown in the catalogue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Text => "text",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Money => "money",
            Self::Timestamp => "timestamp",
        }
    }
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Identifies a stay or a person: only COUNT(DISTINCT) and declared joins.
    Id,
    /// Groupable through a code list, filterable.
    Dimension,
    /// Measurable, filterable.
    Number,
    /// An attribute of the hospital: groupable, filterable.
    Local,
}

impl Kind {
    /// The name shown in the catalogue.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Dimension => "dim",
            Self::Number => "num",
            Self::Local => "loc",
        }
    }
}

/// How finely a literal may cut a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// A code: `=`, `<>`, `IN`, `LIKE 'prefix%'`, `IS NULL`; any value.
    Code,
    /// A time: whole months, `>=` and `<` only.
    Month,
    /// Whole years of age in bands, `>=` and `<` only; width from the policy.
    AgeBand,
    /// A whole number: every comparison with a whole number.
    Whole,
    /// A whole number in bands of this width: `>=` and `<` only.
    Step(i64),
    /// An amount: `>=`, `<`, with a multiple of the policy's money step.
    Amount,
    /// May not be filtered.
    None,
}

/// One governed column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Name in SQL.
    pub name: &'static str,
    /// Stored type.
    pub column_type: ColumnType,
    /// What it is for.
    pub kind: Kind,
    /// A row without it goes to quarantine.
    pub required: bool,
    /// Literals that may stand beside it in a condition.
    pub grain: Grain,
    /// Lengths `n` for which `left(column, n)` may be grouped by and compared.
    pub prefixes: &'static [usize],
    /// Smallest and largest accepted value, in the column's own unit (money: whole units).
    pub bounds: Option<(i64, i64)>,
    /// Levels of a hierarchical code, between which [`crate::casemix::combination::SEPARATOR`]
    /// stands; 0 for any other column.
    pub levels: u8,
    /// One line for people.
    pub note: &'static str,
}

impl Column {
    /// Whether `GROUP BY column` is allowed by the data model (a policy may still say no).
    #[must_use]
    pub const fn is_groupable(&self) -> bool {
        matches!(self.kind, Kind::Dimension | Kind::Local)
            && !matches!(self.column_type, ColumnType::Timestamp | ColumnType::Key)
    }

    /// Whether the column may be grouped by year, quarter or month.
    #[must_use]
    pub const fn is_calendar(&self) -> bool {
        matches!(self.column_type, ColumnType::Timestamp)
    }

    /// Whether a condition may name the column.
    #[must_use]
    pub const fn is_filterable(&self) -> bool {
        !matches!(self.grain, Grain::None)
    }

    /// Whether an aggregate may sum the column.
    #[must_use]
    pub const fn is_measurable(&self) -> bool {
        matches!(self.kind, Kind::Number)
            || (matches!(self.kind, Kind::Dimension)
                && matches!(self.column_type, ColumnType::Boolean))
    }
}

/// One governed table: each row belongs to one stay of one person.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Name in SQL.
    pub name: &'static str,
    /// Columns in stored order; the first two are `stay_key` and `person_key`.
    pub columns: &'static [Column],
    /// True when there is exactly one row for each stay.
    pub one_row_per_stay: bool,
    /// One line for people.
    pub note: &'static str,
}

impl Table {
    /// The column of this name, if there is one.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The governed table of this name, if there is one.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// Columns of stays of which each is a coarser or finer view of the others, so that the difference of a
/// part by one and a part by another can be a few patients.
const NESTED: [&[&str]; 6] = [
    &["drg_code", "adrg_code", "mdc_code", "drg_type"],
    &["age_years", "age_band", "age_days"],
    &["los_days", "los_band"],
    &["died", "disposition"],
    &[
        "dip_code",
        "dip_combination",
        "treatment_class",
        "principal_diagnosis",
        "principal_procedure",
    ],
    &["hospital_tier", "hospital_county"],
];

/// Whether one of two columns of stays says what the other does, only coarser.
#[must_use]
pub fn are_nested(first: &str, second: &str) -> bool {
    NESTED.iter().any(|group| group.contains(&first) && group.contains(&second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_columns_are_columns() {
        let stays = table("stay").unwrap();
        for name in NESTED.iter().copied().flatten() {
            assert!(stays.column(name).is_some(), "{name}");
        }
        assert!(are_nested("drg_code", "mdc_code") && !are_nested("drg_code", "los_days"));
    }

    #[test]
    fn every_table_is_governed_by_the_same_rules() {
        for table in TABLES {
            assert_eq!(table.columns[0].name, STAY_KEY, "{}", table.name);
            assert_eq!(table.columns[1].name, PERSON_KEY, "{}", table.name);
            let mut names: Vec<_> = table.columns.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.columns.len(), "{} repeats a column", table.name);
            for column in table.columns {
                let id = column.kind == Kind::Id;
                assert_eq!(id, column.column_type == ColumnType::Key, "{}", column.name);
                assert!(!(id && (column.is_groupable() || column.is_filterable())));
                assert!(!(id && column.is_measurable()), "{} identifies", column.name);
            }
        }
    }
}
