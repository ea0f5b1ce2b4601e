//! The only owner of DataFusion: sessions, the policy walk, the cut, and computing cells.
//!
//! [`question`] is the coordinator's side: SQL is planned, walked, cut into release requests, and
//! finished on released values; [`domain`] tells it what each dimension of a pooled question can be. [`engine`] is the node's side: a request's SQL is planned and
//! walked again under the hospital's own policy, and its rows become cells in `kernel`. Serialised
//! plans and accumulator states never leave this crate.
//!
//! Public asynchronous functions return boxed futures: the body of a bare `async fn` is compiled
//! again in every crate that awaits it, and with it the engine's generic code.

mod bounds;
pub mod catalog;
mod cut;
pub mod domain;
pub mod engine;
mod finish;
mod grid;
mod kernel;
pub mod mapping;
pub mod marks;
pub mod pack;
pub mod pooled;
pub mod question;
mod session;
mod spread;
mod walk;

pub use session::readable;
