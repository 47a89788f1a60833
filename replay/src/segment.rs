//! One file of the log: a header, frames, and how it ends.
//!
//! ```text
//! offset  bytes  raw segment
//!      0      8  magic "FhSegmt\n"
//!      8      2  format
//!     10      1  why it was begun: 0 first, 1 the one before was full, 2 the one before was not closed
//!     11      5  zero
//!     16     16  history id
//!     32      8  number of the segment
//!     40      8  sequence number of its first entry
//!     48     32  hash chain before its first entry
//!     80     16  salt: random, new with every use of the file
//!     96      8  log time before its first entry: milliseconds since 1970, signed
//!    104    404  zero
//!    508      4  CRC32 of the 508 bytes before
//!    512         frames, then zeros
//! ```
//!
//! All numbers are little-endian.

use std::ops::Range;

use flow_history_flow::mistake;

use crate::{
    Chain, FORMAT, FRAME_ALIGN, FRAME_HEADER_BYTES, FileName, FrameHeader, FrameKind, HistoryId, LogError,
    SEGMENT_HEADER_BYTES, Seq, What,
};

const MAGIC: &[u8; 8] = b"FhSegmt\n";

/// Fields of fixed places in bytes whose length was checked; beyond the end they read as zero.
pub(crate) struct Fields<'b>(pub(crate) &'b [u8]);

impl Fields<'_> {
    pub(crate) fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }
}

macro_rules! field {
    ($fields:expr, $number:ty, $at:expr) => {
        <$number>::from_le_bytes($fields.array($at))
    };
}
pub(crate) use field;

/// The fields of a header of 512 bytes that begins with this magic and a format that is known, and whose checksum, its last
/// four bytes, matches.
pub(crate) fn checked_header<'b>(
    bytes: &'b [u8],
    magic: &[u8; 8],
    file: &str,
) -> Result<Fields<'b>, LogError> {
    let damaged = |offset, what| Err(LogError::damaged(file, offset, None, what));
    let Some(header) = bytes.get(..SEGMENT_HEADER_BYTES) else {
        return damaged(bytes.len() as u64, What::TooShort);
    };
    let fields = Fields(header);
    if &fields.array::<8>(0) != magic {
        return damaged(0, What::Magic);
    }
    let found = field!(fields, u16, 8);
    if found > FORMAT {
        return Err(LogError::Unsupported { file: file.to_owned(), found, max: FORMAT });
    }
    let summed = header.get(..SEGMENT_HEADER_BYTES - 4).unwrap_or_default();
    if field!(fields, u32, 508) != crc32fast::hash(summed) {
        return damaged(0, What::HeaderChecksum);
    }
    Ok(fields)
}

/// What stands before a segment's frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// The history that it belongs to.
    pub history: HistoryId,
    /// Its number; the first is 1, and each follows the one before.
    pub number: u64,
    /// Why it was begun.
    pub reason: SegmentReason,
    /// The sequence number of its first entry.
    pub first_seq: Seq,
    /// The hash chain before its first entry.
    pub chain: Chain,
    /// Random, new with every use of the file.
    pub salt: [u8; 16],
    /// The log time before its first entry.
    pub log_time: i64,
}

/// Why a segment was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SegmentReason {
    /// It is the first.
    First,
    /// The one before was full.
    Full,
    /// The one before was not closed; where it ends is what this one's header says.
    Recovered,
}

impl SegmentHeader {
    /// The bytes of the header.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.push(match self.reason {
            SegmentReason::First => 0,
            SegmentReason::Full => 1,
            SegmentReason::Recovered => 2,
        });
        bytes.extend([0; 5]);
        bytes.extend(self.history.0);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.first_seq.0.to_le_bytes());
        bytes.extend(self.chain.0);
        bytes.extend(self.salt);
        bytes.extend(self.log_time.to_le_bytes());
        bytes.resize(SEGMENT_HEADER_BYTES - 4, 0);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the header of the segment with this number.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] where the file is newer, [`LogError::Damaged`] where it is not what it must be.
    pub fn decode(bytes: &[u8], number: u64) -> Result<Self, LogError> {
        let file = FileName::RawSegment(number).to_string();
        let fields = checked_header(bytes, MAGIC, &file)?;
        Self::decode_fields(&fields, number, &file)
    }

    /// Reads what follows the magic in the headers of raw and sealed segments, whose checksum matches.
    pub(crate) fn decode_fields(fields: &Fields<'_>, number: u64, file: &str) -> Result<Self, LogError> {
        let damaged = |offset, what| LogError::damaged(file, offset, None, what);
        let reason = match fields.array::<1>(10) {
            [0] => SegmentReason::First,
            [1] => SegmentReason::Full,
            [2] => SegmentReason::Recovered,
            _ => return Err(damaged(10, What::OutOfBounds("why the segment was begun"))),
        };
        if field!(fields, u64, 32) != number {
            return Err(damaged(32, What::OutOfBounds("the number of the segment")));
        }
        Ok(Self {
            history: HistoryId(fields.array(16)),
            number,
            reason,
            first_seq: Seq(field!(fields, u64, 40)),
            chain: Chain(fields.array(48)),
            salt: fields.array(80),
            log_time: field!(fields, i64, 96),
        })
    }
}

/// How often the bytes of a segment may be summed in search of a frame that vouches.
const SUMMED_TIMES_MAX: usize = 8;

/// A whole segment in memory, to walk its frames.
pub(crate) struct SegmentBytes {
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: Vec<u8>,
}

/// Where the frames of a segment end.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// The number of the segment.
    pub segment: u64,
    /// Where the next frame would begin.
    pub offset: u64,
    /// The sequence number of the last entry.
    pub seq: Seq,
    /// The hash chain after it.
    pub chain: Chain,
    /// The highest sequence number that a frame vouches for.
    pub vouched: Seq,
    /// What follows.
    pub tail: Tail,
}

/// What follows the last frame of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Tail {
    /// The last frame says that the history was closed.
    Closed,
    /// Nothing: whoever wrote did not close, or still writes.
    Open,
    /// Bytes that are no frame and that nothing vouches for: a write that a crash cut short.
    Torn {
        /// From the end of the last frame to the last byte that is not zero.
        bytes: u64,
    },
}

/// One step of a walk over frames.
pub(crate) enum Walked {
    /// A frame whose header and payload match their checksums.
    Frame(FrameHeader, Range<usize>),
    /// No frame begins here, and why.
    End(What),
}

impl SegmentBytes {
    /// Looks at what begins at an offset.
    pub(crate) fn walk(&self, offset: usize) -> Walked {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        let header = match FrameHeader::decode(rest, &self.header, offset as u64) {
            Ok(header) => header,
            Err(what) => return Walked::End(what),
        };
        let payload = FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + header.payload_bytes as usize;
        let Some(bytes) = rest.get(payload.clone()) else { return Walked::End(What::TooShort) };
        if mistake::is_made("the checksum of a payload is not looked at") {
            return Walked::Frame(header, offset + payload.start..offset + payload.end);
        }
        if let Err(what) = header.check_payload(bytes, &self.header) {
            return Walked::End(what);
        }
        // What pads a frame is summed by nothing, so it must be what it always is.
        let padding = rest.get(payload.end..header.bytes().min(rest.len())).unwrap_or_default();
        if padding.iter().any(|byte| *byte != 0) {
            return Walked::End(What::PayloadChecksum);
        }
        Walked::Frame(header, offset + payload.start..offset + payload.end)
    }

    /// Searches what lies behind a place where no frame is for one that vouches that `seq` was durable.
    pub(crate) fn vouched_later(&self, offset: usize, seq: Seq) -> Option<u64> {
        let mut at = offset.next_multiple_of(FRAME_ALIGN);
        let mut summed = 0;
        let end = up_to_last_written(&self.bytes);
        while at < end && at + FRAME_HEADER_BYTES <= self.bytes.len() {
            let rest = self.bytes.get(at..).unwrap_or_default();
            // The magic is compared first, so that the checksum is computed only where a frame may be.
            if rest.starts_with(b"FhFr") {
                // Headers that all claim the rest of the file have it summed again and again: no crash leaves that.
                let header = FrameHeader::decode(rest, &self.header, at as u64);
                summed += header.map_or(0, |header| header.payload_bytes as usize);
                if summed / SUMMED_TIMES_MAX > self.bytes.len() {
                    return Some(at as u64);
                }
            }
            if rest.starts_with(b"FhFr")
                && let Walked::Frame(header, _) = self.walk(at)
                && header.synced_seq >= seq
                && !mistake::is_made("what is vouched for is taken for torn")
            {
                return Some(at as u64);
            }
            at += FRAME_ALIGN;
        }
        None
    }

    /// What follows the last frame of a log, given that frame's kind.
    pub(crate) fn tail(&self, offset: usize, last: Option<FrameKind>) -> Tail {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        match up_to_last_written(rest) {
            0 if last == Some(FrameKind::Closed) => Tail::Closed,
            0 => Tail::Open,
            bytes => Tail::Torn { bytes: bytes as u64 },
        }
    }
}

/// The length of bytes without the zeros that they end in. A segment is mostly zeros while it is young, and a byte at a time
/// they would take longer than reading them.
fn up_to_last_written(bytes: &[u8]) -> usize {
    const AT_ONCE: usize = 1 << 10;
    let mut end = bytes.len();
    for chunk in bytes.rchunks(AT_ONCE) {
        if chunk.iter().fold(0, |all, byte| all | byte) != 0 {
            break;
        }
        end -= chunk.len();
    }
    let rest = bytes.get(..end).unwrap_or_default();
    rest.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}
