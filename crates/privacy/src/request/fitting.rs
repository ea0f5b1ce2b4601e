//! What a request asks for that is a step of fitting a model.

use model::Refusal;

use super::malformed;
use crate::domain::Domain;
use crate::growth::Growth;
use crate::measure::Measure;
use crate::step::Step;

/// A step of fitting a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Fitting {
    /// Of a generalised linear model.
    Step(Box<Step>),
    /// Of boosted trees.
    Growth(Box<Growth>),
}

impl Fitting {
    /// What each leading column of the relation can be.
    #[must_use]
    pub const fn factors(&self) -> &Vec<Domain> {
        match self {
            Self::Step(step) => &step.factors,
            Self::Growth(growth) => &growth.factors,
        }
    }

    pub(super) fn check(&self, inputs: usize) -> Result<(), Refusal> {
        let wrong = |error: String| malformed("step", &format!("Here {error}."));
        match self {
            Self::Step(step) => step.check(inputs).map_err(|error| wrong(error.to_string())),
            Self::Growth(growth) => growth.check(inputs).map_err(|error| wrong(error.to_string())),
        }
    }

    pub(super) fn places(&self) -> usize {
        match self {
            Self::Step(step) => step.layout().places(),
            Self::Growth(growth) => growth.places(),
        }
    }

    pub(super) fn measure(&self) -> Measure {
        match self {
            Self::Step(_) => Measure::Step,
            Self::Growth(growth) => growth.measure(),
        }
    }

    /// Sets of persons behind each sum.
    #[must_use]
    pub const fn supports(&self) -> u32 {
        match self {
            Self::Step(step) => step.supports(),
            Self::Growth(growth) => growth.supports(),
        }
    }
}

impl From<Step> for Fitting {
    fn from(step: Step) -> Self {
        Self::Step(Box::new(step))
    }
}

impl From<Growth> for Fitting {
    fn from(growth: Growth) -> Self {
        Self::Growth(Box::new(growth))
    }
}
