//! The header of a sealed segment: everything that the segments around it have to agree with.
//!
//! ```text
//! offset  bytes  header of a sealed segment
//!      0      8  magic "FhSeald\n"
//!      8     96  as in a raw segment: format, reason, history id, number of the last segment in it, first entry, chain
//!                and log time before it; the salt is that of the raw segment
//!    104      8  number of the first segment in it
//!    112      8  sequence number of its last entry; of the one before where it has none
//!    120     32  hash chain after it
//!    152      8  log time of it: milliseconds since 1970, signed
//!    160      4  slot that the next add takes: before its first entry
//!    164      4  and after its last
//!    168     16  names and authors in the vocabulary: before its first entry, after its last (4 bytes each)
//!    184      8  offset of the footer
//!    192      4  bytes of the footer
//!    196      4  CRC32 of the footer, salted
//!    200      8  bytes of the file
//!    208    300  zero
//!    508      4  CRC32 of the 508 bytes before
//! ```

use crate::segment::{checked_header, field};
use crate::{Chain, LogError, SEGMENT_HEADER_BYTES, SegmentHeader, Seq, What};

const MAGIC: &[u8; 8] = b"FhSeald\n";

/// How much of what later entries build on there was at a place in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Grown {
    /// The slot that the next add takes.
    pub next_slot: u32,
    /// Names in the vocabulary.
    pub names: u32,
    /// Authors in it.
    pub authors: u32,
}

/// What the header of a sealed segment says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SealedHeader {
    /// What the header of its raw segment said; of several, the header of the first with the number of the last.
    pub segment: SegmentHeader,
    /// The number of the first segment in it.
    pub first_number: u64,
    /// The sequence number of its last entry; of the one before where it has none.
    pub last_seq: Seq,
    /// The hash chain after it.
    pub end_chain: Chain,
    /// The log time of it.
    pub end_log_time: i64,
    /// What there was before its first entry.
    pub before: Grown,
    /// What there was after its last.
    pub after: Grown,
    /// Bytes of the file.
    pub file_bytes: u64,
    pub(crate) footer_offset: u64,
    pub(crate) footer_bytes: u32,
    pub(crate) footer_sum: u32,
}

impl SealedHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.segment.encode();
        bytes.truncate(104);
        bytes.splice(..MAGIC.len(), *MAGIC);
        bytes.extend(self.first_number.to_le_bytes());
        bytes.extend(self.last_seq.0.to_le_bytes());
        bytes.extend(self.end_chain.0);
        bytes.extend(self.end_log_time.to_le_bytes());
        bytes.extend(self.before.next_slot.to_le_bytes());
        bytes.extend(self.after.next_slot.to_le_bytes());
        for grown in [&self.before, &self.after] {
            bytes.extend(grown.names.to_le_bytes());
            bytes.extend(grown.authors.to_le_bytes());
        }
        bytes.extend(self.footer_offset.to_le_bytes());
        bytes.extend(self.footer_bytes.to_le_bytes());
        bytes.extend(self.footer_sum.to_le_bytes());
        bytes.extend(self.file_bytes.to_le_bytes());
        bytes.resize(SEGMENT_HEADER_BYTES - 4, 0);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of the sealed segment of this number, whose file is so long.
    pub(crate) fn decode(bytes: &[u8], file: &str, number: u64, file_bytes: u64) -> Result<Self, LogError> {
        let damaged = |offset, what| LogError::damaged(file, offset, None, what);
        let fields = checked_header(bytes, MAGIC, file)?;
        let segment = SegmentHeader::decode_fields(&fields, number, file)?;
        let grown = |slot, vocabulary: usize| Grown {
            next_slot: field!(fields, u32, slot),
            names: field!(fields, u32, vocabulary),
            authors: field!(fields, u32, vocabulary + 4),
        };
        let header = Self {
            first_number: field!(fields, u64, 104),
            last_seq: Seq(field!(fields, u64, 112)),
            end_chain: Chain(fields.array(120)),
            end_log_time: field!(fields, i64, 152),
            before: grown(160, 168),
            after: grown(164, 176),
            footer_offset: field!(fields, u64, 184),
            footer_bytes: field!(fields, u32, 192),
            footer_sum: field!(fields, u32, 196),
            file_bytes: field!(fields, u64, 200),
            segment,
        };
        let out = |offset, what| Err(damaged(offset, What::OutOfBounds(what)));
        if header.first_number > number || header.first_number == 0 {
            return out(104, "the number of the first segment in it");
        }
        if header.last_seq.next().is_none_or(|next| next < header.segment.first_seq) {
            return out(112, "the sequence number of its last entry");
        }
        let shrinks =
            |a: Grown, b: Grown| a.next_slot > b.next_slot || a.names > b.names || a.authors > b.authors;
        if shrinks(header.before, header.after) {
            return out(160, "what it adds");
        }
        let footer_end = header.footer_offset.checked_add(header.footer_bytes.into());
        if header.footer_offset < SEGMENT_HEADER_BYTES as u64 || footer_end != Some(header.file_bytes) {
            return out(184, "the place of the footer");
        }
        if file_bytes < header.file_bytes {
            return Err(damaged(file_bytes, What::TooShort));
        }
        if file_bytes > header.file_bytes {
            return Err(damaged(header.file_bytes, What::OutOfBounds("the length of the file")));
        }
        Ok(header)
    }

    /// The checksum of a part of the file: of salt, offset and bytes.
    pub(crate) fn sum(&self, offset: u64, bytes: &[u8]) -> u32 {
        salted(&self.segment.salt, offset, bytes)
    }
}

/// The checksum of a part of a file: of salt, offset and bytes, so that no part of another file, and no other part of the
/// same, passes for it.
pub(crate) fn salted(salt: &[u8; 16], offset: u64, bytes: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(salt);
    sum.update(&offset.to_le_bytes());
    sum.update(bytes);
    sum.finalize()
}
