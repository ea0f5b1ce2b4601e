//! Which groups are withheld so that others do not follow: from margins, a total, or totals of several stretches.

use super::Gate;
use super::rules::Sizes;
use crate::complementary::complete;
use crate::margins::Table;
use crate::sketch::{Group, Known, Sketch};

/// Groups of which it is tried whether withholding one more is enough.
const MAX_TRIED: usize = 32;

impl Gate<'_> {
    /// Withholds more groups until none of those that do not pass follows from a margin, nearly or exactly, or from
    /// all.
    pub(super) fn hide(
        &self,
        table: &Table<'_>,
        passes: &mut [bool],
        cells: &[Sketch],
        known: &Known,
    ) {
        self.hide_within(table, passes, (cells, known), self.thresholds.stays.into());
    }

    /// The same where margins must leave intervals of this width.
    fn hide_within(
        &self,
        table: &Table<'_>,
        passes: &mut [bool],
        (cells, known): (&[Sketch], &Known),
        width: u64,
    ) {
        loop {
            let before = passes.to_vec();
            self.complete(passes, cells, known);
            if table.has_margins() {
                table.protect(passes, &Sizes { gate: self, cells, known, width });
            }
            if before == passes {
                return;
            }
        }
    }

    /// Withholds more groups until no total less those that pass would tell of few, together with what was told of
    /// earlier stretches.
    pub(super) fn hide_rests(
        &self,
        table: &Table<'_>,
        passes: &mut [bool],
        (whole, cells): (&Sketch, &[Sketch]),
        known: &Known,
    ) {
        let Some(place) = self.places.whole() else { return };
        let most = self.thresholds.persons_cap() as usize - 1;
        let leaves_few = |passes: &[bool]| {
            let group = |(index, sketch)| {
                let (place, is_told) = (self.places.cell(index), passes[index]);
                Group { place, sketch, is_told }
            };
            let groups: Vec<_> = cells.iter().enumerate().map(group).collect();
            known.rest_would_follow((place, whole), &groups, most)
        };
        while leaves_few(passes) {
            let (mut shown, _) = self.parted(passes);
            shown.retain(|index| !self.told_before[*index]);
            let hidden = shown.into_iter().take(MAX_TRIED).find_map(|index| {
                let mut fewer = passes.to_vec();
                fewer[index] = false;
                self.hide_within(table, &mut fewer, (cells, known), 0);
                (!leaves_few(&fewer)).then_some(fewer)
            });
            match hidden {
                // Intervals are looked at now, and not for each group that is tried.
                Some(fewer) => {
                    passes.copy_from_slice(&fewer);
                    self.hide(table, passes, cells, known);
                }
                None => passes.fill(false),
            }
            if !passes.contains(&true) {
                return;
            }
        }
    }

    /// Withholds more groups until those that do not pass are together enough, and not near to what was
    /// told before, or nobody.
    fn complete(&self, passes: &mut [bool], cells: &[Sketch], known: &Known) {
        let (mut told, withheld) = self.parted(passes);
        told.retain(|index| !self.told_before[*index]);
        let join = |(persons, stays, rest): &mut (u64, u64, Sketch), index: usize| {
            *persons += self.groups[index].persons;
            *stays += self.groups[index].stays;
            rest.merge(&cells[index]);
        };
        let is_enough = |(persons, stays, rest): &(u64, u64, Sketch)| {
            let is_nobody = *persons == 0 && *stays == 0;
            is_nobody || self.is_large(*persons, *stays) && self.hides_itself(rest, known)
        };
        if !complete(withheld, told, join, is_enough, |index| passes[index] = false) {
            passes.fill(false);
        }
    }
}
