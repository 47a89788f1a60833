//! The footer of a sealed segment: where everything in the file lies, and what the segment adds for later entries.
//!
//! Stored as a column of texts is: its length, how it is stored, its bytes. Inside, in integers as entries write them:
//!
//! ```text
//! row of block      entries | bytes of them | codec (1 byte) | chain before (32) | log time after the block before's |
//!                   new slots in the block before | for each of 4 parts: bytes, CRC32 (4)
//! row of slot page  first slot | slots | bytes | CRC32 (4)
//! id pages          bits of a hash (1 byte) | row of: first hash | ids | bytes | CRC32 (4)
//! vocabulary        bytes | row of text: names; row of author: authors
//! undo tops         of the flow | row of: 1 + number of the author, or 0 and the id | tops
//!   tops            entry that moved them last: 0 for none, else 1 + how far before the last entry | 1 + how far its undo
//!                   and its redo top lie before it, 0 for none
//! ```

use std::sync::Arc;

use super::block::{BlockStart, CODEC_PLAIN, PARTS};
use super::column::{Deflate, Inflate, put_texts, read_texts};
use super::header::SealedHeader;
use super::integer::{Broken, Reader, put_integer};
use crate::stacks::Tops;
use crate::{BLOCK_INFLATED_MAX, Chain, ENTRY_BYTES_MAX, FRAME_ENTRIES_MAX, SEGMENT_HEADER_BYTES, Seq};

/// A run of bytes of the file, with its checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) sum: u32,
}

/// A block, and where its parts lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlockPlace {
    pub(crate) start: BlockStart,
    pub(crate) parts: [Part; PARTS],
}

impl BlockPlace {
    pub(crate) fn last_seq(&self) -> Seq {
        Seq((self.start.first_seq.0 + u64::from(self.start.entries)).saturating_sub(1))
    }
}

/// A page of an index, and the first key in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Page {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) part: Part,
}

/// Whose undo stacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Owner {
    /// The author of this number.
    Number(u32),
    /// The author with this id.
    Id(Arc<str>),
}

/// The tops of stacks after the entry that moved them last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moved {
    pub(crate) at: Seq,
    pub(crate) tops: Tops,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Footer {
    pub(crate) blocks: Vec<BlockPlace>,
    pub(crate) slot_pages: Vec<Page>,
    pub(crate) hash_bits: u32,
    pub(crate) id_pages: Vec<Page>,
    /// Names and authors that are new in the segment, as canonical.rs writes them.
    pub(crate) vocabulary: Vec<u8>,
    pub(crate) flow_tops: Option<Moved>,
    pub(crate) author_tops: Vec<(Owner, Moved)>,
}

fn put_part(bytes: &mut Vec<u8>, part: &Part) {
    put_integer(bytes, part.bytes.into());
    bytes.extend(part.sum.to_le_bytes());
}

fn read_part(reader: &mut Reader<'_>, offset: &mut u64) -> Result<Part, Broken> {
    let part = Part { offset: *offset, bytes: reader.narrow()?, sum: u32::from_le_bytes(reader.fixed()?) };
    // Fewer than 2^32 parts of less than 4 GiB each do not overflow.
    *offset += u64::from(part.bytes);
    Ok(part)
}

fn put_moved(bytes: &mut Vec<u8>, moved: Option<&Moved>, last: Seq) {
    let Some(moved) = moved else { return put_integer(bytes, 0) };
    put_integer(bytes, 1 + (last.0 - moved.at.0));
    for top in [moved.tops.undo, moved.tops.redo] {
        put_integer(bytes, top.map_or(0, |top| 1 + (moved.at.0 - top.0)));
    }
}

fn read_moved(reader: &mut Reader<'_>, last: Seq) -> Result<Option<Moved>, Broken> {
    let before = |from: Seq, back: u64| {
        let seq = from.0.checked_sub(back - 1).filter(|seq| *seq > 0);
        seq.map(Seq).ok_or(Broken("a top of a stack lies before the first entry"))
    };
    let back = reader.integer()?;
    if back == 0 {
        return Ok(None);
    }
    let at = before(last, back)?;
    let mut top = || match reader.integer()? {
        0 => Ok(None),
        back => before(at, back).map(Some),
    };
    Ok(Some(Moved { at, tops: Tops { undo: top()?, redo: top()? } }))
}

impl Footer {
    pub(crate) fn encode(&self, header: &SealedHeader, deflate: &mut Deflate) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_integer(&mut bytes, self.blocks.len() as u64);
        let (mut log_time, mut next_slot) = (header.segment.log_time, header.before.next_slot);
        for BlockPlace { start, parts } in &self.blocks {
            put_integer(&mut bytes, start.entries.into());
            put_integer(&mut bytes, start.bytes);
            bytes.push(start.codec);
            bytes.extend(start.chain.0);
            put_integer(&mut bytes, start.log_time.abs_diff(log_time));
            put_integer(&mut bytes, (start.next_slot - next_slot).into());
            (log_time, next_slot) = (start.log_time, start.next_slot);
            parts.iter().for_each(|part| put_part(&mut bytes, part));
        }
        let put_pages = |bytes: &mut Vec<u8>, pages: &[Page]| {
            put_integer(bytes, pages.len() as u64);
            for page in pages {
                put_integer(bytes, page.first);
                put_integer(bytes, page.count.into());
                put_part(bytes, &page.part);
            }
        };
        put_pages(&mut bytes, &self.slot_pages);
        bytes.push(u8::try_from(self.hash_bits).unwrap_or_default());
        put_pages(&mut bytes, &self.id_pages);
        put_integer(&mut bytes, self.vocabulary.len() as u64);
        bytes.extend(&self.vocabulary);
        put_moved(&mut bytes, self.flow_tops.as_ref(), header.last_seq);
        put_integer(&mut bytes, self.author_tops.len() as u64);
        for (owner, moved) in &self.author_tops {
            match owner {
                Owner::Number(number) => put_integer(&mut bytes, 1 + u64::from(*number)),
                Owner::Id(id) => {
                    put_integer(&mut bytes, 0);
                    put_integer(&mut bytes, id.len() as u64);
                    bytes.extend(id.as_bytes());
                }
            }
            put_moved(&mut bytes, Some(moved), header.last_seq);
        }
        let mut stored = Vec::new();
        deflate.begin();
        put_texts(&mut stored, &bytes, deflate);
        stored
    }

    /// Reads a footer whose checksum matches, and checks that what it says fits the header and the file.
    pub(crate) fn decode(stored: &[u8], header: &SealedHeader) -> Result<Self, Broken> {
        let mut reader = Reader(stored);
        let bytes = read_texts(&mut reader, &mut Inflate::new())?;
        reader.end()?;
        let mut reader = Reader(&bytes);
        let mut footer = Footer::default();
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        let mut seq = header.segment.first_seq;
        let (mut log_time, mut next_slot) = (header.segment.log_time, header.before.next_slot);
        for _ in 0..reader.integer()? {
            let (entries, bytes, codec) = (reader.narrow()?, reader.integer()?, reader.byte()?);
            let chain = Chain(reader.fixed()?);
            log_time = log_time
                .checked_add_unsigned(reader.integer()?)
                .ok_or(Broken("a log time is out of bounds"))?;
            next_slot = next_slot.checked_add(reader.narrow()?).ok_or(Broken("a slot is out of bounds"))?;
            let start = BlockStart { first_seq: seq, entries, bytes, codec, chain, log_time, next_slot };
            let mut parts = [Part { offset, bytes: 0, sum: 0 }; PARTS];
            for part in &mut parts {
                *part = read_part(&mut reader, &mut offset)?;
            }
            check_block(&start, &parts)?;
            seq = Seq(seq.0 + u64::from(entries));
            footer.blocks.push(BlockPlace { start, parts });
        }
        let first = footer.blocks.first().map(|block| &block.start);
        if first.is_some_and(|first| first.chain != header.segment.chain) {
            return Err(Broken("the chain before the first block is another"));
        }
        if seq.previous() != Some(header.last_seq)
            || log_time > header.end_log_time
            || next_slot > header.after.next_slot
        {
            return Err(Broken("the blocks are not the ones that the header speaks of"));
        }
        footer.slot_pages = read_pages(&mut reader, &mut offset)?;
        footer.hash_bits = reader.byte()?.into();
        footer.id_pages = read_pages(&mut reader, &mut offset)?;
        if offset != header.footer_offset || footer.hash_bits > 64 {
            return Err(Broken("the parts do not fill the file up to the footer"));
        }
        let vocabulary = reader.count()?;
        footer.vocabulary = reader.take(vocabulary)?.to_vec();
        footer.flow_tops = read_moved(&mut reader, header.last_seq)?;
        for _ in 0..reader.integer()? {
            let owner = match reader.narrow::<u32>()?.checked_sub(1) {
                Some(number) => Owner::Number(number),
                None => {
                    let bytes = reader.count()?;
                    let id =
                        std::str::from_utf8(reader.take(bytes)?).map_err(|_| Broken("an id is no text"))?;
                    Owner::Id(id.into())
                }
            };
            let moved = read_moved(&mut reader, header.last_seq)?;
            footer.author_tops.push((owner, moved.ok_or(Broken("stacks that nothing moved"))?));
        }
        reader.end()?;
        Ok(footer)
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.blocks)
            + size_of_val(&*self.slot_pages)
            + size_of_val(&*self.id_pages)
            + self.vocabulary.len()
            + 2 * size_of_val(&*self.author_tops)
    }

    /// The place of the block that holds an entry.
    pub(crate) fn block_of(&self, seq: Seq) -> usize {
        self.blocks.partition_point(|block| block.start.first_seq <= seq).saturating_sub(1)
    }
}

fn check_block(start: &BlockStart, parts: &[Part; PARTS]) -> Result<(), Broken> {
    let stored: u64 = parts.iter().map(|part| u64::from(part.bytes)).sum();
    if start.entries == 0 || start.entries > FRAME_ENTRIES_MAX || start.first_seq.0 > crate::SEQ_MAX {
        return Err(Broken("a block of so many entries"));
    }
    // What columns inflate to is bounded, so that a short file cannot ask for much memory.
    let max = if start.codec == CODEC_PLAIN { stored } else { BLOCK_INFLATED_MAX as u64 };
    if start.bytes > max || start.bytes > 2 * ENTRY_BYTES_MAX as u64 || start.bytes < u64::from(start.entries)
    {
        return Err(Broken("a block of so many bytes"));
    }
    Ok(())
}

fn read_pages(reader: &mut Reader<'_>, offset: &mut u64) -> Result<Vec<Page>, Broken> {
    let mut pages: Vec<Page> = Vec::new();
    for _ in 0..reader.integer()? {
        let (first, count) = (reader.integer()?, reader.narrow()?);
        if count == 0 || pages.last().is_some_and(|before| before.first > first) {
            return Err(Broken("the pages of an index are not in order"));
        }
        pages.push(Page { first, count, part: read_part(reader, offset)? });
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::{BlockStart, PARTS, Part, check_block};
    use crate::{Chain, Seq};

    #[test]
    fn a_block_of_a_newer_codec_is_for_who_reads_it_to_refuse() {
        let parts = [Part { offset: 512, bytes: 100, sum: 0 }; PARTS];
        let start = |codec| BlockStart {
            first_seq: Seq(1),
            entries: 9,
            bytes: 64 << 10,
            codec,
            chain: Chain([0; 32]),
            log_time: 0,
            next_slot: 0,
        };
        // What is stored as it is cannot have more bytes than there are; of what a newer codec stores nobody knows.
        assert!(check_block(&start(0), &parts).is_err());
        for codec in [1, 2, 3, 200] {
            assert!(check_block(&start(codec), &parts).is_ok(), "codec {codec}");
        }
    }
}
