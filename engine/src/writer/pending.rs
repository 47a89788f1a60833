//! Entries that were validated and are not durable yet, group by group.

use std::collections::VecDeque;

use flow_history_replay::Stacks;

use super::gathering::{PushedEntry, RECENT_BYTES};
use super::leading::RECENT_ENTRIES;
use super::next_units::is_next;

/// How many rows of groups that ended are kept for the next ones, and how many entries they may have room for: growing a
/// new one for each group costs more than filling it.
const SPARE_ROWS: usize = 2;
const SPARE_ENTRIES_MAX: usize = 4 << 10;

/// A row for each group: of the one that is led, of those that are full, and of the one that gathers. A group that ended
/// takes its row with it, whatever gathers meanwhile. Of buffered entries nothing is kept, and their rows are empty.
pub(super) struct Pending {
    /// INVARIANT: never without the row of the group that gathers, which is the last.
    rows: VecDeque<Row>,
    spare: Vec<Row>,
}

/// The entries of a group, oldest first.
#[derive(Default)]
pub(super) struct Row {
    entries: Vec<PushedEntry>,
    /// Where those stand that are kept without being among the newest: somebody would take them back next. Ascending.
    next: Vec<usize>,
}

impl Row {
    /// The entries that are kept: those that somebody would take back next, and the newest ones.
    pub(super) fn kept(
        &mut self,
    ) -> (impl Iterator<Item = &mut PushedEntry>, impl Iterator<Item = &mut PushedEntry>) {
        let newest = self.entries.len().saturating_sub(RECENT_ENTRIES);
        let (older, newest) = self.entries.split_at_mut(newest);
        let mut next = self.next.iter().copied().peekable();
        let is_kept = move |(at, entry)| next.next_if_eq(&at).map(|_| entry);
        let older = if self.next.is_empty() { &mut [] } else { older };
        (older.iter_mut().enumerate().filter_map(is_kept), newest.iter_mut())
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.next.clear();
    }

    fn push(&mut self, entry: PushedEntry, stacks: &Stacks) {
        self.entries.push(entry);
        let Some(at) = self.entries.len().checked_sub(RECENT_ENTRIES + 1) else { return };
        let Some(older) = self.entries.get_mut(at) else { return };
        let header = older.kept.as_ref().map(|(header, _)| header);
        if older.bytes <= RECENT_BYTES
            && header.is_some_and(|header| is_next(older.pushed.seq, header.owner(), stacks))
        {
            debug_assert!(self.next.last().is_none_or(|last| *last < at));
            self.next.push(at);
        } else {
            older.kept = None;
        }
    }

    fn pop(&mut self) -> Option<PushedEntry> {
        let entry = self.entries.pop();
        // Those that are among the newest again are looked at again when others come.
        let newest = self.entries.len().saturating_sub(RECENT_ENTRIES);
        self.next.pop_if(|at| *at >= newest);
        entry
    }
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { rows: VecDeque::from([Row::default()]), spare: Vec::new() }
    }

    /// The group that gathered is closed, and the next one begins.
    pub(super) fn begin_group(&mut self) {
        self.rows.push_back(self.spare.pop().unwrap_or_default());
    }

    /// Adds an entry to the group that gathers. Only the newest are kept at hand, and what somebody would take back next, by
    /// the stacks after it: what will not be is let go of here, where it was made.
    pub(super) fn push(&mut self, entry: PushedEntry, stacks: &Stacks) {
        if let Some(row) = self.rows.back_mut() {
            row.push(entry, stacks);
        }
    }

    /// Takes the newest entry out of the group that gathers.
    pub(super) fn pop(&mut self) -> Option<PushedEntry> {
        self.rows.back_mut().and_then(Row::pop)
    }

    /// The entries of the oldest group, which ended.
    pub(super) fn end_group(&mut self) -> Row {
        if self.rows.len() > 1 { self.rows.pop_front().unwrap_or_default() } else { Row::default() }
    }

    /// Takes back the row of a group that ended, emptied.
    pub(super) fn reuse(&mut self, row: Row) {
        debug_assert!(row.entries.is_empty());
        if self.spare.len() < SPARE_ROWS && row.entries.capacity() <= SPARE_ENTRIES_MAX {
            self.spare.push(row);
        }
    }

    /// Lets go of the memory that is kept for groups to come.
    pub(super) fn let_go(&mut self) {
        self.spare.clear();
        self.rows.iter_mut().for_each(|row| row.entries.shrink_to_fit());
    }

    /// All entries, the newest first; none is left, and no group but the one that gathers.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = PushedEntry> {
        std::mem::replace(self, Self::new())
            .rows
            .into_iter()
            .rev()
            .flat_map(|row| row.entries.into_iter().rev())
    }

    /// Forgets what is kept of entries. Their groups stay.
    pub(super) fn clear(&mut self) {
        self.rows.iter_mut().for_each(Row::clear);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.entries.is_empty())
    }

    /// All entries, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &PushedEntry> {
        self.rows.iter().rev().flat_map(|row| row.entries.iter().rev())
    }
}
