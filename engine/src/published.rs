//! The head, published so that reading it takes no lock, allocates nothing and never waits.

use flow_history_flow::mistake;
use flow_history_replay::FlowVersionId;

use crate::sync::atomic::{AtomicU64, Ordering, fence};

/// How many heads are kept. A reader that is interrupted in the middle of reading one reads again only if this many were
/// published meanwhile. In the tests few, so that schedules lap readers.
const RING: u64 = if cfg!(test) { 4 } else { 64 };

/// By how much the sequence word grows with each version: the bytes of a slot, so that its place in the ring is cut out of
/// the word as it is.
const STEP: u64 = size_of::<Slot>() as u64;

/// The newest version, in a ring of two-word slots published by one sequence word.
///
/// Not a seqlock: a writer that is parked in the middle of publishing holds up no reader, because it writes a slot that
/// no sequence number leads to yet.
pub(crate) struct Published {
    sequence: AtomicU64,
    slots: [Slot; RING as usize],
}

/// One published version, on a cache line of its own: writing the next one takes no line from those who read this one.
#[derive(Default)]
#[repr(align(64))]
struct Slot([AtomicU64; 2]);

impl Published {
    pub(crate) fn new(id: FlowVersionId) -> Self {
        let published = Self::undeclared();
        published.publish(id);
        published
    }

    /// A ring that nothing was published in yet.
    pub(crate) fn undeclared() -> Self {
        Self { sequence: AtomicU64::new(0), slots: std::array::from_fn(|_| Default::default()) }
    }

    /// The newest version, where one was ever published.
    #[inline]
    pub(crate) fn load_declared(&self) -> Option<FlowVersionId> {
        (self.sequence.load(Ordering::Relaxed) > 0).then(|| self.load())
    }

    /// Publishes a version. One thread at a time.
    pub(crate) fn publish(&self, id: FlowVersionId) {
        let next = self.next();
        if mistake::is_made("a version is announced before it is written") {
            self.announce(next);
        }
        self.write(next, id);
        self.announce(next);
    }

    fn next(&self) -> u64 {
        self.sequence.load(Ordering::Relaxed) + STEP
    }

    /// Writes a version into the slot that comes next, which nothing leads to yet.
    fn write(&self, next: u64, id: FlowVersionId) {
        let (high, low) = id.to_words();
        if let Some(Slot([high_word, low_word])) = self.slot(next) {
            // ORDER: a reader that sees a word of this slot's new content must also see the sequence numbers published
            // before it, by which it knows that it was lapped.
            fence(Ordering::Release);
            high_word.store(high, Ordering::Relaxed);
            low_word.store(low, Ordering::Relaxed);
        }
    }

    fn announce(&self, next: u64) {
        self.sequence.store(next, Ordering::Release);
    }

    fn slot(&self, sequence: u64) -> Option<&Slot> {
        self.slots.get((sequence / STEP % RING) as usize)
    }

    /// The newest version.
    #[inline]
    pub(crate) fn load(&self) -> FlowVersionId {
        let seen = self.sequence.load(Ordering::Acquire);
        if let Some(Slot([high_word, low_word])) = self.slot(seen) {
            let (high, low) = (high_word.load(Ordering::Relaxed), low_word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            // Nearly always nothing was published meanwhile, which is quicker to see than how much was.
            if self.sequence.load(Ordering::Relaxed) == seen {
                return FlowVersionId::of_words(high, low);
            }
        }
        self.load_beside_a_writer()
    }

    /// The newest version, while others are published.
    #[cold]
    fn load_beside_a_writer(&self) -> FlowVersionId {
        loop {
            let seen = self.sequence.load(Ordering::Acquire);
            if let Some(Slot([high_word, low_word])) = self.slot(seen) {
                let (high, low) = (high_word.load(Ordering::Relaxed), low_word.load(Ordering::Relaxed));
                fence(Ordering::Acquire);
                // The slot is written again for the version RING after `seen`, after the one before that was published.
                if self.sequence.load(Ordering::Relaxed) - seen < (RING - 1) * STEP {
                    return FlowVersionId::of_words(high, low);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Published, RING};
    use crate::schedules::{is_caught, try_schedules};
    use crate::sync::thread;
    use flow_history_replay::{Chain, FlowVersionId, Seq};

    fn id(seq: u64) -> FlowVersionId {
        let mut chain = [0; 32];
        chain[..8].copy_from_slice(&seq.to_be_bytes());
        chain[8..16].copy_from_slice(&seq.to_le_bytes());
        FlowVersionId::new(Seq(seq), &Chain(chain))
    }

    /// A writer publishes more versions than the ring holds, while two others read.
    fn readers_beside_a_writer(publish: impl Fn(&Published, FlowVersionId) + Send + 'static) {
        let published = Arc::new(Published::new(id(0)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    let mut last = Seq(0);
                    for _ in 0..3 {
                        let seen = published.load();
                        assert_eq!(seen, id(seen.seq().0), "a torn version");
                        assert!(seen.seq() >= last, "{last:?}, then {seen}");
                        last = seen.seq();
                    }
                })
            })
            .collect();
        (1..=2 * RING + 1).for_each(|seq| publish(&published, id(seq)));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(published.load(), id(2 * RING + 1));
    }

    #[test]
    fn a_reader_sees_whole_versions_in_order_while_a_writer_publishes() {
        try_schedules("readers beside a writer", || readers_beside_a_writer(Published::publish));
    }

    #[test]
    fn a_version_that_is_announced_before_it_is_written_is_caught() {
        let careless = |published: &Published, id| {
            let next = published.next();
            published.announce(next);
            published.write(next, id);
        };
        assert!(is_caught(move || readers_beside_a_writer(careless)));
    }

    #[test]
    fn a_writer_that_is_parked_while_it_publishes_holds_nobody_up() {
        try_schedules("a parked writer", || {
            let published = Arc::new(Published::new(id(1)));
            for seq in 2..3 * RING {
                let next = published.next();
                published.write(next, id(seq));
                // Parked here for as long as it takes: readers see what was published before, and do not wait.
                let readers = [0, 1].map(|_| {
                    let beside = Arc::clone(&published);
                    thread::spawn(move || assert_eq!(beside.load(), id(seq - 1)))
                });
                readers.into_iter().for_each(|reader| reader.join().unwrap());
                published.announce(next);
                assert_eq!(published.load(), id(seq));
            }
        });
    }
}
