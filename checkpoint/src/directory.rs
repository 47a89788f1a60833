//! The page directory: which page holds which slots, and where it lies.

use flow_history_flow::Slot;

use crate::columns::{Extent, What};
use crate::header::{CheckpointHeader, Fields, HEADER_BYTES};
use crate::limits::{PAGE_BYTES_MAX, SHARED_PAGE_BYTES_MAX};

/// Bytes of one entry.
pub(crate) const ENTRY_BYTES: usize = 32;

// offset  size  entry (all numbers little-endian)
//      0     8  offset of the page in the file
//      8     4  bytes of the page as it is in the file
//     12     4  bytes of the page before compression
//     16     4  CRC32 of the page as it is in the file, salted
//     20     4  slot of its first component
//     24     4  slot of its last component
//     28     4  number of its components

/// One page, as the directory knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    pub(crate) raw_bytes: u32,
    pub(crate) crc: u32,
    pub(crate) extent: Extent,
}

pub(crate) fn directory_to_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    for entry in entries {
        bytes.extend_from_slice(&entry.offset.to_le_bytes());
        bytes.extend_from_slice(&entry.bytes.to_le_bytes());
        bytes.extend_from_slice(&entry.raw_bytes.to_le_bytes());
        bytes.extend_from_slice(&entry.crc.to_le_bytes());
        bytes.extend_from_slice(&entry.extent.first.0.to_le_bytes());
        bytes.extend_from_slice(&entry.extent.last.0.to_le_bytes());
        bytes.extend_from_slice(&entry.extent.components.to_le_bytes());
    }
    bytes
}

/// Checks that the pages lie one behind the other from the header on, fill the space that the header gives them, ascend
/// by slot and hold as many components as the header says.
pub(crate) fn directory_from_bytes(bytes: &[u8], header: &CheckpointHeader) -> Result<Vec<Entry>, What> {
    let mut rest = Fields(bytes);
    let mut entries = Vec::with_capacity(header.pages as usize);
    let mut offset = HEADER_BYTES as u64;
    let mut next_slot = Some(0);
    let mut components = 0;
    for _ in 0..header.pages {
        let entry = entry(&mut rest).ok_or("it ends early")?;
        let Extent { first, last, components: held } = entry.extent;
        if entry.offset != offset {
            return Err("a page does not begin where the one before it ends");
        }
        let alone = held == 1;
        if entry.raw_bytes as usize > if alone { PAGE_BYTES_MAX } else { SHARED_PAGE_BYTES_MAX } {
            return Err("a page is larger than pages are");
        }
        if next_slot.is_none_or(|next| first.0 < next) || first > last || last >= header.next_slot {
            return Err("the slots of its pages do not ascend");
        }
        // From first to last there is room for this many.
        if held == 0 || held - 1 > last.0 - first.0 {
            return Err("a page holds no component or more than it has slots");
        }
        offset = offset.checked_add(u64::from(entry.bytes)).ok_or("its pages are larger than any file")?;
        next_slot = last.0.checked_add(1);
        components += u64::from(held);
        entries.push(entry);
    }
    if offset != header.directory_offset() {
        return Err("its pages do not end where the header says");
    }
    if components != header.components {
        return Err("its pages hold another number of components than the header says");
    }
    Ok(entries)
}

fn entry(rest: &mut Fields<'_>) -> Option<Entry> {
    Some(Entry {
        offset: rest.u64()?,
        bytes: rest.u32()?,
        raw_bytes: rest.u32()?,
        crc: rest.u32()?,
        extent: Extent { first: Slot(rest.u32()?), last: Slot(rest.u32()?), components: rest.u32()? },
    })
}
