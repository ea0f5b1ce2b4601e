//! From a formula and the levels of its factors to design columns.
//!
//! Factors are coded against a reference level. Inside an interaction a factor is coded so only
//! where the term without it is in the model too; otherwise every level has a column (the rule of
//! marginality: Chambers and Hastie, *Statistical Models in S* (1992), section 2.4.1).

use std::collections::BTreeMap;

use model::glm::Transform;
use privacy::Domain;
use privacy::domain::{OTHER, Outside};
use privacy::step::{Column, Number};

use crate::formula::{Formula, Variable};

/// What a factor can be in a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// Levels, ascending; [`OTHER`] last, where it is one.
    pub names: Vec<String>,
    /// The level that the others are compared with.
    pub reference: String,
    /// Whether the factor is a text, so that values outside the list can be [`OTHER`].
    pub text: bool,
}

impl Levels {
    /// Whether values outside the list are a level of their own.
    #[must_use]
    pub fn has_other(&self) -> bool {
        self.names.last().is_some_and(|name| name == OTHER)
    }

    /// The domain in which a node finds the place of a value. Values that are at no level have no
    /// place, and their stays are left out.
    #[must_use]
    pub fn domain(&self) -> Domain {
        let other = self.has_other();
        let listed = self.names.iter().filter(|name| !other || *name != OTHER);
        let outside = if other { Outside::Named } else { Outside::None };
        Domain::Codes { codes: listed.cloned().collect(), outside }
    }

    /// The place of a level in its domain.
    fn place(&self, level: usize) -> u32 {
        // Place 0 is NULL; OTHER is last in both.
        u32::try_from(level + 1).unwrap_or(u32::MAX)
    }
}

/// A design: its columns, what they are called, and in which order columns of stays are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// The columns, the intercept first.
    pub columns: Vec<Column>,
    /// Their names.
    pub names: Vec<String>,
    /// Columns of stays that stand for groups.
    pub factors: Vec<String>,
    /// Columns of stays that are numbers.
    pub numbers: Vec<String>,
}

/// A formula that its levels do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesignError {
    /// A factor with one level or none.
    #[error("{name} has {count} level with enough patients, so it explains nothing; leave it out")]
    NoContrast {
        /// The factor.
        name: String,
        /// How many levels.
        count: usize,
    },
    /// More columns than a step takes.
    #[error("the model has {0} parameters; at most {max} are fitted", max = privacy::step::MAX_COLUMNS)]
    TooMany(usize),
}

/// The part of a product that one variable gives.
#[derive(Debug, Clone)]
enum Part {
    Level(u16, u32, String),
    Number(Number, String),
}

impl Design {
    /// The design of `formula`, whose factors have `levels`.
    ///
    /// # Errors
    /// [`DesignError`].
    pub fn new(formula: &Formula, levels: &BTreeMap<String, Levels>) -> Result<Self, DesignError> {
        let factors: Vec<String> = formula.factors().into_iter().map(str::to_owned).collect();
        let numbers: Vec<String> = formula.numbers().into_iter().map(str::to_owned).collect();
        let mut design = Self {
            columns: vec![Column::default()],
            names: vec!["(Intercept)".to_owned()],
            factors,
            numbers,
        };
        for term in &formula.terms {
            let mut products: Vec<Vec<Part>> = vec![Vec::new()];
            for variable in term {
                let parts = design.parts(formula, term, variable, levels)?;
                // Two factors of many levels have too many pairs to be made first and counted then.
                let total = design.columns.len() + products.len() * parts.len();
                if total > privacy::step::MAX_COLUMNS {
                    return Err(DesignError::TooMany(total));
                }
                let extended = products.iter().flat_map(|product| {
                    parts
                        .iter()
                        .map(|part| [product.as_slice(), std::slice::from_ref(part)].concat())
                });
                products = extended.collect();
            }
            products.iter().for_each(|product| design.push(product));
        }
        Ok(design)
    }

    fn push(&mut self, product: &[Part]) {
        let mut column = Column::default();
        let mut names = Vec::new();
        for part in product {
            match part {
                Part::Level(factor, place, name) => {
                    column.levels.push((*factor, *place));
                    names.push(name.as_str());
                }
                Part::Number(number, name) => {
                    column.numbers.push(*number);
                    names.push(name);
                }
            }
        }
        column.levels.sort_unstable();
        column.numbers.sort_unstable();
        self.columns.push(column);
        self.names.push(names.join(":"));
    }

    /// What `variable` gives to `term`.
    fn parts(
        &self,
        formula: &Formula,
        term: &[Variable],
        variable: &Variable,
        levels: &BTreeMap<String, Levels>,
    ) -> Result<Vec<Part>, DesignError> {
        match variable {
            Variable::Number(name, transform) => {
                Ok(vec![Part::Number(self.number(name, *transform), transform.written(name))])
            }
            Variable::Factor(name) => {
                let known = levels.get(name);
                let count = known.map_or(0, |levels| levels.names.len());
                let levels = known
                    .filter(|_| count > 1)
                    .ok_or_else(|| DesignError::NoContrast { name: name.clone(), count })?;
                let factor = index_of(&self.factors, name);
                let rest: Vec<_> =
                    term.iter().filter(|other| *other != variable).cloned().collect();
                let coded = rest.is_empty() || formula.terms.contains(&rest);
                let kept = levels.names.iter().enumerate();
                let kept = kept.filter(|(_, level)| !coded || **level != levels.reference);
                let part = |(index, level): (usize, &String)| {
                    Part::Level(factor, levels.place(index), format!("{name}={level}"))
                };
                Ok(kept.map(part).collect())
            }
        }
    }

    /// A number of the design's inputs.
    #[must_use]
    pub fn number(&self, name: &str, transform: Transform) -> Number {
        Number { input: index_of(&self.numbers, name), transform }
    }
}

fn index_of(names: &[String], name: &str) -> u16 {
    let index = names.iter().position(|known| known == name);
    index.and_then(|index| u16::try_from(index).ok()).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(names: &[&str], reference: &str) -> Levels {
        Levels {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            reference: reference.to_owned(),
            text: true,
        }
    }

    fn known() -> BTreeMap<String, Levels> {
        BTreeMap::from([
            ("sex".to_owned(), levels(&["F", "M"], "F")),
            ("severity".to_owned(), levels(&["1", "2", "3", "OTHER"], "2")),
        ])
    }

    fn names(formula: &str) -> Vec<String> {
        Design::new(&Formula::parse(formula).unwrap(), &known()).unwrap().names
    }

    #[test]
    fn levels_are_compared_with_the_reference() {
        let expected = ["(Intercept)", "sex=M", "severity=1", "severity=3", "severity=OTHER"];
        assert_eq!(names("total_cost ~ sex + severity"), expected);
        let design = Design::new(
            &Formula::parse("total_cost ~ severity + log(los_days)").unwrap(),
            &known(),
        );
        let design = design.unwrap();
        assert_eq!(design.columns[3].levels, [(0, 4)], "OTHER stands behind all listed places");
        assert_eq!(design.numbers, ["total_cost", "los_days"]);
        assert_eq!(design.columns[4].numbers[0].input, 1);
    }

    #[test]
    fn interactions_keep_to_marginality() {
        // R: model.matrix(~ a + a:x) has a slope for every level, ~ a * x one for all but one.
        let slopes = names("total_cost ~ sex + age_years:sex");
        assert_eq!(slopes, ["(Intercept)", "sex=M", "sex=F:age_years", "sex=M:age_years"]);
        let crossed = names("total_cost ~ sex*age_years");
        assert_eq!(crossed, ["(Intercept)", "sex=M", "age_years", "sex=M:age_years"]);
        let both = names("total_cost ~ sex*severity");
        assert_eq!(both.len(), 8);
        assert!(both.contains(&"severity=1:sex=M".to_owned()), "{both:?}");
    }

    #[test]
    fn a_factor_without_contrast_is_named() {
        let formula = Formula::parse("total_cost ~ payer").unwrap();
        let error =
            Design::new(&formula, &BTreeMap::from([("payer".to_owned(), levels(&["a"], "a"))]));
        assert!(error.unwrap_err().to_string().starts_with("payer has 1 level"));
        let closed = levels(&["a", "b"], "a").domain();
        assert_eq!(closed.places().of(Some("zz")), None);
        let open = known()["severity"].domain();
        assert_eq!((open.size(), open.places().of(Some("9"))), (5, Some(4)));
    }
}
