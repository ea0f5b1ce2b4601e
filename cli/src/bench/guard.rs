//! What comparing with earlier answers costs a question: the guard's share of its time, in one run.
//!
//! One hospital holds all stays. Somebody asks by group about one span of months after the other, each time
//! beside all that was told before, as a node judges it, and last about all of them. Of each question four things
//! are timed: computing its cells with the populations behind them, computing them without, the gate, and the gate
//! where nothing was told before. The guard is what populations add to computing, and what was told before adds to
//! the gate.

use std::time::Duration;

use model::manifest::Manifest;
use privacy::sketch::Known;
use privacy::{Admitted, Leave, Policy, admit, release};
use query::engine::{Engine, Limits, runtime as engine_runtime};
use query::question::Planner;
use serde::Serialize;

use super::times::{median, milliseconds};
use super::{Times, note, print};
use crate::args::BenchArgs;
use crate::demo::Prepared;
use crate::demo::configure::cores;
use crate::exit::Failure;
use crate::run::{Context, runtime};

/// Memory of the engine, and of its planner.
const MEMORY_BYTES: usize = 4 << 30;
const PLANNER_BYTES: usize = 64 << 20;
/// Months of the made-up year.
const MONTHS: usize = 12;
/// What is asked about each span: groups of one column, and groups by two.
const ASKED: [(&str, &str); 2] = [("by group", "drg_code"), ("by payer and sex", "payer, sex")];

/// The result, as `--format json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    stays: u64,
    repeat: usize,
    cores: usize,
    questions: Vec<Judged>,
}

/// One form of question, over all spans.
#[derive(Debug, Serialize)]
struct Judged {
    name: &'static str,
    spans: usize,
    /// Cells of the largest answer.
    cells: usize,
    /// Populations that were told before the last question.
    known: usize,
    /// Cells with the populations behind them.
    compute_ms: Times,
    /// Cells without.
    unsketched_ms: Times,
    /// All rules of the gate.
    gate_ms: Times,
    /// The same where nothing was told before.
    bare_gate_ms: Times,
    /// The guard's share of computing and gate, over all spans.
    share: f64,
    /// The same of the question about all stays.
    whole_share: f64,
    /// Computing and gate of the question about all stays.
    whole_ms: f64,
}

/// What one question took.
#[derive(Debug, Default, Clone, Copy)]
struct Took {
    compute: Duration,
    unsketched: Duration,
    gate: Duration,
    bare_gate: Duration,
}

impl Took {
    fn whole(&self) -> f64 {
        milliseconds(self.compute + self.gate)
    }

    fn share(&self) -> f64 {
        let populations = self.compute.saturating_sub(self.unsketched);
        let known = self.gate.saturating_sub(self.bare_gate);
        milliseconds(populations + known) / self.whole()
    }

    /// The middle of each.
    fn middle(all: &[Self]) -> Self {
        let of = |part: fn(&Self) -> Duration| median(&all.iter().map(part).collect::<Vec<_>>());
        Self {
            compute: of(|one| one.compute),
            unsketched: of(|one| one.unsketched),
            gate: of(|one| one.gate),
            bare_gate: of(|one| one.bare_gate),
        }
    }
}

/// Measures, prints.
///
/// # Errors
/// Every kind of [`Failure`].
pub(super) fn run(args: &BenchArgs, prepared: &Prepared, context: &Context) -> Result<(), Failure> {
    let measuring = Box::pin(measure(args, prepared, context));
    let report = runtime()?.block_on(measuring)?;
    print(&report, args.format, context, || {
        let line = |one: &Judged| {
            format!(
                "{:<16} {} spans, {} cells, {} populations told before\n  computed {:.1} ms, without \
                 populations {:.1} ms, gate {:.2} ms, with nothing told before {:.2} ms   share {:.3}\n  of the \
                 question about all stays, {:.1} ms, {:.3}",
                one.name,
                one.spans,
                one.cells,
                one.known,
                one.compute_ms.median,
                one.unsketched_ms.median,
                one.gate_ms.median,
                one.bare_gate_ms.median,
                one.share,
                one.whole_ms,
                one.whole_share
            )
        };
        let lines: Vec<_> = report.questions.iter().map(line).collect();
        format!("one hospital, {} stays\n{}", report.stays, lines.join("\n"))
    })
}

async fn measure(
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
) -> Result<Report, Failure> {
    let hospital = prepared.hospitals.first();
    let hospital = hospital.ok_or_else(|| Failure::Internal("there is no hospital".to_owned()))?;
    let data = prepared.folder.node(&hospital.member.id, "data");
    let folder = data.join("snapshots").join(&hospital.manifest.snapshot_id);
    let manifest: Manifest = hospital.manifest.clone();
    let spill_folder = data.join("spill");
    let limits =
        Limits { threads: cores(), memory_bytes: MEMORY_BYTES, spill_folder, spill_bytes: 1 << 30 };
    let internal = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
    let lent = engine_runtime(&limits).map_err(|error| internal(&error))?;
    let policy = Policy::answering();
    let engine = Engine::open(&folder, manifest, policy.clone(), cores(), lent);
    let engine = engine.map_err(|error| internal(&error))?;
    let planner = Planner::new(PLANNER_BYTES).map_err(|error| internal(&error))?;
    let bench = Bench { engine, planner, policy, context };
    let mut questions = Vec::new();
    for (name, columns) in ASKED {
        note(context, &format!("measuring {name}"));
        questions.push(bench.judged(name, columns, args.repeat).await?);
    }
    Ok(Report { stays: args.stays, repeat: args.repeat, cores: cores(), questions })
}

struct Bench<'a> {
    engine: Engine,
    planner: Planner,
    policy: Policy,
    context: &'a Context,
}

/// The first day of a month of the made-up year, or of the one after.
fn first_of(month: usize) -> String {
    format!("{}-{:02}-01", 2024 + month / MONTHS, month % MONTHS + 1)
}

impl Bench<'_> {
    async fn admitted(&self, sql: &str) -> Result<Admitted, Failure> {
        let refused = |refusal: model::Refusal| Failure::Internal(refusal.to_string());
        let question = self.planner.plan(sql, &self.policy).await.map_err(refused)?;
        let mut requests = question.requests("bench", &[]).map_err(refused)?;
        let request = requests.pop().filter(|_| requests.is_empty());
        let request = request.ok_or_else(|| Failure::Internal("no single request".to_owned()))?;
        admit(request, &self.policy, Leave::None).map_err(refused)
    }

    /// Asks about every span of months, the shortest first.
    async fn judged(
        &self,
        name: &'static str,
        columns: &str,
        repeat: usize,
    ) -> Result<Judged, Failure> {
        let lengths = 1..=MONTHS;
        let spans =
            lengths.flat_map(|length| (0..=MONTHS - length).map(move |from| (from, from + length)));
        let (mut known, mut before, mut cells, mut took) = (Known::default(), 0, 0, Vec::new());
        for (from, until) in spans {
            let sql = format!(
                "SELECT hospital_id, {columns}, count(*), avg(total_cost), stddev(total_cost) FROM stay \
                 WHERE discharged_at >= '{}' AND discharged_at < '{}' GROUP BY hospital_id, {columns}",
                first_of(from),
                first_of(until)
            );
            let admitted = self.admitted(&sql).await?;
            let mut runs = Vec::new();
            before = known.len();
            let mut told = Vec::new();
            for _ in 0..repeat.max(1) {
                let (one, news, shown) = self.once(&admitted, &known).await?;
                runs.push(one);
                cells = cells.max(shown);
                told = news;
            }
            took.push(Took::middle(&runs));
            known.learn(&told);
        }
        let times = |of: fn(&Took) -> Duration| Times::of(&took.iter().map(of).collect::<Vec<_>>());
        let middle = Took::middle(&took);
        let whole = took.last().copied().unwrap_or_default();
        Ok(Judged {
            name,
            spans: took.len(),
            cells,
            known: before,
            compute_ms: times(|one| one.compute),
            unsketched_ms: times(|one| one.unsketched),
            gate_ms: times(|one| one.gate),
            bare_gate_ms: times(|one| one.bare_gate),
            share: middle.share(),
            whole_share: whole.share(),
            whole_ms: whole.whole(),
        })
    }

    /// Computes with populations and without, in this order and the other, and judges.
    async fn once(
        &self,
        admitted: &Admitted,
        known: &Known,
    ) -> Result<(Took, Vec<privacy::sketch::Told>, usize), Failure> {
        let failed = |error: query::engine::ComputeError| Failure::Internal(error.to_string());
        let clock = &self.context.clock;
        let mut took = Took::default();
        let started = clock.monotonic();
        self.engine.compute_unsketched(admitted.clone()).await.map_err(failed)?;
        took.unsketched = clock.monotonic().duration_since(started);
        let started = clock.monotonic();
        let partial = self.engine.compute(admitted.clone()).await.map_err(failed)?;
        took.compute = clock.monotonic().duration_since(started);
        let (again, nothing) = (partial.clone(), Known::default());
        let started = clock.monotonic();
        // What it says is not looked at: nothing was told before.
        let _ = release(again, &nothing);
        took.bare_gate = clock.monotonic().duration_since(started);
        let started = clock.monotonic();
        let released = release(partial, known);
        took.gate = clock.monotonic().duration_since(started);
        // A question that is refused as a whole was compared all the same, and tells nothing.
        let told = released.as_ref().map_or_else(|_| Vec::new(), |one| one.told().to_vec());
        Ok((took, told, released.map_or(0, |one| one.groups().len())))
    }
}
