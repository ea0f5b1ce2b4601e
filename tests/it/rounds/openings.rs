//! A commission with valid keys asks the witness to open what it must not.

use model::RefusalCode;
use privacy::sign::SigningKey;
use proto::v1;
use record::Kind;
use tests::Region;
use tests::fixture::Stay;

use super::chair::{Agreed, Chair, Uploads, entries, random, total};
use super::{is, refused, region};

const SQL: &str = "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay";
/// The same relation, asked otherwise.
const SAME_RELATION: &str = "SELECT avg(total_cost) AS mean FROM stay";
const ALL: [&str; 6] = ["h-1", "h-2", "h-3", "h-4", "h-5", "h-6"];

async fn six() -> Region {
    region((0..6).map(|_| (0..40).map(Stay::plain).collect()), |builder| builder).await
}

/// An agreed round and its uploads.
async fn collected(chair: &Chair<'_>, sql: &str, hospitals: &[&'static str]) -> (Agreed, Uploads) {
    let agreed = chair.agree(&chair.request(sql).await, hospitals).await;
    let uploads = chair.collect(&agreed, hospitals).await;
    (agreed, uploads)
}

/// How the witness noted the round.
fn noted(region: &Region, agreed: &Agreed) -> Vec<String> {
    let sid = agreed.terms.sid();
    let entries = entries(region, "witness").into_iter();
    let of_round = entries.filter(|entry| entry.sid == Some(sid));
    of_round.map(|entry| format!("{} {}", entry.kind, entry.outcome)).collect()
}

/// Opens honest uploads with something changed, and expects a refusal that is on record.
async fn ends(
    chair: &Chair<'_>,
    change: impl FnOnce(&Agreed, &mut v1::OpenHeader, &mut Vec<u128>),
) -> (RefusalCode, String, Vec<String>) {
    let (agreed, uploads) = collected(chair, SQL, &ALL).await;
    let shape = &agreed.terms.shape;
    let mut header = agreed.header(&uploads);
    let mut sums = agreed.witnessed(&total(shape, &uploads));
    change(&agreed, &mut header, &mut sums);
    let (code, subject) = refused(chair.open(shape, header, &sums).await);
    // There is no second attempt, also no honest one.
    let again = refused(chair.finish(&agreed, &uploads).await);
    assert_eq!(again, is(RefusalCode::Replay, "sid"), "after {code} {subject}");
    (code, subject, noted(chair.region, &agreed))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_opens_once_over_what_was_uploaded() {
    let region = six().await;
    let chair = Chair::of(&region);
    let (agreed, uploads) = collected(&chair, SQL, &ALL).await;
    let combined = chair.finish(&agreed, &uploads).await.unwrap();
    let cost: i128 = (0..40).map(|number| 1_000 + number).sum();
    let cells = &combined.groups[&Vec::new()].cells;
    assert_eq!(cells, &[240, 6 * cost * 10_000, 240], "costs, their sum, stays");
    assert_eq!(refused(chair.finish(&agreed, &uploads).await), is(RefusalCode::Replay, "sid"));
    // Nor after a restart, when nothing is in its memory.
    region.stop_witness().await;
    region.start_witness(None).await.unwrap();
    assert_eq!(refused(chair.finish(&agreed, &uploads).await), is(RefusalCode::Replay, "sid"));
    let rounds = entries(&region, "witness").into_iter().filter(|e| e.kind == Kind::Round);
    assert_eq!(rounds.filter(|entry| entry.sid == Some(agreed.terms.sid())).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_that_are_not_those_of_the_uploads_end_the_round() {
    let region = six().await;
    let chair = Chair::of(&region);
    let tampered = (RefusalCode::Request, "cells".to_owned());
    // Each guard raised by eleven: persons, stays, hospitals, supports, dominance, the check.
    let width = {
        let request = chair.request(SQL).await;
        privacy::Shape::of(&request).unwrap().witnessed().len()
    };
    assert!(width > 8, "{width} columns");
    for column in 0..width {
        let raise = |_: &Agreed, _: &mut v1::OpenHeader, sums: &mut Vec<u128>| {
            sums[column] = sums[column].wrapping_add(11);
        };
        let (code, subject, noted) = ends(&chair, raise).await;
        assert_eq!((code, subject), tampered, "column {column}");
        assert!(noted.iter().any(|line| line == "refusal tampered"), "{noted:?}");
    }
    // Two columns exchanged; a header that names fewer hospitals than are in the sums.
    let (code, subject, _) = ends(&chair, |_, _, sums| sums.swap(0, 1)).await;
    assert_eq!((code, subject), tampered);
    let fewer = |_: &Agreed, header: &mut v1::OpenHeader, _: &mut Vec<u128>| {
        header.uploads.truncate(3);
    };
    let (code, subject, _) = ends(&chair, fewer).await;
    assert_eq!((code, subject), tampered, "sums of six, masks of three");
    let (code, subject, _) = ends(&chair, |_, _, sums| sums.truncate(1)).await;
    assert_eq!((code, subject), tampered);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hospitals_than_uploaded_are_not_opened() {
    let region = six().await;
    let chair = Chair::of(&region);
    let offer = |subject: &str| is(RefusalCode::Offer, subject);
    let stranger = SigningKey::from_seed(random());
    let (_, elsewhere) = collected(&chair, SQL, &ALL).await;
    let foreign = elsewhere["h-1"].proof.clone();

    type Change = Box<dyn FnOnce(&Agreed, &mut v1::OpenHeader, &mut Vec<u128>)>;
    let cases: Vec<(Change, (RefusalCode, String))> = vec![
        (
            // An upload of another round in the place of this one's.
            Box::new(move |_, header, _| header.uploads[0] = foreign),
            offer("receipt"),
        ),
        (
            // One hospital's upload under another's name.
            Box::new(|_, header, _| header.uploads[0].hospital = "h-0".to_owned()),
            is(RefusalCode::Request, "uploads"),
        ),
        (
            Box::new(|_, header, _| {
                let proof = header.uploads[1].clone();
                header.uploads[0] = v1::Upload { hospital: "h-1".to_owned(), ..proof };
            }),
            offer("receipt"),
        ),
        (
            // One upload twice.
            Box::new(|_, header, _| header.uploads[1] = header.uploads[0].clone()),
            is(RefusalCode::Request, "uploads"),
        ),
        (Box::new(|_, header, _| header.uploads[2].hash[0] ^= 1), offer("receipt")),
        (Box::new(|_, header, _| header.uploads[2].sealed_seed[40] ^= 1), offer("receipt")),
        (Box::new(|_, header, _| header.uploads.truncate(2)), is(RefusalCode::Quorum, "hospitals")),
        (
            Box::new(move |agreed, header, _| {
                header.signature = agreed.terms.sign(&stranger).as_bytes().to_vec();
            }),
            offer("coordinator"),
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let (code, subject, noted) = ends(&chair, change).await;
        assert_eq!((code, subject), expected, "{number}");
        assert_eq!(noted, [format!("refusal {code}")], "{number}");
    }

    // A round that names three hospitals is not opened over a fourth.
    let (three, mut uploads) = collected(&chair, SQL, &ALL[..3]).await;
    uploads.insert("h-4", elsewhere["h-4"].clone());
    let opened = chair.finish(&three, &uploads).await;
    assert_eq!(refused(opened), is(RefusalCode::Request, "uploads"));
    // A sid that nobody countersigned.
    let (mut unknown, uploads) = collected(&chair, SQL, &ALL).await;
    unknown.terms.nonce_b = random();
    unknown.signatures.coordinator = unknown.terms.sign(&chair.key);
    assert_eq!(refused(chair.finish(&unknown, &uploads).await), offer("sid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_that_differ_by_one_or_two_hospitals_are_not_both_opened() {
    let region = six().await;
    let chair = Chair::of(&region);
    let open = async |sql: &str, hospitals: &[&'static str]| {
        let (agreed, uploads) = collected(&chair, sql, hospitals).await;
        chair.finish(&agreed, &uploads).await.map(|combined| combined.groups.len())
    };
    let close = is(RefusalCode::Quorum, "hospitals");
    assert_eq!(open(SQL, &ALL).await.unwrap(), 1);
    assert_eq!(refused(open(SQL, &ALL[..5]).await), close, "one fewer");
    assert_eq!(refused(open(SQL, &ALL[1..]).await), close);
    assert_eq!(refused(open(SQL, &ALL[..4]).await), close, "two fewer");
    // Nor when the same rows are asked in other words.
    assert_eq!(refused(open(SAME_RELATION, &ALL[..5]).await), close);
    // The same set, and sets that differ by three, tell about nobody.
    assert_eq!(open(SQL, &ALL).await.unwrap(), 1);
    assert_eq!(open(SQL, &ALL[..3]).await.unwrap(), 1);
    assert_eq!(refused(open(SQL, &["h-1", "h-2", "h-4"]).await), close, "one for another");
    assert_eq!(open(SAME_RELATION, &ALL[3..]).await.unwrap(), 1);
    // Uploads that were collected from all and are opened over five are the same attack.
    let (agreed, mut uploads) = collected(&chair, SQL, &ALL).await;
    uploads.remove("h-6");
    assert_eq!(refused(chair.finish(&agreed, &uploads).await), close);
    assert_eq!(noted(&region, &agreed), ["refusal quorum"]);
}
