use model::glm::Transform;

use crate::step::Number;

use super::*;

fn growth() -> Growth {
    let domain = Domain::closed(vec!["a".into(), "b".into(), "c".into()]).unwrap();
    let split = |feature, bin| Some(Split { feature, bin });
    let tree = Tree { splits: vec![split(1, 1)], values: vec![0.0, 0.5, -0.5] };
    Growth {
        factors: vec![domain],
        features: vec![Feature::Factor(0, vec![2, 0, 1]), Feature::Number(0, vec![1.0, 5.0])],
        response: Response::Number(Number { input: 1, transform: Transform::Identity }),
        unit: 1.0,
        family: Family::Gamma,
        planned: 2,
        start: 0.5,
        trees: vec![Arc::new(tree)],
        splits: vec![split(0, 0), None, split(1, 0)],
        ask: GrowthAsk::Nodes(vec![Asked { node: 5, ends: vec![vec![true; 3]; 2] }]),
    }
}

#[test]
fn families_of_nodes() {
    assert_eq!((parent(0), sibling(0)), (None, None));
    assert_eq!((parent(1), sibling(1), sibling(2)), (Some(0), Some(2), Some(1)));
    assert_eq!((parent(6), sibling(6), sibling(5)), (Some(2), Some(5), Some(6)));
    assert_eq!([0, 1, 3, 7].map(level_below), [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!([2, 4, 511].map(level_below), [None, None, None]);
}

#[test]
fn a_step_counts_both_siblings() {
    let number = growth();
    assert_eq!(number.check(2), Ok(()));
    assert_eq!((number.measure(), number.supports()), (Measure::Gradients(3, 2), 2));
    assert_eq!(number.places(), 2);
    let event = Growth { response: Response::Level(0, 2), family: Family::Binomial, ..growth() };
    assert_eq!(event.check(2), Ok(()));
    assert_eq!((event.measure(), event.supports()), (Measure::Gradients(3, 4), 4));
    let totals = Growth { splits: Vec::new(), ask: GrowthAsk::Totals, ..growth() };
    assert_eq!((totals.check(2), totals.measure()), (Ok(()), Measure::Step));
}

#[test]
fn whatever_decides_the_sums_is_hashed() {
    let hash = |growth: &Growth| {
        let mut writer = Writer::new("test");
        growth.encode(&mut writer);
        writer.hash()
    };
    let changes: [&dyn Fn(&mut Growth); 17] = [
        &|g| g.planned = 3,
        &|g| g.factors.clear(),
        &|g| g.features.truncate(1),
        &|g| g.features[0] = Feature::Factor(1, vec![2, 0, 1]),
        &|g| g.features[0] = Feature::Factor(0, vec![2, 1, 0]),
        &|g| g.features[1] = Feature::Number(0, vec![1.0, 6.0]),
        &|g| g.features[1] = Feature::Number(1, vec![1.0, 5.0]),
        &|g| g.response = Response::Level(0, 1),
        &|g| g.unit = 2.0,
        &|g| g.start = -0.5,
        &|g| g.family = Family::Poisson,
        &|g| g.trees.clear(),
        &|g| Arc::make_mut(&mut g.trees[0]).values[2] = 0.25,
        &|g| Arc::make_mut(&mut g.trees[0]).splits[0] = None,
        &|g| g.splits[1] = Some(Split { feature: 0, bin: 0 }),
        &|g| g.ask = GrowthAsk::Nodes(vec![Asked { node: 6, ends: Vec::new() }]),
        &|g| g.ask = GrowthAsk::Totals,
    ];
    let mut hashes: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut growth = growth();
            change(&mut growth);
            hash(&growth)
        })
        .collect();
    hashes.push(hash(&growth()));
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 18);
}

#[test]
fn what_points_to_nothing_is_refused() {
    let broken = |change: &dyn Fn(&mut Growth)| {
        let mut growth = growth();
        change(&mut growth);
        growth.check(2)
    };
    use InvalidGrowth::{Family as NoFamily, Index, Number as NoNumber, Size};
    let split = |feature, bin| Some(Split { feature, bin });
    assert_eq!(broken(&|g| g.features[1] = Feature::Number(2, vec![])), Err(Index));
    assert_eq!(broken(&|g| g.features[1] = Feature::Number(0, vec![5.0, 1.0])), Err(Index));
    assert_eq!(broken(&|g| g.features[0] = Feature::Factor(0, vec![0])), Err(Index));
    assert_eq!(broken(&|g| g.features.clear()), Err(Size));
    assert_eq!(broken(&|g| g.splits[0] = split(2, 0)), Err(Index), "no such feature");
    assert_eq!(broken(&|g| g.splits[0] = split(1, 2)), Err(Index), "all would go left");
    assert_eq!(broken(&|g| g.splits.push(None)), Err(Size), "half a level");
    assert_eq!(broken(&|g| g.splits[2] = None), Err(Index), "asks for a node without rows");
    assert_eq!(broken(&|g| g.ask = GrowthAsk::Nodes(Vec::new())), Err(Size));
    assert_eq!(broken(&|g| g.ask = GrowthAsk::Totals), Err(Index), "a tree is half grown");
    let asked = |node| GrowthAsk::Nodes(vec![Asked { node, ends: Vec::new() }]);
    assert_eq!(broken(&|g| g.ask = asked(2)), Err(Index), "on another level");
    assert_eq!(broken(&|g| g.ask = asked(3)), Err(Index), "below a leaf");
    let short = Asked { node: 5, ends: vec![vec![true; 3]] };
    assert_eq!(broken(&|g| g.ask = GrowthAsk::Nodes(vec![short.clone()])), Err(Index));
    assert_eq!(broken(&|g| Arc::make_mut(&mut g.trees[0]).values[1] = f64::NAN), Err(NoNumber));
    assert_eq!(broken(&|g| Arc::make_mut(&mut g.trees[0]).values.truncate(2)), Err(Size));
    assert_eq!(broken(&|g| g.start = f64::INFINITY), Err(NoNumber));
    assert_eq!(broken(&|g| g.start = -1e5), Err(NoNumber), "too far");
    assert_eq!(broken(&|g| g.unit = 3.0), Err(NoNumber));
    assert_eq!(broken(&|g| g.planned = 1), Err(Size), "one more than planned");
    assert_eq!(broken(&|g| g.family = Family::InverseGaussian), Err(NoFamily));
    assert_eq!(broken(&|g| g.family = Family::Binomial), Err(NoFamily));
}
