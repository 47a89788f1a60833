//! The append path: from a change to a durable version.
//!
//! ```text
//! caller     validate, apply, encode, chain      under `building`, for microseconds
//! leader     write the group's frame, sync       under `segment`, for as long as the disk takes
//! leader     publish the version, tell everyone
//! ```
//!
//! Whoever appends while nobody leads becomes the leader and takes whatever has gathered; the others wait. No thread
//! belongs to a history.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flow_history_flow::{Flow, Operation};
use flow_history_replay::{
    Body, Chain, FRAME_HEADER_BYTES, FlowVersionId, FrameKind, Header, Intent, Marks, PushError, Pushed,
    SegmentReason, Seq, State,
};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::active_segment::{ActiveSegment, Beginning, fill_new};
use crate::background::Background;
use crate::error::is_full;
use crate::group::{Failure, Group, Ticket};
use crate::published::Published;
use crate::storage::{Failed, Lock, Storage};
use crate::tuning::Tuning;
use crate::{Author, Clock, Error, Mark};

/// When an append returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// When the entry would survive a power cut.
    #[default]
    Immediate,
    /// At once; the entry becomes durable within `max_delay`, or at the next `flush`. A crash takes back the newest
    /// entries, in order, and never more than that.
    Buffered {
        /// The longest that an entry may be in memory only.
        max_delay: Duration,
    },
}

/// A group's frame is closed to new members when it has this many bytes.
const GROUP_BYTES: usize = 1 << 20;
/// How many of the newest changes are kept with their inverses, so that undoing them reads nothing.
const RECENT_CHANGES: usize = 32;
/// The largest change that is kept so.
const RECENT_OPERATIONS: usize = 64;

/// The writing half of a history.
pub(crate) struct Writer {
    /// Itself, for the background thread, which keeps no history open.
    own: std::sync::Weak<Writer>,
    storage: Arc<dyn Storage>,
    place: PathBuf,
    clock: Arc<dyn Clock>,
    tuning: Tuning,
    durability: Durability,
    published: Arc<Published>,
    building: Mutex<Building>,
    /// A leader waits on it for the members of the last group.
    joined: Condvar,
    /// Members wait on it for their group.
    ended: Condvar,
    segment: Mutex<ActiveSegment>,
    head: Mutex<Arc<Head>>,
    recent: Mutex<std::collections::VecDeque<Recent>>,
    log_bytes: AtomicU64,
    syncs: AtomicU64,
    checkpoint: Mutex<CheckpointDue>,
    on_checkpoint_due: std::sync::OnceLock<Box<dyn Fn(State) + Send + Sync>>,
    background: Background,
    vouching: AtomicBool,
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// The process that opened it; a child after a fork has no business with the lock.
    process: u32,
}

/// The newest version that readers may see.
pub(crate) struct Head {
    pub(crate) id: FlowVersionId,
    pub(crate) flow: Flow,
    pub(crate) log_time: i64,
    pub(crate) marks: Arc<Marks>,
}

/// A change that was just made, with what takes it back.
#[derive(Clone)]
pub(crate) struct Recent {
    pub(crate) seq: Seq,
    pub(crate) header: Arc<Header>,
    pub(crate) operations: Arc<Vec<Operation>>,
    pub(crate) inverses: Arc<Vec<Operation>>,
}

pub(crate) struct CheckpointDue {
    pub(crate) last_seq: Seq,
    pub(crate) last_log_bytes: u64,
    pub(crate) last_bytes: u64,
    pub(crate) under_way: bool,
}

struct Building {
    state: State,
    open: OpenGroup,
    /// Groups that are full and wait for a leader.
    full: std::collections::VecDeque<TakenGroup>,
    leading: bool,
    /// The size of the last group, whose members a leader expects back.
    last_group: u32,
    durable: Seq,
    waiting_bytes: usize,
    /// Why the next segment is begun, when it is.
    reason: SegmentReason,
    /// Whether the first entry must be a mark that says that the history was not closed.
    needs_opened: bool,
    /// Whether anything was written since the history was opened or closed last.
    dirty: bool,
    closed: bool,
    poison: Option<Failure>,
}

struct OpenGroup {
    group: Arc<Group>,
    frame: Vec<u8>,
    entries: u32,
    pushed: Vec<(Pushed, Option<(Header, Arc<Vec<Operation>>)>)>,
    beginning: (Seq, Chain, i64),
}

/// A group on its way to the disk.
struct TakenGroup {
    group: Arc<Group>,
    frame: Vec<u8>,
    payload_bytes: usize,
    entries: u32,
    pushed: Vec<(Pushed, Option<(Header, Arc<Vec<Operation>>)>)>,
    beginning: Beginning,
    chain: Chain,
    last_seq: Seq,
    head: Head,
    checkpoint: Option<State>,
}

impl OpenGroup {
    fn begin(state: &State) -> Self {
        Self {
            group: Arc::default(),
            frame: vec![0; FRAME_HEADER_BYTES],
            entries: 0,
            pushed: Vec::new(),
            beginning: (state.seq.next().unwrap_or(state.seq), state.chain, state.log_time),
        }
    }
}

/// What a caller wants written.
pub(crate) struct Draft {
    pub(crate) header: Header,
    pub(crate) body: Body,
    pub(crate) expected: Option<FlowVersionId>,
    /// What must still be on top of the flow's stacks: an undo that was planned on another top is planned again.
    pub(crate) planned_on: Option<flow_history_replay::Tops>,
}

/// What a writer starts from.
pub(crate) struct Start {
    pub(crate) state: State,
    pub(crate) segment: ActiveSegment,
    pub(crate) reason: SegmentReason,
    pub(crate) needs_opened: bool,
    pub(crate) last_checkpoint: (Seq, u64),
    pub(crate) lock: Box<dyn Lock>,
}

impl Writer {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        (tuning, durability): (Tuning, Durability),
        published: Arc<Published>,
        start: Start,
    ) -> Arc<Self> {
        let head = Head::of(&start.state);
        let log_bytes = start.segment.log_bytes();
        let place = storage.place();
        Arc::new_cyclic(|own| Self {
            own: std::sync::Weak::clone(own),
            place,
            clock,
            durability,
            published,
            building: Mutex::new(Building {
                open: OpenGroup::begin(&start.state),
                durable: start.state.seq,
                state: start.state,
                full: std::collections::VecDeque::new(),
                leading: false,
                last_group: 1,
                waiting_bytes: 0,
                reason: start.reason,
                needs_opened: start.needs_opened,
                dirty: false,
                closed: false,
                poison: None,
            }),
            joined: Condvar::new(),
            ended: Condvar::new(),
            segment: Mutex::new(start.segment),
            head: Mutex::new(Arc::new(head)),
            recent: Mutex::default(),
            log_bytes: AtomicU64::new(log_bytes),
            syncs: AtomicU64::new(0),
            checkpoint: Mutex::new(CheckpointDue {
                last_seq: start.last_checkpoint.0,
                last_log_bytes: log_bytes,
                last_bytes: start.last_checkpoint.1,
                under_way: false,
            }),
            on_checkpoint_due: std::sync::OnceLock::new(),
            background: Background::new(),
            vouching: AtomicBool::new(false),
            lock: Mutex::new(Some(start.lock)),
            process: std::process::id(),
            tuning,
            storage,
        })
    }

    pub(crate) fn background(&self) -> &Background {
        &self.background
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Says what is done, on the thread that made an entry durable, when a checkpoint is due.
    pub(crate) fn when_checkpoint_due(&self, act: impl Fn(State) + Send + Sync + 'static) {
        let _ = self.on_checkpoint_due.set(Box::new(act));
    }

    pub(crate) fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head.lock())
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.building.lock().poison.is_some()
    }

    /// One of the newest changes, where it is still at hand.
    pub(crate) fn recent(&self, seq: Seq) -> Option<Recent> {
        self.recent.lock().iter().find(|recent| recent.seq == seq).cloned()
    }

    /// What undo and redo would take next, of the flow and of one author, and the flow that they would take it from.
    pub(crate) fn to_plan_on<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.building.lock().state)
    }

    /// Appends an entry and waits until it is durable, or as durable as the history was opened for.
    pub(crate) fn append(&self, draft: Draft) -> Result<FlowVersionId, Error> {
        if let Durability::Buffered { max_delay } = self.durability {
            return self.append_buffered(draft, max_delay);
        }
        let (group, id) = self.join(draft, false)?;
        self.wait_for(&group)?;
        Ok(id)
    }

    /// Hands an entry over, to become durable soon.
    pub(crate) fn submit(&self, draft: Draft) -> Result<Ticket, Error> {
        let (group, id) = self.join(draft, true)?;
        self.lead_in_background(Duration::ZERO);
        let writer = self.own.upgrade().ok_or(Error::Closed)?;
        Ok(Ticket { group, id, writer })
    }

    /// Appends entries that become durable together; all of them or none are accepted.
    pub(crate) fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<FlowVersionId>, Error> {
        let mut building = self.enter()?;
        self.push_opened_mark(&mut building)?;
        // A group that is begun is not closed in the middle: whatever fails is taken back out of it.
        let (entries, bytes) = (building.open.entries, building.open.frame.len());
        let mut ids = Vec::with_capacity(drafts.len());
        for draft in drafts {
            match Self::push(&mut building, draft) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    let building = &mut *building;
                    while building.open.entries > entries {
                        if let Some((pushed, _)) = building.open.pushed.pop() {
                            building.state.take_back(pushed);
                        }
                        building.open.entries -= 1;
                    }
                    building.waiting_bytes -= building.open.frame.len() - bytes;
                    building.open.frame.truncate(bytes);
                    return Err(error);
                }
            }
        }
        let group = Arc::clone(&building.open.group);
        self.publish_if_buffered(&building);
        drop(building);
        if ids.is_empty() || self.durability != Durability::Immediate {
            return Ok(ids);
        }
        self.wait_for(&group)?;
        Ok(ids)
    }

    /// Returns when everything appended so far is durable.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        loop {
            let building = self.building.lock();
            if let Some(poison) = &building.poison {
                return Err(poison.to_error());
            }
            let group = match building.full.back() {
                _ if building.open.entries > 0 => Arc::clone(&building.open.group),
                Some(last) => Arc::clone(&last.group),
                None if building.leading => {
                    let mut building = building;
                    self.ended.wait(&mut building);
                    continue;
                }
                None => return Ok(()),
            };
            drop(building);
            return self.wait_for(&group);
        }
    }

    fn append_buffered(&self, draft: Draft, max_delay: Duration) -> Result<FlowVersionId, Error> {
        let mut building = self.enter()?;
        if building.waiting_bytes > self.tuning.in_flight_bytes_max {
            // Memory is bounded: whoever appends faster than the disk takes waits for it here.
            drop(building);
            self.flush()?;
            building = self.enter()?;
        }
        self.push_opened_mark(&mut building)?;
        let id = Self::push(&mut building, draft)?;
        self.close_full_group(&mut building);
        let first = building.open.entries <= 1 && building.full.is_empty();
        let many = building.full.len() > 1;
        self.publish_if_buffered(&building);
        drop(building);
        if first || many {
            self.lead_in_background(if many { Duration::ZERO } else { max_delay });
        }
        Ok(id)
    }

    fn publish_if_buffered(&self, building: &Building) {
        if self.durability != Durability::Immediate {
            self.published.publish(building.state.version());
        }
    }

    /// Validates an entry and puts it into the group that is gathering.
    fn join(&self, draft: Draft, bounded: bool) -> Result<(Arc<Group>, FlowVersionId), Error> {
        let mut building = self.enter()?;
        if bounded && building.waiting_bytes > self.tuning.in_flight_bytes_max {
            let (waiting, max) = (building.waiting_bytes, self.tuning.in_flight_bytes_max);
            return Err(Error::Busy { waiting, max });
        }
        self.push_opened_mark(&mut building)?;
        let id = Self::push(&mut building, draft)?;
        let group = Arc::clone(&building.open.group);
        if building.open.entries >= building.last_group {
            self.joined.notify_one();
        }
        self.close_full_group(&mut building);
        Ok((group, id))
    }

    fn enter(&self) -> Result<MutexGuard<'_, Building>, Error> {
        let building = self.building.lock();
        if let Some(poison) = &building.poison {
            return Err(poison.to_error());
        }
        if building.closed {
            return Err(Error::Closed);
        }
        Ok(building)
    }

    fn push(building: &mut Building, draft: Draft) -> Result<FlowVersionId, Error> {
        let Draft { mut header, body, expected, planned_on } = draft;
        if let Some(expected) = expected {
            let actual = building.state.version();
            if expected != actual {
                return Err(Error::Conflict { expected, actual });
            }
            header.expected_base = Some(expected.seq());
        }
        if planned_on.is_some_and(|tops| tops != building.state.stacks.flow) {
            let actual = building.state.version();
            return Err(Error::Conflict { expected: actual, actual });
        }
        let open = &mut building.open;
        let start = open.frame.len();
        open.frame.extend([0; 4]);
        let pushed = match building.state.push(&mut header, &body, &mut open.frame) {
            Ok(pushed) => pushed,
            Err(error) => {
                open.frame.truncate(start);
                return Err(match error {
                    PushError::NoSuchVersion(asked) => {
                        Error::UnknownVersion { asked, head: building.state.seq }
                    }
                    other => other.into(),
                });
            }
        };
        let length = u32::try_from(open.frame.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = open.frame.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        open.entries += 1;
        building.waiting_bytes += open.frame.len() - start;
        building.dirty = true;
        let id = pushed.id;
        let kept = match body {
            Body::Change(operations) if operations.len() <= RECENT_OPERATIONS => {
                Some((header, Arc::new(operations)))
            }
            _ => None,
        };
        open.pushed.push((pushed, kept));
        Ok(id)
    }

    /// The first entry after an end that was not clean says so, with random bytes that make every later chain value one
    /// that no lost version can have had.
    fn push_opened_mark(&self, building: &mut Building) -> Result<(), Error> {
        if !building.needs_opened {
            return Ok(());
        }
        let author = Arc::new(Author::system("flow-history"));
        let header = Header::new(author, Intent::Mark, self.clock.now());
        let body = Body::Mark(Mark::Opened { random: self.clock.random() });
        Self::push(building, Draft { header, body, expected: None, planned_on: None })?;
        building.needs_opened = false;
        Ok(())
    }

    fn close_full_group(&self, building: &mut Building) {
        if building.open.frame.len() >= GROUP_BYTES {
            let taken = self.take_open(building);
            building.full.push_back(taken);
        }
    }

    fn take_open(&self, building: &mut Building) -> TakenGroup {
        let next = OpenGroup::begin(&building.state);
        let open = std::mem::replace(&mut building.open, next);
        let (seq, chain, log_time) = open.beginning;
        TakenGroup {
            group: open.group,
            payload_bytes: open.frame.len() - FRAME_HEADER_BYTES,
            frame: open.frame,
            entries: open.entries,
            pushed: open.pushed,
            beginning: Beginning { reason: building.reason, seq, chain, log_time },
            chain: building.state.chain,
            last_seq: building.state.seq,
            head: Head::of(&building.state),
            checkpoint: self.checkpoint_if_due(&building.state),
        }
    }

    fn checkpoint_if_due(&self, state: &State) -> Option<State> {
        let mut due = self.checkpoint.lock();
        let log_bytes = self.log_bytes();
        let entries = state.seq.0.saturating_sub(due.last_seq.0);
        let bytes = log_bytes.saturating_sub(due.last_log_bytes);
        let is_due = !due.under_way
            && log_bytes >= self.tuning.derive_from_bytes
            && entries >= self.tuning.checkpoint_entries
            && bytes >= due.last_bytes.saturating_mul(self.tuning.checkpoint_bytes_factor);
        if !is_due || self.on_checkpoint_due.get().is_none() {
            return None;
        }
        due.under_way = true;
        Some(state.clone())
    }

    /// Notes that a checkpoint was written, or that it could not be.
    pub(crate) fn checkpoint_done(&self, written: Option<(Seq, u64)>) {
        let mut due = self.checkpoint.lock();
        due.under_way = false;
        due.last_log_bytes = self.log_bytes();
        if let Some((seq, bytes)) = written {
            due.last_seq = seq;
            due.last_bytes = bytes;
        }
    }

    /// Waits until a group has ended, leading groups to the disk where nobody else does.
    pub(crate) fn wait_for(&self, group: &Group) -> Result<(), Error> {
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
            self.lead(building);
        }
    }

    fn lead_in_background(&self, after: Duration) {
        let writer = std::sync::Weak::clone(&self.own);
        if after.is_zero() {
            let mut building = self.building.lock();
            // Whoever leads now looks again when done; only where nobody does is the thread needed.
            if building.leading || (building.open.entries == 0 && building.full.is_empty()) {
                return;
            }
            building.leading = true;
            drop(building);
            self.background.soon(move || {
                if let Some(writer) = writer.upgrade() {
                    writer.lead_until_empty();
                }
            });
            return;
        }
        self.background.at(Instant::now() + after, move || {
            if let Some(writer) = writer.upgrade() {
                let _ = writer.flush();
            }
        });
    }

    fn lead_until_empty(&self) {
        loop {
            let building = self.building.lock();
            self.lead(building);
            let mut building = self.building.lock();
            if building.leading || (building.open.entries == 0 && building.full.is_empty()) {
                return;
            }
            building.leading = true;
        }
    }

    /// Takes one group to the disk. The caller has set `leading`.
    fn lead(&self, mut building: MutexGuard<'_, Building>) {
        // The members of the last group are on their way back with their next entries; a group that waits for them for
        // a moment holds twice as many. Whoever was alone has nobody to wait for.
        if building.full.is_empty() && building.last_group > 1 && !self.tuning.rejoin_wait.is_zero() {
            let deadline = Instant::now() + self.tuning.rejoin_wait;
            while building.open.entries < building.last_group && building.full.is_empty() {
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
        drop(building);

        let written = self.write(&mut taken, synced);
        let outcome = match written {
            Ok(()) => {
                self.succeed(taken);
                return;
            }
            Err(failed) => self.failure_of(failed),
        };
        self.fail(taken, outcome);
    }

    fn write(&self, taken: &mut TakenGroup, synced: Seq) -> Result<(), Failed> {
        if std::process::id() != self.process {
            let source =
                std::io::Error::other("this process was forked from the one that opened the history");
            return Err(Failed::write("write", "", 0)(source));
        }
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
        Ok(())
    }

    fn succeed(&self, taken: TakenGroup) {
        let TakenGroup { group, payload_bytes, entries, pushed, last_seq, head, checkpoint, .. } = taken;
        let id = head.id;
        let mut recent = self.recent.lock();
        for (pushed, kept) in pushed {
            if let Some((header, operations)) = kept {
                recent.push_back(Recent {
                    seq: pushed.seq,
                    header: Arc::new(header),
                    operations,
                    inverses: Arc::new(pushed.inverses),
                });
            }
        }
        let excess = recent.len().saturating_sub(RECENT_CHANGES);
        let _ = recent.drain(..excess);
        drop(recent);
        *self.head.lock() = Arc::new(head);
        if self.durability == Durability::Immediate {
            // ORDER: published after the sync: no version is ever seen that a crash can take back.
            self.published.publish(id);
        }

        let mut building = self.building.lock();
        building.durable = last_seq;
        building.last_group = entries;
        building.leading = false;
        building.reason = SegmentReason::Full;
        building.waiting_bytes = building.waiting_bytes.saturating_sub(payload_bytes);
        let outcome = Ok(());
        group.settle(&outcome);
        self.ended.notify_all();
        drop(building);
        group.tell(&outcome);
        self.tend();
        if let (Some(state), Some(act)) = (checkpoint, self.on_checkpoint_due.get()) {
            act(state);
        }
    }

    fn failure_of(&self, failed: Failed) -> Failure {
        let errno = failed.source.raw_os_error();
        let message = failed.source.to_string();
        let path = self.place.join(&failed.file);
        if failed.sync {
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
        let outcome = Err(failure.clone());
        let mut building = self.building.lock();
        let held = &mut *building;
        let mut groups = Vec::new();
        let open = std::mem::replace(&mut held.open, OpenGroup::begin(&held.state));
        let mut newest_first = vec![open.pushed];
        groups.push(open.group);
        while let Some(full) = held.full.pop_back() {
            newest_first.push(full.pushed);
            groups.push(full.group);
        }
        newest_first.push(taken.pushed);
        groups.push(taken.group);
        for (pushed, _) in newest_first.into_iter().flat_map(|pushed| pushed.into_iter().rev()) {
            held.state.take_back(pushed);
        }
        held.open = OpenGroup::begin(&held.state);
        held.needs_opened = held.needs_opened || held.reason == SegmentReason::Recovered;
        held.waiting_bytes = 0;
        held.last_group = 1;
        held.leading = false;
        if matches!(failure, Failure::Poisoned { .. }) {
            held.poison = Some(failure);
        }
        if self.durability != Durability::Immediate {
            self.published.publish(held.state.version());
        }
        self.checkpoint.lock().under_way &= taken.checkpoint.is_none();
        groups.iter().for_each(|group| group.settle(&outcome));
        self.ended.notify_all();
        drop(building);
        groups.iter().for_each(|group| group.tell(&outcome));
    }

    /// Makes the next segment ready, and writes a frame that vouches when nothing else was written for a while.
    fn tend(&self) {
        let mut segment = self.segment.lock();
        if segment.wants_prepared() {
            let (file, bytes) = segment.to_prepare();
            drop(segment);
            let writer = std::sync::Weak::clone(&self.own);
            self.background.soon(move || {
                let Some(writer) = writer.upgrade() else { return };
                // A file that cannot be made ready is made when it is needed, where the error has somebody to go to.
                if fill_new(&*writer.storage, file, bytes).is_ok() {
                    writer.segment.lock().prepared(file, bytes);
                }
            });
        }
        if !self.vouching.swap(true, Ordering::Relaxed) {
            let writer = std::sync::Weak::clone(&self.own);
            self.background.at(Instant::now() + self.tuning.vouch_after, move || {
                if let Some(writer) = writer.upgrade() {
                    writer.vouching.store(false, Ordering::Relaxed);
                    writer.vouch();
                }
            });
        }
    }

    /// Writes, without syncing, a frame that only says what is durable: the kernel or the next sync makes it so.
    fn vouch(&self) {
        let building = self.building.lock();
        if building.leading || building.poison.is_some() || building.closed || building.open.entries > 0 {
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
        let flushed = self.flush();
        let mut building = self.building.lock();
        if building.closed {
            return flushed;
        }
        building.closed = true;
        let poisoned = building.poison.is_some();
        let (seq, chain, log_time) = building.open.beginning;
        let (durable, reason, dirty) = (building.durable, building.reason, building.dirty);
        drop(building);
        self.background.finish();
        let mut result = flushed;
        if !poisoned && dirty && result.is_ok() && std::process::id() == self.process {
            let mut segment = self.segment.lock();
            let mut frame = vec![0; FRAME_HEADER_BYTES];
            let beginning = || Beginning { reason, seq, chain, log_time };
            let closed = segment
                .append((FrameKind::Closed, 0, seq), &mut frame, durable, &chain, beginning, true)
                .and_then(|()| segment.trim());
            self.log_bytes.store(segment.log_bytes(), Ordering::Relaxed);
            result = closed.map_err(|failed| self.failure_of(failed).to_error());
        }
        drop(self.lock.lock().take());
        result
    }
}

impl Head {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            id: state.version(),
            flow: state.flow.clone(),
            log_time: state.log_time,
            marks: Arc::clone(&state.marks),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Whoever wants to know whether it worked calls `close`.
        let _ = self.close();
    }
}
