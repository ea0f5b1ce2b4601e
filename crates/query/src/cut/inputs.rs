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
use crate::walk::Relation;

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

fn input_of(scale: Scale, magnitude: Option<f64>) -> Option<Input> {
    let default = match scale {
        Scale::Decimal(_) => DEFAULT_DECIMAL_BOUND,
        Scale::Binary(_) => DEFAULT_BINARY_BOUND,
    };
    let units = magnitude.unwrap_or(default).max(1.0) * scale.divisor().to_f64()?;
    Some(Input { scale, bound: u128::from_f64(units.ceil())? })
}

impl Decomposed {
    /// Chooses scale and bound of each input and the place of each measure.
    ///
    /// A square or product that would not fit its exact decimal scale is computed on doubles.
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
            measures: self.measures(),
            types: types.to_vec(),
        };
        for (index, expr) in self.inputs.iter().enumerate() {
            settled.inputs.push(input(relation, expr, &types[index])?);
        }
        // An input that becomes a double takes the partners of its other pairs with it; each
        // round changes at least one input, so there are at most as many rounds as inputs.
        for _ in 0..=self.inputs.len() {
            let unfit = |measure: &&Measure| measure.check(&settled.inputs).is_err();
            let Some(measure) = settled.measures.iter().find(unfit).copied() else {
                return Ok(settled);
            };
            let (x, y) = measure.inputs();
            for index in [x, y].into_iter().flatten() {
                settled.use_double(relation, index)?;
            }
            measure.check(&settled.inputs).map_err(|overflow| {
                let subject = x.map_or_else(String::new, |x| self.inputs[x].to_string());
                Refusal::new(RefusalCode::TooLarge, subject, format!("Here {overflow}."), "")
            })?;
        }
        Ok(settled)
    }

    /// One measure per input with the highest power needed, then pairs, then counts of units.
    fn measures(&self) -> Vec<Measure> {
        let mut measures = Vec::new();
        for (input, _) in self.inputs.iter().enumerate() {
            let powers = self.needs.iter().filter_map(|need| match need {
                Need::Moments(of, power) if *of == input => Some(*power),
                _ => None,
            });
            match powers.max() {
                Some(0) => measures.push(Measure::Count(input)),
                Some(1) => measures.push(Measure::Sum(input)),
                Some(_) => measures.push(Measure::Squares(input)),
                None => {}
            }
        }
        measures.extend(self.needs.iter().filter_map(|need| match need {
            Need::Rows => Some(Measure::Rows),
            Need::Persons => Some(Measure::Persons),
            Need::Stays => Some(Measure::Stays),
            Need::Contributors => Some(Measure::Contributors),
            Need::Products(x, y) => Some(Measure::Products(*x, *y)),
            Need::Moments(..) => None,
        }));
        measures
    }
}

fn input(relation: &Relation, expr: &Expr, data_type: &DataType) -> Result<Input, Refusal> {
    scale_of(data_type).and_then(|scale| input_of(scale, magnitude(relation, expr))).ok_or_else(
        || {
            let subject: String = expr.to_string().chars().take(60).collect();
            let reason = format!("A value of type {data_type} cannot be added up.");
            Refusal::new(RefusalCode::Measure, subject, reason, "Use a number.")
        },
    )
}

impl Settled {
    fn use_double(&mut self, relation: &Relation, index: usize) -> Result<(), Refusal> {
        if self.types[index] == DataType::Float64 {
            return Ok(());
        }
        let expr = &self.expressions[index];
        self.inputs[index] = input(relation, expr, &DataType::Float64)?;
        self.expressions[index] = cast(expr.clone(), DataType::Float64);
        Ok(())
    }

    /// The finished form of an aggregate.
    ///
    /// # Errors
    /// A [`Refusal`] when products have no common scale; [`Decomposed::settle`] has checked them.
    pub(crate) fn finish(&self, pending: Pending) -> Result<Final, Refusal> {
        let serves = |measure: &Measure| match (pending.need, measure) {
            (Need::Rows, Measure::Rows)
            | (Need::Persons, Measure::Persons)
            | (Need::Stays, Measure::Stays)
            | (Need::Contributors, Measure::Contributors) => true,
            (Need::Moments(a, _), Measure::Count(b) | Measure::Sum(b) | Measure::Squares(b)) => {
                a == *b
            }
            (Need::Products(a, b), Measure::Products(x, y)) => (a, b) == (*x, *y),
            _ => false,
        };
        let index = self.measures.iter().position(serves);
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
        Ok(Final { measure: index, offset, kind: pending.kind, scales, sum, data_type })
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
        let none = Input { scale: Scale::Decimal(0), bound: 1 };
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
