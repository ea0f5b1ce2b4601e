//! Steps of growing trees: rows in bins are kept between steps, so that a tree does not read the
//! snapshot once for each of its levels.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use learn::boost::{Binned, NodeSums, Rows, Scored};
use learn::kernel::{Batch, Kernel, Plan};
use model::glm::{Link, Transform};
use model::{Refusal, RefusalCode};
use num_traits::ToPrimitive;
use privacy::growth::{Asked, Feature, Growth, GrowthAsk};
use privacy::partial::{PartialGroup, Support};
use privacy::request::ReleaseRequest;
use privacy::sketch::{Population, Sketch};
use privacy::step::{Ask, At, Column, Number, Response, Scalar};
use privacy::{Admitted, Domain, Partial, Scope, Step, sha256};
use tokio::task::{JoinSet, spawn_blocking};

use super::{ComputeError, Engine, Prepared, refuse_kernel};
use crate::kernel::step::{Reader, group_of};

/// Fits whose rows are kept; of more, the one that was used longest ago is read again.
const KEPT_FITS: usize = 2;

/// The rows of one fit.
#[derive(Debug)]
pub(super) struct Kept {
    key: [u8; 32],
    rows: Mutex<Rows>,
    selected: u64,
    sketch: Sketch,
    /// Counted in the memory that all questions share.
    _memory: MemoryReservation,
}

/// Rows of fits, the last used last.
pub(super) type KeptRows = Mutex<Vec<Arc<Kept>>>;

/// Everything that decides what a row is in bins.
fn key_of(request: &ReleaseRequest, growth: &Growth) -> [u8; 32] {
    let Growth { factors, features, response, unit, family, .. } = growth;
    let inputs = request.inputs();
    let sql = request.relation_sql();
    sha256(
        format!("{sql}\n{inputs:?} {factors:?} {features:?} {response:?} {unit:?} {family:?}")
            .as_bytes(),
    )
}

fn engine_error(error: impl std::fmt::Display) -> ComputeError {
    ComputeError::Engine(error.to_string())
}

impl Engine {
    /// The sums of a step of growing trees.
    pub(super) async fn growth(
        &self,
        prepared: &Prepared,
        admitted: Admitted,
        growth: &Growth,
    ) -> Result<Partial, ComputeError> {
        let kept = self.kept(prepared, &admitted, growth).await?;
        let (selected, key) = (kept.selected, kept.key);
        let population = Population::Whole(Box::new(kept.sketch.clone()));
        // The sums of finished trees are the last that a fit asks for.
        let is_last = growth.ask == GrowthAsk::Totals && !growth.trees.is_empty();
        let (growth, request) = (growth.clone(), admitted.request());
        let (pooled, cap) = (request.scope() == Scope::Pooled, admitted.thresholds().persons_cap());
        let working = spawn_blocking(move || {
            let mut rows = kept.rows.lock().unwrap_or_else(PoisonError::into_inner);
            match &growth.ask {
                GrowthAsk::Nodes(asked) => Ok(histograms(&mut rows, &growth, asked)),
                GrowthAsk::Totals => totals(&mut rows, &growth, pooled, cap),
            }
        });
        let groups = working.await.map_err(engine_error)??;
        if is_last {
            let mut all = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|kept| kept.key != key);
        }
        Ok(Partial::new(admitted, groups, population, selected, prepared.checked.selective))
    }

    /// The rows of a fit, read unless they are known.
    async fn kept(
        &self,
        prepared: &Prepared,
        admitted: &Admitted,
        growth: &Growth,
    ) -> Result<Arc<Kept>, ComputeError> {
        let key = key_of(admitted.request(), growth);
        {
            let mut all = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = all.iter().position(|kept| kept.key == key) {
                let known = all.remove(place);
                all.push(Arc::clone(&known));
                return Ok(known);
            }
            // Room is made before rows are read.
            let surplus = (all.len() + 1).saturating_sub(KEPT_FITS);
            all.drain(..surplus);
        }
        let inputs = admitted.request().inputs().len();
        let selectivity = admitted.thresholds().selectivity;
        let marks = || Arc::clone(&self.marks);
        let empty = || Reader::new(&growth.factors, inputs, selectivity, marks());
        let mut reading = JoinSet::new();
        let shared = Arc::new(growth.clone());
        for stream in self.streams(prepared).await? {
            reading.spawn(read(stream, empty(), Arc::clone(&shared), self.tree_memory()));
        }
        let (mut reader, mut all, memory) = (empty(), Binned::default(), self.tree_memory());
        while let Some(joined) = reading.join_next().await {
            let (part, binned, part_memory) = joined.map_err(engine_error)??;
            reader.merge(&part).map_err(refuse_kernel)?;
            all.append(binned);
            memory.grow(part_memory.size());
        }
        let count = all.len();
        let threads = self.context.state().config().target_partitions();
        let sorting = spawn_blocking(move || Rows::new(&shared, &all, threads));
        let rows = Mutex::new(sorting.await.map_err(engine_error)?);
        memory.resize(count * Binned::row_bytes(growth.features.len()).1);
        let (selected, sketch) = (reader.selected_persons(), reader.sketch().clone());
        let kept = Arc::new(Kept { key, rows, selected, sketch, _memory: memory });
        let mut all = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        // Two steps of one fit at the same time read twice and keep once.
        all.retain(|other| other.key != key);
        let surplus = (all.len() + 1).saturating_sub(KEPT_FITS);
        all.drain(..surplus);
        all.push(Arc::clone(&kept));
        Ok(kept)
    }

    fn tree_memory(&self) -> MemoryReservation {
        let pool = &self.context.runtime_env().memory_pool;
        MemoryConsumer::new("rows of trees").register(pool)
    }
}

impl Prepared {
    /// Splits by numbers are at edges that conditions may name too.
    pub(super) fn check_growth(
        &self,
        growth: &Growth,
        request: &ReleaseRequest,
    ) -> Result<(), Refusal> {
        self.check_fitting(growth.supports(), request)?;
        let is_public = |feature: &Feature| match feature {
            Feature::Factor(..) => true,
            Feature::Number(input, edges) => {
                let column = self.binned.get(usize::from(*input)).copied().flatten();
                let known = column.and_then(|column| column.bin_edges()).unwrap_or_default();
                let known: Vec<f64> = known.iter().filter_map(ToPrimitive::to_f64).collect();
                edges.iter().all(|edge| known.iter().any(|one| one.to_bits() == edge.to_bits()))
            }
        };
        if growth.features.iter().all(is_public) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Request,
            "bins",
            "A feature of the trees has other bins than its column.",
            "Use matching versions of Consilium.",
        ))
    }
}

async fn read(
    mut stream: SendableRecordBatchStream,
    mut reader: Reader,
    growth: Arc<Growth>,
    memory: MemoryReservation,
) -> Result<(Reader, Binned, MemoryReservation), ComputeError> {
    let mut binned = Binned::default();
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| ComputeError::Engine(error.strip_backtrace()))?;
        let before = binned.len();
        let persons = reader.read(&batch).map_err(refuse_kernel)?;
        binned.add(&growth, &reader.places, &reader.values, persons.values());
        let (row_bytes, _) = Binned::row_bytes(growth.features.len());
        memory.try_grow((binned.len() - before) * row_bytes).map_err(|_| {
            let reason =
                "The rows of these trees take more memory than the node has for questions.";
            ComputeError::Refused(Refusal::new(
                RefusalCode::TooLarge,
                "model",
                reason,
                "Fit fewer columns or fewer stays.",
            ))
        })?;
    }
    Ok((reader, binned, memory))
}

/// One group for each asked node and feature, as wide as the feature with the most bins.
fn histograms(rows: &mut Rows, growth: &Growth, asked: &[Asked]) -> Vec<PartialGroup> {
    let width = growth.measure().bins();
    let nodes = rows.nodes(growth, asked);
    let mut groups = Vec::new();
    for NodeSums { rows, persons, sets, features } in nodes {
        for feature in features {
            let place = groups.len();
            let mut bins = Vec::with_capacity(width * feature.tallies.len());
            for tally in &feature.tallies {
                bins.extend_from_slice(tally);
                bins.resize(bins.len() + width - tally.len(), 0);
            }
            groups.push(PartialGroup {
                key: vec![Some(place.to_string())],
                rows,
                stays: rows,
                persons,
                cells: feature.cells(width),
                supports: vec![sets.iter().copied().collect::<Support>()],
                bins,
            });
        }
    }
    // Whoever has nobody in a node may have somebody in its sibling, and that must be counted.
    let counts = |group: &PartialGroup| {
        let sets = group.supports.iter().flat_map(Support::sets);
        sets.chain(&group.bins).any(|persons| *persons > 0)
    };
    groups.retain(|group| group.rows > 0 || counts(group));
    groups
}

/// What was observed and what the trees expect, as a model of an intercept tells it whose offset the
/// trees are; in the unit of the fit.
fn totals(
    rows: &mut Rows,
    growth: &Growth,
    pooled: bool,
    cap: u32,
) -> Result<Vec<PartialGroup>, ComputeError> {
    let number = |input| Number { input, transform: Transform::Identity };
    let event = growth.is_event();
    let link: Link = learn::boost::link_of(growth.family);
    // Places 1, with the event, and 2, without it; 0 is NULL.
    let flag = Domain::Numbered(3);
    let step = Step {
        factors: if event { vec![flag] } else { Vec::new() },
        response: if event { Response::Level(0, 1) } else { Response::Number(number(0)) },
        unit: 1.0,
        weight: None,
        offset: Some(number(1)),
        columns: vec![Column::default()],
        family: growth.family,
        link,
        ask: if pooled { Ask::Final } else { Ask::Totals },
        at: At {
            coefficients: vec![0.0],
            shape: 1.0,
            null_mean: link.mean(growth.start).mu,
            inverse: Vec::new(),
            before: Vec::new(),
        },
    };
    let plan = Plan::new(step).map_err(engine_error)?;
    let mut kernel = Kernel::new(Arc::new(plan), cap);
    for Scored { responses, predictors, persons } in rows.scored(growth) {
        let places = responses.iter().map(|y| if *y >= 1.0 { 1 } else { 2 }).collect();
        let factors = if event { vec![places] } else { Vec::new() };
        let inputs = [responses.to_vec(), predictors.to_vec()];
        let batch = Batch { factors: &factors, inputs: &inputs, persons };
        kernel.add(&batch).map_err(|error| refuse_kernel(error.into()))?;
    }
    let sums = kernel.finish().into_iter().filter(|sum| sum.place < Scalar::ALL.len());
    Ok(sums.map(group_of).collect())
}
