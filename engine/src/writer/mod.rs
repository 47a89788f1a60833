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

mod gathering; // validating entries and gathering them into groups
mod pending; //   entries that are not durable yet, group by group
mod leading; //   one group at a time to the disk
mod next_units; // what authors would take back next, where others came after it
mod cadence; //   when checkpoints are due, and which of them stay
mod tending; //   what is done beside the append path, and closing

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use flow_history_flow::{Flow, Name, Operation, Slot};
use flow_history_replay::{Body, Entry, FlowVersionId, Marks, SegmentReason, Seq, State};

use crate::active_segment::ActiveSegment;
use crate::background::Background;
use crate::published::Published;
use crate::storage::{Lock, Storage};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, Origin, ReentrantMutex};
use crate::tuning::Tuning;
use crate::{Clock, Error};

use self::cadence::CheckpointDue;
pub(crate) use self::gathering::Draft;
use self::gathering::{Building, OpenGroup, PushedEntry};
use self::next_units::NextUnits;
use self::pending::Pending;

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

/// The writing half of a history.
pub(crate) struct Writer {
    /// Itself, for the background thread, which keeps no history open.
    own: Weak<Writer>,
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
    /// Subscribers wait on it for entries.
    advanced: Condvar,
    segment: Mutex<ActiveSegment>,
    recent: Mutex<VecDeque<Recent>>,
    next_units: Mutex<NextUnits>,
    log_bytes: AtomicU64,
    syncs: AtomicU64,
    checkpoint: Mutex<CheckpointDue>,
    on_checkpoint_due: OnceLock<Box<dyn Fn() + Send + Sync>>,
    on_segment_full: OnceLock<Box<dyn Fn() + Send + Sync>>,
    on_closed: OnceLock<Box<dyn Fn(bool) + Send + Sync>>,
    /// Reads the state back from the files, where it was not kept.
    read_back: OnceLock<ReadBack>,
    background: Background,
    /// Held by whoever seals, prunes or closes: one at a time, and never after the lock was let go.
    pub(crate) upkeep: ReentrantMutex<()>,
    vouching: AtomicBool,
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// The process that opened it; a child after a fork has no business with the lock.
    origin: Origin,
}

/// Reads the state at the end of the log.
type ReadBack = Box<dyn Fn() -> Result<State, Error> + Send + Sync>;

/// The newest version that readers may see, without its flow.
#[derive(Clone)]
pub(crate) struct HeadInfo {
    pub(crate) id: FlowVersionId,
    pub(crate) log_time: i64,
    pub(crate) marks: Arc<Marks>,
}

/// An entry that was just made, with what takes it back.
#[derive(Clone)]
pub(crate) struct Recent {
    pub(crate) entry: Arc<Entry>,
    pub(crate) inverses: Arc<Vec<Operation>>,
    /// The slot and the kind of what each of its operations is about, where that is there after it: what is in another slot, or
    /// of another kind, is another component, whatever its id.
    pub(crate) touched: Vec<Option<(Slot, Name)>>,
    bytes: usize,
}

/// What a writer starts from.
pub(crate) struct Start {
    pub(crate) state: State,
    pub(crate) segment: ActiveSegment,
    pub(crate) reason: SegmentReason,
    pub(crate) needs_opened: bool,
    pub(crate) last_checkpoint: (Seq, u64),
    /// Files that an earlier writer left and nobody needs.
    pub(crate) leftovers: Vec<String>,
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
        let log_bytes = start.segment.log_bytes();
        let place = storage.place();
        Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            place,
            clock,
            durability,
            published,
            building: Mutex::new(Building {
                open: OpenGroup::begin(&start.state, Vec::new()),
                durable: start.state.seq,
                head: HeadInfo::of(&start.state),
                pending: Pending::new(),
                spare: Vec::new(),
                state: start.state,
                full: VecDeque::new(),
                leading: false,
                unattended: false,
                flush_due: false,
                lead_due: false,
                led: None,
                expected: 1,
                waiting_bytes: 0,
                durable_bytes: log_bytes,
                reason: start.reason,
                needs_opened: start.needs_opened,
                dirty: false,
                closed: false,
                poison: None,
                lost: None,
            }),
            joined: Condvar::new(),
            ended: Condvar::new(),
            advanced: Condvar::new(),
            segment: Mutex::new(start.segment),
            recent: Mutex::default(),
            next_units: Mutex::default(),
            log_bytes: AtomicU64::new(log_bytes),
            syncs: AtomicU64::new(0),
            checkpoint: Mutex::new(CheckpointDue::after(start.last_checkpoint, log_bytes)),
            on_checkpoint_due: OnceLock::new(),
            on_segment_full: OnceLock::new(),
            on_closed: OnceLock::new(),
            read_back: OnceLock::new(),
            background: Background::new(tuning.background),
            upkeep: ReentrantMutex::new(()),
            vouching: AtomicBool::new(false),
            lock: Mutex::new(Some(start.lock)),
            origin: Origin::here(),
            tuning,
            storage,
        })
    }

    pub(crate) fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(crate) fn background(&self) -> &Background {
        &self.background
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Says what is done, on the thread that made an entry durable, when a checkpoint is due.
    pub(crate) fn when_checkpoint_due(&self, act: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_checkpoint_due.set(Box::new(act));
    }

    /// Says what is done, on the thread that made an entry durable, when a segment is full.
    pub(crate) fn when_segment_full(&self, act: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_segment_full.set(Box::new(act));
    }

    /// Says what is done when a history closes, given whether its last frame says so and is durable.
    pub(crate) fn when_closed(&self, act: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.on_closed.set(Box::new(act));
    }

    /// Says how the state is read back after entries were refused that nothing was kept of.
    pub(crate) fn when_state_is_lost(&self, read: impl Fn() -> Result<State, Error> + Send + Sync + 'static) {
        let _ = self.read_back.set(Box::new(read));
    }

    /// The newest version that readers may see.
    pub(crate) fn head(&self) -> HeadInfo {
        let building = self.building.lock();
        match self.durability {
            Durability::Immediate => building.head.clone(),
            Durability::Buffered { .. } => HeadInfo::of(&building.state),
        }
    }

    /// The newest version that readers may see, with its flow: O(1), and as much again as waits to become durable.
    pub(crate) fn head_and_flow(&self) -> (HeadInfo, Flow) {
        let building = self.building.lock();
        if self.durability != Durability::Immediate {
            return (HeadInfo::of(&building.state), building.state.flow.clone());
        }
        let mut flow = building.state.flow.clone();
        for entry in building.pending.newest_first() {
            entry.pushed.take_back_from(&mut flow);
        }
        (building.head.clone(), flow)
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// The newest version that is durable: it never goes back.
    pub(crate) fn durable(&self) -> Seq {
        self.building.lock().durable
    }

    pub(crate) fn is_buffered(&self) -> bool {
        self.durability != Durability::Immediate
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.building.lock().poison.is_some()
    }

    /// One of the newest entries, or what somebody would take back next, where it is still at hand.
    pub(crate) fn recent(&self, seq: Seq) -> Option<Recent> {
        self.find_recent(seq, Recent::clone)
    }

    /// The same, without what takes it back.
    pub(crate) fn recent_entry(&self, seq: Seq) -> Option<Arc<Entry>> {
        self.find_recent(seq, |recent| Arc::clone(&recent.entry))
    }

    fn find_recent<T>(&self, seq: Seq, look: impl Fn(&Recent) -> T) -> Option<T> {
        let found = self.recent.lock().iter().find(|recent| recent.entry.seq == seq).map(&look);
        found.or_else(|| self.next_units.lock().find(seq).map(look))
    }

    /// Lets go of entries that were pruned: nobody takes back what the log no longer has.
    pub(crate) fn forget_recent_up_to(&self, seq: Seq) {
        self.recent.lock().retain(|recent| recent.entry.seq > seq);
        self.next_units.lock().let_go_up_to(seq);
    }

    /// What undo and redo would take next, of the flow and of one author, and the flow that they would take it from.
    pub(crate) fn to_plan_on<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.building.lock().state)
    }
}

impl Recent {
    /// An entry that is kept, with what is taken out of it.
    fn of(PushedEntry { pushed, kept, bytes, touched }: &mut PushedEntry) -> Option<Self> {
        let entry = kept.take()?;
        let (inverses, touched) = (Arc::new(std::mem::take(&mut pushed.inverses)), std::mem::take(touched));
        Some(Self { entry, inverses, touched, bytes: *bytes })
    }

    /// About the bytes of memory that it takes, with what takes it back; counted no further than to see that it is more than
    /// `most`. What an entry says by number, it holds as names: its bytes tell little of it.
    fn weight(&self, most: usize) -> usize {
        let done = match &self.entry.body {
            Body::Change(operations) => operations.as_slice(),
            _ => &[],
        };
        weight_of(size_of::<Entry>() + self.bytes, done.iter().chain(&*self.inverses), most)
    }
}

/// The weight of operations on top of another, counted no further than to see that it is more than `most`.
fn weight_of<'o>(start: usize, operations: impl Iterator<Item = &'o Operation>, most: usize) -> usize {
    let mut weight = start;
    for operation in operations {
        if weight > most {
            break;
        }
        weight += operation.weight(most);
    }
    weight
}

impl HeadInfo {
    pub(crate) fn of(state: &State) -> Self {
        Self { id: state.version(), log_time: state.log_time, marks: Arc::clone(&state.marks) }
    }
}
