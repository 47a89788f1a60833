//! The page directory: which page holds what, and in which file it lies.

use crate::columns::{Extent, What};
use crate::header::{CheckpointHeader, Fields, HEADER_BYTES};
use crate::limits::{FILES_MAX, INFLATED_BYTES_MAX, PAGE_BYTES_MAX, SHARED_PAGE_BYTES_MAX};
use crate::range::Range;

/// Bytes of one entry.
pub(crate) const ENTRY_BYTES: usize = 56;

// First the sequence numbers of the earlier files, ascending, 8 bytes each. Then the entries, by kind and range:
//
// offset  size  entry (all numbers little-endian)
//      0     8  offset of the page in its file
//      8     4  bytes of the page as it is in the file
//     12     4  bytes of the page before compression
//     16     4  CRC32 of the page as it is in the file, salted
//     20     4  0 for this file, or 1 + a place among the earlier files
//     24     4  first key of its range
//     28     1  bits of its range
//     29     1  kind: 0 components by slot, 1 slots by hash of the id, 2 slots by slot of the parent
//     30     2  zero
//     32     4  number of its components or pairs
//     36    16  BLAKE3 of the page before compression, the first half of it
//     52     4  zero

/// The first half of the BLAKE3 of a page before compression.
pub(crate) type PageHash = [u8; 16];

pub(crate) fn page_hash(raw: &[u8]) -> PageHash {
    let [hash, _] = halves(*blake3::hash(raw).as_bytes());
    hash
}

fn halves(hash: [u8; 32]) -> [PageHash; 2] {
    match hash.as_chunks() {
        ([one, other], _) => [*one, *other],
        _ => Default::default(),
    }
}

/// What a page holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// Components, by slot.
    Components,
    /// Slots, by the hash of the id.
    Ids,
    /// Slots, by the slot of the parent.
    Children,
}

impl Kind {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Components => 0,
            Self::Ids => 1,
            Self::Children => 2,
        }
    }

    fn numbered(number: u8) -> Option<Self> {
        [Self::Components, Self::Ids, Self::Children].into_iter().find(|kind| kind.number() == number)
    }
}

/// One page, as the directory knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) crc: u32,
    /// The sequence number of the checkpoint whose file it lies in; none for this one.
    pub(crate) file: Option<u64>,
    pub(crate) kind: Kind,
    pub(crate) extent: Extent,
    pub(crate) hash: PageHash,
}

/// All pages, by kind and range, and the files that they lie in.
#[derive(Clone, Default, Debug)]
pub(crate) struct Directory {
    /// Ascending.
    pub(crate) files: Vec<u64>,
    pub(crate) entries: Vec<Entry>,
}

impl Directory {
    /// The directory of these entries, by kind and range.
    pub(crate) fn of(entries: Vec<Entry>) -> Self {
        let mut files: Vec<u64> = entries.iter().filter_map(|entry| entry.file).collect();
        files.sort_unstable();
        files.dedup();
        Self { files, entries }
    }

    /// The place of the page whose range holds this key.
    pub(crate) fn place_of(&self, kind: Kind, key: u32) -> Option<usize> {
        let behind =
            self.entries.partition_point(|entry| (entry.kind, entry.extent.range.first) <= (kind, key));
        let place = behind.checked_sub(1)?;
        let entry = self.entries.get(place)?;
        (entry.kind == kind && entry.extent.range.holds(key)).then_some(place)
    }

    /// The pages of one kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> &[Entry] {
        let from = self.entries.partition_point(|entry| entry.kind < kind);
        let to = self.entries.partition_point(|entry| entry.kind <= kind);
        self.entries.get(from..to).unwrap_or_default()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 * self.files.len() + self.entries.len() * ENTRY_BYTES);
        self.files.iter().for_each(|file| bytes.extend_from_slice(&file.to_le_bytes()));
        for entry in &self.entries {
            // There are at most a few files.
            let place = entry.file.and_then(|file| self.files.binary_search(&file).ok());
            let file = place.map_or(0, |place| 1 + u32::try_from(place).unwrap_or(u32::MAX - 1));
            bytes.extend_from_slice(&entry.offset.to_le_bytes());
            bytes.extend_from_slice(&entry.bytes.to_le_bytes());
            bytes.extend_from_slice(&entry.raw_bytes.to_le_bytes());
            bytes.extend_from_slice(&entry.crc.to_le_bytes());
            bytes.extend_from_slice(&file.to_le_bytes());
            bytes.extend_from_slice(&entry.extent.range.first.to_le_bytes());
            bytes.extend_from_slice(&[entry.extent.range.bits, entry.kind.number(), 0, 0]);
            bytes.extend_from_slice(&entry.extent.count.to_le_bytes());
            bytes.extend_from_slice(&entry.hash);
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes
    }

    /// Checks that the pages of this file lie one behind the other from the header on and fill the space that the header
    /// gives them, that ranges ascend, and that there are as many components as the header says.
    pub(crate) fn from_bytes(bytes: &[u8], header: &CheckpointHeader) -> Result<Self, What> {
        const SHORT: What = "it ends early";
        let mut rest = Fields(bytes);
        let mut files: Vec<u64> = Vec::with_capacity(FILES_MAX);
        for _ in 0..header.files {
            let file = rest.u64().ok_or(SHORT)?;
            if files.last().is_some_and(|last| *last >= file) || file >= header.sequence {
                return Err("its files are not earlier ones in their order");
            }
            files.push(file);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(header.pages as usize);
        let mut own_end = HEADER_BYTES as u64;
        let mut counts = [0_u64; 3];
        for _ in 0..header.pages {
            let entry = entry(&mut rest, &files).ok_or(SHORT)??;
            let range = entry.extent.range;
            let ascends = entries.last().is_none_or(|before| match before.kind.cmp(&entry.kind) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => before.extent.range.end() <= u64::from(range.first),
                std::cmp::Ordering::Greater => false,
            });
            if !range.is_aligned() || !ascends {
                return Err("the ranges of its pages do not ascend");
            }
            let end = entry.offset.checked_add(u64::from(entry.bytes));
            let end = end.ok_or("its pages are larger than any file")?;
            match entry.file {
                None if entry.offset != own_end => {
                    return Err("a page does not begin where the one before it ends");
                }
                None => own_end = end,
                Some(_) if entry.offset < HEADER_BYTES as u64 => {
                    return Err("a page in another file begins in its header");
                }
                Some(_) => {}
            }
            check_size(&entry, header)?;
            if let Some(count) = counts.get_mut(usize::from(entry.kind.number())) {
                *count += u64::from(entry.extent.count);
            }
            entries.push(entry);
        }
        if own_end != header.directory_offset() {
            return Err("its pages do not end where the header says");
        }
        let [components, ids, children] = counts;
        if components != header.components || ids != components || children > components {
            return Err("its pages hold another number of components than the header says");
        }
        Ok(Self { files, entries })
    }
}

fn check_size(entry: &Entry, header: &CheckpointHeader) -> Result<(), What> {
    let (count, raw_bytes) = (u64::from(entry.extent.count), u64::from(entry.raw_bytes));
    let keys = entry.extent.range.keys();
    let most = match entry.kind {
        Kind::Components if count == 1 => PAGE_BYTES_MAX as u64,
        Kind::Components => SHARED_PAGE_BYTES_MAX as u64,
        // Two numbers a pair, of at most five bytes each, and what the archive takes.
        Kind::Ids | Kind::Children => 10 * count + 4_096,
    };
    if raw_bytes > most {
        return Err("a page is larger than pages are");
    }
    if raw_bytes > INFLATED_BYTES_MAX as u64 && entry.bytes != entry.raw_bytes {
        return Err("a page is too large to be compressed");
    }
    if count == 0 || (entry.kind == Kind::Components && count > keys) {
        return Err("a page holds no component or more than it has slots");
    }
    let last = match entry.kind {
        Kind::Ids => 1_u64.checked_shl(header.id_bits).unwrap_or(0),
        Kind::Components | Kind::Children => u64::from(header.next_slot.0),
    };
    if u64::from(entry.extent.range.first) >= last {
        return Err("a page is of slots that were never given out");
    }
    Ok(())
}

fn entry(rest: &mut Fields<'_>, files: &[u64]) -> Option<Result<Entry, What>> {
    let (offset, bytes, raw_bytes, crc) = (rest.u64()?, rest.u32()?, rest.u32()?, rest.u32()?);
    let file = match rest.u32()?.checked_sub(1) {
        None => None,
        Some(place) => match files.get(place as usize) {
            Some(file) => Some(*file),
            None => return Some(Err("a page lies in a file that is not named")),
        },
    };
    let range = Range { first: rest.u32()?, bits: rest.u8()? };
    let kind = Kind::numbered(rest.u8()?);
    let zeros = rest.take::<2>()? == [0; 2];
    let extent = Extent { range, count: rest.u32()? };
    let hash = rest.take()?;
    let zeros = zeros && rest.u32()? == 0;
    let Some(kind) = kind.filter(|_| zeros) else {
        return Some(Err("a page is of a kind that this program does not know"));
    };
    Some(Ok(Entry { offset, bytes, raw_bytes, crc, file, kind, extent, hash }))
}
