//! A federated fit against the same fit by the same kernel over all rows in one process.
//!
//! The yardstick reads the rows of all hospitals once, keeps them in memory and adds up on all
//! cores; it has no gate, no masks, no network and no second reading. Levels are those of the
//! federated model, so that both fit the same design.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, UInt32Type};
use learn::card::Card;
use learn::fit::{Estimate, Fit, Problem, Sums};
use learn::kernel::{Batch, Kernel, NOWHERE, Plan};
use model::schema::PERSON_KEY;
use privacy::{Domain, Fitting};
use proto::v1::FitRequest;
use serde::Serialize;
use service::Shutdown;

use super::questions::pooled;
use super::times::milliseconds;
use super::{Times, note, print};
use crate::args::BenchArgs;
use crate::client::Client;
use crate::demo::configure::cores;
use crate::demo::running::Running;
use crate::demo::{Prepared, query_runtime};
use crate::exit::Failure;
use crate::run::{Context, runtime};

/// Persons that the yardstick tells apart; it withholds nothing.
const CAP: u32 = 1;

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    formula: String,
    family: String,
    hospitals: usize,
    stays: u64,
    parameters: usize,
    repeat: usize,
    cores: usize,
    /// Masked rounds of one fit.
    rounds: usize,
    /// Bytes that hospitals sent for one fit.
    bytes_received: u64,
    /// From the command to the model card, levels included: all stays, under a condition that each of them meets and
    /// that is in no earlier fit.
    federated_ms: Times,
    /// The same with levels that an earlier fit of the same stays has found.
    known_ms: Times,
    /// Median over rounds.
    round_ms: f64,
    /// Rows in memory to the estimate.
    pooled_ms: Times,
    /// Reading the rows.
    pooled_read_ms: f64,
    pooled_steps: u32,
    /// Federated to pooled with reading.
    ratio: f64,
    /// The same with known levels.
    known_ratio: f64,
    /// Pairs of terms that were withheld in the federated fit.
    withheld_pairs: usize,
    /// Largest difference of a coefficient, in standard errors.
    largest_difference: f64,
}

/// Measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub(super) fn run(
    formula: &str,
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
) -> Result<(), Failure> {
    let queries = query_runtime()?;
    let measuring = Box::pin(measure(formula, args, prepared, context, queries.handle()));
    let report = runtime()?.block_on(measuring)?;
    queries.shutdown_background();
    print(&report, args.format, context, || {
        format!(
            "{} hospitals, {} stays, {} parameters: {} rounds, {} bytes\nfederated {:.1} ms, with known \
             levels {:.1} ms, a round {:.1} ms\npooled {:.1} ms in {} steps, and {:.1} ms to read   ratio \
             {:.2}, with known levels {:.2}\nlargest difference {:.1e} standard errors, {} pairs withheld",
            report.hospitals,
            report.stays,
            report.parameters,
            report.rounds,
            report.bytes_received,
            report.federated_ms.median,
            report.known_ms.median,
            report.round_ms,
            report.pooled_ms.median,
            report.pooled_steps,
            report.pooled_read_ms,
            report.ratio,
            report.known_ratio,
            report.largest_difference,
            report.withheld_pairs
        )
    })
}

async fn measure(
    formula: &str,
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let shutdown = Shutdown::new();
    let running = Running::start(prepared, queries, &shutdown).await?;
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let request = FitRequest {
        formula: formula.to_owned(),
        family: args.family.0.as_str().to_owned(),
        ..FitRequest::default()
    };
    note(context, "fitting");
    let mut card = client.fit(request.clone(), None, |_| ()).await?;
    let clock = &context.clock;
    let session = pooled(prepared, prepared.hospitals.len())?;
    let started = clock.monotonic();
    let rows = Rows::read(&card, &session).await?;
    let read = clock.monotonic().duration_since(started);
    let (mut first, mut known, mut together) = (Vec::new(), Vec::new(), Vec::new());
    let mut estimate = None;
    for turn in 1..=args.repeat {
        let started = clock.monotonic();
        estimate = Some(rows.fit(&card)?);
        together.push(clock.monotonic().duration_since(started));
        // All stays in other words, so that their levels are not known.
        let condition = format!("los_days > -{turn} OR los_days IS NULL");
        let anew = FitRequest { condition, ..request.clone() };
        let started = clock.monotonic();
        client.fit(anew, None, |_| ()).await?;
        first.push(clock.monotonic().duration_since(started));
        let started = clock.monotonic();
        card = client.fit(request.clone(), None, |_| ()).await?;
        known.push(clock.monotonic().duration_since(started));
    }
    running.stop().await;
    let estimate: Estimate =
        estimate.ok_or_else(|| Failure::Internal("nothing was measured".to_owned()))?;
    let (federated_ms, known_ms) = (Times::of(&first), Times::of(&known));
    let pooled_ms = Times::of(&together);
    let rounds = card.provenance.rounds.len();
    let difference = card.coefficients.iter().zip(&estimate.coefficients);
    let difference =
        difference.map(|(a, b)| ((a.estimate - b.estimate) / b.error).abs()).fold(0.0f64, f64::max);
    let whole = pooled_ms.median + milliseconds(read);
    Ok(Report {
        formula: formula.to_owned(),
        family: card.family.clone(),
        hospitals: prepared.hospitals.len(),
        stays: card.fit.stays,
        parameters: card.coefficients.len(),
        repeat: args.repeat,
        cores: cores(),
        rounds,
        bytes_received: card.provenance.bytes_received,
        round_ms: known_ms.median / num_traits::ToPrimitive::to_f64(&rounds).unwrap_or(f64::NAN),
        ratio: federated_ms.median / whole,
        known_ratio: known_ms.median / whole,
        federated_ms,
        known_ms,
        pooled_ms,
        pooled_read_ms: milliseconds(read),
        pooled_steps: estimate.steps,
        withheld_pairs: card.fit.withheld_pairs,
        largest_difference: difference,
    })
}

/// The rows of all hospitals, one part for each core.
pub(super) struct Rows {
    pub(super) parts: Vec<Part>,
}

/// Columns of some rows.
#[derive(Default)]
pub(super) struct Part {
    pub(super) factors: Vec<Vec<u32>>,
    pub(super) inputs: Vec<Vec<f64>>,
    pub(super) persons: Vec<u32>,
}

pub(super) fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::Internal(format!("the yardstick: {error}"))
}

impl Rows {
    pub(super) async fn read(
        card: &Card,
        session: &query::pooled::Pooled,
    ) -> Result<Self, Failure> {
        let fitting = card.totals().map_err(internal)?;
        let mut names: Vec<String> =
            card.design.factors.iter().map(|factor| factor.column.clone()).collect();
        if card.design.is_event() {
            names.push(card.design.response.clone());
        }
        let factors = names.len();
        names.extend(card.design.numbers.iter().cloned());
        let sql = format!(
            "SELECT {}{PERSON_KEY} FROM stay",
            names.iter().map(|n| format!("{n}, ")).collect::<String>()
        );
        let batches = session.query(&sql).await.map_err(internal)?;
        let count = cores().max(1);
        let mut parts: Vec<Part> = (0..count)
            .map(|_| Part {
                factors: vec![Vec::new(); factors],
                inputs: vec![Vec::new(); names.len() - factors],
                persons: Vec::new(),
            })
            .collect();
        for (index, batch) in batches.iter().enumerate() {
            parts[index % count].add(batch, fitting.factors())?;
        }
        Ok(Self { parts })
    }

    /// The fit, all sums told.
    fn fit(&self, card: &Card) -> Result<Estimate, Failure> {
        let Fitting::Step(step) = card.totals().map_err(internal)? else {
            return Err(internal("the model has trees"));
        };
        let names = card.coefficients.iter().map(|one| one.name.clone()).collect();
        let problem =
            Problem { step: *step, names, ridge: card.ridge, firth: card.firth, told_all: true };
        let mut fit = Fit::new(problem);
        loop {
            let step = fit.step();
            let mut sums = Sums::new(&step, 1);
            let plan = Arc::new(Plan::new(step).map_err(internal)?);
            let kernels = std::thread::scope(|scope| {
                let work = |part: &Part| {
                    let plan = Arc::clone(&plan);
                    let mut kernel = Kernel::new(plan, CAP);
                    let Part { factors, inputs, persons } = part;
                    kernel.add(&Batch { factors, inputs, persons }).map(|()| kernel)
                };
                let running: Vec<_> =
                    self.parts.iter().map(|part| scope.spawn(move || work(part))).collect();
                let done = running.into_iter().map(std::thread::ScopedJoinHandle::join);
                done.collect::<Vec<_>>()
            });
            let mut whole: Option<Kernel> = None;
            for kernel in kernels {
                let kernel = kernel.map_err(|_| internal("a thread ended"))?.map_err(internal)?;
                match &mut whole {
                    None => whole = Some(kernel),
                    Some(whole) => whole.merge(&kernel).map_err(internal)?,
                }
            }
            for sum in whole.map(|kernel| kernel.finish()).unwrap_or_default() {
                sums.set(sum.place, sum.rows, sum.sum).map_err(internal)?;
            }
            if let Some(estimate) = fit.take(&sums).map_err(internal)? {
                return Ok(estimate);
            }
        }
    }
}

impl Part {
    fn add(&mut self, batch: &RecordBatch, domains: &[Domain]) -> Result<(), Failure> {
        let (factors, inputs) = (self.factors.len(), self.inputs.len());
        let domains = domains.iter().map(Domain::places);
        for ((places, column), own) in domains.zip(batch.columns()).zip(&mut self.factors) {
            let texts = cast(column, &DataType::Utf8).map_err(internal)?;
            let place = |text: Option<&str>| {
                places.of(text).and_then(|place| u32::try_from(place).ok()).unwrap_or(NOWHERE)
            };
            own.extend(texts.as_string::<i32>().iter().map(place));
        }
        for (column, own) in batch.columns()[factors..].iter().zip(&mut self.inputs) {
            let doubles = cast(column, &DataType::Float64).map_err(internal)?;
            let doubles = doubles.as_primitive::<Float64Type>();
            own.extend(doubles.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
        let persons = cast(batch.column(factors + inputs), &DataType::UInt32).map_err(internal)?;
        if persons.null_count() > 0 {
            return Err(internal("a row has no person"));
        }
        self.persons.extend_from_slice(persons.as_primitive::<UInt32Type>().values());
        Ok(())
    }
}
