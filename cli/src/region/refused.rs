//! Why an authority's command failed, in the user's language and with an exit code.

use certs::{CertsError, EnrolmentRefusal, RegionError};
use service::clock::rfc3339;

use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;

/// The failure with its exit code: 77 when the authority refuses, 65 when the request's file is
/// wrong, 64 for the wrong command, 74 when something cannot be written, else 78.
pub(super) fn failure(error: RegionError, console: Console) -> Failure {
    match error {
        RegionError::Refused(refusal) => Failure::RefusedOtherwise(text(&refusal, console)),
        RegionError::Request(_) => Failure::Data(error.to_string()),
        RegionError::Purpose { .. } => Failure::Usage(error.to_string()),
        RegionError::Certs(error) => certs_failure(error),
        RegionError::Exists { .. }
        | RegionError::Absent { .. }
        | RegionError::Damaged { .. }
        | RegionError::Newer { .. }
        | RegionError::Busy { .. } => Failure::Configuration(error.to_string()),
    }
}

/// What the maker of keys and certificates says.
pub(crate) fn certs_failure(error: CertsError) -> Failure {
    match error {
        CertsError::Write { path, source } => {
            Failure::Output { place: path.display().to_string(), source }
        }
        CertsError::Region(_) => Failure::Usage(error.to_string()),
        other => Failure::Configuration(other.to_string()),
    }
}

fn text(refusal: &EnrolmentRefusal, console: Console) -> String {
    use EnrolmentRefusal as R;
    match refusal {
        R::UnknownToken => console.text(Message::TokenUnknown, &[]),
        R::UsedToken { at } => console.text(Message::TokenUsed, &[&rfc3339(*at)]),
        R::ExpiredToken { at } => console.text(Message::TokenExpired, &[&rfc3339(*at)]),
        R::WithdrawnToken { at } => console.text(Message::TokenWithdrawn, &[&rfc3339(*at)]),
        R::OtherSubject { invited, asked } => console.text(Message::TokenOther, &[invited, asked]),
        R::RetiredKey(subject) => console.text(Message::KeyRetired, &[subject]),
        R::SharedKey { subject, other } => console.text(Message::KeyShared, &[subject, other]),
        R::Unknown(subject) => console.text(Message::NotEnrolled, &[subject]),
        R::Revoked { subject, at } => console.text(Message::WasRevoked, &[subject, &rfc3339(*at)]),
        R::OtherKeys(subject) => console.text(Message::KeysOther, &[subject]),
        R::TooEarly { subject, after } => {
            console.text(Message::RenewEarly, &[subject, &rfc3339(*after)])
        }
        R::Full(count) => console.text(Message::RegionFull, &[count]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Lang;

    #[test]
    fn every_refusal_is_said_in_both_languages_with_exit_code_77() {
        let subject = || "node/h-051".parse::<certs::Subject>().unwrap();
        let at = std::time::SystemTime::UNIX_EPOCH;
        let all = [
            EnrolmentRefusal::UnknownToken,
            EnrolmentRefusal::UsedToken { at },
            EnrolmentRefusal::ExpiredToken { at },
            EnrolmentRefusal::WithdrawnToken { at },
            EnrolmentRefusal::OtherSubject { invited: subject(), asked: subject() },
            EnrolmentRefusal::RetiredKey(subject()),
            EnrolmentRefusal::SharedKey { subject: subject(), other: subject() },
            EnrolmentRefusal::Unknown(subject()),
            EnrolmentRefusal::Revoked { subject: subject(), at },
            EnrolmentRefusal::OtherKeys(subject()),
            EnrolmentRefusal::TooEarly { subject: subject(), after: at },
            EnrolmentRefusal::Full(1024),
        ];
        let mut said = std::collections::BTreeSet::new();
        for refusal in all {
            let english = text(&refusal, Console::new(Lang::En, true));
            assert_eq!(english, refusal.to_string(), "the library says the same");
            assert!(!english.contains("{}"), "{english}");
            said.insert(english);
            said.insert(text(&refusal, Console::new(Lang::Zh, true)));
            let failure = failure(refusal.into(), Console::new(Lang::Zh, true));
            assert_eq!(failure.code(), 77);
        }
        assert_eq!(said.len(), 24);
    }
}
