//! Every hospital ingests its own file, as `consilium-node ingest` does.

use std::path::PathBuf;

use model::manifest::{HospitalRecord, Manifest};
use node::ingest::{self, IngestError, IngestRequest};

use super::folder::Folder;
use super::plan::Plan;
use super::sources::Member;
use super::step::Step;
use super::workers;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::grouped;

/// A hospital with its snapshot.
#[derive(Debug)]
pub struct Loaded {
    /// The hospital.
    pub member: Member,
    /// What it holds.
    pub manifest: Manifest,
    /// True when the snapshot was there already.
    pub already: bool,
    /// Rejected rows, if any.
    pub quarantine: Option<PathBuf>,
}

impl Loaded {
    /// Rows of all tables.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.manifest.tables.values().map(|table| table.rows).sum()
    }
}

/// Ingests every hospital's file; one that was ingested before is recognised.
///
/// # Errors
/// [`Failure`] of the first hospital that fails.
pub fn ingest(
    folder: &Folder,
    plan: &Plan,
    members: &[Member],
    context: &Context,
) -> Result<Vec<Loaded>, Failure> {
    let console = context.console;
    let length = u64::try_from(members.len()).ok();
    let step = Step::begin(context, Message::WorkIngest, length);
    let loaded = workers::each(members, |member| {
        let loaded = one(folder, plan, member, context);
        step.bar().inc(1);
        step.bar().set_message(member.id.to_string());
        loaded
    })?;
    let sum = |count: fn(&Loaded) -> u64| loaded.iter().map(count).sum::<u64>();
    let (stays, rows) = (sum(|l| l.manifest.stays()), sum(Loaded::rows));
    let rejected = sum(|l| l.manifest.quality.quarantined);
    let again = sum(|l| u64::from(l.already));
    let parts: [&dyn std::fmt::Display; 4] =
        [&grouped(stays), &grouped(rows), &loaded.len(), &again];
    let mut text = console.text(Message::StepIngest, &parts);
    if rejected > 0 {
        text.push_str("; ");
        text.push_str(&console.text(Message::StepQuarantine, &[&grouped(rejected)]));
    }
    step.done(text);
    Ok(loaded)
}

fn one(
    folder: &Folder,
    plan: &Plan,
    member: &Member,
    context: &Context,
) -> Result<Loaded, Failure> {
    let request = IngestRequest {
        source: member.source.clone(),
        mapping: plan.mapping().to_owned(),
        hospital: HospitalRecord {
            id: member.id.clone(),
            tier: member.tier.clone(),
            county: member.county.clone(),
        },
        data_dir: folder.node(&member.id, "data"),
        key_file: folder.node(&member.id, "hmac.key"),
        encoding: None,
        dip_list: None,
        accuracy_floor: ingest::DEFAULT_ACCURACY_FLOOR,
        now: context.clock.now(),
        threads: 1,
    };
    let report = ingest::run(&request, &mut |_| ()).map_err(|error| ingest_failure(&error))?;
    Ok(Loaded {
        member: member.clone(),
        manifest: report.manifest,
        already: report.already,
        quarantine: report.quarantine,
    })
}

/// An ingest that stopped, with its exit code.
pub(super) fn ingest_failure(error: &IngestError) -> Failure {
    let text = error.to_string();
    match error {
        IngestError::Key { .. } => Failure::Configuration(text),
        IngestError::Busy { .. } => Failure::Unavailable(text),
        IngestError::Write(_) => Failure::Internal(text),
        _ => Failure::Data(text),
    }
}
