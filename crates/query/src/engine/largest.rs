//! The most that one person has in a column of amounts: what lets a sum pass the rule of dominance without a
//! look at each person.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::{Decimal128Type, UInt32Type};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt as _;
use model::moments::Scale;
use model::schema::{Column, ColumnType, MONEY_SCALE, PERSON_KEY, Table};
use privacy::Admitted;
use privacy::request::Scope;

use super::{ComputeError, Engine, Prepared, failed};
use crate::kernel::Totalled;
use crate::session::plan_query;

/// By table and column; found once for each snapshot.
pub(super) type Kept = Mutex<HashMap<(&'static str, &'static str), u128>>;

impl Engine {
    /// What the rule of dominance needs of each input; `None` when the request's sums are not judged by it
    /// here.
    pub(super) async fn shares(
        &self,
        prepared: &Prepared,
        admitted: &Admitted,
    ) -> Result<Option<Totalled>, ComputeError> {
        let rule = admitted.thresholds().dominance;
        if admitted.request().scope() == Scope::Pooled || rule.is_off() {
            return Ok(None);
        }
        let in_units =
            |scale| matches!(scale, Scale::Decimal(d) if i16::from(d) == i16::from(MONEY_SCALE));
        let mut most = Vec::new();
        for (input, column) in admitted.request().inputs().iter().zip(&prepared.summed) {
            let amount = column.filter(|(_, column)| column.column_type == ColumnType::Money);
            most.push(match amount.filter(|_| in_units(input.scale)) {
                Some((table, column)) => Some(self.most(table, column).await?),
                None => None,
            });
        }
        Ok(Some(Totalled { rule, most }))
    }

    /// The largest sum of absolute amounts of one person in a whole column.
    async fn most(
        &self,
        table: &'static Table,
        column: &'static Column,
    ) -> Result<u128, ComputeError> {
        let key = (table.name, column.name);
        let known =
            self.found.largest.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        let state = self.context.state();
        let sql = format!("SELECT {PERSON_KEY}, {} FROM {}", column.name, table.name);
        let plan = plan_query(&state, &sql).await?;
        let plan = state.create_physical_plan(&plan).await.map_err(|error| failed(&error))?;
        let mut stream =
            execute_stream(plan, self.context.task_ctx()).map_err(|error| failed(&error))?;
        let mut totals: Vec<u128> = Vec::new();
        let other = || ComputeError::Engine("a column of amounts has another type".to_owned());
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|error| failed(&error))?;
            let persons = batch.column(0).as_primitive_opt::<UInt32Type>().ok_or_else(other)?;
            let amounts = batch.column(1).as_primitive_opt::<Decimal128Type>().ok_or_else(other)?;
            for (row, person) in persons.values().iter().enumerate() {
                let person = *person as usize;
                if totals.len() <= person {
                    totals.resize(person + 1, 0);
                }
                if amounts.is_valid(row) {
                    totals[person] =
                        totals[person].saturating_add(amounts.value(row).unsigned_abs());
                }
            }
        }
        let most = totals.into_iter().max().unwrap_or(0);
        self.found.largest.lock().unwrap_or_else(PoisonError::into_inner).insert(key, most);
        Ok(most)
    }
}
