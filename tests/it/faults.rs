//! Crashes: every party ends at every named point of a round, as if its power were cut.
//!
//! One region of real processes goes through all points of [`POINTS`]. At each of them the party
//! that reaches it is started again with the order to end there, a question is asked, and the party
//! ends by itself in its middle, without a destructor or a flush: what `kill -9` does, at a chosen
//! line. Then the records of all parties are read. Whatever the point: the asker hears the answer
//! over the survivors or an error in time; what may have left a hospital is in its record, once;
//! what cannot have left is given back; no round is opened twice; the same question may be asked
//! again as the rule of differencing has it; and the next one is answered by everybody.

mod books;
mod case;

use std::path::Path;
use std::time::Duration;

use books::Books;
use case::{Asked, AtNode, Case, Party};
use model::{RefusalCode, Role};
use privacy::Policy;
use proto::v1;
use service::fault::POINTS;
use service::status::refusal_of;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region, peer};
use tokio::time::timeout;
use tonic::{Code, Status};

const EXE: &str = env!("CARGO_BIN_EXE_consilium_process");
/// The hospitals and their stays, of different numbers, so that a sum tells who is in it.
const HOSPITALS: [(&str, u32); 5] =
    [("h-1", 31), ("h-2", 32), ("h-3", 34), ("h-4", 38), ("h-5", 46)];
/// The hospital whose node crashes.
const VICTIM: &str = "h-3";
const DEADLINE: Duration = Duration::from_secs(10);
/// What an answer may take beyond its deadline on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);
/// No stay is longer; conditions above it hold for all stays and make families of their own.
const LONGEST_STAY: usize = 26;

/// All rows of a pooled question.
fn pooled(hospitals: impl Iterator<Item = (&'static str, u32)>) -> Vec<Vec<String>> {
    let (mut stays, mut cost) = (0, 0);
    for (_, count) in hospitals {
        stays += count;
        cost += (0..count).map(|number| 1_000 + number).sum::<u32>();
    }
    vec![vec![stays.to_string(), format!("{cost}.0000")]]
}

/// All rows of a question by hospital.
fn by_hospital(hospitals: impl Iterator<Item = (&'static str, u32)>) -> Vec<Vec<String>> {
    hospitals.map(|(id, stays)| vec![id.to_owned(), stays.to_string()]).collect()
}

fn survivors() -> impl Iterator<Item = (&'static str, u32)> {
    HOSPITALS.into_iter().filter(|(id, _)| *id != VICTIM)
}

/// A region under test, how many questions it was asked, and its records after the last.
struct Ward {
    region: Region,
    families: usize,
    books: Books,
}

impl Ward {
    async fn open(folder: &Path) -> Self {
        let hospitals = HOSPITALS.map(|(id, stays)| {
            HospitalSource::small(id, fixture::write(folder, id, (0..stays).map(Stay::plain)))
        });
        let region = Region::builder()
            .hospitals(hospitals)
            .node_processes(EXE)
            .coordinator_process(EXE)
            .witness_process(EXE);
        let region = region.start().await.unwrap();
        let books = Books::read(&region);
        Self { region, families: 0, books }
    }

    /// A question of a family that was not asked before.
    fn new_question(&mut self, asked: Asked) -> String {
        self.families += 1;
        let condition = format!("los_days < {}", LONGEST_STAY + self.families);
        match asked {
            Asked::Pooled => {
                format!("SELECT count(*) AS n, sum(total_cost) AS cost FROM stay WHERE {condition}")
            }
            Asked::PerHospital => format!(
                "SELECT hospital_id, count(*) AS n FROM stay WHERE {condition} \
                 GROUP BY hospital_id ORDER BY hospital_id"
            ),
            // The list of a column is discovered once in the coordinator's life.
            Asked::Discovering(column) => {
                format!("SELECT {column}, count(*) AS n FROM stay GROUP BY {column}")
            }
        }
    }

    /// Asks. Nobody waits longer than the deadline, whatever happens.
    async fn ask(&self, sql: &str) -> Result<Answer, Status> {
        let asking = self.region.ask_with_deadline(sql, DEADLINE);
        timeout(DEADLINE + MARGIN, asking).await.expect("a question that hangs")
    }

    /// The next question, of a new family, is answered by all hospitals, and leaves nothing open.
    async fn answers_the_next_question(&mut self) {
        let sql = self.new_question(Asked::Pooled);
        let answer = self.ask(&sql).await.unwrap();
        assert_eq!(answer.rows(), pooled(HOSPITALS.into_iter()));
        assert_eq!(answer.missing(), []);
        self.books = Books::read(&self.region);
        self.books.hold_the_rounds_of(&answer);
        self.books.are_in_order();
    }
}

#[test]
fn every_point_of_every_party_is_met() {
    assert!(POINTS.len() >= 20);
    for party in [Party::Node, Party::Coordinator, Party::Witness] {
        let met = POINTS.iter().filter(|point| Case::of(point).party == party);
        assert!(met.count() >= 5, "{party:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_loses_an_answer_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mut ward = Ward::open(folder.path()).await;
    ward.answers_the_next_question().await;
    for point in POINTS {
        println!("crash at {point}");
        crash(&mut ward, point).await;
    }
    nothing_was_lost(&mut ward).await;
}

/// One crash at `point`, and everything that has to hold then.
async fn crash(ward: &mut Ward, point: &'static str) {
    let case = Case::of(point);
    case.party.restart(&ward.region, Some(point)).await;
    let sql = ward.new_question(case.asked);
    let answer = ward.ask(&sql).await;
    case.party.has_crashed(&ward.region).await;
    if let Some(victim) = case.left.victim {
        let open = u64::from(victim == AtNode::Reserved);
        assert_eq!(books::open_at(&ward.region, VICTIM), open, "{point}: as the crash left it");
    }
    case.party.restart(&ward.region, None).await;

    heard(&case, point, answer.as_ref());
    let left = Books::read(&ward.region);
    if let Ok(answer) = &answer {
        left.hold_the_rounds_of(answer);
    }
    let new = left.since(&ward.books);
    new.agree_with(&case, point);
    for sid in new.rounds_at_the_witness() {
        opens_no_second_time(&ward.region, sid).await;
    }
    asked_again(ward, &case, point, &sql, &left).await;
    ward.answers_the_next_question().await;
}

/// What the asker hears.
fn heard(case: &Case, point: &str, answer: Result<&Answer, &Status>) {
    match (case.party, answer) {
        (Party::Node, Ok(answer)) => {
            let expected = match case.asked {
                Asked::PerHospital => by_hospital(survivors()),
                _ => pooled(survivors()),
            };
            assert_eq!(answer.rows(), expected, "{point}");
            assert_eq!(answer.missing(), [(VICTIM, "unreachable")], "{point}");
        }
        (Party::Coordinator, Err(_)) => {}
        (Party::Witness, Err(status)) => {
            assert_eq!(status.code(), Code::Unavailable, "{point}: {status:?}");
            assert!(status.message().contains("witness"), "{point}: {status:?}");
        }
        (party, other) => panic!("{point}: {party:?} crashed, and the asker hears {other:?}"),
    }
}

/// Whoever asks the witness to open a round once more, were it the coordinator, is refused: also by
/// a witness that started anew and knows the round from its record only.
async fn opens_no_second_time(region: &Region, sid: [u8; 32]) {
    let mut witness = region.witness_client_as(&peer(Role::Coordinator, "main")).unwrap();
    let header = v1::OpenHeader { sid: sid.to_vec(), ..v1::OpenHeader::default() };
    let parts = v1::OpenPart { part: Some(v1::open_part::Part::Header(header)) };
    let status = witness.open(futures::stream::iter([parts])).await.unwrap_err();
    assert_eq!(refusal_of(&status).unwrap().code, RefusalCode::Replay, "{status:?}");
}

/// The same question once more, in the same words; `left` are the records before it.
async fn asked_again(ward: &Ward, case: &Case, point: &str, sql: &str, left: &Books) {
    let answer = ward.ask(sql).await.unwrap_or_else(|status| panic!("{point}: {status:?}"));
    match (case.party, case.asked) {
        // It is free where the release is on record: at the survivors, and at the victim if it had
        // come so far. Elsewhere it is paid for now, and only now.
        (_, Asked::PerHospital) => {
            assert_eq!(answer.rows(), by_hospital(HOSPITALS.into_iter()), "{point}");
            assert_eq!(answer.missing(), [], "{point}");
            let new = Books::read(&ward.region).since(left);
            assert!(survivors().all(|(id, _)| new.releases(id) == 0), "{point}");
            let paid = usize::from(case.left.victim != Some(AtNode::Released));
            assert_eq!(new.releases(VICTIM), paid, "{point}");
        }
        // The four survivors' sum was opened. With the fifth, the difference would be the fifth's
        // own cells; so the sum is again that of the four.
        (Party::Node, _) => {
            assert_eq!(answer.rows(), pooled(survivors()), "{point}");
            assert_eq!(answer.missing(), [(VICTIM, "held_back")], "{point}");
        }
        // A round that ended without an answer has used up its number, and its set of hospitals is
        // known to whoever wrote it down. The same set may always be opened again.
        (_, Asked::Pooled) => {
            assert_eq!(answer.rows(), pooled(HOSPITALS.into_iter()), "{point}");
            assert_eq!(answer.missing(), [], "{point}");
        }
        (_, Asked::Discovering(_)) => {
            let stays: u32 = HOSPITALS.into_iter().map(|(_, stays)| stays).sum();
            let rows = answer.rows();
            assert_eq!((rows.len(), &rows[0][1]), (1, &stays.to_string()), "{point}");
            assert_eq!(answer.missing(), [], "{point}");
        }
    }
}

/// After all crashes each node still counts exactly what its record says: an allowance of one more
/// question than were released lets one more question in, and no second.
async fn nothing_was_lost(ward: &mut Ward) {
    for site in ward.region.sites() {
        let mut policy = Policy::answering();
        policy.usage.requests_per_day = ward.books.paid(site.id()) + 1;
        site.set_policy(&policy).unwrap();
    }
    ward.answers_the_next_question().await;
    let sql = ward.new_question(Asked::Pooled);
    let status = ward.ask(&sql).await.unwrap_err();
    assert_eq!(refusal_of(&status).unwrap().code, RefusalCode::Usage, "{status:?}");
}
