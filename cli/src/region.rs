//! `consilium region`: running a region's authority, and asking it to be enrolled.
//!
//! It guarantees that a token is shown once and is the only thing on stdout, that what an
//! applicant gets is written only after the authority's record is durable, and that every refusal
//! has its own sentence. It decides nothing: `certs::Region` does. It leaves out a node's own
//! request, which `consilium-node enroll` makes from the node's configuration.

pub mod args;
mod refused;
mod show;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use certs::{
    Access, Admission, MAX_REQUEST_BYTES, PartyKeys, Region, RegionError, Request, Terms, Token,
};
use model::Role;
use service::clock::rfc3339;

use self::args::{
    EnrollArgs, FolderArgs, InitArgs, InviteArgs, RegionArgs, RegionCommand, RenewArgs,
    RequestArgs, RevokeArgs,
};
pub(crate) use self::refused::certs_failure;
use self::refused::failure;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;

/// A token that is longer is none.
const TOKEN_MAX_BYTES: u64 = 1024;
/// Name of the signing key in a party's folder.
const SIGNING_KEY: &str = "signing.key";

/// Runs the command.
///
/// # Errors
/// 64 wrong command, 65 a request that is wrong, 74 a file that cannot be written, 77 refused, 78
/// the authority's folder.
pub fn run(args: &RegionArgs, context: &Context) -> Result<(), Failure> {
    match &args.command {
        RegionCommand::Init(args) => init(args, context),
        RegionCommand::Invite(args) => invite(args, context),
        RegionCommand::Request(args) => request(args, context),
        RegionCommand::Enroll(args) => enroll(args, context),
        RegionCommand::Renew(args) => renew(args, context),
        RegionCommand::Revoke(args) => revoke(args, context),
        RegionCommand::Crl(args) => renew_list(args, context),
        RegionCommand::Roster(args) => show::roster(args, context),
        RegionCommand::Show(args) => show::summary(args, context),
    }
}

fn init(args: &InitArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let terms = Terms { leaf: args.leaf, revocations: args.crl, ..Terms::default() };
    let region = Region::init(&args.folder.dir, &args.region, terms, context.clock.now())
        .map_err(|error| failure(error, console))?;
    let secrets = region.layout().secrets();
    let parts: [&dyn std::fmt::Display; 3] =
        [&region.name(), &args.folder.dir.display(), &secrets.display()];
    console.note(console.text(Message::RegionMade, &parts));
    Ok(())
}

fn invite(args: &InviteArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let now = context.clock.now();
    let mut region = open(&args.folder, context)?;
    let token =
        region.invite(&args.party, args.valid, now).map_err(|error| failure(error, console))?;
    let text = token.to_text();
    console.data(|out| writeln!(out, "{}", *text))?;
    let until = rfc3339(now + args.valid);
    console.note(console.text(Message::MayEnrol, &[&args.party, &until]));
    let how = if args.party.role() == Role::Node {
        "consilium-node enroll --config node.toml --token - --out request.json".to_owned()
    } else {
        let party = &args.party;
        format!("consilium region request --dir DIR --peer {party} --token - --out request.json")
    };
    console.note(format!("  {how}"));
    Ok(())
}

fn request(args: &RequestArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let token = args.token.as_deref().map(read_token).transpose()?;
    let stem = certs::region::stem(args.peer.role());
    let (tls, signing) = (args.dir.join(format!("{stem}.key")), args.dir.join(SIGNING_KEY));
    let keys = if token.is_some() {
        std::fs::create_dir_all(&args.dir).map_err(Failure::output(&args.dir))?;
        PartyKeys::open_or_create(&tls, &signing)
    } else {
        PartyKeys::open(&tls, &signing)
    };
    let keys = keys.map_err(certs_failure)?;
    let text = Request::write(&args.peer, &keys, token.as_ref()).map_err(certs_failure)?;
    certs::replace(&args.out, text.as_bytes(), Access::Public).map_err(certs_failure)?;
    let command = if token.is_some() { "enroll" } else { "renew" };
    let out = args.out.display();
    console.note(console.text(Message::RequestWritten, &[&out, &args.dir.display()]));
    console.note(format!("  consilium region {command} --dir DIR {out} --out FOLDER"));
    Ok(())
}

fn enroll(args: &EnrollArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let mut region = open(&args.folder, context)?;
    let request = read_request(&args.request, context)?;
    // A folder that cannot be written must not cost the token.
    std::fs::create_dir_all(&args.out).map_err(Failure::output(&args.out))?;
    tempfile::tempfile_in(&args.out).map_err(Failure::output(&args.out))?;
    let admission =
        region.enrol(&request, context.clock.now()).map_err(|error| failure(error, console))?;
    deliver(&region, &admission, &args.out, context)
}

fn renew(args: &RenewArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let mut region = open(&args.folder, context)?;
    let request = read_request(&args.request, context)?;
    let admission =
        region.renew(&request, context.clock.now()).map_err(|error| failure(error, console))?;
    if let Some(out) = &args.out {
        return deliver(&region, &admission, out, context);
    }
    console.data(|out| out.write_all(admission.certificate_pem.as_bytes()))
}

fn revoke(args: &RevokeArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let now = context.clock.now();
    let mut region = open(&args.folder, context)?;
    let since =
        region.revoke(&args.party, &args.reason, now).map_err(|error| failure(error, console))?;
    let (since, summary) = (rfc3339(since), region.summary(now));
    let (list, roster) = (region.layout().revocations(), region.layout().roster());
    let parts: [&dyn std::fmt::Display; 6] = [
        &args.party,
        &since,
        &list.display(),
        &summary.list_number,
        &roster.display(),
        &summary.roster_version,
    ];
    console.note(console.text(Message::Revoked, &parts));
    Ok(())
}

fn renew_list(args: &FolderArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let now = context.clock.now();
    let mut region = open(args, context)?;
    let until = region.renew_list(now).map_err(|error| failure(error, console))?;
    let path = region.layout().revocations();
    let (number, until) = (region.summary(now).list_number, rfc3339(until));
    console.note(console.text(Message::ListRenewed, &[&path.display(), &number, &until]));
    Ok(())
}

fn open(folder: &FolderArgs, context: &Context) -> Result<Region, Failure> {
    let console = context.console;
    let region = Region::open(&folder.dir).map_err(|error| failure(error, console))?;
    if region.was_restored() {
        let record = region.layout().record();
        console.note(console.text(Message::RecordRestored, &[&record.display()]));
    }
    Ok(region)
}

fn deliver(
    region: &Region,
    admission: &Admission,
    out: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let console = context.console;
    let files = region.deliver(admission, out).map_err(|error| failure(error, console))?;
    let until = rfc3339(admission.not_after);
    let version = region.summary(context.clock.now()).roster_version;
    let parts: [&dyn std::fmt::Display; 4] = [&admission.peer, &until, &version, &out.display()];
    console.note(console.text(Message::Delivered, &parts));
    for file in files {
        console.note(format!("  {}", file.display()));
    }
    Ok(())
}

fn read_request(path: &Path, context: &Context) -> Result<Request, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Data(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_REQUEST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let file = File::open(path).map_err(unreadable)?;
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    Request::parse(&bytes).map_err(|error| failure(RegionError::from(error), context.console))
}

fn read_token(word: &str) -> Result<Token, Failure> {
    let mut text = word.to_owned();
    if word == "-" {
        text.clear();
        std::io::stdin()
            .take(TOKEN_MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| Failure::Data(format!("cannot read stdin: {error}")))?;
    }
    Token::parse(&text).map_err(|_| {
        let expected = "the token is not 64 hexadecimal digits; copy it as invite shows it";
        Failure::Data(expected.to_owned())
    })
}
