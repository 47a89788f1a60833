//! What is done beside the append path, and closing.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flow_history_replay::{FRAME_HEADER_BYTES, FrameKind, Seq, State};

use super::Writer;
use crate::Error;
use crate::active_segment::{Beginning, fill_new};

/// When the next checkpoint is due.
pub(super) struct CheckpointDue {
    /// The newest one, kept or not.
    pub(super) last_seq: Seq,
    /// The newest one that is kept, its bytes, and how much had been appended then.
    pub(super) kept: Seq,
    pub(super) kept_bytes: u64,
    pub(super) kept_at: u64,
    /// The one that the next one replaces.
    pub(super) rolling: Option<Seq>,
    pub(super) under_way: bool,
}

/// What is to become of a checkpoint that is due.
pub(crate) struct CheckpointPlan {
    /// Whether it stays; otherwise the next one takes its place.
    pub(crate) keep: bool,
    /// The one whose pages it may share.
    pub(crate) basis: Seq,
    /// The one that goes once it is written.
    pub(crate) replaces: Option<Seq>,
}

impl Writer {
    pub(super) fn checkpoint_if_due(&self, state: &State) -> Option<State> {
        let mut due = self.checkpoint.lock();
        let entries = state.seq.0.saturating_sub(due.last_seq.0);
        let is_due = !due.under_way
            && self.appended_bytes() >= self.tuning.derive_from_bytes
            && entries >= self.tuning.checkpoint_entries;
        if !is_due || self.on_checkpoint_due.get().is_none() {
            return None;
        }
        due.under_way = true;
        Some(state.clone())
    }

    /// What is to become of the checkpoint that is written now. So many bytes of log are worth one that stays as it has
    /// bytes itself, times a factor; between those one follows the head, so that opening is quick.
    pub(crate) fn plan_checkpoint(&self) -> CheckpointPlan {
        let due = self.checkpoint.lock();
        let bytes = self.appended_bytes().saturating_sub(due.kept_at);
        let worth = due.kept_bytes.saturating_mul(self.tuning.checkpoint_bytes_percent) / 100;
        CheckpointPlan { keep: bytes >= worth, basis: due.kept, replaces: due.rolling }
    }

    /// Notes that a checkpoint was written, or that it could not be.
    pub(crate) fn checkpoint_done(&self, plan: &CheckpointPlan, written: Option<(Seq, u64)>) {
        let mut due = self.checkpoint.lock();
        due.under_way = false;
        let Some((seq, bytes)) = written else { return };
        due.last_seq = seq;
        due.rolling = (!plan.keep).then_some(seq);
        if plan.keep {
            (due.kept, due.kept_bytes, due.kept_at) = (seq, bytes, self.appended_bytes());
        }
    }

    /// Makes the next segment ready, has full ones sealed, and writes a frame that vouches when nothing else was written
    /// for a while.
    pub(super) fn tend(&self) {
        let mut segment = self.segment.lock();
        if segment.take_filled() {
            self.seal_soon();
        }
        if segment.wants_prepared() {
            let (file, bytes) = segment.next_to_prepare();
            drop(segment);
            let writer = self.own.clone();
            self.background.soon(move || {
                let Some(writer) = writer.upgrade() else { return };
                // A file that cannot be made ready is made when it is needed, where the error has somebody to go to.
                let made = fill_new(&*writer.storage, file, bytes).is_ok();
                writer.segment.lock().prepared(made.then_some((file, bytes)));
            });
        }
        if !self.vouching.swap(true, Ordering::Relaxed) {
            let writer = self.own.clone();
            self.background.after(self.tuning.vouch_after, move || {
                if let Some(writer) = writer.upgrade() {
                    writer.vouching.store(false, Ordering::Relaxed);
                    writer.vouch();
                }
            });
        }
    }

    /// Has full segments sealed when there is time for it.
    pub(crate) fn seal_soon(&self) {
        if let Some(act) = self.on_segment_full.get().filter(|_| self.tuning.seal) {
            act();
        }
    }

    /// Says that the log begins with this segment: what lies before it was pruned.
    pub(crate) fn begin_log_with(&self, number: u64) -> Result<(), Error> {
        let begun = self.segment.lock().begin_log_with(number);
        begun.map_err(|failed| self.failure_of(&failed).to_error())
    }

    /// Notes that a segment was sealed, and what it takes now.
    pub(crate) fn sealed(&self, raw_bytes: u64, sealed_bytes: u64) {
        let mut segment = self.segment.lock();
        segment.sealed(raw_bytes, sealed_bytes);
        self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
    }

    /// Writes, without syncing, a frame that only says what is durable: the kernel or the next sync makes it so.
    fn vouch(&self) {
        let mut building = self.building.lock();
        // An idle history holds no memory that it can do without.
        building.spare.clear();
        if building.poison.is_some() || building.closed {
            return;
        }
        if building.leading || building.has_gathered() {
            drop(building);
            self.tend();
            return;
        }
        let (seq, chain, log_time) = building.open.beginning;
        let (durable, reason) = (building.durable, building.reason);
        // The segment is taken while `building` is held, so that no leader comes in between.
        let mut segment = self.segment.lock();
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        let beginning = || Beginning { reason, seq, chain, log_time };
        // A failed write here loses nothing: nobody waits for it.
        let _ = segment.append((FrameKind::Vouch, 0, seq), &mut frame, durable, &chain, beginning, false);
    }

    /// Makes everything durable, says that the history is closed, and lets go of the lock.
    pub(crate) fn close(&self) -> Result<(), Error> {
        // ORDER: nobody joins any more, then what had gathered goes to the disk, and only then the last frame is written:
        // it must stand behind every entry.
        let mut building = self.building.lock();
        if std::mem::replace(&mut building.closed, true) {
            // Another handle closes it, or did: what that is waiting for is waited for here too.
            drop(building);
            return self.flush();
        }
        drop(building);
        if let Err(forked) = self.check_process() {
            // The parent's files and threads are none of a child's.
            return Err(forked.to_error());
        }
        let flushed = self.flush();
        let building = self.building.lock();
        let poisoned = building.poison.is_some();
        let (seq, chain, log_time) = building.open.beginning;
        let (durable, reason, dirty) = (building.durable, building.reason, building.dirty);
        drop(building);
        self.background.finish();
        let mut result = flushed;
        if !poisoned && dirty && result.is_ok() {
            let mut segment = self.segment.lock();
            let mut frame = vec![0; FRAME_HEADER_BYTES];
            let beginning = || Beginning { reason, seq, chain, log_time };
            let closed = segment
                .append((FrameKind::Closed, 0, seq), &mut frame, durable, &chain, beginning, true)
                .and_then(|()| segment.close(durable));
            self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
            drop(segment);
            result = closed.map_err(|failed| self.failure_of(&failed).to_error());
            if let Some(act) = self.on_closed.get().filter(|_| result.is_ok() && self.tuning.seal) {
                // What cannot be sealed takes more room, and nothing else.
                act();
            }
        }
        self.advanced.notify_all();
        drop(self.lock.lock().take());
        result
    }

    /// Waits until an entry after this one is durable, for at most so long; `None` where there never will be one.
    pub(crate) fn wait_for_more(&self, after: Seq, at_most: Duration) -> Option<Seq> {
        let deadline = Instant::now() + at_most;
        let mut building = self.building.lock();
        loop {
            if building.durable > after {
                return Some(building.durable);
            }
            let settled = !building.leading && !building.has_gathered();
            if (building.closed && settled) || building.poison.is_some() {
                return None;
            }
            if self.advanced.wait_until(&mut building, deadline).timed_out() {
                return Some(building.durable);
            }
        }
    }
}
