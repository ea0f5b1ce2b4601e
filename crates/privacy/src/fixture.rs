//! A whole masked round in memory, for tests: authorities, roster, terms that both have signed,
//! hospitals with rows, uploads, the witness's judgement and the coordinator's answer.
//!
//! Everything is decided by what a test passes in, so a failure repeats. Groups are made from rows
//! by a kernel of three loops that shares nothing with the engine's.

use std::collections::{BTreeMap, BTreeSet};

use model::moments::Scale;
use model::{HospitalId, Refusal};
use num_bigint::BigInt;
use zeroize::Zeroizing;

use crate::admit::{Offer, Round, admit_round};
use crate::blind::{GuardKey, GuardSecret, RoundKey};
use crate::combine::Combined;
use crate::conceal::{Concealed, conceal};
use crate::domain::{Domain, Outside};
use crate::mask::Seed;
use crate::measure::{Input, Measure};
use crate::open::{Opened, Tampered, Unopened, Verdict, judge, mask_sums, slots, unmask};
use crate::partial::{Partial, PartialGroup, Support};
use crate::policy::{Minimum, Policy, Pooled, Selectivity};
use crate::request::{ReleaseRequest, RequestParts, Scope};
use crate::reveal::{RevealError, Total, reveal};
use crate::roster::{HospitalKeys, Roster, SignedRoster};
use crate::shape::Shape;
use crate::sign::{SigningKey, derive};
use crate::sketch::{Known, Population, Sketch, Sketched};
use crate::terms::{Floor, Signatures, Terms};
use crate::veil::{Veil, VeilKey};

/// One row of a relation; every row is a stay of its own.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) person: u32,
    pub(crate) codes: Vec<Option<String>>,
    pub(crate) values: Vec<Option<i128>>,
}

/// A round that both authorities have signed.
pub(crate) struct Fixture {
    pub(crate) authority: SigningKey,
    pub(crate) coordinator: SigningKey,
    pub(crate) witness: SigningKey,
    pub(crate) roster: Roster,
    pub(crate) request: ReleaseRequest,
    pub(crate) terms: Terms,
    pub(crate) policy: Policy,
    pub(crate) round_key: RoundKey,
    pub(crate) guard_key: GuardKey,
    tag: u8,
}

/// What an open round looks like from all sides.
pub(crate) struct Opening {
    pub(crate) total: Total,
    pub(crate) verdict: Verdict,
    pub(crate) opened: Opened,
}

pub(crate) fn bytes(tag: u8, purpose: &str) -> [u8; 32] {
    derive(&[tag; 32], &[purpose.as_bytes()])
}

pub(crate) fn hospital(index: usize) -> HospitalId {
    format!("h-{index:04}").parse().unwrap()
}

/// A roster of this many hospitals, and the keys of authority, coordinator and witness.
pub(crate) fn roster_of(hospitals: usize) -> (Roster, [SigningKey; 3]) {
    let [authority, coordinator, witness] =
        ["authority", "coordinator", "witness"].map(|party| SigningKey::from_seed(bytes(0, party)));
    let keys = |index: usize| HospitalKeys {
        sign: hospital_key(index).verify_key(),
        seal: bytes(0, &format!("seal {index}")),
    };
    let keys = (0..hospitals).map(|index| (hospital(index), keys(index))).collect();
    let (a, b) = (coordinator.verify_key(), witness.verify_key());
    let signed = SignedRoster::sign(&authority, "east", 1, a, b, &keys);
    let roster = signed.verify(&authority.verify_key(), "east").unwrap();
    (roster, [authority, coordinator, witness])
}

pub(crate) fn hospital_key(index: usize) -> SigningKey {
    SigningKey::from_seed(bytes(0, &format!("hospital {index}")))
}

/// A floor and policy under which everything that is there may be shown.
pub(crate) fn no_floor() -> Floor {
    Floor { persons: 1, stays: 1, hospitals: 1, dominance_e4: 10_000 }
}

/// A policy that demands exactly `floor`.
pub(crate) fn policy_of(floor: Floor) -> Policy {
    Policy {
        minimum: Minimum { persons: Some(floor.persons), stays: Some(floor.stays) },
        selectivity: Selectivity { persons: 1 },
        pooled: Pooled {
            local_minimum: 1,
            hospitals: floor.hospitals,
            dominance_e4: floor.dominance_e4,
        },
        ..Policy::answering()
    }
}

pub(crate) fn money() -> Input {
    Input { scale: Scale::Decimal(4), bound: 1_000_000_000_000, money: true }
}

/// Support sets of a measure as [`groups_of`] counts them: present, absent, other than zero (for
/// each of two inputs).
pub(crate) const fn supports_of(measure: Measure) -> u32 {
    match measure.inputs() {
        (None, _) => 0,
        (Some(_), None) => 3,
        (Some(_), Some(_)) => 4,
    }
}

pub(crate) fn request_of(
    domains: Vec<Domain>,
    inputs: Vec<Input>,
    measures: Vec<Measure>,
) -> ReleaseRequest {
    let parts = RequestParts {
        scope: Scope::Pooled,
        asker: "ana".into(),
        relation_sql: "SELECT stay.drg_code AS d0 FROM stay".into(),
        dimensions: (0..domains.len()).map(|index| format!("d{index}")).collect(),
        supports: measures.iter().map(|measure| supports_of(*measure)).collect(),
        domains,
        inputs,
        measures,
    };
    ReleaseRequest::try_from(parts).unwrap()
}

/// A request for stays, the sum of a cost and its squares by one closed list of codes.
pub(crate) fn costs_by(codes: &[&str]) -> ReleaseRequest {
    let domain = Domain::closed(codes.iter().map(ToString::to_string).collect()).unwrap();
    request_of(vec![domain], vec![money()], vec![Measure::Stays, Measure::Squares(0)])
}

/// `count` stays of as many persons with `code`, of one cost each.
pub(crate) fn stays(code: &str, persons: std::ops::Range<u32>, cost: i128) -> Vec<Row> {
    let row = |person| Row { person, codes: vec![Some(code.into())], values: vec![Some(cost)] };
    persons.map(row).collect()
}

fn label(domain: &Domain, code: Option<&String>) -> Option<Option<String>> {
    let Domain::Codes { codes, outside } = domain else { return None };
    match code {
        None => Some(None),
        Some(code) if codes.contains(code) => Some(Some(code.clone())),
        Some(code) if matches!(outside, Outside::Ancestor | Outside::AncestorOnly) => {
            // Level after level is taken away, as nobody else does it.
            let levels: Vec<&str> = code.split('|').collect();
            let ancestors = (1..levels.len()).rev().map(|kept| levels[..kept].join("|"));
            let listed = ancestors.into_iter().find(|ancestor| codes.contains(ancestor));
            let rest = (*outside == Outside::Ancestor).then(|| "OTHER".into());
            listed.or(rest).map(Some)
        }
        Some(_) => outside.has_place().then(|| Some("OTHER".into())),
    }
}

/// The rows of each group, by its labels; a row without a place is in none.
pub(crate) fn grouped<'a>(
    rows: &'a [Row],
    request: &ReleaseRequest,
) -> BTreeMap<Vec<Option<String>>, Vec<&'a Row>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let labels = request.domains().iter().zip(&row.codes);
        let labels: Option<Vec<_>> = labels.map(|(d, code)| label(d, code.as_ref())).collect();
        if let Some(labels) = labels {
            groups.entry(labels).or_default().push(row);
        }
    }
    groups
}

pub(crate) fn persons(rows: &[&Row], holds: impl Fn(&Row) -> bool) -> u64 {
    let persons: BTreeSet<u32> = rows.iter().filter(|r| holds(r)).map(|r| r.person).collect();
    persons.len() as u64
}

/// The cells of a measure over rows of one hospital.
pub(crate) fn cells_of(measure: Measure, inputs: &[Input], rows: &[&Row]) -> Vec<i128> {
    let sum = |of: &dyn Fn(&Row) -> Option<i128>| rows.iter().filter_map(|r| of(r)).sum::<i128>();
    let product = |x: usize, y: usize| {
        let lower = match Input::product_scale(&inputs[x], &inputs[y]).unwrap() {
            Scale::Decimal(_) => 0,
            Scale::Binary(bits) => 80 - bits,
        };
        move |row: &Row| row.values[x].zip(row.values[y]).map(|(x, y)| (x * y) >> lower)
    };
    let stays = i128::try_from(rows.len()).unwrap();
    match measure {
        Measure::Rows | Measure::Stays => vec![stays],
        Measure::Persons => vec![persons(rows, |_| true).into()],
        Measure::Contributors => vec![1],
        Measure::Step => vec![0],
        Measure::Gradients(..) => vec![0; measure.width()],
        Measure::Count(x) => vec![sum(&|r| r.values[x].map(|_| 1))],
        Measure::Sum(x) => vec![sum(&|r| r.values[x].map(|_| 1)), sum(&|r| r.values[x])],
        Measure::Squares(x) => {
            vec![sum(&|r| r.values[x].map(|_| 1)), sum(&|r| r.values[x]), sum(&product(x, x))]
        }
        Measure::Histogram(x, _) => {
            let bins = rows.iter().filter_map(|r| r.values[x]);
            let bins: Vec<_> = bins.map(|value| bin_of(measure, &inputs[x], value)).collect();
            let rows = |bin: usize| bins.iter().filter(|of| **of == bin).count() as i128;
            (0..measure.bins()).map(rows).collect()
        }
        Measure::Products(x, y) => {
            let both = |r: &Row, of: usize| r.values[x].and(r.values[y]).and(r.values[of]);
            vec![
                sum(&|r| both(r, x).map(|_| 1)),
                sum(&|r| both(r, x)),
                sum(&|r| both(r, y)),
                sum(&|r| both(r, x).and(product(x, x)(r))),
                sum(&|r| both(r, x).and(product(y, y)(r))),
                sum(&product(x, y)),
            ]
        }
    }
}

/// Bins of equal width between the bounds of an input: here it does not matter where they begin.
fn bin_of(measure: Measure, input: &Input, value: i128) -> usize {
    let bound = i128::try_from(input.bound).unwrap();
    let bins = i128::try_from(measure.bins()).unwrap();
    usize::try_from((value + bound) * bins / (2 * bound + 1)).unwrap()
}

/// The persons of each bin of a histogram, everybody in the lowest of theirs.
pub(crate) fn bins_of(measure: Measure, inputs: &[Input], rows: &[&Row]) -> Vec<u64> {
    let Measure::Histogram(x, _) = measure else { return Vec::new() };
    let mut lowest = BTreeMap::<u32, usize>::new();
    for row in rows {
        if let Some(value) = row.values[x] {
            let bin = bin_of(measure, &inputs[x], value);
            let own = lowest.entry(row.person).or_insert(bin);
            *own = bin.min(*own);
        }
    }
    let persons = |bin: usize| lowest.values().filter(|own| **own == bin).count() as u64;
    (0..measure.bins()).map(persons).collect()
}

/// The sets of persons behind a measure, over rows of one hospital.
pub(crate) fn sets_of(measure: Measure, rows: &[&Row]) -> Vec<u64> {
    let (x, y) = measure.inputs();
    let Some(x) = x else { return Vec::new() };
    let y = y.unwrap_or(x);
    let present = |r: &Row| r.values[x].is_some() && r.values[y].is_some();
    let nonzero = |r: &Row, of: usize| present(r) && r.values[of].is_some_and(|value| value != 0);
    let mut sets = vec![
        persons(rows, present),
        persons(rows, |r| !present(r)),
        persons(rows, |r| nonzero(r, x)),
    ];
    if y != x || matches!(measure, Measure::Products(..)) {
        sets.push(persons(rows, |r| nonzero(r, y)));
    }
    sets
}

pub(crate) fn groups_of(rows: &[Row], request: &ReleaseRequest) -> Vec<PartialGroup> {
    let group = |(key, rows): (Vec<Option<String>>, Vec<&Row>)| {
        let measures = request.measures();
        let cells = measures.iter().flat_map(|m| cells_of(*m, request.inputs(), &rows)).collect();
        let supports = measures.iter().map(|m| sets_of(*m, &rows).into_iter().collect::<Support>());
        PartialGroup {
            key,
            rows: rows.len() as u64,
            stays: rows.len() as u64,
            persons: persons(&rows, |_| true),
            cells,
            supports: supports.collect(),
            bins: measures.iter().flat_map(|m| bins_of(*m, request.inputs(), &rows)).collect(),
        }
    };
    grouped(rows, request).into_iter().map(group).collect()
}

impl Fixture {
    /// A round of `hospitals` that all have the policy of `floor`; `tag` decides keys and seeds.
    pub(crate) fn new(request: ReleaseRequest, hospitals: usize, floor: Floor, tag: u8) -> Self {
        let (roster, [authority, coordinator, witness]) = roster_of(hospitals);
        let round_key = RoundKey::new(Zeroizing::new(bytes(tag, "round")));
        let terms = Terms {
            region: "east".into(),
            nonce_a: bytes(tag, "nonce a"),
            nonce_b: bytes(tag, "nonce b"),
            request: request.hash(),
            family: request.family(),
            round_key: round_key.commitment(),
            veiled: [0; 32],
            noise: None,
            witness_key: bytes(tag, "witness"),
            floor,
            roster: roster.hash(),
            hospitals: (0..hospitals).map(hospital).collect(),
            shape: Shape::of(&request).unwrap(),
            lifetime_ms: 60_000,
        };
        let guard_key = GuardSecret::new(Zeroizing::new(bytes(tag, "guard"))).key(&terms.sid());
        let policy = policy_of(floor);
        Self {
            authority,
            coordinator,
            witness,
            roster,
            request,
            terms,
            policy,
            round_key,
            guard_key,
            tag,
        }
    }

    pub(crate) fn signatures(&self) -> Signatures {
        let terms = &self.terms;
        let (coordinator, witness) = (terms.sign(&self.coordinator), terms.sign(&self.witness));
        Signatures { coordinator, witness }
    }

    pub(crate) fn offer(&self) -> Result<Offer, Refusal> {
        Ok(Offer {
            request: self.request.clone(),
            terms: self.terms.clone().vouched(&self.roster, &self.signatures())?,
            round_key: self.round_key.clone(),
            guard_key: self.guard_key.clone(),
            veil: veil(),
        })
    }

    pub(crate) fn admit(&self, offer: Offer, index: usize) -> Result<Round, Refusal> {
        admit_round(offer, &self.policy, &hospital(index), crate::Leave::None)
    }

    pub(crate) fn round(&self, index: usize) -> Round {
        self.admit(self.offer().unwrap(), index).unwrap()
    }

    pub(crate) fn seed(&self, index: usize) -> Seed {
        Seed::new(Zeroizing::new(bytes(self.tag, &format!("seed {index}"))))
    }

    pub(crate) fn seeds(&self, survivors: &[usize]) -> Vec<(HospitalId, Seed)> {
        survivors.iter().map(|index| (hospital(*index), self.seed(*index))).collect()
    }

    pub(crate) fn upload_groups(&self, index: usize, groups: Vec<PartialGroup>) -> Concealed {
        let round = self.round(index);
        let nobody = blank(&round, groups.len());
        let partial = Partial::new(round.admitted().clone(), groups, nobody, 1_000, false);
        conceal(partial, &round, &self.seed(index)).unwrap()
    }

    pub(crate) fn upload(&self, index: usize, rows: &[Row]) -> Concealed {
        self.upload_groups(index, groups_of(rows, &self.request))
    }

    /// The sum of the survivors' uploads.
    pub(crate) fn total(&self, data: &[Vec<Row>], survivors: &[usize]) -> Total {
        let mut total = Total::new(&self.terms.shape);
        for index in survivors {
            total.add(&wire(&self.upload(*index, &data[*index]))).unwrap();
        }
        total
    }

    /// What the witness sees of these sums.
    pub(crate) fn guards(&self, sums: &[u128], survivors: &[usize]) -> Vec<u128> {
        let mut guards = sums.to_vec();
        let seeds = self.seeds(survivors);
        unmask(&mut guards, &self.terms.shape, &self.terms.sid(), &seeds).unwrap();
        guards
    }

    pub(crate) fn judge(&self, sums: &[u128], survivors: &[usize]) -> Result<Verdict, Tampered> {
        let guards = self.guards(sums, survivors);
        let Terms { shape, floor, .. } = &self.terms;
        judge_alone(&guards, shape, floor, &self.guard_key, survivors.len())
    }

    pub(crate) fn open(&self, data: &[Vec<Row>], survivors: &[usize]) -> Opening {
        let total = self.total(data, survivors);
        let shape = &self.terms.shape;
        let verdict = self.judge(total.witnessed(shape), survivors).unwrap();
        let opened = mask_sums(&verdict, shape, &self.terms.sid(), &self.seeds(survivors));
        Opening { total, verdict, opened }
    }

    pub(crate) fn reveal(&self, total: &Total, opened: &Opened) -> Result<Combined, RevealError> {
        reveal(total, opened, &self.request, &self.terms.shape, &self.round_key)
    }

    /// A whole round.
    pub(crate) fn run(&self, data: &[Vec<Row>], survivors: &[usize]) -> Combined {
        let Opening { total, opened, .. } = self.open(data, survivors);
        self.reveal(&total, &opened).unwrap()
    }

    /// The place of a group's cell in this round's vectors.
    pub(crate) fn place(&self, key: &[Option<&str>]) -> usize {
        let cell = self.request.domains().iter().zip(key).fold(0, |cell, (domain, code)| {
            cell * domain.size() + domain.places().of_label(*code).unwrap()
        });
        self.round_key.order(self.terms.shape.cells())[cell] as usize
    }
}

/// A veil that hides nothing, because nothing is known of where these rounds stand.
pub(crate) fn veil() -> Veil {
    Veil {
        key: VeilKey::new(Zeroizing::new([9; 32])),
        extents: BTreeMap::new(),
        constants: BTreeMap::new(),
    }
}

/// The verdict when nothing was told before.
pub(crate) fn judge_alone(
    guards: &[u128],
    shape: &Shape,
    floor: &Floor,
    key: &GuardKey,
    hospitals: usize,
) -> Result<Verdict, Tampered> {
    match judge(guards, shape, floor, key, hospitals, (&Known::default(), None)) {
        Ok(verdict) => Ok(verdict),
        Err(Unopened::Tampered(tampered)) => Err(tampered),
        Err(Unopened::Differenced(_)) => panic!("nothing is known"),
    }
}

/// Populations of nobody in particular, as the round calls for them.
pub(crate) fn blank(round: &Round, groups: usize) -> Population {
    match round.terms.shape.sketched() {
        Sketched::Nothing => Population::Untold,
        Sketched::Cells => Population::Cells(vec![Sketch::default(); groups]),
        Sketched::Whole => Population::Whole(Box::default()),
    }
}

/// An upload as it travels.
pub(crate) fn wire(upload: &Concealed) -> Vec<u8> {
    upload.entries().iter().flat_map(|cell| cell.to_le_bytes()).collect()
}

/// Every hospital of a round.
pub(crate) fn all(data: &[Vec<Row>]) -> Vec<usize> {
    (0..data.len()).collect()
}

/// Whether no hospital dominates `sums`, in exact integers; `None` within the rounding of the
/// blinding that [`mod@crate::blind`] derives for sums that are not shifted.
pub(crate) fn is_shared(sums: &[i128], share_e4: u32) -> Option<bool> {
    let parts: Vec<BigInt> = sums.iter().filter(|x| **x != 0).map(|x| BigInt::from(*x)).collect();
    if share_e4 == 10_000 || parts.is_empty() {
        return Some(true);
    }
    if parts.len() == 1 {
        return Some(false);
    }
    let squares: BigInt = parts.iter().map(|x| x * x).sum();
    let magnitudes: BigInt = parts.iter().map(|x| BigInt::from(x.magnitude().clone())).sum();
    let sum = BigInt::from(parts.iter().sum::<BigInt>().magnitude().clone());
    let passes = |squares: BigInt, sum: BigInt| squares * 10_000 <= sum.pow(2) * share_e4;
    let least = if sum > BigInt::from(parts.len()) { &sum - parts.len() } else { BigInt::ZERO };
    if passes(squares.clone(), least) {
        return Some(true);
    }
    (!passes(squares - 2 * magnitudes, sum + parts.len())).then_some(false)
}

/// The columns that a verdict opens in a round without histograms.
pub(crate) fn columns_of(shape: &Shape, bits: u64) -> Vec<usize> {
    slots(shape, bits, &mut std::iter::empty()).into_iter().map(|slot| slot.start).collect()
}
