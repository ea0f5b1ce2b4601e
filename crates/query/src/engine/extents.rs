//! The values that ordered columns of a snapshot have: where a condition that cuts nothing away begins and ends.

use std::collections::BTreeMap;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use model::schema::{Column, ColumnType, DRG_SCHEME, Kind, table};
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
    values: OnceCell<Values>,
}

/// The values that columns have, by their names in a relation.
#[derive(Debug, Clone, Default)]
struct Values {
    extents: BTreeMap<String, Extent>,
    /// Of columns that have one value in all rows.
    constants: BTreeMap<String, String>,
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
        let Values { extents, constants } = self.values().await?.clone();
        Ok(partial.framed(Frame { extents, constants, ..prepared.frame.clone() }))
    }

    async fn values(&self) -> Result<&Values, ComputeError> {
        self.found.values.get_or_try_init(|| self.find_values()).await
    }

    /// The grouper scheme that all stays have, by its column; none when there are several, or stays without. No
    /// other value that all stays have is told to anybody.
    ///
    /// # Errors
    /// [`ComputeError::Engine`] when the snapshot cannot be read.
    pub async fn scheme(&self) -> Result<BTreeMap<String, String>, ComputeError> {
        let mut constants = self.values().await?.constants.clone();
        constants.retain(|column, _| *column == format!("{STAY}.{DRG_SCHEME}"));
        Ok(constants)
    }

    /// The months in which the times of stays lie, from the start of the first to the end of the last: in seconds
    /// since 1970, by column. Found once for a snapshot.
    ///
    /// # Errors
    /// [`ComputeError::Engine`] when the snapshot cannot be read.
    pub async fn months(&self) -> Result<BTreeMap<String, Extent>, ComputeError> {
        let mut months = self.values().await?.extents.clone();
        months.retain(|name, _| times().any(|column| *name == full_name(column)));
        for extent in months.values_mut() {
            extent.least = month_of(extent.least).map_or(i64::MIN, |(start, _)| start);
            extent.most = month_of(extent.most).map_or(i64::MAX, |(_, end)| end - 1);
        }
        Ok(months)
    }

    async fn find_values(&self) -> Result<Values, ComputeError> {
        let columns = || table(STAY).into_iter().flat_map(|table| table.columns);
        let ordered: Vec<_> = columns().filter(|column| is_ordered(column)).collect();
        let is_text = |column: &&Column| column.column_type == ColumnType::Text;
        let texts: Vec<_> =
            columns().filter(is_text).filter(|column| column.kind == Kind::Dimension).collect();
        let names: Vec<_> = ordered.iter().chain(&texts).map(|column| column.name).collect();
        let state = self.context.state();
        let plan = plan_query(&state, &format!("SELECT {} FROM {STAY}", names.join(", "))).await?;
        let plan = state.create_physical_plan(&plan).await.map_err(|error| failed(&error))?;
        let mut stream =
            execute_stream(plan, self.context.task_ctx()).map_err(|error| failed(&error))?;
        let mut extents = BTreeMap::<String, Extent>::new();
        let mut constants: Vec<Constant> = vec![Constant::Unseen; texts.len()];
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| failed(&error))?;
            let (numbers, codes) = batch.columns().split_at(ordered.len());
            for (column, values) in ordered.iter().zip(numbers) {
                let nobody = Extent { least: i64::MAX, most: i64::MIN, nulls: false };
                let extent = extents.entry(full_name(column)).or_insert(nobody);
                *extent = widened(*extent, column, values)?;
            }
            for (constant, values) in constants.iter_mut().zip(codes) {
                constant.see(values)?;
            }
        }
        // A column without values has no stretch.
        extents.retain(|_, extent| extent.least <= extent.most);
        let constants =
            texts.iter().zip(constants).filter_map(|(column, constant)| match constant {
                Constant::Always(label) => Some((full_name(column), label)),
                Constant::Unseen | Constant::Never => None,
            });
        Ok(Values { extents, constants: constants.collect() })
    }
}

/// The extent with these values too.
fn widened(extent: Extent, column: &Column, values: &ArrayRef) -> Result<Extent, ComputeError> {
    let wrong = || ComputeError::Engine(format!("{} is no number", column.name));
    let whole = cast(values, &DataType::Int64).map_err(|_| wrong())?;
    let whole = whole.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    // What is not whole was cut.
    let slack = i64::from(matches!(column.column_type, ColumnType::Money | ColumnType::Float));
    let nulls = extent.nulls || values.null_count() > 0;
    Ok(match (min(whole), max(whole)) {
        (Some(least), Some(most)) => Extent {
            least: extent.least.min(least - slack),
            most: extent.most.max(most + slack),
            nulls,
        },
        _ => Extent { nulls, ..extent },
    })
}

/// Whether a column has one value in all rows.
#[derive(Debug, Clone)]
enum Constant {
    Unseen,
    Always(String),
    Never,
}

impl Constant {
    /// Looks at further rows.
    fn see(&mut self, values: &ArrayRef) -> Result<(), ComputeError> {
        if matches!(self, Self::Never) || values.is_empty() {
            return Ok(());
        }
        let text = cast(values, &DataType::Utf8)
            .map_err(|error| ComputeError::Engine(error.to_string()))?;
        let text = text.as_string::<i32>();
        let label = match self {
            Self::Always(label) => Some(label.clone()),
            Self::Unseen | Self::Never => text.iter().next().flatten().map(str::to_owned),
        };
        // A row without a value is one that a condition leaves out.
        let label = label.filter(|label| text.iter().all(|value| value == Some(label.as_str())));
        *self = label.map_or(Self::Never, Self::Always);
        Ok(())
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
