//! The domain, pure: who takes part, which tables exist, what may be done with each column,
//! what a snapshot says about itself, why a question is refused, and statistics from sums.
//!
//! Nothing here does I/O, knows a wire format or depends on an engine, so every rule can be read
//! and tested on its own. Time and randomness are never taken here; they come in as arguments.

pub mod casemix;
pub mod glm;
pub mod hospital;
pub mod manifest;
pub mod moments;
pub mod peer;
pub mod percentile;
pub mod period;
pub mod refusal;
pub mod schema;
pub mod text;

pub use hospital::HospitalId;
pub use peer::{Peer, Role};
pub use period::Period;
pub use refusal::{Refusal, RefusalCode};
