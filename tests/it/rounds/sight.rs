//! What each party sees of a question with distinctive labels, literals and costs: every byte that
//! the coordinator gets from nodes and witness, and every byte that the witness gets.

use privacy::domain::{Domain, OTHER};
use proto::v1;
use proto::v1::opened_part::Part;
use proto::{Message, decode_offer};
use tests::fixture::Stay;
use tests::{Answer, Region, RegionBuilder};

use super::front::{Front, Spoken, UploadTwist, before_node, before_witness};
use super::{region, stays, together};

const COMMON: &str = "ZQCOMMON";
/// Five persons in each of four hospitals.
const RARE: &str = "ZQRAREIN4";
/// Two persons in the whole region.
const HIDDEN: &str = "ZQHIDDEN2";
/// Large enough, and withheld beside the hidden: with a total, it would tell them.
const SPARE: &str = "ZQSPARED3";
const LITERAL: &str = "XQJZLITERAL";
const SQL: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay \
                   WHERE payer IN ('UEBMI', 'XQJZLITERAL') GROUP BY drg_code ORDER BY drg_code";

/// Cents of each stay of a group.
const COMMON_CENTS: i64 = 4_873_159;
const RARE_CENTS: i64 = 7_192_847;
const HIDDEN_CENTS: i64 = 6_331_379;
const SPARE_CENTS: i64 = 5_918_263;
const SPARE_STAYS: u32 = 3;
/// Stays of the common group; the first two hospitals hold the same data.
const COMMON_STAYS: [u32; 4] = [40, 40, 31, 53];
const RARE_STAYS: u32 = 5;
const HIDDEN_STAYS: [u32; 4] = [0, 0, 1, 1];

/// Bytes that must not be found, each with what it is.
struct Patterns {
    each: Vec<(String, Vec<u8>)>,
    /// By their first two bytes.
    starts: Vec<Vec<usize>>,
}

impl Patterns {
    fn new(each: Vec<(String, Vec<u8>)>) -> Self {
        let mut starts = vec![Vec::new(); 1 << 16];
        for (index, (name, bytes)) in each.iter().enumerate() {
            assert!(bytes.len() >= 6, "{name} could be there by chance");
            starts[usize::from(bytes[0]) << 8 | usize::from(bytes[1])].push(index);
        }
        Self { each, starts }
    }

    fn texts(texts: &[&str]) -> Vec<(String, Vec<u8>)> {
        texts.iter().map(|text| ((*text).to_owned(), text.as_bytes().to_vec())).collect()
    }

    /// An amount of money as text, as integers of both scales and as a double.
    fn money(cents: i64) -> Vec<(String, Vec<u8>)> {
        let text = format!("{}.{:02}", cents / 100, cents % 100);
        let double: f64 = text.parse().unwrap();
        let mut each = Self::texts(&[&text]);
        for (scale, value) in [("cents", cents), ("e4", cents * 100)] {
            each.push((format!("{text} in {scale}, i64"), value.to_le_bytes().to_vec()));
            each.push((format!("{text} in {scale}, i64, big"), value.to_be_bytes().to_vec()));
        }
        each.push((format!("{text}, f64"), double.to_le_bytes().to_vec()));
        each.push((format!("{text}, f64, big"), double.to_be_bytes().to_vec()));
        each
    }

    /// A cell as it stands in a vector.
    fn cell(value: i128) -> (String, Vec<u8>) {
        (format!("cell {value}"), value.to_le_bytes().to_vec())
    }

    /// The names of those that occur.
    fn found_in<'a>(&self, messages: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<&str> {
        let mut found = vec![false; self.each.len()];
        for message in messages {
            for (at, pair) in message.windows(2).enumerate() {
                for index in &self.starts[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                    found[*index] |= message[at..].starts_with(&self.each[*index].1);
                }
            }
        }
        let names = self.each.iter().zip(found).filter(|(_, found)| *found);
        names.map(|((name, _), _)| name.as_str()).collect()
    }
}

/// All amounts of money that anybody could have added up, except the released ones.
fn secret_amounts() -> Vec<i64> {
    let mut amounts = vec![COMMON_CENTS, RARE_CENTS, HIDDEN_CENTS, 2 * HIDDEN_CENTS];
    amounts.extend(COMMON_STAYS.map(|stays| i64::from(stays) * COMMON_CENTS));
    amounts.push(i64::from(RARE_STAYS) * RARE_CENTS);
    amounts.extend([1, SPARE_STAYS, 4 * SPARE_STAYS].map(|n| i64::from(n) * SPARE_CENTS));
    amounts
}

fn released_amounts() -> [i64; 2] {
    let common: u32 = COMMON_STAYS.iter().sum();
    [i64::from(common) * COMMON_CENTS, i64::from(4 * RARE_STAYS) * RARE_CENTS]
}

/// The cells of one hospital: counts, sums and squares of each group, and what is not there.
fn cells(hospital: usize) -> Vec<(String, Vec<u8>)> {
    let groups = [
        (COMMON_STAYS[hospital], COMMON_CENTS),
        (RARE_STAYS, RARE_CENTS),
        (HIDDEN_STAYS[hospital], HIDDEN_CENTS),
        (SPARE_STAYS, SPARE_CENTS),
    ];
    let mut cells = vec![0, 1];
    for (count, cents) in groups.map(|(count, cents)| (i128::from(count), i128::from(cents))) {
        let cost = cents * 100;
        cells.extend([count, cost, count * cost, count * cost * cost]);
    }
    cells.sort_unstable();
    cells.dedup();
    cells.into_iter().map(Patterns::cell).collect()
}

fn data() -> [Vec<Stay>; 4] {
    let group = |count: u32, drg: &'static str, cents: i64| {
        stays(count, |stay| (stay.drg, stay.cost_cents) = (drg, cents))
    };
    std::array::from_fn(|hospital| {
        let mut all = together([
            group(COMMON_STAYS[hospital], COMMON, COMMON_CENTS),
            group(RARE_STAYS, RARE, RARE_CENTS),
            group(HIDDEN_STAYS[hospital], HIDDEN, HIDDEN_CENTS),
            group(SPARE_STAYS, SPARE, SPARE_CENTS),
        ]);
        all[0].payer = LITERAL;
        all
    })
}

/// Every message of an answer as it came, and the answer.
async fn ask(region: &Region) -> (Vec<Vec<u8>>, Answer) {
    let question = v1::Question { sql: SQL.to_owned(), deadline_ms: 0, ..Default::default() };
    let mut stream = region.client().ask(question).await.unwrap().into_inner();
    let mut events = Vec::new();
    while let Some(event) = stream.message().await.unwrap() {
        events.push(event);
    }
    let bytes = events.iter().map(Message::encode_to_vec).collect();
    (bytes, Answer::of(events).unwrap())
}

struct Theatre {
    region: Region,
    nodes: Vec<Front<UploadTwist>>,
    witness: Front<super::front::OpenedTwist>,
}

impl Theatre {
    async fn open() -> Self {
        let region = region(data(), RegionBuilder::proxied).await;
        let mut nodes = Vec::new();
        for site in region.sites() {
            nodes.push(before_node(&region, site.id()).await);
        }
        let witness = before_witness(&region, "SELECT count(*) AS n FROM stay").await;
        let theatre = Self { region, nodes, witness };
        let _ = theatre.take();
        theatre
    }

    fn take(&self) -> (Vec<Spoken>, Spoken) {
        (self.nodes.iter().map(Front::take).collect(), self.witness.take())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_party_sees_what_it_may_and_nothing_else() {
    let theatre = Theatre::open().await;
    let (answered, answer) = ask(&theatre.region).await;
    let (nodes, witness) = theatre.take();

    // Found under masks: rare in every hospital, yet twenty in the region. Two are not enough.
    let amount = |cents: i64| format!("{}.{:02}00", cents / 100, cents % 100);
    let [common, rare] = released_amounts().map(amount);
    let total: u32 = COMMON_STAYS.iter().sum();
    let expected = [[COMMON, &total.to_string(), &common], [RARE, "20", &rare]];
    assert_eq!(answer.rows(), expected);
    let release = &answer.release;
    assert_eq!((release.cells_released, release.cells_withheld), (2, 2), "{release:?}");

    the_witness_hears_no_label_and_no_cost(&nodes, &witness);
    the_coordinator_hears_nothing_of_a_hidden_group(&nodes, &witness, &answered);
    uploads_are_noise(&nodes);
    only_masks_of_passing_groups_are_returned(&nodes, &witness);

    // The same question again: other masks over the same data.
    let _ = ask(&theatre.region).await;
    let (again, _) = theatre.take();
    for (first, second) in nodes.iter().zip(&again) {
        let [_, first] = first.uploads.as_slice() else { panic!("a discovery and a question") };
        let [second] = second.uploads.as_slice() else { panic!("the list is known") };
        differ_everywhere(first, second);
    }
}

fn the_witness_hears_no_label_and_no_cost(nodes: &[Spoken], witness: &Spoken) {
    let words = [COMMON, RARE, HIDDEN, LITERAL, "SELECT", "drg_code", "total_cost", "payer IN"];
    let mut patterns = Patterns::texts(&words);
    patterns.extend(secret_amounts().into_iter().flat_map(Patterns::money));
    patterns.extend(released_amounts().into_iter().flat_map(Patterns::money));
    for hospital in 0..4 {
        patterns.extend(cells(hospital));
    }
    let patterns = Patterns::new(patterns);
    assert!(witness.heard.len() > 4);
    assert_eq!(patterns.found_in(&witness.heard), [""; 0]);
    // The same search does find what nodes are asked: their part is to read it.
    let found = patterns.found_in(&nodes[0].heard);
    for text in [COMMON, RARE, LITERAL, "SELECT", "drg_code"] {
        assert!(found.contains(&text), "{text}: {found:?}");
    }
}

fn the_coordinator_hears_nothing_of_a_hidden_group(
    nodes: &[Spoken],
    witness: &Spoken,
    answered: &[Vec<u8>],
) {
    let mut secret = Patterns::texts(&[HIDDEN]);
    secret.extend([HIDDEN_CENTS, 2 * HIDDEN_CENTS].into_iter().flat_map(Patterns::money));
    let secret = Patterns::new(secret);
    let heard = nodes.iter().chain([witness]).flat_map(|party| &party.said);
    assert_eq!(secret.found_in(heard.chain(answered)), [""; 0]);
    // Of what was released, the answer has it, and no single hospital said it.
    let released =
        Patterns::new(released_amounts().map(|c| Patterns::cell((c * 100).into())).into());
    assert_eq!(released.found_in(answered).len(), 2);
    for (hospital, node) in nodes.iter().enumerate() {
        let mut own = cells(hospital);
        own.extend(secret_amounts().into_iter().flat_map(Patterns::money));
        own.extend(released_amounts().into_iter().flat_map(Patterns::money));
        own.extend(Patterns::texts(&[COMMON, RARE, HIDDEN]));
        assert_eq!(Patterns::new(own).found_in(&node.said), [""; 0], "h-{}", hospital + 1);
    }
}

/// No cell of 16 bytes is the same.
fn differ_everywhere(a: &[u8], b: &[u8]) {
    assert_eq!(a.len(), b.len());
    let same = a.chunks(16).zip(b.chunks(16)).filter(|(a, b)| a == b).count();
    assert_eq!(same, 0, "of {} cells", a.len() / 16);
}

fn uploads_are_noise(nodes: &[Spoken]) {
    for round in 0..2 {
        for (index, one) in nodes.iter().enumerate() {
            for other in &nodes[..index] {
                differ_everywhere(&one.uploads[round], &other.uploads[round]);
            }
        }
    }
    for node in nodes {
        let [discovery, question] = node.uploads.as_slice() else { panic!("two rounds") };
        assert!(discovery.len() > 1 << 20 && question.len() < discovery.len());
        for lane in 0..16 {
            let counts =
                discovery.iter().skip(lane).step_by(16).fold([0u32; 256], |mut n, byte| {
                    n[usize::from(*byte)] += 1;
                    n
                });
            let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
            let square = |count: &u32| (f64::from(*count) - expected).powi(2) / expected;
            let chi: f64 = counts.iter().map(square).sum();
            // 255 degrees of freedom: outside it once in a thousand million times.
            assert!((140.0..415.0).contains(&chi), "byte {lane} of a cell: {chi}");
        }
    }
}

/// The masks of one round's opening and its places.
fn openings(witness: &Spoken) -> Vec<(Vec<u32>, usize)> {
    let mut rounds: Vec<(Vec<u32>, usize)> = Vec::new();
    for part in witness.opened.iter().filter_map(|part| part.part.as_ref()) {
        match (part, rounds.last_mut()) {
            (Part::Header(_), _) => rounds.push((Vec::new(), 0)),
            (Part::Places(places), Some(round)) => round.0.extend(&places.places),
            (Part::Masks(cells), Some(round)) => round.1 += cells.cells.len() / 16,
            _ => panic!("a header comes first"),
        }
    }
    rounds
}

fn only_masks_of_passing_groups_are_returned(nodes: &[Spoken], witness: &Spoken) {
    let [discovery, question] = openings(witness).try_into().unwrap();
    // Rows and their check, of three buckets; the bucket of the hidden code is not among them.
    assert_eq!((discovery.0.len(), discovery.1), (3, 6));
    let offer = decode_offer(nodes[0].offers[1].clone()).unwrap();
    let domain = &offer.request.domains()[0];
    let Domain::Codes { codes, .. } = domain else { panic!("a list: {domain:?}") };
    assert_eq!(codes, &[COMMON, RARE, SPARE]);
    let order = offer.round_key.order(offer.terms.shape.cells());
    let place = |label| order[domain.places().of_label(Some(label)).unwrap()];
    let mut passing = [COMMON, RARE].map(place);
    passing.sort_unstable();
    assert_eq!(question.0, passing);
    for withheld in [OTHER, SPARE] {
        assert!(!question.0.contains(&place(withheld)), "their masks stay with the witness");
    }
    let columns = offer.terms.shape.columns() - offer.terms.shape.witnessed().len();
    assert!(question.1 <= 2 * columns, "{} masks of {columns} columns", question.1);
}
