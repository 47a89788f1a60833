//! Work in parts, which a second thread takes a share of.

use std::sync::{Mutex, PoisonError};
use std::{panic, thread};

/// Parts that are still to be done, for whoever comes.
pub(crate) struct Parts<P>(Mutex<std::iter::Enumerate<std::vec::IntoIter<P>>>);

impl<P> Parts<P> {
    pub(crate) fn new(parts: Vec<P>) -> Self {
        Self(Mutex::new(parts.into_iter().enumerate()))
    }

    /// Does parts until none is left that nobody took, from an end on. Each result comes with the place of its part.
    pub(crate) fn work<R>(&self, from: End, each: impl Fn(P) -> R) -> Vec<(usize, R)> {
        let take = || {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match from {
                End::First => left.next(),
                End::Last => left.next_back(),
            }
        };
        std::iter::from_fn(take).map(|(at, part)| (at, each(part))).collect()
    }
}

/// From which end a thread does what is to be done. One thread takes the first parts and the other the last, each time: what
/// a thread made is its own to change and to let go of, and an allocator has one of them wait for the other where it is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The thread that asked.
    First,
    /// The one that helps it.
    Last,
}

/// What two threads made of parts, in the order of the parts.
pub(crate) fn in_order<R>(mut one: Vec<(usize, R)>, other: Vec<(usize, R)>) -> impl Iterator<Item = R> {
    one.extend(other);
    one.sort_unstable_by_key(|(at, _)| *at);
    one.into_iter().map(|(_, result)| result)
}

/// Does `there` on a second thread and `here` on this one. A thread that cannot be started is one that does not help.
pub fn both<T: Send, H>(there: impl FnOnce() -> T + Send, here: impl FnOnce() -> H) -> (H, Option<T>) {
    thread::scope(|scope| {
        let second = thread::Builder::new().spawn_scoped(scope, there);
        let here = here();
        let there = second.ok().map(|second| second.join().unwrap_or_else(|why| panic::resume_unwind(why)));
        (here, there)
    })
}

/// What `each` makes of parts, in their order, on this thread and, where there are several, on a second one.
pub(crate) fn on_both<P: Send, R: Send>(parts: Vec<P>, each: impl Fn(P) -> R + Sync) -> Vec<R> {
    if parts.len() < 2 {
        return parts.into_iter().map(each).collect();
    }
    let parts = Parts::new(parts);
    let (here, there) = both(|| parts.work(End::Last, &each), || parts.work(End::First, &each));
    in_order(here, there.unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::on_both;

    #[test]
    fn every_part_is_done_once_and_results_are_in_their_order() {
        for count in [0, 1, 2, 3, 1_000] {
            let done = AtomicUsize::new(0);
            let results = on_both((0..count).collect(), |part: usize| {
                done.fetch_add(1, Ordering::Relaxed);
                part * 2
            });
            assert_eq!(results, (0..count).map(|part| part * 2).collect::<Vec<_>>());
            assert_eq!(done.into_inner(), count);
        }
    }

    #[test]
    #[should_panic(expected = "on purpose")]
    fn a_panic_on_either_thread_is_the_callers() {
        on_both((0..100).collect(), |part: usize| assert_ne!(part, 57, "on purpose"));
    }
}
