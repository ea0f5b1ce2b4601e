//! Plain DataFusion over the files of several snapshots: the yardstick of tests and benchmarks.
//!
//! It has no gate and no policy. Nothing in a node, coordinator or client uses it on real data.

mod unite;

pub use unite::unite;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::future::BoxFuture;
use model::schema::{TABLES, Table};

use crate::catalog::arrow_schema;
use crate::engine::listing;

/// Texts as views: DataFusion groups by them faster than by the dictionaries that nodes use.
fn plain_schema(table: &Table) -> SchemaRef {
    let plain = |field: &FieldRef| match field.data_type() {
        DataType::Dictionary(..) => {
            Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
        }
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(arrow_schema(table).fields().iter().map(plain).collect::<Fields>()))
}

/// One session over all files.
pub struct Pooled {
    context: SessionContext,
}

impl std::fmt::Debug for Pooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pooled").finish_non_exhaustive()
    }
}

/// The yardstick failed.
#[derive(Debug, thiserror::Error)]
#[error("pooled query failed: {0}")]
pub struct PooledError(String);

impl Pooled {
    /// Opens the tables of all snapshot folders as one, on `threads` cores. A key means one thing in
    /// one folder: what joins tables of several needs [`unite`] before.
    ///
    /// # Errors
    /// [`PooledError`] when a file cannot be opened.
    pub fn open(folders: &[PathBuf], threads: usize) -> Result<Self, PooledError> {
        let mut config = SessionConfig::new().with_target_partitions(threads);
        config.options_mut().execution.parquet.pushdown_filters = true;
        config.options_mut().execution.parquet.reorder_filters = true;
        let context = SessionContext::new_with_config(config);
        for table in TABLES {
            let files = folders.iter().map(|folder| folder.join(format!("{}.parquet", table.name)));
            let files: Vec<_> = files.collect();
            let provider =
                listing(&context.state(), &files, plain_schema(table)).map_err(PooledError)?;
            context
                .register_table(table.name, Arc::new(provider))
                .map_err(|error| PooledError(error.strip_backtrace()))?;
        }
        Ok(Self { context })
    }

    /// Runs `sql` and returns all batches.
    ///
    /// # Errors
    /// [`PooledError`] with DataFusion's own text.
    pub fn query<'a>(
        &'a self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<Vec<RecordBatch>, PooledError>> {
        Box::pin(self.query_unboxed(sql))
    }

    async fn query_unboxed(&self, sql: &str) -> Result<Vec<RecordBatch>, PooledError> {
        let failed =
            |error: datafusion::common::DataFusionError| PooledError(error.strip_backtrace());
        let frame = self.context.sql(sql).await.map_err(failed)?;
        frame.collect().await.map_err(failed)
    }
}
