//! Steps of growing boosted trees, both ways.

use std::sync::Arc;

use model::Refusal;
use model::glm::Family;
use privacy::growth::{Asked, Feature, Growth, GrowthAsk, Split, Tree};
use privacy::step::Response;

use crate::chunks::{is_set, pack};
use crate::request::{decode_domain, encode_domain, malformed};
use crate::step::{decode_level, decode_number, encode_level, encode_number};
use crate::v1;

/// Most bins of one feature; more are not unpacked.
const MAX_BINS: usize = privacy::growth::MAX_FEATURE_BINS;

fn wrong() -> Refusal {
    malformed("growth", "A step of growing trees is malformed.")
}

fn encode_feature(feature: &Feature) -> v1::TreeFeature {
    match feature {
        Feature::Factor(index, bins) => v1::TreeFeature {
            index: (*index).into(),
            bins: bins.clone(),
            edges: Vec::new(),
            is_number: false,
        },
        Feature::Number(index, edges) => v1::TreeFeature {
            index: (*index).into(),
            bins: Vec::new(),
            edges: edges.clone(),
            is_number: true,
        },
    }
}

fn decode_feature(wire: v1::TreeFeature) -> Result<Feature, Refusal> {
    let index = u16::try_from(wire.index).map_err(|_| wrong())?;
    match wire.is_number {
        true => Ok(Feature::Number(index, wire.edges)),
        false => Ok(Feature::Factor(index, wire.bins)),
    }
}

fn encode_splits(splits: &[Option<Split>]) -> Option<v1::TreeSplits> {
    let bytes = |split: &Option<Split>| match split {
        // There are fewer features than a byte counts.
        Some(Split { feature, bin }) => [u8::try_from(feature + 1).unwrap_or(u8::MAX), *bin],
        None => [0, 0],
    };
    Some(v1::TreeSplits { splits: splits.iter().flat_map(bytes).collect() })
}

fn decode_splits(wire: Option<v1::TreeSplits>) -> Result<Vec<Option<Split>>, Refusal> {
    let bytes = wire.unwrap_or_default().splits;
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong());
    }
    let split = |[feature, bin]: &[u8; 2]| {
        feature.checked_sub(1).map(|feature| Split { feature: feature.into(), bin: *bin })
    };
    Ok(pairs.iter().map(split).collect())
}

fn encode_ends(ends: &[bool]) -> v1::RunEnds {
    v1::RunEnds {
        bins: u32::try_from(ends.len()).unwrap_or(u32::MAX),
        ends: pack(ends.iter().copied()),
    }
}

fn decode_ends(wire: &v1::RunEnds) -> Result<Vec<bool>, Refusal> {
    let bins = wire.bins as usize;
    if bins > MAX_BINS || wire.ends.len() != bins.div_ceil(8) {
        return Err(wrong());
    }
    Ok((0..bins).map(|bin| is_set(&wire.ends, bin)).collect())
}

fn decode_node(wire: &v1::TreeNode) -> Result<Asked, Refusal> {
    let ends = wire.ends.iter().map(decode_ends).collect::<Result<_, _>>()?;
    Ok(Asked { node: wire.node, ends })
}

/// A step as it travels.
pub(crate) fn encode_growth(growth: &Growth) -> v1::Growth {
    let tree = |tree: &Arc<Tree>| v1::Tree {
        splits: encode_splits(&tree.splits),
        values: tree.values.clone(),
    };
    let node = |asked: &Asked| v1::TreeNode {
        node: asked.node,
        ends: asked.ends.iter().map(|ends| encode_ends(ends)).collect(),
    };
    v1::Growth {
        factors: growth.factors.iter().map(encode_domain).collect(),
        features: growth.features.iter().map(encode_feature).collect(),
        response: Some(match &growth.response {
            Response::Number(number) => v1::growth::Response::Number(encode_number(number)),
            Response::Level(factor, place) => {
                v1::growth::Response::Level(encode_level(&(*factor, *place)))
            }
        }),
        unit: growth.unit,
        family: growth.family.as_str().to_owned(),
        planned: growth.planned,
        start: growth.start,
        trees: growth.trees.iter().map(tree).collect(),
        splits: encode_splits(&growth.splits),
        nodes: match &growth.ask {
            GrowthAsk::Nodes(asked) => asked.iter().map(node).collect(),
            GrowthAsk::Totals => Vec::new(),
        },
    }
}

/// Reads a step; whether it is one, [`Growth::check`] says.
pub(crate) fn decode_growth(wire: v1::Growth) -> Result<Growth, Refusal> {
    let response = match wire.response.ok_or_else(wrong)? {
        v1::growth::Response::Number(number) => Response::Number(decode_number(number)?),
        v1::growth::Response::Level(level) => {
            let (factor, place) = decode_level(level)?;
            Response::Level(factor, place)
        }
    };
    let tree = |wire: v1::Tree| {
        Ok(Arc::new(Tree { splits: decode_splits(wire.splits)?, values: wire.values }))
    };
    let nodes: Vec<Asked> = wire.nodes.iter().map(decode_node).collect::<Result<_, _>>()?;
    Ok(Growth {
        factors: wire.factors.into_iter().map(decode_domain).collect::<Result<_, _>>()?,
        features: wire.features.into_iter().map(decode_feature).collect::<Result<_, _>>()?,
        response,
        unit: wire.unit,
        family: Family::named(&wire.family).ok_or_else(wrong)?,
        planned: wire.planned,
        start: wire.start,
        trees: wire.trees.into_iter().map(tree).collect::<Result<_, Refusal>>()?,
        splits: decode_splits(wire.splits)?,
        ask: if nodes.is_empty() { GrowthAsk::Totals } else { GrowthAsk::Nodes(nodes) },
    })
}

#[cfg(test)]
mod tests {
    use model::glm::Transform;
    use privacy::request::{ReleaseRequest, Scope, StepParts};
    use privacy::step::Number;
    use privacy::{Domain, Input};
    use proptest::prelude::*;

    use crate::request::{decode_request, encode_request};

    use super::*;

    fn request(values: &[f64], event: bool, totals: bool, bits: Vec<bool>) -> ReleaseRequest {
        let levels = Domain::closed(vec!["a".into(), "b".into(), "c".into()]).unwrap();
        let days = Number { input: 0, transform: Transform::Identity };
        let edges = (1..10).map(f64::from).collect();
        let split = |feature, bin| Some(Split { feature, bin });
        // Within what trees may lead to.
        let small = values.iter().map(|value| value / f64::MAX).collect();
        let ask = match totals {
            true => GrowthAsk::Totals,
            false => {
                let asked = Asked { node: 2, ends: vec![vec![true, false, true], bits] };
                GrowthAsk::Nodes(vec![Asked { node: 1, ends: Vec::new() }, asked])
            }
        };
        let growth = Growth {
            factors: vec![levels.clone(), levels],
            features: vec![Feature::Factor(0, vec![2, 0, 1]), Feature::Number(0, edges)],
            response: if event { Response::Level(1, 2) } else { Response::Number(days) },
            unit: 1024.0,
            family: if event { Family::Binomial } else { Family::Gamma },
            planned: 2,
            start: values[0] / f64::MAX,
            trees: vec![Arc::new(Tree { splits: vec![split(1, 8)], values: small })],
            splits: if totals { Vec::new() } else { vec![split(0, 1)] },
            ask,
        };
        let input = Input { scale: model::moments::Scale::Decimal(0), bound: 3_660, money: false };
        let parts = StepParts {
            scope: Scope::Pooled,
            asker: "ana".into(),
            relation_sql: "SELECT 1".into(),
            inputs: vec![input],
            fitting: growth.into(),
        };
        ReleaseRequest::try_from(parts).unwrap()
    }

    proptest! {
        #[test]
        fn trees_round_trip_to_the_bit(
            values in prop::collection::vec(prop::num::f64::NORMAL, 3),
            event in any::<bool>(),
            totals in any::<bool>(),
            bits in prop::collection::vec(any::<bool>(), 10),
        ) {
            let request = request(&values, event, totals, bits);
            let wire = encode_request(&request, 1_000);
            prop_assert!(wire.domains.is_empty() && wire.measures.is_empty());
            let read = decode_request(wire).unwrap();
            prop_assert_eq!(read.hash(), request.hash());
            prop_assert_eq!(read, request);
        }
    }
}
