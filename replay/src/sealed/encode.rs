//! Sealing: a raw segment, checked frame by frame, to the bytes of a sealed one; and reading those back.

use std::sync::Arc;

use super::block::{BlockStart, CODEC_PLAIN, CODEC_SHAPES, Columns, PARTS, put_points};
use super::column::Deflate;
use super::facts::Facts;
use super::footer::{BlockPlace, Footer, Page, Part};
use super::grammar::Units;
use super::header::{Grown, SealedHeader, salted};
use super::indexes::{NewPage, hash_bits, id_pages, slot_pages};
use super::integer::{Broken, Reader};
use crate::log::EntryRanges;
use crate::{
    BLOCK_BYTES, BLOCK_ENTRIES_FEW, BLOCK_INFLATED_MAX, BLOCK_OF_FEW_TIMES, CHAIN_EVERY,
    COMPRESSED_INDEX_MAX, Chain, FRAME_ENTRIES_MAX, Log, LogError, MemorySource, SEAL_LEVEL,
    SEAL_LEVEL_OF_FEW, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentIndex, Seq, Tail, What,
};

/// How blocks are made.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Sealing {
    /// Bytes of entries in a block, unless a single one has more; of few large ones
    /// [`BLOCK_OF_FEW_TIMES`](crate::BLOCK_OF_FEW_TIMES) as many.
    pub block_bytes: usize,
    /// The level of zstd, or [`SEAL_LEVEL_OF_FEW`](crate::SEAL_LEVEL_OF_FEW) for a block of few large entries where that is
    /// higher; `None` to compress nothing.
    pub level: Option<i32>,
}

impl Default for Sealing {
    fn default() -> Self {
        Self { block_bytes: BLOCK_BYTES, level: Some(SEAL_LEVEL) }
    }
}

impl Sealing {
    /// Blocks of another size.
    #[must_use]
    pub fn block_bytes(self, block_bytes: usize) -> Self {
        Self { block_bytes, ..self }
    }

    /// Another level of zstd; `None` to compress nothing.
    #[must_use]
    pub fn level(self, level: Option<i32>) -> Self {
        Self { level, ..self }
    }
}

/// The bytes of the sealed segment that holds what the raw one at this place of the log holds. Every frame of it is
/// checked, and the chain over every entry; what a later segment says was never acknowledged is left out. Costs reading
/// the segment, and memory for three times its size. Nothing is written.
///
/// The counts of slots and names before it come from the segment before, which is cheap where that one is sealed.
///
/// `meanwhile` is called about once for each block: whoever has something more urgent to do on this thread does it there.
///
/// # Errors
/// [`LogError::Damaged`], also where the last segment of a log does not end in a mark that it was closed;
/// [`LogError::Unsupported`] where an entry is of a newer encoding.
pub fn seal(
    log: &Log,
    index: usize,
    sealing: &Sealing,
    meanwhile: &mut dyn FnMut(),
) -> Result<Vec<u8>, LogError> {
    let is_last = index + 1 >= log.segments().len();
    let (bytes, tail) = seal_as_is(log, index, grown_before(log, index)?, sealing, meanwhile)?;
    if is_last && tail != Tail::Closed {
        let file = log.file_of(index);
        return Err(LogError::damaged(&file, 0, None, What::Layout("only a segment that ended is sealed")));
    }
    Ok(bytes)
}

/// A raw segment sealed in memory, to be read by the same code, whatever its end is.
pub(crate) fn index_of_raw(log: &Log, index: usize, before: Grown) -> Result<SegmentIndex, LogError> {
    let (bytes, _) = seal_as_is(log, index, before, &Sealing::default().level(None), &mut || {})?;
    let (file, number) = (log.file_of(index), log.segments().get(index).map_or(0, |it| it.header.number));
    let source = MemorySource([(file.clone(), bytes)].into());
    SegmentIndex::open_with(Arc::new(source), &file, number, Arc::clone(log.shelf()))
}

fn seal_as_is(
    log: &Log,
    index: usize,
    before: Grown,
    sealing: &Sealing,
    meanwhile: &mut dyn FnMut(),
) -> Result<(Vec<u8>, Tail), LogError> {
    let walk = log.walk(index)?;
    let mut sealer = Sealer::new(walk.segment.header.clone(), before, sealing);
    let mut bytes = 0;
    let tail = each_entry(walk, |canonical, chain| {
        bytes += canonical.len();
        if bytes > sealing.block_bytes {
            bytes = 0;
            meanwhile();
        }
        sealer.push(canonical, chain)
    })?;
    Ok((sealer.finish(), tail))
}

/// Calls for every entry of a walk with the chain after it, which is checked frame by frame.
fn each_entry(
    mut walk: crate::log::Walk,
    mut each: impl FnMut(&[u8], Chain) -> Result<(), String>,
) -> Result<Tail, LogError> {
    let mut chain = walk.segment.header.chain;
    while let Some((frame, payload)) = walk.next_frame()? {
        let mut seq = frame.first_seq;
        let begin = payload.start;
        let mut entries = EntryRanges::new(&walk, payload);
        while let Some(range) = entries.next_range()? {
            let canonical = walk.segment.bytes.get(range.clone()).unwrap_or_default();
            if let Some(found) = crate::canonical::unknown_encoding(canonical) {
                let max = crate::ENCODING.into();
                return Err(LogError::Unsupported { file: walk.file.clone(), found: found.into(), max });
            }
            chain = chain.after(canonical);
            each(canonical, chain).map_err(|why| {
                LogError::damaged(&walk.file, walk.place(range.start), Some(seq), What::Encoding(why))
            })?;
            seq = Seq(seq.0 + 1);
        }
        let what = match frame.last_seq().next() == Some(seq) {
            true if frame.chain == chain => continue,
            true => What::Chain,
            false => What::Sequence,
        };
        return Err(LogError::damaged(&walk.file, walk.place(begin), Some(frame.first_seq), what));
    }
    Ok(walk.ending().tail)
}

/// What there was before a segment's first entry: as the nearest sealed segment before it says, and the entries since.
fn grown_before(log: &Log, index: usize) -> Result<Grown, LogError> {
    let sealed = |at: &usize| log.segments().get(*at).and_then(|segment| segment.sealed.as_ref());
    let known = (0..index).rev().find(|at| sealed(at).is_some());
    let of_base = || log.base().map(|base| base.grown).unwrap_or_default();
    let mut grown = known.as_ref().and_then(sealed).map_or_else(of_base, |index| index.header().after);
    for at in known.map_or(0, |known| known + 1)..index {
        let walk = log.walk(at)?;
        let header = &walk.segment.header;
        let seq = header.first_seq.previous().unwrap_or_default();
        let mut facts = Facts::new(seq, header.log_time, grown);
        each_entry(walk, |canonical, _| facts.follow(canonical, 0))?;
        grown = facts.grown;
    }
    Ok(grown)
}

/// A sealed segment on its way to bytes.
struct Sealer {
    header: SegmentHeader,
    before: Grown,
    block_bytes: usize,
    out: Vec<u8>,
    deflate: Deflate,
    facts: Facts,
    chain: Chain,
    footer: Footer,
    // The block that is being filled.
    columns: Columns,
    units: Units,
    payload: Vec<u8>,
    start: BlockStart,
    points: Vec<Chain>,
    /// How much of each column the entries before each point take.
    lengths: Vec<Vec<usize>>,
}

impl Sealer {
    fn new(header: SegmentHeader, before: Grown, sealing: &Sealing) -> Self {
        let seq = header.first_seq.previous().unwrap_or_default();
        let facts = Facts::new(seq, header.log_time, before);
        Self {
            before,
            block_bytes: sealing.block_bytes.min(BLOCK_INFLATED_MAX),
            out: vec![0; SEGMENT_HEADER_BYTES],
            deflate: Deflate::new(sealing.level),
            chain: header.chain,
            footer: Footer::default(),
            columns: Columns::new(),
            units: Units::default(),
            payload: Vec::new(),
            start: start_of_block(&facts, header.chain),
            points: Vec::new(),
            lengths: Vec::new(),
            facts,
            header,
        }
    }

    fn push(&mut self, canonical: &[u8], chain: Chain) -> Result<(), String> {
        let entries = self.start.entries as usize;
        let bytes = self.start.bytes as usize + canonical.len();
        let most = if entries < BLOCK_ENTRIES_FEW { BLOCK_OF_FEW_TIMES } else { 1 } * self.block_bytes;
        if entries > 0 && (bytes > most.min(BLOCK_INFLATED_MAX) || self.start.entries >= FRAME_ENTRIES_MAX) {
            self.end_block();
        }
        let block = u32::try_from(self.footer.blocks.len()).map_err(|_| "there are too many blocks")?;
        let seq = self.facts.seq.0 + 1;
        let why = |Broken(why)| why.to_owned();
        self.facts.follow(canonical, block)?;
        if self.start.entries > 0 && (self.start.entries as usize).is_multiple_of(CHAIN_EVERY) {
            self.points.push(self.chain);
            self.lengths.push(self.columns.lengths().collect());
            self.units = Units::default();
        }
        self.columns.shred(canonical, &mut self.units, seq).map_err(why)?;
        self.payload.extend(u32::try_from(canonical.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.payload.extend(canonical);
        self.start.entries += 1;
        self.start.bytes += canonical.len() as u64;
        self.chain = chain;
        Ok(())
    }

    fn end_block(&mut self) {
        if self.start.entries == 0 {
            return;
        }
        let is_large = self.start.bytes > BLOCK_INFLATED_MAX as u64;
        self.start.codec = if is_large { CODEC_PLAIN } else { CODEC_SHAPES };
        let [heads, ids, bodies] = if is_large {
            [Vec::new(), Vec::new(), std::mem::take(&mut self.payload)]
        } else {
            let is_of_few = (self.start.entries as usize) < BLOCK_ENTRIES_FEW
                && self.start.bytes > self.block_bytes as u64;
            if is_of_few {
                self.deflate.begin_at_least(SEAL_LEVEL_OF_FEW);
            } else {
                self.deflate.begin();
            }
            self.columns.parts(&mut self.deflate)
        };
        let (points, lengths) = (std::mem::take(&mut self.points), std::mem::take(&mut self.lengths));
        let points = put_points(&points, &lengths, &mut self.deflate);
        let mut parts = [Part { offset: 0, bytes: 0, sum: 0 }; PARTS];
        for (part, bytes) in parts.iter_mut().zip([points, heads, ids, bodies]) {
            *part = self.put(&bytes);
        }
        self.footer.blocks.push(BlockPlace { start: self.start, parts });
        self.columns.clear();
        self.units = Units::default();
        self.payload.clear();
        self.start = start_of_block(&self.facts, self.chain);
    }

    fn put(&mut self, bytes: &[u8]) -> Part {
        let offset = self.out.len() as u64;
        self.out.extend_from_slice(bytes);
        let sum = salted(&self.header.salt, offset, bytes);
        Part { offset, bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX), sum }
    }

    fn put_pages(&mut self, pages: Vec<NewPage>) -> Vec<Page> {
        let put = |(first, count, bytes): NewPage| Page { first, count, part: self.put(&bytes) };
        pages.into_iter().map(put).collect()
    }

    /// The bytes of the file.
    fn finish(mut self) -> Vec<u8> {
        self.end_block();
        let is_large = self.out.len() >= COMPRESSED_INDEX_MAX;
        let pages = slot_pages(&self.facts.slots, &mut self.deflate);
        self.footer.slot_pages = self.put_pages(pages);
        let bits = hash_bits(self.facts.ids.len());
        self.footer.hash_bits = bits;
        let ids = self.facts.ids.iter().map(|hash| hash.checked_shr(u64::BITS - bits).unwrap_or_default());
        if is_large {
            // Whoever asks what became of a component looks for its id in every segment. From here on what they read is stored as
            // it is, which takes a 300th more.
            self.deflate = Deflate::new(None);
        }
        let pages = id_pages(ids.zip(0..).collect(), &mut self.deflate);
        self.footer.id_pages = self.put_pages(pages);
        self.footer.vocabulary =
            crate::canonical::vocabulary_to_bytes(&self.facts.names, &self.facts.authors).unwrap_or_default();
        self.footer.flow_tops = self.facts.flow_tops;
        let tops = std::mem::take(&mut self.facts.author_tops);
        self.footer.author_tops = tops.into_iter().collect();
        let mut header = SealedHeader {
            first_number: self.header.number,
            last_seq: self.facts.seq,
            end_chain: self.chain,
            end_log_time: self.facts.log_time,
            before: self.before,
            after: self.facts.grown,
            file_bytes: 0,
            footer_offset: self.out.len() as u64,
            footer_bytes: 0,
            footer_sum: 0,
            segment: self.header.clone(),
        };
        let footer = self.footer.encode(&header, &mut self.deflate);
        let part = self.put(&footer);
        (header.footer_bytes, header.footer_sum) = (part.bytes, part.sum);
        header.file_bytes = self.out.len() as u64;
        if let Some(place) = self.out.get_mut(..SEGMENT_HEADER_BYTES) {
            place.copy_from_slice(&header.encode());
        }
        self.out
    }
}

fn start_of_block(facts: &Facts, chain: Chain) -> BlockStart {
    BlockStart {
        first_seq: Seq(facts.seq.0 + 1),
        entries: 0,
        bytes: 0,
        codec: CODEC_SHAPES,
        chain,
        log_time: facts.log_time,
        next_slot: facts.grown.next_slot,
    }
}

/// Reads back the file in which the raw segment at this place of the log was sealed, under whatever name it stands, and
/// checks all of it: that it says of itself what the raw segment and the one behind it say, each checksum, the chain over
/// every entry, and every index against what the entries give. `meanwhile` is called for each block, as by [`seal`].
///
/// # Errors
/// [`LogError`]; then the file is not to be used.
pub fn verify_sealed(
    log: &Log,
    index: usize,
    file: &str,
    meanwhile: &mut dyn FnMut(),
) -> Result<(), LogError> {
    let damaged = |what| Err(LogError::damaged(file, 0, None, what));
    let Some(raw) = log.segments().get(index) else { return damaged(What::Missing) };
    let sealed = SegmentIndex::open(Arc::clone(log.source()), file, raw.header.number)?;
    let header = sealed.header();
    let (seq, chain) = match log.segments().get(index + 1) {
        Some(next) => (next.header.first_seq.previous().unwrap_or_default(), next.header.chain),
        None => log.ending().map(|ending| (ending.seq, ending.chain))?,
    };
    if header.segment != raw.header || header.last_seq != seq {
        return damaged(What::Sequence);
    }
    if header.end_chain != chain {
        return damaged(What::Chain);
    }
    sealed.verify_in_turns(meanwhile)
}

/// Checks the whole of a sealed segment.
pub(crate) fn verify(sealed: &SegmentIndex, meanwhile: &mut dyn FnMut()) -> Result<(), LogError> {
    let (header, footer) = (sealed.header(), sealed.footer()?);
    let mut chain = header.segment.chain;
    let mut facts = Facts::new(
        header.segment.first_seq.previous().unwrap_or_default(),
        header.segment.log_time,
        header.before,
    );
    for (at, place) in footer.blocks.iter().enumerate() {
        meanwhile();
        let offset = place.parts.first().map_or(0, |part| part.offset);
        let seq = Some(place.start.first_seq);
        let damaged = |what| LogError::damaged(sealed.file(), offset, seq, what);
        if place.start
            != (BlockStart {
                entries: place.start.entries,
                bytes: place.start.bytes,
                codec: place.start.codec,
                ..start_of_block(&facts, chain)
            })
        {
            return Err(damaged(What::Chain));
        }
        let block = sealed.block(at)?;
        let payload =
            block.payload(0..place.start.entries as usize).map_err(|why| sealed.broken(offset, seq, why))?;
        let mut reader = Reader(&payload);
        for entry in 0..place.start.entries as usize {
            let length = reader.fixed().map(u32::from_le_bytes).unwrap_or_default();
            let canonical = reader.take(length as usize).unwrap_or_default();
            if block.point(entry) == (entry, chain) || !entry.is_multiple_of(CHAIN_EVERY) {
                chain = chain.after(canonical);
            } else {
                return Err(damaged(What::Chain));
            }
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            facts.follow(canonical, number).map_err(|why| damaged(What::Encoding(why)))?;
        }
    }
    let damaged = |what| Err(LogError::damaged(sealed.file(), header.footer_offset, None, what));
    if chain != header.end_chain {
        return damaged(What::Chain);
    }
    if (facts.seq, facts.log_time, facts.grown) != (header.last_seq, header.end_log_time, header.after) {
        return damaged(What::Sequence);
    }
    if sealed.slot_index()? != facts.slots {
        return damaged(What::Layout("the slot index is not what the entries give"));
    }
    let bits = footer.hash_bits;
    let hashes = facts.ids.iter().map(|hash| hash.checked_shr(u64::BITS - bits).unwrap_or_default());
    let mut ids: Vec<(u64, u32)> = hashes.zip(0..).collect();
    ids.sort_unstable();
    if sealed.id_index()? != ids {
        return damaged(What::Layout("the ids are not what the entries give"));
    }
    let vocabulary = crate::canonical::vocabulary_to_bytes(&facts.names, &facts.authors);
    let tops: Vec<_> = facts.author_tops.into_iter().collect();
    if vocabulary.ok().as_deref() != Some(&*footer.vocabulary)
        || footer.flow_tops != facts.flow_tops
        || footer.author_tops != tops
    {
        return damaged(What::Layout("the footer is not what the entries give"));
    }
    Ok(())
}
