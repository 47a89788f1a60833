//! What is done beside the append path, and closing.

use std::time::{Duration, Instant};

use flow_history_flow::mistake;
use flow_history_replay::{FRAME_HEADER_BYTES, FrameKind, Seq};

use super::Writer;
use super::gathering::RECENT_BYTES;
use crate::Error;
use crate::active_segment::{Beginning, fill_new};
use crate::group::Failure;
use crate::sync::atomic::Ordering;

impl Writer {
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
        self.check_holds_lock()?;
        let begun = self.segment.lock().begin_log_with(number);
        begun.map_err(|failed| {
            let failure = self.failure_of(&failed);
            if matches!(failure, Failure::Poisoned { .. }) {
                // Which identity is durable is not known.
                self.building.lock().poison = Some(failure.clone());
            }
            failure.to_error()
        })
    }

    /// Refuses what only the one who may write may do.
    pub(crate) fn check_holds_lock(&self) -> Result<(), Error> {
        self.check_process().map_err(|forked| forked.to_error())?;
        if let Some(poison) = &self.building.lock().poison {
            return Err(poison.to_error());
        }
        if self.lock.lock().is_none() {
            return Err(Error::Closed);
        }
        self.check_lock().map_err(|lost| lost.to_error())
    }

    /// Notes that a segment was sealed, and what it takes now.
    pub(crate) fn sealed(&self, raw_bytes: u64, sealed_bytes: u64) {
        let mut segment = self.segment.lock();
        segment.sealed(raw_bytes, sealed_bytes);
        self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
    }

    /// Writes, without syncing, a frame that only says what is durable: the kernel or the next sync makes it so.
    fn vouch(&self) {
        // An idle history holds no memory that it can do without.
        self.let_go_of_spares();
        let building = self.building.lock();
        self.recent.lock().retain(|recent| recent.bytes <= RECENT_BYTES);
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
        drop((segment, building));
        self.checkpoint_if_idle(durable);
    }

    /// Lets go of memory that is kept for groups to come, and of what those that ended left.
    fn let_go_of_spares(&self) {
        let mut building = self.building.lock();
        building.spare.clear();
        let left = building.pending.let_go();
        drop(building);
        drop(left);
    }

    /// Makes everything durable, says that the history is closed, and lets go of the lock.
    pub(crate) fn close(&self) -> Result<(), Error> {
        // The parent's files and threads are none of a child's, and its locks may be ones that nobody lets go there.
        self.check_process().map_err(|forked| forked.to_error())?;
        // ORDER: nobody joins any more, then what had gathered goes to the disk, and only then the last frame is written:
        // it must stand behind every entry.
        let mut building = self.building.lock();
        if std::mem::replace(&mut building.closed, true) {
            // Another handle closes it, or did: what that is waiting for is waited for here too.
            drop(building);
            return self.flush();
        }
        drop(building);
        let flushed = self.flush();
        let lost = self.check_lock().err();
        let flushed = flushed.and_then(|()| lost.as_ref().map_or(Ok(()), |lost| Err(lost.to_error())));
        let building = self.building.lock();
        let poisoned = building.poison.is_some() || lost.is_some();
        let (seq, chain, log_time) = building.open.beginning;
        let (durable, reason, dirty) = (building.durable, building.reason, building.dirty);
        // After a crash nothing is sealed before the mark that says so is written, with the next entry.
        let was_closed = !dirty && !building.needs_opened && durable > Seq::ZERO;
        drop(building);
        self.let_go_of_spares();
        self.background.finish();
        // What is sealed or pruned just now is done before the lock goes.
        let _alone = self.upkeep.lock();
        let mut result = flushed;
        if !poisoned && dirty && result.is_ok() {
            let mut segment = self.segment.lock();
            let mut frame = vec![0; FRAME_HEADER_BYTES];
            let beginning = || Beginning { reason, seq, chain, log_time };
            let closed = segment
                .append((FrameKind::Closed, 0, seq), &mut frame, durable, &chain, beginning, true)
                .and_then(|()| match mistake::is_made("a close does not note how far the log reaches") {
                    true => Ok(()),
                    false => segment.close(durable),
                });
            self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
            drop(segment);
            result = closed.map_err(|failed| self.failure_of(&failed).to_error());
        }
        // A process that was killed may have left raw what was full, or what it had closed.
        let seals = result.is_ok() && !poisoned && self.tuning.seal;
        if let Some(act) = self.on_closed.get().filter(|_| seals) {
            // What cannot be sealed takes more room, and nothing else.
            act(dirty || was_closed);
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
