//! All segments of a history, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use flow_history_flow::mistake;

use crate::segment::{SegmentBytes, Walked};
use crate::shelf::{OwnShelf, Shelf};
use crate::source::read_up_to;
use crate::{
    BaseHeader, Chain, Ending, FileName, FrameHeader, HistoryId, IDENTITY_BYTES, Identity, LogError,
    SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentIndex, SegmentReason, Seq, Source, State,
    Tail, What, Whole,
};

/// The log of a history: which segments there are and where each begins. Their frames are read when they are needed.
#[derive(Clone)]
pub struct Log {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) shelf: Arc<dyn Shelf>,
    pub(crate) identity: Identity,
    pub(crate) segments: Vec<SegmentSummary>,
    pub(crate) leftovers: Vec<FileName>,
    pub(crate) base: Option<BaseHeader>,
}

/// What is known of a segment without reading its frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentSummary {
    /// What its header says; of a sealed one that holds several, the header of the first with the number of the last.
    pub header: SegmentHeader,
    /// The length of its file in bytes.
    pub bytes: u64,
    /// The sealed segment, where it is sealed.
    pub sealed: Option<SegmentIndex>,
}

impl SegmentSummary {
    pub(crate) fn of_sealed(index: &SegmentIndex) -> Self {
        let header = index.header();
        Self { header: header.segment.clone(), bytes: header.file_bytes, sealed: Some(index.clone()) }
    }

    /// The file that it is read from.
    #[must_use]
    pub fn file(&self) -> FileName {
        match self.sealed {
            Some(_) => FileName::SealedSegment(self.header.number),
            None => FileName::RawSegment(self.header.number),
        }
    }

    /// The number of the first raw segment in it.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.sealed.as_ref().map_or(self.header.number, |sealed| sealed.header().first_number)
    }
}

impl Log {
    /// Reads the identity of the history in a directory and the header of each segment, and checks that the segments
    /// continue one another. Costs one read a segment; where a segment is there both raw and sealed, one more, for the
    /// footer: the sealed one counts where it is sound.
    ///
    /// # Errors
    /// [`LogError::NotAHistory`] where there is none; [`LogError::Unsupported`], [`LogError::Damaged`] and
    /// [`LogError::Io`].
    pub fn open(source: Arc<dyn Source>) -> Result<Self, LogError> {
        Self::open_with(source, Arc::<OwnShelf>::default())
    }

    /// As [`Log::open`], with a shelf for what is read of sealed segments.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(source: Arc<dyn Source>, shelf: Arc<dyn Shelf>) -> Result<Self, LogError> {
        let mut listed = Listed::of(&*source)?;
        let identity = match read_identity(&*source)? {
            Some(identity) => identity,
            None if listed.is_empty() => {
                return Err(LogError::NotAHistory { found: "a directory without the file `history`" });
            }
            // The identity is written last when a history is created and never removed.
            None => return Err(LogError::damaged(&FileName::Identity.to_string(), 0, None, What::Missing)),
        };
        loop {
            let base = read_base(&*source, &identity);
            let found = base.and_then(|base| {
                find_segments((&source, &shelf), (&identity, base.as_ref()), &listed)
                    .map(|found| (found, base))
            });
            // A segment that was sealed meanwhile has another name now.
            if let Err(LogError::Damaged(damage)) = &found
                && damage.what == What::Missing
            {
                let now = Listed::of(&*source)?;
                if now != listed {
                    listed = now;
                    continue;
                }
            }
            let ((segments, leftovers), base) = found?;
            return Ok(Self { source, shelf, identity, segments, leftovers, base });
        }
    }

    /// The name of the history.
    #[must_use]
    pub fn history(&self) -> HistoryId {
        self.identity.history
    }

    /// Which history this is, and how far its log reaches.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentSummary] {
        &self.segments
    }

    /// Segments that are there although another file holds what they hold: what a crash in the middle of sealing leaves.
    #[must_use]
    pub fn leftovers(&self) -> &[FileName] {
        &self.leftovers
    }

    /// The newest version of which nothing but the state is kept, where segments were pruned; version 0 otherwise. No
    /// older one can be had.
    #[must_use]
    pub fn oldest(&self) -> Seq {
        self.base.as_ref().map_or(Seq::ZERO, |base| base.seq)
    }

    /// What the log begins with, where segments were pruned.
    #[must_use]
    pub fn base(&self) -> Option<&BaseHeader> {
        self.base.as_ref()
    }

    /// The state that the first entry in the log is folded into: that of version 0, or of [`Log::oldest`].
    ///
    /// # Errors
    /// [`LogError`].
    pub fn start(&self) -> Result<State, LogError> {
        self.whole_start().map(|(state, _)| state)
    }

    /// The same, with the ids of the slots whose components were removed by then.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn whole_start(&self) -> Result<Whole, LogError> {
        match &self.base {
            Some(base) => base.whole(&*self.source),
            None => Ok((State::start(self.history()), BTreeMap::new())),
        }
    }

    pub(crate) fn shelf(&self) -> &Arc<dyn Shelf> {
        &self.shelf
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// Walks the frames of the last segment, without decoding their entries, and says how the log ends.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where something vouches for what is not there, and [`LogError::Io`].
    pub fn ending(&self) -> Result<Ending, LogError> {
        let mut walk = self.walk(self.segments.len().saturating_sub(1))?;
        while walk.next_frame()?.is_some() {}
        Ok(walk.ending())
    }

    /// The hash chain after an entry; `None` past the end of the log. Reads one segment and hashes the entries of one
    /// frame, without decoding any; of a sealed segment, reads one block and hashes 128 entries at most.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn chain_at(&self, seq: Seq) -> Result<Option<Chain>, LogError> {
        match &self.base {
            Some(base) if seq < base.seq => return Ok(None),
            Some(base) if seq == base.seq => return Ok(Some(base.chain)),
            None if seq == Seq::ZERO => return Ok(Some(Chain::start(self.history()))),
            _ => {}
        }
        let index = self.segment_of(seq);
        if let Some(sealed) = self.sealed(index) {
            return sealed.chain_at(seq);
        }
        let mut walk = self.walk(index)?;
        let mut chain = walk.segment.header.chain;
        while let Some((frame, payload)) = walk.next_frame()? {
            if frame.last_seq() < seq || frame.entries == 0 {
                chain = frame.chain;
                continue;
            }
            let mut entries = EntryRanges::new(&walk, payload);
            for _ in frame.first_seq.0..=seq.0 {
                let Some(range) = entries.next_range()? else { return Ok(None) };
                chain = chain.after(walk.segment.bytes.get(range).unwrap_or_default());
            }
            return Ok(Some(chain));
        }
        Ok(None)
    }

    /// The newest entry whose log time is not later than this, in milliseconds since 1970; 0 where the first is later.
    /// Also the log time of the first entry, where there is one. Reads one segment.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn seq_at_time(&self, millis: i64) -> Result<Seq, LogError> {
        // A segment's header says the log time before its first entry, which never goes back.
        let begun = self.segments.partition_point(|segment| {
            segment.header.log_time <= millis || segment.header.first_seq.previous() == Some(self.oldest())
        });
        let index = begun.saturating_sub(1);
        if let Some(sealed) = self.sealed(index) {
            return sealed.seq_at_time(millis);
        }
        let mut walk = self.walk(index)?;
        let mut log_time = walk.segment.header.log_time;
        let mut newest = walk.segment.header.first_seq.previous().unwrap_or_default();
        while let Some((frame, payload)) = walk.next_frame()? {
            let mut entries = EntryRanges::new(&walk, payload);
            for seq in frame.first_seq.0..frame.first_seq.0 + u64::from(frame.entries) {
                let Some(range) = entries.next_range()? else { break };
                let bytes = walk.segment.bytes.get(range.clone()).unwrap_or_default();
                let elapsed = crate::canonical::elapsed_of(bytes).map_err(|why| {
                    let place = walk.place(range.start);
                    LogError::damaged(&walk.file, place, Some(Seq(seq)), What::Encoding(why))
                })?;
                log_time = log_time.saturating_add_unsigned(elapsed);
                if log_time > millis {
                    return Ok(newest);
                }
                newest = Seq(seq);
            }
        }
        Ok(newest)
    }

    /// The log time of the first entry; `None` where there is none.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn first_time(&self) -> Result<Option<i64>, LogError> {
        if let Some(sealed) = self.sealed(0).filter(|sealed| sealed.header().last_seq > Seq::ZERO) {
            return sealed.log_time(sealed.header().segment.first_seq).map(Some);
        }
        let mut walk = self.walk(0)?;
        while let Some((frame, payload)) = walk.next_frame()? {
            if frame.entries == 0 {
                continue;
            }
            let range = EntryRanges::new(&walk, payload).next_range()?;
            let bytes = range.and_then(|range| walk.segment.bytes.get(range)).unwrap_or_default();
            let elapsed = crate::canonical::elapsed_of(bytes).map_err(|why| {
                LogError::damaged(&walk.file, walk.offset() as u64, Some(Seq(1)), What::Encoding(why))
            })?;
            return Ok(Some(walk.segment.header.log_time.saturating_add_unsigned(elapsed)));
        }
        Ok(None)
    }

    /// The place, in the list of segments, of the one that holds an entry.
    pub(crate) fn segment_of(&self, seq: Seq) -> usize {
        self.segments.partition_point(|segment| segment.header.first_seq <= seq).saturating_sub(1)
    }

    fn sealed(&self, index: usize) -> Option<&SegmentIndex> {
        self.segments.get(index).and_then(|segment| segment.sealed.as_ref())
    }

    /// The name of the file of the segment at a place.
    pub(crate) fn file_of(&self, index: usize) -> String {
        let first = FileName::RawSegment(self.identity.first_segment);
        self.segments.get(index).map_or(first, SegmentSummary::file).to_string()
    }

    pub(crate) fn walk(&self, index: usize) -> Result<Walk, LogError> {
        self.walk_from(index, Seq::ZERO)
    }

    /// A walk along a segment; blocks of a sealed one that hold nothing from this entry on are not read.
    pub(crate) fn walk_from(&self, index: usize, seq: Seq) -> Result<Walk, LogError> {
        let name = self.file_of(index);
        let Some(summary) = self.segments.get(index) else {
            return Err(LogError::damaged(&name, 0, None, What::Missing));
        };
        let (header, bytes) = match &summary.sealed {
            Some(_) => (summary.header.clone(), Vec::new()),
            None => {
                let bytes = read_file(&*self.source, &name, SEGMENT_BYTES_MAX)?
                    .ok_or_else(|| LogError::damaged(&name, 0, None, What::Missing))?;
                (SegmentHeader::decode(&bytes, summary.header.number)?, bytes)
            }
        };
        if header != summary.header {
            return Err(LogError::damaged(&name, 0, None, What::HeaderChecksum));
        }
        let mut walk = Walk {
            seq: header.first_seq.previous().unwrap_or_default(),
            chain: header.chain,
            segment: SegmentBytes { header, bytes },
            source: Arc::clone(&self.source),
            next: self.segments.get(index + 1).map(|next| next.header.clone()),
            reaches: self.identity.reaches,
            file: name,
            offset: SEGMENT_HEADER_BYTES,
            vouched: summary.header.first_seq.previous().unwrap_or_default(),
            last_kind: None,
            done: false,
            sealed: None,
        };
        if let Some(index) = &summary.sealed {
            walk.sealed = Some(Blocks { index: index.clone(), at: 0, offset: 0 });
            walk.skip_blocks_before(seq)?;
        }
        Ok(walk)
    }
}

/// The room that is kept behind every frame, for the one that says that the history was closed.
pub const CLOSING_BYTES: usize = crate::FRAME_HEADER_BYTES + crate::FRAME_ALIGN;

/// The frames of one segment, one after the other, each checked by its checksums and its place.
pub(crate) struct Walk {
    pub(crate) segment: SegmentBytes,
    source: Arc<dyn Source>,
    pub(crate) file: String,
    next: Option<SegmentHeader>,
    reaches: Seq,
    offset: usize,
    seq: Seq,
    chain: Chain,
    vouched: Seq,
    last_kind: Option<crate::FrameKind>,
    done: bool,
    sealed: Option<Blocks>,
}

/// The blocks of a sealed segment, presented as frames: the entries of the one that was read last stand in the bytes of
/// the segment.
struct Blocks {
    index: SegmentIndex,
    /// The next block.
    at: usize,
    /// Where in the file the one that was read last lies.
    offset: u64,
}

impl Walk {
    /// The next frame, and where its payload lies in the segment; `None` where the frames end and may end.
    pub(crate) fn next_frame(&mut self) -> Result<Option<(FrameHeader, std::ops::Range<usize>)>, LogError> {
        if self.done {
            return Ok(None);
        }
        if self.sealed.is_some() {
            return self.next_block();
        }
        let expected = self.seq.next().unwrap_or_default();
        let damaged =
            |file: &str, offset: usize, what| LogError::damaged(file, offset as u64, Some(expected), what);
        // The next segment says where this one ends: what lies behind that was never acknowledged.
        if self.next.as_ref().is_some_and(|next| next.first_seq == expected && next.chain == self.chain) {
            // A frame that only vouches, or closes, may still follow.
            if let Walked::Frame(header, payload) = self.segment.walk(self.offset)
                && header.entries == 0
                && header.first_seq == expected
                && header.chain == self.chain
            {
                return self.accept(header, payload).map(Some);
            }
            self.done = true;
            return Ok(None);
        }
        let (header, payload) = match self.segment.walk(self.offset) {
            Walked::Frame(header, payload) => (header, payload),
            Walked::End(what) => {
                if let Some(next) = &self.next {
                    let what = if next.first_seq > expected { what } else { What::Chain };
                    return Err(damaged(&self.file, self.offset, lost_or(what)));
                }
                // Whoever writes does so into a file that was lengthened before, and keeps room behind; only closing cuts it.
                let left = self.segment.bytes.len().saturating_sub(self.offset);
                let open = self.last_kind != Some(crate::FrameKind::Closed);
                let cut = open && (left < CLOSING_BYTES || what == What::TooShort);
                let reaches = if mistake::is_made("how far a log reaches is not looked at") {
                    Seq::ZERO
                } else {
                    self.reaches
                };
                let lost = expected <= reaches || self.segment.vouched_later(self.offset, expected).is_some();
                if (cut || lost) && self.has_changed()? {
                    // Somebody writes it: what was read was half old, half new.
                    return self.next_frame();
                }
                if cut {
                    return Err(damaged(&self.file, self.offset, What::TooShort));
                }
                if lost {
                    return Err(damaged(&self.file, self.offset, lost_or(what)));
                }
                self.done = true;
                return Ok(None);
            }
        };
        self.accept(header, payload).map(Some)
    }

    fn skip_blocks_before(&mut self, seq: Seq) -> Result<(), LogError> {
        let Some(blocks) = &mut self.sealed else { return Ok(()) };
        if seq <= self.segment.header.first_seq {
            return Ok(());
        }
        let footer = blocks.index.footer()?;
        blocks.at = footer.block_of(seq);
        if let Some(place) = footer.blocks.get(blocks.at) {
            self.seq = place.start.first_seq.previous().unwrap_or_default();
            self.chain = place.start.chain;
        }
        Ok(())
    }

    /// The next block of a sealed segment, whose checksums match, as a frame. All of it was durable before it was sealed.
    fn next_block(&mut self) -> Result<Option<(FrameHeader, std::ops::Range<usize>)>, LogError> {
        let Some(blocks) = &mut self.sealed else { return Ok(None) };
        let header = blocks.index.header();
        let footer = blocks.index.footer()?;
        let Some(place) = footer.blocks.get(blocks.at) else {
            if self.next.is_none() && header.last_seq < self.reaches {
                let offset = header.file_bytes;
                return Err(LogError::damaged(&self.file, offset, self.seq.next(), What::LostFrame));
            }
            self.done = true;
            (self.seq, self.chain) = (header.last_seq, header.end_chain);
            self.vouched = header.last_seq;
            self.offset = usize::try_from(header.file_bytes).unwrap_or(usize::MAX);
            return Ok(None);
        };
        let entries = place.start.entries;
        blocks.offset = place.parts.first().map_or(0, |part| part.offset);
        let payload = blocks.index.block_once(blocks.at)?.payload(0..entries as usize);
        let payload =
            payload.map_err(|why| blocks.index.broken(blocks.offset, Some(place.start.first_seq), why))?;
        let frame = FrameHeader {
            kind: crate::FrameKind::Entries,
            entries,
            payload_bytes: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            first_seq: place.start.first_seq,
            synced_seq: header.last_seq,
            chain: blocks.index.chain_behind(blocks.at)?,
            payload_sum: 0,
        };
        blocks.at += 1;
        (self.seq, self.chain) = (frame.last_seq(), frame.chain);
        self.vouched = self.seq;
        let range = 0..payload.len();
        self.segment.bytes = payload;
        Ok(Some((frame, range)))
    }

    /// Where in the file a place in the bytes of the segment lies; in a sealed one, where its block begins.
    pub(crate) fn place(&self, at: usize) -> u64 {
        self.sealed.as_ref().map_or(at as u64, |blocks| blocks.offset)
    }

    /// Reads the segment again, and says whether it is another than it was.
    fn has_changed(&mut self) -> Result<bool, LogError> {
        let bytes = read_file(&*self.source, &self.file, SEGMENT_BYTES_MAX)?
            .ok_or_else(|| LogError::damaged(&self.file, 0, None, What::Missing))?;
        let changed = bytes != self.segment.bytes;
        self.segment.bytes = bytes;
        Ok(changed)
    }

    fn accept(
        &mut self,
        header: FrameHeader,
        payload: std::ops::Range<usize>,
    ) -> Result<(FrameHeader, std::ops::Range<usize>), LogError> {
        let expected = self.seq.next().unwrap_or_default();
        let damaged = |what| LogError::damaged(&self.file, self.offset as u64, Some(expected), what);
        if header.first_seq != expected {
            return Err(damaged(What::Sequence));
        }
        if (header.entries == 0 && header.chain != self.chain) || header.synced_seq > self.seq {
            return Err(damaged(What::Chain));
        }
        if self.next.as_ref().is_some_and(|next| header.entries > 0 && header.last_seq() >= next.first_seq) {
            return Err(damaged(What::Sequence));
        }
        self.offset += header.bytes();
        self.seq = header.last_seq();
        self.chain = header.chain;
        self.vouched = self.vouched.max(header.synced_seq);
        self.last_kind = Some(header.kind);
        Ok((header, payload))
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn ending(&self) -> Ending {
        if self.sealed.is_some() {
            return Ending {
                segment: self.segment.header.number,
                offset: self.offset as u64,
                seq: self.seq,
                chain: self.chain,
                vouched: self.seq,
                tail: Tail::Closed,
            };
        }
        let offset = self.offset.min(self.segment.bytes.len().next_multiple_of(crate::FRAME_ALIGN));
        let first_kind = match self.segment.header.reason {
            SegmentReason::First | SegmentReason::Full | SegmentReason::Recovered => None,
        };
        Ending {
            segment: self.segment.header.number,
            offset: offset as u64,
            seq: self.seq,
            chain: self.chain,
            vouched: self.vouched,
            tail: self.segment.tail(self.offset, self.last_kind.or(first_kind)),
        }
    }
}

/// Where the entries of a payload lie, one after the other.
pub(crate) struct EntryRanges<'w> {
    walk: &'w Walk,
    payload: std::ops::Range<usize>,
}

impl<'w> EntryRanges<'w> {
    pub(crate) fn new(walk: &'w Walk, payload: std::ops::Range<usize>) -> Self {
        Self { walk, payload }
    }

    pub(crate) fn next_range(&mut self) -> Result<Option<std::ops::Range<usize>>, LogError> {
        if self.payload.is_empty() {
            return Ok(None);
        }
        let bytes = self.walk.segment.bytes.get(self.payload.clone()).unwrap_or_default();
        let length = crate::segment::field!(crate::segment::Fields(bytes), u32, 0) as usize;
        let start = self.payload.start + 4;
        if length == 0 || bytes.get(4..4 + length).is_none() {
            let what = What::OutOfBounds("the length of an entry");
            let place = self.walk.place(self.payload.start);
            return Err(LogError::damaged(&self.walk.file, place, None, what));
        }
        self.payload.start = start + length;
        Ok(Some(start..start + length))
    }
}

/// A place where a frame must be and nothing at all is says less than that it is lost.
fn lost_or(what: What) -> What {
    if what == What::Magic || what == What::TooShort { What::LostFrame } else { what }
}

pub(crate) fn check_continues(
    (identity, base): (&Identity, Option<&BaseHeader>),
    before: Option<&SegmentSummary>,
    segment: &SegmentSummary,
) -> Result<(), LogError> {
    let header = &segment.header;
    let damaged = |what| Err(LogError::damaged(&segment.file().to_string(), 0, Some(header.first_seq), what));
    if header.history != identity.history {
        return damaged(What::OtherHistory);
    }
    match before {
        None if base.is_some_and(|base| base.seq.next() != Some(header.first_seq)) => damaged(What::Sequence),
        None if base.is_some_and(|base| base.chain != header.chain) => damaged(What::Chain),
        None if base.is_some() => Ok(()),
        None if header.reason != SegmentReason::First => {
            damaged(What::OutOfBounds("why the segment was begun"))
        }
        None if header.first_seq != Seq(1) => damaged(What::Sequence),
        None if header.chain != Chain::start(identity.history) => damaged(What::Chain),
        Some(_) if header.reason == SegmentReason::First => {
            damaged(What::OutOfBounds("why the segment was begun"))
        }
        Some(before) if header.first_seq < before.header.first_seq => damaged(What::Sequence),
        // What a sealed segment ends in it says itself.
        Some(SegmentSummary { sealed: Some(before), .. })
            if before.header().last_seq.next() != Some(header.first_seq) =>
        {
            damaged(What::Sequence)
        }
        Some(SegmentSummary { sealed: Some(before), .. })
            if before.header().end_chain != header.chain
                && !mistake::is_made("segments need not continue one another") =>
        {
            damaged(What::Chain)
        }
        Some(before) if header.salt == before.header.salt => damaged(What::OutOfBounds("the salt")),
        _ => Ok(()),
    }
}

/// The numbers of the segments that there are files of.
#[derive(PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) raw: BTreeSet<u64>,
    pub(crate) sealed: BTreeSet<u64>,
}

impl Listed {
    pub(crate) fn of(source: &dyn Source) -> Result<Self, LogError> {
        let names = source.list().map_err(|error| LogError::io("list the files of", "", 0, error))?;
        let mut listed = Self { raw: BTreeSet::new(), sealed: BTreeSet::new() };
        for name in names {
            match FileName::parse(&name) {
                Some(FileName::RawSegment(number)) => _ = listed.raw.insert(number),
                Some(FileName::SealedSegment(number)) => _ = listed.sealed.insert(number),
                _ => {}
            }
        }
        Ok(listed)
    }

    fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.sealed.is_empty()
    }

    pub(crate) fn last(&self) -> u64 {
        self.raw.last().max(self.sealed.last()).copied().unwrap_or(0)
    }
}

/// The segments that make up the log, oldest first, and those whose place another takes.
fn find_segments(
    (source, shelf): (&Arc<dyn Source>, &Arc<dyn Shelf>),
    (identity, base): (&Identity, Option<&BaseHeader>),
    listed: &Listed,
) -> Result<(Vec<SegmentSummary>, Vec<FileName>), LogError> {
    let mut sealed: BTreeMap<u64, SegmentIndex> = BTreeMap::new();
    let mut unsound: BTreeMap<u64, LogError> = BTreeMap::new();
    for number in listed.sealed.iter().copied() {
        let file = FileName::SealedSegment(number).to_string();
        match SegmentIndex::open_with(Arc::clone(source), &file, number, Arc::clone(shelf)) {
            // Of two that begin alike the one that holds more counts: the other was merged into it.
            Ok(index) => _ = sealed.insert(index.header().first_number, index),
            Err(error @ LogError::Damaged(_)) => _ = unsound.insert(number, error),
            Err(error) => return Err(error),
        }
    }
    let (mut segments, mut used): (Vec<SegmentSummary>, BTreeSet<FileName>) = Default::default();
    let mut number = identity.first_segment;
    while number <= listed.last().max(identity.last_segment) {
        // Where the raw segment is there too, the sealed one has to be whole; where it is not, it is all there is.
        let sound = sealed.get(&number).filter(|sealed| {
            !listed.raw.contains(&number)
                || sealed.header().segment.number > number
                || sealed.footer().is_ok()
        });
        let summary = if let Some(index) = sound {
            SegmentSummary::of_sealed(index)
        } else if listed.raw.contains(&number) {
            read_segment_header(&**source, number)?
        } else if let Some(found) = unsound.range(number..).next().map(|(number, _)| *number) {
            let error = unsound.remove(&found);
            return Err(error.unwrap_or_else(|| LogError::damaged("", 0, None, What::Missing)));
        } else {
            // Under which of its two names it was there last, only the others can tell.
            let was_sealed = !listed.sealed.is_empty() && listed.raw.range(..=number).next().is_none();
            let file =
                if was_sealed { FileName::SealedSegment(number) } else { FileName::RawSegment(number) };
            return Err(LogError::damaged(&file.to_string(), 0, None, What::Missing));
        };
        check_continues((identity, base), segments.last(), &summary)?;
        debug_assert_eq!(summary.first_number(), number);
        number = summary.header.number + 1;
        used.insert(summary.file());
        segments.push(summary);
    }
    let raw = listed.raw.iter().copied().map(FileName::RawSegment);
    let files = raw.chain(listed.sealed.iter().copied().map(FileName::SealedSegment));
    let leftovers = files.filter(|file| !used.contains(file)).collect();
    Ok((segments, leftovers))
}

/// The header of what a pruned log begins with.
pub(crate) fn read_base(source: &dyn Source, identity: &Identity) -> Result<Option<BaseHeader>, LogError> {
    if identity.first_segment <= 1 {
        return Ok(None);
    }
    let base = BaseHeader::read(source, identity.first_segment)?;
    if base.history != identity.history {
        let file = FileName::Base(identity.first_segment).to_string();
        return Err(LogError::damaged(&file, 16, None, What::OtherHistory));
    }
    Ok(Some(base))
}

pub(crate) fn read_identity(source: &dyn Source) -> Result<Option<Identity>, LogError> {
    let file = FileName::Identity.to_string();
    let Some(bytes) = read_file(source, &file, 4 * IDENTITY_BYTES as u64)? else { return Ok(None) };
    Identity::decode(&bytes).map(Some)
}

pub(crate) fn read_segment_header(source: &dyn Source, number: u64) -> Result<SegmentSummary, LogError> {
    let file = FileName::RawSegment(number).to_string();
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LogError::damaged(&file, 0, None, What::Missing),
        _ => LogError::io("read", &file, 0, error),
    };
    let bytes = source.len(&file).map_err(io)?;
    if bytes > SEGMENT_BYTES_MAX {
        return Err(LogError::damaged(
            &file,
            SEGMENT_BYTES_MAX,
            None,
            What::OutOfBounds("the length of the file"),
        ));
    }
    let mut header = [0; SEGMENT_HEADER_BYTES];
    let count = read_up_to(source, &file, 0, &mut header).map_err(io)?;
    let header = SegmentHeader::decode(header.get(..count).unwrap_or_default(), number)?;
    Ok(SegmentSummary { header, bytes, sealed: None })
}

/// Reads a whole file of at most so many bytes; `None` where there is none.
fn read_file(source: &dyn Source, file: &str, max: u64) -> Result<Option<Vec<u8>>, LogError> {
    let io = |offset, error| LogError::io("read", file, offset, error);
    let length = match source.len(file) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(0, error)),
    };
    if length > max {
        return Err(LogError::damaged(file, max, None, What::OutOfBounds("the length of the file")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let count = read_up_to(source, file, 0, &mut bytes).map_err(|error| io(0, error))?;
    bytes.truncate(count);
    Ok(Some(bytes))
}
