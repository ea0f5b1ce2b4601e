//! The audit boundary: what may leave a hospital, decided on cells, in one place.
//!
//! Everything that is ever computed across hospitals is a function of additive cells. This crate
//! holds what a cell is ([`measure`]), what a coordinator may ask ([`request`], [`domain`], [`mod@step`]), what a
//! hospital allows ([`policy`], [`mod@admit`]), what a node has computed but not shown
//! ([`partial`]), and the two ways out. A hospital's own cells pass its [`gate`] and are added up
//! in the clear ([`combine`]). Everything pooled is masked: terms that both authorities sign
//! ([`terms`], [`roster`], [`sign`]), the columns of an upload ([`shape`], [`blind`]), what a node
//! uploads ([`mod@conceal`], [`mask`], [`seal`]), what the witness opens ([`open`]), what the
//! coordinator reads ([`reveal`]), and how unlisted codes are found ([`discover`]).
//!
//! It is pure: no I/O, no engine, no wire format, no clock, and randomness is an argument. Each type
//! can be built only from the one before it: `ReleaseRequest` → [`Admitted`] → [`Partial`] →
//! [`Released`], and `Offer` → [`Round`] → [`Partial`] → [`Concealed`]. Only `Released` and
//! `Concealed` have a wire form, so nothing that skipped the rules can be encoded.
//!
//! Pairs of sums that differ by a few persons are not both told ([`sketch`]), nor stretches from which a few
//! follow; of regional sums the witness learns under other names where they stand ([`veil`]). What is withheld
//! does not follow from a total, nor in a hospital's own tables from the margins.
//!
//! Where hospitals admit it, their own cells and regional sums are told with [`noise`] instead, and none of these
//! rules is needed.
//!
//! What is not here yet: margins of regional tables.

pub mod admit;
pub mod bins;
pub mod blind;
pub mod canonical;
pub mod combine;
mod complementary;
pub mod conceal;
pub mod discover;
pub mod domain;
pub mod dominance;
pub mod few;
#[cfg(test)]
mod fixture;
pub mod gate;
pub mod growth;
mod margins;
pub mod mask;
pub mod measure;
pub mod noise;
pub mod open;
pub mod partial;
pub mod policy;
pub mod project;
pub mod request;
pub mod reveal;
pub mod roster;
pub mod seal;
pub mod shape;
pub mod sign;
pub mod sketch;
pub mod step;
pub mod terms;
pub mod veil;

pub use admit::{Admitted, Leave, Offer, Round, admit, admit_round};
pub use canonical::sha256;
pub use combine::{Combined, Received};
pub use conceal::{Concealed, conceal};
pub use domain::Domain;
pub use dominance::Dominance;
pub use gate::{Released, release};
pub use growth::Growth;
pub use measure::{Input, Measure};
pub use noise::regional::RoundNoise;
pub use noise::{Noise, Noisy};
pub use partial::Partial;
pub use policy::Policy;
pub use project::Project;
pub use request::{Claim, Fitting, ReleaseRequest, Scope};
pub use shape::Shape;
pub use sketch::{Population, Sketched};
pub use step::Step;
pub use terms::{Floor, Sid, Terms};
pub use veil::{Veil, VeilKey, Veiled};
