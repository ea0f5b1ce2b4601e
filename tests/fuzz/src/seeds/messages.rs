//! Messages of every kind that [`crate::wire()`] decodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use learn::card;
use learn::design::{Design, Levels};
use learn::formula::Formula;
use model::glm::{Family, Link};
use privacy::discover::{NameKey, pack};
use privacy::growth::{Asked, Feature, GrowthAsk, Split, Tree};
use privacy::open::Opened;
use privacy::request::Claim;
use privacy::sign::Context;
use privacy::sketch::{Extent, Span};
use privacy::step::Ask;
use privacy::{
    Growth, Noise, Policy, ReleaseRequest, RoundNoise, Scope, Shape, Step, Terms, Veil, VeilKey,
    Veiled,
};
use proto::{
    Message, UploadProof, cells_part, encode_claim, encode_offer, encode_opened, encode_request,
    encode_terms, encode_upload, encode_veiled, to_record, v1,
};
use query::question::Question;

use super::{Seed, questions};
use crate::parties::{Round, key, parties, per_hospital, planner, question, wait};

fn seed(kind: u8, name: &str, message: &impl Message) -> Seed {
    Seed::of("wire", kind, name, &message.encode_to_vec())
}

pub(super) fn seeds() -> Vec<Seed> {
    let mut seeds = requests();
    seeds.extend(models());
    seeds.extend(round());
    seeds.extend(answers());
    seeds
}

/// The requests of every question that is allowed, with made-up code lists.
fn requests() -> Vec<Seed> {
    let (planner, policy) = (planner(), Policy::answering());
    let mut seeds = Vec::new();
    for (name, sql) in questions() {
        let Ok(question) = wait(planner.plan(&sql, &policy)) else { continue };
        for request in asked(&question) {
            seeds.push(seed(b'r', &name, &encode_request(&request, 5_000)));
        }
    }
    let arguments = [("period".to_owned(), "2024Q1".to_owned())].into();
    let claim = Claim { pack: [6; 32], question: "groups".to_owned(), arguments };
    seeds.push(seed(b'c', "claim", &encode_claim(&claim)));
    let request = per_hospital().claiming(Some(claim));
    seeds.push(seed(b'r', "claiming", &encode_request(&request, 5_000)));
    seeds
}

fn asked(question: &Question) -> Vec<ReleaseRequest> {
    let codes = ["039", "2024-01-01T00:00:00", "F", "M"].map(str::to_owned);
    let domains = question
        .specs()
        .into_iter()
        .map(|specs| specs.iter().filter_map(|spec| spec.domain(codes.to_vec()).ok()).collect());
    question.requests("ana", &domains.collect::<Vec<_>>()).unwrap_or_default()
}

/// Steps of fitting models and of growing trees.
fn models() -> Vec<Seed> {
    let columns = question("SELECT sex, avg(total_cost), avg(los_days) FROM stay GROUP BY sex");
    let names = ["F", "M"].map(str::to_owned).to_vec();
    let sexes = Levels { names, reference: "F".to_owned(), text: true };
    let levels: BTreeMap<_, _> = [("sex".to_owned(), sexes)].into();
    let formula = Formula::parse("total_cost ~ sex + log(los_days) + sex:los_days").unwrap();
    let design = Design::new(&formula, &levels).unwrap();
    let laws = [
        (Family::Gamma, Link::Log, Ask::Start),
        (Family::NegativeBinomial, Link::Log, Ask::Final),
        (Family::Gaussian, Link::Identity, Ask::Scores),
        (Family::InverseGaussian, Link::Log, Ask::Totals),
    ];
    let steps = laws.map(|(family, link, ask)| {
        let law = card::Law { family, link, unit: 1.0 };
        let mut step = Step { ask, ..card::step(&formula, &design, &levels, None, law) };
        step.at.coefficients[0] = 1.5;
        let scope = if ask == Ask::Scores { Scope::PerHospital } else { Scope::Pooled };
        let request = columns.step("ana", scope, step).unwrap();
        seed(b'r', &format!("step-{ask:?}"), &encode_request(&request, 5_000))
    });
    let growths = growths(card::growth(&formula, &levels, Family::Gamma));
    let growths = growths.into_iter().enumerate().map(|(index, growth)| {
        let request = columns.step("ana", Scope::Pooled, growth).unwrap();
        seed(b'r', &format!("growth-{index}"), &encode_request(&request, 5_000))
    });
    steps.into_iter().chain(growths).collect()
}

/// The first level of a first tree, the second of a second one, and the sums at the end.
fn growths(bare: Growth) -> Vec<Growth> {
    let edges = (1..10).map(f64::from).collect();
    let features = vec![Feature::Factor(0, vec![0, 1]), Feature::Number(1, edges)];
    let split = |feature, bin| Some(Split { feature, bin });
    let tree = Tree { splits: vec![split(1, 4)], values: vec![0.0, -0.5, 0.5] };
    let first = Growth {
        features,
        planned: 2,
        start: 9.0,
        ask: GrowthAsk::Nodes(vec![Asked { node: 0, ends: Vec::new() }]),
        ..bare
    };
    let ends = vec![vec![true; 2], [[false, true]; 5].concat()];
    let second = Growth {
        trees: vec![Arc::new(tree.clone())],
        splits: vec![split(0, 0)],
        ask: GrowthAsk::Nodes(vec![Asked { node: 1, ends }]),
        ..first.clone()
    };
    let trees = vec![Arc::new(tree.clone()), Arc::new(tree)];
    let last = Growth { trees, ask: GrowthAsk::Totals, ..first.clone() };
    vec![first, second, last]
}

/// A round from its offer to its opening.
fn round() -> Vec<Seed> {
    let parties = parties();
    let Round { request, terms, signatures, key: round_key } = &parties.round;
    let mut proposal = encode_terms(terms);
    (proposal.nonce_b, proposal.witness_key) = (Vec::new(), Vec::new());
    let extent = Extent { least: 0, most: 1_800_000_000, nulls: false };
    let extents = [("stay.discharged_at".to_owned(), extent)].into();
    let veil =
        Veil { key: VeilKey::from_slice(&[8; 32]).unwrap(), extents, constants: BTreeMap::new() };
    let offer = encode_offer(terms, signatures, request, (round_key, &veil), &[7; 80], 5_000);
    let with_roster = v1::Offer { roster: parties.signed_roster.to_bytes(), ..offer.clone() };
    let proof = UploadProof {
        hospital: "h-1".parse().unwrap(),
        sealed_seed: vec![1; 80],
        receipt: key(11).sign(Context::Receipt, b"receipt"),
        hash: [2; 32],
    };
    let upload = encode_upload(&proof);
    let header = v1::OpenHeader {
        sid: terms.sid().to_vec(),
        signature: signatures.coordinator.as_bytes().to_vec(),
        uploads: vec![upload.clone(); 3],
        veiled: Some(encode_veiled(&Veiled {
            key: [9; 32],
            whole: Some(1),
            cuts: vec![[2, 3]],
            along: Some(4),
            spans: [("a".to_owned(), (Span::ALL, Span { from: 0, until: 9 }))].into(),
            tags: Vec::new(),
        })),
    };
    let names = NameKey::new(round_key).unwrap();
    let sealed = pack(&names, ["K35.80|47.01", "I10"]).unwrap();
    // Padding is zeros and only makes the sample long.
    let sealed = sealed[sealed.len() - 2 * privacy::discover::HIDDEN_BYTES..].to_vec();
    let hidden = names.hide("I10").unwrap();
    let list = |sealed: Vec<u8>| v1::SealedNames {
        hospital: "h-1".to_owned(),
        sealed,
        signature: vec![3; 64],
    };
    let lists = vec![list(sealed), list(hidden)];
    let unite = v1::UniteRequest { sid: terms.sid().to_vec(), lists };
    let with_noise = request.clone().with_noise(Some(5_000));
    let noisy = Terms {
        shape: Shape::of(&with_noise).unwrap(),
        noise: Some(RoundNoise::of(Noise::default(), 5_000, &with_noise)),
        ..terms.clone()
    };
    vec![
        seed(b't', "terms", &encode_terms(terms)),
        seed(b't', "terms-with-noise", &encode_terms(&noisy)),
        seed(b'p', "proposal", &proposal),
        seed(b'o', "offer", &offer),
        seed(b'o', "offer-with-roster", &with_roster),
        seed(b'u', "upload", &upload),
        seed(b'h', "header", &header),
        seed(b'n', "names", &unite),
    ]
}

/// What comes back: cells, what was opened, a hospital's own release.
fn answers() -> Vec<Seed> {
    let cells = [cells_part(&[1, 2, u128::MAX], 0), cells_part(&[3], 0)];
    let cells: Vec<u8> = cells.iter().flat_map(Message::encode_length_delimited_to_vec).collect();
    let nothing = Opened { withheld_groups: 3, remainder: Some([0; 2]), ..Opened::default() };
    let shape = &parties().round.terms.shape;
    let measures = shape.measures();
    let bins: usize = measures.iter().map(|measure| measure.bins as usize).sum();
    let all = (1u64 << (measures.len() + 1)) - 1;
    let masks = shape.columns() - shape.guards() - 1;
    let one = Opened {
        places: vec![2],
        verdicts: vec![all],
        runs: vec![true; bins],
        masks: vec![0; masks],
        ..Opened::default()
    };
    let opened = [("nothing", nothing), ("one", one)].map(|(name, opened)| {
        let parts = encode_opened(&opened, None);
        let bytes: Vec<u8> = parts.flat_map(|part| part.encode_length_delimited_to_vec()).collect();
        Seed::of("wire", b'w', name, &bytes)
    });
    let request = per_hospital();
    let chunk = v1::ReleaseChunk {
        groups: 2,
        keys: vec![
            v1::KeyColumn { dictionary: vec!["h-1".to_owned()], indices: vec![1, 1] },
            v1::KeyColumn { dictionary: vec!["D1".to_owned()], indices: vec![1, 0] },
        ],
        rows: vec![20, 30],
        cells: vec![[20i128, 30].map(i128::to_le_bytes).concat(); request.width()],
        withheld: vec![vec![0]; request.measures().len()],
        summary: Some(v1::ReleaseSummary { groups: 2, ..v1::ReleaseSummary::default() }),
    };
    let release = Seed::of("wire", b'a', "release", &to_record(&[chunk]));
    let cells = Seed::of("wire", b'v', "cells", &cells);
    let made_up = made_up().map(|(name, orders)| Seed::of("wire", b'j', name, &orders));
    opened.into_iter().chain([release, cells]).chain(made_up).collect()
}

/// Orders of `crate::round`: persons of three cells, some behind a measure, and a large number.
fn made_up() -> [(&'static str, Vec<u8>); 3] {
    let people: &[[u8; 4]] = &[[1, 0, 0, 30], [1, 40, 1, 12], [1, 90, 2, 5]];
    let behind: &[[u8; 4]] = &[[0, 3, 0, 11], [0, 4, 0, 12], [0, 5, 1, 4], [2, 6, 0, 3]];
    let groups = [people, behind].concat().concat();
    let number = [[3, 20, 0, 0].as_slice(), &7u128.to_le_bytes()].concat();
    [
        ("groups", [&[0], groups.as_slice(), &number].concat()),
        ("whole", [&[1], people.concat().as_slice()].concat()),
        ("listing", [&[2], people.concat().as_slice()].concat()),
    ]
}
