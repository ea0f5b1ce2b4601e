//! `consilium-node enroll`: asking the region's authority for a certificate.
//!
//! It guarantees that the hospital's private keys are made here, stay here, and are never
//! overwritten; what is written for the authority is public. It leaves out carrying the request
//! there and the answer back: people do, or whatever they use for it.

use std::io::{self, Read as _};
use std::path::PathBuf;

use certs::{Access, CertsError, InvalidSubject, PartyKeys, Request, Subject, Token};
use clap::Args;
use model::Role;

use crate::config::Config;

/// A token that is longer is none.
const TOKEN_MAX_BYTES: u64 = 1024;

/// `consilium-node enroll`.
#[derive(Debug, Args)]
pub(crate) struct EnrollArguments {
    /// The node's configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The one-time token from `consilium region invite`; '-' reads it from standard input, which
    /// keeps it out of the list of processes.
    #[arg(long, value_name = "TOKEN", required_unless_present = "renew")]
    token: Option<String>,
    /// Ask for a new certificate with the keys that are there; takes no token.
    #[arg(long, conflicts_with = "token")]
    renew: bool,
    /// Where the request for the authority goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrollError {
    /// The token is not one.
    #[error(
        "the token is not 64 hexadecimal digits; copy it as `consilium region invite` shows it"
    )]
    Token,
    /// Standard input cannot be read.
    #[error("the token cannot be read from standard input: {0}")]
    Input(io::Error),
    /// The hospital's name cannot stand in a certificate.
    #[error(transparent)]
    Subject(#[from] InvalidSubject),
    /// A key cannot be read or made, or the request not be written.
    #[error(transparent)]
    Certs(#[from] CertsError),
}

/// Makes the keys that are missing and writes the request; returns what to do next.
pub(crate) fn run(arguments: &EnrollArguments, config: &Config) -> Result<String, EnrollError> {
    let subject = Subject::new(Role::Node, config.hospital.id.as_str())?;
    let (tls, signing) = (&config.identity.key, &config.signing.key);
    let out = arguments.out.display();
    let (text, next) = match &arguments.token {
        Some(token) => {
            let token = read_token(token, &mut io::stdin())?;
            let keys = PartyKeys::open_or_create(tls, signing)?;
            let next = format!(
                "keys        {}, {}\nrequest     {out}, for the authority of region {}:\n\
                 \x20           consilium region enroll --dir DIR {out} --out FOLDER\n\
                 then        put the folder's node.pem in the place of {},\n\
                 \x20           and its other files where the configuration names them",
                tls.display(),
                signing.display(),
                config.region,
                config.identity.certificate.display(),
            );
            (Request::write(&subject, &keys, Some(&token))?, next)
        }
        None => {
            let keys = PartyKeys::open(tls, signing)?;
            let next = format!(
                "request     {out}, for the authority of region {}:\n\
                 \x20           consilium region renew --dir DIR {out} --out FOLDER\n\
                 then        rename the folder's node.pem over {}; no restart is needed",
                config.region,
                config.identity.certificate.display(),
            );
            (Request::write(&subject, &keys, None)?, next)
        }
    };
    certs::replace(&arguments.out, text.as_bytes(), Access::Public)?;
    Ok(next)
}

fn read_token(word: &str, input: &mut impl io::Read) -> Result<Token, EnrollError> {
    if word != "-" {
        return Token::parse(word).map_err(|_| EnrollError::Token);
    }
    let mut text = String::new();
    input.take(TOKEN_MAX_BYTES).read_to_string(&mut text).map_err(EnrollError::Input)?;
    Token::parse(&text).map_err(|_| EnrollError::Token)
}

/// Whether the error is about files that cannot be read or written.
pub(crate) const fn is_input_output(error: &EnrollError) -> bool {
    matches!(
        error,
        EnrollError::Input(_)
            | EnrollError::Certs(CertsError::Write { .. } | CertsError::Read { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_the_command_line_or_from_standard_input() {
        let token = Token::random().unwrap();
        let text = token.to_text();
        let given = read_token(&text, &mut io::empty()).unwrap();
        let piped = read_token("-", &mut format!("{}\n", *text).as_bytes()).unwrap();
        assert_eq!((given.image(), piped.image()), (token.image(), token.image()));
        assert!(matches!(read_token("secret", &mut io::empty()), Err(EnrollError::Token)));
        assert!(matches!(read_token("-", &mut io::empty()), Err(EnrollError::Token)));
    }
}
