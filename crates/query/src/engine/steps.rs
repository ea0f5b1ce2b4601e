//! Steps of fitting a model: what is checked of them, and how partitions are added up.

use std::sync::Arc;

use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt as _;
use learn::kernel::Plan;
use model::{Refusal, RefusalCode};
use privacy::request::ReleaseRequest;
use privacy::{Admitted, Partial, Step};
use tokio::task::JoinSet;

use super::{ComputeError, Engine, Prepared, refuse_kernel};
use crate::kernel::step::{Reader, StepKernel};

/// A step made ready for rows.
pub(super) fn plan(step: &Step) -> Result<Arc<Plan>, ComputeError> {
    let plan = Plan::new(step.clone()).map_err(|error| {
        ComputeError::Refused(Refusal::new(RefusalCode::TooLarge, "model", error.to_string(), ""))
    });
    plan.map(Arc::new)
}

impl Engine {
    /// The sums of a step of fitting a model.
    pub(super) async fn step(
        &self,
        prepared: &Prepared,
        admitted: Admitted,
        plan: &Arc<Plan>,
    ) -> Result<Partial, ComputeError> {
        let (thresholds, inputs) = (admitted.thresholds(), admitted.request().inputs().len());
        let (cap, selectivity) = (thresholds.persons_cap(), thresholds.selectivity);
        let factors = &plan.step().factors;
        let empty = || {
            let reader = Reader::new(factors, inputs, selectivity, Arc::clone(&self.marks));
            StepKernel::new(plan, cap, reader)
        };
        let mut kernels = JoinSet::new();
        for stream in self.streams(prepared).await? {
            kernels.spawn(consume_step(stream, empty()));
        }
        let mut whole: Option<StepKernel> = None;
        while let Some(joined) = kernels.join_next().await {
            let kernel = joined.map_err(|error| ComputeError::Engine(error.to_string()))??;
            match &mut whole {
                None => whole = Some(kernel),
                Some(whole) => whole.merge(&kernel).map_err(refuse_kernel)?,
            }
        }
        let whole = whole.unwrap_or_else(empty);
        let selected = whole.selected_persons();
        let selective = prepared.checked.selective;
        let (groups, population) = whole.into_parts();
        Ok(Partial::new(admitted, groups, population, selected, selective))
    }
}

impl Prepared {
    /// A model is about columns of stays, each stay once: nothing is told apart that the gate does not
    /// know of.
    pub(super) fn check_fitting(
        &self,
        supports: u32,
        request: &ReleaseRequest,
    ) -> Result<(), Refusal> {
        if request.supports() != [supports] {
            let reason = "The step does not count the sets of persons behind its sums.";
            return Err(Refusal::new(RefusalCode::Request, "supports", reason, ""));
        }
        if !self.bare || !self.checked.one_row_per_stay {
            return Err(Refusal::new(
                RefusalCode::Model,
                "relation",
                "A model is about columns of stay, and of no other table.",
                "Transform numbers in the formula: log(x), sqrt(x), x^2.",
            ));
        }
        Ok(())
    }
}

async fn consume_step(
    mut stream: SendableRecordBatchStream,
    mut kernel: StepKernel,
) -> Result<StepKernel, ComputeError> {
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| ComputeError::Engine(error.strip_backtrace()))?;
        kernel.add(&batch).map_err(refuse_kernel)?;
    }
    Ok(kernel)
}
