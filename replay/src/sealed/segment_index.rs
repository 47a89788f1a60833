//! A sealed segment to read: one block, one page of an index at a time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::{fmt, io};

use flow_history_flow::{ComponentId, Name, Slot};

use super::block::{BODIES_PART, Block, CODEC_COLUMNS, HEADS_PART, Heads, IDS_PART, Ids, PARTS};
use super::column::Inflate;
use super::footer::{Footer, Part};
use super::header::SealedHeader;
use super::indexes::{SlotIndex, hash_of, read_id_page, read_slot_page};
use super::integer::Broken;
use crate::source::read_up_to;
use crate::{Author, Chain, LogError, SEGMENT_BYTES_MAX, SEGMENT_HEADER_BYTES, Seq, Source, What};

/// Blocks that were read last, for all segments of a log together.
#[derive(Default)]
pub(crate) struct RecentBlocks(Mutex<VecDeque<(u64, usize, Arc<Block>)>>);

/// How many blocks are kept.
const RECENT: usize = 4;
/// Larger ones are not.
const RECENT_BYTES_MAX: u64 = 1 << 20;

/// A segment with its indexes: a sealed one, read piece by piece where it lies, or a raw one, sealed in memory without
/// being compressed. Cloning is cheap and shares what was read of it.
#[derive(Clone)]
pub struct SegmentIndex(Arc<Inner>);

struct Inner {
    source: Arc<dyn Source>,
    file: String,
    header: SealedHeader,
    footer: OnceLock<Footer>,
    vocabulary: OnceLock<(Vec<Name>, Vec<Arc<Author>>)>,
    recent: Arc<RecentBlocks>,
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
        Self::open_among(source, file, number, Arc::default())
    }

    pub(crate) fn open_among(
        source: Arc<dyn Source>,
        file: &str,
        number: u64,
        recent: Arc<RecentBlocks>,
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
        Ok(Self(Arc::new(Inner {
            source,
            file: file.to_owned(),
            header,
            footer: OnceLock::new(),
            vocabulary: OnceLock::new(),
            recent,
        })))
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
        Ok(self.footer()?.blocks.iter().map(|place| place.start.first_seq))
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
        super::encode::verify(self)
    }

    pub(crate) fn footer(&self) -> Result<&Footer, LogError> {
        if let Some(footer) = self.0.footer.get() {
            return Ok(footer);
        }
        let header = &self.0.header;
        let part = Part { offset: header.footer_offset, bytes: header.footer_bytes, sum: header.footer_sum };
        let bytes = self.read(&[part])?;
        let footer =
            Footer::decode(&bytes, header).map_err(|why| self.broken(header.footer_offset, None, why))?;
        Ok(self.0.footer.get_or_init(|| footer))
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
        let place = self.footer()?.blocks.get(at);
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
        let number = self.0.header.segment.number;
        let lock = || self.0.recent.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, block)) = lock().iter().find(|(of, place, _)| (*of, *place) == (number, at)) {
            return Ok(Arc::clone(block));
        }
        let (bytes, offset) = self.parts_of(at, 0..PARTS)?;
        let Some(place) = self.footer()?.blocks.get(at) else {
            return Err(self.broken(0, None, Broken("there is no such block")));
        };
        if place.start.codec > CODEC_COLUMNS {
            let (file, found) = (self.0.file.clone(), place.start.codec.into());
            return Err(LogError::Unsupported { file, found, max: CODEC_COLUMNS.into() });
        }
        let mut rest = &*bytes;
        let mut parts = [&[][..]; PARTS];
        for (part, at) in parts.iter_mut().zip(&place.parts) {
            (*part, rest) = rest.split_at_checked(at.bytes as usize).unwrap_or_default();
        }
        let block = Block::read(place.start, parts)
            .map_err(|why| self.broken(offset, Some(place.start.first_seq), why))?;
        let block = Arc::new(block);
        if place.start.bytes <= RECENT_BYTES_MAX {
            let mut recent = lock();
            recent.push_back((number, at, Arc::clone(&block)));
            while recent.len() > RECENT {
                recent.pop_front();
            }
        }
        Ok(block)
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
        let broken = |offset, why| self.broken(offset, None, why);
        let footer = self.footer()?;
        match footer.blocks.get(at) {
            Some(place) if place.start.codec == CODEC_COLUMNS => {
                let (bytes, offset) = self.parts_of(at, HEADS_PART..HEADS_PART + 1)?;
                Heads::read(place.start, &bytes, &mut Inflate::new())
                    .and_then(|heads| look(&heads))
                    .map_err(|why| broken(offset, why))
            }
            _ => look(&self.block(at)?.heads).map_err(|why| broken(0, why)),
        }
    }

    /// Only the heads and the ids of a block.
    pub(crate) fn with_ids<T>(
        &self,
        at: usize,
        look: impl FnOnce(&Heads, &Ids) -> Result<T, Broken>,
    ) -> Result<T, LogError> {
        let footer = self.footer()?;
        let Some(place) = footer.blocks.get(at) else {
            return Err(self.broken(0, None, Broken("there is no such block")));
        };
        if place.start.codec != CODEC_COLUMNS {
            let block = self.block(at)?;
            return look(&block.heads, &block.ids()).map_err(|why| self.broken(0, None, why));
        }
        let (bytes, offset) = self.parts_of(at, HEADS_PART..BODIES_PART)?;
        let heads_bytes = place.parts.get(HEADS_PART).map_or(0, |part| part.bytes as usize);
        debug_assert_eq!(HEADS_PART + 1, IDS_PART);
        let (heads, ids) = bytes.split_at_checked(heads_bytes).unwrap_or_default();
        let mut inflate = Inflate::new();
        Heads::read(place.start, heads, &mut inflate)
            .and_then(|heads| look(&heads, &Ids::read(ids, &mut inflate)?))
            .map_err(|why| self.broken(offset, Some(place.start.first_seq), why))
    }

    /// The chain after a block.
    pub(crate) fn chain_behind(&self, at: usize) -> Result<Chain, LogError> {
        let next = self.footer()?.blocks.get(at + 1);
        Ok(next.map_or(self.0.header.end_chain, |next| next.start.chain))
    }

    /// Calls for each slot of a page of the slot index with its blocks, until the call says no.
    pub(crate) fn slot_page(
        &self,
        at: usize,
        each: impl FnMut(u32, &mut dyn Iterator<Item = u32>) -> bool,
    ) -> Result<(), LogError> {
        let Some(page) = self.footer()?.slot_pages.get(at) else { return Ok(()) };
        let bytes = self.read(&[page.part])?;
        read_slot_page(&bytes, page.count, each).map_err(|why| self.broken(page.part.offset, None, why))
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

    /// A page of the ids: hashes, and slots less the first new one of the segment.
    pub(crate) fn id_page(&self, at: usize) -> Result<Vec<(u64, u32)>, LogError> {
        let Some(page) = self.footer()?.id_pages.get(at) else { return Ok(Vec::new()) };
        let bytes = self.read(&[page.part])?;
        read_id_page(&bytes, page.count).map_err(|why| self.broken(page.part.offset, None, why))
    }

    /// All pages of the ids.
    pub(crate) fn id_index(&self) -> Result<Vec<(u64, u32)>, LogError> {
        let mut ids = Vec::new();
        for at in 0..self.footer()?.id_pages.len() {
            ids.extend(self.id_page(at)?);
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
        read.entry(at).map(|(_, chain)| Some(chain)).map_err(|why| self.broken_entry(block, seq, why))
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
        let count = self.with_heads(block, |heads| Ok(heads.not_later(millis)))?;
        Ok(Seq((place.start.first_seq.0 + count as u64).saturating_sub(1)))
    }

    /// The log time of an entry of this segment, in milliseconds since 1970. Reads a part of one block.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn log_time(&self, seq: Seq) -> Result<i64, LogError> {
        match self.place_of(seq)? {
            Some((block, at)) => self.with_heads(block, |heads| Ok(heads.log_time_before(at + 1))),
            None => Ok(self.0.header.segment.log_time),
        }
    }

    fn broken_entry(&self, block: usize, seq: Seq, why: Broken) -> LogError {
        let place = self.0.footer.get().and_then(|footer| footer.blocks.get(block));
        let offset = place.and_then(|place| place.parts.first()).map_or(0, |part| part.offset);
        self.broken(offset, Some(seq), why)
    }
}

// ---- What an index answers of its segment ----

/// An entry's bytes, and what is needed to read them.
pub(crate) struct Found {
    pub(crate) bytes: Vec<u8>,
    pub(crate) chain: Chain,
    pub(crate) log_time: i64,
    pub(crate) next_slot: Slot,
    pub(crate) offset: u64,
}

impl SegmentIndex {
    /// Finds an entry of this segment.
    pub(crate) fn find(&self, seq: Seq) -> Result<Found, LogError> {
        let Some((block, at)) = self.place_of(seq)? else {
            return Err(self.unknown("it does not hold the entry"));
        };
        let read = self.block(block)?;
        let broken = |why| self.broken_entry(block, seq, why);
        let (bytes, chain) = read.entry(at).map_err(broken)?;
        let log_time = read.heads.log_time_before(at);
        let next_slot = Slot(read.heads.next_slot_before(at).map_err(broken)?);
        let place = self.footer()?.blocks.get(block).and_then(|place| place.parts.first());
        Ok(Found { bytes, chain, log_time, next_slot, offset: place.map_or(0, |part| part.offset) })
    }

    /// Names and authors that are new in this segment.
    pub(crate) fn vocabulary(&self) -> Result<&(Vec<Name>, Vec<Arc<Author>>), LogError> {
        if let Some(vocabulary) = self.0.vocabulary.get() {
            return Ok(vocabulary);
        }
        let read = crate::canonical::vocabulary_from_bytes(&self.footer()?.vocabulary);
        let read = read.map_err(|why| {
            let offset = self.0.header.footer_offset;
            LogError::damaged(&self.0.file, offset, None, What::Encoding(why))
        })?;
        Ok(self.0.vocabulary.get_or_init(|| read))
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
        let blocks = &self.footer()?.blocks;
        let block = blocks.partition_point(|place| place.start.next_slot <= slot.0).saturating_sub(1);
        self.with_ids(block, |heads, ids| {
            let added = heads.added()?;
            let found = added.iter().zip(ids.iter()).find(|(added, _)| **added == (slot.0, true));
            let text = found.map(|(_, id)| std::str::from_utf8(id));
            let text = text.transpose().map_err(|_| Broken("an id is no text"))?;
            Ok(text.map(ComponentId::from))
        })
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
            let page = self.id_page(at)?;
            let alike = page.iter().filter(|(other, _)| *other == hash);
            slots.extend(alike.map(|(_, slot)| Slot(self.0.header.before.next_slot.saturating_add(*slot))));
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
        if slot.0 >= self.0.header.after.next_slot {
            return Ok(Vec::new());
        }
        let footer = self.footer()?;
        let from = footer.blocks.partition_point(|place| place.last_seq() <= after);
        let end = footer.blocks.partition_point(|place| place.start.first_seq <= to);
        let page = footer.slot_pages.partition_point(|page| page.first <= slot.0.into());
        let Some(page) = page.checked_sub(1) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        self.slot_page(page, |other, blocks| {
            if other == slot.0 {
                found = blocks.filter(|block| (from..end).contains(&(*block as usize))).collect();
            }
            other < slot.0
        })?;
        Ok(found)
    }

    /// The entries of a block, between these, that touched a slot.
    pub(crate) fn touches_in(
        &self,
        block: u32,
        slot: Slot,
        (after, to): (Seq, Seq),
    ) -> Result<VecDeque<Seq>, LogError> {
        let mut entries: VecDeque<Seq> = VecDeque::new();
        self.with_heads(block as usize, |heads| {
            heads.touches(|at, of, _| {
                let seq = Seq(heads.start.first_seq.0 + at as u64);
                if of == slot.0 && seq > after && seq <= to && entries.back() != Some(&seq) {
                    entries.push_back(seq);
                }
                seq <= to
            })
        })?;
        Ok(entries)
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
                heads.touches(|at, slot, _| {
                    let seq = Seq(heads.start.first_seq.0 + at as u64);
                    if seq > after && seq <= to {
                        touched.insert(Slot(slot));
                    }
                    seq <= to
                })
            })?;
        }
        Ok(())
    }
}
