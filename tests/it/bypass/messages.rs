//! Requests that are wrong in themselves: malformed, of another scope's form, or silent about what
//! the witness has to know.

use model::RefusalCode;
use proto::v1::measure::Kind;
use proto::{decode_request, v1};
use tonic::Code;

use super::rogue::Rogue;
use super::{
    COST_BOUND, Way, all_refused, buckets, changed, fine, input, list, masked, measure, region,
    relation, released, wrong_on,
};

/// A request for `bins` bins of `of`.
fn histogram(bins: u32, of: &str) -> v1::ReleaseRequest {
    changed(|r| {
        r.measures = vec![v1::Measure { bins, ..measure(Kind::Histogram) }];
        r.supports = vec![4];
        r.relation_sql = r.relation_sql.replace("stay.total_cost", of);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused() {
    use RefusalCode as C;
    let cases = vec![
        (C::Request, "version 99", changed(|r| r.version = 99)),
        (C::Request, "version 1", changed(|r| r.version = 1)),
        (C::Request, "version 0", changed(|r| r.version = 0)),
        (C::Request, "no scope", changed(|r| r.scope = 0)),
        (C::Request, "unknown scope", changed(|r| r.scope = 77)),
        (C::Request, "no asker", changed(|r| r.asker.clear())),
        (C::Request, "a long asker", changed(|r| r.asker = "a".repeat(65))),
        (C::Request, "a kind of measure", changed(|r| r.measures[0].kind = 99)),
        (C::Request, "no scale", changed(|r| r.inputs[0].scale = None)),
        (C::Request, "a short bound", changed(|r| r.inputs[0].bound = vec![1])),
        (
            C::Request,
            "another scale than the column's",
            changed(|r| r.inputs[0].scale = Some(v1::input::Scale::DecimalDigits(2))),
        ),
        (
            C::Request,
            "a binary scale for a decimal",
            changed(|r| r.inputs[0].scale = Some(v1::input::Scale::BinaryBits(40))),
        ),
        (C::Request, "another number of dimensions", changed(|r| r.dimensions.clear())),
        (C::TooLarge, "a bound that overflows", changed(|r| r.inputs = vec![input(1 << 100)])),
        (C::TooLarge, "a bound of zero", changed(|r| r.inputs = vec![input(0)])),
        (
            C::TooLarge,
            "squares that overflow",
            changed(|r| {
                r.inputs = vec![input(1 << 60)];
                r.measures = vec![measure(Kind::Squares)];
                r.supports = vec![4];
            }),
        ),
        (C::Request, "another number of bins", histogram(7, "stay.total_cost")),
        (C::TooLarge, "no bins", histogram(0, "stay.total_cost")),
        (C::TooLarge, "too many bins", histogram(321, "stay.total_cost")),
        (C::TooLarge, "a scale that overflows", {
            let mut request = histogram(7, "stay.total_cost");
            request.inputs[0].scale = Some(v1::input::Scale::DecimalDigits(255));
            request
        }),
        (C::Aggregate, "bins of an expression", histogram(7, "stay.total_cost * 2")),
        (C::TooLarge, "65 inputs", changed(|r| r.inputs = vec![input(COST_BOUND); 65])),
        (C::TooLarge, "65 measures", changed(|r| r.measures = vec![measure(Kind::Rows); 65])),
        (C::TooLarge, "9 dimensions", changed(|r| r.dimensions = vec!["d".to_owned(); 9])),
        (C::TooLarge, "an input that is not there", changed(|r| r.measures[1].x = 1)),
        (C::Bounds, "a long SQL", changed(|r| r.relation_sql.push_str(&" ".repeat(64 * 1024)))),
    ];
    all_refused(cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_when_the_time_is_over() {
    let (_folder, region) = region().await;
    let mut rogue = Rogue::of(&region);
    // A millisecond is not enough to plan this.
    let codes: Vec<_> = (0..500).map(|number| format!("'{number}'")).collect();
    let slow = |again: &str| {
        changed(|r| {
            r.relation_sql.push_str(&format!(
                " JOIN diagnosis a ON stay.stay_key = a.stay_key JOIN diagnosis b ON \
                 stay.stay_key = b.stay_key {again} WHERE stay.drg_code IN ({})",
                codes.join(", ")
            ));
            r.deadline_ms = 1;
        })
    };
    let late = rogue.release(slow("")).await.map(|chunks| chunks.len()).unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let again = slow("JOIN fee ON stay.stay_key = fee.stay_key");
    let offer = rogue.offer(masked(again), &decode_request(masked(fine())).unwrap()).await;
    let late = rogue.join(offer).await.map(|upload| upload.len()).unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(released(&region).is_empty());
}

/// What a request says about itself decides which rules the witness applies.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_understate_themselves_are_refused() {
    use RefusalCode as C;
    let cases = [
        ("money that is called none", changed(|r| r.inputs[0].money = false)),
        ("fewer sets of persons", changed(|r| r.supports = vec![0, 3])),
        ("no sets of persons", changed(|r| r.supports = vec![0, 0])),
        ("more sets of persons", changed(|r| r.supports = vec![0, 5])),
        ("sets of persons elsewhere", changed(|r| r.supports = vec![4, 0])),
        ("too few numbers of sets", changed(|r| r.supports = vec![4])),
        ("no numbers of sets", changed(|r| r.supports.clear())),
        ("more numbers of sets", changed(|r| r.supports.push(0))),
        (
            "money behind a cast",
            changed(|r| {
                let double = "CAST(stay.total_cost AS DOUBLE)";
                r.relation_sql = r.relation_sql.replace("stay.total_cost", double);
                r.inputs[0] = v1::Input {
                    scale: Some(v1::input::Scale::BinaryBits(40)),
                    bound: (100_000_000u128 << 40).to_le_bytes().to_vec(),
                    money: false,
                };
            }),
        ),
        (
            "a condition whose sides are not counted",
            changed(|r| {
                let case = "CASE WHEN stay.sex = 'F' THEN stay.total_cost ELSE 0 END";
                r.relation_sql = r.relation_sql.replace("stay.total_cost", case);
            }),
        ),
    ];
    all_refused(cases.map(|(what, request)| (C::Request, what, request)).to_vec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_has_its_own_form() {
    use RefusalCode as C;
    const ROW: &str = "SELECT stay.drg_code AS d0, stay.total_cost AS m0, KEYS FROM stay";
    let own = [
        (C::Request, "a code list", changed(|r| r.domains = vec![list(&["DA1"])])),
        (C::Request, "buckets", changed(|r| r.domains = vec![buckets(4, 32)])),
    ];
    let wrong = wrong_on(&[Way::Own], &own).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let domains = |domains: Vec<v1::Domain>| changed(|r| r.domains = domains);
    let no_place = v1::CodeDomain { codes: Vec::new(), outside: 0 };
    let no_place = v1::Domain { kind: Some(v1::domain::Kind::Codes(no_place)) };
    let signed = [
        (
            C::Scope,
            "grouping by hospital",
            relation(&ROW.replace("stay.drg_code", "stay.hospital_id")),
        ),
        (
            C::Scope,
            "choosing a hospital",
            relation(&format!("{ROW} WHERE stay.hospital_id = 'h-1'")),
        ),
        (C::Request, "two lists", domains(vec![list(&[]), list(&[])])),
        (C::Request, "a list of nothing", domains(vec![v1::Domain { kind: None }])),
        (C::Request, "nothing said of other codes", domains(vec![no_place])),
        (C::Request, "codes out of order", domains(vec![list(&["B", "A"])])),
        (C::Request, "a code twice", domains(vec![list(&["A", "A"])])),
        (C::Request, "the label of others", domains(vec![list(&["A", "OTHER"])])),
        (C::Request, "a long code", domains(vec![list(&[&"x".repeat(129)])])),
        (C::Request, "too many buckets", domains(vec![buckets(21, 32)])),
        (C::Request, "no buckets", domains(vec![buckets(0, 32)])),
        (C::Request, "a short salt", domains(vec![buckets(4, 31)])),
        (C::Offer, "a salt of the coordinator's choice", domains(vec![buckets(4, 32)])),
    ];
    let wrong = wrong_on(&[Way::Unsigned, Way::Signed], &signed).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
