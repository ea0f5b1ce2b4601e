//! The tables, as a numbered list of migrations. A migration that was shipped is never changed.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::problem::Problem;

/// Marks a file as ours (`PRAGMA application_id`): "CONS".
const APPLICATION_ID: i64 = 0x434f_4e53;

/// `MIGRATIONS[n]` leads from format `n` to `n + 1`; the format is SQLite's `user_version`.
const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5, FORMAT_6, FORMAT_7];

/// Times and days are texts, hashes are blobs of 32 bytes, lists are texts separated by spaces.
/// An `entry` column names the log entry that was written in the same transaction.
const FORMAT_1: &str = "
CREATE TABLE party (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL
) STRICT;

CREATE TABLE entry (
    idx INTEGER PRIMARY KEY CHECK (idx >= 0),
    bytes BLOB NOT NULL
) STRICT;
CREATE TABLE hash (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;
CREATE TABLE checkpoint (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    size INTEGER NOT NULL UNIQUE CHECK (size >= 0),
    note BLOB NOT NULL
) STRICT;
CREATE TABLE accepted (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    note BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sid (
    sid BLOB PRIMARY KEY CHECK (length(sid) = 32)
) STRICT, WITHOUT ROWID;
CREATE TABLE reservation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'committed', 'refunded')),
    asker TEXT NOT NULL,
    day TEXT NOT NULL,
    scope TEXT NOT NULL,
    request BLOB NOT NULL CHECK (length(request) = 32),
    snapshot TEXT NOT NULL,
    policy BLOB NOT NULL CHECK (length(policy) = 32),
    sid BLOB REFERENCES sid (sid),
    entry INTEGER UNIQUE REFERENCES entry (idx),
    CHECK ((state = 'reserved') = (entry IS NULL))
) STRICT;
CREATE INDEX reservation_spent ON reservation (asker, day) WHERE state <> 'refunded';
CREATE INDEX reservation_open ON reservation (id) WHERE state = 'reserved';
CREATE TABLE release (
    reservation INTEGER PRIMARY KEY REFERENCES reservation (id),
    at TEXT NOT NULL,
    mode TEXT NOT NULL,
    withheld TEXT NOT NULL,
    output BLOB NOT NULL CHECK (length(output) = 32),
    receipt BLOB NOT NULL,
    answer BLOB CHECK (length(answer) = 32)
) STRICT;
CREATE TABLE answer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reservation INTEGER NOT NULL UNIQUE REFERENCES release (reservation),
    request BLOB NOT NULL,
    snapshot TEXT NOT NULL,
    policy BLOB NOT NULL,
    bytes BLOB NOT NULL,
    bytes_upto INTEGER NOT NULL,
    UNIQUE (request, snapshot, policy)
) STRICT;

CREATE TABLE survivors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    family BLOB NOT NULL CHECK (length(family) = 32),
    hospitals TEXT NOT NULL,
    UNIQUE (family, hospitals)
) STRICT;
CREATE TABLE round (
    sid BLOB PRIMARY KEY CHECK (length(sid) = 32),
    survivors INTEGER NOT NULL REFERENCES survivors (id),
    day TEXT NOT NULL,
    entry INTEGER NOT NULL UNIQUE REFERENCES entry (idx)
) STRICT, WITHOUT ROWID;
";

/// Populations that were told for the first time, with the entries of the rounds or releases that did.
pub(super) const FORMAT_2: &str = "
CREATE TABLE population (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry INTEGER NOT NULL REFERENCES entry (idx),
    whole INTEGER NOT NULL CHECK (whole IN (0, 1)),
    sketch BLOB NOT NULL
) STRICT;
CREATE INDEX population_of_entry ON population (entry);
";

/// Beside populations of groups (0) and of wholes (1), those that were withheld to hide others (2).
const FORMAT_3: &str = "
ALTER TABLE population RENAME TO population_2;
DROP INDEX population_of_entry;
CREATE TABLE population (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    entry INTEGER NOT NULL REFERENCES entry (idx),
    role INTEGER NOT NULL CHECK (role BETWEEN 0 AND 2),
    sketch BLOB NOT NULL
) STRICT;
INSERT INTO population (number, entry, role, sketch)
    SELECT number, entry, whole, sketch FROM population_2 ORDER BY number;
DROP TABLE population_2;
CREATE INDEX population_of_entry ON population (entry);
";

/// Questions that wait for a node's steward, and what the steward decided.
const FORMAT_4: &str = "
CREATE TABLE waiting (
    question BLOB PRIMARY KEY CHECK (length(question) = 32),
    asker TEXT NOT NULL,
    scope TEXT NOT NULL,
    relation TEXT NOT NULL,
    measures TEXT NOT NULL,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    times INTEGER NOT NULL CHECK (times > 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE decision (
    entry INTEGER PRIMARY KEY REFERENCES entry (idx),
    question BLOB NOT NULL CHECK (length(question) = 32),
    line TEXT NOT NULL
) STRICT;
CREATE INDEX decision_of_question ON decision (question);
";

/// What the noise of an answer costs, in millionths of ρ; 0 without.
const FORMAT_5: &str = "
ALTER TABLE reservation ADD COLUMN rho INTEGER NOT NULL DEFAULT 0 CHECK (rho >= 0);
CREATE INDEX reservation_noise ON reservation (day) WHERE rho > 0;
";

/// The project whose question it is, and projects among what waits.
const FORMAT_6: &str = "
ALTER TABLE reservation ADD COLUMN project TEXT;
CREATE INDEX reservation_project ON reservation (project, day, rho)
    WHERE project IS NOT NULL AND state <> 'refunded';
ALTER TABLE waiting ADD COLUMN kind TEXT NOT NULL DEFAULT 'question'
    CHECK (kind IN ('question', 'project'));
";

/// Where a population stands among others, as [`privacy::sketch::Place::to_bytes`] has it.
const FORMAT_7: &str = "
ALTER TABLE population ADD COLUMN place BLOB;
";

/// Brings the file to the newest format.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Problem> {
    let found = version(connection)?;
    let Some(missing) = usize::try_from(found).ok().and_then(|done| MIGRATIONS.get(done..)) else {
        return Err(Problem::Newer { found, known: newest() });
    };
    for (version, migration) in (found + 1..).zip(missing) {
        let transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Checks that the file is ours and not newer than this program.
pub(super) fn check(connection: &Connection) -> Result<(), Problem> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let found = version(connection)?;
    if application != APPLICATION_ID || found < 1 {
        return Err(Problem::damaged("it is a database, but not a record"));
    }
    if found > newest() {
        return Err(Problem::Newer { found, known: newest() });
    }
    Ok(())
}

/// Checks that the file is ours and of the newest format, for who may not change it.
pub(super) fn check_newest(connection: &Connection) -> Result<(), Problem> {
    check(connection)?;
    let (found, known) = (version(connection)?, newest());
    if found < known { Err(Problem::Older { found, known }) } else { Ok(()) }
}

/// Looks for damage that the database itself can see.
pub(super) fn inspect(connection: &Connection) -> Result<(), Problem> {
    let text: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if text == "ok" { Ok(()) } else { Err(Problem::damaged(text)) }
}

fn version(connection: &Connection) -> Result<i64, Problem> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}
