//! Where the groups of one answer stand among what was told.

use super::{Differenced, Frame, Known, Place, Sketch};

/// Where an answer stands among what was told: its whole, and each of its groups.
#[derive(Debug, Default)]
pub(crate) struct Places {
    frame: Option<Frame>,
    whole: Option<Place>,
    cells: Vec<Option<Place>>,
}

impl Places {
    /// Of the groups with these labels.
    pub(crate) fn of<'a>(
        frame: Option<Frame>,
        labels: impl Iterator<Item = &'a [Option<String>]>,
    ) -> Self {
        let Some(frame) = frame else { return Self::default() };
        let whole = frame.whole();
        let cells = labels.map(|labels| frame.group(&whole, labels)).collect();
        Self { whole: Some(whole), cells, frame: Some(frame) }
    }

    /// Of the rows as a whole.
    pub(crate) fn whole(&self) -> Option<&Place> {
        self.whole.as_ref().filter(|_| self.frame.as_ref().is_some_and(|frame| frame.has_whole))
    }

    /// Of a group.
    pub(crate) fn cell(&self, index: usize) -> Option<&Place> {
        self.cells.get(index)?.as_ref()
    }

    /// Of those in a group whom a measure treats alike.
    pub(crate) fn part(
        &self,
        labels: &[Option<String>],
        combination: (usize, usize),
    ) -> Option<Place> {
        self.frame.as_ref()?.part(self.whole.as_ref()?, labels, combination)
    }

    /// Which of the groups `shown` may not be told, because stretches that were told before would then tell
    /// about 1 to `most` persons, or of a population that hides others.
    ///
    /// # Errors
    /// [`Differenced`] when the whole does so.
    pub(crate) fn keep_stretches_apart(
        &self,
        whole: &Sketch,
        (cells, shown): (&[Sketch], &[usize]),
        known: &Known,
        most: usize,
    ) -> Result<Vec<usize>, Differenced> {
        if self.whole().is_some_and(|place| known.would_follow(place, whole, most)) {
            return Err(Differenced);
        }
        let follows = |index: &&usize| {
            let place = self.cell(**index);
            place.is_some_and(|place| known.would_follow(place, &cells[**index], most))
        };
        Ok(shown.iter().filter(follows).copied().collect())
    }
}
