//! The same work on many hospitals, on all cores.
//!
//! A round of a hundred hospitals is hundreds of key agreements and signatures, while the nodes
//! and the coordinator wait for the witness and for nothing else.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::LazyLock;
use std::thread::{Builder, available_parallelism, scope};

/// Fewer items than this are done sooner than a thread begins.
const FEWEST_ITEMS: usize = 4;

/// Asking the system takes longer than a key agreement.
static CORES: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get));

/// What `work` makes of each item, in their order.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let share = items.len().div_ceil(*CORES).max(FEWEST_ITEMS);
    if items.len() <= share {
        return items.iter().map(work).collect();
    }
    scope(|scope| {
        let (first, others) = items.split_at(share);
        let work = &work;
        let mut begun = Vec::new();
        for part in others.chunks(share) {
            let all = move || part.iter().map(work).collect::<Vec<R>>();
            begun.push((part, Builder::new().spawn_scoped(scope, all)));
        }
        let mut done: Vec<R> = first.iter().map(work).collect();
        for (part, thread) in begun {
            match thread {
                Ok(thread) => {
                    done.extend(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                }
                // The system has no thread to spare.
                Err(_) => done.extend(part.iter().map(work)),
            }
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, FEWEST_ITEMS, FEWEST_ITEMS + 1, 100, 1_001] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(
                each(&items, |item| item * 3),
                (0..count).map(|i| i * 3).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    #[should_panic(expected = "item 99")]
    fn a_panic_is_not_lost() {
        let items: Vec<usize> = (0..100).collect();
        each(&items, |item| assert!(*item < 99, "item {item}"));
    }
}
