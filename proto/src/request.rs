//! Release requests, both ways.

use model::moments::Scale;
use model::{Refusal, RefusalCode};
use privacy::Domain;
use privacy::domain::Outside;
use privacy::measure::{Input, Measure};
use privacy::request::{
    Claim, Fitting, REQUEST_VERSION, ReleaseRequest, RequestParts, Scope, StepParts,
};

use crate::growth::{decode_growth, encode_growth};
use crate::project::{decode_project, encode_project};
use crate::step::{decode_step, encode_step};
use crate::v1;

/// Longest name and arguments of a pack's question, in bytes.
const MAX_CLAIM_BYTES: usize = 64 * 1024;

pub(crate) fn malformed(subject: &str, reason: &str) -> Refusal {
    Refusal::new(RefusalCode::Request, subject, reason, "Use matching versions of Consilium.")
}

/// A request as it travels, with the time that is left for it.
#[must_use]
pub fn encode_request(request: &ReleaseRequest, deadline_ms: u64) -> v1::ReleaseRequest {
    let scope = match request.scope() {
        Scope::Pooled => v1::Scope::Pooled,
        Scope::PerHospital => v1::Scope::PerHospital,
    };
    // Everything about the groups of a step follows from the step.
    let follows = request.fitting().is_some();
    let (step, growth) = match request.fitting() {
        Some(Fitting::Step(step)) => (Some(encode_step(step)), None),
        Some(Fitting::Growth(growth)) => (None, Some(encode_growth(growth))),
        None => (None, None),
    };
    let measures = request.measures().iter().map(|measure| encode_measure(*measure));
    let domains = request.domains().iter().map(encode_domain);
    v1::ReleaseRequest {
        version: REQUEST_VERSION,
        scope: scope.into(),
        asker: request.asker().to_owned(),
        relation_sql: request.relation_sql().to_owned(),
        dimensions: if follows { Vec::new() } else { request.dimensions().to_vec() },
        inputs: request.inputs().iter().map(encode_input).collect(),
        measures: if follows { Vec::new() } else { measures.collect() },
        deadline_ms,
        domains: if follows { Vec::new() } else { domains.collect() },
        supports: if follows { Vec::new() } else { request.supports().to_vec() },
        pack: request.claim().map(encode_claim),
        step,
        growth,
        rho_micro: request.rho_micro(),
        project: request.project().map(encode_project),
    }
}

/// A claim as it travels.
#[must_use]
pub fn encode_claim(claim: &Claim) -> v1::PackClaim {
    v1::PackClaim {
        pack: claim.pack.to_vec(),
        question: claim.question.clone(),
        arguments: claim.arguments.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    }
}

/// Reads a claim.
///
/// # Errors
/// A [`Refusal`] with code `request` when it is malformed or too long.
pub fn decode_claim(wire: v1::PackClaim) -> Result<Claim, Refusal> {
    let wrong = || malformed("pack", "The claim to be a pack's question is malformed.");
    let bytes: usize = wire.arguments.iter().map(|(name, value)| name.len() + value.len()).sum();
    if wire.question.len() > MAX_CLAIM_BYTES || bytes > MAX_CLAIM_BYTES {
        return Err(wrong());
    }
    let pack = wire.pack.as_slice().try_into().map_err(|_| wrong())?;
    let arguments = wire.arguments.into_iter().collect();
    Ok(Claim { pack, question: wire.question, arguments })
}

pub(crate) fn encode_domain(domain: &Domain) -> v1::Domain {
    use v1::code_domain::Outside as Wire;
    let kind = match domain {
        Domain::Codes { codes, outside } => {
            let outside = match outside {
                Outside::None => Wire::None,
                Outside::Named => Wire::Named,
                Outside::Unnamed => Wire::Unnamed,
                Outside::Ancestor => Wire::Ancestor,
                Outside::AncestorOnly => Wire::AncestorOnly,
            };
            v1::domain::Kind::Codes(v1::CodeDomain {
                codes: codes.clone(),
                outside: outside.into(),
            })
        }
        Domain::Buckets { bits, level, salt } => v1::domain::Kind::Buckets(v1::BucketDomain {
            bits: (*bits).into(),
            level: (*level).into(),
            salt: salt.to_vec(),
        }),
        // It follows from a step and does not travel.
        Domain::Numbered(_) => return v1::Domain::default(),
    };
    v1::Domain { kind: Some(kind) }
}

pub(crate) fn decode_domain(wire: v1::Domain) -> Result<Domain, Refusal> {
    use v1::code_domain::Outside as Wire;
    let wrong = || malformed("domain", "A code list of the request is malformed.");
    match wire.kind {
        Some(v1::domain::Kind::Codes(list)) => {
            let outside = match list.outside() {
                Wire::None => Outside::None,
                Wire::Named => Outside::Named,
                Wire::Unnamed => Outside::Unnamed,
                Wire::Ancestor => Outside::Ancestor,
                Wire::AncestorOnly => Outside::AncestorOnly,
                Wire::Unspecified => return Err(wrong()),
            };
            Ok(Domain::Codes { codes: list.codes, outside })
        }
        Some(v1::domain::Kind::Buckets(buckets)) => Ok(Domain::Buckets {
            bits: u8::try_from(buckets.bits).map_err(|_| wrong())?,
            level: u8::try_from(buckets.level).map_err(|_| wrong())?,
            salt: buckets.salt.as_slice().try_into().map_err(|_| wrong())?,
        }),
        None => Err(wrong()),
    }
}

/// Parses a request.
///
/// # Errors
/// A [`Refusal`] with code `request`, `bounds` or `too_large`.
pub fn decode_request(wire: v1::ReleaseRequest) -> Result<ReleaseRequest, Refusal> {
    if wire.version != REQUEST_VERSION {
        return Err(malformed("version", "The request has another version than this node."));
    }
    let scope = match wire.scope() {
        v1::Scope::Pooled => Scope::Pooled,
        v1::Scope::PerHospital => Scope::PerHospital,
        v1::Scope::Unspecified => return Err(malformed("scope", "The request names no scope.")),
    };
    let inputs = wire.inputs.iter().map(decode_input).collect::<Result<_, _>>()?;
    let claim = wire.pack.map(decode_claim).transpose()?;
    let project = wire.project.map(decode_project).transpose()?;
    let rho_micro = wire.rho_micro;
    let as_asked =
        |request: ReleaseRequest| request.claiming(claim).with_noise(rho_micro).within(project);
    let fitting: Option<Fitting> = match (wire.step, wire.growth) {
        (Some(step), None) => Some(decode_step(step)?.into()),
        (None, Some(growth)) => Some(decode_growth(growth)?.into()),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(malformed("step", "The request asks for two steps.")),
    };
    if let Some(fitting) = fitting {
        let (asker, relation_sql) = (wire.asker, wire.relation_sql);
        let parts = StepParts { scope, asker, relation_sql, inputs, fitting };
        return Ok(as_asked(ReleaseRequest::try_from(parts)?));
    }
    let measures = wire.measures.iter().map(decode_measure).collect::<Result<_, _>>()?;
    let request = ReleaseRequest::try_from(RequestParts {
        scope,
        asker: wire.asker,
        relation_sql: wire.relation_sql,
        dimensions: wire.dimensions,
        domains: wire.domains.into_iter().map(decode_domain).collect::<Result<_, _>>()?,
        inputs,
        measures,
        supports: wire.supports,
    })?;
    Ok(as_asked(request))
}

fn encode_input(input: &Input) -> v1::Input {
    let scale = match input.scale {
        Scale::Decimal(digits) => v1::input::Scale::DecimalDigits(digits.into()),
        Scale::Binary(bits) => v1::input::Scale::BinaryBits(bits.into()),
    };
    v1::Input { scale: Some(scale), bound: input.bound.to_le_bytes().to_vec(), money: input.money }
}

fn decode_input(wire: &v1::Input) -> Result<Input, Refusal> {
    let wrong = || malformed("input", "An input of the request is malformed.");
    let small = |value: u32| u8::try_from(value).map_err(|_| wrong());
    let scale = match wire.scale {
        Some(v1::input::Scale::DecimalDigits(digits)) => Scale::Decimal(small(digits)?),
        Some(v1::input::Scale::BinaryBits(bits)) => Scale::Binary(small(bits)?),
        None => return Err(wrong()),
    };
    let bound = <[u8; 16]>::try_from(wire.bound.as_slice()).map_err(|_| wrong())?;
    Ok(Input { scale, bound: u128::from_le_bytes(bound), money: wire.money })
}

fn encode_measure(measure: Measure) -> v1::Measure {
    use v1::measure::Kind;
    let kind = match measure {
        Measure::Rows => Kind::Rows,
        Measure::Persons => Kind::Persons,
        Measure::Stays => Kind::Stays,
        Measure::Contributors => Kind::Contributors,
        Measure::Count(_) => Kind::Count,
        Measure::Sum(_) => Kind::Sum,
        Measure::Squares(_) => Kind::Squares,
        Measure::Products(..) => Kind::Products,
        Measure::Histogram(..) => Kind::Histogram,
        // It follows from a step and does not travel.
        Measure::Step | Measure::Gradients(..) => Kind::Unspecified,
    };
    let (x, y) = measure.inputs();
    let index = |input: Option<usize>| input.and_then(|i| u32::try_from(i).ok()).unwrap_or(0);
    let bins = u32::try_from(measure.bins()).unwrap_or(u32::MAX);
    v1::Measure { kind: kind.into(), x: index(x), y: index(y), bins }
}

fn decode_measure(wire: &v1::Measure) -> Result<Measure, Refusal> {
    use v1::measure::Kind;
    let (x, y) = (wire.x as usize, wire.y as usize);
    Ok(match wire.kind() {
        Kind::Rows => Measure::Rows,
        Kind::Persons => Measure::Persons,
        Kind::Stays => Measure::Stays,
        Kind::Contributors => Measure::Contributors,
        Kind::Count => Measure::Count(x),
        Kind::Sum => Measure::Sum(x),
        Kind::Squares => Measure::Squares(x),
        Kind::Products => Measure::Products(x, y),
        Kind::Histogram => {
            let wrong = |_| malformed("bins", "A histogram has too many bins.");
            Measure::Histogram(x, u16::try_from(wire.bins).map_err(wrong)?)
        }
        Kind::Unspecified => {
            return Err(malformed("measure", "A measure of the request has no known kind."));
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measure(inputs: usize) -> impl Strategy<Value = Measure> {
        let i = 0..inputs;
        prop_oneof![
            Just(Measure::Rows),
            Just(Measure::Persons),
            Just(Measure::Stays),
            Just(Measure::Contributors),
            i.clone().prop_map(Measure::Count),
            i.clone().prop_map(Measure::Sum),
            i.clone().prop_map(Measure::Squares),
            (i.clone(), i.clone()).prop_map(|(x, y)| Measure::Products(x, y)),
            (i, 1u16..300).prop_map(|(x, bins)| Measure::Histogram(x, bins)),
        ]
    }

    fn input() -> impl Strategy<Value = Input> {
        (1u32..=42, any::<bool>()).prop_map(|(bits, decimal)| Input {
            scale: if decimal { Scale::Decimal(4) } else { Scale::Binary(40) },
            bound: 1u128 << bits,
            money: decimal,
        })
    }

    proptest! {
        #[test]
        fn requests_round_trip(
            inputs in prop::collection::vec(input(), 3),
            measures in prop::collection::vec(measure(3), 1..6),
            sql in ".{0,80}",
            codes in prop::collection::vec("[A-Z]{1,3}", 0..5),
            kind in 0u8..6,
        ) {
            let supports = measures.iter().map(|measure| u32::try_from(measure.width()).unwrap());
            let domain = match kind {
                0 => None,
                1 => Some(Domain::open(codes, true).unwrap()),
                2 => Some(Domain::closed(codes).unwrap()),
                3 | 4 => Some(Domain::hierarchical(codes, kind == 3).unwrap()),
                _ => Some(Domain::Buckets { bits: 4, level: 3, salt: [7; 32] }),
            };
            let parts = RequestParts {
                scope: if domain.is_some() { Scope::Pooled } else { Scope::PerHospital },
                asker: "ana".into(),
                relation_sql: sql,
                dimensions: vec!["drg_code".into()],
                domains: domain.into_iter().collect(),
                inputs,
                supports: supports.collect(),
                measures,
            };
            // Mixed decimal and binary pairs are not well-formed and never reach the wire.
            if let Ok(request) = ReleaseRequest::try_from(parts) {
                let wire = encode_request(&request, 1_000);
                prop_assert_eq!(decode_request(wire).unwrap(), request);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            use prost::Message;
            if let Ok(wire) = v1::ReleaseRequest::decode(bytes.as_slice()) {
                let _ = decode_request(wire);
            }
        }
    }
}
