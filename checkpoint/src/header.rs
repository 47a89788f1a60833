//! The header: what the checkpoint is of, and where everything in the file lies.

use flow_history_flow::{COMPONENTS_MAX, Slot};

use crate::directory::ENTRY_BYTES;
use crate::limits::{ATTACHMENT_BYTES_MAX, PAGES_MAX};
use crate::{CheckpointError, Part};

/// The first bytes of every checkpoint.
pub const MAGIC: [u8; 8] = *b"flow-chk";
/// The number of the layout that this crate writes and reads: of the file, of the archive of a page, and of what the
/// tokens in it mean. Zero until the first release.
pub const LAYOUT: u32 = 0;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 124;

// offset  size  header (all numbers little-endian)
//      0     8  magic "flow-chk"
//      8     4  layout number
//     12     4  flags, 0: a reader refuses those that it does not know
//     16    16  history id
//     32     8  sequence of the version
//     40    32  chain at the version
//     72     4  slot that the next Add takes
//     76     4  number of pages
//     80     8  number of components
//     88     8  bytes of all pages
//     96     4  CRC32 of the directory, salted
//    100     4  CRC32 of the attachment, salted
//    104     4  bytes of the attachment as it is in the file
//    108     4  bytes of the attachment before compression
//    112     8  bytes of the file
//    120     4  CRC32 of the 120 bytes before
//    124        pages, then the directory (32 bytes a page), then the attachment, then nothing

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
    /// The number of pages.
    pub pages: u32,
    /// Bytes of all pages as they are in the file.
    pub page_bytes: u64,
    /// Bytes of the attachment as it is in the file.
    pub attachment_bytes: u32,
    /// Bytes of the attachment before compression.
    pub attachment_raw_bytes: u32,
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
        self.pages as usize * ENTRY_BYTES
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
        bytes.extend_from_slice(&self.directory_crc.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_crc.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.attachment_raw_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.file_bytes().to_le_bytes());
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
        let (header, stated_bytes) = Self::fields(&mut rest).ok_or_else(short)?;
        if flags != 0 {
            return Err(damaged("it has flags that this program does not know"));
        }
        if header.next_slot.0 > COMPONENTS_MAX || header.components > u64::from(header.next_slot.0) {
            return Err(damaged("it states more components than slots"));
        }
        if header.pages > PAGES_MAX
            || u64::from(header.pages) > header.components
            || (header.pages == 0) != (header.components == 0)
        {
            return Err(damaged("it states a number of pages that its components cannot have"));
        }
        if header.attachment_raw_bytes as usize > ATTACHMENT_BYTES_MAX {
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

    fn fields(rest: &mut Fields<'_>) -> Option<(Self, u64)> {
        let header = Self {
            history: rest.take()?,
            sequence: rest.u64()?,
            chain: rest.take()?,
            next_slot: Slot(rest.u32()?),
            pages: rest.u32()?,
            components: rest.u64()?,
            page_bytes: rest.u64()?,
            directory_crc: rest.u32()?,
            attachment_crc: rest.u32()?,
            attachment_bytes: rest.u32()?,
            attachment_raw_bytes: rest.u32()?,
        };
        Some((header, rest.u64()?))
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

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
