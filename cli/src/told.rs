//! Which packs' questions were asked, and how each answer came about.

use query::pack::Pack;
use serde_json::{Value, json};

use crate::answer::Release;
use crate::exit::Failure;

/// One question that was asked, and how its answer came about.
#[derive(Debug, Clone)]
pub struct Told {
    /// Pack and question.
    pub question: String,
    /// How the answer came about.
    pub release: Release,
}

/// The shipped pack of this name.
pub fn pack(name: &str) -> Result<&'static Pack, Failure> {
    Pack::named(name).ok_or_else(|| Failure::Internal(format!("there is no pack {name}")))
}

/// Each question with how its answer came about.
pub fn questions(told: &[Told]) -> Vec<Value> {
    let each =
        told.iter().map(|told| json!({ "question": told.question, "release": told.release }));
    each.collect()
}

/// Name, version and content hash of a shipped pack.
pub fn pack_value(name: &str) -> Value {
    match pack(name) {
        Ok(pack) => json!({
            "name": pack.name(),
            "version": pack.version(),
            "hash": privacy::sign::hex(&pack.hash()),
            "program": pack.program(),
        }),
        Err(_) => Value::Null,
    }
}
