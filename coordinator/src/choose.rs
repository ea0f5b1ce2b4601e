//! Which of the hospitals that answered a masked round is opened over.
//!
//! Two rounds of one family whose hospitals differ by one or two would give away, by subtraction,
//! what those few hold. The witness refuses such a pair; the coordinator therefore chooses, before
//! it asks, a set that is the same as an earlier one or at least three hospitals away from all.

use std::collections::BTreeSet;

use model::HospitalId;
use record::rounds::FEWEST_APART;

/// By how many hospitals two ascending sets differ.
fn apart(a: &[HospitalId], b: &[HospitalId]) -> usize {
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
    a.symmetric_difference(&b).count()
}

fn fits(set: &[HospitalId], earlier: &[Vec<HospitalId>]) -> bool {
    earlier.iter().all(|known| matches!(apart(set, known), 0) || apart(set, known) >= FEWEST_APART)
}

/// The largest set within `answered` (ascending) that the rule and the `quorum` allow: all of
/// them, or an earlier set, or all but one or two. `None` when there is none.
pub(crate) fn choose(
    answered: &[HospitalId],
    earlier: &[Vec<HospitalId>],
    quorum: usize,
) -> Option<Vec<HospitalId>> {
    let usable = |set: &[HospitalId]| set.len() >= quorum && fits(set, earlier);
    if usable(answered) {
        return Some(answered.to_vec());
    }
    let within = |known: &&Vec<HospitalId>| known.iter().all(|one| answered.contains(one));
    let repeated = earlier.iter().filter(within).filter(|known| usable(known));
    let repeated = repeated.max_by_key(|known| known.len()).cloned();
    let without = |left_out: &[usize]| -> Vec<HospitalId> {
        let kept = answered.iter().enumerate().filter(|(index, _)| !left_out.contains(index));
        kept.map(|(_, id)| id.clone()).collect()
    };
    let count = answered.len();
    let singles = (0..count).map(|one| vec![one]);
    let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| vec![one, other]));
    let smaller = singles.chain(pairs).map(|left| without(&left)).find(|set| usable(set));
    match (repeated, smaller) {
        (Some(known), Some(fresh)) if fresh.len() > known.len() => Some(fresh),
        (Some(known), _) => Some(known),
        (None, fresh) => fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: impl IntoIterator<Item = u32>) -> Vec<HospitalId> {
        numbers.into_iter().map(|n| format!("h-{n:03}").parse().unwrap()).collect()
    }

    #[test]
    fn the_same_or_a_very_different_set_is_taken_whole() {
        assert_eq!(choose(&set(0..9), &[], 3), Some(set(0..9)));
        assert_eq!(choose(&set(0..9), &[set(0..9)], 3), Some(set(0..9)));
        assert_eq!(choose(&set(0..9), &[set(0..6)], 3), Some(set(0..9)));
        assert_eq!(choose(&set(0..2), &[], 3), None, "below the quorum");
    }

    #[test]
    fn a_hospital_that_came_or_went_does_not_become_the_difference() {
        // One came back: the earlier set is asked again.
        assert_eq!(choose(&set(0..9), &[set(0..8)], 3), Some(set(0..8)));
        // One went: two more are held back, so that three are between the sets.
        let chosen = choose(&set(0..8), &[set(0..9)], 3).unwrap();
        assert_eq!((chosen.len(), apart(&chosen, &set(0..9))), (6, 3));
        // Nothing is possible at the quorum.
        assert_eq!(choose(&set(0..3), &[set(0..4)], 3), None);
    }

    #[test]
    fn whatever_is_chosen_keeps_to_the_rule() {
        let earlier = [set(0..9), set(0..6), set(3..9)];
        for last in 3..12 {
            let Some(chosen) = choose(&set(0..last), &earlier, 3) else { continue };
            assert!(fits(&chosen, &earlier) && chosen.len() >= 3, "0..{last}: {chosen:?}");
        }
    }
}
