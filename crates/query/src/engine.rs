//! The node's engine: an open snapshot that computes cells for admitted requests.
//!
//! Both scopes take the same way. In pooled scope rows are grouped by the places of the request's
//! public domains, per hospital by the values themselves.

mod bounded;
mod codes;
mod extents;
mod largest;
mod limits;
mod resident;
mod steps;
mod trees;
mod unsketched;

pub use codes::Codes;
use extents::Found;
pub use limits::{Limits, runtime};
use resident::resident;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;

/// The memory pool and spill folder that all snapshots of a node share.
pub use datafusion::execution::runtime_env::RuntimeEnv as Runtime;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream, execute_stream_partitioned,
};
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use futures::future::BoxFuture;
use model::manifest::{Manifest, SNAPSHOT_FORMAT};
use model::schema::{Column, Table, table};
use model::{Refusal, RefusalCode};
use privacy::domain::Places;
use privacy::request::{ReleaseRequest, Scope};
use privacy::sketch::Frame;
use privacy::{Admitted, Domain, Fitting, Measure, Partial, Policy};
use tokio::task::JoinSet;

use crate::catalog::arrow_schema;
use crate::cut::is_honest_bound;
use crate::grid::Grid;
use crate::kernel::{Kernel, KernelError, Spec};
use crate::marks::Marks;
use crate::session::{engine, plan_query};
use crate::walk::{Checked, Executable, check_request_plan, is_read_as};

/// Plans kept per snapshot; a plan is a few kilobytes.
const MAX_PREPARED: usize = 256;
/// Runs of one physical plan; each leaves some metrics behind in it.
const MAX_RUNS: u32 = 64;
/// A table whose file is no larger is read once and kept in memory.
const RESIDENT_BYTES: u64 = 4 << 20;

/// Why there is no partial result.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// The request is not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine failed; the text is for the operator, never for the asker.
    #[error("the engine failed: {0}")]
    Engine(String),
}

/// A snapshot that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("snapshot {folder}: {reason}")]
pub struct OpenError {
    folder: String,
    reason: String,
}

#[derive(Debug)]
struct Prepared {
    plan: LogicalPlan,
    checked: Checked,
    executable: Executable,
    /// For each input, whether it is an amount of money.
    money: Vec<bool>,
    /// For each input, the largest magnitude that it can have.
    magnitudes: Vec<Option<f64>>,
    /// For each input, the column whose bins a histogram of it has.
    binned: Vec<Option<&'static Column>>,
    /// For each input, the column whose values it is, each at most once.
    summed: Vec<Option<(&'static Table, &'static Column)>>,
    /// Whether all its outputs are columns and nothing else.
    bare: bool,
    /// Where it stands among other requests.
    frame: Frame,
    physical: Mutex<Option<(Arc<dyn ExecutionPlan>, u32)>>,
}

/// Everything in a request that its plan depends on; the last is how many rows a person contributes.
type PlanKey = (String, (usize, usize), Vec<Measure>, Option<u32>);

/// An open snapshot. Cheap to share; plans of repeated questions are kept.
pub struct Engine {
    context: SessionContext,
    manifest: Manifest,
    policy: Policy,
    prepared: Mutex<HashMap<PlanKey, Arc<Prepared>>>,
    trees: trees::KeptRows,
    marks: Arc<Marks>,
    found: Found,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("snapshot", &self.manifest.snapshot_id)
            .finish_non_exhaustive()
    }
}

/// A scan of one Parquet file of a governed table.
pub(crate) fn listing(
    state: &SessionState,
    paths: &[PathBuf],
    schema: SchemaRef,
) -> Result<ListingTable, String> {
    let urls = paths.iter().map(|path| {
        let path = path.to_str().ok_or("the path is not UTF-8")?;
        ListingTableUrl::parse(path).map_err(|error| error.strip_backtrace())
    });
    let urls = urls.collect::<Result<Vec<_>, String>>()?;
    let format = ParquetFormat::default().with_options(state.table_options().parquet.clone());
    let options = ListingOptions::new(Arc::new(format));
    let config = ListingTableConfig::new_with_multi_paths(urls)
        .with_listing_options(options)
        .with_schema(schema);
    ListingTable::try_new(config).map_err(|error| error.strip_backtrace())
}

impl Engine {
    /// Opens the snapshot in `folder`, to be questioned under `policy`.
    ///
    /// # Errors
    /// [`OpenError`] when a table is missing, unknown or not readable.
    pub fn open(
        folder: &Path,
        manifest: Manifest,
        policy: Policy,
        threads: usize,
        runtime: Arc<RuntimeEnv>,
    ) -> Result<Self, OpenError> {
        let fail = |reason: String| OpenError { folder: folder.display().to_string(), reason };
        if manifest.format != SNAPSHOT_FORMAT {
            let format = manifest.format;
            return Err(fail(format!("its format is {format}, this node reads {SNAPSHOT_FORMAT}")));
        }
        let context = engine(threads, runtime);
        for (name, record) in &manifest.tables {
            let table = table(name).ok_or_else(|| fail(format!("unknown table {name}")))?;
            let path = folder.join(&record.file);
            let size = std::fs::metadata(&path).map(|file| file.len());
            match size {
                Ok(size) if size == record.bytes => {}
                Ok(size) => {
                    let expected = record.bytes;
                    let file = &record.file;
                    return Err(fail(format!("{file} has {size} bytes instead of {expected}")));
                }
                Err(error) => return Err(fail(format!("{}: {error}", record.file))),
            }
            let provider: Arc<dyn TableProvider> = if record.bytes <= RESIDENT_BYTES {
                Arc::new(resident(&path, table).map_err(fail)?)
            } else {
                Arc::new(listing(&context.state(), &[path], arrow_schema(table)).map_err(fail)?)
            };
            context
                .register_table(table.name, provider)
                .map_err(|error| fail(error.strip_backtrace()))?;
        }
        let (prepared, trees, found) = (Mutex::default(), Mutex::default(), Found::default());
        let stays =
            manifest.tables.get("stay").ok_or_else(|| fail("it has no stays".to_owned()))?;
        let marks = Arc::new(Marks::read(folder, &folder.join(&stays.file)).map_err(fail)?);
        Ok(Self { context, manifest, policy, prepared, trees, marks, found })
    }

    /// What the snapshot says about itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The policy under which it answers.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The plan of a request that says the truth about itself.
    async fn prepare(&self, admitted: &Admitted) -> Result<Arc<Prepared>, ComputeError> {
        let rows = admitted.noisy().map(|noisy| noisy.rule().rows_per_person);
        let prepared = self.planned(admitted.request(), rows).await?;
        // A plan is kept for requests that differ in what they claim, so each is checked.
        prepared.check(admitted.request())?;
        Ok(prepared)
    }

    async fn planned(
        &self,
        request: &ReleaseRequest,
        rows_per_person: Option<u32>,
    ) -> Result<Arc<Prepared>, ComputeError> {
        let shape = (request.leading(), request.inputs().len());
        let measures = request.measures().to_vec();
        let key = (request.relation_sql().to_owned(), shape, measures, rows_per_person);
        let known = |map: &HashMap<_, Arc<Prepared>>| map.get(&key).cloned();
        if let Some(known) = known(&self.prepared.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let state = self.context.state();
        let plan = plan_query(&state, request.relation_sql()).await?;
        let (dimensions, inputs) = shape;
        let relation = check_request_plan(&plan, &self.policy, dimensions, inputs)?;
        relation.check_binning(request.measures(), &self.policy)?;
        // What runs is written from the flat form that was checked, with what the gate needs.
        let executable = relation.executable(request.measures())?;
        let plan = plan_query(&state, &executable.sql).await?;
        if !is_read_as(&plan, &executable.sql)? {
            let reason = "The question would be read as another one than the one that was checked.";
            return Err(Refusal::new(RefusalCode::Request, "relation", reason, "").into());
        }
        let plan = match rows_per_person {
            Some(rows) => bounded::bounded(plan, rows).map_err(|error| failed(&error))?,
            None => plan,
        };
        let plan =
            state.optimize(&plan).map_err(|error| ComputeError::Engine(error.strip_backtrace()))?;
        let (money, magnitudes) = (relation.money(), relation.magnitudes());
        let (binned, summed, bare) = (relation.binned(), relation.summed(), relation.is_bare());
        let frame = Frame { told_apart: executable.told_apart.clone(), ..relation.frame()? };
        let (checked, physical) = (relation.checked, Mutex::default());
        let prepared = Prepared {
            plan,
            checked,
            executable,
            money,
            magnitudes,
            binned,
            summed,
            bare,
            frame,
            physical,
        };
        let prepared = Arc::new(prepared);
        let mut map = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= MAX_PREPARED {
            map.clear();
        }
        map.insert(key, Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Computes the cells of an admitted request. Dropping the future stops the work.
    ///
    /// # Errors
    /// [`ComputeError`]: a refusal of the walk, or a failure of the engine.
    pub fn compute(&self, admitted: Admitted) -> BoxFuture<'_, Result<Partial, ComputeError>> {
        Box::pin(self.compute_unboxed(admitted))
    }

    async fn compute_unboxed(&self, admitted: Admitted) -> Result<Partial, ComputeError> {
        let prepared = self.prepare(&admitted).await?;
        let partial = match admitted.request().fitting().cloned() {
            Some(Fitting::Step(step)) => {
                self.step(&prepared, admitted, &steps::plan(&step)?).await?
            }
            Some(Fitting::Growth(growth)) => self.growth(&prepared, admitted, &growth).await?,
            None => {
                let marks = admitted.is_compared().then(|| Arc::clone(&self.marks));
                self.cells(&prepared, admitted, marks).await?
            }
        };
        self.framed(partial, &prepared).await
    }

    /// The groups of a question, with who is behind them where there are `marks`.
    async fn cells(
        &self,
        plan: &Prepared,
        admitted: Admitted,
        marks: Option<Arc<Marks>>,
    ) -> Result<Partial, ComputeError> {
        let (noisy, domains) = (admitted.noisy(), admitted.request().domains().iter());
        let mut spec = plan.spec(&admitted, domains.map(Domain::places).collect(), marks);
        if let Some(noisy) = noisy {
            spec.inputs.iter_mut().for_each(|input| input.bound = noisy.rule().bound(input));
        } else {
            spec.shares = self.shares(plan, &admitted).await?;
        }
        let kernel = self.run(plan, &spec).await?;
        let (selected, selective) = (kernel.selected_persons(), plan.checked.selective);
        let (groups, population) = kernel.into_parts().map_err(refuse_kernel)?;
        Ok(Partial::new(admitted, groups, population, selected, selective))
    }

    /// The physical plan, made anew now and then; its state is always fresh.
    async fn physical(&self, prepared: &Prepared) -> Result<Arc<dyn ExecutionPlan>, ComputeError> {
        let kept = {
            let mut kept = prepared.physical.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.as_mut() {
                Some((plan, runs)) if *runs < MAX_RUNS => {
                    *runs += 1;
                    Some(Arc::clone(plan))
                }
                _ => None,
            }
        };
        if let Some(plan) = kept {
            return reset_plan_states(plan).map_err(|error| failed(&error));
        }
        let state = self.context.state();
        let planner = state.query_planner();
        let plan = planner.create_physical_plan(&prepared.plan, &state).await;
        let plan = plan.map_err(|error| failed(&error))?;
        let mut kept = prepared.physical.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((Arc::clone(&plan), 0));
        Ok(plan)
    }

    /// The rows of a relation, one stream for each partition.
    async fn streams(
        &self,
        prepared: &Prepared,
    ) -> Result<Vec<SendableRecordBatchStream>, ComputeError> {
        let physical = self.physical(prepared).await?;
        let partitions = physical.output_partitioning().partition_count();
        tracing::debug!(partitions, "computing cells");
        let streams = execute_stream_partitioned(physical, self.context.task_ctx());
        streams.map_err(|error| failed(&error))
    }

    async fn run(&self, prepared: &Prepared, spec: &Spec) -> Result<Kernel, ComputeError> {
        let mut kernels = JoinSet::new();
        for stream in self.streams(prepared).await? {
            kernels.spawn(consume(stream, spec.clone()));
        }
        let mut whole: Option<Kernel> = None;
        while let Some(joined) = kernels.join_next().await {
            let kernel = joined.map_err(|error| ComputeError::Engine(error.to_string()))??;
            match &mut whole {
                None => whole = Some(kernel),
                Some(whole) => whole.merge(kernel).map_err(refuse_kernel)?,
            }
        }
        match whole {
            Some(whole) => Ok(whole),
            None => Kernel::new(spec.clone()).map_err(refuse_kernel),
        }
    }
}

impl Prepared {
    /// Refuses what a request says about itself and is not so: a coordinator that understates
    /// either would have the witness apply fewer rules.
    fn check(&self, request: &ReleaseRequest) -> Result<(), Refusal> {
        if self.checked.scope == Scope::PerHospital && request.scope() == Scope::Pooled {
            return Err(Refusal::new(
                RefusalCode::Scope,
                "hospital_id",
                "The question names hospitals but asks for pooled cells.",
                "",
            ));
        }
        let mut inputs = self.money.iter().zip(request.inputs());
        if inputs.any(|(money, input)| *money && !input.money) {
            return Err(Refusal::new(
                RefusalCode::Request,
                "money",
                "The request does not say that an input is an amount of money.",
                "",
            ));
        }
        let mut inputs = self.magnitudes.iter().zip(request.inputs());
        if !inputs.all(|(magnitude, input)| is_honest_bound(input, *magnitude)) {
            return Err(Refusal::new(
                RefusalCode::Request,
                "bound",
                "The request's bound of an input is not the one that its expression calls for.",
                "",
            ));
        }
        let grids = self.grids(request);
        let is_own = |measure: &Measure| match *measure {
            Measure::Histogram(x, _) => {
                grids.get(&x).and_then(|grid| grid.measure(x)) == Some(*measure)
            }
            _ => true,
        };
        if !request.measures().iter().all(is_own) {
            return Err(Refusal::new(
                RefusalCode::Request,
                "bins",
                "A histogram of the request has other bins than its column.",
                "Use matching versions of Consilium.",
            ));
        }
        // Under conditions of somebody's choice it would tell, exactly, who has enough patients like that.
        if request.is_listing() && (self.checked.selective || !request.inputs().is_empty()) {
            return Err(Refusal::new(
                RefusalCode::Request,
                "relation",
                "A search for codes reads the whole of one table and nothing else.",
                "",
            ));
        }
        match request.fitting() {
            Some(Fitting::Step(step)) => return self.check_fitting(step.supports(), request),
            Some(Fitting::Growth(growth)) => return self.check_growth(growth, request),
            None => {}
        }
        if self.executable.supports != request.supports() {
            return Err(Refusal::new(
                RefusalCode::Request,
                "supports",
                "The request does not count the sets of persons behind its measures.",
                "",
            ));
        }
        Ok(())
    }

    /// The bins of each input that the request counts by its column's own.
    fn grids(&self, request: &ReleaseRequest) -> BTreeMap<usize, Grid> {
        let inputs = request.inputs().iter().enumerate().zip(&self.binned);
        let each = inputs
            .filter_map(|((index, input), column)| Some((index, Grid::of((*column)?, input)?)));
        each.collect()
    }

    fn spec(&self, admitted: &Admitted, places: Arc<[Places]>, marks: Option<Arc<Marks>>) -> Spec {
        Spec {
            dimensions: admitted.request().dimensions().len(),
            places,
            inputs: admitted.request().inputs().to_vec(),
            branches: self.executable.branches,
            branches_of: self.executable.branches_of.clone(),
            measures: admitted.request().measures().to_vec(),
            grids: self.grids(admitted.request()),
            cap: admitted.thresholds().persons_cap(),
            selectivity: admitted.thresholds().selectivity,
            shares: None,
            one_row_per_stay: self.checked.one_row_per_stay,
            part_marks: marks.clone().filter(|_| admitted.request().scope() != Scope::Pooled),
            marks,
        }
    }
}

fn failed(error: &datafusion::common::DataFusionError) -> ComputeError {
    ComputeError::Engine(error.strip_backtrace())
}

async fn consume(
    mut stream: SendableRecordBatchStream,
    spec: Spec,
) -> Result<Kernel, ComputeError> {
    let mut kernel = Kernel::new(spec).map_err(refuse_kernel)?;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| ComputeError::Engine(error.strip_backtrace()))?;
        kernel.add(&batch).map_err(refuse_kernel)?;
    }
    Ok(kernel)
}

fn refuse_kernel(error: KernelError) -> ComputeError {
    let code = match error {
        KernelError::TooManyRows | KernelError::TooManyGroups => RefusalCode::TooLarge,
        KernelError::Type | KernelError::Unmarked => RefusalCode::Request,
    };
    ComputeError::Refused(Refusal::new(code, "question", error.to_string(), ""))
}

#[cfg(test)]
mod tests;
