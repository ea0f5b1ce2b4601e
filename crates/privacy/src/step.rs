//! One step of fitting a model: what is added up over stays, and who stands behind each sum.
//!
//! A step's groups are not those of a dimension but its *places*: one for each sum. The sum of a
//! pair of design columns is about the stays that have the levels of both, so its place is judged by
//! the same rules as any group: persons, stays and hospitals behind it. Beside that, the persons with
//! the levels of exactly one of the two, and of neither, must be none or the minimum, because their
//! counts follow from those of neighbouring places; so must those for whom the product of both
//! columns is other than zero, as in any measure; and where the response is an event, those with it
//! and those without it.
//!
//! Contributions are rounded once per stay to 2^-40 and kept within ±2^40, so sums do not depend on
//! order or partition. Stays with a larger contribution are counted, and a fit that has some is
//! not believed ([`Scalar::Clamped`]).

use model::glm::{Family, Link, Transform};

use crate::domain::Domain;
use crate::request::MAX_DIMENSIONS;

/// Most design columns.
pub const MAX_COLUMNS: usize = 256;
/// Most factors, the response included.
pub const MAX_FACTORS: usize = 2 * MAX_DIMENSIONS;
/// What a contribution is multiplied with before it is rounded: 2^40.
pub const UNITS: f64 = (1u64 << 40) as f64;
/// log2 of the largest contribution, in [`UNITS`].
pub const CONTRIBUTION_BITS: u32 = 80;

/// A number of a stay: an input and what it goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// Index of the request's input.
    pub input: u16,
    /// What it goes through.
    pub transform: Transform,
}

/// A column of the design: a product of level indicators and numbers; of nothing, the intercept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Column {
    /// Factor and place in its domain, ascending by factor.
    pub levels: Vec<(u16, u32)>,
    /// Numbers, ascending.
    pub numbers: Vec<Number>,
}

/// What is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// A number.
    Number(Number),
    /// 1 for stays at this place of this factor, 0 for those at another.
    Level(u16, u32),
}

/// What a step asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Weighted least squares from means that the responses themselves suggest.
    Start,
    /// Score and observed information.
    Newton,
    /// Score, both informations, and the sum of squared scores.
    Final,
    /// The score alone: of one hospital, for standard errors clustered by hospital.
    Scores,
    /// Sums over all stays only: what was observed and what the model expects.
    Totals,
}

/// Where a step is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct At {
    /// One for each column.
    pub coefficients: Vec<f64>,
    /// `α` of the negative binomial family, else 1.
    pub shape: f64,
    /// The mean of a model without covariates, for its deviance.
    pub null_mean: f64,
    /// For Firth's correction, the inverse information at `before`, row after row; else empty.
    pub inverse: Vec<f64>,
    /// The coefficients of the step before, where leverages are taken; else empty.
    pub before: Vec<f64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What each leading column of the relation can be.
    pub factors: Vec<Domain>,
    /// What is modelled.
    pub response: Response,
    /// What the response is divided by: a power of two, for amounts under an identity link.
    pub unit: f64,
    /// Prior weight of a stay.
    pub weight: Option<Number>,
    /// What is added to the linear predictor.
    pub offset: Option<Number>,
    /// The design.
    pub columns: Vec<Column>,
    /// The response's distribution.
    pub family: Family,
    /// How its mean hangs on the linear predictor.
    pub link: Link,
    /// What is asked.
    pub ask: Ask,
    /// Where.
    pub at: At,
}

/// A sum over all stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// `Σ w`.
    Weight,
    /// `Σ ln w`.
    LogWeight,
    /// `Σ w y`.
    Response,
    /// `Σ w ln y`, over positive responses.
    LogResponse,
    /// `Σ w μ`.
    Mean,
    /// `Σ w V(μ)`.
    Variance,
    /// `Σ w d(y, μ)`.
    Deviance,
    /// `Σ w d(y, null mean)`.
    NullDeviance,
    /// `Σ w (y − μ)² / V(μ)`.
    Pearson,
    /// `Σ w ℓ`, as [`model::glm::Point::likelihood`] has it.
    Likelihood,
    /// `Σ w ∂ℓ/∂α`.
    ShapeScore,
    /// `−Σ w ∂²ℓ/∂α²`.
    ShapeObserved,
    /// Stays of which a contribution was too large.
    Clamped,
}

impl Scalar {
    /// In the order of their places.
    pub const ALL: [Self; 13] = [
        Self::Weight,
        Self::LogWeight,
        Self::Response,
        Self::LogResponse,
        Self::Mean,
        Self::Variance,
        Self::Deviance,
        Self::NullDeviance,
        Self::Pearson,
        Self::Likelihood,
        Self::ShapeScore,
        Self::ShapeObserved,
        Self::Clamped,
    ];

    /// Whether a step tells this sum; of the others its places hold zero. A fit learns no more than its
    /// next step needs.
    #[must_use]
    pub const fn is_told(self, ask: Ask) -> bool {
        match self {
            Self::Weight | Self::Clamped | Self::Response => true,
            Self::Mean | Self::Variance => matches!(ask, Ask::Totals),
            Self::Deviance | Self::Likelihood | Self::ShapeScore | Self::ShapeObserved => {
                matches!(ask, Ask::Newton | Ask::Final)
            }
            Self::LogWeight | Self::LogResponse | Self::NullDeviance | Self::Pearson => {
                matches!(ask, Ask::Final)
            }
        }
    }
}

/// Consecutive places of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// [`Scalar::ALL`].
    Scalars,
    /// `Σ w y x_j`, one for each column.
    Responses,
    /// `Σ w ∂ℓ/∂η x_j`; of [`Ask::Start`], `Σ W z x_j`.
    Score,
    /// `−Σ w ∂²ℓ/∂η∂α x_j`.
    Cross,
    /// `−Σ w ∂²ℓ/∂η² x_j x_k`, one for each pair.
    Observed,
    /// Its expectation; of [`Ask::Start`], `Σ W x_j x_k`.
    Expected,
    /// `Σ (w ∂ℓ/∂η)² x_j x_k`.
    Squares,
}

impl Block {
    /// Whether its places are pairs of columns.
    #[must_use]
    pub const fn is_of_pairs(self) -> bool {
        matches!(self, Self::Observed | Self::Expected | Self::Squares)
    }
}

/// The places of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    columns: usize,
    pairs: Vec<(u16, u16)>,
    blocks: Vec<Block>,
}

/// A step that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStep {
    /// No columns, or too many, or too many factors.
    #[error("a model has 1 to {MAX_COLUMNS} design columns and at most {MAX_FACTORS} factors")]
    Size,
    /// An index points to nothing, or a list is out of order.
    #[error("a design column points to a factor, level or input that the request does not have")]
    Index,
    /// The same column twice.
    #[error("a design column occurs twice")]
    Repeated,
    /// A number is not finite, or there are not as many as columns.
    #[error("a coefficient is not a number, or is missing")]
    Coefficients,
    /// The link's means are not those of the family.
    #[error("the link does not fit the family")]
    Link,
}

impl Column {
    /// Whether no stay can have both.
    fn excludes(&self, other: &Self) -> bool {
        let level = |factor: u16| other.levels.iter().find(|(f, _)| *f == factor);
        self.levels.iter().any(|(factor, place)| level(*factor).is_some_and(|(_, p)| p != place))
    }
}

impl Step {
    /// Checks what came over the wire; `inputs` is how many the request has.
    ///
    /// # Errors
    /// [`InvalidStep`].
    pub fn check(&self, inputs: usize) -> Result<(), InvalidStep> {
        let sized = (1..=MAX_COLUMNS).contains(&self.columns.len());
        if !sized || self.factors.len() > MAX_FACTORS {
            return Err(InvalidStep::Size);
        }
        if !self.factors.iter().all(|domain| domain.check().is_ok()) {
            return Err(InvalidStep::Index);
        }
        let number = |number: &Number| usize::from(number.input) < inputs;
        let level = |(factor, place): &(u16, u32)| {
            let domain = self.factors.get(usize::from(*factor));
            domain.is_some_and(|domain| (1..domain.size()).contains(&(*place as usize)))
        };
        let column = |column: &Column| {
            column.levels.windows(2).all(|pair| pair[0].0 < pair[1].0)
                && column.numbers.is_sorted()
                && column.levels.iter().all(level)
                && column.numbers.iter().all(number)
        };
        let response = match &self.response {
            Response::Number(one) => number(one),
            Response::Level(factor, place) => level(&(*factor, *place)),
        };
        let others = self.weight.iter().chain(&self.offset).all(number);
        if !response || !others || !self.columns.iter().all(column) {
            return Err(InvalidStep::Index);
        }
        let mut sorted: Vec<_> = self.columns.iter().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(InvalidStep::Repeated);
        }
        self.check_numbers()
    }

    fn check_numbers(&self) -> Result<(), InvalidStep> {
        let At { coefficients, shape, null_mean, inverse, before } = &self.at;
        let columns = self.columns.len();
        let finite = |list: &[f64]| list.iter().all(|value| value.is_finite());
        let complete = coefficients.len() == columns
            && inverse.len() == before.len() * columns
            && (before.is_empty() || before.len() == columns);
        let sane = |value: f64| value.is_finite() && value > 0.0;
        let numbers = sane(*shape) && null_mean.is_finite() && sane(self.unit);
        if !complete
            || !numbers
            || ![coefficients, inverse, before].into_iter().all(|list| finite(list))
        {
            return Err(InvalidStep::Coefficients);
        }
        if !self.family.takes(self.link) {
            return Err(InvalidStep::Link);
        }
        Ok(())
    }

    /// Sets of persons behind the sum of each place: those of too large a contribution; with the
    /// first column's levels only, with the second's only, with neither; those for whom the columns
    /// are other than zero; and where the response is an event, those with it and those without it.
    #[must_use]
    pub const fn supports(&self) -> u32 {
        match self.response {
            Response::Number(_) => 5,
            Response::Level(..) => 7,
        }
    }

    /// Its places.
    #[must_use]
    pub fn layout(&self) -> Layout {
        use Block::{Cross, Expected, Observed, Responses, Scalars, Score, Squares};
        let canonical = self.family.is_canonical(self.link);
        let mut blocks = match self.ask {
            Ask::Start => vec![Scalars, Responses, Score, Expected],
            Ask::Newton if canonical => vec![Scalars, Score, Expected],
            Ask::Newton => vec![Scalars, Score, Observed],
            Ask::Final if canonical => vec![Scalars, Score, Expected, Squares],
            Ask::Final => vec![Scalars, Score, Observed, Expected, Squares],
            Ask::Scores => vec![Scalars, Score],
            Ask::Totals => vec![Scalars],
        };
        let with_shape = self.family == Family::NegativeBinomial;
        if with_shape && matches!(self.ask, Ask::Newton | Ask::Final) {
            blocks.push(Cross);
        }
        let number = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
        let mut pairs = Vec::new();
        if blocks.iter().any(|block| block.is_of_pairs()) {
            for (j, first) in self.columns.iter().enumerate() {
                let later = self.columns.iter().enumerate().skip(j);
                let meets = later.filter(|(_, second)| !first.excludes(second));
                pairs.extend(meets.map(|(k, _)| (number(j), number(k))));
            }
        }
        Layout { columns: self.columns.len(), pairs, blocks }
    }
}

impl Layout {
    /// The pairs of columns that a stay can have, `j ≤ k`, in the order of their places.
    #[must_use]
    pub fn pairs(&self) -> &[(u16, u16)] {
        &self.pairs
    }

    /// The blocks, in the order of their places.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Places of a block.
    #[must_use]
    pub const fn size(&self, block: Block) -> usize {
        match block {
            Block::Scalars => Scalar::ALL.len(),
            Block::Responses | Block::Score | Block::Cross => self.columns,
            Block::Observed | Block::Expected | Block::Squares => self.pairs.len(),
        }
    }

    /// Where a block begins; `None` when the step does not ask for it.
    #[must_use]
    pub fn start(&self, block: Block) -> Option<usize> {
        let index = self.blocks.iter().position(|one| *one == block)?;
        Some(self.blocks[..index].iter().map(|block| self.size(*block)).sum())
    }

    /// All places.
    #[must_use]
    pub fn places(&self) -> usize {
        self.blocks.iter().map(|block| self.size(*block)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        let domain = Domain::closed(vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let days = Number { input: 0, transform: Transform::Log };
        let level = |place| Column { levels: vec![(0, place)], numbers: Vec::new() };
        Step {
            factors: vec![domain],
            response: Response::Number(Number { input: 1, transform: Transform::Identity }),
            unit: 1.0,
            weight: None,
            offset: None,
            columns: vec![
                Column::default(),
                level(2),
                level(3),
                Column { levels: Vec::new(), numbers: vec![days] },
            ],
            family: Family::Gamma,
            link: Link::Log,
            ask: Ask::Final,
            at: At {
                coefficients: vec![0.0; 4],
                shape: 1.0,
                null_mean: 1.0,
                inverse: Vec::new(),
                before: Vec::new(),
            },
        }
    }

    #[test]
    fn blocks_follow_each_other_and_levels_of_a_factor_are_no_pair() {
        let layout = step().layout();
        assert_eq!(layout.pairs().len(), 9, "of ten pairs, two levels of a factor never meet");
        assert!(!layout.pairs().contains(&(1, 2)));
        assert_eq!(layout.start(Block::Scalars), Some(0));
        assert_eq!(layout.start(Block::Observed), Some(13 + 4));
        assert_eq!(layout.start(Block::Squares), Some(13 + 4 + 18));
        assert_eq!(layout.places(), 13 + 4 + 27);
        assert_eq!(layout.start(Block::Responses), None);
        let totals = Step { ask: Ask::Totals, ..step() }.layout();
        assert_eq!((totals.places(), totals.pairs().len()), (13, 0));
    }

    #[test]
    fn what_points_to_nothing_is_refused() {
        assert_eq!(step().check(2), Ok(()));
        assert_eq!(step().check(1), Err(InvalidStep::Index));
        let broken = |change: &dyn Fn(&mut Step)| {
            let mut step = step();
            change(&mut step);
            step.check(2)
        };
        assert_eq!(broken(&|s| s.columns[1].levels[0].1 = 4), Err(InvalidStep::Index));
        assert_eq!(broken(&|s| s.columns[1].levels[0].1 = 0), Err(InvalidStep::Index), "NULL");
        assert_eq!(broken(&|s| s.columns[1].levels[0].1 = 3), Err(InvalidStep::Repeated));
        assert_eq!(broken(&|s| s.at.coefficients[2] = f64::NAN), Err(InvalidStep::Coefficients));
        assert_eq!(broken(&|s| s.at.inverse = vec![1.0; 3]), Err(InvalidStep::Coefficients));
        assert_eq!(broken(&|s| s.link = Link::Logit), Err(InvalidStep::Link));
        assert_eq!(broken(&|s| s.columns.clear()), Err(InvalidStep::Size));
        assert_eq!(broken(&|s| s.unit = 0.0), Err(InvalidStep::Coefficients));
    }
}
