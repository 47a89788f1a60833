//! The header: what the checkpoint is of, and where everything in the file lies.

use flow_history_flow::{COMPONENTS_MAX, Slot};

use crate::directory::ENTRY_BYTES;
use crate::limits::{ATTACHMENT_BYTES_MAX, FILES_MAX, INFLATED_BYTES_MAX, PAGES_MAX};
use crate::{CheckpointError, Part};

/// The first bytes of every checkpoint.
pub const MAGIC: [u8; 8] = *b"flow-chk";
/// The number of the layout that this crate writes and reads: of the file, of the archive of a page, and of what the
/// tokens in it mean.
pub const LAYOUT: u32 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 136;

// offset  size  header (all numbers little-endian)
//      0     8  magic "flow-chk"
//      8     4  layout number
//     12     4  flags, 0: a reader refuses those that it does not know
//     16    16  history id
//     32     8  sequence of the version
//     40    32  chain at the version
//     72     4  slot that the next Add takes
//     76     4  number of pages in the directory, those in other files among them
//     80     8  number of components
//     88     8  bytes of the pages in this file
//     96     4  number of earlier files in the directory
//    100     4  bits of the hashes of ids
//    104     4  CRC32 of the directory, salted
//    108     4  CRC32 of the attachment, salted
//    112     4  bytes of the attachment as it is in the file
//    116     4  bytes of the attachment before compression
//    120     8  bytes of the file
//    128     4  zero
//    132     4  CRC32 of the 132 bytes before
//    136        pages, then the directory (8 bytes a file, 56 a page), then the attachment, then nothing

/// What a checkpoint is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct About {
    /// The id of the history.
    pub history: [u8; 16],
    /// The sequence number of the version.
    pub sequence: u64,
    /// The hash chain at the version.
    pub chain: [u8; 32],
}

/// The header of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CheckpointHeader {
    /// The id of the history.
    pub history: [u8; 16],
    /// The sequence number of the version.
    pub sequence: u64,
    /// The hash chain at the version.
    pub chain: [u8; 32],
    /// The slot that the next Add takes.
    pub next_slot: Slot,
    /// The number of components.
    pub components: u64,
    /// The number of pages, those in other files among them.
    pub pages: u32,
    /// Bytes of the pages in this file as they are there.
    pub page_bytes: u64,
    /// Bytes of the attachment as it is in the file.
    pub attachment_bytes: u32,
    /// Bytes of the attachment before compression.
    pub attachment_raw_bytes: u32,
    pub(crate) files: u32,
    pub(crate) id_bits: u32,
    pub(crate) directory_crc: u32,
    pub(crate) attachment_crc: u32,
}

impl CheckpointHeader {
    /// What the checkpoint is of.
    #[must_use]
    pub fn about(&self) -> About {
        About { history: self.history, sequence: self.sequence, chain: self.chain }
    }

    /// Bytes of the file. Saturates, so that a header that lies about its parts never matches a file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.attachment_offset().saturating_add(u64::from(self.attachment_bytes))
    }

    pub(crate) fn directory_offset(&self) -> u64 {
        self.page_bytes.saturating_add(HEADER_BYTES as u64)
    }

    pub(crate) fn directory_bytes(&self) -> usize {
        8 * self.files as usize + self.pages as usize * ENTRY_BYTES
    }

    pub(crate) fn attachment_offset(&self) -> u64 {
        self.directory_offset().saturating_add(self.directory_bytes() as u64)
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&LAYOUT.to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&self.history);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes.extend_from_slice(&self.next_slot.0.to_le_bytes());
        bytes.extend_from_slice(&self.pages.to_le_bytes());
        bytes.extend_from_slice(&self.components.to_le_bytes());
        bytes.extend_from_slice(&self.page_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.files.to_le_bytes());
        bytes.extend_from_slice(&self.id_bits.to_le_bytes());
        bytes.extend_from_slice(&self.directory_crc.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_crc.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_raw_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.file_bytes().to_le_bytes());
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks, in this order: magic, layout, CRC, flags, and that what it states can be so.
    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Self, CheckpointError> {
        let damaged = |what| CheckpointError::Damaged { part: Part::Header, offset: 0, what };
        let mut rest = Fields(bytes);
        if rest.take::<8>() != Some(MAGIC) {
            return Err(CheckpointError::NotACheckpoint);
        }
        let short = || damaged("it ends early");
        let found = rest.u32().ok_or_else(short)?;
        if found != LAYOUT {
            return Err(CheckpointError::UnknownLayout { found, known: LAYOUT });
        }
        let (covered, crc) = bytes.split_last_chunk().ok_or_else(short)?;
        if crc32fast::hash(covered) != u32::from_le_bytes(*crc) {
            return Err(damaged("its CRC does not match"));
        }
        let flags = rest.u32().ok_or_else(short)?;
        let (header, stated_bytes, zero) = Self::fields(&mut rest).ok_or_else(short)?;
        if flags != 0 || zero != 0 {
            return Err(damaged("it has flags that this program does not know"));
        }
        if header.next_slot.0 > COMPONENTS_MAX || header.components > u64::from(header.next_slot.0) {
            return Err(damaged("it states more components than slots"));
        }
        // Each component is in a page of its own at most, with one of each index.
        if header.pages > PAGES_MAX
            || u64::from(header.pages) > 3 * header.components
            || (header.pages == 0) != (header.components == 0)
        {
            return Err(damaged("it states a number of pages that its components cannot have"));
        }
        if header.files as usize > FILES_MAX {
            return Err(damaged("it states more files than one refers to"));
        }
        if !(1..=32).contains(&header.id_bits) {
            return Err(damaged("it states hashes of a length that they cannot have"));
        }
        let raw_bytes = header.attachment_raw_bytes;
        if raw_bytes as usize > INFLATED_BYTES_MAX && raw_bytes != header.attachment_bytes {
            return Err(damaged("it states an attachment that is too large to be compressed"));
        }
        if raw_bytes as usize > ATTACHMENT_BYTES_MAX {
            return Err(damaged("it states an attachment over the limit"));
        }
        if header.file_bytes() != stated_bytes {
            return Err(damaged("its parts do not add up to its file"));
        }
        if stated_bytes != file_bytes {
            return Err(damaged("the file is longer or shorter than it states"));
        }
        Ok(header)
    }

    fn fields(rest: &mut Fields<'_>) -> Option<(Self, u64, u32)> {
        let header = Self {
            history: rest.take()?,
            sequence: rest.u64()?,
            chain: rest.take()?,
            next_slot: Slot(rest.u32()?),
            pages: rest.u32()?,
            components: rest.u64()?,
            page_bytes: rest.u64()?,
            files: rest.u32()?,
            id_bits: rest.u32()?,
            directory_crc: rest.u32()?,
            attachment_crc: rest.u32()?,
            attachment_bytes: rest.u32()?,
            attachment_raw_bytes: rest.u32()?,
        };
        Some((header, rest.u64()?, rest.u32()?))
    }
}

/// Fields of fixed size, read from the front.
pub(crate) struct Fields<'b>(pub(crate) &'b [u8]);

impl Fields<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
