//! Durable records: the ledger of what was spent and released, and the log that proves it.
//!
//! It exists because a promise about releases is worth what can be shown afterwards. Every party
//! of a region keeps one SQLite file, [`FILE`]. In it lie what its role must not forget across a
//! crash ([`ledger`] in a node, [`rounds`] in coordinator and witness) and an append-only Merkle
//! log ([`log`]) with an [`entry`] for every decision. [`checkpoint`]s of the log are signed by
//! its owner and cosigned by others, who first see a proof that it only grew ([`cosign`]); a
//! [`receipt`] shows one entry to a stranger; [`audit`] checks whole files against each other.
//!
//! It guarantees that what is committed survives a power cut, that rows and the entries that
//! describe them are written in one transaction or not at all, and that a damaged or foreign file
//! closes the party instead of starting from nothing. Entries hold hashes and codes: never
//! patient data, counts, SQL or values of codes.
//!
//! It is the only owner of SQLite and of the log's data structures; neither shows in its API. It
//! leaves out the clock, the network and who decides what: callers pass times as texts (RFC 3339)
//! and call from a thread that may block.

pub mod audit;
pub mod checkpoint;
pub mod cosign;
mod digest;
pub mod entry;
pub mod inbox;
pub mod ledger;
pub mod log;
mod populations;
pub mod receipt;
pub mod rounds;
pub mod standing;
pub mod store;

pub use checkpoint::Checkpoint;
pub use cosign::CosignError;
pub use entry::{Entry, Kind};
pub use inbox::{Decision, Matter, Verdict, Waiting};
pub use ledger::{Outcome, Reservation, ReserveError, Ticket};
pub use receipt::Receipt;
pub use rounds::{Round, RoundError};
pub use standing::{Standing, StandingError, StandingFiles};
pub use store::{Archive, Problem, RecordError, Store, look_at};

/// The name of a party's file in its data folder.
pub const FILE: &str = "record.db";
