//! Which groups are withheld so that others do not follow: from a total, or from totals of several stretches.

use super::Judge;
use crate::complementary::complete;
use crate::sketch::{Group, Known, Place, Role, Sketch, Told};
use crate::veil::VeiledPlaces;

/// Groups of which it is tried whether withholding one more is enough.
const MAX_TRIED: usize = 32;

impl Judge<'_> {
    /// Withholds passing groups until what is withheld follows neither from a total nor from that and earlier
    /// stretches. Whether it is together enough to be told.
    pub(super) fn hide(&self, bits: &mut [u64], known: &Known) -> bool {
        let mut enough = self.complete(bits, known);
        while self.leaves_few(bits, known) {
            let hidden = self.shown(bits, known).into_iter().take(MAX_TRIED).find_map(|place| {
                let mut fewer = bits.to_vec();
                fewer[place] = 0;
                let enough = self.complete(&mut fewer, known);
                (!self.leaves_few(&fewer, known)).then_some((fewer, enough))
            });
            let Some((fewer, is_enough)) = hidden else {
                bits.fill(0);
                return enough;
            };
            bits.copy_from_slice(&fewer);
            enough = is_enough;
        }
        enough
    }

    /// Whether the total less groups that pass would tell of few, together with earlier stretches.
    fn leaves_few(&self, bits: &[u64], known: &Known) -> bool {
        let whole = self.places.as_ref().and_then(VeiledPlaces::whole).zip(self.whole.as_ref());
        let Some((place, whole)) = whole else { return false };
        let places: Vec<Option<Place>> =
            (0..self.sketches.len()).map(|index| self.place(index)).collect();
        let nobody = Sketch::default();
        let cells = self.sketches.iter().enumerate().filter(|(_, sketch)| **sketch != nobody);
        let groups = cells.map(|(index, sketch)| {
            let is_told = bits[index] & 1 == 1;
            Group { place: places[index].as_ref(), sketch, is_told }
        });
        let groups: Vec<_> = groups.collect();
        let most = self.fewest_apart() - 1;
        bits.iter().any(|bits| bits & 1 == 1)
            && known.rest_would_follow((&place, whole), &groups, most)
    }

    /// The groups that pass and were not told before, smallest first.
    fn shown(&self, bits: &[u64], known: &Known) -> Vec<usize> {
        if self.sketches.is_empty() {
            return Vec::new();
        }
        let is_known = |place: usize| {
            let sketch = &self.sketches[place];
            let follows = |stands: Place| known.follows(&stands, sketch);
            known.is_told(sketch) || self.place(place).is_some_and(follows)
        };
        let passing = (0..bits.len()).filter(|place| bits[*place] & 1 == 1);
        let mut passing: Vec<usize> = passing.filter(|place| !is_known(*place)).collect();
        let size = |place: usize| self.shape.sizes().map_or(0, |column| self.at(column, place));
        passing.sort_by_key(|place| (size(*place), self.group(*place)));
        passing
    }

    /// Withholds passing groups until those that are withheld are together enough to be told, and not near
    /// to what was told before, or nobody. Whether they are.
    fn complete(&self, bits: &mut [u64], known: &Known) -> bool {
        // Groups of a model's sums are about the same persons, who would be added up once for each.
        if self.shape.measures().iter().any(|measure| measure.whole) {
            return false;
        }
        let withheld: Vec<usize> = (0..bits.len()).filter(|place| bits[*place] & 1 == 0).collect();
        let passing = self.shown(bits, known);
        let join = |(sum, rest): &mut ([u128; 3], Sketch), place| {
            let [persons, stays, hospitals] = self.group(place);
            *sum = [sum[0] + persons, sum[1] + stays, sum[2].max(hospitals)];
            self.sketches.get(place).into_iter().for_each(|sketch| rest.merge(sketch));
        };
        let is_enough = |(sum, rest): &([u128; 3], Sketch)| {
            *sum == [0; 3] || self.reaches(*sum) && !known.has_near(rest, self.fewest_apart() - 1)
        };
        let enough = complete(withheld, passing, join, is_enough, |place| bits[place] = 0);
        if !enough && !self.sketches.is_empty() {
            bits.fill(0);
        }
        enough
    }

    /// The cells that passed before they were withheld so that others do not follow.
    pub(super) fn hidden(&self, before: &[u64], after: &[u64]) -> Vec<Told> {
        let is_told = after.iter().any(|bits| bits & 1 == 1);
        let each = self.sketches.iter().zip(before.iter().zip(after)).filter(|_| is_told);
        let hidden = each.filter(|(_, (before, after))| *before & 1 == 1 && *after & 1 == 0);
        hidden.map(|(sketch, _)| Told::new(sketch.clone(), Role::Hidden)).collect()
    }
}
