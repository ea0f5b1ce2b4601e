//! Random questions over the governed tables, in the SQL that analysts would write.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// What a question is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Stay,
    StayFee,
    StayDiagnosis,
    Fee,
}

/// A question and how its answer is compared.
#[derive(Debug, Clone)]
pub(super) struct RandomQuestion {
    /// The SQL.
    pub(super) sql: String,
    /// Number of leading columns that are dimensions.
    pub(super) dimensions: usize,
    /// It counts distinct persons, which add up only when no person is in two hospitals.
    pub(super) counts_persons: bool,
}

const STAY_DIMENSIONS: &[&str] = &[
    "s.drg_code",
    "s.sex",
    "s.payer",
    "s.severity",
    "s.age_band",
    "s.los_band",
    "s.disposition",
    "s.died",
    "date_trunc('month', s.discharged_at)",
    "extract(quarter FROM s.admitted_at)",
    "left(s.principal_diagnosis, 1)",
    "CASE WHEN s.los_days < 4 THEN 'short' WHEN s.los_days < 15 THEN 'middle' ELSE 'long' END",
    "s.total_cost >= 10000",
];

const STAY_FILTERS: &[&str] = &[
    "s.sex = 'F'",
    "s.payer IN ('employee', 'resident')",
    "s.age_years >= 40 AND s.age_years < 75",
    "s.los_days BETWEEN 2 AND 20",
    "s.total_cost >= 3000",
    "s.total_cost < 50000 OR s.died",
    "NOT s.died",
    "s.icu_hours IS NOT NULL",
    "s.discharged_at >= '2024-04-01' AND s.discharged_at < '2024-10-01'",
    "date_trunc('quarter', s.discharged_at) = '2024-04-01'",
    "s.principal_diagnosis LIKE 'I%'",
    "s.stay_key IN (SELECT d.stay_key FROM diagnosis d WHERE d.code LIKE 'I1%')",
    "s.severity <> 'none' AND (s.sex = 'M' OR s.los_days > 5)",
];

const STAY_MEASURES: &[&str] = &[
    "count(*)",
    "count(s.icu_hours)",
    "count(s.principal_procedure)",
    "sum(s.total_cost)",
    "sum(s.los_days)",
    "avg(s.total_cost)",
    "avg(s.los_days)",
    "avg(s.icu_hours)",
    "stddev(s.total_cost)",
    "stddev_pop(s.los_days)",
    "var_samp(s.total_charge)",
    "var_pop(s.total_cost)",
    "corr(s.total_cost, s.los_days)",
    "covar_samp(s.total_cost, s.los_days)",
    "covar_pop(s.total_charge, s.age_years)",
    "regr_slope(s.total_cost, s.los_days)",
    "regr_intercept(s.total_cost, s.los_days)",
    "regr_count(s.total_cost, s.icu_hours)",
    "regr_avgx(s.total_cost, s.los_days)",
    "count(*) FILTER (WHERE s.died)",
    "sum(s.total_cost) FILTER (WHERE s.age_years >= 65)",
    "sum(CASE WHEN s.sex = 'F' THEN s.total_cost ELSE 0 END)",
    "avg(CASE WHEN s.died THEN 1 ELSE 0 END)",
    "sum(CASE s.sex WHEN 'F' THEN s.los_days WHEN 'M' THEN 2 * s.los_days END)",
    "sum(s.total_charge - s.total_cost)",
    "sum(2 * s.fund_paid + s.self_paid)",
    "avg(s.total_cost / 100.0)",
    "sum(s.total_cost * 1.05)",
    "avg(ln(s.total_charge))",
    "avg(coalesce(s.icu_hours, 0))",
    "sum(s.total_cost) * 1.0 / count(*)",
    "abs(avg(s.total_cost) - 5000.0)",
    "100.0 * count(*) FILTER (WHERE s.died) / count(*)",
];

const FEE_MEASURES: &[&str] = &[
    "sum(f.amount)",
    "count(*)",
    "avg(f.amount)",
    "stddev(f.amount)",
    "sum(CASE WHEN f.class = 'consumable' THEN f.amount ELSE 0 END)",
    "count(DISTINCT f.stay_key)",
];

const DIAGNOSIS_MEASURES: &[&str] =
    &["count(*)", "sum(s.total_cost)", "avg(d.seq)", "count(*) FILTER (WHERE d.is_principal)"];

/// The next question of a seeded sequence.
pub(super) fn random_question(rng: &mut ChaCha8Rng) -> RandomQuestion {
    let relation = match rng.random_range(0..20) {
        0..=12 => Relation::Stay,
        13..=15 => Relation::StayFee,
        16..=18 => Relation::StayDiagnosis,
        _ => Relation::Fee,
    };
    let dimensions = dimensions(rng, relation);
    let (mut measures, counts_persons) = measures(rng, relation);
    // Empty groups and groups of one are where NULL and zero are told apart.
    measures.insert(0, "count(*)".to_owned());
    let filters = filters(rng, relation);
    let mut columns: Vec<_> =
        dimensions.iter().enumerate().map(|(i, d)| format!("{d} AS k{i}")).collect();
    columns.extend(measures.iter().enumerate().map(|(i, m)| format!("{m} AS v{i}")));
    let mut sql = format!("SELECT {} FROM {}", columns.join(", "), from(relation, rng));
    if !filters.is_empty() {
        sql.push_str(&format!(" WHERE {}", filters.join(" AND ")));
    }
    if !dimensions.is_empty() {
        sql.push_str(&format!(" GROUP BY {}", dimensions.join(", ")));
    }
    if rng.random_bool(0.2) {
        sql.push_str(&format!(" HAVING count(*) > {}", rng.random_range(0..30)));
    }
    if !dimensions.is_empty() && rng.random_bool(0.3) {
        let keys: Vec<_> = (0..dimensions.len()).map(|i| format!("k{i}")).collect();
        let order = format!(" ORDER BY v0 DESC, {}", keys.join(", "));
        sql.push_str(&order);
        if rng.random_bool(0.5) {
            sql.push_str(&format!(" LIMIT {}", rng.random_range(1..12)));
        }
    }
    RandomQuestion { sql, dimensions: dimensions.len(), counts_persons }
}

fn from(relation: Relation, rng: &mut ChaCha8Rng) -> &'static str {
    let using = rng.random_bool(0.5);
    match (relation, using) {
        (Relation::Stay, _) => "stay s",
        (Relation::StayFee, true) => "stay s JOIN fee f USING (stay_key)",
        (Relation::StayFee, false) => "fee f JOIN stay s ON s.stay_key = f.stay_key",
        (Relation::StayDiagnosis, true) => "stay s JOIN diagnosis d ON d.stay_key = s.stay_key",
        (Relation::StayDiagnosis, false) => {
            "(SELECT * FROM stay WHERE los_days < 60) s JOIN diagnosis d USING (stay_key)"
        }
        (Relation::Fee, _) => "fee f",
    }
}

fn dimensions(rng: &mut ChaCha8Rng, relation: Relation) -> Vec<String> {
    let mut pool: Vec<&str> = match relation {
        Relation::Fee => vec!["f.class"],
        Relation::StayFee => [STAY_DIMENSIONS, &["f.class"]].concat(),
        Relation::StayDiagnosis => [STAY_DIMENSIONS, &["left(d.code, 3)"]].concat(),
        Relation::Stay => STAY_DIMENSIONS.to_vec(),
    };
    let number = rng.random_range(0..=3.min(pool.len()));
    let mut chosen = Vec::new();
    for _ in 0..number {
        let index = rng.random_range(0..pool.len());
        chosen.push(pool.swap_remove(index).to_owned());
    }
    chosen
}

fn filters(rng: &mut ChaCha8Rng, relation: Relation) -> Vec<String> {
    let pool: Vec<&str> = match relation {
        Relation::Fee => vec!["f.class IN ('bed', 'surgery', 'consumable')", "f.amount >= 100"],
        Relation::StayFee => [STAY_FILTERS, &["f.class <> 'other'"]].concat(),
        Relation::StayDiagnosis => [STAY_FILTERS, &["NOT d.is_principal", "d.seq <= 2"]].concat(),
        Relation::Stay => STAY_FILTERS.to_vec(),
    };
    let number = rng.random_range(0..=2);
    let chosen: Vec<_> = pool.choose_multiple(rng, number).map(|f| format!("({f})")).collect();
    chosen
}

fn measures(rng: &mut ChaCha8Rng, relation: Relation) -> (Vec<String>, bool) {
    let pool: Vec<&str> = match relation {
        Relation::Stay => STAY_MEASURES.to_vec(),
        Relation::StayFee => [STAY_MEASURES, FEE_MEASURES].concat(),
        Relation::StayDiagnosis => [STAY_MEASURES, DIAGNOSIS_MEASURES].concat(),
        Relation::Fee => FEE_MEASURES.to_vec(),
    };
    let number = rng.random_range(1..=4);
    let mut chosen: Vec<_> =
        pool.choose_multiple(rng, number).map(|measure| (*measure).to_owned()).collect();
    let counts_persons = relation == Relation::Stay && rng.random_bool(0.1);
    if counts_persons {
        chosen.push("count(DISTINCT s.person_key)".to_owned());
    }
    (chosen, counts_persons)
}
