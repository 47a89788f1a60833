//! When checkpoints are due, of which states, and which of them stay.

use std::collections::VecDeque;

use flow_history_replay::{Seq, State};

use super::Writer;
use super::gathering::Building;
use crate::Tuning;

/// How many components the flows of states that wait for their checkpoint may have together: each takes memory of its own
/// for what changes behind it.
const WAITING_COMPONENTS_MAX: usize = 1 << 15;
/// How many bytes the checkpoints of states that wait may have together, for the same reason where components are large.
const WAITING_BYTES_MAX: u64 = 6 << 20;
/// About what a component takes in a checkpoint.
const COMPONENT_BYTES: u64 = 128;
/// What part of the entries after which the checkpoint that follows the head is made anew an idle history may be behind.
const IDLE_BEHIND: u64 = 8;
/// How many states may wait, however small.
const WAITING_MAX: usize = 32;

/// When the next checkpoint is due.
#[derive(Default)]
pub(super) struct CheckpointDue {
    /// The newest one, kept or not.
    last_seq: Seq,
    /// The newest state that was taken for one, written or not.
    taken: Seq,
    /// The newest one that is kept, and its bytes.
    kept: Seq,
    kept_bytes: u64,
    /// How much had been appended when its state was taken; or that of the one being written, where it is to be kept.
    kept_at: u64,
    /// The same of the newest state that was taken for one that stays.
    staying_at: u64,
    /// The one that the next one replaces.
    rolling: Option<Seq>,
    /// States that wait to be written, oldest first. While one is written, only those of checkpoints that stay wait.
    waiting: VecDeque<Waiting>,
    /// The one that is being written, or was last.
    writing: Seq,
    under_way: bool,
}

/// A state that a checkpoint is to be made of.
pub(super) struct Waiting {
    state: State,
    /// How much will have been appended with it.
    appended: u64,
    /// Whether its checkpoint is to stay.
    stays: bool,
}

/// What is to become of a checkpoint that is due.
pub(crate) struct CheckpointPlan {
    pub(crate) state: State,
    /// Whether it stays; otherwise the next one takes its place.
    keep: bool,
    /// The one whose pages it may share.
    pub(crate) basis: Seq,
    /// The one that goes once it is written.
    pub(crate) replaces: Option<Seq>,
    /// How much had been appended with the one before that stays.
    kept_at: u64,
}

impl CheckpointDue {
    /// Where the newest checkpoint is this one, of so many bytes, and the log has so many.
    pub(super) fn after((seq, bytes): (Seq, u64), log_bytes: u64) -> Self {
        let (last_seq, taken, kept) = (seq, seq, seq);
        let (kept_at, staying_at) = (log_bytes, log_bytes);
        Self { last_seq, taken, kept, kept_bytes: bytes, kept_at, staying_at, ..Self::default() }
    }

    /// Bytes of log that are worth a checkpoint that stays: as many as one has itself, times a factor. Between those one
    /// follows the head, so that opening is quick.
    fn worth(&self, state: &State, percent: u64) -> u64 {
        // Until one is written, what it takes is a guess.
        let guess = || state.flow.len() as u64 * COMPONENT_BYTES;
        let bytes = if self.kept_bytes == 0 { guess() } else { self.kept_bytes };
        bytes.saturating_mul(percent) / 100
    }

    /// Whether a checkpoint that is taken now is one that stays.
    fn is_worth_it(&self, building: &Building, percent: u64) -> bool {
        building.appended_bytes().saturating_sub(self.staying_at) >= self.worth(&building.state, percent)
    }

    fn take(&mut self, building: &Building, stays: bool) -> Waiting {
        let (state, appended) = (building.state.clone(), building.appended_bytes());
        self.taken = state.seq;
        if stays {
            self.staying_at = appended;
        }
        Waiting { state, appended, stays }
    }

    /// Takes nothing for taken but what waits or is being written.
    fn forget_taken(&mut self) {
        self.taken = self.waiting.back().map_or(self.writing.max(self.last_seq), |waiting| waiting.state.seq);
        let stays = self.waiting.iter().rfind(|waiting| waiting.stays);
        self.staying_at = stays.map_or(self.kept_at, |waiting| waiting.appended);
    }

    fn has_room(&self) -> bool {
        let components: usize = self.waiting.iter().map(|waiting| waiting.state.flow.len()).sum();
        let bytes = self.kept_bytes.saturating_mul(self.waiting.len() as u64);
        let is_little = components < WAITING_COMPONENTS_MAX && bytes < WAITING_BYTES_MAX;
        self.waiting.is_empty() || (self.waiting.len() < WAITING_MAX && is_little)
    }
}

impl Writer {
    /// Whether a checkpoint is due of the state that is building; and then, whether it stays.
    fn is_checkpoint_due(&self, due: &CheckpointDue, building: &Building) -> Option<bool> {
        let Tuning { checkpoint_entries: most, checkpoint_bytes_percent: percent, .. } = self.tuning;
        if building.appended_bytes() < self.tuning.derive_from_bytes || self.on_checkpoint_due.get().is_none()
        {
            return None;
        }
        let entries = building.state.seq.0.saturating_sub(due.taken.0);
        let is_worth_it = due.is_worth_it(building, percent);
        // Few entries are folded sooner than a checkpoint is opened.
        let is_due = entries >= most || (is_worth_it && percent > 0 && entries >= most / 2);
        // The first one stays, whatever it takes.
        let stays = is_worth_it || due.taken == Seq::ZERO;
        // Of those that follow the head, only the newest is worth anything.
        (is_due && (!due.under_way || (stays && due.has_room()))).then_some(stays)
    }

    /// Whether the group that is gathering is to end here, because a checkpoint that stays is due.
    pub(super) fn wants_checkpoint(&self, building: &Building) -> bool {
        self.is_checkpoint_due(&self.checkpoint.lock(), building) == Some(true)
    }

    /// The state, where it is one to make a checkpoint of once it is written.
    pub(super) fn checkpoint_if_due(&self, building: &Building) -> Option<Waiting> {
        let mut due = self.checkpoint.lock();
        let stays = self.is_checkpoint_due(&due, building)?;
        Some(due.take(building, stays))
    }

    /// Has a checkpoint made of a state that is durable.
    pub(super) fn checkpoint_soon(&self, waiting: Waiting) {
        let Some(act) = self.on_checkpoint_due.get() else { return };
        if self.let_wait(&mut self.checkpoint.lock(), waiting) {
            act();
        }
    }

    /// Lets a state wait for its checkpoint; says whether nobody makes any yet.
    fn let_wait(&self, due: &mut CheckpointDue, waiting: Waiting) -> bool {
        if due.under_way && !(waiting.stays && due.has_room()) {
            due.forget_taken();
            return false;
        }
        due.taken = due.taken.max(waiting.state.seq);
        due.waiting.push_back(waiting);
        !std::mem::replace(&mut due.under_way, true)
    }

    /// What was to be written was not: what was taken of it is forgotten.
    pub(super) fn checkpoint_not_taken(&self) {
        self.checkpoint.lock().forget_taken();
    }

    /// Whether a state waits for its checkpoint.
    pub(crate) fn has_checkpoint_waiting(&self) -> bool {
        !self.checkpoint.lock().waiting.is_empty()
    }

    /// The checkpoint to write now.
    pub(crate) fn next_checkpoint(&self) -> Option<CheckpointPlan> {
        let mut due = self.checkpoint.lock();
        loop {
            let Waiting { state, appended, stays } = due.waiting.pop_front()?;
            let worth = due.worth(&state, self.tuning.checkpoint_bytes_percent);
            // What one takes is not the same each time, and one that was due is not left out for a little.
            let is_worth_it = appended.saturating_sub(due.kept_at) >= worth / 4 * 3;
            let keep = due.kept == Seq::ZERO || (stays && is_worth_it);
            // What a checkpoint takes was not known when it was taken: one that does not stay gives way to a newer one.
            if keep || due.waiting.is_empty() {
                due.writing = state.seq;
                let (basis, replaces, kept_at) = (due.kept, due.rolling, due.kept_at);
                if keep {
                    due.kept_at = appended;
                    due.staying_at = due.staying_at.max(appended);
                }
                return Some(CheckpointPlan { state, keep, basis, replaces, kept_at });
            }
        }
    }

    /// Notes that a checkpoint was written, or that it could not be; says whether another is due by now.
    pub(crate) fn checkpoint_done(&self, plan: &CheckpointPlan, bytes: Option<u64>) -> bool {
        // With the writer held, so that whoever writes on either is seen here or sees that nobody makes any.
        let building = self.building.lock();
        let mut due = self.checkpoint.lock();
        due.under_way = false;
        let Some(bytes) = bytes else {
            // It is tried again with the next group, not at once.
            due.waiting.clear();
            (due.writing, due.kept_at) = (due.last_seq, plan.kept_at);
            due.forget_taken();
            return false;
        };
        due.last_seq = plan.state.seq;
        due.rolling = (!plan.keep).then_some(plan.state.seq);
        if plan.keep {
            (due.kept, due.kept_bytes) = (plan.state.seq, bytes);
        }
        if let Some(head) = self.head_if_behind(&mut due, &building, self.tuning.checkpoint_entries) {
            self.let_wait(&mut due, head);
        }
        due.under_way = !due.waiting.is_empty();
        due.under_way
    }

    /// The state of a writer that has come to rest, where there is no checkpoint of any of its last entries, of which there are
    /// so many or more.
    fn head_if_behind(&self, due: &mut CheckpointDue, building: &Building, entries: u64) -> Option<Waiting> {
        let behind = building.state.seq.0.saturating_sub(due.taken.0);
        let is_derived = building.appended_bytes() >= self.tuning.derive_from_bytes;
        if !due.waiting.is_empty() || !building.is_at_rest() || behind < entries.max(1) || !is_derived {
            return None;
        }
        let stays = due.is_worth_it(building, self.tuning.checkpoint_bytes_percent);
        Some(due.take(building, stays))
    }

    /// Has a checkpoint made of a history to which nothing is appended for a while: should it be killed then, little has to be
    /// folded when it is opened.
    pub(super) fn checkpoint_if_idle(&self, since: Seq) {
        let own = self.own.clone();
        self.background.after(self.tuning.vouch_after / 2, move || {
            let Some(writer) = own.upgrade() else { return };
            let building = writer.building.lock();
            if building.state.seq != since || building.poison.is_some() || building.closed {
                return;
            }
            let mut due = writer.checkpoint.lock();
            if due.under_way {
                drop((due, building));
                writer.checkpoint_if_idle(since);
                return;
            }
            let entries = writer.tuning.checkpoint_entries / IDLE_BEHIND;
            let head = writer.head_if_behind(&mut due, &building, entries);
            drop((due, building));
            if let Some(head) = head {
                writer.checkpoint_soon(head);
            }
        });
    }
}
