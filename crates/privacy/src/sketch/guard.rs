//! The guard itself: what may be told beside what was told before.

use model::{Refusal, RefusalCode};

use super::{Known, Sketch};

/// The population as a whole differs too little from what was told before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the population differs by too few persons from that of an earlier question")]
pub struct Differenced;

impl Differenced {
    /// What the asker is told: that the guard applied, and never how near.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        Refusal::new(
            RefusalCode::Differencing,
            "WHERE",
            "The question is about nearly the same patients as an earlier one, or together with \
             earlier ones leaves few.",
            "Ask about the same patients as before, or about others who are more.",
        )
    }
}

/// A population that is about to be told, to be known from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// It.
    pub sketch: Sketch,
    /// It is that of a whole request.
    pub whole: bool,
}

/// Which of the `cells` of a request may not be told: those that differ from a known population by
/// 1 to `most` persons, as indices. With `most` = 0 nobody is protected from being told apart. What is
/// itself known may be told again, whatever else became known under a smaller `most`.
///
/// # Errors
/// [`Differenced`] when the `whole` does so; when it and an earlier whole differ by a population that in
/// turn differs by so few from a known one; or from one of the cells.
pub fn keep_apart(
    whole: &Sketch,
    cells: &[Sketch],
    known: &Known,
    most: usize,
) -> Result<Vec<usize>, Differenced> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let is_rest = |rest: &Sketch| *rest != Sketch::default();
    // What an earlier whole has beside this one is told by subtraction.
    let mut rests = known.wholes().map(|earlier| earlier.without(whole)).filter(is_rest);
    let is_known = known.contains(whole, true);
    if !is_known && (known.has_near(whole, most) || rests.any(|rest| known.has_near(&rest, most))) {
        return Err(Differenced);
    }
    let (mut withheld, mut own) = (Vec::new(), Known::default());
    for (index, cell) in cells.iter().enumerate() {
        if known.has_near(cell, most) && !known.contains(cell, false) {
            withheld.push(index);
        } else {
            own.add(cell, false);
        }
    }
    // And what this one has beside an earlier one.
    let mut rests = known.wholes().map(|earlier| whole.without(earlier)).filter(is_rest);
    if rests.any(|rest| own.has_near(&rest, most)) {
        return Err(Differenced);
    }
    Ok(withheld)
}
