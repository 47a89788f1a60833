//! A sealed segment to read: one block, one page of an index at a time.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::{fmt, io};

use flow_history_flow::{ComponentId, Name, Slot};

use super::block::{BODIES_PART, Block, CODEC_SHAPES, HEADS_PART, IDS_PART, Ids, PARTS, Run};
use super::footer::{Footer, Page, Part};
use super::header::SealedHeader;
use super::heads::Heads;
use super::indexes::{IdPage, SlotIndex, SlotPage, hash_of};
use super::integer::Broken;
use super::stored::Stored;
use crate::effects::Effect;
use crate::shelf::{OwnShelf, Piece, Shelf};
use crate::source::read_up_to;
use crate::{
    Author, CHAIN_EVERY, Chain, FRAME_ENTRIES_MAX, LogError, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, Seq,
    Source, What,
};

/// The kinds of pieces that are kept of a segment.
#[derive(Clone, Copy)]
enum Kind {
    Footer,
    Vocabulary,
    Block,
    Heads,
    Ids,
    Run,
    SlotPage,
    IdPage,
}

/// More than there are points in a block.
const RUNS_MAX: usize = FRAME_ENTRIES_MAX as usize / CHAIN_EVERY + 1;

/// A segment with its indexes: a sealed one, read piece by piece where it lies, or a raw one, sealed in memory without
/// being compressed. Cloning is cheap and shares what was read of it.
#[derive(Clone)]
pub struct SegmentIndex(Arc<Inner>);

struct Inner {
    source: Arc<dyn Source>,
    file: String,
    header: SealedHeader,
    shelf: Arc<dyn Shelf>,
}

impl fmt::Debug for SegmentIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SegmentIndex").field(&self.0.file).field(&self.0.header).finish()
    }
}

impl PartialEq for SegmentIndex {
    fn eq(&self, other: &Self) -> bool {
        self.0.file == other.0.file && self.0.header == other.0.header
    }
}

impl Eq for SegmentIndex {}

impl SegmentIndex {
    /// Reads the header of a sealed segment of this number in this file: one small read.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(source: Arc<dyn Source>, file: &str, number: u64) -> Result<Self, LogError> {
        Self::open_with(source, file, number, Arc::<OwnShelf>::default())
    }

    pub(crate) fn open_with(
        source: Arc<dyn Source>,
        file: &str,
        number: u64,
        shelf: Arc<dyn Shelf>,
    ) -> Result<Self, LogError> {
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LogError::damaged(file, 0, None, What::Missing),
            _ => LogError::io("read", file, 0, error),
        };
        let bytes = source.len(file).map_err(io)?;
        if bytes > SEGMENT_BYTES_MAX {
            let what = What::OutOfBounds("the length of the file");
            return Err(LogError::damaged(file, SEGMENT_BYTES_MAX, None, what));
        }
        let mut header = [0; SEGMENT_HEADER_BYTES];
        let count = read_up_to(&*source, file, 0, &mut header).map_err(io)?;
        let header = SealedHeader::decode(header.get(..count).unwrap_or_default(), file, number, bytes)?;
        Ok(Self(Arc::new(Inner { source, file: file.to_owned(), header, shelf })))
    }

    /// What its header says.
    #[must_use]
    pub fn header(&self) -> &SealedHeader {
        &self.0.header
    }

    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// The first entry of each of its blocks.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn blocks(&self) -> Result<impl Iterator<Item = Seq>, LogError> {
        let firsts: Vec<Seq> = self.footer()?.blocks.iter().map(|place| place.start.first_seq).collect();
        Ok(firsts.into_iter())
    }

    /// How many bytes the parts of its blocks take: chain values, heads, ids, bodies.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn part_bytes(&self) -> Result<[u64; PARTS], LogError> {
        let of_each = |sum: [u64; PARTS], place: &super::footer::BlockPlace| {
            let mut sum = sum;
            sum.iter_mut().zip(&place.parts).for_each(|(sum, part)| *sum += u64::from(part.bytes));
            sum
        };
        Ok(self.footer()?.blocks.iter().fold([0; PARTS], of_each))
    }

    /// Checks the whole of it: every checksum, the chain over every entry, and every index against what the entries give.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn verify(&self) -> Result<(), LogError> {
        self.verify_in_turns(&mut || {})
    }

    /// As [`SegmentIndex::verify`]; `meanwhile` is called for each block.
    pub(crate) fn verify_in_turns(&self, meanwhile: &mut dyn FnMut()) -> Result<(), LogError> {
        // Read anew, whatever is kept of it.
        let Inner { source, file, header, .. } = &*self.0;
        let anew = Self::open(Arc::clone(source), file, header.segment.number)?;
        super::encode::verify(&anew, meanwhile)
    }

    /// A piece that is kept, or that is read and then kept.
    fn piece<T: Any + Send + Sync>(
        &self,
        kind: Kind,
        at: usize,
        bytes: impl FnOnce(&T) -> usize,
        read: impl FnOnce() -> Result<T, LogError>,
    ) -> Result<Arc<T>, LogError> {
        if let Some(kept) = self.kept(kind, at) {
            return Ok(kept);
        }
        let read = Arc::new(read()?);
        self.keep(kind, at, &read, bytes(&read));
        Ok(read)
    }

    fn key(&self, kind: Kind, at: usize) -> Piece {
        let header = &self.0.header;
        Piece { segment: header.segment.number, sum: header.footer_sum, kind: kind as u8, at: at as u64 }
    }

    fn kept<T: Any + Send + Sync>(&self, kind: Kind, at: usize) -> Option<Arc<T>> {
        self.0.shelf.get(self.key(kind, at))?.downcast().ok()
    }

    fn keep<T: Any + Send + Sync>(&self, kind: Kind, at: usize, piece: &Arc<T>, bytes: usize) {
        let piece: Arc<T> = Arc::clone(piece);
        self.0.shelf.put(self.key(kind, at), piece, bytes);
    }

    /// Has the system fetch the parts that a piece is read from, which lie one behind the other, where it is not kept.
    fn will_read<T: Any + Send + Sync>(&self, kind: Kind, at: usize, parts: &[Part]) {
        if let Some(first) = parts.first().filter(|_| self.kept::<T>(kind, at).is_none()) {
            let bytes = parts.iter().map(|part| u64::from(part.bytes)).sum();
            self.0.source.will_read(&self.0.file, first.offset, bytes);
        }
    }

    /// Has the footer fetched.
    pub(crate) fn will_read_footer(&self) {
        self.will_read::<Footer>(Kind::Footer, 0, &[self.footer_part()]);
    }

    /// Has the page of the slot index fetched that would name a slot.
    pub(crate) fn will_read_slot(&self, slot: Slot) -> Result<(), LogError> {
        if let Some(at) = self.slot_page_of(slot)? {
            let page = self.footer()?.slot_pages.get(at).map(|page| page.part);
            self.will_read::<SlotPage>(Kind::SlotPage, at, page.as_slice());
        }
        Ok(())
    }

    /// Has a block fetched.
    pub(crate) fn will_read_block(&self, at: usize) -> Result<(), LogError> {
        let footer = self.footer()?;
        let parts = footer.blocks.get(at).map(|place| place.parts.as_slice());
        self.will_read::<Block>(Kind::Block, at, parts.unwrap_or_default());
        Ok(())
    }

    fn footer_part(&self) -> Part {
        let header = &self.0.header;
        Part { offset: header.footer_offset, bytes: header.footer_bytes, sum: header.footer_sum }
    }

    /// The place of the page of the slot index that names a slot if any does.
    fn slot_page_of(&self, slot: Slot) -> Result<Option<usize>, LogError> {
        if slot.0 >= self.0.header.after.next_slot {
            return Ok(None);
        }
        Ok(self.footer()?.slot_pages.partition_point(|page| page.first <= slot.0.into()).checked_sub(1))
    }

    pub(crate) fn footer(&self) -> Result<Arc<Footer>, LogError> {
        let header = &self.0.header;
        self.piece(Kind::Footer, 0, Footer::bytes, || {
            let bytes = self.read(&[self.footer_part()])?;
            Footer::decode(&bytes, header).map_err(|why| self.broken(header.footer_offset, None, why))
        })
    }

    /// Reads parts that lie one behind the other, and checks the checksum of each.
    fn read(&self, parts: &[Part]) -> Result<Vec<u8>, LogError> {
        let (Some(first), file) = (parts.first(), &*self.0.file) else { return Ok(Vec::new()) };
        let length: usize = parts.iter().map(|part| part.bytes as usize).sum();
        // The parts lie before the end of a file whose length was looked at.
        let mut bytes = vec![0; length];
        let count = read_up_to(&*self.0.source, file, first.offset, &mut bytes)
            .map_err(|error| LogError::io("read", file, first.offset, error))?;
        if count < length {
            return Err(LogError::damaged(file, first.offset + count as u64, None, What::TooShort));
        }
        let mut rest = &*bytes;
        for part in parts {
            let (of_part, behind) = rest.split_at_checked(part.bytes as usize).unwrap_or_default();
            rest = behind;
            if self.0.header.sum(part.offset, of_part) != part.sum {
                return Err(LogError::damaged(file, part.offset, None, What::PayloadChecksum));
            }
        }
        Ok(bytes)
    }

    pub(crate) fn broken(&self, offset: u64, seq: Option<Seq>, Broken(why): Broken) -> LogError {
        LogError::damaged(&self.0.file, offset, seq, What::Layout(why))
    }

    fn parts_of(&self, at: usize, which: std::ops::Range<usize>) -> Result<(Vec<u8>, u64), LogError> {
        let footer = self.footer()?;
        let place = footer.blocks.get(at);
        let parts = place.and_then(|place| place.parts.get(which)).unwrap_or_default();
        let offset = parts.first().map_or(0, |part| part.offset);
        let first_seq = place.map(|place| place.start.first_seq);
        let bytes = self.read(parts).map_err(|error| match error {
            LogError::Damaged(mut damage) => {
                damage.seq = first_seq;
                LogError::Damaged(damage)
            }
            other => other,
        })?;
        Ok((bytes, offset))
    }

    /// A block that can give its entries back.
    pub(crate) fn block(&self, at: usize) -> Result<Arc<Block>, LogError> {
        self.piece(Kind::Block, at, Block::bytes, || self.read_block(at))
    }

    /// As [`SegmentIndex::block`], for whoever reads one block after the other and none of them twice.
    pub(crate) fn block_once(&self, at: usize) -> Result<Arc<Block>, LogError> {
        match self.kept(Kind::Block, at) {
            Some(kept) => Ok(kept),
            None => self.read_block(at).map(Arc::new),
        }
    }

    fn read_block(&self, at: usize) -> Result<Block, LogError> {
        let (bytes, offset) = self.parts_of(at, 0..PARTS)?;
        let footer = self.footer()?;
        let Some(place) = footer.blocks.get(at) else {
            return Err(self.broken(0, None, Broken("there is no such block")));
        };
        if place.start.codec > CODEC_SHAPES {
            let (file, found) = (self.0.file.clone(), place.start.codec.into());
            return Err(LogError::Unsupported { file, found, max: CODEC_SHAPES.into() });
        }
        let parts = place.parts.map(|part| part.bytes as usize);
        let read = Block::read(place.start, bytes, parts);
        read.map_err(|why| self.broken(offset, Some(place.start.first_seq), why))
    }

    /// The places of the blocks that hold this entry and those after it.
    pub(crate) fn blocks_from(&self, seq: Seq) -> Result<std::ops::Range<usize>, LogError> {
        let footer = self.footer()?;
        let first = footer.blocks.partition_point(|place| place.last_seq() < seq);
        Ok(first..footer.blocks.len())
    }

    /// Only the heads of a block.
    pub(crate) fn with_heads<T>(
        &self,
        at: usize,
        look: impl FnOnce(&Heads) -> Result<T, Broken>,
    ) -> Result<T, LogError> {
        if let Some(block) = self.kept::<Block>(Kind::Block, at) {
            return look(&block.heads).map_err(|why| self.broken(0, None, why));
        }
        let footer = self.footer()?;
        let Some(place) = footer.blocks.get(at).filter(|place| place.start.has_columns()) else {
            return look(&self.block(at)?.heads).map_err(|why| self.broken(0, None, why));
        };
        let offset = place.parts.get(HEADS_PART).map_or(0, |part| part.offset);
        let heads = self.piece(
            Kind::Heads,
            at,
            |heads: &Heads| heads.columns.most_bytes(),
            || {
                let (bytes, offset) = self.parts_of(at, HEADS_PART..HEADS_PART + 1)?;
                let length = bytes.len();
                Stored::read(bytes, 0, &[length], place.start.has_shapes())
                    .and_then(|columns| Heads::new(place.start, columns))
                    .map_err(|why| self.broken(offset, None, why))
            },
        )?;
        look(&heads).map_err(|why| self.broken(offset, None, why))
    }

    /// The slots that adds of a block took, each with whether it is a new one, and the ids that they spell out.
    fn adds(&self, at: usize) -> Result<Arc<Adds>, LogError> {
        self.piece(
            Kind::Ids,
            at,
            |(added, ids): &Adds| size_of_val(&**added) + ids.bytes(),
            || {
                let footer = self.footer()?;
                let Some(place) = footer.blocks.get(at) else {
                    return Err(self.broken(0, None, Broken("there is no such block")));
                };
                let kept = self.kept::<Block>(Kind::Block, at);
                let of = |heads: &Heads| Ok((heads.added()?, heads.ids()?));
                let offset = place.parts.get(HEADS_PART).map_or(0, |part| part.offset);
                let read = if kept.is_some() || !place.start.has_columns() {
                    of(&kept.map_or_else(|| self.block(at), Ok)?.heads)
                } else {
                    let (bytes, _) = self.parts_of(at, HEADS_PART..BODIES_PART)?;
                    let parts = [HEADS_PART, IDS_PART];
                    let parts = parts.map(|of| place.parts.get(of).map_or(0, |part| part.bytes as usize));
                    let columns = Stored::read(bytes, 0, &parts, place.start.has_shapes());
                    columns.and_then(|columns| of(&Heads::new(place.start, columns)?))
                };
                read.map_err(|why| self.broken(offset, Some(place.start.first_seq), why))
            },
        )
    }

    /// The chain after a block.
    pub(crate) fn chain_behind(&self, at: usize) -> Result<Chain, LogError> {
        let footer = self.footer()?;
        let next = footer.blocks.get(at + 1);
        Ok(next.map_or(self.0.header.end_chain, |next| next.start.chain))
    }

    /// Calls for each slot of a page of the slot index with its blocks, until the call says no.
    pub(crate) fn slot_page(
        &self,
        at: usize,
        each: impl FnMut(u32, &mut dyn Iterator<Item = u32>) -> bool,
    ) -> Result<(), LogError> {
        let Some((page, place)) = self.read_slot_page(at)? else { return Ok(()) };
        page.each(each).map_err(|why| self.broken(place.part.offset, None, why))
    }

    fn read_slot_page(&self, at: usize) -> Result<Option<(Arc<SlotPage>, Page)>, LogError> {
        let footer = self.footer()?;
        let Some(place) = footer.slot_pages.get(at).copied() else { return Ok(None) };
        let page = self.piece(Kind::SlotPage, at, SlotPage::bytes, || {
            let read = SlotPage::read(&self.read(&[place.part])?, place.count, footer.blocks.len());
            read.map_err(|why| self.broken(place.part.offset, None, why))
        })?;
        Ok(Some((page, place)))
    }

    /// The whole slot index.
    pub(crate) fn slot_index(&self) -> Result<SlotIndex, LogError> {
        let mut index = SlotIndex::new();
        for at in 0..self.footer()?.slot_pages.len() {
            self.slot_page(at, |slot, blocks| {
                index.insert(slot, blocks.collect());
                true
            })?;
        }
        Ok(index)
    }

    /// What a page of the ids says.
    fn with_id_page<T>(
        &self,
        at: usize,
        look: impl FnOnce(&IdPage) -> Result<T, Broken>,
    ) -> Result<Option<T>, LogError> {
        let footer = self.footer()?;
        let Some(place) = footer.id_pages.get(at) else { return Ok(None) };
        let broken = |why| self.broken(place.part.offset, None, why);
        let page = self.piece(Kind::IdPage, at, IdPage::bytes, || {
            IdPage::read(&self.read(&[place.part])?, place.count).map_err(broken)
        })?;
        look(&page).map(Some).map_err(broken)
    }

    /// All ids: hashes, and slots less the first new one of the segment.
    pub(crate) fn id_index(&self) -> Result<Vec<(u64, u32)>, LogError> {
        let mut ids = Vec::new();
        for at in 0..self.footer()?.id_pages.len() {
            ids.extend(self.with_id_page(at, IdPage::pairs)?.unwrap_or_default());
        }
        Ok(ids)
    }
}

// ---- Entries by sequence number and by time ----

impl SegmentIndex {
    /// The place of an entry: its block, and its place in the block.
    fn place_of(&self, seq: Seq) -> Result<Option<(usize, usize)>, LogError> {
        let header = &self.0.header;
        if seq < header.segment.first_seq || seq > header.last_seq {
            return Ok(None);
        }
        let footer = self.footer()?;
        let block = footer.block_of(seq);
        let first = footer.blocks.get(block).map_or(seq, |place| place.start.first_seq);
        Ok(Some((block, usize::try_from(seq.0 - first.0).unwrap_or(usize::MAX))))
    }

    /// The hash chain after an entry of this segment; `None` for any other. Reads one block and hashes 128 entries at
    /// most.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn chain_at(&self, seq: Seq) -> Result<Option<Chain>, LogError> {
        let Some((block, at)) = self.place_of(seq)? else { return Ok(None) };
        let read = self.block(block)?;
        // The chain is kept behind some entries, which then need not be hashed.
        if at + 1 == read.heads.start.entries as usize {
            return self.chain_behind(block).map(Some);
        }
        let (kept, chain) = read.point(at + 1);
        if kept == at + 1 {
            return Ok(Some(chain));
        }
        let run = self.run(block, at)?;
        run.get(at).map(|found| Some(found.chain)).ok_or_else(|| self.unknown("it does not hold the entry"))
    }

    /// The hash chain after an entry of this segment, and its log time; `None` for any other.
    pub(crate) fn place(&self, seq: Seq) -> Result<Option<(Chain, i64)>, LogError> {
        let Some(chain) = self.chain_at(seq)? else { return Ok(None) };
        Ok(Some((chain, self.log_time(seq)?)))
    }

    /// The newest entry of this segment whose log time is not later than this, in milliseconds since 1970; the one before
    /// the segment where all are later. Reads a part of one block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn seq_at_time(&self, millis: i64) -> Result<Seq, LogError> {
        let footer = self.footer()?;
        // The log time before a block is that of the last entry before it; that of the first entry before any may be
        // later than what was asked for.
        let block = footer.blocks.partition_point(|place| place.start.log_time <= millis).saturating_sub(1);
        let Some(place) = footer.blocks.get(block) else { return Ok(self.0.header.last_seq) };
        let count = self.with_heads(block, |heads| heads.not_later(millis))?;
        Ok(Seq((place.start.first_seq.0 + count as u64).saturating_sub(1)))
    }

    /// The log time of an entry of this segment, in milliseconds since 1970. Reads a part of one block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn log_time(&self, seq: Seq) -> Result<i64, LogError> {
        match self.place_of(seq)? {
            Some((block, at)) => self.with_heads(block, |heads| heads.log_time_before(at + 1)),
            None => Ok(self.0.header.segment.log_time),
        }
    }

    fn broken_entry(&self, block: usize, seq: Seq, why: Broken) -> LogError {
        self.broken(self.offset_of(block), Some(seq), why)
    }
}

// ---- What an index answers of its segment ----

/// An entry's bytes, and what is needed to read them.
pub(crate) struct Found {
    run: Arc<Run>,
    at: usize,
    pub(crate) chain: Chain,
    pub(crate) log_time: i64,
    pub(crate) next_slot: Slot,
    pub(crate) offset: u64,
}

impl Found {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.run.get(self.at).map(|found| found.bytes).unwrap_or_default()
    }
}

/// Names and authors that are new in a segment.
pub(crate) type New = (Vec<Name>, Vec<Arc<Author>>);

/// The slots that adds of a block took, each with whether it is a new one, and the ids that they spell out.
type Adds = (Vec<(u32, bool)>, Ids);

impl SegmentIndex {
    fn offset_of(&self, block: usize) -> u64 {
        let footer = self.footer().ok();
        let place = footer.as_ref().and_then(|footer| footer.blocks.get(block));
        place.and_then(|place| place.parts.first()).map_or(0, |part| part.offset)
    }

    /// The entries between two points of a block, as far as a place at least.
    fn run(&self, block: usize, at: usize) -> Result<Arc<Run>, LogError> {
        let key = block * RUNS_MAX + at / CHAIN_EVERY;
        let kept = self.kept::<Run>(Kind::Run, key);
        if let Some(run) = kept.as_ref().filter(|run| run.get(at).is_some()) {
            return Ok(Arc::clone(run));
        }
        let read = self.block(block)?;
        // Whoever comes again reads on in it; whoever comes from behind has all that it will ask for.
        let to = if kept.is_some() { usize::MAX } else { at + 1 };
        let run = read
            .run(at, to)
            .map_err(|why| self.broken_entry(block, Seq(read.heads.start.first_seq.0 + at as u64), why))?;
        let run = Arc::new(run);
        self.keep(Kind::Run, key, &run, run.bytes());
        Ok(run)
    }

    /// Finds an entry of this segment.
    pub(crate) fn find(&self, seq: Seq) -> Result<Found, LogError> {
        let unknown = || self.unknown("it does not hold the entry");
        let (block, at) = self.place_of(seq)?.ok_or_else(unknown)?;
        let run = self.run(block, at)?;
        let found = run.get(at).ok_or_else(unknown)?;
        let (chain, log_time, next_slot) = (found.chain, found.log_time_before, Slot(found.next_slot));
        Ok(Found { at, chain, log_time, next_slot, offset: self.offset_of(block), run })
    }

    /// Calls with what an entry of this segment does.
    pub(crate) fn with_effects<T>(
        &self,
        seq: Seq,
        look: impl FnOnce(Vec<Effect<'_>>) -> Result<T, Broken>,
    ) -> Result<T, LogError> {
        let (block, at) = self.place_of(seq)?.ok_or_else(|| self.unknown("it does not hold the entry"))?;
        let read = self.block(block)?;
        let effects = read.effects(at).and_then(look);
        effects.map_err(|why| self.broken_entry(block, seq, why))
    }

    /// Names and authors that are new in this segment.
    pub(crate) fn vocabulary(&self) -> Result<Arc<New>, LogError> {
        let bytes = |(names, authors): &New| 64 * (names.len() + 2 * authors.len());
        self.piece(Kind::Vocabulary, 0, bytes, || {
            let read = crate::canonical::vocabulary_from_bytes(&self.footer()?.vocabulary);
            let offset = self.0.header.footer_offset;
            read.map_err(|why| LogError::damaged(&self.0.file, offset, None, What::Encoding(why)))
        })
    }

    pub(crate) fn unknown(&self, what: &'static str) -> LogError {
        self.broken(0, None, Broken(what))
    }

    /// The id that the add spelt out which took this slot anew.
    pub(crate) fn id_of(&self, slot: Slot) -> Result<Option<ComponentId>, LogError> {
        let (before, after) = (self.0.header.before.next_slot, self.0.header.after.next_slot);
        if !(before..after).contains(&slot.0) {
            return Ok(None);
        }
        let footer = self.footer()?;
        let block = footer.blocks.partition_point(|place| place.start.next_slot <= slot.0).saturating_sub(1);
        let adds = self.adds(block)?;
        let (added, ids) = &*adds;
        // Slots taken anew ascend by one: before this one stand at least as many as were taken since the block began.
        let start = footer.blocks.get(block).map_or(slot.0, |place| place.start.next_slot);
        let sure = slot.0.saturating_sub(start) as usize;
        let mut behind = added.iter().zip(ids.iter()).skip(sure);
        let found = behind.find(|(added, _)| **added == (slot.0, true));
        let text = found.map(|(_, id)| std::str::from_utf8(id)).transpose();
        let text = text.map_err(|_| self.broken(self.offset_of(block), None, Broken("an id is no text")))?;
        Ok(text.map(ComponentId::from))
    }

    /// The slots that components of this id took anew, in order.
    pub(crate) fn slots_of(&self, id: &str) -> Result<Vec<Slot>, LogError> {
        let footer = self.footer()?;
        let hash = hash_of(id.as_bytes(), footer.hash_bits);
        // The first pages that may hold it is the last one that begins before it, for alike ones may lie on both sides.
        let from = footer.id_pages.partition_point(|page| page.first < hash).saturating_sub(1);
        let to = footer.id_pages.partition_point(|page| page.first <= hash);
        let mut slots = Vec::new();
        for at in from..to {
            let alike = self.with_id_page(at, |page| page.slots_of(hash))?.unwrap_or_default();
            slots.extend(
                alike.into_iter().map(|slot| Slot(self.0.header.before.next_slot.saturating_add(slot))),
            );
        }
        slots.sort_unstable();
        let mut sure = Vec::new();
        for slot in slots {
            if self.id_of(slot)?.is_some_and(|of_slot| &*of_slot == id) {
                sure.push(slot);
            }
        }
        Ok(sure)
    }

    /// The blocks that hold an entry which touched a slot, as far as entries between these are in them.
    pub(crate) fn blocks_of(&self, slot: Slot, (after, to): (Seq, Seq)) -> Result<Vec<u32>, LogError> {
        let Some(page) = self.slot_page_of(slot)? else { return Ok(Vec::new()) };
        let footer = self.footer()?;
        let from = footer.blocks.partition_point(|place| place.last_seq() <= after);
        let end = footer.blocks.partition_point(|place| place.start.first_seq <= to);
        let blocks = self.read_slot_page(page)?.map_or(Ok(Vec::new()), |(page, place)| {
            page.blocks_of(slot.0).map_err(|why| self.broken(place.part.offset, None, why))
        })?;
        Ok(blocks.into_iter().filter(|block| (from..end).contains(&(*block as usize))).collect())
    }

    /// The entries of a block, between these, that touched a slot, each with whether it added or removed what is in it.
    /// Whoever asks wants to read them: the whole block is read, of which no more is inflated than what says so.
    pub(crate) fn touches_in(
        &self,
        block: u32,
        slot: Slot,
        (after, to): (Seq, Seq),
    ) -> Result<VecDeque<(Seq, bool)>, LogError> {
        let read = self.block(block as usize)?;
        let first = read.heads.start.first_seq;
        let entries = read.touches_of(slot.0).map_err(|why| self.broken_entry(block as usize, first, why))?;
        let entries =
            entries.into_iter().map(|(at, comes_or_goes)| (Seq(first.0 + at as u64), comes_or_goes));
        Ok(entries.filter(|(seq, _)| *seq > after && *seq <= to).collect())
    }

    /// Adds the slots that entries between these touched.
    pub(crate) fn touched(&self, after: Seq, to: Seq, touched: &mut BTreeSet<Slot>) -> Result<(), LogError> {
        let header = &self.0.header;
        if header.last_seq <= after || header.segment.first_seq > to {
            return Ok(());
        }
        let footer = self.footer()?;
        if header.segment.first_seq > after && header.last_seq <= to {
            for at in 0..footer.slot_pages.len() {
                self.slot_page(at, |slot, _| {
                    touched.insert(Slot(slot));
                    true
                })?;
            }
            return Ok(());
        }
        let from = footer.blocks.partition_point(|place| place.last_seq() <= after);
        let end = footer.blocks.partition_point(|place| place.start.first_seq <= to);
        for block in from..end {
            self.with_heads(block, |heads| {
                heads.touches(|touch| {
                    let seq = Seq(heads.start.first_seq.0 + touch.at as u64);
                    if seq > after && seq <= to {
                        touched.insert(Slot(touch.slot));
                    }
                    seq <= to
                })
            })?;
        }
        Ok(())
    }
}
