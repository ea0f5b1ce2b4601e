//! The second phase of a discovery: which codes this hospital can name, and in which buckets.
//!
//! What is returned is still inside the hospital. The node gives away only the codes of buckets
//! that the witness has opened, hidden as [`mod@privacy::discover`] says.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use model::{Refusal, RefusalCode};
use privacy::domain::{MAX_CODE_BYTES, bucket, prefix};
use privacy::{Admitted, Domain};

use super::{ComputeError, Engine, refuse_kernel};

/// The codes that a hospital holds, by their bucket.
pub type Codes = BTreeMap<u32, Vec<String>>;

fn refuse(reason: &str) -> ComputeError {
    ComputeError::Refused(Refusal::new(RefusalCode::Request, "discovery", reason, ""))
}

impl Engine {
    /// The codes of an admitted discovery by bucket, ascending: those for which this hospital
    /// holds at least `local_minimum` distinct persons and stays. NULL is not a code, and a text
    /// longer than codes are cannot be listed.
    ///
    /// # Errors
    /// [`ComputeError`]: a refusal when the request is no discovery, or a failure of the engine.
    pub fn codes(
        &self,
        admitted: Admitted,
        local_minimum: u32,
    ) -> BoxFuture<'_, Result<Codes, ComputeError>> {
        Box::pin(self.codes_unboxed(admitted, local_minimum))
    }

    async fn codes_unboxed(
        &self,
        admitted: Admitted,
        local_minimum: u32,
    ) -> Result<Codes, ComputeError> {
        let request = admitted.request();
        let ([Domain::Buckets { bits, level, salt }], []) = (request.domains(), request.measures())
        else {
            return Err(refuse("The request does not count one dimension's codes in buckets."));
        };
        let prepared = self.prepare(&admitted).await?;
        // Without places, groups are known by the codes themselves.
        let mut spec = prepared.spec(&admitted, Arc::from([]), None);
        spec.cap = spec.cap.max(local_minimum);
        let minimum = u64::from(local_minimum);
        let mut names = BTreeMap::<String, (u64, u64)>::new();
        for group in self.run(&prepared, &spec).await?.into_parts().map_err(refuse_kernel)?.0 {
            let [Some(code)] = group.key.as_slice() else { continue };
            let Some(code) = prefix(code, *level).filter(|code| code.len() <= MAX_CODE_BYTES)
            else {
                continue;
            };
            // Of the persons with several codes below one ancestor nothing is known here but that
            // they are no fewer than those with one.
            let (persons, stays) = names.entry(code.to_owned()).or_default();
            (*persons, *stays) = (group.persons.max(*persons), stays.saturating_add(group.stays));
        }
        let mut codes = Codes::new();
        for (code, (persons, stays)) in names {
            // A bucket has at most `MAX_BUCKET_BITS` bits.
            let bucket = u32::try_from(bucket(salt, Some(&code), *bits));
            if let (true, Ok(bucket)) = (persons >= minimum && stays >= minimum, bucket) {
                codes.entry(bucket).or_default().push(code);
            }
        }
        Ok(codes)
    }
}
