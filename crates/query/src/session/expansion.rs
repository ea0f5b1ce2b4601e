//! How large a text becomes when the relations of its WITH stand wherever they are named.
//!
//! The planner puts them there, so thirty that each name the one before twice are a billion relations in a
//! thousand bytes. They are counted on the parsed text, before anything is put anywhere.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit, Visitor};

/// Most relations of one text, WITH put in place: eight aggregates over six tables, several times.
pub(super) const MAX_RELATIONS: u64 = 256;

/// A query that is being read.
#[derive(Debug)]
struct Open {
    /// Its relations so far, and itself.
    relations: u64,
    /// Names of its WITH that have not been read; they are read first, in their order.
    names: VecDeque<String>,
    /// Known names before it.
    known_before: usize,
}

#[derive(Debug, Default)]
struct Counter {
    open: Vec<Open>,
    /// What each name in scope stands for, the innermost last.
    known: Vec<(String, u64)>,
    all: u64,
}

/// A name as the planner compares it, or more alike.
fn plain(name: &str) -> String {
    name.trim_matches('"').to_lowercase()
}

impl Visitor for Counter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        let names = with.map(|one| plain(&one.alias.name.value)).collect();
        self.open.push(Open { relations: 1, names, known_before: self.known.len() });
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = plain(&relation.to_string());
        let known = self.known.iter().rev().find(|(known, _)| *known == name);
        let relations = known.map_or(1, |(_, relations)| *relations);
        if let Some(open) = self.open.last_mut() {
            open.relations = open.relations.saturating_add(relations);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        let Some(Open { relations, known_before, .. }) = self.open.pop() else {
            return ControlFlow::Continue(());
        };
        self.known.truncate(known_before);
        match self.open.last_mut().map(|around| (around.names.pop_front(), around)) {
            Some((Some(name), _)) => self.known.push((name, relations)),
            Some((None, around)) => around.relations = around.relations.saturating_add(relations),
            None => self.all = relations,
        }
        ControlFlow::Continue(())
    }
}

/// Relations and queries of a statement, those of WITH wherever they are named.
pub(super) fn relations(statement: &Statement) -> u64 {
    let mut counter = Counter::default();
    // It never breaks off.
    let _ = statement.visit(&mut counter);
    counter.all
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn count(sql: &str) -> u64 {
        relations(&Parser::parse_sql(&GenericDialect {}, sql).unwrap()[0])
    }

    #[test]
    fn relations_are_counted_where_they_will_stand() {
        assert_eq!(count("SELECT 1"), 1);
        assert_eq!(count("SELECT * FROM a JOIN b ON a.x = b.x, (SELECT * FROM c) AS d"), 5);
        assert_eq!(count("WITH a AS (SELECT * FROM t) SELECT * FROM a"), 3);
        assert_eq!(count("WITH a AS (SELECT * FROM t) SELECT * FROM a, A, \"a\""), 7);
        assert_eq!(count("WITH a AS (SELECT 1) SELECT * FROM t WHERE x IN (SELECT x FROM a)"), 4);
        let inner = "WITH b AS (WITH a AS (SELECT * FROM t, t) SELECT * FROM a) SELECT * FROM b, a";
        assert_eq!(count(inner), 6, "the inner name is unknown outside");
    }

    #[test]
    fn doublings_are_counted_without_being_made() {
        let doubled = |times: u32| {
            let each =
                (1..=times).map(|n| format!("c{n} AS (SELECT 1 FROM c{0} p, c{0} q)", n - 1));
            let each: Vec<_> = each.collect();
            format!("WITH c0 AS (SELECT * FROM t), {} SELECT 1 FROM c{times}", each.join(", "))
        };
        assert_eq!(count(&doubled(3)), 24);
        assert!(count(&doubled(200)) == u64::MAX && count(&doubled(10)) > MAX_RELATIONS);
    }
}
