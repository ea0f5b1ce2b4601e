//! Applying a fitted model to rows.

use std::collections::HashMap;

use model::glm::{Link, Transform};
use privacy::Fitting;
use privacy::domain::OTHER;
use privacy::growth::{Feature, Growth};

use crate::card::{Card, InvalidCard, transform_named};

/// A fitted model, ready for rows.
#[derive(Debug)]
pub struct Predictor {
    link: Link,
    /// For each factor, its levels and where unknown ones belong.
    factors: Vec<Factor>,
    form: Form,
}

/// What the linear predictor is made of.
#[derive(Debug)]
enum Form {
    /// Coefficients, and an offset.
    Terms(Vec<Term>, Option<(usize, Transform)>),
    /// Trees, as nodes apply them.
    Trees(Box<Growth>),
}

#[derive(Debug)]
struct Factor {
    levels: HashMap<String, usize>,
    other: Option<usize>,
}

#[derive(Debug)]
struct Term {
    levels: Vec<(usize, usize)>,
    numbers: Vec<(usize, Transform)>,
    estimate: f64,
}

/// One row: a text for each factor and a number for each number of the card, in its order.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Values of factors.
    pub factors: &'a [Option<&'a str>],
    /// Values of numbers; NaN where there is none.
    pub numbers: &'a [f64],
}

impl Predictor {
    /// Makes a card ready.
    ///
    /// # Errors
    /// [`InvalidCard`].
    pub fn new(card: &Card) -> Result<Self, InvalidCard> {
        let (_, link) = card.law()?;
        // Formula, levels and coefficients, or trees, fit together.
        let fitting = card.totals()?;
        let names: Vec<&str> =
            card.design.factors.iter().map(|factor| factor.column.as_str()).collect();
        let factors: Vec<Factor> = card
            .design
            .factors
            .iter()
            .map(|factor| {
                let levels = factor.levels.iter().cloned().zip(0..);
                let levels: HashMap<_, _> = levels.collect();
                Factor { other: levels.get(OTHER).copied(), levels }
            })
            .collect();
        if let Fitting::Growth(growth) = fitting {
            return Ok(Self { link, factors, form: Form::Trees(growth) });
        }
        let wrong = || InvalidCard::Field("coefficients");
        let number = |(column, transform): &(String, String)| {
            let index = card.design.numbers.iter().position(|name| name == column);
            index.zip(transform_named(transform)).ok_or_else(wrong)
        };
        let level = |(column, level): &(String, String)| {
            let factor = names.iter().position(|name| name == column).ok_or_else(wrong)?;
            let level = factors.get(factor).and_then(|known| known.levels.get(level).copied());
            Ok((factor, level.ok_or_else(wrong)?))
        };
        let mut terms = Vec::new();
        for one in &card.coefficients {
            terms.push(Term {
                levels: one.levels.iter().map(level).collect::<Result<_, InvalidCard>>()?,
                numbers: one.numbers.iter().map(number).collect::<Result<_, _>>()?,
                estimate: one.estimate,
            });
        }
        let offset = card.design.offset.as_ref().map(number).transpose()?;
        Ok(Self { link, factors, form: Form::Terms(terms, offset) })
    }

    /// The mean of the response, as the formula has it; `None` when the row lacks a value or has a
    /// level that the model does not know.
    #[must_use]
    pub fn mean(&self, row: &Row<'_>) -> Option<f64> {
        let level = |(factor, value): (&Factor, &Option<&str>)| {
            let value = (*value)?;
            factor.levels.get(value).copied().or(factor.other)
        };
        let levels = self.factors.iter().zip(row.factors).map(level);
        let levels: Vec<usize> = levels.collect::<Option<_>>()?;
        let mean = match &self.form {
            Form::Terms(terms, offset) => {
                let eta = linear(terms, *offset, &levels, row.numbers)?;
                self.link.mean(eta).mu
            }
            Form::Trees(growth) => {
                // The place of a level is one more than its number: NULL is the first.
                let bin = |feature: &Feature| {
                    feature.bin_of(|factor| levels[factor] + 1, |number| row.numbers[number])
                };
                let bins: Vec<u8> = growth.features.iter().map(bin).collect::<Option<_>>()?;
                let eta =
                    growth.trees.iter().fold(growth.start, |eta, tree| eta + tree.value(&bins));
                self.link.mean(eta).mu * growth.unit
            }
        };
        mean.is_finite().then_some(mean)
    }
}

fn linear(
    terms: &[Term],
    offset: Option<(usize, Transform)>,
    levels: &[usize],
    numbers: &[f64],
) -> Option<f64> {
    let mut eta = match offset {
        Some((number, transform)) => transform.of(numbers[number])?,
        None => 0.0,
    };
    for term in terms {
        // A number that is missing makes the row unusable, whatever the levels are.
        let mut product = term.estimate;
        for (number, transform) in &term.numbers {
            product *= transform.of(numbers[*number])?;
        }
        if term.levels.iter().all(|(factor, level)| levels[*factor] == *level) {
            eta += product;
        }
    }
    Some(eta)
}
