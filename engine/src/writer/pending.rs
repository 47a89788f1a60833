//! Entries that were validated and are not durable yet, group by group.

use std::collections::VecDeque;

use super::gathering::PushedEntry;
use super::leading::RECENT_ENTRIES;

/// How many rows of groups that ended are kept for the next ones, and how many entries they may have room for: growing a
/// new one for each group costs more than filling it.
const SPARE_ROWS: usize = 2;
const SPARE_ENTRIES_MAX: usize = 4 << 10;

/// A row for each group: of the one that is led, of those that are full, and of the one that gathers. A group that ended
/// takes its row with it, whatever gathers meanwhile. Of buffered entries nothing is kept, and their rows are empty.
pub(super) struct Pending {
    /// INVARIANT: never without the row of the group that gathers, which is the last.
    rows: VecDeque<Vec<PushedEntry>>,
    spare: Vec<Vec<PushedEntry>>,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { rows: VecDeque::from([Vec::new()]), spare: Vec::new() }
    }

    /// The group that gathered is closed, and the next one begins.
    pub(super) fn begin_group(&mut self) {
        self.rows.push_back(self.spare.pop().unwrap_or_default());
    }

    /// Adds an entry to the group that gathers. Only the newest are kept at hand: what will not be is let go of here, where
    /// it was made.
    pub(super) fn push(&mut self, entry: PushedEntry) {
        let Some(row) = self.rows.back_mut() else { return };
        row.push(entry);
        let older = row.len().checked_sub(RECENT_ENTRIES + 1);
        if let Some(older) = older.and_then(|at| row.get_mut(at)) {
            older.kept = None;
        }
    }

    /// Takes the newest entry out of the group that gathers.
    pub(super) fn pop(&mut self) -> Option<PushedEntry> {
        self.rows.back_mut().and_then(Vec::pop)
    }

    /// The entries of the oldest group, which ended.
    pub(super) fn end_group(&mut self) -> Vec<PushedEntry> {
        if self.rows.len() > 1 { self.rows.pop_front().unwrap_or_default() } else { Vec::new() }
    }

    /// Takes back the row of a group that ended, emptied.
    pub(super) fn reuse(&mut self, row: Vec<PushedEntry>) {
        debug_assert!(row.is_empty());
        if self.spare.len() < SPARE_ROWS && row.capacity() <= SPARE_ENTRIES_MAX {
            self.spare.push(row);
        }
    }

    /// Lets go of the memory that is kept for groups to come.
    pub(super) fn let_go(&mut self) {
        self.spare.clear();
        self.rows.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// All entries, the newest first; none is left, and no group but the one that gathers.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = PushedEntry> {
        std::mem::replace(self, Self::new()).rows.into_iter().rev().flat_map(|row| row.into_iter().rev())
    }

    /// Forgets what is kept of entries. Their groups stay.
    pub(super) fn clear(&mut self) {
        self.rows.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }

    /// All entries, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &PushedEntry> {
        self.rows.iter().rev().flat_map(|row| row.iter().rev())
    }
}
