//! The values that ordered columns of a snapshot have: where a condition that cuts nothing away begins and ends.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use model::schema::{ColumnType, table};
use privacy::Partial;
use privacy::request::Scope;
use privacy::sketch::{Extent, Frame};
use tokio::sync::OnceCell;

use super::{ComputeError, Engine, Prepared, failed, largest};
use crate::session::plan_query;
use crate::walk::is_ordered;

/// What is found once for each snapshot, when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) largest: largest::Kept,
    /// By column, as a relation names it.
    extents: OnceCell<BTreeMap<String, Extent>>,
}

/// The table whose columns are looked at.
const STAY: &str = "stay";

impl Engine {
    /// The same with where it stands among other requests, which the gate for own cells looks at.
    pub(super) async fn framed(
        &self,
        partial: Partial,
        prepared: &Prepared,
    ) -> Result<Partial, ComputeError> {
        if partial.admitted().request().scope() == Scope::Pooled {
            return Ok(partial);
        }
        let extents = self.found.extents.get_or_try_init(|| self.find_extents()).await?.clone();
        Ok(partial.framed(Frame { extents, ..prepared.frame.clone() }))
    }

    async fn find_extents(&self) -> Result<BTreeMap<String, Extent>, ComputeError> {
        let columns = table(STAY).into_iter().flat_map(|table| table.columns);
        let columns: Vec<_> = columns.filter(|column| is_ordered(column)).collect();
        let names: Vec<_> = columns.iter().map(|column| column.name).collect();
        let state = self.context.state();
        let plan = plan_query(&state, &format!("SELECT {} FROM {STAY}", names.join(", "))).await?;
        let plan = state.create_physical_plan(&plan).await.map_err(|error| failed(&error))?;
        let mut stream =
            execute_stream(plan, self.context.task_ctx()).map_err(|error| failed(&error))?;
        let mut extents = BTreeMap::<String, Extent>::new();
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| failed(&error))?;
            for (column, values) in columns.iter().zip(batch.columns()) {
                let wrong = || ComputeError::Engine(format!("{} is no number", column.name));
                let whole = cast(values, &DataType::Int64).map_err(|_| wrong())?;
                let whole = whole.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
                // What is not whole was cut.
                let slack =
                    i64::from(matches!(column.column_type, ColumnType::Money | ColumnType::Float));
                let nobody = Extent { least: i64::MAX, most: i64::MIN, nulls: false };
                let name = format!("{STAY}.{}", column.name);
                let extent = extents.entry(name).or_insert(nobody);
                extent.nulls |= values.null_count() > 0;
                if let (Some(least), Some(most)) = (min(whole), max(whole)) {
                    extent.least = extent.least.min(least - slack);
                    extent.most = extent.most.max(most + slack);
                }
            }
        }
        // A column without values has no stretch.
        extents.retain(|_, extent| extent.least <= extent.most);
        Ok(extents)
    }
}
