use privacy::sketch::SKETCH_BYTES;

use super::schema::FORMAT_2;
use super::*;
use crate::FILE;
use crate::audit::Wrong;
use crate::entry::{Entry, Kind};

const NOW: &str = "2026-11-21T08:30:00Z";

fn node() -> Peer {
    "spiffe://east/node/h-1".parse().unwrap()
}

fn open(path: &Path) -> Result<Store, RecordError> {
    Store::open(path, &node(), NOW)
}

fn refusal(outcome: &str) -> Entry {
    Entry::new(NOW, Kind::Refusal, outcome)
}

/// The files as a power cut would leave them: copied while the writer is at work.
fn crash(from: &Path, to: &Path) {
    for ending in ["", "-wal"] {
        let file = format!("{FILE}{ending}");
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}

#[test]
fn what_was_written_is_there_after_a_crash() {
    let (folder, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&folder.path().join("data").join(FILE)).unwrap();
    assert_eq!(store.append(&refusal("one")).unwrap(), 0);
    assert_eq!(store.append(&refusal("two")).unwrap(), 1);
    let failed: Result<(), _> = store.write(|transaction| {
        crate::log::append(transaction, &refusal("three"))?;
        Err(Problem::Settled)
    });
    assert!(failed.is_err());
    crash(&folder.path().join("data"), after.path());
    let again = open(&after.path().join(FILE)).unwrap();
    assert_eq!(again.size().unwrap(), 2, "all of a transaction or nothing");
    assert_eq!(again.entry(1).unwrap().unwrap().outcome, "two");
    assert_eq!(again.party(), &node());
}

#[test]
fn the_file_is_written_through_to_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join(FILE)).unwrap();
    let settings = store.read(|transaction| {
        let text = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, String>(0));
        let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((text("journal_mode")?, number("synchronous")?, number("foreign_keys")?))
    });
    // 2 is FULL.
    assert_eq!(settings.unwrap(), ("wal".to_owned(), 2, 1));
}

#[test]
fn a_file_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let store = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error.problem(), Problem::InUse), "{error}");
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    let clone = store.clone();
    drop(store);
    assert!(matches!(open(&path).unwrap_err().problem(), Problem::InUse));
    drop(clone);
    open(&path).unwrap();
}

#[test]
fn a_file_of_another_party_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    drop(open(&path).unwrap());
    let other = "spiffe://east/node/h-2".parse().unwrap();
    let error = Store::open(&path, &other, NOW).unwrap_err();
    assert!(matches!(error.problem(), Problem::OtherParty { .. }), "{error}");
    open(&path).unwrap();
}

/// The reservations as they were up to the fourth format.
const FIRST_LEDGER: &str = "DROP INDEX reservation_noise; DROP INDEX reservation_project;
     ALTER TABLE reservation DROP COLUMN rho; ALTER TABLE reservation DROP COLUMN project;";

#[test]
fn a_file_of_the_first_format_is_brought_to_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    drop(open(&path).unwrap());
    let file = Connection::open(&path).unwrap();
    file.execute_batch(&format!(
        "DROP TABLE population; DROP TABLE waiting; DROP TABLE decision; {FIRST_LEDGER}
         PRAGMA user_version = 1"
    ))
    .unwrap();
    drop(file);
    let error = Archive::open(&path).unwrap_err();
    assert!(matches!(error.problem(), Problem::Older { found: 1, known: 7 }), "{error}");
    assert!(open(&path).unwrap().populations().unwrap().is_empty());
}

#[test]
fn populations_of_the_second_format_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let store = open(&path).unwrap();
    store.append(&refusal("one")).unwrap();
    drop(store);
    let file = Connection::open(&path).unwrap();
    let somebody = "01".repeat(SKETCH_BYTES);
    file.execute_batch(&format!(
        "DROP TABLE population; DROP TABLE waiting; DROP TABLE decision; {FIRST_LEDGER} {FORMAT_2}
         INSERT INTO population (entry, whole, sketch) VALUES
             (0, 1, x'{somebody}'), (0, 0, x'{somebody}');
         PRAGMA user_version = 2"
    ))
    .unwrap();
    drop(file);
    let known = open(&path).unwrap().populations().unwrap();
    assert_eq!((known.len(), known.wholes().count()), (1, 1));
}

#[test]
fn what_was_asked_before_there_were_projects_is_of_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    drop(open(&path).unwrap());
    let file = Connection::open(&path).unwrap();
    file.execute_batch(
        "DROP INDEX reservation_project; ALTER TABLE reservation DROP COLUMN project;
         ALTER TABLE waiting DROP COLUMN kind; ALTER TABLE population DROP COLUMN place;
         INSERT INTO waiting VALUES (zeroblob(32), 'ana', 'pooled', 'SELECT 1', 'rows', 'a', 'b', 2);
         INSERT INTO reservation (state, asker, day, scope, request, snapshot, policy, rho)
             VALUES ('reserved', 'ana', '2026-11-21', 'pooled', zeroblob(32), 's', zeroblob(32), 7);
         PRAGMA user_version = 5",
    )
    .unwrap();
    drop(file);
    let store = open(&path).unwrap();
    let waiting = Archive::open(&path).unwrap().waiting().unwrap();
    assert_eq!((waiting[0].matter, waiting[0].times), (crate::Matter::Question, 2));
    // The open question was given back as one of no project, and its row is bound to its entry.
    assert_eq!(store.noise_spent("2026").unwrap(), []);
    drop(store);
    let report = crate::audit::verify(&[path], &[]);
    // There is no roster here; that is all the audit has to say.
    let wrong: Vec<_> = report.findings.iter().map(|finding| &finding.wrong).collect();
    assert!(matches!(wrong[..], [Wrong::NotInRoster]) && report.parties.len() == 1, "{report:?}");
}

#[test]
fn a_newer_file_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 8).unwrap();
    let before = std::fs::read(&path).unwrap();
    for error in [open(&path).unwrap_err(), Archive::open(&path).unwrap_err()] {
        let newer = matches!(error.problem(), Problem::Newer { found: 8, known: 7 });
        assert!(newer, "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_damaged_file_closes_and_is_never_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join(FILE);
    let store = open(&whole).unwrap();
    for _ in 0..200 {
        store.append(&refusal("one")).unwrap();
    }
    drop(store);
    let good = std::fs::read(&whole).unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let mut torn = good.clone();
    // From the third page on nothing is left.
    torn[2 * 4096..].fill(0x5a);
    let cases = [
        ("empty", Vec::new()),
        ("text", b"this is not a database, and it is longer than a header would be".repeat(9)),
        ("short", good[..good.len() / 2].to_vec()),
        ("torn", torn),
        ("foreign", std::fs::read(&foreign).unwrap()),
    ];
    for (name, bytes) in cases {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE);
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error.problem(), Problem::Damaged(_)), "{name}: {error}");
        let text = error.to_string();
        assert!(text.contains(FILE) && text.contains("put back a copy"), "{name}: {text}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{name}: the file is evidence");
    }
}

#[test]
fn a_file_that_went_away_from_beside_its_log_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(folder.path().join(format!("{FILE}-wal")), b"left").unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error.problem(), Problem::Damaged(_)), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_crash_while_making_the_file_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    for ending in ["", "-wal", "-journal"] {
        std::fs::write(folder.path().join(format!("{FILE}.incoming{ending}")), b"half").unwrap();
    }
    drop(open(&path).unwrap());
    assert!(!folder.path().join(format!("{FILE}.incoming")).exists());
}

#[test]
fn an_archive_reads_while_the_party_writes_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a folder, 50% full?").join(FILE);
    let store = open(&path).unwrap();
    store.append(&refusal("one")).unwrap();
    let archive = Archive::open(&path).unwrap();
    store.append(&refusal("two")).unwrap();
    assert_eq!((archive.size().unwrap(), archive.party()), (2, &node()));
    let entries = archive.entries(1).unwrap();
    assert_eq!((entries[0].0, entries[0].1.outcome.as_str()), (1, "two"));
    let written = archive.read(|connection| Ok(connection.execute("DELETE FROM entry", [])?));
    assert!(written.is_err());
    drop(store);
    assert_eq!(archive.size().unwrap(), 2);
    let copy = tempfile::tempdir().unwrap();
    // The write-ahead log is still there, because the archive was open when the party left.
    crash(path.parent().unwrap(), copy.path());
    assert_eq!(Archive::open(&copy.path().join(FILE)).unwrap().size().unwrap(), 2);
    let missing = Archive::open(&copy.path().join("other.db")).unwrap_err();
    assert!(matches!(missing.problem(), Problem::Open(_)), "{missing}");
}

#[test]
fn a_log_that_does_not_end_as_it_should_closes_the_file() {
    let key = privacy::sign::SigningKey::from_seed([1; 32]);
    for sql in [
        "DELETE FROM entry WHERE idx = 4",
        "DELETE FROM hash WHERE position = (SELECT max(position) FROM hash)",
        "UPDATE hash SET value = zeroblob(32) WHERE position = 6",
        "UPDATE checkpoint SET note = x'00'",
        "DELETE FROM entry WHERE idx > 2; DELETE FROM hash WHERE position > 3",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let store = open(&path).unwrap();
        for _ in 0..5 {
            store.append(&refusal("one")).unwrap();
        }
        store.checkpoint(&key).unwrap();
        drop(store);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = open(&path).unwrap_err();
        assert!(matches!(error.problem(), Problem::Damaged(_)), "{sql}: {error}");
    }
}

#[test]
fn every_transaction_waits_for_the_disk_unless_it_is_written_ahead_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join(FILE)).unwrap();
    let level = |transaction: &rusqlite::Transaction<'_>| {
        Ok(transaction.pragma_query_value(None, "synchronous", |row| row.get::<_, u8>(0))?)
    };
    const NORMAL: u8 = 1;
    const FULL: u8 = 2;
    assert_eq!(store.write(level).unwrap(), FULL);
    assert_eq!(store.write_ahead(level).unwrap(), NORMAL);
    assert_eq!(store.write(level).unwrap(), FULL);
    let failed = store.write_ahead(|_| Err::<(), _>(Problem::Settled));
    assert!(failed.is_err());
    assert_eq!(store.write(level).unwrap(), FULL, "after a failure");
}
