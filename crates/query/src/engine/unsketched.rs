//! Cells without the populations behind them: what the benchmark compares with.

use futures::future::BoxFuture;
use privacy::{Admitted, Partial};

use super::{ComputeError, Engine};

impl Engine {
    /// Computes the cells of an admitted request without saying who is behind them. The gate tells nothing of
    /// such cells ([`privacy::release`]), so this is good for nothing but measuring what the populations cost.
    ///
    /// # Errors
    /// [`ComputeError`], as [`Engine::compute`].
    pub fn compute_unsketched(
        &self,
        admitted: Admitted,
    ) -> BoxFuture<'_, Result<Partial, ComputeError>> {
        Box::pin(async move {
            let prepared = self.prepare(&admitted).await?;
            self.cells(&prepared, admitted, None).await
        })
    }
}
