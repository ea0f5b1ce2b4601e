//! Scales, bounds and places: from what aggregates need to the cells of a request.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast};
use model::moments::Scale;
use model::{Refusal, RefusalCode};
use num_traits::{FromPrimitive, ToPrimitive};
use privacy::measure::{FRACTION_BITS, Input, Measure};

use super::aggregate::{Decomposed, Need, Pending};
use crate::bounds::magnitude;
use crate::finish::{Final, FinalKind, SumType};
use crate::grid::Grid;
use crate::walk::{Relation, binned, is_money, refuse_binning};

/// Bound of a whole number or an amount for which none can be derived, in its own unit.
const DEFAULT_DECIMAL_BOUND: f64 = 1e9;
/// Bound of a binary number for which none can be derived.
const DEFAULT_BINARY_BOUND: f64 = 4_194_304.0;

/// Inputs with their scales, and measures with their places.
#[derive(Debug)]
pub(crate) struct Settled {
    /// One per input.
    pub inputs: Vec<Input>,
    /// The expression behind each input, cast to its final type.
    pub expressions: Vec<Expr>,
    /// What is added up.
    pub measures: Vec<Measure>,
    /// For each measure, the needs it serves.
    serves: Vec<Vec<Need>>,
    types: Vec<DataType>,
}

fn scale_of(data_type: &DataType) -> Option<Scale> {
    match data_type {
        DataType::Decimal128(_, scale) => u8::try_from(*scale).ok().map(Scale::Decimal),
        DataType::Float64 | DataType::Float32 | DataType::Float16 => {
            Some(Scale::Binary(FRACTION_BITS))
        }
        DataType::Boolean => Some(Scale::Decimal(0)),
        other if other.is_integer() => Some(Scale::Decimal(0)),
        _ => None,
    }
}

fn input_of(scale: Scale, magnitude: Option<f64>, money: bool) -> Option<Input> {
    let default = match scale {
        Scale::Decimal(_) => DEFAULT_DECIMAL_BOUND,
        Scale::Binary(_) => DEFAULT_BINARY_BOUND,
    };
    let units = magnitude.unwrap_or(default).max(1.0) * scale.divisor().to_f64()?;
    Some(Input { scale, bound: u128::from_f64(units.ceil())?, money })
}

/// Whether a request's bound of an input is what its expression calls for. A smaller one would clamp
/// values, and a series of such bounds reveals them; a much larger one would blur the rule of
/// dominance.
pub(crate) fn is_honest_bound(claimed: &Input, magnitude: Option<f64>) -> bool {
    let own = input_of(claimed.scale, magnitude, claimed.money);
    own.is_some_and(|own| (own.bound..=own.bound.saturating_mul(2)).contains(&claimed.bound))
}

impl Decomposed {
    /// Chooses scale and bound of each input and the place of each measure.
    ///
    /// A square or product that would not fit its exact decimal scale is computed on doubles, in
    /// inputs of its own: what one aggregate needs never changes the type of another.
    ///
    /// # Errors
    /// A [`Refusal`] when an input is not a number, or when a sum could overflow.
    pub(crate) fn settle(
        &self,
        relation: &Relation,
        types: &[DataType],
    ) -> Result<Settled, Refusal> {
        let mut settled = Settled {
            inputs: Vec::new(),
            expressions: self.inputs.clone(),
            measures: Vec::new(),
            serves: Vec::new(),
            types: types.to_vec(),
        };
        for (expr, data_type) in self.inputs.iter().zip(types) {
            settled.inputs.push(input(relation, expr, data_type)?);
        }
        for index in 0..self.inputs.len() {
            settled.place_moments(relation, index, &self.powers(index))?;
        }
        for need in &self.needs {
            match *need {
                Need::Rows => settled.place(Measure::Rows, &[*need])?,
                Need::Persons => settled.place(Measure::Persons, &[*need])?,
                Need::Stays => settled.place(Measure::Stays, &[*need])?,
                Need::Contributors => settled.place(Measure::Contributors, &[*need])?,
                Need::Histogram(x) => {
                    let grid = settled.grid(x, relation);
                    let measure = grid.and_then(|grid| grid.measure(x));
                    settled
                        .place(measure.ok_or_else(|| refuse_binning("percentile"))?, &[*need])?;
                }
                Need::Products(x, y) => {
                    let exact = Measure::Products(x, y);
                    if exact.check(&settled.inputs).is_ok() {
                        settled.place(exact, &[*need])?;
                    } else {
                        let x = settled.double(relation, x)?;
                        let y = settled.double(relation, y)?;
                        settled.place(Measure::Products(x, y), &[*need])?;
                    }
                }
                Need::Moments(..) => {}
            }
        }
        Ok(settled)
    }

    /// The powers of an input that some aggregate needs.
    fn powers(&self, input: usize) -> Vec<u8> {
        let powers = self.needs.iter().filter_map(|need| match need {
            Need::Moments(of, power) if *of == input => Some(*power),
            _ => None,
        });
        powers.collect()
    }
}

fn input(relation: &Relation, expr: &Expr, data_type: &DataType) -> Result<Input, Refusal> {
    let input = scale_of(data_type)
        .and_then(|scale| input_of(scale, magnitude(relation, expr), is_money(relation, expr)));
    input.ok_or_else(|| {
        let subject: String = expr.to_string().chars().take(60).collect();
        let reason = format!("A value of type {data_type} cannot be added up.");
        Refusal::new(RefusalCode::Measure, subject, reason, "Use a number.")
    })
}

impl Settled {
    /// One measure with the highest power needed; squares apart where they need doubles.
    fn place_moments(
        &mut self,
        relation: &Relation,
        input: usize,
        powers: &[u8],
    ) -> Result<(), Refusal> {
        let needs = |limit: u8| -> Vec<Need> {
            let within = powers.iter().filter(|power| **power <= limit);
            within.map(|power| Need::Moments(input, *power)).collect()
        };
        let highest = powers.iter().max().copied();
        let lower = powers.iter().filter(|power| **power < 2).max().copied();
        let simple =
            |power: u8| if power == 0 { Measure::Count(input) } else { Measure::Sum(input) };
        match (highest, Measure::Squares(input).check(&self.inputs)) {
            (None, _) => Ok(()),
            (Some(2), Ok(())) => self.place(Measure::Squares(input), &needs(2)),
            (Some(2), Err(_)) => {
                if let Some(power) = lower {
                    self.place(simple(power), &needs(1))?;
                }
                let double = self.double(relation, input)?;
                self.place(Measure::Squares(double), &[Need::Moments(input, 2)])
            }
            (Some(power), _) => self.place(simple(power), &needs(1)),
        }
    }

    fn place(&mut self, measure: Measure, serves: &[Need]) -> Result<(), Refusal> {
        measure.check(&self.inputs).map_err(|overflow| {
            let (x, _) = measure.inputs();
            let subject = x.map_or_else(String::new, |x| self.expressions[x].to_string());
            Refusal::new(RefusalCode::TooLarge, subject, format!("Here {overflow}."), "")
        })?;
        self.measures.push(measure);
        self.serves.push(serves.to_vec());
        Ok(())
    }

    /// The same input as a double; itself when it is one.
    fn double(&mut self, relation: &Relation, index: usize) -> Result<usize, Refusal> {
        if self.types[index] == DataType::Float64 {
            return Ok(index);
        }
        let double = cast(self.expressions[index].clone(), DataType::Float64);
        if let Some(known) = self.expressions.iter().position(|expr| *expr == double) {
            return Ok(known);
        }
        self.inputs.push(input(relation, &double, &DataType::Float64)?);
        self.expressions.push(double);
        self.types.push(DataType::Float64);
        Ok(self.inputs.len() - 1)
    }

    /// The finished form of an aggregate.
    ///
    /// # Errors
    /// A [`Refusal`] when products have no common scale; [`Decomposed::settle`] has checked them.
    pub(crate) fn finish(&self, pending: Pending, relation: &Relation) -> Result<Final, Refusal> {
        let index = self.serves.iter().position(|serves| serves.contains(&pending.need));
        let Some(index) = index else {
            return Err(Refusal::new(RefusalCode::Request, "aggregate", "It has no measure.", ""));
        };
        let offset = self.measures[..index].iter().map(|measure| measure.width()).sum();
        let scales = self.scales(self.measures[index])?;
        let sum = self.sum_type(pending.need);
        let data_type = match pending.kind {
            FinalKind::Count | FinalKind::PairCount => DataType::Int64,
            FinalKind::Sum => match sum {
                SumType::Integer => DataType::Int64,
                SumType::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
                SumType::Double => DataType::Float64,
            },
            _ => DataType::Float64,
        };
        let grid = match self.measures[index] {
            Measure::Histogram(x, _) => self.grid(x, relation),
            _ => None,
        };
        let Pending { kind, name, .. } = pending;
        Ok(Final { measure: index, offset, kind, scales, sum, data_type, name, grid })
    }

    /// The bins of input `x`: those of its column.
    fn grid(&self, x: usize, relation: &Relation) -> Option<Grid> {
        let (_, column) = relation.base(binned(&self.expressions[x])?)?;
        Grid::of(column, &self.inputs[x])
    }

    fn sum_type(&self, need: Need) -> SumType {
        let Need::Moments(input, _) = need else { return SumType::Integer };
        match (self.inputs[input].scale, &self.types[input]) {
            (Scale::Decimal(_), DataType::Decimal128(precision, scale)) => {
                SumType::Decimal(precision.saturating_add(10).min(38), *scale)
            }
            (Scale::Decimal(_), _) => SumType::Integer,
            (Scale::Binary(_), _) => SumType::Double,
        }
    }

    fn scales(&self, measure: Measure) -> Result<[Scale; 5], Refusal> {
        let (x, y) = measure.inputs();
        let none = Input { scale: Scale::Decimal(0), bound: 1, money: false };
        let at = |index: Option<usize>| index.map_or(none, |index| self.inputs[index]);
        let (x, y) = (at(x), at(y));
        let product = |a: &Input, b: &Input| match measure {
            Measure::Squares(_) | Measure::Products(..) => Input::product_scale(a, b),
            _ => Ok(Scale::Decimal(0)),
        };
        let overflow = |_| Refusal::new(RefusalCode::TooLarge, "aggregate", "Too large.", "");
        let y_or_x = if matches!(measure, Measure::Products(..)) { y } else { x };
        Ok([
            x.scale,
            y.scale,
            product(&x, &x).map_err(overflow)?,
            product(&y_or_x, &y_or_x).map_err(overflow)?,
            product(&x, &y_or_x).map_err(overflow)?,
        ])
    }
}
