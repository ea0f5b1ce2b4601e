//! A row-level plan in flat form: base tables, declared joins, conditions, outputs.
//!
//! Derived tables, aliases and CTEs are inlined, so every expression that leaves here speaks of
//! base columns only and nothing can hide behind a name.

use std::fmt::Write as _;

use datafusion::common::Column as DfColumn;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, JoinType, LogicalPlan, Operator};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::Dialect;
use model::schema::{Column, Kind, STAY_KEY, Table};
use model::{Refusal, RefusalCode};

/// Most tables that one relation may join.
const MAX_TABLES: usize = 6;

/// Most parts of one expression over base columns.
const MAX_PARTS: usize = 10_000;

/// One occurrence of a governed table.
#[derive(Debug, Clone)]
pub(crate) struct BaseTable {
    /// Unique within the relation.
    pub alias: String,
    /// The table.
    pub table: &'static Table,
}

/// Base tables, joined on `stay_key`, narrowed by conditions.
#[derive(Debug, Default, Clone)]
pub(crate) struct Relation {
    /// Tables in the order of the question.
    pub tables: Vec<BaseTable>,
    /// Conditions over base columns, all of which must hold.
    pub filters: Vec<Expr>,
    joins: Vec<(usize, usize)>,
}

/// A flattened plan: the relation and what is selected from it.
#[derive(Debug)]
pub(crate) struct Flat {
    /// Where the rows come from.
    pub relation: Relation,
    /// One expression over base columns per output column.
    pub outputs: Vec<Expr>,
}

fn clause(subject: &str, reason: &str, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::Clause, subject, reason, instead)
}

/// Flattens a plan over governed tables.
///
/// # Errors
/// A [`Refusal`] for every plan node outside projection, filter, inner join, alias and scan.
pub(crate) fn flatten(plan: &LogicalPlan) -> Result<Flat, Refusal> {
    let mut relation = Relation::default();
    let outputs = relation.absorb(plan)?;
    relation.check_joins()?;
    Ok(Flat { relation, outputs })
}

/// Parts of an expression, those of `outputs` in the place of its columns.
fn parts(expr: &Expr, column: &dyn Fn(&DfColumn) -> usize) -> usize {
    let mut total = 0usize;
    let _ = expr.apply(|node| {
        let own = if let Expr::Column(name) = node { column(name) } else { 1 };
        total = total.saturating_add(own);
        let enough = total > MAX_PARTS;
        Ok(if enough { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    total
}

/// An expression may name a derived one twice, that one another one twice, and so on.
fn check_size(expr: &Expr, input: &LogicalPlan, outputs: &[Expr]) -> Result<(), Refusal> {
    let column = |name: &DfColumn| {
        let index = input.schema().index_of_column(name).ok();
        index.and_then(|index| outputs.get(index)).map_or(1, |output| parts(output, &|_| 1))
    };
    if parts(expr, &column) <= MAX_PARTS {
        return Ok(());
    }
    let reason =
        format!("An expression has more than {MAX_PARTS} parts, derived columns written out.");
    Err(Refusal::new(RefusalCode::Bounds, "expression", reason, "Name derived columns less often."))
}

fn resolve(expr: &Expr, input: &LogicalPlan, outputs: &[Expr]) -> Result<Expr, Refusal> {
    check_size(expr, input, outputs)?;
    let mut refusal = None;
    let resolved = expr.clone().transform(|node| {
        Ok(match node {
            Expr::Column(column) => match input.schema().index_of_column(&column) {
                Ok(index) => Transformed::yes(outputs[index].clone()),
                Err(_) => {
                    refusal = Some(Refusal::new(
                        RefusalCode::UnknownName,
                        column.name.clone(),
                        format!("There is no column {} here.", column.name),
                        "",
                    ));
                    Transformed::no(Expr::Column(column))
                }
            },
            Expr::Alias(alias) => Transformed::yes(*alias.expr),
            Expr::OuterReferenceColumn(_, column) => {
                refusal = Some(clause(
                    &column.name,
                    "A subquery may not refer to the query around it.",
                    "Join the tables on stay_key.",
                ));
                Transformed::no(Expr::Column(column))
            }
            other => Transformed::no(other),
        })
    });
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    resolved
        .map(|resolved| resolved.data)
        .map_err(|_| clause("expression", "An expression could not be read.", ""))
}

impl Flat {
    /// Rewrites an expression over `plan`'s output, the plan that was flattened, to base columns.
    ///
    /// # Errors
    /// A [`Refusal`] when it names something else.
    pub(crate) fn resolve(&self, expr: &Expr, plan: &LogicalPlan) -> Result<Expr, Refusal> {
        resolve(expr, plan, &self.outputs)
    }
}

impl Relation {
    fn absorb(&mut self, plan: &LogicalPlan) -> Result<Vec<Expr>, Refusal> {
        match plan {
            LogicalPlan::TableScan(scan) => self.absorb_scan(scan.table_name.table(), plan),
            LogicalPlan::SubqueryAlias(alias) => self.absorb(&alias.input),
            LogicalPlan::Projection(projection) => {
                let inner = self.absorb(&projection.input)?;
                let each = projection.expr.iter();
                each.map(|expr| resolve(expr, &projection.input, &inner)).collect()
            }
            LogicalPlan::Filter(filter) => {
                let inner = self.absorb(&filter.input)?;
                let predicate = resolve(&filter.predicate, &filter.input, &inner)?;
                self.narrow(&predicate)?;
                Ok(inner)
            }
            LogicalPlan::Join(join) => self.absorb_join(join, plan),
            other => Err(refuse_node(other)),
        }
    }

    fn absorb_scan(&mut self, name: &str, plan: &LogicalPlan) -> Result<Vec<Expr>, Refusal> {
        let Some(table) = model::schema::table(name) else {
            return Err(clause(
                name,
                "Rows may not be joined with aggregated results.",
                "Aggregate first, then join the aggregates.",
            ));
        };
        if self.tables.len() == MAX_TABLES {
            let reason = format!("A question joins at most {MAX_TABLES} tables.");
            return Err(Refusal::new(RefusalCode::TooLarge, name, reason, ""));
        }
        let again = self.tables.iter().filter(|t| t.table.name == table.name).count();
        let alias = if again == 0 {
            table.name.to_owned()
        } else {
            format!("{}_{}", table.name, again + 1)
        };
        let column = |name: &String| Expr::Column(DfColumn::new(Some(alias.clone()), name));
        let outputs = plan.schema().fields().iter().map(|field| column(field.name())).collect();
        self.tables.push(BaseTable { alias, table });
        Ok(outputs)
    }

    fn absorb_join(&mut self, join: &Join, plan: &LogicalPlan) -> Result<Vec<Expr>, Refusal> {
        if join.join_type != JoinType::Inner {
            return Err(Refusal::new(
                RefusalCode::Join,
                format!("{} JOIN", join.join_type).to_uppercase(),
                "Rows are joined with INNER JOIN only.",
                "Use JOIN, or stay_key IN (SELECT stay_key FROM ...).",
            ));
        }
        let mut outputs = self.absorb(&join.left)?;
        let right = self.absorb(&join.right)?;
        for (a, b) in &join.on {
            let a = resolve(a, &join.left, &outputs)?;
            let b = resolve(b, &join.right, &right)?;
            self.narrow(&a.eq(b))?;
        }
        outputs.extend(right);
        if let Some(filter) = &join.filter {
            let filter = resolve(filter, plan, &outputs)?;
            self.narrow(&filter)?;
        }
        Ok(outputs)
    }

    /// Takes a predicate apart: key equalities become joins, the rest become conditions.
    fn narrow(&mut self, predicate: &Expr) -> Result<(), Refusal> {
        for part in split_conjunction(predicate) {
            match self.key_equality(part)? {
                Some(join) => self.joins.push(join),
                None => self.filters.push(part.clone()),
            }
        }
        Ok(())
    }

    fn key_equality(&self, expr: &Expr) -> Result<Option<(usize, usize)>, Refusal> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else {
            return Ok(None);
        };
        let (Some((_, a)), Some((_, b))) = (self.base(left), self.base(right)) else {
            return Ok(None);
        };
        if a.kind != Kind::Id && b.kind != Kind::Id {
            return Ok(None);
        }
        match (self.position(left), self.position(right)) {
            (Some(x), Some(y)) if a.name == STAY_KEY && b.name == STAY_KEY && x != y => {
                Ok(Some((x, y)))
            }
            _ => Err(Refusal::new(
                RefusalCode::Join,
                format!("{} = {}", a.name, b.name),
                "Tables are joined on stay_key only.",
                "Write JOIN ... USING (stay_key).",
            )),
        }
    }

    fn check_joins(&self) -> Result<(), Refusal> {
        let mut reached = vec![false; self.tables.len()];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for _ in 0..self.tables.len() {
            for &(a, b) in &self.joins {
                let either = reached[a] || reached[b];
                (reached[a], reached[b]) = (either, either);
            }
        }
        match reached.iter().position(|reached| !reached) {
            None => Ok(()),
            Some(index) => Err(Refusal::new(
                RefusalCode::Join,
                self.tables[index].table.name,
                "The table is not joined on stay_key.",
                "Write JOIN ... USING (stay_key).",
            )),
        }
    }

    fn position(&self, expr: &Expr) -> Option<usize> {
        let Expr::Column(column) = expr else { return None };
        let alias = column.relation.as_ref()?.table();
        self.tables.iter().position(|table| table.alias == alias)
    }

    /// The governed column behind a resolved expression, if it is a bare column.
    pub(crate) fn base(&self, expr: &Expr) -> Option<(&'static Table, &'static Column)> {
        let table = self.tables.get(self.position(expr)?)?.table;
        let Expr::Column(column) = expr else { return None };
        Some((table, table.column(&column.name)?))
    }

    /// The identity columns of the relation's rows: `person_key`, `stay_key`.
    pub(crate) fn identity(&self) -> Option<[Expr; 2]> {
        let alias = &self.tables.first()?.alias;
        let column = |name: &str| Expr::Column(DfColumn::new(Some(alias.clone()), name));
        Some([column(model::schema::PERSON_KEY), column(STAY_KEY)])
    }

    /// Canonical SQL: `SELECT outputs FROM tables JOIN ... WHERE filters`.
    ///
    /// # Errors
    /// A [`Refusal`] when an expression has no SQL form.
    pub(crate) fn to_sql(&self, outputs: &[(String, Expr)]) -> Result<String, Refusal> {
        let mut sql = String::from("SELECT ");
        for (index, (name, expr)) in outputs.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let _ = write!(sql, "{comma}{} AS {name}", text(expr)?);
        }
        for (index, base) in self.tables.iter().enumerate() {
            let name = base.table.name;
            let alias =
                if base.alias == name { String::new() } else { format!(" AS {}", base.alias) };
            if index == 0 {
                let _ = write!(sql, " FROM {name}{alias}");
            } else {
                let first = &self.tables[0].alias;
                let on = format!("{first}.{STAY_KEY} = {}.{STAY_KEY}", base.alias);
                let _ = write!(sql, " JOIN {name}{alias} ON {on}");
            }
        }
        for (index, filter) in self.filters.iter().enumerate() {
            let word = if index == 0 { "WHERE" } else { "AND" };
            let _ = write!(sql, " {word} ({})", text(filter)?);
        }
        Ok(sql)
    }
}

/// Names stand bare where the engine's default dialect leaves them bare. That one compiles a regular
/// expression for every name, which took a third of the planning of a small question.
struct Canonical;

/// The SQL of an expression.
///
/// # Errors
/// A [`Refusal`] when it has none.
pub(super) fn text(expr: &Expr) -> Result<String, Refusal> {
    let sql = Unparser::new(&Canonical).expr_to_sql(expr).map(|sql| sql.to_string());
    sql.map_err(|_| clause("expression", "An expression has no SQL form.", "Simplify it."))
}

impl Dialect for Canonical {
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_word =
            identifier.chars().all(plain) && identifier.starts_with(|c: char| !c.is_ascii_digit());
        let upper = identifier.to_ascii_uppercase();
        let is_keyword = upper != "ID" && ALL_KEYWORDS.binary_search(&upper.as_str()).is_ok();
        (is_keyword || !is_word).then_some('"')
    }
}

fn refuse_node(plan: &LogicalPlan) -> Refusal {
    match plan {
        LogicalPlan::Aggregate(_) => clause(
            "aggregate",
            "Rows may not be joined with aggregated results.",
            "Aggregate first, then join the aggregates.",
        ),
        LogicalPlan::Window(_) => clause(
            "OVER",
            "A window function may not run over rows.",
            "Aggregate first; window functions over groups are possible.",
        ),
        LogicalPlan::Sort(_) => {
            clause("ORDER BY", "Rows may not be ordered.", "Order the aggregated result.")
        }
        LogicalPlan::Limit(_) => {
            clause("LIMIT", "Rows may not be limited.", "Limit the aggregated result.")
        }
        LogicalPlan::Distinct(_) => clause(
            "DISTINCT",
            "Rows may not be made distinct.",
            "GROUP BY the column, or COUNT(DISTINCT person_key).",
        ),
        LogicalPlan::Union(_) => clause(
            "UNION",
            "Sets of rows may not be united.",
            "Aggregate each part; aggregated results can be united.",
        ),
        LogicalPlan::RecursiveQuery(_) => {
            clause("WITH RECURSIVE", "Recursive queries are not possible.", "")
        }
        LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
            clause("FROM", "An aggregate needs a governed table.", "See `consilium catalog`.")
        }
        LogicalPlan::Unnest(_) => clause("UNNEST", "Arrays are not possible.", ""),
        other => {
            let name = other.display().to_string();
            let name = name.split([':', ' ']).next().unwrap_or("plan").to_owned();
            clause(&name, "This clause may not stand below an aggregate.", "")
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::unparser::dialect::DefaultDialect;

    use super::*;

    #[test]
    fn names_are_quoted_as_the_engine_quotes_them() {
        assert!(ALL_KEYWORDS.is_sorted());
        let names = ["stay", "los_days", "m0", "", "0m", "Stay", "a b", "id", "date", "费用", "_x"];
        for name in names.into_iter().chain(ALL_KEYWORDS.iter().copied()) {
            let lower = name.to_ascii_lowercase();
            for name in [name, lower.as_str()] {
                let expected = DefaultDialect {}.identifier_quote_style(name);
                assert_eq!(Canonical.identifier_quote_style(name), expected, "{name}");
            }
        }
    }
}
