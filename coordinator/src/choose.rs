//! Which of the hospitals that answered a masked round is opened over.
//!
//! Two rounds of one family whose hospitals differ by one or two would give away, by subtraction,
//! what those few hold. The witness refuses such a pair; the coordinator therefore chooses, before
//! it asks, a set that is the same as an earlier one or at least three hospitals away from all.

use std::collections::BTreeSet;

use model::{HospitalId, Refusal, RefusalCode};
use record::RoundError;
use record::rounds::FEWEST_APART;
use service::clock::{day, rfc3339};

use crate::gathered::{Gathered, on_thread};
use crate::round::{Agreed, RoundFailure, Rounds, internal, refused};

/// By how many hospitals two ascending sets differ.
fn apart(a: &[HospitalId], b: &[HospitalId]) -> usize {
    let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.iter().collect(), b.iter().collect());
    a.symmetric_difference(&b).count()
}

fn fits(set: &[HospitalId], earlier: &[Vec<HospitalId>]) -> bool {
    earlier.iter().all(|known| matches!(apart(set, known), 0) || apart(set, known) >= FEWEST_APART)
}

/// Hospitals that a round leaves out at most so that its set is far from earlier ones.
pub(crate) const LEFT_OUT: usize = 2;
/// The same of a round that is to suit other families too.
pub(crate) const LEFT_OUT_OF_KIN: usize = 3;
/// More than two are left out only of so many, since all threes are tried.
const MOST_IN_THREES: usize = 64;

/// The largest set within `answered` (ascending) that the rule and the `quorum` allow: all of
/// them, or an earlier set, or all but a few, `most` at most. `None` when there is none.
pub(crate) fn choose(
    answered: &[HospitalId],
    earlier: &[Vec<HospitalId>],
    quorum: usize,
    most: usize,
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
    let few = if most > LEFT_OUT && count <= MOST_IN_THREES { count } else { 0 };
    let threes = (0..few).flat_map(|one| {
        let pairs =
            (one + 1..few).flat_map(move |two| (two + 1..few).map(move |three| (two, three)));
        pairs.map(move |(two, three)| vec![one, two, three])
    });
    let left = singles.chain(pairs).chain(threes);
    let smaller = left.map(|left| without(&left)).find(|set| usable(set));
    match (repeated, smaller) {
        (Some(known), Some(fresh)) if fresh.len() > known.len() => Some(fresh),
        (Some(known), _) => Some(known),
        (None, fresh) => fresh,
    }
}

impl Rounds {
    fn choose(
        &self,
        gathered: &Gathered,
        answered: &[HospitalId],
        (family, kin): ([u8; 32], &[[u8; 32]]),
        need: usize,
    ) -> Result<Vec<HospitalId>, RoundFailure> {
        let mut earlier = self.store.survivor_sets(&family).map_err(internal)?;
        for family in kin {
            earlier.extend(self.store.survivor_sets(family).map_err(internal)?);
        }
        // Sets of kin families may be near to each other, so more may have to be left out.
        let most = if kin.is_empty() { LEFT_OUT } else { LEFT_OUT_OF_KIN };
        let chosen = choose(answered, &earlier, need, most);
        match chosen {
            Some(chosen) if gathered.is_kept() || chosen.len() == answered.len() => Ok(chosen),
            Some(_) => Err(refused(Refusal::new(
                RefusalCode::Quorum,
                "hospitals",
                "This question was answered before over nearly the same hospitals, and its uploads \
                 are too large to leave one out.",
                "Ask again when the same hospitals are there, or for fewer groups or aggregates at \
                 a time.",
            ))),
            None => Err(refused(Refusal::new(
                RefusalCode::Quorum,
                "hospitals",
                "This question was answered before over nearly the same hospitals; opening it now \
                 would give away the difference.",
                "Ask again when the same hospitals are there, or another question.",
            ))),
        }
    }

    /// Chooses over which hospitals the round is opened, and records it. Of rounds that are kin to others one chooses
    /// after the other, so that the second knows what the first has chosen.
    pub(crate) async fn take_part(
        &self,
        agreed: &Agreed,
        gathered: &Gathered,
        (answered, need): (&[HospitalId], usize),
        kin: &[[u8; 32]],
    ) -> Result<Vec<HospitalId>, RoundFailure> {
        let _turn = if kin.is_empty() { None } else { Some(self.turn.lock().await) };
        let family = agreed.terms.compared_family();
        let chosen = self.choose(gathered, answered, (family, kin), need)?;
        self.record_round(agreed, &chosen).await?;
        Ok(chosen)
    }

    async fn record_round(
        &self,
        agreed: &Agreed,
        chosen: &[HospitalId],
    ) -> Result<(), RoundFailure> {
        let now = self.clock.now();
        let (at, today) = (rfc3339(now), day(now));
        let (store, sid) = (self.store.clone(), agreed.sid);
        let family = agreed.terms.compared_family();
        let hospitals = chosen.to_vec();
        let recorded = on_thread(move || {
            store.open_round(&record::Round {
                at: &at,
                day: &today,
                sid,
                family,
                hospitals: &hospitals,
                // The witness keeps those.
                told: &[],
            })
        });
        match recorded.await? {
            Ok(_) => Ok(()),
            Err(error @ (RoundError::TooClose { .. } | RoundError::TooManySets)) => {
                Err(refused(Refusal::new(RefusalCode::Quorum, "hospitals", error.to_string(), "")))
            }
            Err(error) => Err(internal(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: impl IntoIterator<Item = u32>) -> Vec<HospitalId> {
        numbers.into_iter().map(|n| format!("h-{n:03}").parse().unwrap()).collect()
    }

    #[test]
    fn sets_of_kin_may_be_near_to_each_other() {
        // Of two factors one was told over eight hospitals and one over seven of them.
        let earlier = [set(0..8), set(0..7)];
        for answered in [set(0..7), set(0..8), set(0..50)] {
            let chosen = choose(&answered, &earlier, 3, LEFT_OUT_OF_KIN).unwrap();
            assert!(chosen.len() + LEFT_OUT_OF_KIN >= answered.len() && fits(&chosen, &earlier));
        }
        assert_eq!(choose(&set(0..7), &earlier, 3, LEFT_OUT), None);
    }

    #[test]
    fn the_same_or_a_very_different_set_is_taken_whole() {
        assert_eq!(choose(&set(0..9), &[], 3, LEFT_OUT), Some(set(0..9)));
        assert_eq!(choose(&set(0..9), &[set(0..9)], 3, LEFT_OUT), Some(set(0..9)));
        assert_eq!(choose(&set(0..9), &[set(0..6)], 3, LEFT_OUT), Some(set(0..9)));
        assert_eq!(choose(&set(0..2), &[], 3, LEFT_OUT), None, "below the quorum");
    }

    #[test]
    fn a_hospital_that_came_or_went_does_not_become_the_difference() {
        // One came back: the earlier set is asked again.
        assert_eq!(choose(&set(0..9), &[set(0..8)], 3, LEFT_OUT), Some(set(0..8)));
        // One went: two more are held back, so that three are between the sets.
        let chosen = choose(&set(0..8), &[set(0..9)], 3, LEFT_OUT).unwrap();
        assert_eq!((chosen.len(), apart(&chosen, &set(0..9))), (6, 3));
        // Nothing is possible at the quorum.
        assert_eq!(choose(&set(0..3), &[set(0..4)], 3, LEFT_OUT), None);
    }

    #[test]
    fn whatever_is_chosen_keeps_to_the_rule() {
        let earlier = [set(0..9), set(0..6), set(3..9)];
        for last in 3..12 {
            let Some(chosen) = choose(&set(0..last), &earlier, 3, LEFT_OUT) else { continue };
            assert!(fits(&chosen, &earlier) && chosen.len() >= 3, "0..{last}: {chosen:?}");
        }
    }
}
