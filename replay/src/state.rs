//! What folding entries builds up: the flow, and everything else that the next entry depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use flow_history_flow::{CHANGE_OPERATIONS_MAX, Flow, Inverse, Misfit, Operation, Reason, Slot, mistake};

use crate::canonical::{EncodeError, EntryEncoder};
use crate::stacks::Tops;
use crate::{
    Body, Chain, Entry, FlowVersionId, Header, HistoryId, Intent, Keyed, Keys, Mark, SEQ_MAX, Seq, Stacks,
    Vocabulary, content_of,
};

/// A history at a version: a pure function of its entries up to there.
///
/// Whoever appends and whoever replays push entries onto it by the same code, so that every route gives the same flow,
/// the same chain and the same stacks.
#[derive(Clone)]
#[non_exhaustive]
pub struct State {
    /// The history.
    pub history: HistoryId,
    /// The sequence number of the last entry.
    pub seq: Seq,
    /// The hash chain after it.
    pub chain: Chain,
    /// Its log time, in milliseconds since 1970; zero before the first entry.
    pub log_time: i64,
    /// The flow.
    pub flow: Flow,
    /// Names and authors that entries share.
    pub vocabulary: Vocabulary,
    /// What undo and redo would take next.
    pub stacks: Stacks,
    /// What marks say.
    pub marks: Arc<Marks>,
    /// The idempotency keys that are remembered.
    pub keys: Keys,
}

/// What the marks of a history say at a version.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Marks {
    /// The version that each label names.
    pub labels: BTreeMap<Arc<str>, Seq>,
    /// The versions that are kept whatever is pruned.
    pub pins: BTreeSet<Seq>,
    /// The version that runs, once a host has said one.
    pub running: Option<Seq>,
    /// The newest mark that undo does not go past.
    pub frozen: Option<Seq>,
    /// The secrets that were shredded, each with the mark that says so.
    pub shredded: BTreeMap<[u8; 16], Seq>,
    /// The oldest version that is kept, as the newest mark of a pruning says.
    pub oldest: Option<Seq>,
}

impl Marks {
    /// Whether a label, a pin or what runs names a version before this one.
    #[must_use]
    pub fn name_before(&self, version: Seq) -> bool {
        let (labels, pins) = (self.labels.values(), self.pins.iter());
        labels.chain(pins).chain(&self.running).any(|named| *named < version)
    }
}

/// How to take an entry back that was pushed but never became durable.
#[derive(Debug)]
pub struct Pushed {
    /// The entry's place.
    pub seq: Seq,
    /// The name of the version that it makes.
    pub id: FlowVersionId,
    /// Its operations undone, in the order in which they undo it.
    pub inverses: Vec<Operation>,
    before: Before,
}

impl Pushed {
    /// Makes a flow, a copy of the one that the entry left, what it was before.
    pub fn take_back_from(&self, flow: &mut Flow) {
        flow.take_back(&self.inverses, self.before.next_slot);
    }
}

#[derive(Debug)]
struct Before {
    chain: Chain,
    log_time: i64,
    next_slot: Slot,
    vocabulary: (usize, usize),
    flow_tops: Tops,
    author_tops: Option<(Arc<str>, Option<Tops>)>,
    marks: Option<Arc<Marks>>,
    /// Whether a key was remembered, and what was forgotten for it.
    key: Option<Option<Arc<Keyed>>>,
}

/// Why an entry cannot be pushed. The state is as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PushError {
    /// An operation does not fit the flow.
    Misfit(Misfit),
    /// A part of the header or of a mark is over its limit.
    Encode(EncodeError),
    /// A change without operations.
    Empty,
    /// A mark names a version that does not exist.
    NoSuchVersion(Seq),
    /// A mark names a version that was pruned.
    Pruned {
        /// The oldest version that is kept.
        oldest: Seq,
    },
    /// A mark says that versions were pruned that a label, a pin or what runs names.
    StillNamed {
        /// Before this version.
        before: Seq,
    },
    /// An undo or a redo that does not say what lies beneath it.
    NoBeneath,
    /// The history has as many entries as version IDs can name.
    Full,
    /// The bytes that the entry was read from are not those that it is written as.
    NotCanonical,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PushError::Misfit(misfit) => fmt::Display::fmt(misfit, f),
            PushError::Encode(error) => fmt::Display::fmt(error, f),
            PushError::Empty => f.write_str("a change needs at least one operation"),
            PushError::NoSuchVersion(seq) => write!(f, "there is no version {seq} (yet)"),
            PushError::Pruned { oldest } => write!(f, "the version was pruned; the oldest kept is {oldest}"),
            PushError::StillNamed { before } => {
                write!(f, "a version before {before} has a label or a pin, or runs")
            }
            PushError::NoBeneath => f.write_str("an undo or a redo must say what lies beneath it"),
            PushError::NotCanonical => f.write_str("it is not the canonical form"),
            PushError::Full => f.write_str("the history has as many entries as version ids can name"),
        }
    }
}

impl std::error::Error for PushError {}

impl State {
    /// A history before its first entry.
    #[must_use]
    pub fn start(history: HistoryId) -> Self {
        Self {
            history,
            seq: Seq::ZERO,
            chain: Chain::start(history),
            log_time: 0,
            flow: Flow::new(),
            vocabulary: Vocabulary::default(),
            stacks: Stacks::default(),
            marks: Arc::default(),
            keys: Keys::default(),
        }
    }

    /// The name of this version.
    #[must_use]
    pub fn version(&self) -> FlowVersionId {
        FlowVersionId::new(self.seq, &self.chain)
    }

    /// Validates, applies and encodes an entry; its canonical bytes are added to `bytes`. What the log derives, its log
    /// time and what lies beneath it on the stacks, is filled into the header.
    ///
    /// # Errors
    /// [`PushError`]; the state and `bytes` are as they were.
    pub fn push(
        &mut self,
        header: &mut Header,
        body: &Body,
        bytes: &mut Vec<u8>,
    ) -> Result<Pushed, PushError> {
        self.push_keeping(Push { keep: true, expected: None }, header, body, bytes)
    }

    /// As [`State::push`], for whoever will not take the entry back: nothing is kept that could. Returns its version.
    ///
    /// # Errors
    /// As [`State::push`]; the state and `bytes` are as they were.
    pub fn push_for_good(
        &mut self,
        header: &mut Header,
        body: &Body,
        bytes: &mut Vec<u8>,
    ) -> Result<FlowVersionId, PushError> {
        let pushed = self.push_keeping(Push { keep: false, expected: None }, header, body, bytes)?;
        Ok(pushed.id)
    }

    fn push_keeping(
        &mut self,
        push: Push<'_>,
        header: &mut Header,
        body: &Body,
        bytes: &mut Vec<u8>,
    ) -> Result<Pushed, PushError> {
        let seq = self.seq.next().ok_or(PushError::Full)?;
        header.log_time = self.log_time.max(header.host_time.millis);
        header.beneath = match (header.intent, body) {
            (intent, Body::Change(_)) if intent.is_undoable() => {
                Some(self.stacks.beneath_new_unit(&header.author.id))
            }
            (Intent::Undo | Intent::Redo, Body::Change(_)) => {
                Some(header.beneath.take().ok_or(PushError::NoBeneath)?)
            }
            _ => None,
        };

        let start = bytes.len();
        let before = Before {
            chain: self.chain,
            log_time: self.log_time,
            next_slot: self.flow.next_slot(),
            vocabulary: self.vocabulary.lengths(),
            flow_tops: self.stacks.flow,
            author_tops: None,
            marks: None,
            key: None,
        };
        let mut pushed = Pushed { seq, id: self.version(), inverses: Vec::new(), before };
        let result = match body {
            Body::Change(operations) => self.push_change(seq, header, operations, bytes, (&mut pushed, push)),
            Body::Mark(mark) => self.push_mark(seq, header, mark, bytes, (&mut pushed, push)),
        };
        if let Err(error) = result {
            bytes.truncate(start);
            self.vocabulary.truncate(pushed.before.vocabulary);
            return Err(error);
        }

        self.chain = self.chain.after(bytes.get(start..).unwrap_or_default());
        self.seq = seq;
        self.log_time = header.log_time;
        pushed.before.author_tops = self.stacks.follow(seq, header);
        pushed.id = self.version();
        if let Some(key) = &header.idempotency_key {
            let keyed = Keyed { key: Arc::clone(key), id: pushed.id, content: content_of(header, body) };
            pushed.before.key = Some(self.keys.add(keyed));
        }
        Ok(pushed)
    }

    /// Takes the newest entry back as if it had never been. Only entries that nobody was told of may be taken back, the
    /// newest first.
    pub fn take_back(&mut self, pushed: Pushed) {
        debug_assert_eq!(pushed.seq, self.seq);
        let before = pushed.before;
        self.flow.take_back(&pushed.inverses, before.next_slot);
        self.seq = pushed.seq.previous().unwrap_or_default();
        self.chain = before.chain;
        self.log_time = before.log_time;
        self.vocabulary.truncate(before.vocabulary);
        self.stacks.flow = before.flow_tops;
        match before.author_tops {
            Some((owner, Some(tops))) => drop(self.stacks.authors.insert(owner, tops)),
            Some((owner, None)) => drop(self.stacks.authors.remove(&owner)),
            None => {}
        }
        if let Some(marks) = before.marks {
            self.marks = marks;
        }
        if let Some(forgotten) = before.key {
            self.keys.take_back(forgotten);
        }
    }

    fn push_change(
        &mut self,
        seq: Seq,
        header: &Header,
        operations: &[Operation],
        bytes: &mut Vec<u8>,
        (pushed, push): (&mut Pushed, Push<'_>),
    ) -> Result<(), PushError> {
        let misfit = |at: usize, operation: &Operation, reason| {
            PushError::Misfit(Misfit::of(operation, reason).at(at))
        };
        let Some(first) = operations.first() else { return Err(PushError::Empty) };
        if operations.len() > CHANGE_OPERATIONS_MAX {
            return Err(misfit(
                CHANGE_OPERATIONS_MAX,
                first,
                Reason::ChangeTooLarge { max: CHANGE_OPERATIONS_MAX },
            ));
        }
        let encode_error = |error| match error {
            EncodeError::EntryTooLarge { max } => misfit(0, first, Reason::ChangeTooLarge { max }),
            other => PushError::Encode(other),
        };
        let count = Some(operations.len());
        let encoder = EntryEncoder::begin(seq, header, self.log_time, count, &mut self.vocabulary, bytes)
            .map_err(encode_error)?;
        let mut result = Ok(());
        for (at, operation) in operations.iter().enumerate() {
            // Slots are looked up before the operation and given out by it.
            let found = self.flow.slot(operation.id());
            let (flow, vocabulary) = (&self.flow, &mut self.vocabulary);
            let is_last = at + 1 == operations.len();
            // All of the entry is written, and known to fit, before its last operation is applied: a change of a single
            // operation is never taken back.
            result = encoder.operation(operation, (flow, found), vocabulary, bytes).map_err(encode_error);
            if result.is_ok() && is_last {
                result = encoder
                    .finish(&self.vocabulary, bytes)
                    .map_err(encode_error)
                    .and_then(|()| push.check(encoder.written(bytes)));
            }
            if result.is_ok() {
                let inverse = if push.keep || !is_last { Inverse::Wanted } else { Inverse::Unwanted };
                match self.flow.apply_found(operation, found, inverse) {
                    Ok(inverse) => pushed.inverses.extend(inverse),
                    Err(error) => result = Err(PushError::Misfit(error.at(at))),
                }
            }
            if result.is_err() {
                break;
            }
        }
        pushed.inverses.reverse();
        if result.is_err() {
            self.flow.take_back(&pushed.inverses, pushed.before.next_slot);
        }
        result
    }

    fn push_mark(
        &mut self,
        seq: Seq,
        header: &Header,
        mark: &Mark,
        bytes: &mut Vec<u8>,
        (pushed, push): (&mut Pushed, Push<'_>),
    ) -> Result<(), PushError> {
        let oldest = self.marks.oldest.unwrap_or_default();
        let exists = |version: &Seq| match version {
            version if *version < oldest => Err(PushError::Pruned { oldest }),
            version if *version < seq => Ok(()),
            version => Err(PushError::NoSuchVersion(*version)),
        };
        let encoder = EntryEncoder::begin(seq, header, self.log_time, None, &mut self.vocabulary, bytes)
            .map_err(PushError::Encode)?;
        let mut marks = Arc::clone(&self.marks);
        match mark {
            Mark::Label { name, version } => {
                exists(version)?;
                Arc::make_mut(&mut marks).labels.insert(Arc::clone(name), *version);
            }
            Mark::Unlabel { name } => drop(Arc::make_mut(&mut marks).labels.remove(name)),
            Mark::Pin { version } => {
                exists(version)?;
                Arc::make_mut(&mut marks).pins.insert(*version);
            }
            Mark::Unpin { version } => {
                exists(version)?;
                Arc::make_mut(&mut marks).pins.remove(version);
            }
            Mark::Running { version } => {
                exists(version)?;
                Arc::make_mut(&mut marks).running = Some(*version);
            }
            Mark::CheckIn { version, .. } => exists(version)?,
            Mark::Pruned { oldest: version, .. } => {
                exists(version)?;
                if marks.name_before(*version) {
                    return Err(PushError::StillNamed { before: *version });
                }
                Arc::make_mut(&mut marks).oldest = Some(*version);
            }
            Mark::Freeze => Arc::make_mut(&mut marks).frozen = Some(seq),
            Mark::Shredded { secret } => {
                Arc::make_mut(&mut marks).shredded.entry(*secret).or_insert(seq);
            }
            _ => {}
        }
        encoder
            .mark(mark, bytes)
            .and_then(|()| encoder.finish(&self.vocabulary, bytes))
            .map_err(PushError::Encode)?;
        push.check(encoder.written(bytes))?;
        pushed.before.marks = Some(std::mem::replace(&mut self.marks, marks));
        if mistake::is_made("a mark takes away what could be done again") {
            self.stacks.flow.redo = None;
        }
        Ok(())
    }

    /// Pushes an entry that is read back from its canonical bytes, and checks that encoding it gives the same bytes. Where
    /// `keep` does not ask for it, what is returned cannot take the entry back.
    ///
    /// # Errors
    /// What does not fit, in words; the state is as it was.
    pub(crate) fn push_bytes(
        &mut self,
        entry: &[u8],
        keep: bool,
        scratch: &mut Vec<u8>,
    ) -> Result<(Entry, Pushed), crate::What> {
        let (mut header, body) =
            crate::canonical::decode_entry(entry, self).map_err(crate::What::Encoding)?;
        scratch.clear();
        let push = Push { keep, expected: Some(entry) };
        let pushed = self.push_keeping(push, &mut header, &body, scratch).map_err(|error| match error {
            PushError::NotCanonical => crate::What::Encoding(error.to_string()),
            other => crate::What::Misfit(other.to_string()),
        })?;
        Ok((Entry { seq: pushed.seq, id: pushed.id, header, body }, pushed))
    }
}

/// How an entry is pushed.
#[derive(Clone, Copy)]
struct Push<'b> {
    /// Whether what takes it back is kept.
    keep: bool,
    /// The bytes that it must have, where it was read back from them. They are compared before its last operation is
    /// applied, so that nothing has to be taken back for them.
    expected: Option<&'b [u8]>,
}

impl Push<'_> {
    fn check(&self, written: &[u8]) -> Result<(), PushError> {
        match self.expected {
            Some(expected) if expected != written => Err(PushError::NotCanonical),
            _ => Ok(()),
        }
    }
}

const _: () = assert!(SEQ_MAX < u64::MAX);
