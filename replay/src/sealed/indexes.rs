//! The two indexes of a sealed segment, in pages that are read one by one.
//!
//! ```text
//! slot page := integers: slot less the one before | integers: number of blocks | integers: block less the one before
//!   which blocks hold an entry that touched a slot; within a page the first slot, and the first block of each, as they are
//! id page   := integers: hash less the one before | integers: slot less the first new one of the segment
//!   which new slots ids got: the highest bits of the first 8 bytes of BLAKE3(id), little-endian, in order
//! ```
//!
//! A slot leads to blocks, not to entries: which entries of a block they are, its heads say. Naming the entries costs
//! some 15 bits a change where changes are spread evenly, naming blocks 3 or 4, and an entry is read with its block anyway.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::column::{Deflate, Inflate, Integers, IntegersShape, put_integers};
use super::integer::{Broken, Reader};

/// Most slots, or ids, in one page.
const PAGE_KEYS: usize = 1_024;
/// Most blocks named in one page, but for a single slot that needs more.
const PAGE_PLACES: usize = 4_096;
/// So many more bits than tell the ids of a segment apart: one in 256 look-ups for nothing reads an id for nothing.
const SPARE_BITS: u32 = 8;

/// A page on its way to the file: its first key, the number of keys, its bytes.
pub(crate) type NewPage = (u64, u32, Vec<u8>);

/// Which blocks touched which slot.
pub(crate) type SlotIndex = BTreeMap<u32, Vec<u32>>;

pub(crate) fn slot_pages(index: &SlotIndex, deflate: &mut Deflate) -> Vec<NewPage> {
    let mut pages = Vec::new();
    let (mut slots, mut counts, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut first = 0;
    let mut close = |first: u32, columns: [&mut Vec<u64>; 3]| {
        let mut bytes = Vec::new();
        let count = u32::try_from(columns[0].len()).unwrap_or(u32::MAX);
        deflate.begin();
        for column in columns {
            put_integers(&mut bytes, column, deflate);
            column.clear();
        }
        pages.push((first.into(), count, bytes));
    };
    let mut before = 0;
    for (slot, blocks) in index {
        if slots.len() >= PAGE_KEYS || !slots.is_empty() && places.len() + blocks.len() > PAGE_PLACES {
            close(first, [&mut slots, &mut counts, &mut places]);
        }
        if slots.is_empty() {
            (first, before) = (*slot, 0);
        }
        slots.push(u64::from(slot - before));
        counts.push(blocks.len() as u64);
        let mut block_before = 0;
        for block in blocks {
            places.push(u64::from(block - block_before));
            block_before = *block;
        }
        before = *slot;
    }
    if !slots.is_empty() {
        close(first, [&mut slots, &mut counts, &mut places]);
    }
    pages
}

/// A page of the slot index in memory.
pub(crate) struct SlotPage {
    slots: Integers,
    counts: Integers,
    places: Integers,
}

const NO_SLOT_PAGE: Broken = Broken("a page of the slot index is not what it says");

impl SlotPage {
    /// A page of so many slots, of a segment of so many blocks.
    pub(crate) fn read(bytes: &[u8], count: u32, blocks: usize) -> Result<Self, Broken> {
        let (mut reader, mut inflate) = (Reader(bytes), Inflate::new());
        let slots = Integers::read(&mut reader, &mut inflate)?;
        let counts = Integers::read(&mut reader, &mut inflate)?;
        let places = Integers::read(&mut reader, &mut inflate)?;
        reader.end()?;
        let right_count = slots.len() == count as usize && counts.len() == slots.len();
        if !right_count || counts.len() > 2 * PAGE_KEYS || places.len() > counts.len().saturating_mul(blocks)
        {
            return Err(NO_SLOT_PAGE);
        }
        Ok(Self { slots, counts, places })
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.slots.bytes() + self.counts.bytes() + self.places.bytes()
    }

    /// Calls for each slot, in order, with its blocks, until the call says no.
    pub(crate) fn each(
        &self,
        mut each: impl FnMut(u32, &mut dyn Iterator<Item = u32>) -> bool,
    ) -> Result<(), Broken> {
        let out = NO_SLOT_PAGE;
        let (mut slot, mut at) = (0_u32, 0_usize);
        for (delta, count) in self.slots.iter().zip(self.counts.iter()) {
            slot = u32::try_from(delta).ok().and_then(|delta| slot.checked_add(delta)).ok_or(out)?;
            let end = self.end(at, count)?;
            if !each(slot, &mut self.blocks(at..end)) {
                return Ok(());
            }
            at = end;
        }
        if at == self.places.len() { Ok(()) } else { Err(out) }
    }

    /// The blocks of a slot: none where the page does not have it.
    pub(crate) fn blocks_of(&self, slot: u32) -> Result<Vec<u32>, Broken> {
        let mut other = 0_u64;
        for (place, delta) in self.slots.first(usize::MAX).into_iter().enumerate() {
            other = other.checked_add(delta).ok_or(NO_SLOT_PAGE)?;
            if other > slot.into() {
                break;
            }
            if other == u64::from(slot) {
                let before = self.counts.first(place).into_iter().fold(0, u64::saturating_add);
                let at = self.end(0, before)?;
                let end = self.end(at, self.counts.get(place).unwrap_or_default())?;
                return Ok(self.blocks(at..end).collect());
            }
        }
        Ok(Vec::new())
    }

    fn end(&self, at: usize, count: u64) -> Result<usize, Broken> {
        let end = usize::try_from(count).ok().and_then(|count| at.checked_add(count));
        end.filter(|end| *end <= self.places.len()).ok_or(NO_SLOT_PAGE)
    }

    fn blocks(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = u32> {
        let (mut block, first) = (0_u32, places.start);
        places.map_while(move |at| {
            let delta = u32::try_from(self.places.get(at)?).ok()?;
            // They ascend.
            block = block.checked_add(delta).filter(|_| delta > 0 || at == first)?;
            Some(block)
        })
    }
}

/// The hash by which an id is found.
pub(crate) fn hash_of(id: &[u8], bits: u32) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blake3::hash(id).as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]).checked_shr(u64::BITS - bits).unwrap_or_default()
}

/// The bits of a hash that tell so many ids apart.
pub(crate) fn hash_bits(ids: usize) -> u32 {
    (usize::BITS - ids.leading_zeros() + SPARE_BITS).min(u64::BITS)
}

/// Pages of `(hash, slot less the first)`, which need not be in order.
pub(crate) fn id_pages(mut ids: Vec<(u64, u32)>, deflate: &mut Deflate) -> Vec<NewPage> {
    ids.sort_unstable();
    ids.chunks(PAGE_KEYS)
        .map(|page| {
            let first = page.first().map_or(0, |(hash, _)| *hash);
            let mut before = 0;
            let hashes: Vec<u64> =
                page.iter().map(|(hash, _)| hash - std::mem::replace(&mut before, *hash)).collect();
            let slots: Vec<u64> = page.iter().map(|(_, slot)| u64::from(*slot)).collect();
            let mut bytes = Vec::new();
            deflate.begin();
            put_integers(&mut bytes, &hashes, deflate);
            put_integers(&mut bytes, &slots, deflate);
            (first, u32::try_from(page.len()).unwrap_or(u32::MAX), bytes)
        })
        .collect()
}

/// A page of the ids in memory. Most look-ups find nothing in it, and those take the hashes alone.
pub(crate) struct IdPage {
    hashes: Integers,
    slots: IntegersShape,
    /// The slots as they were read.
    stored: Vec<u8>,
}

const NO_ID_PAGE: Broken = Broken("a page of the ids is not what it says");

impl IdPage {
    /// A page of so many ids.
    pub(crate) fn read(bytes: &[u8], count: u32) -> Result<Self, Broken> {
        let (mut reader, mut inflate) = (Reader(bytes), Inflate::new());
        let hashes = Integers::read(&mut reader, &mut inflate)?;
        let (slots, stored) = IntegersShape::read(&mut reader, &mut inflate)?;
        reader.end()?;
        if hashes.len() != count as usize || slots.len() != hashes.len() || slots.len() > PAGE_KEYS {
            return Err(NO_ID_PAGE);
        }
        Ok(Self { hashes, slots, stored: stored.to_vec() })
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.hashes.bytes() + self.stored.len()
    }

    /// The hashes, with the slots less the first new one of the segment.
    pub(crate) fn pairs(&self) -> Result<Vec<(u64, u32)>, Broken> {
        let slots = self.slots.open(&self.stored)?;
        let mut hash = 0_u64;
        let pairs = self.hashes.iter().zip(slots.iter()).map(|(delta, slot)| {
            hash = hash.checked_add(delta).ok_or(NO_ID_PAGE)?;
            Ok((hash, u32::try_from(slot).map_err(|_| NO_ID_PAGE)?))
        });
        pairs.collect()
    }

    /// The slots of a hash, less the first new one of the segment.
    pub(crate) fn slots_of(&self, hash: u64) -> Result<Vec<u32>, Broken> {
        let (mut other, mut alike) = (0_u64, 0..0);
        for (place, delta) in self.hashes.first(usize::MAX).into_iter().enumerate() {
            other = other.checked_add(delta).ok_or(NO_ID_PAGE)?;
            match other.cmp(&hash) {
                Ordering::Less => alike = place + 1..place + 1,
                Ordering::Equal => alike.end = place + 1,
                Ordering::Greater => break,
            }
        }
        if alike.is_empty() {
            return Ok(Vec::new());
        }
        let slots = self.slots.open(&self.stored)?.some(alike);
        slots.into_iter().map(|slot| u32::try_from(slot).map_err(|_| NO_ID_PAGE)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Deflate, IdPage, id_pages};

    #[test]
    fn a_page_of_ids_says_of_each_hash_what_all_of_its_pairs_say() {
        // Some hashes come more than once, and most in between not at all.
        let ids: Vec<(u64, u32)> = (0..700_u32).map(|at| (u64::from(at * at % 1_009), at ^ 5)).collect();
        for level in [None, Some(3)] {
            let pages = id_pages(ids.clone(), &mut Deflate::new(level));
            let [(first, count, bytes)] = pages.as_slice() else { panic!("{} pages", pages.len()) };
            let page = IdPage::read(bytes, *count).unwrap();
            let pairs = page.pairs().unwrap();
            let mut expected = ids.clone();
            expected.sort_unstable();
            assert_eq!((*first, &pairs), (0, &expected));
            for hash in 0..1_020 {
                let of_hash: Vec<u32> =
                    pairs.iter().filter(|(other, _)| *other == hash).map(|(_, slot)| *slot).collect();
                assert_eq!(page.slots_of(hash).unwrap(), of_hash, "{hash}");
            }
            assert!(IdPage::read(bytes, *count + 1).is_err());
            assert!(IdPage::read(&bytes[..bytes.len() - 1], *count).is_err());
        }
    }
}
