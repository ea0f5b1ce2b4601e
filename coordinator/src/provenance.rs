//! How an answer came about, as it travels beside it.

use std::sync::Arc;

use num_traits::ToPrimitive as _;
use privacy::Combined;
use privacy::request::Scope;
use proto::v1;
use query::question::{Approximation, Question};

use crate::ask::Gathered;
use crate::noisy::Noised;
use crate::progress::count;
use crate::registry::{Absence, Site};

/// Of what came back for all requests of a question.
pub(crate) fn provenance(question: &Question, gathered: &Gathered) -> v1::Provenance {
    let Gathered { combined, present, absent, bytes, sids, noised, .. } = gathered;
    let missing = absent.iter().map(|(site, absence)| v1::Missing {
        hospital: site.id.to_string(),
        reason: absence.text(),
    });
    let sum = |of: fn(&Combined) -> u64| combined.iter().map(of).sum();
    let pooled = question.scope() == Scope::Pooled;
    let coverage = if noised.is_some() {
        // How many rows are in groups that are not told is not told either.
        None
    } else if pooled {
        masked_coverage(question, combined, present, absent)
    } else {
        coverage(combined, present, absent)
    };
    let mode = match noised {
        Some(_) => "noisy",
        None if pooled => "masked",
        None => "clear",
    };
    v1::Provenance {
        id: random_id(),
        scope: question.scope().as_str().to_owned(),
        mode: mode.to_owned(),
        hospitals_asked: count(present.len() + absent.len()),
        hospitals_answered: count(present.len()),
        missing: missing.collect(),
        stays_coverage: coverage,
        cells_released: sum(|one| one.released_cells),
        cells_withheld: sum(|one| one.withheld_cells),
        measures_withheld: sum(|one| one.withheld_measures),
        elapsed_ms: 0,
        bytes_received: *bytes,
        rounds: count(combined.len()),
        sids: sids.clone(),
        approximations: question.approximations(combined).into_iter().map(encode).collect(),
        noise: noised.as_ref().map(Noised::encode).unwrap_or_default(),
    }
}

fn encode(approximation: Approximation) -> v1::Approximation {
    v1::Approximation {
        aggregate: approximation.aggregate,
        groups: approximation.groups,
        exact: approximation.exact,
        untold: approximation.untold,
        largest_error: approximation.largest_error,
        largest_relative_error: approximation.largest_relative_error,
    }
}

/// Coverage of masked sums. Rows in withheld groups are told by the witness only when those groups
/// together may be opened. For a question over whole tables the hospitals' sizes, which are
/// public, tell the same; after a filter or join nothing does, and there is no coverage.
fn masked_coverage(
    question: &Question,
    combined: &[Combined],
    present: &[Arc<Site>],
    absent: &[(Arc<Site>, Absence)],
) -> Option<f64> {
    let known = combined.iter().all(|one| one.withheld_rows_known);
    if known {
        return coverage(combined, present, absent);
    }
    let explained = question.explain();
    let whole = |part: &query::question::Explained| !part.selective && part.one_row_per_stay;
    if !explained.iter().all(whole) {
        return None;
    }
    let released: u64 = combined.iter().map(|one| one.released_rows).sum();
    let everybody = present.iter().chain(absent.iter().map(|(site, _)| site));
    let stays = everybody.map(|site| site.rows("stay")).sum::<Option<u64>>()?;
    let all = stays.to_f64()? * combined.len().to_f64()?;
    Some(if stays == 0 { 1.0 } else { released.to_f64()? / all })
}

/// Released rows over all rows of the hospitals that answered, times their share of the region's
/// stays. `None` when the size of some missing hospital is not known.
fn coverage(
    combined: &[Combined],
    present: &[Arc<Site>],
    absent: &[(Arc<Site>, Absence)],
) -> Option<f64> {
    let released: u64 = combined.iter().map(|one| one.released_rows).sum();
    let withheld: u64 = combined.iter().map(|one| one.withheld_rows).sum();
    let share = |part: u64, whole: u64| {
        if whole == 0 { Some(1.0) } else { Some(part.to_f64()? / whole.to_f64()?) }
    };
    let within = share(released, released + withheld)?;
    if absent.is_empty() {
        return Some(within);
    }
    let there: u64 = present.iter().filter_map(|site| site.rows("stay")).sum();
    let gone = absent.iter().map(|(site, _)| site.rows("stay")).sum::<Option<u64>>()?;
    Some(within * share(there, there + gone)?)
}

/// A name for an answer, from the system's random source.
fn random_id() -> String {
    use ring::rand::SecureRandom;
    let mut bytes = [0u8; 12];
    // Without randomness an answer is still an answer; its name is then all zeros.
    let _ = ring::rand::SystemRandom::new().fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
