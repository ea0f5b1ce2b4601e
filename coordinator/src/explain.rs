//! What a question would do: the requests, the rules, the cost. Nothing here depends on data.

use privacy::Policy;
use privacy::request::Scope;
use proto::v1;
use query::question::{Explained, Question};

/// Bytes of one cell on the wire.
const CELL_BYTES: u64 = 16;
/// Bytes of a group beside its cells: rows, keys, marks.
const GROUP_BYTES: u64 = 40;

/// What is known about the cost of a question, without asking anybody.
pub(crate) enum Size {
    /// Masked: exactly these bytes of cells from each hospital.
    Masked(u64),
    /// Per hospital: at most as many groups as these codes allow, for each request and dimension.
    Codes(Vec<Vec<Option<u64>>>),
    /// A code list has to be discovered first.
    Unknown,
}

impl Size {
    fn bytes(&self, parts: &[Explained]) -> Option<u64> {
        match self {
            Self::Masked(bytes) => Some(*bytes),
            Self::Codes(codes) => {
                let each = parts.iter().zip(codes).map(|(part, codes)| {
                    let groups = codes.iter().copied().product::<Option<u64>>()?;
                    groups.checked_mul(GROUP_BYTES + CELL_BYTES * part.width as u64)
                });
                each.sum()
            }
            Self::Unknown => None,
        }
    }
}

/// Explains `question` for a region of `hospitals`.
pub(crate) fn explain(
    question: &Question,
    policy: &Policy,
    hospitals: usize,
    size: &Size,
) -> v1::Explanation {
    let parts = question.explain();
    let estimated_bytes = size.bytes(&parts);
    let selective = parts.iter().any(|part| part.selective);
    let requests = parts.into_iter().map(|part| v1::ExplainedRequest {
        relation_sql: part.relation_sql,
        dimensions: part.dimensions,
        measures: part.measures,
        selective: part.selective,
    });
    let requests: Vec<_> = requests.collect();
    v1::Explanation {
        rounds: u32::try_from(requests.len()).unwrap_or(u32::MAX),
        requests,
        scope: question.scope().as_str().to_owned(),
        rules: rules(question.scope(), policy, selective),
        hospitals: u32::try_from(hospitals).unwrap_or(u32::MAX),
        estimated_bytes,
        above: question.above(),
    }
}

fn rules(scope: Scope, policy: &Policy, selective: bool) -> Vec<String> {
    let minimum = |value: Option<u32>| value.map_or_else(|| "unset".to_owned(), |v| v.to_string());
    let (persons, stays) = (minimum(policy.minimum.persons), minimum(policy.minimum.stays));
    let mut rules =
        vec!["each hospital decides by its own policy; the region's defaults are shown".to_owned()];
    match scope {
        Scope::Pooled => rules.extend([
            "pooled: hospitals mask their cells; neither coordinator nor witness sees one \
             hospital's part, and only regional sums that pass are opened (mode masked)"
                .to_owned(),
            format!(
                "a group is opened with at least {persons} persons and {stays} stays from {} \
                 hospitals",
                policy.pooled.hospitals
            ),
            format!(
                "a sum of money is opened when no hospital dominates it: sum of squares at most \
                 {} % of the squared sum",
                f64::from(policy.pooled.dominance_e4) / 100.0
            ),
        ]),
        Scope::PerHospital => rules.extend([
            "per_hospital: the question names hospitals, each answers for itself (mode clear)"
                .to_owned(),
            format!(
                "a hospital releases a group with at least {persons} persons and {stays} stays"
            ),
            format!(
                "a hospital releases a sum of money when two persons have at most {} % of it, and the \
                 rest at least {} % of what the largest has",
                f64::from(policy.dominance.top_two_e4) / 100.0,
                policy.dominance.percent
            ),
            "a hospital withholds more groups or sums where a single withheld one would follow from a \
             total"
                .to_owned(),
        ]),
    }
    rules.push(
        "a measure is withheld when 1 to minimum - 1 persons stand behind it, or behind the \
         complement of its condition"
            .to_owned(),
    );
    if selective {
        rules.push(format!(
            "a hospital whose filtered or joined set has fewer than {} persons contributes nothing",
            policy.selectivity.persons
        ));
    }
    rules.push(format!(
        "one user may ask a hospital {} requests a day",
        policy.usage.requests_per_day
    ));
    rules
}
