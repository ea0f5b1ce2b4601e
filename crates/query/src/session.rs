//! DataFusion sessions, built from allow-lists: nothing is registered that is not named here.

mod expansion;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DataFusionError;
use datafusion::common::config::Dialect;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::functions_aggregate::all_default_aggregate_functions;
use datafusion::functions_window::all_default_window_functions;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF, Volatility, create_udaf};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::dialect_from_str;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use model::schema::TABLES;
use model::{Refusal, RefusalCode};

use crate::catalog::arrow_schema;
use expansion::{MAX_RELATIONS, relations};

/// Most operators of a text that is planned.
const MAX_OPERATORS: usize = 1_200;

/// Words that link expressions or queries into chains.
const LINKS: &[Keyword] = &[
    Keyword::AND,
    Keyword::OR,
    Keyword::XOR,
    Keyword::NOT,
    Keyword::IS,
    Keyword::NOTNULL,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::RLIKE,
    Keyword::REGEXP,
    Keyword::SIMILAR,
    Keyword::BETWEEN,
    Keyword::IN,
    Keyword::CASE,
    Keyword::COLLATE,
    Keyword::AT,
    Keyword::DIV,
    Keyword::OVERLAPS,
    Keyword::UNION,
    Keyword::EXCEPT,
    Keyword::INTERSECT,
    Keyword::MINUS,
    Keyword::JOIN,
];

/// Scalar functions that may be applied to rows, inside a hospital.
const ROW_FUNCTIONS: &[&str] =
    &["left", "substr", "date_trunc", "date_part", "coalesce", "ln", "sqrt"];

/// Scalar functions that may be applied to released values, in the coordinator.
const RELEASED_FUNCTIONS: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "round",
    "trunc",
    "signum",
    "exp",
    "log",
    "log10",
    "log2",
    "power",
    "nullif",
    "nvl",
    "greatest",
    "least",
    "right",
    "lower",
    "upper",
    "btrim",
    "concat",
    "character_length",
];

/// `approx_percentile_error(column, fraction)`: how far the true percentile can lie from the estimate.
pub(crate) const PERCENTILE_ERROR: &str = "approx_percentile_error";

/// Aggregates that exist here and nowhere else: read off released cells, never computed over rows.
fn own_aggregates() -> impl Iterator<Item = Arc<AggregateUDF>> {
    let refused = |_: AccumulatorArgs<'_>| {
        Err(DataFusionError::Plan("the aggregate is read off released cells only".to_owned()))
    };
    let error = create_udaf(
        PERCENTILE_ERROR,
        vec![DataType::Float64, DataType::Float64],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(refused),
        Arc::new(Vec::new()),
    );
    std::iter::once(Arc::new(error))
}

fn scalar_functions(names: &[&str]) -> Vec<Arc<ScalarUDF>> {
    let all = SessionStateDefaults::default_scalar_functions();
    all.into_iter().filter(|function| names.contains(&function.name())).collect()
}

fn config(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    config.options_mut().execution.enable_recursive_ctes = false;
    config
}

/// The planner's session: governed tables without rows, every aggregate (so that a forbidden one
/// is refused by name), scalar functions from the allow-lists.
#[must_use]
pub(crate) fn planner(runtime: Arc<RuntimeEnv>) -> SessionContext {
    let allowed = [ROW_FUNCTIONS, RELEASED_FUNCTIONS].concat();
    let state = SessionStateBuilder::new()
        .with_config(config(1))
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalar_functions(&allowed))
        .with_aggregate_functions(
            all_default_aggregate_functions().into_iter().chain(own_aggregates()).collect(),
        )
        .with_window_functions(all_default_window_functions())
        .build();
    let context = SessionContext::new_with_state(state);
    for table in TABLES {
        // Registering a table that the session does not have yet cannot fail.
        let _ = context.register_table(table.name, Arc::new(EmptyTable::new(arrow_schema(table))));
    }
    context
}

/// The node's session: no tables yet, no aggregates, no windows, the row functions only.
#[must_use]
pub(crate) fn engine(threads: usize, runtime: Arc<RuntimeEnv>) -> SessionContext {
    let mut config = config(threads);
    // The kernel takes rows in any partition; spreading them would only cost.
    config.options_mut().optimizer.enable_round_robin_repartition = false;
    config.options_mut().execution.parquet.pushdown_filters = true;
    config.options_mut().execution.parquet.reorder_filters = true;
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalar_functions(ROW_FUNCTIONS))
        .build();
    SessionContext::new_with_state(state)
}

/// Plans one query. Nothing but a query is planned: no DDL, DML, EXPLAIN, SET or SHOW.
///
/// # Errors
/// A [`Refusal`] that depends on the text and the catalogue only.
pub(crate) async fn plan_query(state: &SessionState, sql: &str) -> Result<LogicalPlan, Refusal> {
    let dialect = state.config_options().sql_parser.dialect;
    let tokens = tokens(sql, dialect);
    if tokens.iter().any(is_misread) {
        let reason = "A text with two quotes in a row, or with a quote behind a backslash, cannot be asked \
                      for, nor a name with a quote.";
        let instead = "Write texts as 'text', and LIKE 'prefix%' up to such a place.";
        return Err(Refusal::new(RefusalCode::Clause, "text", reason, instead));
    }
    if operators(&tokens) > MAX_OPERATORS {
        return Err(Refusal::new(
            RefusalCode::Bounds,
            "SQL",
            format!("A question has at most {MAX_OPERATORS} operators."),
            "Shorten its conditions; write lists as IN (...).",
        ));
    }
    let statement = state.sql_to_statement(sql, &dialect).map_err(|error| refuse_error(&error))?;
    match &statement {
        DfStatement::Statement(inner) => match inner.as_ref() {
            Statement::Query(query) => {
                if query.with.as_ref().is_some_and(|with| with.recursive) {
                    return Err(Refusal::new(
                        RefusalCode::Clause,
                        "WITH RECURSIVE",
                        "Recursive queries are not possible.",
                        "",
                    ));
                }
                if relations(inner) > MAX_RELATIONS {
                    return Err(Refusal::new(
                        RefusalCode::Bounds,
                        "WITH",
                        format!(
                            "A question names at most {MAX_RELATIONS} relations, those of each WITH \
                             counted wherever it is named."
                        ),
                        "Name each relation of WITH fewer times.",
                    ));
                }
            }
            other => return Err(refuse_statement(&other.to_string())),
        },
        other => return Err(refuse_statement(&other.to_string())),
    }
    state.statement_to_plan(statement).await.map_err(|error| refuse_error(&error))
}

/// The same query, written by the parser: without comments, in one line, and whole. `None` when the text is
/// no single query.
#[must_use]
pub fn readable(sql: &str) -> Option<String> {
    let tokens = tokens(sql, Dialect::Generic);
    if operators(&tokens) > MAX_OPERATORS || tokens.iter().any(is_misread) {
        return None;
    }
    let dialect = dialect_from_str(Dialect::Generic)?;
    let statements = Parser::parse_sql(dialect.as_ref(), sql).ok()?;
    match statements.as_slice() {
        [query @ Statement::Query(_)] => Some(query.to_string()),
        _ => None,
    }
}

/// What a text is made of. What cannot be cut into tokens cannot be parsed either, and the parser says why.
fn tokens(sql: &str, dialect: Dialect) -> Vec<Token> {
    let Some(dialect) = dialect_from_str(dialect) else { return Vec::new() };
    Tokenizer::new(dialect.as_ref(), sql).tokenize().unwrap_or_default()
}

/// Ways of quoting.
const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Whether the writer of SQL would write a token so that it reads back as something else: it takes two quotes
/// in a row, and a quote behind a backslash, for escaped already. What is checked, what is run and what a
/// steward reads are written by it, and the end of such a text would be read as SQL.
fn is_misread(token: &Token) -> bool {
    match token {
        Token::SingleQuotedString(text) => text.contains("''") || text.contains("\\'"),
        // It may be written with another quote than it was read with.
        Token::Word(word) => word.quote_style.is_some() && word.value.contains(QUOTES),
        Token::Whitespace(_) => false,
        // Texts that are quoted in any other way.
        other => other.to_string().contains(QUOTES),
    }
}

/// Operators of a text, as its parser will see them but counted without parsing: a chain of
/// thousands becomes a tree so deep that walking it overflows the stack. Nesting in parentheses is
/// bounded by the parser itself.
fn operators(tokens: &[Token]) -> usize {
    tokens.iter().filter(|token| is_operator(token)).count()
}

/// Whether a token can make a tree deeper without a parenthesis.
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_none() && LINKS.contains(&word.keyword),
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::LParen
        | Token::RParen
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::EOF => false,
        _ => true,
    }
}

fn refuse_statement(text: &str) -> Refusal {
    let word = text.split_whitespace().next().unwrap_or("statement").to_uppercase();
    let instead = if word.starts_with("EXPLAIN") {
        "Use `consilium query --explain`."
    } else {
        "Write one SELECT."
    };
    Refusal::new(RefusalCode::Statement, word, "Only queries are answered.", instead)
}

/// Turns a planning error into a refusal. Planning sees the question and the public catalogue
/// only, so the text cannot depend on data.
pub(crate) fn refuse_error(error: &DataFusionError) -> Refusal {
    use datafusion::common::SchemaError;
    let root = error.find_root();
    if let DataFusionError::External(inner) = root
        && let Some(refusal) = inner.downcast_ref::<Refusal>()
    {
        return refusal.clone();
    }
    match root {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let names = valid_fields.iter().map(|column| column.name.as_str());
                let reason = format!("There is no column {} here.", field.name);
                unknown(&field.name, reason, names)
            }
            other => Refusal::new(RefusalCode::UnknownName, "column", other.to_string(), ""),
        },
        DataFusionError::SQL(inner, _) => {
            Refusal::new(RefusalCode::Syntax, "SQL", inner.to_string(), "Write one SELECT.")
        }
        other => refuse_message(&other.strip_backtrace()),
    }
}

fn refuse_message(message: &str) -> Refusal {
    let first = message.lines().next().unwrap_or_default();
    let quoted = first.split('\'').nth(1).unwrap_or_default();
    if first.contains("table") && first.contains("not found") && !first.contains("function") {
        let name = quoted.rsplit('.').next().unwrap_or_default();
        let reason = format!("There is no table {name}.");
        return unknown(name, reason, TABLES.iter().map(|table| table.name));
    }
    if first.contains("failed to match any signature") || first.contains("does not support") {
        let name = if quoted.is_empty() { "function" } else { quoted };
        return Refusal::new(
            RefusalCode::Function,
            format!("{name}()"),
            "The function does not take values of these types, or not so many.",
            "Aggregates take measured numbers, see `consilium catalog`; percentiles are written \
             approx_percentile_cont(total_cost, 0.9).",
        );
    }
    if first.contains("function") {
        let name = if quoted.is_empty() { "function" } else { quoted };
        let reason = "The function does not exist or is not possible.";
        return Refusal::new(RefusalCode::Function, name, reason, "See the README for the list.");
    }
    let text = first.split_once(": ").map_or(first, |(_, text)| text);
    Refusal::new(RefusalCode::Syntax, "SQL", text.to_owned(), "")
}

fn unknown<'a>(name: &str, reason: String, valid: impl Iterator<Item = &'a str>) -> Refusal {
    let wanted = name.to_lowercase();
    let mut near: Vec<_> =
        valid.map(|valid| (strsim::damerau_levenshtein(&wanted, valid), valid)).collect();
    near.sort_unstable();
    near.dedup();
    let names: Vec<_> = near.iter().take(3).map(|(_, name)| *name).collect();
    let instead =
        if names.is_empty() { String::new() } else { format!("Nearest: {}.", names.join(", ")) };
    Refusal::new(RefusalCode::UnknownName, name, reason, instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn chains_that_would_overflow_the_stack_are_not_parsed() {
        let state = SessionContext::new().state();
        for link in [" OR 1 = 1", " + 1", " AND NOT 1 = 2", " = 1", " IS NULL", " || 'a'", "::INT"]
        {
            let sql = format!("SELECT 1 WHERE 1 = 1{}", link.repeat(3_000));
            let refusal = plan_query(&state, &sql).await.unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Bounds, "{link}");
        }
        let union = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000));
        assert_eq!(plan_query(&state, &union).await.unwrap_err().code, RefusalCode::Bounds);
        let count = |sql: &str| operators(&tokens(sql, Dialect::Generic));
        assert_eq!(count("a AND b or c + 1 -- d and e"), 3);
        assert_eq!(count("a IN ('or+and-*', 'it''s || ::') /* and */"), 1);
        assert_eq!(count("'a\\' OR 1 = 1 OR 'b'"), 3, "a backslash ends no text");
        let codes: Vec<String> =
            (0..3_000).map(|code| format!("'K35.{code}+47.0{code}'")).collect();
        let list = format!("SELECT 1 WHERE 'a' IN ({})", codes.join(", "));
        assert!(plan_query(&state, &list).await.is_ok(), "texts hold no operators");
        assert!(plan_query(&state, "SELECT 1 WHERE 1 = 1 OR 2 = 2").await.is_ok());
    }

    #[tokio::test]
    async fn what_would_be_written_as_something_else_is_not_planned() {
        let state = SessionContext::new().state();
        for sql in [
            r"SELECT 1 WHERE 1 IN (SELECT 1 WHERE 'a' = 'x\'')) OR (1 = 1) -- ')",
            r#"SELECT 1 WHERE 1 IN (SELECT 1 AS "a\"" FROM (SELECT 1)) OR (1 = 1) --" FROM t)"#,
            "SELECT 'a''''b'",
            "SELECT 1 WHERE 1 IN (SELECT 1 AS `a\\\"` FROM (SELECT 1)) OR (1 = 1)",
            r"SELECT E'a\'b'",
            "SELECT N'a''b'",
            "SELECT $$a''b$$",
        ] {
            let refusal = plan_query(&state, sql).await.unwrap_err();
            assert_eq!((refusal.code, &*refusal.subject), (RefusalCode::Clause, "text"), "{sql}");
            assert_eq!(readable(sql), None, "{sql}");
        }
        for sql in ["SELECT 'it''s'", r"SELECT 'a\b'", r#"SELECT "a b" FROM (SELECT 1 AS "a b")"#] {
            assert!(plan_query(&state, sql).await.is_ok(), "{sql}");
            assert!(readable(sql).is_some(), "{sql}");
        }
    }

    #[test]
    fn a_query_is_shown_as_the_parser_reads_it() {
        let hidden = "SELECT a /* counts only */ FROM t\n\n\n  WHERE b = 'x' -- approved by ethics";
        assert_eq!(readable(hidden).unwrap(), "SELECT a FROM t WHERE b = 'x'");
        assert_eq!(readable("SELECT 1; SELECT 2"), None);
        assert_eq!(readable("DROP TABLE t"), None);
        assert_eq!(readable("SELECT ("), None);
        assert_eq!(readable(&format!("SELECT {}1", "1 + ".repeat(MAX_OPERATORS + 1))), None);
    }
}
