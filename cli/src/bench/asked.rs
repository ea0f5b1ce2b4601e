//! The questions of the benchmark, pooled and per hospital.
//!
//! Hospitals answer a repeated question about their own cells from the record. What is timed must
//! be computed, so each such question carries a bound on length of stay that no stay reaches and
//! that no earlier question had: another request about the same rows. The yardstick runs the same
//! text.

use std::time::SystemTime;

use crate::args::BenchScope;

/// What hospitals are compared by.
pub(super) const BENCHMARK: Asked = Asked {
    name: "benchmark",
    keys: &["drg_code"],
    values: "count(*) AS stays, avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, \
             avg(los_days) AS mean_los",
    conditions: &[],
};
/// A month, a tier.
pub(super) const FILTERED: Asked = Asked {
    name: "filtered",
    keys: &["payer", "sex"],
    values: "count(*) AS stays, avg(total_cost) AS mean_cost",
    conditions: &[
        "discharged_at >= '2024-03-01'",
        "discharged_at < '2024-04-01'",
        "hospital_tier = 'tertiary'",
    ],
};
/// One cell: what it takes is what asking takes.
pub(super) const ONE_CELL: Asked = Asked {
    name: "one cell",
    keys: &[],
    values: "avg(total_cost) AS mean_cost",
    conditions: &["sex = 'F'"],
};

/// Above the data model's bound on `los_days`.
const LEAST_BOUND: u32 = 10_000;
/// Bounds stay below 2^31, the column's own type.
const BOUNDS: u128 = 2_000_000_000;

/// A question about stays, in parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) name: &'static str,
    keys: &'static [&'static str],
    values: &'static str,
    conditions: &'static [&'static str],
}

/// Bounds that every stay is below, each given out once.
#[derive(Debug)]
pub(super) struct Bounds(u32);

impl Asked {
    /// The SQL in a scope; with a `bound` it is a request of its own.
    pub(super) fn sql(&self, scope: BenchScope, bound: Option<u32>) -> String {
        let hospital = (scope == BenchScope::PerHospital).then_some("hospital_id");
        let keys: Vec<_> = hospital.into_iter().chain(self.keys.iter().copied()).collect();
        let conditions = self.conditions.iter().map(ToString::to_string);
        let below = bound.map(|bound| format!("los_days < {bound}"));
        let conditions: Vec<_> = conditions.chain(below).collect();
        let selected = [keys.as_slice(), &[self.values]].concat().join(", ");
        let mut sql = format!("SELECT {selected} FROM stay");
        for (word, parts) in
            [(" WHERE ", conditions.join(" AND ")), (" GROUP BY ", keys.join(", "))]
        {
            if !parts.is_empty() {
                sql.extend([word, &parts]);
            }
        }
        sql
    }
}

impl Bounds {
    /// Bounds that an earlier run over the same region has not used: they begin at the millisecond
    /// of `now`, and no run asks a question each millisecond.
    pub(super) fn since(now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = u32::try_from(since.as_millis() % BOUNDS).unwrap_or_default();
        Self(LEAST_BOUND + start)
    }

    /// The next one.
    pub(super) fn next(&mut self) -> u32 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use privacy::{Policy, Scope};
    use query::question::Planner;

    use super::*;

    #[test]
    fn questions_are_written_for_both_scopes() {
        let pooled = FILTERED.sql(BenchScope::Pooled, None);
        let expected = "SELECT payer, sex, count(*) AS stays, avg(total_cost) AS mean_cost FROM \
                        stay WHERE discharged_at >= '2024-03-01' AND discharged_at < \
                        '2024-04-01' AND hospital_tier = 'tertiary' GROUP BY payer, sex";
        assert_eq!(pooled, expected);
        assert_eq!(
            ONE_CELL.sql(BenchScope::PerHospital, Some(10_001)),
            "SELECT hospital_id, avg(total_cost) AS mean_cost FROM stay WHERE sex = 'F' AND \
             los_days < 10001 GROUP BY hospital_id"
        );
    }

    #[tokio::test]
    async fn every_question_is_admitted_and_a_bound_makes_it_another_request() {
        let planner = Planner::new(64 << 20).unwrap();
        let policy = Policy::answering();
        let mut bounds = Bounds::since(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_249_799));
        for asked in [BENCHMARK, FILTERED, ONE_CELL] {
            let mut hashes = Vec::new();
            for bound in [None, Some(bounds.next()), Some(bounds.next())] {
                let pooled = asked.sql(BenchScope::Pooled, bound);
                let pooled = planner.plan(&pooled, &policy).await.unwrap();
                assert_eq!(pooled.scope(), Scope::Pooled, "{}", asked.name);
                let own = asked.sql(BenchScope::PerHospital, bound);
                let own = planner.plan(&own, &policy).await.unwrap();
                assert_eq!(own.scope(), Scope::PerHospital, "{}", asked.name);
                hashes.extend(own.requests("bench", &[]).unwrap().iter().map(|one| one.hash()));
            }
            assert_eq!(hashes.len(), 3, "{}: one request each", asked.name);
            hashes.sort_unstable();
            hashes.dedup();
            assert_eq!(hashes.len(), 3, "{}", asked.name);
        }
    }

    #[test]
    fn bounds_exclude_no_stay_fit_their_column_and_differ() {
        let columns = model::schema::table("stay").unwrap();
        let (_, longest) = columns.column("los_days").unwrap().bounds.unwrap();
        assert!(i64::from(LEAST_BOUND) > longest);
        let last = SystemTime::UNIX_EPOCH + Duration::from_millis(1_999_999_999);
        let mut bounds = Bounds::since(last);
        let (one, other) = (bounds.next(), bounds.next());
        assert!(one != other && i32::try_from(other).is_ok());
        let later = Bounds::since(last + Duration::from_secs(60)).next();
        assert!(later != one && later > LEAST_BOUND);
    }
}
