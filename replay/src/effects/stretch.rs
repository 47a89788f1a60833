//! The bytes of entries in a row, as they lie in segments.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flow_history_flow::Slot;

use super::read::{Allowance, Effects};
use crate::both::on_both;
use crate::log::{EntryRanges, Walk};
use crate::sealed::{Block, Broken, PlainParts, Reader};
use crate::{Chain, FrameHeader, Log, LogError, SegmentIndex, Seq, What};

/// A stretch of sealed entries ends with the block that fills it to so many bytes in memory, or of entries as they were
/// written, or to so many entries: columns in which everything is alike take no memory at all.
const STRETCH_BYTES: u64 = 16 << 20;
const STRETCH_ENTRIES: u64 = 1 << 17;

/// The same for each component of a flow that is put together: where they no longer fit a cache, going through them costs as much
/// as what is done to them, and the flow takes more memory than the stretch.
const BYTES_A_COMPONENT: u64 = 512;
const ENTRIES_A_COMPONENT: u64 = 4;
/// However many components there are.
const GROWN_MOST: u64 = 16;

/// So many pieces are read one beside the other: more than two, so that who is done first takes another.
pub(crate) const PIECES: usize = 8;
/// What is done in one piece is done by one thread.
pub(crate) const WHOLE: usize = 1;

/// Reads the log from one version to another, a stretch at a time. Checksums are checked, the hash chain is not: what was
/// sealed was compared with it then, and a frame is summed.
pub(crate) struct Stretches<'l> {
    log: &'l Log,
    segment: usize,
    /// The newest entry that was given.
    seq: Seq,
    to: Seq,
    /// Bytes, and entries, that fill a stretch.
    bytes_max: u64,
    entries_max: u64,
}

/// Entries that were read, and of which nothing is known yet.
pub(crate) enum Stretch {
    Blocks {
        blocks: Vec<Placed>,
        after: Seq,
        to: Seq,
    },
    Frames {
        walk: Box<Walk>,
        /// Before the first of the frames.
        chain: Chain,
        frames: Vec<(FrameHeader, Range<usize>)>,
        after: Seq,
        to: Seq,
    },
}

/// A block, and its place in its segment.
pub(crate) struct Placed {
    sealed: SegmentIndex,
    at: usize,
    block: Arc<Block>,
}

impl<'l> Stretches<'l> {
    /// The entries after one version, up to another.
    pub(crate) fn new(log: &'l Log, after: Seq, to: Seq) -> Self {
        let segment = log.segment_of(after.next().unwrap_or(after));
        let (bytes_max, entries_max) = (STRETCH_BYTES, STRETCH_ENTRIES);
        Self { log, segment, seq: after, to, bytes_max, entries_max }
    }

    /// The same in stretches that are worth going through so many components for. However many are claimed, a small log is not
    /// read in large stretches.
    pub(crate) fn onto(self, components: u64) -> Self {
        let behind = self.log.segments().get(self.segment..).unwrap_or_default();
        let bytes: u64 = behind.iter().map(|segment| segment.bytes).sum();
        let components = components.min(bytes / ENTRIES_A_COMPONENT);
        let grown = |one: u64, each: u64| one.max(each.saturating_mul(components).min(GROWN_MOST * one));
        let bytes_max = grown(STRETCH_BYTES, BYTES_A_COMPONENT);
        Self { bytes_max, entries_max: grown(STRETCH_ENTRIES, ENTRIES_A_COMPONENT), ..self }
    }

    /// The next entries; `None` behind the last one that was asked for.
    pub(crate) fn next(&mut self) -> Result<Option<Stretch>, LogError> {
        while self.seq < self.to {
            let Some(summary) = self.log.segments().get(self.segment) else {
                return Err(LogError::damaged("", 0, Some(self.to), What::LogIsShorter));
            };
            let after = self.seq;
            let stretch = if summary.sealed.is_some() { self.blocks()? } else { self.frames()? };
            if self.seq > after {
                return Ok(Some(stretch));
            }
        }
        Ok(None)
    }

    /// Blocks of this segment and of those behind it, as far as they are sealed.
    fn blocks(&mut self) -> Result<Stretch, LogError> {
        let after = self.seq;
        let (mut blocks, mut bytes, mut written) = (Vec::new(), 0, 0);
        while let Some(sealed) = self.log.segments().get(self.segment).and_then(|of| of.sealed.as_ref()) {
            for at in sealed.blocks_from(self.seq.next().unwrap_or(self.seq))? {
                let full = bytes >= self.bytes_max || written >= self.bytes_max;
                if self.seq >= self.to || full || self.seq.0 - after.0 >= self.entries_max {
                    return Ok(Stretch::Blocks { blocks, after, to: self.seq });
                }
                let block = sealed.block_once(at)?;
                let start = block.heads.start;
                if start.first_seq > self.seq.next().unwrap_or_default() {
                    return Err(sealed.broken(0, self.seq.next(), Broken("a block is not the next")));
                }
                self.seq =
                    Seq((start.first_seq.0 + u64::from(start.entries)).saturating_sub(1).min(self.to.0));
                bytes += block.bytes() as u64;
                written += start.bytes;
                blocks.push(Placed { sealed: sealed.clone(), at, block });
            }
            self.segment += 1;
        }
        Ok(Stretch::Blocks { blocks, after, to: self.seq })
    }

    fn frames(&mut self) -> Result<Stretch, LogError> {
        let after = self.seq;
        let (mut walk, mut frames) = (self.log.walk(self.segment)?, Vec::new());
        let mut chain = walk.segment.header.chain;
        while self.seq < self.to {
            let Some((frame, payload)) = walk.next_frame()? else {
                self.segment += 1;
                break;
            };
            if frame.entries == 0 {
                continue;
            }
            if frame.last_seq() <= after {
                chain = frame.chain;
                continue;
            }
            self.seq = frame.last_seq().min(self.to);
            frames.push((frame, payload));
        }
        Ok(Stretch::Frames { walk: Box::new(walk), chain, frames, after, to: self.seq })
    }
}

impl Stretch {
    /// The newest entry in it.
    pub(crate) fn to(&self) -> Seq {
        match self {
            Stretch::Blocks { to, .. } | Stretch::Frames { to, .. } => *to,
        }
    }

    pub(crate) fn entries(&self) -> u64 {
        match self {
            Stretch::Blocks { after, to, .. } | Stretch::Frames { after, to, .. } => to.0 - after.0,
        }
    }

    /// What it is in words, where its entries do what cannot be done.
    pub(crate) fn broken(&self, why: Broken) -> LogError {
        match self {
            Stretch::Blocks { blocks, after, .. } => {
                let file = blocks.first().map_or("", |first| first.sealed.file());
                LogError::damaged(file, 0, after.next(), What::Layout(why.0))
            }
            Stretch::Frames { walk, after, .. } => {
                LogError::damaged(&walk.file, 0, after.next(), What::Layout(why.0))
            }
        }
    }

    /// Checks the hash chain over the blocks, or frames, that nobody took yet. Several threads may do so at the same time,
    /// with the same turns.
    pub(crate) fn check_chain(&self, turns: &AtomicUsize) -> Result<(), LogError> {
        loop {
            let turn = turns.fetch_add(1, Ordering::Relaxed);
            match self {
                Stretch::Blocks { blocks, .. } => {
                    let Some(Placed { sealed, at, block }) = blocks.get(turn) else { return Ok(()) };
                    let start = block.heads.start;
                    let broken = |why| sealed.broken(0, Some(start.first_seq), why);
                    let payload = block.payload(0..start.entries as usize).map_err(broken)?;
                    let (mut chain, mut rest) = (start.chain, Reader(&payload));
                    while !rest.0.is_empty() {
                        let length = rest.fixed().map(u32::from_le_bytes).map_err(broken)?;
                        chain = chain.after(rest.take(length as usize).map_err(broken)?);
                    }
                    if chain != sealed.chain_behind(*at)? {
                        return Err(LogError::damaged(sealed.file(), 0, Some(start.first_seq), What::Chain));
                    }
                }
                Stretch::Frames { walk, chain, frames, .. } => {
                    let Some((frame, payload)) = frames.get(turn) else { return Ok(()) };
                    let before = turn.checked_sub(1).and_then(|before| frames.get(before));
                    let mut chain = before.map_or(*chain, |(before, _)| before.chain);
                    let mut ranges = EntryRanges::new(walk, payload.clone());
                    while let Some(range) = ranges.next_range()? {
                        chain = chain.after(walk.segment.bytes.get(range).unwrap_or_default());
                    }
                    if chain != frame.chain {
                        let place = walk.place(payload.start);
                        return Err(LogError::damaged(&walk.file, place, Some(frame.first_seq), What::Chain));
                    }
                }
            }
        }
    }

    /// What its entries do, the next add taking this slot. Read in so many pieces; where there are several, a second thread
    /// helps.
    pub(crate) fn effects(&self, next_slot: Slot, pieces: usize) -> Result<Effects<'_>, LogError> {
        let allowance = self.allowance();
        let read = on_both(self.pieces(pieces), |piece| self.read(piece, &allowance, next_slot));
        self.joined(next_slot, read.into_iter())
    }

    /// How much may be read of it.
    pub(crate) fn allowance(&self) -> Allowance {
        Allowance::of(self.entries())
    }

    /// Pieces of it that can be read one beside the other.
    pub(crate) fn pieces(&self, count: usize) -> Vec<StretchPiece> {
        match self {
            Stretch::Blocks { blocks, .. } => {
                let size = blocks.len().div_ceil(count).max(1);
                let begins = (0..blocks.len()).step_by(size);
                begins.map(|begin| StretchPiece(begin..blocks.len().min(begin + size))).collect()
            }
            // Which slot an add takes in a frame is known when the frames before it were read.
            Stretch::Frames { frames, .. } => vec![StretchPiece(0..frames.len())],
        }
    }

    /// The effects of all pieces together.
    pub(crate) fn joined<'b>(
        &'b self,
        next_slot: Slot,
        mut pieces: impl Iterator<Item = Result<Effects<'b>, LogError>>,
    ) -> Result<Effects<'b>, LogError> {
        let none = || Ok(Effects::new(next_slot, 0, &Allowance::default()));
        let mut effects = pieces.next().unwrap_or_else(none)?;
        let behind = pieces.collect::<Result<Vec<_>, _>>()?;
        effects.row.reserve_exact(behind.iter().map(|piece| piece.row.len()).sum());
        for piece in behind {
            if piece.first_slot != effects.next_slot {
                return Err(self.broken(Broken("a block begins with another slot")));
            }
            effects.append(piece);
        }
        Ok(effects)
    }

    /// What the entries of a piece do, the first add of the stretch taking this slot.
    pub(crate) fn read(
        &self,
        StretchPiece(piece): StretchPiece,
        allowance: &Allowance,
        next_slot: Slot,
    ) -> Result<Effects<'_>, LogError> {
        match self {
            Stretch::Blocks { blocks, after, to } => {
                let is_first = piece.start == 0;
                let blocks = blocks.get(piece).unwrap_or_default();
                let begin = blocks.first().map(|first| first.block.heads.start).filter(|_| !is_first);
                let mut seq = begin.map_or(*after, |start| start.first_seq.previous().unwrap_or_default());
                let next_slot = begin.map_or(next_slot, |start| Slot(start.next_slot));
                // Most entries do one thing.
                let expected = blocks.iter().map(|of| of.block.heads.start.entries as usize).sum();
                let mut effects = Effects::new(next_slot, expected, allowance);
                for Placed { sealed, block, .. } in blocks {
                    let start = block.heads.start;
                    let broken = |seq: Seq, why| sealed.broken(0, seq.next(), why);
                    let skip = (seq.0 + 1).checked_sub(start.first_seq.0);
                    let skip = skip.and_then(|skip| usize::try_from(skip).ok()).unwrap_or_default();
                    if skip == 0 && start.next_slot != effects.next_slot {
                        return Err(broken(seq, Broken("a block begins with another slot")));
                    }
                    let mut parts = block.parts_from(skip).map_err(|why| broken(seq, why))?;
                    for _ in skip..start.entries as usize {
                        if seq >= *to {
                            break;
                        }
                        let next = seq.next().unwrap_or_default();
                        effects.read(&mut parts, next.0).map_err(|why| broken(seq, why))?;
                        seq = next;
                    }
                }
                Ok(effects)
            }
            Stretch::Frames { walk, frames, after, to, .. } => {
                let expected = usize::try_from(self.entries()).unwrap_or_default();
                let mut effects = Effects::new(next_slot, expected, allowance);
                for (frame, payload) in frames {
                    let mut ranges = EntryRanges::new(walk, payload.clone());
                    for seq in frame.first_seq.0..=frame.last_seq().0.min(to.0) {
                        let broken = |place, Broken(why)| {
                            LogError::damaged(
                                &walk.file,
                                walk.place(place),
                                Some(Seq(seq)),
                                What::Layout(why),
                            )
                        };
                        let Some(range) = ranges.next_range()? else {
                            let fewer = Broken("a frame holds fewer entries than it says");
                            return Err(broken(walk.offset(), fewer));
                        };
                        if seq <= after.0 {
                            continue;
                        }
                        let bytes = walk.segment.bytes.get(range.clone()).unwrap_or_default();
                        let mut parts = PlainParts(Reader(bytes));
                        let read = effects.read(&mut parts, seq).and_then(|()| parts.0.end());
                        read.map_err(|why| broken(range.start, why))?;
                    }
                }
                Ok(effects)
            }
        }
    }
}

/// Some of the blocks, or all frames, of a stretch.
pub(crate) struct StretchPiece(Range<usize>);
