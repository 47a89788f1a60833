//! One group at a time to the disk: whoever needs one durable leads, and the others wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flow_history_flow::mistake;
use flow_history_replay::{FrameKind, SegmentReason, Seq, Stacks};

use super::gathering::{Building, OpenGroup, RECENT_BYTES, TakenGroup};
use super::next_units::is_next;
use super::pending::{Row, Spent};
use super::{Durability, Recent, Writer};
use crate::Error;
use crate::active_segment::Beginning;
use crate::error::is_full;
use crate::group::{Failure, Group};
use crate::storage::Failed;
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::telemetry::{self, Phase};

/// The longest wait for a group's members to come back that makes any sense.
const REJOIN_WAIT_MAX: Duration = Duration::from_secs(1);
/// How many buffers of groups are kept for the next ones, and how large they may be: growing a new one for each group
/// costs more than filling it.
const SPARE_BUFFERS: usize = 2;
const SPARE_BYTES_MAX: usize = 2 << 20;
/// How many of the newest entries are kept with their inverses, so that undoing them reads nothing.
pub(super) const RECENT_ENTRIES: usize = 32;
impl Writer {
    /// Waits until a group has ended, leading groups to the disk where nobody else does. For whoever made sure that this is
    /// the process that opened the history.
    pub(crate) fn wait_for(&self, group: &Group) -> Result<(), Error> {
        if group.outcome().is_none() && !group.attend() {
            return group.wait().map_err(|failure| failure.to_error());
        }
        let mut surely_here = true;
        loop {
            if let Some(outcome) = group.outcome() {
                return outcome.map_err(|failure| failure.to_error());
            }
            let mut building = self.building.lock();
            if group.outcome().is_some() {
                continue;
            }
            if building.leading {
                self.ended.wait(&mut building);
                continue;
            }
            building.leading = true;
            self.lead(building, surely_here);
            surely_here = false;
            if std::mem::take(&mut self.building.lock().unattended) {
                self.lead_in_background();
            }
            self.background.do_own();
        }
    }

    /// Has what gathered taken to the disk, where nobody does so already.
    pub(super) fn lead_in_background(&self) {
        if self.building.lock().wants_leader() {
            self.lead_soon();
        }
    }

    /// As [`Writer::lead_in_background`], for whoever knows that somebody has to.
    pub(super) fn lead_soon(&self) {
        let writer = self.own.clone();
        self.background.soon(move || {
            if let Some(writer) = writer.upgrade().filter(|writer| writer.check_process().is_ok()) {
                writer.building.lock().lead_due = false;
                writer.lead_until_empty();
            }
        });
        self.background.do_own();
    }

    pub(super) fn flush_in_background(&self, after: Duration) {
        let writer = self.own.clone();
        self.background.after(after, move || {
            // The system is asked whose work this is: nothing is written by a child, however it was made.
            if let Some(writer) = writer.upgrade().filter(|writer| writer.check_process().is_ok()) {
                writer.building.lock().flush_due = false;
                // What it could not write, the next caller is told.
                let _ = writer.flush_keeping_lost();
            }
        });
    }

    /// For whoever made sure that this is the process that opened the history.
    fn lead_until_empty(&self) {
        let mut surely_here = true;
        loop {
            let mut building = self.building.lock();
            if building.leading {
                building.unattended = true;
                return;
            }
            if !building.has_gathered() {
                return;
            }
            building.leading = true;
            self.lead(building, surely_here);
            surely_here = false;
        }
    }

    /// Takes one group to the disk. The caller has set `leading`, and says whether this is surely the process that opened the
    /// history: whoever led a group may have called the host, which may have forked.
    fn lead(&self, mut building: MutexGuard<'_, Building>, surely_here: bool) {
        // The callers of the last group are on their way back with their next entries; a group that waits for them for a
        // moment holds twice as many. Whoever was alone has nobody to wait for.
        if building.full.is_empty() && building.expected > 1 && !self.tuning.rejoin_wait.is_zero() {
            let deadline = Instant::now() + self.tuning.rejoin_wait.min(REJOIN_WAIT_MAX);
            while building.open.callers < building.expected && building.full.is_empty() {
                if self.joined.wait_until(&mut building, deadline).timed_out() {
                    break;
                }
            }
        }
        let taken = match building.full.pop_front() {
            Some(taken) => Some(taken),
            None if building.open.entries > 0 => Some(self.take_open(&mut building)),
            None => None,
        };
        let Some(mut taken) = taken else {
            building.leading = false;
            self.ended.notify_all();
            return;
        };
        let synced = building.durable;
        building.led = Some(Arc::clone(&taken.group));
        drop(building);

        let checked = if surely_here { Ok(()) } else { self.check_process() };
        if let Err(failure) = checked.and_then(|()| self.check_lock()) {
            self.fail(taken, failure);
            return;
        }
        if mistake::is_made("a version is published before its sync") {
            self.published.publish(taken.head.id);
        }
        let written = self.write(&mut taken, synced);
        let outcome = match written {
            Ok(()) => {
                self.succeed(taken);
                return;
            }
            Err(failed) => self.failure_of(&failed),
        };
        self.fail(taken, outcome);
    }

    /// A child of the process that opened the history has no business with its files, and its copy of the state is of no
    /// use to anybody.
    pub(crate) fn check_process(&self) -> Result<(), Failure> {
        if self.origin.is_surely_here() { Ok(()) } else { Err(self.forked()) }
    }

    /// Refuses what is asked in a child of the process; quick enough to be asked at every append.
    pub(crate) fn check_forks(&self) -> Result<(), Failure> {
        if self.origin.is_here() { Ok(()) } else { Err(self.forked()) }
    }

    fn forked(&self) -> Failure {
        Failure::Forked { opened_by: self.origin.id() }
    }

    /// Whoever lost the lock must not write: another writer may have taken the one that is there now.
    pub(super) fn check_lock(&self) -> Result<(), Failure> {
        match &*self.lock.lock() {
            Some(lock) if !lock.is_held() => {
                let cause = format!("the lock file of {} was deleted or replaced", self.place.display());
                Err(Failure::Poisoned { cause })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, taken: &mut TakenGroup, synced: Seq) -> Result<(), Failed> {
        let _entered = telemetry::enter(Phase::Sync);
        let mut segment = self.segment.lock();
        let Beginning { reason, seq, chain, log_time } = taken.beginning;
        segment.append(
            (FrameKind::Entries, taken.entries, seq),
            &mut taken.frame,
            synced,
            &taken.chain,
            || Beginning { reason, seq, chain, log_time },
            true,
        )?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
        telemetry::appended(taken.entries, segment.log_bytes());
        Ok(())
    }

    fn succeed(&self, taken: TakenGroup) {
        let TakenGroup { group, frame, payload_bytes, callers, last_seq, head, checkpoint, .. } = taken;
        let (id, frame_bytes) = (head.id, frame.len() as u64);
        let mut building = self.building.lock();
        // Of buffered entries nothing was kept.
        let mut done = building.pending.end_group();
        let gone = self.keep_recent(&mut done, &building.state.stacks);
        building.head = head;
        if self.durability == Durability::Immediate {
            // ORDER: published after the sync: no version is ever seen that a crash can take back. And with the head, so
            // that whoever sees the version can ask for it.
            self.published.publish(id);
        }
        if building.spare.len() < SPARE_BUFFERS && frame.capacity() <= SPARE_BYTES_MAX {
            building.spare.push(frame);
        }
        building.durable = last_seq;
        building.expected = callers + building.open.callers;
        building.leading = false;
        building.reason = SegmentReason::Full;
        building.waiting_bytes = building.waiting_bytes.saturating_sub(payload_bytes);
        building.durable_bytes += frame_bytes;
        // Perhaps nobody comes after this group; the checkpoint that was under way when it was taken may be done by now.
        let checkpoint =
            checkpoint.or_else(|| building.is_at_rest().then(|| self.checkpoint_if_due(&building)).flatten());
        let outcome = Ok(());
        drop(building);
        // Members are woken when they find the lock free. Until then `led` stays what it is, so that whoever flushes returns
        // no earlier than they.
        group.settle(&outcome);
        self.ended.notify_all();
        self.advanced.notify_all();
        group.tell(&outcome);
        let left = Spent::small_of(&mut done, gone);
        let left = self.building.lock().pending.leave(done, left);
        drop(left);
        self.tend();
        if let Some(state) = checkpoint {
            self.checkpoint_soon(state);
        }
    }

    /// Keeps at hand the newest entries, for undo and for subscribers, and of others what their authors would take back next;
    /// the rest has been written, and that is enough. Returns what is kept no longer.
    fn keep_recent(&self, done: &mut Row, stacks: &Stacks) -> Vec<Recent> {
        let mut gone = Vec::new();
        let mut leave = |old: Recent| {
            if is_next(old.entry.seq, old.entry.header.owner(), stacks) {
                gone.extend(self.next_units.lock().hold(old, stacks));
            } else {
                gone.push(old);
            }
        };
        let (older, newest) = done.kept();
        older.filter_map(Recent::of).for_each(&mut leave);
        let mut recent = self.recent.lock();
        let mut no_longer_newest = Vec::new();
        for entry in newest.filter_map(Recent::of) {
            // Of the large ones only the newest is kept.
            if recent.back().is_some_and(|before| before.bytes > RECENT_BYTES) {
                no_longer_newest.extend(recent.pop_back());
            }
            recent.push_back(entry);
        }
        let excess = recent.len().saturating_sub(RECENT_ENTRIES);
        recent.drain(..excess).for_each(leave);
        gone.extend(no_longer_newest);
        gone
    }

    pub(super) fn failure_of(&self, failed: &Failed) -> Failure {
        let errno = failed.source.raw_os_error();
        let message = failed.source.to_string();
        let path = self.place.join(&failed.file);
        if failed.sync && !mistake::is_made("a failed sync is tried again") {
            return Failure::Poisoned {
                cause: format!("cannot {} {}: {message}", failed.operation, path.display()),
            };
        }
        if is_full(&failed.source) {
            return Failure::Full { path, errno, message };
        }
        Failure::Refused { operation: failed.operation, path, offset: failed.offset, errno, message }
    }

    /// Refuses a group and everything that was validated on top of it: the state returns to the last version written.
    fn fail(&self, taken: TakenGroup, failure: Failure) {
        let mut building = self.building.lock();
        let held = &mut *building;
        let mut failure = failure;
        if self.is_buffered() && !matches!(failure, Failure::Poisoned { .. }) {
            // Nothing was kept of buffered entries.
            match self.read_back.get().map(|read_back| read_back()) {
                Some(Ok(state)) => {
                    held.state = state;
                    held.pending.clear();
                }
                other => {
                    let why = other.and_then(Result::err).map_or_else(String::new, |error| error.to_string());
                    failure = Failure::Poisoned { cause: format!("the log cannot be read back: {why}") };
                }
            }
        }
        let outcome = Err(failure.clone());
        // The newest first, each on the flow that it left.
        for entry in held.pending.take_all() {
            held.state.take_back(entry.pushed);
        }
        let open = std::mem::replace(&mut held.open, OpenGroup::begin(&held.state, Vec::new()));
        let checkpoints =
            held.full.iter().any(|full| full.checkpoint.is_some()) || taken.checkpoint.is_some();
        if checkpoints {
            self.checkpoint_not_taken();
        }
        let mut groups = vec![open.group, taken.group];
        groups.extend(held.full.drain(..).map(|full| full.group));
        held.needs_opened = held.needs_opened || held.reason == SegmentReason::Recovered;
        held.waiting_bytes = 0;
        held.expected = 1;
        held.leading = false;
        if self.is_buffered() {
            held.lost = Some(failure.clone());
        }
        if matches!(failure, Failure::Poisoned { .. }) {
            held.poison = Some(failure);
        }
        if self.durability != Durability::Immediate {
            self.published.publish(held.state.version());
        }
        groups.iter().for_each(|group| group.settle(&outcome));
        held.led = None;
        self.ended.notify_all();
        self.advanced.notify_all();
        drop(building);
        groups.iter().for_each(|group| group.tell(&outcome));
    }
}
