//! What comparing with earlier answers costs a question: the guard's share of its time, in one run.
//!
//! One hospital holds all stays. Somebody asks by group about one span of months after the other, the shortest first
//! and last about all stays, each time beside all that was told before. Of each question four things are timed:
//! computing its cells with the populations behind them, computing them without, in turns, and the gate beside what
//! was told before, and beside nothing. The guard is what populations add to computing and what was told before adds
//! to the gate, choosing and learning what is news included; storing that in the record is not. Its share is that of
//! the time in which the engine computes and judges. Of the question about all stays it is also put beside what an
//! asker waits for: that question with a condition that every stay meets, asked of a region with the same hospital
//! and little that was told before, over mutual TLS and with all that a coordinator and a node record.

use std::time::Duration;

use model::manifest::Manifest;
use privacy::sketch::Known;
use privacy::{Admitted, Leave, Policy, admit, release};
use query::engine::{Engine, Limits, runtime as engine_runtime};
use query::question::Planner;
use serde::Serialize;
use service::Shutdown;

use super::asked::Bounds;
use super::questions::federated;
use super::times::{median, milliseconds};
use super::{Times, note, print};
use crate::args::BenchArgs;
use crate::client::Client;
use crate::demo::configure::cores;
use crate::demo::running::Running;
use crate::demo::{Prepared, query_runtime};
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
    /// Questions of which nothing was told that was not known.
    refused: usize,
    /// Cells with the populations behind them.
    compute_ms: Times,
    /// Cells without.
    unsketched_ms: Times,
    /// All rules of the gate.
    gate_ms: Times,
    /// The same where nothing was told before.
    bare_gate_ms: Times,
    /// The guard's share of computing and gate, of all spans together.
    share: f64,
    /// The same of the question about all stays.
    whole_share: f64,
    /// Computing and gate of the question about all stays.
    whole_ms: f64,
    /// From the question about all stays to its answer, asked of a region with the same hospital.
    asked_ms: Times,
    /// The guard's share of that.
    asked_share: f64,
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

    /// What populations add to computing, and what was told before to the gate.
    fn guard(&self) -> f64 {
        self.whole() - milliseconds(self.unsketched + self.bare_gate)
    }

    /// The guard's share of several questions together.
    fn share(all: &[Self]) -> f64 {
        let sum = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>();
        sum(Self::guard) / sum(Self::whole)
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
    let queries = query_runtime()?;
    let measuring = Box::pin(measure(args, prepared, context, queries.handle()));
    let report = runtime()?.block_on(measuring)?;
    queries.shutdown_background();
    print(&report, args.format, context, || {
        let line = |one: &Judged| {
            format!(
                "{:<16} {} spans, {} of them refused, {} cells, {} populations told before\n  computed {:.1} ms, without \
                 populations {:.1} ms, gate {:.2} ms, with nothing told before {:.2} ms   share {:.3}\n  of the \
                 question about all stays, {:.1} ms, {:.3}; of {:.1} ms that an asker waits for it, {:.3}",
                one.name,
                one.spans,
                one.refused,
                one.cells,
                one.known,
                one.compute_ms.median,
                one.unsketched_ms.median,
                one.gate_ms.median,
                one.bare_gate_ms.median,
                one.share,
                one.whole_ms,
                one.whole_share,
                one.asked_ms.median,
                one.asked_share
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
    queries: &tokio::runtime::Handle,
) -> Result<Report, Failure> {
    let asked = asked(args, prepared, context, queries).await?;
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
    for ((name, columns), asked) in ASKED.into_iter().zip(asked) {
        note(context, &format!("measuring {name}"));
        questions.push(bench.judged(name, columns, args.repeat, asked).await?);
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

/// By these columns, about stays that ended from one month on and before another.
fn sql(columns: &str, [from, until]: [usize; 2], condition: &str) -> String {
    let (from, until) = (first_of(from), first_of(until));
    format!(
        "SELECT hospital_id, {columns}, count(*), avg(total_cost), stddev(total_cost) FROM stay WHERE \
         discharged_at >= '{from}' AND discharged_at < '{until}'{condition} GROUP BY hospital_id, {columns}"
    )
}

/// What an asker waits for each question about all stays.
async fn asked(
    args: &BenchArgs,
    prepared: &Prepared,
    context: &Context,
    queries: &tokio::runtime::Handle,
) -> Result<Vec<Times>, Failure> {
    let running = Running::start(prepared, queries, &Shutdown::new()).await?;
    let client = Client::open(prepared.folder.root(), &context.clock)?;
    let mut bounds = Bounds::since(context.clock.now());
    let mut all = Vec::new();
    for (name, columns) in ASKED {
        note(context, &format!("asking {name}"));
        let mut runs = Vec::new();
        for _ in 0..=args.repeat {
            let condition = format!(" AND los_days < {}", bounds.next());
            let sql = sql(columns, [0, MONTHS], &condition);
            runs.push(federated(&client, &sql, context).await?);
        }
        // The first opens connections.
        runs.remove(0);
        all.push(Times::of(&runs));
    }
    running.stop().await;
    Ok(all)
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
        asked_ms: Times,
    ) -> Result<Judged, Failure> {
        let lengths = 1..=MONTHS;
        let spans =
            lengths.flat_map(|length| (0..=MONTHS - length).map(move |from| (from, from + length)));
        let (mut known, mut before, mut took) = (Known::default(), 0, Vec::new());
        let (mut cells, mut refused) = (0, 0);
        for (from, until) in spans {
            let admitted = self.admitted(&sql(columns, [from, until], "")).await?;
            let mut runs = Vec::new();
            before = known.len();
            let mut news = Vec::new();
            // The first plans and reads for all, and is not counted.
            for turn in 0..=repeat.max(1) {
                let (one, told, shown) = self.once(&admitted, &known, turn % 2 == 0).await?;
                runs.push(one);
                cells = cells.max(shown);
                news = told;
            }
            runs.remove(0);
            let mut middle = Took::middle(&runs);
            refused += usize::from(news.is_empty());
            let started = self.context.clock.monotonic();
            known.learn(&news);
            middle.gate += self.context.clock.monotonic().duration_since(started);
            took.push(middle);
        }
        let times = |of: fn(&Took) -> Duration| Times::of(&took.iter().map(of).collect::<Vec<_>>());
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
            refused,
            share: Took::share(&took),
            whole_share: Took::share(&[whole]),
            whole_ms: whole.whole(),
            asked_share: whole.guard() / asked_ms.median,
            asked_ms,
        })
    }

    /// Computes without populations `first` or last, and judges.
    async fn once(
        &self,
        admitted: &Admitted,
        known: &Known,
        first: bool,
    ) -> Result<(Took, Vec<privacy::sketch::Told>, usize), Failure> {
        let failed = |error: query::engine::ComputeError| Failure::Internal(error.to_string());
        let clock = &self.context.clock;
        let mut took = Took::default();
        let unsketched = async || {
            let started = clock.monotonic();
            let computed = self.engine.compute_unsketched(admitted.clone()).await;
            computed.map(|_| clock.monotonic().duration_since(started)).map_err(failed)
        };
        if first {
            took.unsketched = unsketched().await?;
        }
        let started = clock.monotonic();
        let partial = self.engine.compute(admitted.clone()).await.map_err(failed)?;
        took.compute = clock.monotonic().duration_since(started);
        if !first {
            took.unsketched = unsketched().await?;
        }
        let (again, nothing) = (partial.clone(), Known::default());
        let started = clock.monotonic();
        // What it says is not looked at: nothing was told before.
        let _ = release(again, &nothing);
        took.bare_gate = clock.monotonic().duration_since(started);
        let started = clock.monotonic();
        let released = release(partial, known);
        // A question that is refused as a whole was compared all the same, and tells nothing.
        let told = released.as_ref().map_or(&[][..], |one| one.told());
        let news = known.news(told).map_err(|error| Failure::Internal(error.to_string()))?;
        took.gate = clock.monotonic().duration_since(started);
        Ok((took, news, released.map_or(0, |one| one.groups().len())))
    }
}
