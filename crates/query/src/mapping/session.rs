//! The session a mapping runs in, and what a mapping may say.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::context::{SQLOptions, SessionContext};
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};

use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::Statement as Sql;

use super::tap::Tap;
use super::{MappingError, Statement};

/// Rows in a batch between the source, the engine and ingest.
const BATCH_ROWS: usize = 8_192;

/// What a statement takes from the source.
pub(super) struct Use {
    /// How often it scans the source.
    pub(super) scans: usize,
    /// Positions of the columns it reads, ascending.
    pub(super) columns: Vec<usize>,
    /// True when each result row depends on one source row only.
    pub(super) row_wise: bool,
}

/// A session with the table `source` and pure functions, and nothing else.
pub(super) fn open(tap: &Arc<Tap>) -> Result<SessionContext> {
    let mut config = SessionConfig::new().with_target_partitions(1).with_batch_size(BATCH_ROWS);
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .build();
    let context = SessionContext::new_with_state(state);
    let partition = Arc::clone(tap) as _;
    let table = StreamingTable::try_new(tap.full_schema(), vec![partition])?;
    context.register_table("source", Arc::new(table))?;
    Ok(context)
}

/// The statement as a single SELECT (set operations and WITH included).
pub(super) fn parse(statement: &Statement) -> Result<Parsed, MappingError> {
    let Statement { file, sql } = statement.clone();
    let mut parsed = match DFParser::parse_sql(&sql) {
        Ok(parsed) => parsed,
        Err(error) => {
            let message = error.strip_backtrace();
            return Err(MappingError::Sql { file, sql, message });
        }
    };
    let is_select =
        matches!(parsed.front(), Some(Parsed::Statement(s)) if matches!(&**s, Sql::Query(_)));
    match parsed.pop_front() {
        Some(only) if is_select && parsed.is_empty() => Ok(only),
        _ => Err(MappingError::NotOneSelect { file, sql }),
    }
}

/// Refuses plans that would change anything.
pub(super) fn verify(plan: &LogicalPlan) -> Result<()> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
}

/// Scans, needed columns and row-wiseness of an optimised plan.
pub(super) fn examine(plan: &LogicalPlan, all: usize) -> Use {
    let mut columns = BTreeSet::new();
    let mut scans = 0;
    let mut row_wise = true;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                scans += 1;
                match &scan.projection {
                    Some(projection) => columns.extend(projection.iter().copied()),
                    None => columns.extend(0..all),
                }
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::SubqueryAlias(_) => {}
            _ => row_wise = false,
        }
        Ok(TreeNodeRecursion::Continue)
    });
    Use { scans, columns: columns.into_iter().collect(), row_wise }
}
