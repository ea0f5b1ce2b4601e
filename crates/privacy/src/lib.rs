//! The audit boundary: what may leave a hospital, decided on cells, in one place.
//!
//! Everything that is ever computed across hospitals is a function of additive cells. This crate
//! holds what a cell is ([`measure`]), what a coordinator may ask ([`request`]), what a hospital
//! allows ([`policy`], [`mod@admit`]), what a node has computed but not shown ([`partial`]), the one
//! gate through which cells leave ([`gate`]), and how hospitals' releases add up ([`combine`]).
//!
//! It is pure: no I/O, no engine, no wire format, no clock. Each type can be built only from the
//! one before it: `ReleaseRequest` → [`Admitted`] → [`Partial`] → [`Released`]. Only `Released`
//! has a wire form, so nothing that skipped the gate can be encoded.
//!
//! What is not here yet: masks and the witness (pooled questions are sums of what each hospital
//! releases), dominance, complementary suppression, the differencing guard and noise.

pub mod admit;
pub mod combine;
pub mod gate;
pub mod measure;
pub mod partial;
pub mod policy;
pub mod request;

pub use admit::{Admitted, admit};
pub use combine::{Combined, Received};
pub use gate::{Released, release};
pub use measure::{Input, Measure};
pub use partial::Partial;
pub use policy::Policy;
pub use request::{ReleaseRequest, Scope};
