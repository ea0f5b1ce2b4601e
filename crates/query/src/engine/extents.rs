//! The values that ordered columns of a snapshot have: where a condition that cuts nothing away begins and ends.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use model::schema::{Column, ColumnType, table};
use privacy::Partial;
use privacy::sketch::{Extent, Frame};
use time::OffsetDateTime;
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

fn full_name(column: &Column) -> String {
    format!("{STAY}.{}", column.name)
}

fn times() -> impl Iterator<Item = &'static Column> {
    let columns = table(STAY).into_iter().flat_map(|table| table.columns);
    columns.filter(|column| column.column_type == ColumnType::Timestamp)
}

/// Start and end of the month in which `seconds` lies; `None` beyond the calendar.
fn month_of(seconds: i64) -> Option<(i64, i64)> {
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok()?.date();
    let start = date.replace_day(1).ok()?;
    let length = start.month().length(start.year());
    let start = start.midnight().assume_utc().unix_timestamp();
    Some((start, start + i64::from(length) * 86_400))
}

impl Engine {
    /// The same with where it stands among other requests: the gate for own cells looks at it, and the witness is
    /// told of it under other names.
    pub(super) async fn framed(
        &self,
        partial: Partial,
        prepared: &Prepared,
    ) -> Result<Partial, ComputeError> {
        if !partial.admitted().is_compared() {
            return Ok(partial);
        }
        let extents = self.extents().await?.clone();
        Ok(partial.framed(Frame { extents, ..prepared.frame.clone() }))
    }

    async fn extents(&self) -> Result<&BTreeMap<String, Extent>, ComputeError> {
        self.found.extents.get_or_try_init(|| self.find_extents()).await
    }

    /// The months in which the times of stays lie, from the start of the first to the end of the last: in seconds
    /// since 1970, by column. Found once for a snapshot.
    ///
    /// # Errors
    /// [`ComputeError::Engine`] when the snapshot cannot be read.
    pub async fn months(&self) -> Result<BTreeMap<String, Extent>, ComputeError> {
        let mut months = self.extents().await?.clone();
        months.retain(|name, _| times().any(|column| *name == full_name(column)));
        for extent in months.values_mut() {
            extent.least = month_of(extent.least).map_or(i64::MIN, |(start, _)| start);
            extent.most = month_of(extent.most).map_or(i64::MAX, |(_, end)| end - 1);
        }
        Ok(months)
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
                let extent = extents.entry(full_name(column)).or_insert(nobody);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_and_ends_where_the_calendar_says() {
        // 2024-02-29T12:00:00Z, 1969-12-31T23:59:59Z.
        assert_eq!(month_of(1_709_208_000), Some((1_706_745_600, 1_709_251_200)));
        assert_eq!(month_of(-1), Some((-31 * 86_400, 0)));
        assert_eq!(month_of(i64::MAX), None);
    }
}
