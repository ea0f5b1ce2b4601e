//! Steps of fitting a model, both ways.

use model::Refusal;
use model::glm::{Family, Link, Transform};
use privacy::step::{Ask, At, Column, Number, Response, Step};

use crate::request::{decode_domain, encode_domain, malformed};
use crate::v1;

pub(crate) fn encode_number(number: &Number) -> v1::ModelNumber {
    let transform = match number.transform {
        Transform::Identity => v1::Transform::Identity,
        Transform::Log => v1::Transform::Log,
        Transform::SquareRoot => v1::Transform::SquareRoot,
        Transform::Square => v1::Transform::Square,
        Transform::Cube => v1::Transform::Cube,
    };
    v1::ModelNumber { input: number.input.into(), transform: transform.into() }
}

fn wrong() -> Refusal {
    malformed("step", "A step of fitting a model is malformed.")
}

pub(crate) fn decode_number(wire: v1::ModelNumber) -> Result<Number, Refusal> {
    let transform = match wire.transform() {
        v1::Transform::Identity => Transform::Identity,
        v1::Transform::Log => Transform::Log,
        v1::Transform::SquareRoot => Transform::SquareRoot,
        v1::Transform::Square => Transform::Square,
        v1::Transform::Cube => Transform::Cube,
        v1::Transform::Unspecified => return Err(wrong()),
    };
    let input = u16::try_from(wire.input).map_err(|_| wrong())?;
    Ok(Number { input, transform })
}

pub(crate) fn encode_level((factor, place): &(u16, u32)) -> v1::ModelLevel {
    v1::ModelLevel { factor: (*factor).into(), place: *place }
}

pub(crate) fn decode_level(wire: v1::ModelLevel) -> Result<(u16, u32), Refusal> {
    Ok((u16::try_from(wire.factor).map_err(|_| wrong())?, wire.place))
}

fn decode_column(wire: v1::DesignColumn) -> Result<Column, Refusal> {
    Ok(Column {
        levels: wire.levels.into_iter().map(decode_level).collect::<Result<_, _>>()?,
        numbers: wire.numbers.into_iter().map(decode_number).collect::<Result<_, _>>()?,
    })
}

/// A step as it travels.
pub(crate) fn encode_step(step: &Step) -> v1::Step {
    let ask = match step.ask {
        Ask::Start => v1::StepAsk::Start,
        Ask::Newton => v1::StepAsk::Newton,
        Ask::Final => v1::StepAsk::Final,
        Ask::Totals => v1::StepAsk::Totals,
        Ask::Scores => v1::StepAsk::Scores,
    };
    let column = |column: &Column| v1::DesignColumn {
        levels: column.levels.iter().map(encode_level).collect(),
        numbers: column.numbers.iter().map(encode_number).collect(),
    };
    v1::Step {
        factors: step.factors.iter().map(encode_domain).collect(),
        response: Some(match &step.response {
            Response::Number(number) => v1::step::Response::Number(encode_number(number)),
            Response::Level(factor, place) => {
                v1::step::Response::Level(encode_level(&(*factor, *place)))
            }
        }),
        unit: step.unit,
        weight: step.weight.as_ref().map(encode_number),
        offset: step.offset.as_ref().map(encode_number),
        columns: step.columns.iter().map(column).collect(),
        family: step.family.as_str().to_owned(),
        link: step.link.as_str().to_owned(),
        ask: ask.into(),
        coefficients: step.at.coefficients.clone(),
        shape: step.at.shape,
        null_mean: step.at.null_mean,
        inverse: step.at.inverse.clone(),
        before: step.at.before.clone(),
    }
}

/// Reads a step; whether it is one, [`Step::check`] says.
pub(crate) fn decode_step(wire: v1::Step) -> Result<Step, Refusal> {
    let ask = match wire.ask() {
        v1::StepAsk::Start => Ask::Start,
        v1::StepAsk::Newton => Ask::Newton,
        v1::StepAsk::Final => Ask::Final,
        v1::StepAsk::Totals => Ask::Totals,
        v1::StepAsk::Scores => Ask::Scores,
        v1::StepAsk::Unspecified => return Err(wrong()),
    };
    let response = match wire.response.ok_or_else(wrong)? {
        v1::step::Response::Number(number) => Response::Number(decode_number(number)?),
        v1::step::Response::Level(level) => {
            let (factor, place) = decode_level(level)?;
            Response::Level(factor, place)
        }
    };
    Ok(Step {
        factors: wire.factors.into_iter().map(decode_domain).collect::<Result<_, _>>()?,
        response,
        unit: wire.unit,
        weight: wire.weight.map(decode_number).transpose()?,
        offset: wire.offset.map(decode_number).transpose()?,
        columns: wire.columns.into_iter().map(decode_column).collect::<Result<_, _>>()?,
        family: Family::named(&wire.family).ok_or_else(wrong)?,
        link: Link::named(&wire.link).ok_or_else(wrong)?,
        ask,
        at: At {
            coefficients: wire.coefficients,
            shape: wire.shape,
            null_mean: wire.null_mean,
            inverse: wire.inverse,
            before: wire.before,
        },
    })
}

#[cfg(test)]
mod tests {
    use privacy::request::{ReleaseRequest, Scope, StepParts};
    use privacy::{Domain, Input};
    use proptest::prelude::*;

    use crate::request::{decode_request, encode_request};

    use super::*;

    fn request(betas: Vec<f64>, event: bool, scope: Scope) -> ReleaseRequest {
        let levels = Domain::closed(vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let days = Number { input: 0, transform: Transform::Log };
        let columns = vec![
            Column::default(),
            Column { levels: vec![(0, 2)], numbers: Vec::new() },
            Column { levels: vec![(0, 3)], numbers: vec![days] },
        ];
        let (family, link) = match event {
            true => (Family::Binomial, Link::Probit),
            false => (Family::Gamma, Link::Log),
        };
        let step = Step {
            factors: vec![levels.clone(), levels],
            response: if event { Response::Level(1, 2) } else { Response::Number(days) },
            unit: 1024.0,
            weight: event.then_some(days),
            offset: Some(days),
            columns,
            family,
            link,
            ask: Ask::Final,
            at: At {
                inverse: [betas.as_slice(); 3].concat(),
                before: betas.clone(),
                coefficients: betas,
                shape: 0.5,
                null_mean: 2.0,
            },
        };
        let input = Input { scale: model::moments::Scale::Decimal(0), bound: 3_660, money: false };
        let parts = StepParts {
            scope,
            asker: "ana".into(),
            relation_sql: "SELECT 1".into(),
            inputs: vec![input],
            fitting: step.into(),
        };
        ReleaseRequest::try_from(parts).unwrap()
    }

    proptest! {
        #[test]
        fn steps_round_trip_to_the_bit(
            betas in prop::collection::vec(prop::num::f64::NORMAL, 3),
            event in any::<bool>(),
            pooled in any::<bool>(),
        ) {
            let scope = if pooled { Scope::Pooled } else { Scope::PerHospital };
            let request = request(betas, event, scope);
            let wire = encode_request(&request, 1_000);
            prop_assert!(wire.domains.is_empty() && wire.measures.is_empty());
            let read = decode_request(wire).unwrap();
            prop_assert_eq!(read.hash(), request.hash());
            prop_assert_eq!(read, request);
        }
    }
}
