//! A log's indexes: which entries touched a slot, which slots were touched, what an id or a slot stands for, and one entry
//! at a time, all without folding the entries before.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use flow_history_flow::{Component, ComponentId, Flow, Guesses, Name, Slot};

use crate::effects::{Known, Later, apply};
use crate::sealed::{Found, New, index_of_raw};
use crate::{
    Author, BaseHeader, Body, Chain, Entry, FlowVersionId, Header, HistoryId, Log, LogError, SegmentIndex,
    Seq, Source, Stacks, State, What, Whole,
};

/// How many segments are looked into at once by whoever wants all that they hold of something.
const SEGMENTS_AHEAD: usize = 16;

/// What decoding an entry needs to know of what is before it. A [`State`] knows it, and so do the indexes of a log.
pub(crate) trait Before {
    /// The entry before.
    fn seq(&self) -> Seq;
    /// Its log time.
    fn log_time(&self) -> i64;
    /// Numbers of names, and of authors, from which on they are new in the entry itself.
    fn known(&self) -> (usize, usize);
    /// The name of a number.
    fn name(&self, number: u32) -> Option<&Name>;
    /// The author of a number.
    fn author(&self, number: u32) -> Option<&Arc<Author>>;
    /// The slot that the next add takes.
    fn next_slot(&self) -> Slot;
    /// The id of the component in a slot.
    fn id_in(&self, slot: Slot) -> Option<ComponentId>;
}

impl Before for State {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn log_time(&self) -> i64 {
        self.log_time
    }

    fn known(&self) -> (usize, usize) {
        self.vocabulary.lengths()
    }

    fn name(&self, number: u32) -> Option<&Name> {
        self.vocabulary.name(number)
    }

    fn author(&self, number: u32) -> Option<&Arc<Author>> {
        self.vocabulary.author(number)
    }

    fn next_slot(&self) -> Slot {
        self.flow.next_slot()
    }

    fn id_in(&self, slot: Slot) -> Option<ComponentId> {
        self.flow.component_in(slot).map(|component| component.id.clone())
    }
}

/// The indexes of all segments of a log. Those of sealed segments are read where they lie, when they are needed; those of
/// raw ones are built in memory, which costs one walk along each and about its size.
///
/// It answers for the entries that there were when it was made; [`LogIndex::renewed`] makes one that goes further and
/// keeps what this one read.
#[derive(Clone)]
pub struct LogIndex {
    segments: Vec<SegmentIndex>,
    base: Option<Arc<Base>>,
    /// A flow of the history: a slot is given to one id only, so that the ids in it need not be read.
    near: Option<Flow>,
}

/// An entry as far as [`LogIndex::sets_or_header`] reads it.
#[derive(Clone, Debug)]
pub enum Told {
    /// All of it.
    Sets(Entry),
    /// What it says of itself.
    Header(Header),
}

/// What a pruned log begins with, read when something that older entries told is asked for.
struct Base {
    header: BaseHeader,
    source: Arc<dyn Source>,
    whole: OnceLock<Whole>,
}

impl Base {
    fn state(&self) -> Result<&State, LogError> {
        self.whole().map(|(state, _)| state)
    }

    fn whole(&self) -> Result<&Whole, LogError> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let whole = self.header.whole(&*self.source)?;
        Ok(self.whole.get_or_init(|| whole))
    }

    /// The id of the component that a slot was given to.
    fn id_of(&self, slot: Slot) -> Result<Option<ComponentId>, LogError> {
        let (state, removed) = self.whole()?;
        let alive = state.flow.component_in(slot).map(|component| component.id.clone());
        Ok(alive.or_else(|| removed.get(&slot).cloned()))
    }

    /// The slots that were given to a component of this id, the newest first.
    fn slots_of(&self, id: &str) -> Result<Vec<Slot>, LogError> {
        let (state, removed) = self.whole()?;
        let gone = removed.iter().filter(|(_, other)| ***other == *id).map(|(slot, _)| *slot);
        let mut slots: Vec<Slot> = gone.chain(state.flow.slot(id)).collect();
        slots.sort_unstable_by(|one, other| other.cmp(one));
        Ok(slots)
    }
}

impl LogIndex {
    /// Of a log.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn of(log: &Log) -> Result<Self, LogError> {
        Self { segments: Vec::new(), base: None, near: None }.renewed(log)
    }

    /// Of the segments of a log that are sealed, up to the first that is not: nothing is walked.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn of_sealed(log: &Log) -> Result<Self, LogError> {
        let sealed = log.segments().iter().take_while(|summary| summary.sealed.is_some()).count();
        Self { segments: Vec::new(), base: None, near: None }.renewed_up_to(log, sealed)
    }

    /// Of the same log later on: what did not change since is kept.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn renewed(&self, log: &Log) -> Result<Self, LogError> {
        self.renewed_up_to(log, log.segments().len())
    }

    fn renewed_up_to(&self, log: &Log, count: usize) -> Result<Self, LogError> {
        let mut segments: Vec<SegmentIndex> = Vec::new();
        let same = self.base.as_ref().filter(|base| Some(&base.header) == log.base()).cloned();
        let base = same.or_else(|| {
            let (header, source) = (log.base()?.clone(), Arc::clone(log.source()));
            Some(Arc::new(Base { header, source, whole: OnceLock::new() }))
        });
        let grown = base.as_ref().map(|base| base.header.grown).unwrap_or_default();
        for (at, summary) in log.segments().iter().take(count).enumerate() {
            let end = match (&summary.sealed, log.segments().get(at + 1)) {
                (Some(sealed), _) => sealed.header().last_seq,
                (None, Some(next)) => next.header.first_seq.previous().unwrap_or_default(),
                (None, None) => log.ending()?.seq,
            };
            let kept = self.segments.iter().find(|kept| {
                kept.header().segment == summary.header
                    && kept.header().last_seq == end
                    && (summary.sealed.is_none() || summary.sealed.as_ref() == Some(*kept))
            });
            let before = segments.last().map_or(grown, |before| before.header().after);
            segments.push(match (kept, &summary.sealed) {
                (Some(kept), _) => kept.clone(),
                (None, Some(sealed)) => sealed.clone(),
                (None, None) => index_of_raw(log, at, before)?,
            });
        }
        Ok(Self { segments, base, near: self.near.clone() })
    }

    /// The same, with a flow of the history at hand: the ids of what is in it are not read from the log.
    #[must_use]
    pub fn with_near(&self, flow: Flow) -> Self {
        Self { near: Some(flow), ..self.clone() }
    }

    /// The index of each segment, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentIndex] {
        &self.segments
    }

    /// The last entry that it answers for.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.segments.last().map(|last| last.header().last_seq).unwrap_or_default()
    }

    /// The history that it is of; `None` where there is no segment.
    #[must_use]
    pub fn history(&self) -> Option<HistoryId> {
        self.segments.first().map(|first| first.header().segment.history)
    }

    /// The hash chain after an entry, and its log time in milliseconds since 1970; `None` where there is none of this
    /// number. Reads one block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn place(&self, seq: Seq) -> Result<Option<(Chain, i64)>, LogError> {
        if let Some(base) = self.base.as_ref().filter(|base| base.header.seq == seq) {
            return Ok(Some((base.header.chain, base.header.log_time)));
        }
        self.segment_of(seq).map_or(Ok(None), |segment| segment.place(seq))
    }

    fn segment_of(&self, seq: Seq) -> Option<&SegmentIndex> {
        let at = self.segments.partition_point(|segment| segment.header().last_seq < seq);
        self.segments.get(at).filter(|segment| segment.header().segment.first_seq <= seq && seq > Seq::ZERO)
    }

    /// One entry; `None` where there is none of this number. Reads its block, and the ids of components that it names.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn entry(&self, seq: Seq) -> Result<Option<Entry>, LogError> {
        Ok(self.entry_and_slot(seq)?.map(|(entry, _)| entry))
    }

    /// The same, and the slot that was given out next before it.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn entry_and_slot(&self, seq: Seq) -> Result<Option<(Entry, Slot)>, LogError> {
        self.decoded(seq, |found, before| {
            let (header, body) = crate::canonical::decode_whole_entry(found.bytes(), before)?;
            let id = FlowVersionId::new(seq, &found.chain);
            Ok((Entry { seq, id, header, body }, found.next_slot))
        })
    }

    /// What one entry says of itself, whatever it does; `None` where there is none of this number. Reads its block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn header(&self, seq: Seq) -> Result<Option<Header>, LogError> {
        self.decoded(seq, |found, before| crate::canonical::decode_header(found.bytes(), before))
    }

    /// An entry that gives components values and nothing else; of any other what it says of itself. `None` where there is none
    /// of this number. Reads its block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn sets_or_header(&self, seq: Seq) -> Result<Option<Told>, LogError> {
        self.decoded(seq, |found, before| {
            let (header, body) = crate::canonical::decode_if_it_sets(found.bytes(), before)?;
            let id = FlowVersionId::new(seq, &found.chain);
            Ok(match body {
                Some(body @ Body::Change(_)) => Told::Sets(Entry { seq, id, header, body }),
                _ => Told::Header(header),
            })
        })
    }

    fn decoded<T>(
        &self,
        seq: Seq,
        decode: impl FnOnce(&Found, &EntryBefore<'_>) -> Result<T, String>,
    ) -> Result<Option<T>, LogError> {
        let Some(segment) = self.segment_of(seq) else { return Ok(None) };
        let found = segment.find(seq)?;
        let before =
            EntryBefore { log_time: found.log_time, next_slot: found.next_slot, ..self.before(seq, None) };
        decode(&found, &before).map(Some).map_err(|why| {
            before.failure.take().unwrap_or_else(|| {
                LogError::damaged(segment.file(), found.offset, Some(seq), What::Encoding(why))
            })
        })
    }

    /// What an entry makes of the component in a slot, given what it was before; `None` stands for a slot that is empty. Reads
    /// its block, and the ids of other components that it names.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn follow(
        &self,
        seq: Seq,
        slot: Slot,
        before: Option<Arc<Component>>,
    ) -> Result<Option<Arc<Component>>, LogError> {
        let missing = || LogError::damaged("", 0, Some(seq), What::Missing);
        let segment = self.segment_of(seq).ok_or_else(missing)?;
        let id = before.as_ref().map(|component| component.id.clone());
        let around = self.before(seq, id.as_ref().map(|id| (slot, id)));
        let known = Known {
            name_of: |number| around.name(number),
            id_of: |other| around.id_in(Slot(other)).ok_or("a slot is empty"),
        };
        let mut standing = before;
        let (later, mut places) = (Later::default(), Guesses::default());
        let applied = segment.with_effects(seq, |effects| {
            let mut of_slot = effects.into_iter().filter(|effect| effect.slot == slot);
            of_slot
                .try_for_each(|effect| apply(&mut standing, &effect.act, &known, &later, &mut places, None))
        });
        match applied {
            Ok(()) => Ok(standing),
            Err(error) => Err(around.failure.take().unwrap_or(error)),
        }
    }

    /// What is known of what is before an entry, its log time and the slot that its first add takes left out.
    fn before<'i>(&'i self, seq: Seq, known: Option<(Slot, &'i ComponentId)>) -> EntryBefore<'i> {
        EntryBefore {
            index: self,
            seq: seq.previous().unwrap_or_default(),
            log_time: 0,
            next_slot: Slot(0),
            vocabularies: (0..self.segments.len()).map(|_| OnceCell::new()).collect(),
            known,
            failure: RefCell::new(None),
        }
    }

    /// The id of the component that a slot was given to, whether or not it is still there. Reads a part of one block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn id_of(&self, slot: Slot) -> Result<Option<ComponentId>, LogError> {
        if let Some(near) = self.near.as_ref().and_then(|near| near.component_in(slot)) {
            return Ok(Some(near.id.clone()));
        }
        if let Some(base) = self.base.as_ref().filter(|base| slot.0 < base.header.grown.next_slot) {
            return base.id_of(slot);
        }
        let at = self.segments.partition_point(|segment| segment.header().after.next_slot <= slot.0);
        self.segments.get(at).map_or(Ok(None), |segment| segment.id_of(slot))
    }

    /// The slots that were given to a component of this id, the newest first; one for each time that it was added anew.
    /// Reads a page of ids of each segment, as far as it is asked for slots.
    pub fn slots_of<'i>(&'i self, id: &'i str) -> impl Iterator<Item = Result<Slot, LogError>> + 'i {
        self.slots_until(id, Seq(u64::MAX))
    }

    /// As [`LogIndex::slots_of`], of those given up to an entry; of its segment those given later may come, too.
    pub fn slots_until<'i>(
        &'i self,
        id: &'i str,
        seq: Seq,
    ) -> impl Iterator<Item = Result<Slot, LogError>> + 'i {
        let end = self.segments.partition_point(|segment| segment.header().segment.first_seq <= seq);
        let of_each = self.segments.iter().take(end).rev().map(move |segment| segment.slots_of(id));
        let of_each = of_each.flat_map(|slots| match slots {
            Ok(slots) => slots.into_iter().rev().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let of_base = self.base.iter().flat_map(move |base| match base.slots_of(id) {
            Ok(slots) => slots.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        of_each.chain(of_base)
    }

    /// The component in a slot at the oldest version that is kept; `None` where nothing was pruned.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn component_at_oldest(&self, slot: Slot) -> Result<Option<Arc<Component>>, LogError> {
        match &self.base {
            Some(base) => Ok(base.state()?.flow.component_in(slot).cloned()),
            None => Ok(None),
        }
    }

    /// The oldest version that is kept; version 0 where nothing was pruned.
    #[must_use]
    pub fn oldest(&self) -> Seq {
        self.base.as_ref().map_or(Seq::ZERO, |base| base.header.seq)
    }

    /// The entries that touched a slot, from the one after `after` to `to`, oldest first. Reads, as far as it is asked:
    /// a page of the slot index of each segment, and the blocks that it names.
    #[must_use]
    pub fn touches(&self, slot: Slot, after: Seq, to: Seq) -> Touches<&Self> {
        Touches::new(self, slot, (after, to), false)
    }

    /// Has the system fetch what [`LogIndex::follow`] needs of the segments between two versions, whatever the slot. For
    /// whoever has something else to read before.
    pub fn will_follow(&self, after: Seq, to: Seq) {
        let of_names = self.segments.iter().find(|segment| segment.header().after.names > 0);
        let between = self.between(after, to);
        let between = between.start..between.end.min(between.start + SEGMENTS_AHEAD);
        let touched = self.segments.get(between).unwrap_or_default();
        of_names.into_iter().chain(touched).for_each(SegmentIndex::will_read_footer);
    }

    /// The places of the segments that hold an entry after one and up to another.
    fn between(&self, after: Seq, to: Seq) -> std::ops::Range<usize> {
        let begin = self.segments.partition_point(|segment| segment.header().last_seq <= after);
        let end = self.segments.partition_point(|segment| segment.header().segment.first_seq <= to);
        begin..end.max(begin)
    }

    /// As [`LogIndex::touches`], newest first.
    #[must_use]
    pub fn touches_back(&self, slot: Slot, after: Seq, to: Seq) -> Touches<&Self> {
        Touches::new(self, slot, (after, to), true)
    }

    /// The slots that entries touched, from the one after `after` to `to`. Of a segment that lies wholly between them the
    /// slot index says it; of others, the heads of their blocks.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn touched(&self, after: Seq, to: Seq) -> Result<BTreeSet<Slot>, LogError> {
        let mut touched = BTreeSet::new();
        for segment in &self.segments {
            segment.touched(after, to, &mut touched)?;
        }
        Ok(touched)
    }

    /// The undo stacks at the end. Reads the footer of each segment.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn stacks(&self) -> Result<Stacks, LogError> {
        let mut stacks = match &self.base {
            Some(base) => base.state()?.stacks.clone(),
            None => Stacks::default(),
        };
        let mut moved_at = std::collections::HashMap::new();
        for segment in &self.segments {
            let footer = segment.footer()?;
            if let Some(moved) = footer.flow_tops {
                stacks.flow = moved.tops;
            }
            for (owner, moved) in &footer.author_tops {
                let id = match owner {
                    crate::sealed::Owner::Id(id) => Arc::clone(id),
                    crate::sealed::Owner::Number(number) => match self.author(*number)? {
                        Some(author) => Arc::clone(&author.id),
                        None => return Err(segment.unknown("stacks of an author who is not known")),
                    },
                };
                // One id may have had several names, each an author of its own.
                let newest = moved_at.entry(Arc::clone(&id)).or_insert(moved.at);
                if *newest <= moved.at {
                    *newest = moved.at;
                    stacks.authors.insert(id, moved.tops);
                }
            }
        }
        Ok(stacks)
    }

    fn author(&self, number: u32) -> Result<Option<Arc<Author>>, LogError> {
        if let Some(base) = self.base.as_ref().filter(|base| number < base.header.grown.authors) {
            return Ok(base.state()?.vocabulary.author(number).cloned());
        }
        let at = self.segments.partition_point(|segment| segment.header().after.authors <= number);
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        let place = number.checked_sub(segment.header().before.authors);
        Ok(segment.vocabulary()?.1.get(place.map_or(usize::MAX, |place| place as usize)).cloned())
    }
}

/// What the indexes know of what is before an entry.
struct EntryBefore<'i> {
    index: &'i LogIndex,
    seq: Seq,
    log_time: i64,
    next_slot: Slot,
    /// Of each segment, once it is asked for.
    vocabularies: Vec<OnceCell<Arc<New>>>,
    /// A slot whose id need not be looked up.
    known: Option<(Slot, &'i ComponentId)>,
    /// Why a look-up failed, where it was not that nothing was found.
    failure: RefCell<Option<LogError>>,
}

impl EntryBefore<'_> {
    fn found<T>(&self, found: Result<Option<T>, LogError>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.failure.replace(Some(error));
            None
        })
    }

    fn at_oldest<'b>(&self, base: &'b Base) -> Option<&'b State> {
        self.found(base.state().map(Some))
    }

    fn vocabulary(&self, at: usize) -> Option<&Arc<New>> {
        let cell = self.vocabularies.get(at)?;
        if cell.get().is_none() {
            let read = self.found(self.index.segments.get(at)?.vocabulary().map(Some))?;
            let _ = cell.set(read);
        }
        cell.get()
    }
}

impl Before for EntryBefore<'_> {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn log_time(&self) -> i64 {
        self.log_time
    }

    fn known(&self) -> (usize, usize) {
        // The indexes know the names that the entry brings, too.
        (usize::MAX, usize::MAX)
    }

    fn name(&self, number: u32) -> Option<&Name> {
        if let Some(base) = self.index.base.as_ref().filter(|base| number < base.header.grown.names) {
            return self.at_oldest(base)?.vocabulary.name(number);
        }
        let segments = &self.index.segments;
        let at = segments.partition_point(|segment| segment.header().after.names <= number);
        let place = number.checked_sub(segments.get(at)?.header().before.names)?;
        self.vocabulary(at)?.0.get(place as usize)
    }

    fn author(&self, number: u32) -> Option<&Arc<Author>> {
        if let Some(base) = self.index.base.as_ref().filter(|base| number < base.header.grown.authors) {
            return self.at_oldest(base)?.vocabulary.author(number);
        }
        let segments = &self.index.segments;
        let at = segments.partition_point(|segment| segment.header().after.authors <= number);
        let place = number.checked_sub(segments.get(at)?.header().before.authors)?;
        self.vocabulary(at)?.1.get(place as usize)
    }

    fn next_slot(&self) -> Slot {
        self.next_slot
    }

    fn id_in(&self, slot: Slot) -> Option<ComponentId> {
        match self.known {
            Some((known, id)) if known == slot => Some(id.clone()),
            _ => self.found(self.index.id_of(slot)),
        }
    }
}

/// The entries that touched a slot, one after the other.
pub struct Touches<I> {
    index: I,
    slot: Slot,
    between: (Seq, Seq),
    back: bool,
    /// How many segments are asked before their blocks are read.
    at_once: usize,
    segments: std::ops::Range<usize>,
    blocks: VecDeque<(usize, u32)>,
    entries: VecDeque<(Seq, bool)>,
    came_or_went: bool,
}

impl<I: Deref<Target = LogIndex>> Touches<I> {
    /// As [`LogIndex::touches`], or [`LogIndex::touches_back`], for whoever keeps the index in another way.
    #[must_use]
    pub fn new(index: I, slot: Slot, between: (Seq, Seq), back: bool) -> Self {
        let segments = index.between(between.0, between.1);
        let (blocks, entries) = (VecDeque::new(), VecDeque::new());
        Self { index, slot, between, back, at_once: 1, segments, blocks, entries, came_or_went: false }
    }

    /// For whoever wants all of them: what several segments hold of them is fetched at once, that of the first ones from now
    /// on, whatever is done before the first is asked for.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn all(self) -> Result<Self, LogError> {
        let mut all = Self { at_once: SEGMENTS_AHEAD, ..self };
        all.find_blocks()?;
        Ok(all)
    }

    /// The slot that they touched.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// Whether the entry that came last adds or removes the component in the slot.
    #[must_use]
    pub fn came_or_went(&self) -> bool {
        self.came_or_went
    }

    fn try_next(&mut self) -> Result<Option<Seq>, LogError> {
        loop {
            let entry = if self.back { self.entries.pop_back() } else { self.entries.pop_front() };
            if let Some((seq, came_or_went)) = entry {
                self.came_or_went = came_or_went;
                return Ok(Some(seq));
            }
            let block = if self.back { self.blocks.pop_back() } else { self.blocks.pop_front() };
            if let Some((at, block)) = block {
                if let Some(segment) = self.index.segments.get(at) {
                    self.entries = segment.touches_in(block, self.slot, self.between)?;
                }
                continue;
            }
            if self.segments.is_empty() {
                return Ok(None);
            }
            self.find_blocks()?;
        }
    }

    /// Asks the next segments in which of their blocks such entries are.
    fn find_blocks(&mut self) -> Result<(), LogError> {
        let next = |segments: &mut std::ops::Range<usize>| {
            let at = if self.back { segments.next_back() } else { segments.next() }?;
            Some((at, self.index.segments.get(at)?))
        };
        let several = self.at_once > 1;
        if several {
            let mut segments = self.segments.clone();
            for _ in 0..self.at_once {
                next(&mut segments).map_or(Ok(()), |(_, segment)| segment.will_read_slot(self.slot))?;
            }
        }
        for _ in 0..self.at_once {
            let Some((at, segment)) = next(&mut self.segments) else { break };
            let found = segment.blocks_of(self.slot, self.between)?;
            if several {
                found.iter().try_for_each(|block| segment.will_read_block(*block as usize))?;
            }
            let found = found.into_iter().map(|block| (at, block));
            if self.back {
                found.rev().for_each(|block| self.blocks.push_front(block));
            } else {
                self.blocks.extend(found);
            }
        }
        Ok(())
    }
}

impl<I: Deref<Target = LogIndex>> Iterator for Touches<I> {
    type Item = Result<Seq, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.try_next();
        if next.is_err() {
            // Behind what cannot be read nothing is said.
            self.segments = 0..0;
            self.blocks.clear();
            self.entries.clear();
        }
        next.transpose()
    }
}
