//! The same work for every hospital, two hospitals at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::exit::Failure;

const WORKERS: usize = 2;

/// Does `work` for each item. After a failure nothing new is begun, and the first is returned.
pub(super) fn each<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let worker = || {
        let mut done = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(position) else { break };
            let result = work(item);
            if result.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            done.push((position, result));
        }
        done
    };
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::with_capacity(items.len());
        for worker in workers {
            match worker.join() {
                Ok(done) => all.extend(done),
                Err(_) => return Err(Failure::Internal("a worker thread panicked".to_owned())),
            }
        }
        Ok(all)
    })?;
    all.sort_by_key(|(position, _)| *position);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order_and_a_failure_stops() {
        let items: Vec<usize> = (0..50).collect();
        assert_eq!(each(&items, |n| Ok(n * 2)).unwrap()[49], 98);
        let failing = |n: &usize| match n {
            7 => Err(Failure::Data("seven".to_owned())),
            n => Ok(*n),
        };
        assert_eq!(each(&items, failing).unwrap_err().to_string(), "seven");
    }
}
