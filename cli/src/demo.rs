//! `consilium demo`: a whole region on this computer, over the roads that hospitals use.
//!
//! It guarantees that nothing here is a short cut: data is ingested as `consilium-node ingest`
//! does it, nodes and coordinator run the services of their own binaries with mutual TLS, and the
//! question goes through the client. A folder made earlier is used again; what exists in it is
//! never overwritten. It leaves out tokens and requests: the authority's key lies in the folder,
//! so it vouches for everybody at once.

pub mod benchmark;
pub mod certificates;
pub mod configure;
pub mod folder;
pub mod load;
pub mod plan;
pub mod policy;
pub mod running;
pub mod sources;
pub mod step;
mod workers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use service::Shutdown;
use tempfile::TempDir;

use self::folder::Folder;
use self::load::Loaded;
use self::plan::Plan;
use self::running::Running;
use self::step::Step;
use crate::args::DemoArgs;
use crate::client::Client;
use crate::exit::Failure;
use crate::message::Message;
use crate::query::refuse_binary_on_terminal;
use crate::run::{Context, runtime};

/// Name of every demonstration region, as it stands in certificates.
pub const REGION: &str = "demo";
/// Hospitals that are not online by then are shown as missing.
const READY_WAIT: Duration = Duration::from_secs(20);
/// Fewest hospitals whose uploads the witness opens.
const QUORUM: u32 = 3;
const READY_PAUSE: Duration = Duration::from_millis(50);

/// Where the region lives, and whether it goes away.
struct Place {
    root: PathBuf,
    /// Removes the folder when it is dropped.
    temporary: Option<TempDir>,
}

/// A region whose files are complete: ready to be started, any number of times.
#[derive(Debug)]
pub struct Prepared {
    /// Its folder.
    pub folder: Folder,
    /// What it was made from.
    pub plan: Plan,
    /// Its hospitals with what they hold.
    pub hospitals: Vec<Loaded>,
}

/// Makes the region, asks it, prints, and serves on unless `--once`.
///
/// # Errors
/// Every kind of [`Failure`].
pub fn run(args: &DemoArgs, context: &Context) -> Result<(), Failure> {
    refuse_binary_on_terminal(args.format, None, context.console)?;
    if args.sql.is_none() && args.hospitals.is_some_and(|given| u32::from(given) < QUORUM) {
        return Err(Failure::Usage(format!(
            "--hospitals: a regional sum needs at least {QUORUM} hospitals"
        )));
    }
    let place = Place::choose(args)?;
    let prepared = prepare(&place.root, args, context)?;
    let queries = query_runtime()?;
    let serving = Box::pin(serve(&prepared, args, context, queries.handle()));
    let outcome = runtime()?.block_on(serving);
    queries.shutdown_background();
    if place.temporary.is_none() && args.dir.is_none() {
        let kept = context.console.text(Message::KeptFolder, &[&place.root.display()]);
        context.console.note(kept);
    }
    outcome
}

/// Makes what is missing in the folder: data, certificates, configuration, snapshots.
///
/// # Errors
/// [`Failure`], naming the file and the way out.
pub fn prepare(root: &Path, args: &DemoArgs, context: &Context) -> Result<Prepared, Failure> {
    let step = Step::begin(context, Message::WorkSources, None);
    let folder = Folder::new(root)?;
    // A policy that cannot be used is found before anything is made.
    let policy = policy::chosen(args.policy.as_deref())?;
    let (plan, kept) = Plan::settle(&folder, args)?;
    let root = folder.root().to_owned();
    let made = make(folder, plan, kept, policy.as_deref(), step, context);
    if made.is_err() && !kept {
        // The folder was empty, and a corrected command shall find it so.
        clear(&root);
    }
    made
}

fn clear(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        let _ =
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

fn make(
    folder: Folder,
    plan: Plan,
    kept: bool,
    policy: Option<&str>,
    step: Step,
    context: &Context,
) -> Result<Prepared, Failure> {
    let message = if kept { Message::StepKept } else { Message::StepFolder };
    step.note(context.console.text(message, &[&folder.root().display()]));
    let members = sources::make(&folder, &plan)?;
    step.done(context.console.text(Message::StepSources, &[&members.len()]));

    let step = Step::begin(context, Message::WorkServing, None);
    let peers = certificates::issue(&folder, &members, &context.clock)?;
    configure::write_nodes(&folder, &members)?;
    policy::write(&folder, &members, policy)?;
    let floor = policy::floor(&folder)?;
    configure::write_witness(&folder, floor, QUORUM, policy.is_some())?;
    step.done(context.console.text(Message::StepIdentity, &[&peers]));

    let hospitals = load::ingest(&folder, &plan, &members, context)?;
    Ok(Prepared { folder, plan, hospitals })
}

/// Threads that compute questions, shared by all nodes of this process.
///
/// # Errors
/// [`Failure::Internal`] when the system gives no threads.
pub fn query_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(configure::cores())
        .thread_name("query")
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("cannot start threads: {error}")))
}

async fn serve(
    prepared: &Prepared,
    args: &DemoArgs,
    context: &Context,
    queries: &tokio::runtime::Handle,
) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()
        .map_err(|error| Failure::Internal(format!("cannot listen for signals: {error}")))?;
    let console = context.console;
    let step = Step::begin(context, Message::WorkServing, None);
    let mut running = Running::start(prepared, queries, &shutdown).await?;
    let count = prepared.hospitals.len();
    step.done(console.text(Message::StepServing, &[&count, &running.address()]));
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let outcome = tokio::select! {
        outcome = present(prepared, &client, args, context) => outcome,
        () = shutdown.wait() => Ok(()),
        failure = running.failed() => Err(failure),
    };
    let outcome = match outcome {
        Ok(()) if !args.once && !shutdown.is_triggered() => {
            console.note(console.text(Message::ServingOn, &[]));
            console.note(format!("  {}", benchmark_line(prepared.folder.root())));
            for sql in benchmark::suggestions(&prepared.plan) {
                console.note(format!("  {}", query_line(prepared.folder.root(), sql)));
            }
            tokio::select! {
                () = shutdown.wait() => Ok(()),
                failure = running.failed() => Err(failure),
            }
        }
        outcome => outcome,
    };
    if !args.once {
        console.note(console.text(Message::Draining, &[]));
    }
    running.stop().await;
    outcome
}

/// Waits for the hospitals, asks, and prints.
async fn present(
    prepared: &Prepared,
    client: &Client,
    args: &DemoArgs,
    context: &Context,
) -> Result<(), Failure> {
    let console = context.console;
    let step = Step::begin(context, Message::WorkReady, None);
    let (online, all) = ready(client, context).await?;
    step.done(console.text(Message::StepReady, &[&online, &all]));
    let step = Step::begin(context, Message::Asking, None);
    let Some(sql) = args.sql.as_deref() else {
        let regional = benchmark::ask(client, context).await?;
        step.done(console.text(Message::StepAsked, &[]));
        return benchmark::present(regional, prepared, client, args.format, context).await;
    };
    let answer = client.ask(sql, None, |_| ()).await?;
    step.done(console.text(Message::StepAsked, &[]));
    answer.deliver(args.format, None, console)?;
    console.note(answer.release.summary(console));
    Ok(())
}

/// Hospitals online and in all, once all are online or the patience is over.
async fn ready(client: &Client, context: &Context) -> Result<(usize, usize), Failure> {
    let started = context.clock.monotonic();
    loop {
        let hospitals = client.hospitals().await?.hospitals;
        let online = hospitals.iter().filter(|hospital| hospital.state == "online").count();
        let waited = context.clock.monotonic().duration_since(started);
        if online == hospitals.len() || waited >= READY_WAIT {
            return Ok((online, hospitals.len()));
        }
        tokio::time::sleep(READY_PAUSE).await;
    }
}

/// The line that writes a report.
fn benchmark_line(root: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "consilium".to_owned());
    let root = root.display().to_string();
    format!("{} benchmark drg --region {} --out report", quoted(&program), quoted(&root))
}

/// The line to type in another terminal, with this program's own name.
fn query_line(root: &Path, sql: &str) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "consilium".to_owned());
    let root = root.display().to_string();
    format!("{} query --region {} \"{sql}\"", quoted(&program), quoted(&root))
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

// === impl Place ===

impl Place {
    fn choose(args: &DemoArgs) -> Result<Self, Failure> {
        if let Some(root) = &args.dir {
            return Ok(Self { root: root.clone(), temporary: None });
        }
        let temporary = tempfile::Builder::new()
            .prefix("consilium-demo-")
            .tempdir()
            .map_err(Failure::output(&std::env::temp_dir()))?;
        if args.once {
            Ok(Self { root: temporary.path().to_owned(), temporary: Some(temporary) })
        } else {
            Ok(Self { root: temporary.keep(), temporary: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        assert_eq!(quoted("/tmp/consilium-demo-x1"), "/tmp/consilium-demo-x1");
        assert_eq!(quoted("my region"), "'my region'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
