//! What a question would do: the requests, the rules, the cost. Nothing here depends on data.

use privacy::Policy;
use privacy::request::Scope;
use proto::v1;
use query::question::Question;

/// Bytes of one cell on the wire.
const CELL_BYTES: u64 = 16;
/// Bytes of a group beside its cells: rows, keys, marks.
const GROUP_BYTES: u64 = 40;

/// Explains `question` for a region of `hospitals`; `codes` counts the published codes of a
/// dimension by name.
pub(crate) fn explain(
    question: &Question,
    policy: &Policy,
    hospitals: usize,
    codes: &dyn Fn(&str) -> Option<u64>,
) -> v1::Explanation {
    let parts = question.explain();
    let bytes = parts.iter().map(|part| {
        let groups = part.dimensions.iter().map(|name| codes(name)).product::<Option<u64>>()?;
        let group = GROUP_BYTES + CELL_BYTES * part.width as u64;
        groups.checked_mul(group)
    });
    let estimated_bytes = bytes.sum::<Option<u64>>();
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
    let mut rules = vec![
        "each hospital decides by its own policy; the region's defaults are shown".to_owned(),
        format!(
            "a hospital releases a group with at least {} persons and {} stays",
            minimum(policy.minimum.persons),
            minimum(policy.minimum.stays)
        ),
        "a measure is withheld when 1 to minimum - 1 persons stand behind it, or behind the \
         complement of its condition"
            .to_owned(),
    ];
    if selective {
        rules.push(format!(
            "a hospital whose filtered or joined set has fewer than {} persons contributes nothing",
            policy.selectivity.persons
        ));
    }
    rules.push(
        match scope {
            Scope::Pooled => {
                "pooled: the coordinator adds up what each hospital releases by itself (mode clear)"
            }
            Scope::PerHospital => {
                "per_hospital: the question names hospitals, each answers for itself"
            }
        }
        .to_owned(),
    );
    rules.push(format!(
        "one user may ask a hospital {} requests a day",
        policy.usage.requests_per_day
    ));
    rules
}
