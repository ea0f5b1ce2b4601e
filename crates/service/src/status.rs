//! Refused is not broken, on the wire too.
//!
//! It exists so that one place decides what a caller learns from a failure. A [`Refusal`] comes
//! back field by field; an internal error comes back as an incident number, and its text stays
//! in the log of the process that met it. Details are JSON because they must survive versions
//! and need no generated type.

use std::error::Error;

use model::{Refusal, RefusalCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

/// A field of a refusal is exact up to this length; trailers have a bound.
pub const REFUSAL_FIELD_MAX_BYTES: usize = 1024;

const MESSAGE_MAX_BYTES: usize = 512;
const INCIDENT_BYTES: usize = 4;
/// A chain of causes longer than this is a loop.
const CAUSES_MAX: usize = 16;

#[derive(Serialize, Deserialize)]
struct Details {
    code: String,
    subject: String,
    reason: String,
    instead: String,
}

/// The status that carries `refusal`: `FAILED_PRECONDITION`, its text as the message and its
/// fields, exact up to [`REFUSAL_FIELD_MAX_BYTES`] each, as details.
#[must_use]
pub fn refusal_status(refusal: &Refusal) -> Status {
    let field = |text: &str| clip(text, REFUSAL_FIELD_MAX_BYTES).to_owned();
    let details = Details {
        code: refusal.code.as_str().to_owned(),
        subject: field(&refusal.subject),
        reason: field(&refusal.reason),
        instead: field(&refusal.instead),
    };
    let message = refusal.to_string();
    let message = clip(&message, MESSAGE_MAX_BYTES);
    // Four strings always have a JSON form; without it the refusal would lose its fields only.
    let details = serde_json::to_vec(&details).unwrap_or_default();
    Status::with_details(Code::FailedPrecondition, message, details.into())
}

/// The refusal in a status, or `None` when the status carries none that this version knows.
#[must_use]
pub fn refusal_of(status: &Status) -> Option<Refusal> {
    if status.code() != Code::FailedPrecondition {
        return None;
    }
    let details: Details = serde_json::from_slice(status.details()).ok()?;
    let code: RefusalCode = details.code.parse().ok()?;
    Some(Refusal::new(code, details.subject, details.reason, details.instead))
}

/// The status for something that broke: logs `error` with its causes, once, and tells the
/// caller an incident number and nothing else.
#[must_use]
pub fn internal_status(context: &str, error: &dyn Error) -> Status {
    let incident = incident();
    tracing::error!(incident, context, error = causes(error), "internal error");
    Status::internal(format!("internal error; the operator finds it as incident {incident}"))
}

/// `error` and what caused it, on one line.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    for _ in 0..CAUSES_MAX {
        let Some(cause) = next else { break };
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

fn incident() -> String {
    let mut bytes = [0_u8; INCIDENT_BYTES];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => format!("{:08x}", u32::from_be_bytes(bytes)),
        Err(_) => "unnumbered".to_owned(),
    }
}

fn clip(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_field_by_field() {
        for code in RefusalCode::ALL {
            let refusal =
                Refusal::new(*code, "主要诊断 \"x\"\n\u{7}", "Grün ist nicht erlaubt.", "");
            let status = refusal_status(&refusal);
            assert_eq!(status.code(), Code::FailedPrecondition);
            assert_eq!(refusal_of(&status), Some(refusal));
        }
        let long = Refusal::new(RefusalCode::Bounds, "é".repeat(5000), "r", "i");
        let back = refusal_of(&refusal_status(&long)).unwrap();
        assert_eq!(back.subject, "é".repeat(REFUSAL_FIELD_MAX_BYTES / 2));
        assert_eq!((back.reason.as_str(), back.instead.as_str()), ("r", "i"));
    }

    #[test]
    fn other_statuses_carry_no_refusal() {
        assert_eq!(refusal_of(&Status::failed_precondition("not open")), None);
        let unknown = br#"{"code":"newer","subject":"","reason":"","instead":""}"#;
        let status = Status::with_details(Code::FailedPrecondition, "", unknown.to_vec().into());
        assert_eq!(refusal_of(&status), None);
        let refusal = Refusal::new(RefusalCode::Join, "a", "b", "c");
        let details = refusal_status(&refusal).details().to_vec();
        let status = Status::with_details(Code::Internal, "", details.into());
        assert_eq!(refusal_of(&status), None);
    }

    #[test]
    fn an_internal_error_keeps_its_text_inside() {
        let error = std::io::Error::other("password=hunter2");
        let (first, second) = (internal_status("t", &error), internal_status("t", &error));
        assert_eq!(first.code(), Code::Internal);
        assert!(!first.message().contains("hunter2") && first.details().is_empty());
        assert_ne!(first.message(), second.message(), "incidents are told apart");
    }
}
