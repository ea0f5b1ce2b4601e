//! The guard itself: what may be told beside what was told before.

use model::{Refusal, RefusalCode};

use super::{Known, Place, Sketch};

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

/// What an answer has made of a population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is that of a group that was told.
    Cell,
    /// It is that of a whole request; of all that one withheld, which follows from its total; or of a margin
    /// of which nothing was told.
    Whole,
    /// It was withheld though it is large enough, so that another does not follow.
    Hidden,
}

/// A population that an answer is about, to be known from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// It.
    pub sketch: Sketch,
    /// What was made of it.
    pub role: Role,
    /// Where it stands among others, when that is known.
    pub place: Option<Place>,
}

impl Told {
    /// A population of which it is not known where it stands.
    #[must_use]
    pub const fn new(sketch: Sketch, role: Role) -> Self {
        Self { sketch, role, place: None }
    }

    /// The same at `place`.
    #[must_use]
    pub fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }
}

impl Role {
    /// As it is kept.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Cell => 0,
            Self::Whole => 1,
            Self::Hidden => 2,
        }
    }

    /// From what was kept.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Cell),
            1 => Some(Self::Whole),
            2 => Some(Self::Hidden),
            _ => None,
        }
    }
}

/// Which of the `cells` of a request may not be told: those that differ by 1 to `most` persons from a
/// population that was told, or by at most as many from one that hides others. As indices. With `most` = 0
/// nobody is protected from being told apart. What was itself told may be told again, whatever else became
/// known under a smaller `most`.
///
/// # Errors
/// [`Differenced`] when the `whole` does so; when it and an earlier whole differ by a population that does;
/// when it is one that was told and one that hides others; or when it differs so from an earlier whole and
/// one of the cells.
pub fn keep_apart(
    whole: &Sketch,
    cells: &[Sketch],
    known: &Known,
    most: usize,
) -> Result<Vec<usize>, Differenced> {
    // Of nobody nothing is told. Eleven persons may well share ten counters, so a small group that was
    // told would look near.
    if most == 0 || *whole == Sketch::default() {
        return Ok(Vec::new());
    }
    let is_rest = |rest: &Sketch| *rest != Sketch::default();
    // What was told is no news, whatever it is near to.
    let exposes = |rest: &Sketch| known.exposes(rest, most);
    // What an earlier whole has beside this one is told by subtraction.
    let mut rests = known.wholes().map(|earlier| earlier.without(whole)).filter(is_rest);
    let is_known = known.contains(&Told::new(whole.clone(), Role::Whole));
    let is_near = known.has_near(whole, most) || known.hides(whole, most) || known.unites(whole);
    if !is_known && (is_near || rests.any(|rest| exposes(&rest))) {
        return Err(Differenced);
    }
    let (mut withheld, mut own) = (Vec::new(), Known::default());
    for (index, cell) in cells.iter().enumerate() {
        if exposes(cell) {
            withheld.push(index);
        } else {
            own.add(&Told::new(cell.clone(), Role::Cell));
        }
    }
    // And what this one has beside an earlier one.
    let mut rests = known.wholes().map(|earlier| whole.without(earlier)).filter(is_rest);
    if rests.any(|rest| own.has_near(&rest, most) || !is_known && exposes(&rest)) {
        return Err(Differenced);
    }
    Ok(withheld)
}
