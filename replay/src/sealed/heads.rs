//! The heads of a block: when its entries were made, and which slots they touched.

use super::block::BlockStart;
use super::grammar::Ints;
use super::integer::Broken;
use super::stored::{EARLY, Stored};

/// The heads of a block, and whatever else of it was read.
pub(crate) struct Heads {
    pub(crate) start: BlockStart,
    pub(crate) columns: Stored,
}

/// How much of the columns that say what was touched the entries before one take.
#[derive(Clone, Copy, Default)]
pub(crate) struct Touched {
    /// The entry.
    pub(crate) at: usize,
    pub(crate) changes: usize,
    pub(crate) operations: usize,
    pub(crate) slots: usize,
    pub(crate) adds: usize,
    /// The slot that the next add takes.
    pub(crate) next_slot: u32,
}

/// What one operation touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Touch {
    /// The place of its entry in the block.
    pub(crate) at: usize,
    pub(crate) slot: u32,
    /// Whether the slot was given out for it.
    pub(crate) is_new: bool,
    /// Whether it is an add or a removal.
    pub(crate) comes_or_goes: bool,
}

const OUT: Broken = Broken("a slot is out of bounds");

fn narrow(slot: u64) -> Result<u32, Broken> {
    u32::try_from(slot).map_err(|_| OUT)
}

impl Heads {
    pub(crate) fn new(start: BlockStart, columns: Stored) -> Result<Self, Broken> {
        let of_each = [Ints::Extras, Ints::Elapsed, Ints::Author, Ints::Intent, Ints::Body];
        if of_each.iter().any(|column| columns.ints_len(*column) != start.entries as usize) {
            return Err(Broken("a column is not of all entries"));
        }
        if columns.shapes_len().is_some_and(|shapes| shapes != start.entries as usize) {
            return Err(Broken("the shapes are not of all entries"));
        }
        // An integer takes a byte of an entry or more, a byte of a text takes one, and every entry begins with one. A column of
        // integers that are all alike takes no bytes of the block, so that it could say any number of them.
        let most = columns.lengths().fold(start.entries as usize, usize::saturating_add);
        if most as u64 > start.bytes {
            return Err(Broken("its columns hold more than the block says"));
        }
        Ok(Self { start, columns })
    }

    /// The log time before an entry, by its place in the block.
    pub(crate) fn log_time_before(&self, at: usize) -> Result<i64, Broken> {
        let elapsed = self.columns.ints(Ints::Elapsed)?;
        Ok(elapsed.first(at).into_iter().fold(self.start.log_time, i64::saturating_add_unsigned))
    }

    /// How many entries of the block are not later than this.
    pub(crate) fn not_later(&self, millis: i64) -> Result<usize, Broken> {
        let mut log_time = self.start.log_time;
        let elapsed = self.columns.ints(Ints::Elapsed)?.iter().take(self.start.entries as usize);
        let not_later = elapsed.take_while(|elapsed| {
            log_time = log_time.saturating_add_unsigned(*elapsed);
            log_time <= millis
        });
        Ok(not_later.count())
    }

    /// Before the first entry.
    pub(crate) fn begin(&self) -> Touched {
        Touched { next_slot: self.start.next_slot, ..Touched::default() }
    }

    /// Calls for each operation with what it touched; in order, until the call says no. Also returns the slot that the next
    /// add would take there.
    pub(crate) fn touches(&self, each: impl FnMut(Touch) -> bool) -> Result<u32, Broken> {
        self.touches_from(self.begin(), self.start.entries as usize, each)
    }

    /// As [`Heads::touches`], of the entries from one on whose place in the columns is known, to another.
    pub(crate) fn touches_from(
        &self,
        from: Touched,
        to: usize,
        mut each: impl FnMut(Touch) -> bool,
    ) -> Result<u32, Broken> {
        let [bodies, counts, kinds, slots, agains] =
            [Ints::Body, Ints::Operations, Ints::Operation, Ints::Slot, Ints::Again]
                .map(|column| self.columns.ints(column));
        let (bodies, counts, kinds, slots, agains) = (bodies?, counts?, kinds?, slots?, agains?);
        let Touched { at, mut changes, mut operations, slots: mut slots_at, mut adds, mut next_slot } = from;
        let operations_max = usize::try_from(self.start.bytes).unwrap_or(usize::MAX);
        for at in at..to.min(self.start.entries as usize) {
            if bodies.get(at).ok_or(EARLY)? != 0 {
                continue;
            }
            let count = counts.get(changes).ok_or(EARLY)?;
            changes += 1;
            for _ in 0..count {
                let kind = kinds.get(operations).ok_or(EARLY)?;
                operations += 1;
                if operations > operations_max {
                    return Err(Broken("it holds more operations than bytes"));
                }
                let (slot, is_new) = if kind == 0 {
                    let again = agains.get(adds).ok_or(EARLY)?;
                    adds += 1;
                    match again.checked_sub(1) {
                        Some(slot) => (narrow(slot)?, false),
                        None => {
                            next_slot = next_slot.checked_add(1).ok_or(OUT)?;
                            (next_slot - 1, true)
                        }
                    }
                } else {
                    let slot = slots.get(slots_at).ok_or(EARLY)?;
                    slots_at += 1;
                    (narrow(slot)?, false)
                };
                // 0 adds, 1 removes.
                if !each(Touch { at, slot, is_new, comes_or_goes: kind <= 1 }) {
                    return Ok(next_slot - u32::from(is_new));
                }
            }
        }
        Ok(next_slot)
    }

    /// The slot that the next add takes behind these adds, given the one before them.
    pub(crate) fn next_slot_behind(&self, before: u32, adds: std::ops::Range<usize>) -> Result<u32, Broken> {
        let new = self.columns.ints(Ints::Again)?.count_of(0, adds);
        u32::try_from(new).ok().and_then(|new| before.checked_add(new)).ok_or(OUT)
    }

    /// The slots that adds of the block took, in order, each with whether it is a new one.
    pub(crate) fn added(&self) -> Result<Vec<(u32, bool)>, Broken> {
        let mut added = Vec::new();
        let mut next_slot = self.start.next_slot;
        for again in self.columns.ints(Ints::Again)?.iter() {
            match again.checked_sub(1) {
                Some(slot) => added.push((narrow(slot)?, false)),
                None => {
                    added.push((next_slot, true));
                    next_slot = next_slot.checked_add(1).ok_or(OUT)?;
                }
            }
            if added.len() as u64 > self.start.bytes {
                return Err(Broken("it adds more than a block can hold"));
            }
        }
        Ok(added)
    }

    /// Which slots of the column are this slot: a hint of where its entries are.
    pub(crate) fn slots_that_are(&self, slot: u32) -> Result<impl Iterator<Item = usize>, Broken> {
        Ok(self.columns.ints(Ints::Slot)?.places_of(slot.into()))
    }

    /// Which adds of the column are of this slot, given out again or, once at most, anew.
    pub(crate) fn adds_of(&self, slot: u32) -> Result<(impl Iterator<Item = usize>, Option<usize>), Broken> {
        let agains = self.columns.ints(Ints::Again)?;
        let nth = slot.checked_sub(self.start.next_slot);
        let new = nth.and_then(|nth| agains.places_of(0).nth(nth as usize));
        Ok((agains.places_of(u64::from(slot) + 1), new))
    }
}
