//! What an answer leaves over: a total, less the groups that are told.
//!
//! A group that is withheld, because with earlier stretches it would tell of few, must not follow from the total
//! instead. A total may be known from another question at any time, so for each choice of groups the total less
//! these is a population of its own, with stretches of its own: those in which the total and all of these groups
//! were told. Only some choices matter: the groups that are told now, and of them those that were told in an
//! earlier stretch.

use std::collections::BTreeSet;

use super::range::{Held, SpansId};
use super::{Known, Place, Sketch};

/// A group of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group<'a> {
    pub(crate) place: Option<&'a Place>,
    pub(crate) sketch: &'a Sketch,
    /// Whether the answer tells it.
    pub(crate) is_told: bool,
}

fn less<'a>(whole: &Sketch, groups: impl Iterator<Item = &'a Sketch>) -> Sketch {
    groups.fold(whole.clone(), |rest, group| rest.without(group))
}

impl Known {
    /// Whether the `whole` less some of the groups that an answer tells would, together with stretches that were
    /// told before, tell about up to `most` persons, or of a population that hides others.
    pub(crate) fn rest_would_follow(
        &self,
        (whole, all): (&Place, &Sketch),
        groups: &[Group<'_>],
        most: usize,
    ) -> bool {
        let stretches = self.stretches();
        let wholes = stretches.told(whole);
        if most == 0 {
            return false;
        }
        let mut asked: Vec<SpansId> = wholes.iter().map(|(spans, _)| *spans).collect();
        asked.sort_unstable();
        asked.dedup();
        // What was told of each group, by stretch, where all of it was told too.
        let by_stretch = |place| {
            let mut by_stretch = vec![None; asked.len()];
            for (spans, sketch) in stretches.told(place) {
                if let Ok(one) = asked.binary_search(spans) {
                    by_stretch[one] = Some(sketch);
                }
            }
            by_stretch
        };
        let wholes = || {
            let place = |spans: &SpansId| asked.partition_point(|other| other < spans);
            wholes.iter().map(move |(spans, whole)| (*spans, place(spans), whole))
        };
        let told: Vec<(&Sketch, Vec<Option<&Sketch>>)> = groups
            .iter()
            .filter(|group| group.is_told)
            .filter_map(|group| Some((group.sketch, by_stretch(group.place?))))
            .collect();
        let mut choices: BTreeSet<Vec<usize>> = BTreeSet::from([(0..told.len()).collect()]);
        for (_, at, _) in wholes() {
            let in_it = (0..told.len()).filter(|one| told[*one].1[at].is_some());
            choices.insert(in_it.collect());
        }
        choices.into_iter().any(|choice| {
            let now = less(all, choice.iter().map(|one| told[*one].0));
            let mut edges = Vec::new();
            for (spans, at, whole) in wholes() {
                let parts = choice.iter().map(|one| told[*one].1[at]);
                if let Some(parts) = parts.collect::<Option<Vec<_>>>() {
                    edges.push((spans, Held::follows(less(whole, parts.into_iter()))));
                }
            }
            // When one group is all that is left, what was told of it by itself counts too.
            let alone = groups.iter().filter(|group| *group.sketch == now);
            let own = alone.filter_map(|group| group.place);
            edges.extend(own.flat_map(|place| stretches.known_of(place)));
            let rest = stretches.seen_from(whole, edges);
            rest.would_expose(&now, &|sketch| self.is_too_few(sketch, most))
        })
    }
}
