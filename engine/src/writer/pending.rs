//! Entries that were validated and are not durable yet, group by group.

use std::collections::VecDeque;

use flow_history_replay::Stacks;

use super::gathering::{PushedEntry, RECENT_BYTES};
use super::leading::RECENT_ENTRIES;
use super::next_units::is_next;
use super::{Recent, weight_of};

/// How many rows of groups that ended are kept for the next ones, and how many entries they may have room for: growing a
/// new one for each group costs more than filling it.
const SPARE_ROWS: usize = 2;
const SPARE_ENTRIES_MAX: usize = 4 << 10;

/// How many entries of groups that ended may be left to those who append next, and how many each of these lets go of.
const SPENT_MAX: usize = 1 << 8;
const SPENT_EACH: usize = 2;

/// A row for each group: of the one that is led, of those that are full, and of the one that gathers. A group that ended
/// takes its row with it, whatever gathers meanwhile. Of buffered entries nothing is kept, and their rows are empty.
pub(super) struct Pending {
    /// INVARIANT: never without the row of the group that gathers, which is the last.
    rows: VecDeque<Row>,
    spare: Vec<Row>,
    /// What groups that ended left. Each entry that comes lets go of some of it: memory that is given back by the thread that
    /// asks for more is at hand there at once, and nobody waits for the allocator's lock.
    spent: Spent,
}

/// Entries of groups that ended, and others that are no longer kept at hand.
#[derive(Default)]
pub(super) struct Spent {
    entries: Vec<PushedEntry>,
    recent: Vec<Recent>,
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
        if older.bytes <= RECENT_BYTES
            && older.kept.as_ref().is_some_and(|entry| is_next(entry.seq, entry.header.owner(), stacks))
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

fn take_over<T>(spent: &mut Vec<T>, left: &mut Vec<T>) {
    let room = SPENT_MAX.saturating_sub(spent.len());
    spent.extend(left.drain(left.len().saturating_sub(room)..));
}

impl Spent {
    /// What a group left, without what is large in memory, which is let go of here: to be called without a lock held.
    pub(super) fn small_of(row: &mut Row, mut recent: Vec<Recent>) -> Self {
        recent.retain(|recent| recent.weight(RECENT_BYTES) <= RECENT_BYTES);
        row.entries.retain(|entry| weight_of(0, entry.pushed.inverses.iter(), RECENT_BYTES) <= RECENT_BYTES);
        let entries = std::mem::take(&mut row.entries);
        row.clear();
        Self { entries, recent }
    }

    fn let_go_of_some(&mut self) {
        self.entries.truncate(self.entries.len().saturating_sub(SPENT_EACH));
        self.recent.truncate(self.recent.len().saturating_sub(SPENT_EACH));
    }
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { rows: VecDeque::from([Row::default()]), spare: Vec::new(), spent: Spent::default() }
    }

    /// The group that gathered is closed, and the next one begins.
    pub(super) fn begin_group(&mut self) {
        self.rows.push_back(self.spare.pop().unwrap_or_default());
    }

    /// Adds an entry to the group that gathers. Only the newest are kept at hand, and what somebody would take back next, by
    /// the stacks after it: what will not be is let go of here, where it was made.
    pub(super) fn push(&mut self, entry: PushedEntry, stacks: &Stacks) {
        self.spent.let_go_of_some();
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

    /// Takes back the row of a group that ended, and what that left. Returns what there is no room for, to be let go of
    /// without a lock held.
    pub(super) fn leave(&mut self, mut row: Row, mut left: Spent) -> Spent {
        take_over(&mut self.spent.entries, &mut left.entries);
        take_over(&mut self.spent.recent, &mut left.recent);
        if left.entries.is_empty() {
            std::mem::swap(&mut row.entries, &mut left.entries);
        }
        if self.spare.len() < SPARE_ROWS && row.entries.capacity() <= SPARE_ENTRIES_MAX {
            self.spare.push(row);
        }
        left
    }

    /// Lets go of the memory that is kept for groups to come. Returns what groups left, to be let go of without a lock held.
    pub(super) fn let_go(&mut self) -> Spent {
        self.spare.clear();
        self.rows.iter_mut().for_each(|row| row.entries.shrink_to_fit());
        std::mem::take(&mut self.spent)
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

    /// Forgets what is kept of the entries of the group that gathers.
    pub(super) fn clear_gathering(&mut self) {
        if let Some(row) = self.rows.back_mut().filter(|row| !row.entries.is_empty()) {
            row.clear();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(|row| row.entries.is_empty())
    }

    /// All entries, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &PushedEntry> {
        self.rows.iter().rev().flat_map(|row| row.entries.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flow_history_flow::{Component, Operation};
    use flow_history_replay::{Author, Body, Header, HistoryId, Intent, State, Timestamp};

    use super::*;

    /// Adds so many entries to the group that gathers, and closes it; the first of them clears the note of a component.
    fn gather(pending: &mut Pending, state: &mut State, count: usize, cleared: &str) {
        let author = Arc::new(Author::user("alice"));
        for at in 0..count {
            let now = Timestamp { millis: 0, zone_minutes: 0 };
            let mut header = Header::new(Arc::clone(&author), Intent::Edit, now);
            let operation = match (at, cleared) {
                (0, id) if !id.is_empty() => Operation::clear(id, "note"),
                _ => Operation::add(Component::new(format!("pump-{}", state.seq), "pump")),
            };
            let pushed = state.push(&mut header, &Body::Change(vec![operation]), &mut Vec::new()).unwrap();
            pending.push(PushedEntry { pushed, kept: None, bytes: 100, touched: Vec::new() }, &state.stacks);
        }
        pending.begin_group();
    }

    #[test]
    fn what_a_group_leaves_is_bounded_and_whoever_comes_lets_go_of_it() {
        let (mut pending, mut state) = (Pending::new(), State::start(HistoryId([0; 16])));
        let end_group = |pending: &mut Pending| {
            let mut ended = pending.end_group();
            let left = Spent::small_of(&mut ended, Vec::new());
            let no_room_for = pending.leave(ended, left).entries.len();
            (no_room_for, pending.spent.entries.len())
        };
        gather(&mut pending, &mut state, SPENT_MAX + 500, "");
        assert_eq!(end_group(&mut pending), (500, SPENT_MAX));
        gather(&mut pending, &mut state, SPENT_MAX / SPENT_EACH, "");
        assert!(pending.spent.entries.is_empty());
        assert_eq!(end_group(&mut pending), (0, SPENT_MAX / SPENT_EACH));
        // What is little in the log, and much in memory to take back, does not lie about.
        state.flow.apply(&Operation::set("pump-0", "note", "x".repeat(RECENT_BYTES))).unwrap();
        gather(&mut pending, &mut state, 10, "pump-0");
        let before = pending.spent.entries.len();
        assert_eq!(end_group(&mut pending), (0, before + 9));
        drop(pending.let_go());
        assert!(pending.spent.entries.is_empty() && pending.is_empty());
    }
}
