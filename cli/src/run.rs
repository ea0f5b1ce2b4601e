//! From parsed arguments to an exit code.

use std::process::ExitCode;

use clap::CommandFactory as _;
use service::Clock;
use service::telemetry::{self, LogFormat};

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::exit::{EX_OK, EX_USAGE, Failure};
use crate::{
    alerts, audit, bench, benchmark, catalog, demo, dip, fit, hospitals, models, pack, payment,
    project, query, region,
};

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where messages go, and in which language.
    pub console: Console,
    /// The time.
    pub clock: Clock,
}

/// Runs the command and tells the user how it ended.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    if let Command::ServeNode { words } = &cli.command {
        let program = std::iter::once("consilium-node".into());
        return node::command::main_from(program.chain(words.iter().cloned()));
    }
    let context =
        Context { console: Console::new(cli.language(), cli.quiet), clock: Clock::system() };
    match dispatch(cli, &context) {
        Ok(()) => ExitCode::from(EX_OK),
        Err(failure) if failure.is_closed_pipe() => ExitCode::from(EX_OK),
        Err(failure) => {
            context.console.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Prints what clap has to say: help and version are no failures, everything else is usage.
#[must_use]
pub fn usage(error: &clap::Error) -> ExitCode {
    // When not even that can be printed, the code still tells.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { EX_USAGE } else { EX_OK })
}

fn dispatch(cli: &Cli, context: &Context) -> Result<(), Failure> {
    telemetry::init(Some(&cli.log), LogFormat::Text)
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    match &cli.command {
        Command::Query(args) => runtime()?.block_on(query::run(args, context)),
        Command::Catalog(args) => runtime()?.block_on(catalog::run(args, context)),
        Command::Hospitals(args) => runtime()?.block_on(hospitals::run(args, context)),
        Command::Benchmark(command) => runtime()?.block_on(benchmark::run(command, context)),
        Command::Fit(args) => runtime()?.block_on(fit::run(args, context)),
        Command::Model(command) => runtime()?.block_on(models::run(command, context)),
        Command::Alerts(args) => runtime()?.block_on(alerts::run(args, context)),
        Command::Payment(command) => runtime()?.block_on(payment::run(command, context)),
        Command::Pack(command) => pack::run(command, context),
        Command::Project(command) => runtime()?.block_on(project::run(command, context)),
        Command::Demo(args) => demo::run(args, context),
        Command::Region(args) => region::run(args, context),
        Command::Audit(command) => audit::run(command, context),
        Command::Dip(command) => runtime()?.block_on(dip::run(command, context)),
        Command::Bench(args) => bench::run(args, context),
        // Handled before the dispatch: it has its own exit codes.
        Command::ServeNode { .. } => Ok(()),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command, "consilium", &mut text);
            context.console.data(|out| out.write_all(&text))
        }
    }
}

/// The threads of a process that waits for the network.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("cannot start threads: {error}")))
}
