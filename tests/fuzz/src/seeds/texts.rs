//! Questions, relations, policies and formulas.

use privacy::Policy;
use query::pack::{Arguments, Pack};

use super::{Seed, questions};
use crate::parties::{planner, wait};

/// Formulas of all forms that there are.
const FORMULAS: [&str; 4] = [
    "total_cost ~ age_band + sex + severity + C(drg_code) + log(los_days) + age_years:severity",
    "died ~ sex*C(severity, \"2\") + age_years^2 + offset(log(los_days)) + sex",
    "sqrt(total_cost) ~ sex:age_band + los_days^3",
    "los_days ~ 1",
];

/// A policy that differs from the default one in everything.
const POLICY: &str = "[minimum]\npersons = 1\nstays = 1000\n[selectivity]\npersons = 1\n\
    [dominance]\ntop_two_e4 = 10000\npercent = 0\n[scopes]\npooled = false\n\
    [questions]\nallow = \"ask\"\n[columns]\ngroupable = [\"stay.sex\", \"fee.*\"]\n\
    filterable = []\ndenied = [\"stay.drg_code\"]\n[granularity]\ntime = \"year\"\nage_years = 10\n\
    [literals]\nmax_text_chars = 0\nmax_count = 1\n[models]\nfit = false\n";

fn text(kind: u8, name: &str, text: &str) -> Seed {
    Seed::of("policy", kind, name, text.as_bytes())
}

pub(super) fn seeds() -> Vec<Seed> {
    let (planner, policy) = (planner(), Policy::answering());
    let mut seeds = Vec::new();
    for (name, sql) in questions() {
        if let Ok(question) = wait(planner.plan(&sql, &policy)) {
            for part in question.explain() {
                let digit = 3 * part.dimensions.len() + question.width().map_or(0, |(_, n)| n);
                seeds.push(text(b'n', &name, &format!("{}{}", digit.min(9), part.relation_sql)));
            }
        }
        seeds.push(text(b'q', &name, &sql));
    }
    for pack in Pack::shipped() {
        let sql = |question| Some((question, pack.sql(question, &Arguments::new()).ok()?));
        let named = |(question, sql): (&str, String)| text(b'q', question, &sql);
        seeds.extend(pack.questions().filter_map(sql).map(named));
    }
    let default = toml::to_string(&policy).unwrap();
    seeds.extend([text(b'p', "default", &default), text(b'p', "other", POLICY)]);
    let formulas = FORMULAS.iter().zip(0..);
    seeds.extend(formulas.map(|(formula, number)| text(b'f', &format!("{number}"), formula)));
    seeds
}
