use std::path::Path;

use rusqlite::Connection;

use super::fixture::{NOW, Region, alter, files, findings, node_file, region, roster};
use super::*;
use crate::{Decision, Verdict};

/// Alters the file of h-0 and expects these findings, in this order.
fn expect(sql: &str, expected: &[(&str, Place)]) {
    let folder = region();
    alter(&node_file(folder.path()), sql);
    let findings = findings(folder.path());
    let found: Vec<_> = findings.iter().map(|one| (one.wrong.code(), one.place)).collect();
    assert_eq!(found, expected, "{sql}: {findings:#?}");
    for finding in &findings {
        assert_eq!(finding.party, "spiffe://east/node/h-0", "{sql}");
        let text = finding.to_string();
        assert!(text.contains("nodes/h-0/data/record.db"), "{text}");
        assert!(text.contains(&finding.place.to_string()), "{text}");
    }
}

#[test]
fn an_honest_region_is_found_in_order_also_from_copies() {
    let folder = region();
    let report = verify(&files(folder.path()), &[roster()]);
    assert_eq!(report.findings, []);
    let names: Vec<_> = report.parties.iter().map(|one| one.party.to_string()).collect();
    assert_eq!(names[0], "spiffe://east/coordinator/main");
    let node = &report.parties[2];
    // Each time one pooled release, one by hospital and one refund; one checkpoint.
    assert_eq!((node.entries, node.checkpoints, node.open), (12, 4, 0));
    let both = ["spiffe://east/coordinator/main", "spiffe://east/witness/main"];
    assert_eq!(node.cosigned, both.map(|name| (name.to_owned(), 12)).into());
    assert!(report.parties.iter().all(|one| one.not_here.is_empty() && one.unfinished == 0));
    // A part of the region, from copies: what is not shown is named, and is no finding.
    let copies = tempfile::tempdir().unwrap();
    let copied = copies.path().join("witness.db");
    std::fs::copy(&files(folder.path())[1], &copied).unwrap();
    let report = verify(&[copied], &[roster()]);
    assert_eq!((report.findings.len(), report.parties[0].not_here.len()), (0, 4));
}

#[test]
fn every_byte_of_an_entry_is_bound() {
    let folder = region();
    let file = node_file(folder.path());
    let bytes: Vec<u8> = Connection::open(&file)
        .unwrap()
        .query_row("SELECT bytes FROM entry WHERE idx = 3", [], |row| row.get(0))
        .unwrap();
    for position in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        let hex = privacy::sign::hex(&changed);
        alter(&file, &format!("UPDATE entry SET bytes = x'{hex}' WHERE idx = 3"));
        let findings = verify(std::slice::from_ref(&file), &[roster()]).findings;
        let named = findings.iter().any(|finding| {
            finding.place == Place::Entry(3) && finding.wrong == Wrong::EntryAltered
        });
        assert!(named, "byte {position}: {findings:#?}");
    }
}

#[test]
fn a_decision_is_bound_to_its_entry() {
    for (sql, expected) in [
        ("UPDATE decision SET line = 'another'", &["row_altered", "entry_without_row"][..]),
        ("UPDATE decision SET question = zeroblob(32)", &["row_altered"]),
        ("DELETE FROM decision", &["entry_without_row"]),
    ] {
        let folder = region();
        let mut all = Region::open(folder.path());
        let decision = Decision {
            question: [3; 32],
            verdict: Verdict::Approved,
            line: "a line of the steward",
        };
        all.nodes.swap_remove(0).store.decide(NOW, &decision).unwrap();
        drop(all);
        assert_eq!(findings(folder.path()), []);
        alter(&node_file(folder.path()), sql);
        let found = findings(folder.path());
        let found: Vec<_> = found.iter().map(|one| (one.wrong.code(), one.place)).collect();
        let expected: Vec<_> = expected.iter().map(|code| (*code, Place::Entry(12))).collect();
        assert_eq!(found, expected, "{sql}");
    }
}

#[test]
fn entries_that_were_dropped_or_reordered_are_named() {
    use Place::{Checkpoint, Entry, Hash};
    let two_histories = |size| ("two_histories", Checkpoint(size));
    // A refund; its row refers to nothing then.
    expect(
        "DELETE FROM entry WHERE idx = 2",
        &[
            ("structure", Place::File),
            ("entry_missing", Entry(2)),
            ("row_altered", Place::Reservation(3)),
        ],
    );
    expect(
        "DELETE FROM entry WHERE idx = 11;
         DELETE FROM reservation WHERE entry = 11",
        &[
            ("hash_without_entry", Hash(19)),
            ("checkpoint_beyond", Checkpoint(12)),
            two_histories(12),
            two_histories(12),
        ],
    );
    // The whole tail, with everything that mentions it: only others remember.
    expect(
        "DELETE FROM answer WHERE reservation IN (SELECT id FROM reservation WHERE entry >= 9);
         DELETE FROM release WHERE reservation IN (SELECT id FROM reservation WHERE entry >= 9);
         DELETE FROM reservation WHERE entry >= 9;
         DELETE FROM population WHERE entry >= 9;
         DELETE FROM entry WHERE idx >= 9;
         DELETE FROM hash WHERE position >= 16;
         DELETE FROM checkpoint WHERE size > 9",
        &[two_histories(12), two_histories(12)],
    );
    // A release and a refund change places.
    expect(
        "UPDATE entry SET idx = 100 + idx WHERE idx IN (4, 5);
         UPDATE entry SET idx = CASE idx WHEN 104 THEN 5 ELSE 4 END WHERE idx > 100",
        &[
            ("entry_altered", Entry(4)),
            ("entry_altered", Entry(5)),
            ("other_root", Checkpoint(6)),
            ("row_altered", Place::Reservation(5)),
            ("row_altered", Place::Reservation(6)),
            ("entry_without_row", Entry(4)),
            ("entry_without_row", Entry(5)),
            two_histories(12),
            two_histories(12),
        ],
    );
}

#[test]
fn populations_cannot_be_taken_away_or_altered() {
    for sql in [
        "DELETE FROM population WHERE number = 1",
        "UPDATE population SET role = 0 WHERE number = 1",
        "UPDATE population SET sketch = zeroblob(198) WHERE number = 1",
        "INSERT INTO population (entry, role, sketch) SELECT entry, 0, sketch FROM population
         WHERE number = 1",
    ] {
        let expected =
            [("row_altered", Place::Reservation(2)), ("entry_without_row", Place::Entry(1))];
        expect(sql, &expected);
    }
    let folder = region();
    let witness = &files(folder.path())[1];
    alter(witness, "DELETE FROM population WHERE number = 2");
    let findings = findings(folder.path());
    let found: Vec<_> = findings.iter().map(|one| (one.wrong.code(), one.place)).collect();
    let place = Place::Entry(1);
    assert_eq!(found, [("round_altered", place), ("entry_without_row", place)], "{findings:#?}");
}

#[test]
fn changed_hashes_and_checkpoints_are_named() {
    use Place::{Checkpoint, Entry, Hash};
    // A leaf: it belongs neither to its entry nor to the hash above it.
    expect(
        "UPDATE hash SET value = zeroblob(32) WHERE position = 3",
        &[("entry_altered", Entry(2)), ("hash_altered", Hash(5))],
    );
    // A hash inside: it is not that of the two below, nor is the one above that of it.
    expect(
        "UPDATE hash SET value = zeroblob(32) WHERE position = 5",
        &[("hash_altered", Hash(5)), ("hash_altered", Hash(6))],
    );
    expect("DELETE FROM hash WHERE position = 5", &[("hash_missing", Hash(5))]);
    expect("INSERT INTO hash VALUES (99, zeroblob(32))", &[("hash_without_entry", Hash(99))]);
    expect("UPDATE checkpoint SET size = 7 WHERE size = 6", &[("checkpoint_order", Checkpoint(7))]);
    expect(
        "UPDATE checkpoint SET number = 100 + number WHERE size = 6",
        &[("checkpoint_order", Checkpoint(6))],
    );
    expect(
        "UPDATE checkpoint SET note = x'00' WHERE size = 6",
        &[("checkpoint_malformed", Checkpoint(6))],
    );
}

#[test]
fn signatures_of_others_are_named() {
    use crate::checkpoint::Checkpoint;
    let place = Place::Checkpoint(12);
    let stored = |file: &Path| {
        let sql = "SELECT note FROM checkpoint WHERE size = 12";
        let connection = Connection::open(file).unwrap();
        let note: Vec<u8> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        Checkpoint::parse(&note).unwrap()
    };
    let signed = |seed: u8, cosigner: &str, cosigned: u8| {
        let folder = region();
        let file = node_file(folder.path());
        let (party, by) = ("spiffe://east/node/h-0".parse().unwrap(), cosigner.parse().unwrap());
        let mut note =
            Checkpoint::sign(&party, 12, *stored(&file).root(), &fixture::key(seed)).unwrap();
        let line = note.cosignature(&by, &fixture::key(cosigned)).unwrap();
        note.add_cosignature(&line, &by, &fixture::key(cosigned).verify_key()).unwrap();
        let hex = privacy::sign::hex(&note.to_bytes());
        alter(&file, &format!("UPDATE checkpoint SET note = x'{hex}' WHERE size = 12"));
        let found = findings(folder.path());
        assert!(found.iter().all(|finding| finding.place == place));
        found.iter().map(|finding| finding.wrong.code()).collect::<Vec<_>>()
    };
    let witness = "spiffe://east/witness/main";
    assert_eq!(signed(10, witness, 2), [""; 0]);
    assert_eq!(signed(11, witness, 2), ["checkpoint_forged"]);
    assert_eq!(signed(10, witness, 3), ["cosignature_forged"]);
    assert_eq!(signed(10, "spiffe://east/node/h-9", 3), ["cosignature_unknown"]);
    let folder = region();
    let other = privacy::sign::hex(&stored(&files(folder.path())[3]).to_bytes());
    alter(
        &node_file(folder.path()),
        &format!("UPDATE checkpoint SET note = x'{other}' WHERE size = 12"),
    );
    assert_eq!(findings(folder.path())[0].wrong.code(), "checkpoint_origin");
}

#[test]
fn rows_that_are_not_those_of_their_entries_are_named() {
    use Place::{Entry, Reservation};
    // Reservation 2 is by hospital and has an answer, 3 was refunded.
    expect(
        "UPDATE reservation SET asker = 'ben' WHERE id = 2",
        &[("row_altered", Reservation(2)), ("entry_without_row", Entry(1))],
    );
    expect(
        "UPDATE release SET withheld = '' WHERE reservation = 2",
        &[("row_altered", Reservation(2)), ("entry_without_row", Entry(1))],
    );
    expect(
        "UPDATE reservation SET day = '2026-11-20' WHERE id = 3",
        &[("row_altered", Reservation(3)), ("entry_without_row", Entry(2))],
    );
    // A release that pretends to have been given back, and one of which nothing is left.
    expect(
        "UPDATE reservation SET state = 'refunded' WHERE id = 1",
        &[("row_incomplete", Reservation(1)), ("entry_without_row", Entry(0))],
    );
    expect(
        "DELETE FROM release WHERE reservation = 1",
        &[("row_incomplete", Reservation(1)), ("entry_without_row", Entry(0))],
    );
    expect("DELETE FROM reservation WHERE id = 3", &[("entry_without_row", Entry(2))]);
    expect(
        "UPDATE answer SET bytes = x'00' WHERE reservation = 2",
        &[("answer_altered", Reservation(2))],
    );
    expect(
        "UPDATE answer SET snapshot = 's-2' WHERE reservation = 2",
        &[("answer_altered", Reservation(2))],
    );
    expect("DELETE FROM sid WHERE sid = (SELECT min(sid) FROM sid)", &[("structure", Place::File)]);
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_in_the_roster_is_named() {
    let folder = region();
    let file = node_file(folder.path());
    std::fs::write(&file, b"not a database, but longer than the header of one would be".repeat(9))
        .unwrap();
    let found = findings(folder.path());
    assert_eq!((found.len(), found[0].wrong.code()), (1, "unreadable"));
    assert!(found[0].to_string().contains("nodes/h-0/data/record.db"), "{}", found[0]);

    let folder = region();
    let file = node_file(folder.path());
    let invented = "UPDATE party SET origin = 'spiffe://east/node/h-9'";
    alter(&file, invented);
    let found = verify(&[file], &[roster()]).findings;
    assert_eq!(found[0].wrong, Wrong::NotInRoster);
    let others = found[1..].iter().map(|finding| finding.wrong.code());
    assert_eq!(others.collect::<Vec<_>>(), ["checkpoint_origin"; 4]);
}

#[test]
fn no_flipped_byte_of_a_file_goes_unnoticed_unless_nothing_was_stored_there() {
    const FLIPS: usize = 160;
    let folder = region();
    let file = node_file(folder.path());
    alter(&file, "VACUUM");
    let good = std::fs::read(&file).unwrap();
    let before = content(&file);
    let mut noticed = 0;
    // Most of a small file is empty pages; what is not zero is mostly in use.
    let used: Vec<_> = (0..good.len()).filter(|position| good[*position] != 0).collect();
    for flip in 0..FLIPS {
        let position = used[flip * used.len() / FLIPS];
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (flip % 8);
        std::fs::write(&file, &bytes).unwrap();
        let found = findings(folder.path());
        if found.is_empty() {
            assert_eq!(content(&file), before, "byte {position}");
        } else {
            noticed += 1;
        }
    }
    assert!(noticed > FLIPS / 2, "{noticed} of {FLIPS} were in use");
}

/// Everything that the tables hold, or why they cannot be read.
fn content(file: &Path) -> Result<Vec<String>, rusqlite::Error> {
    const TABLES: &[&str] = &[
        "party",
        "entry",
        "hash",
        "checkpoint",
        "accepted",
        "sid",
        "reservation",
        "release",
        "answer",
        "survivors",
        "round",
    ];
    let connection = Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut all = Vec::new();
    for table in TABLES {
        let mut select = connection.prepare(&format!("SELECT * FROM {table}"))?;
        let width = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..width {
                all.push(format!("{table} {:?}", row.get_ref(column)?));
            }
        }
    }
    Ok(all)
}
