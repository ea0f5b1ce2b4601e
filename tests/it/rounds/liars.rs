//! Nodes and a witness with valid keys that do not keep to the protocol, before an honest
//! coordinator: nobody ever gets a wrong number.

use std::sync::Arc;

use model::{HospitalId, Role};
use privacy::conceal::{Receipt, seed_binding, upload_hash};
use privacy::seal::seal;
use privacy::sign::SigningKey;
use proto::v1;
use proto::v1::opened_part::Part as Opened;
use proto::v1::upload_part::Part;
use record::Kind;
use tests::fixture::Stay;
use tests::{Region, RegionBuilder, peer};
use tonic::Code;

use super::chair::{entries, random};
use super::front::{OpenedTwist, UploadTwist, before_node, before_witness, cells_of};
use super::region;

const LIAR: &str = "h-1";
const WARM_UP: &str = "SELECT count(*) AS n FROM stay";
/// No stay is longer; conditions above it hold for all stays and make families of their own.
const LONGEST_STAY: usize = 26;

async fn five() -> Region {
    let data = (0..5).map(|_| (0..40).map(Stay::plain).collect());
    region(data, RegionBuilder::proxied).await
}

/// A question of a family of its own.
fn question(number: usize) -> String {
    let condition = format!("los_days < {}", LONGEST_STAY + number);
    format!("SELECT count(*) AS n, sum(total_cost) AS cost FROM stay WHERE {condition}")
}

/// The answer over this many hospitals.
fn answer_of(hospitals: u32) -> Vec<Vec<String>> {
    let cost: u32 = (0..40).map(|number| 1_000 + number).sum();
    vec![vec![(hospitals * 40).to_string(), format!("{}.0000", hospitals * cost)]]
}

fn cells(cells: Vec<u8>) -> v1::UploadPart {
    v1::UploadPart { part: Some(Part::Cells(v1::Cells { cells })) }
}

type Parts = Vec<v1::UploadPart>;

fn twist(
    name: &'static str,
    of: impl Fn(Parts) -> Parts + Send + Sync + 'static,
) -> (&'static str, Arc<UploadTwist>) {
    (name, Arc::new(move |_, parts| of(parts)))
}

/// Cells that are not the ones that the receipt vouches for.
fn other_cells() -> Vec<(&'static str, Arc<UploadTwist>)> {
    let other = |change: fn(Vec<u8>) -> Vec<u8>| {
        move |mut parts: Parts| {
            let vouched = parts.pop().unwrap();
            vec![cells(change(cells_of(&parts))), vouched]
        }
    };
    vec![
        twist("one cell more", other(|bytes| [bytes, vec![0; 16]].concat())),
        twist("one cell less", other(|bytes| bytes[16..].to_vec())),
        twist("part of a cell", other(|bytes| bytes[1..].to_vec())),
        twist("no cell", other(|_| Vec::new())),
        twist("zeros", other(|bytes| vec![0; bytes.len()])),
        twist(
            "one bit of one cell",
            other(|mut bytes| {
                bytes[20] ^= 1;
                bytes
            }),
        ),
        twist("its cells twice", |parts| [parts[..parts.len() - 1].to_vec(), parts].concat()),
        twist("all of it twice", |parts| [parts.clone(), parts].concat()),
        twist("no end", |parts| parts[..parts.len() - 1].to_vec()),
        twist("nothing", |_| Vec::new()),
        twist("more after its end", |parts| [parts, vec![v1::UploadPart { part: None }]].concat()),
    ]
}

/// Proofs that do not fit the cells.
fn other_proofs() -> Vec<(&'static str, Arc<UploadTwist>)> {
    let other = |change: fn(&mut v1::Upload)| {
        move |mut parts: Parts| {
            let Some(Part::End(end)) = &mut parts.last_mut().unwrap().part else {
                panic!("an upload ends with its proof")
            };
            change(end.upload.as_mut().unwrap());
            parts
        }
    };
    vec![
        twist("another hash", other(|upload| upload.hash[0] ^= 1)),
        twist("another seed", other(|upload| upload.sealed_seed[40] ^= 1)),
        twist("another receipt", other(|upload| upload.receipt[0] ^= 1)),
        twist("another name", other(|upload| upload.hospital = "h-2".to_owned())),
        twist("no receipt", other(|upload| upload.receipt.clear())),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_not_whole_is_left_out_and_the_rest_is_answered() {
    let region = five().await;
    let front = before_node(&region, LIAR).await;
    let twists = other_cells().into_iter().chain(other_proofs());
    for (number, (name, twist)) in twists.enumerate() {
        front.twist(Some(twist));
        let answer = region.ask(&question(number)).await;
        let answer = answer.unwrap_or_else(|status| panic!("{name}: {status:?}"));
        assert_eq!(answer.rows(), answer_of(4), "{name}");
        assert_eq!(answer.missing(), [(LIAR, "failed")], "{name}");
    }
    front.twist(None);
    let answer = region.ask(WARM_UP).await.unwrap();
    assert_eq!((answer.rows(), answer.missing().len()), (vec![vec!["200".to_owned()]], 0));
}

/// An upload of any cells, signed and sealed as the hospital itself would.
fn vouched(key: &SigningKey, offer: &v1::Offer, bytes: Vec<u8>) -> Vec<v1::UploadPart> {
    let own: HospitalId = LIAR.parse().unwrap();
    let terms = proto::decode_terms(offer.terms.clone().unwrap(), false).unwrap();
    let (sid, hash) = (terms.sid(), upload_hash(&bytes));
    let drawn = SigningKey::from_seed(random()).derive("drawn");
    let bound = seed_binding(&sid, &own, &hash);
    let sealed_seed = seal(&terms.witness_key, "seed", &bound, &random(), drawn).unwrap();
    let receipt = Receipt::of(sid, terms.request, hash, &sealed_seed);
    let upload = v1::Upload {
        hospital: LIAR.to_owned(),
        sealed_seed,
        receipt: receipt.sign(key).as_bytes().to_vec(),
        hash: hash.to_vec(),
    };
    let end = v1::UploadEnd { upload: Some(upload), snapshot_id: String::new() };
    vec![cells(bytes), v1::UploadPart { part: Some(Part::End(end)) }]
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_out_of_bounds_spoil_a_round_and_never_a_number() {
    let region = five().await;
    let front = before_node(&region, LIAR).await;
    let key = region.pki().signing_key(&peer(Role::Node, LIAR)).unwrap();
    // Anything, under a seed that does not belong to it: sums without meaning.
    front.twist(Some(Arc::new(move |offer: &v1::Offer, parts: Vec<v1::UploadPart>| {
        let noise = cells_of(&parts).into_iter().map(|byte| byte.wrapping_mul(31)).collect();
        vouched(&key, offer, noise)
    })));
    region.ask(&question(0)).await.unwrap_err();
    let refusals = entries(&region, "witness").into_iter().filter(|e| e.kind == Kind::Refusal);
    assert_eq!(refusals.map(|entry| entry.outcome).collect::<Vec<_>>(), ["tampered"]);
    // The round is spent; the next one, without the liar, is answered.
    region.site(LIAR).proxy().cut();
    let answer = region.ask(&question(1)).await.unwrap();
    assert_eq!((answer.rows(), answer.missing().len()), (answer_of(4), 1));
}

/// Changes each vector of masks, cell by cell.
fn masks(change: impl Fn(&mut Vec<u128>) + Send + Sync + 'static) -> Arc<OpenedTwist> {
    Arc::new(move |mut parts| {
        for part in &mut parts {
            if let Some(Opened::Masks(wire)) = &mut part.part {
                let (cells, []) = wire.cells.as_chunks() else { panic!("whole cells") };
                let mut masks = cells.iter().map(|cell| u128::from_le_bytes(*cell)).collect();
                change(&mut masks);
                wire.cells = masks.iter().flat_map(|mask| mask.to_le_bytes()).collect();
            }
        }
        parts
    })
}

type Twists = Vec<(String, Arc<OpenedTwist>)>;

/// Every single mask changed, and all of them.
fn wrong_masks(count: usize) -> Twists {
    let mut twists = Twists::new();
    for index in 0..count {
        twists.push((format!("mask {index} by a bit"), masks(move |m| m[index] ^= 1)));
        let eleven = move |m: &mut Vec<u128>| m[index] = m[index].wrapping_sub(11);
        twists.push((format!("mask {index} by eleven"), masks(eleven)));
    }
    // The same number added to a value and its check: the key of the check is not known.
    let all = |m: &mut Vec<u128>| m.iter_mut().for_each(|mask| *mask = mask.wrapping_add(1));
    twists.push(("all masks by one".to_owned(), masks(all)));
    twists.push(("masks reversed".to_owned(), masks(|m| m.reverse())));
    twists.push(("no masks".to_owned(), masks(Vec::clear)));
    twists.push(("a mask too many".to_owned(), masks(|m| m.push(0))));
    twists
}

/// Other groups, other verdicts, and what is no opening.
fn wrong_openings() -> Twists {
    let places = |change: fn(&mut v1::OpenedPlaces)| -> Arc<OpenedTwist> {
        Arc::new(move |mut parts| {
            for part in &mut parts {
                if let Some(Opened::Places(places)) = &mut part.part {
                    change(places);
                }
            }
            parts
        })
    };
    let reversed: Arc<OpenedTwist> = Arc::new(|parts| parts.into_iter().rev().collect());
    let nothing: Arc<OpenedTwist> = Arc::new(|_| Vec::new());
    let verdicts: fn(&mut v1::OpenedPlaces) = |places| {
        places.verdicts = places.verdicts.iter().map(|verdict| !verdict).collect();
    };
    let twists = [
        ("another place", places(|places| places.places = vec![7])),
        ("another verdict", places(verdicts)),
        ("masks before the header", reversed),
        ("nothing", nothing),
    ];
    twists.map(|(name, twist)| (name.to_owned(), twist)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_returns_wrong_masks_is_found_out() {
    let region = five().await;
    let front = before_witness(&region, WARM_UP).await;
    let _ = front.take();
    assert_eq!(region.ask(&question(0)).await.unwrap().rows(), answer_of(5));
    let opened = front.take().opened;
    let count = opened.iter().filter_map(|part| match &part.part {
        Some(Opened::Masks(cells)) => Some(cells.cells.len() / 16),
        _ => None,
    });
    let count: usize = count.sum();
    assert!(count >= 5, "rows, its check, values, their check: {count}");

    let twists = wrong_masks(count).into_iter().chain(wrong_openings());
    for (number, (name, twist)) in twists.enumerate() {
        front.twist(Some(twist));
        let answer = region.ask(&question(1 + number)).await;
        let status = answer.map(|answer| answer.rows()).expect_err(&name);
        assert_eq!(status.code(), Code::Internal, "{name}: {status:?}");
    }
    front.twist(None);
    assert_eq!(region.ask(&question(0)).await.unwrap().rows(), answer_of(5));
}
