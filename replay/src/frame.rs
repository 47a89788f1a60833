//! One group of entries, framed: the unit that is written, synced and believed.
//!
//! ```text
//! offset  bytes  frame
//!      0      4  magic "FhFr"
//!      4      1  kind: 1 entries, 2 vouches, 3 closed
//!      5      3  zero
//!      8      4  number of entries
//!     12      4  bytes of the payload
//!     16      8  sequence number of the first entry
//!     24      8  highest sequence number known durable when this was written
//!     32     32  hash chain after the last entry
//!     64      4  CRC32 of salt and payload
//!     68      4  CRC32 of salt, segment number, offset and the 68 bytes before
//!     72         payload: for each entry its length (4 bytes) and its canonical bytes
//!                zeros up to a multiple of 8
//! ```
//!
//! All numbers are little-endian. The salt is the segment's and new with every use of its file, so that no frame of
//! another segment, another history or an earlier life of the file is taken for one.

use flow_history_flow::mistake;

use crate::segment::{Fields, SegmentHeader, field};
use crate::{Chain, FRAME_ENTRIES_MAX, PAYLOAD_BYTES_MAX, Seq, What};

/// Bytes of a frame before its payload.
pub const FRAME_HEADER_BYTES: usize = 72;
/// Frames begin at multiples of this.
pub const FRAME_ALIGN: usize = 8;
const MAGIC: &[u8; 4] = b"FhFr";

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FrameKind {
    /// It holds entries.
    Entries,
    /// It only says what is durable.
    Vouch,
    /// It says that the history was closed.
    Closed,
}

impl FrameKind {
    fn number(self) -> u8 {
        match self {
            FrameKind::Entries => 1,
            FrameKind::Vouch => 2,
            FrameKind::Closed => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [FrameKind::Entries, FrameKind::Vouch, FrameKind::Closed]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// What stands before a frame's payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What the frame is for.
    pub kind: FrameKind,
    /// The number of entries in it.
    pub entries: u32,
    /// The bytes of its payload.
    pub payload_bytes: u32,
    /// The sequence number of its first entry; of the next one where it has none.
    pub first_seq: Seq,
    /// The highest sequence number known durable when it was written.
    pub synced_seq: Seq,
    /// The hash chain after its last entry.
    pub chain: Chain,
    pub(crate) payload_sum: u32,
}

impl FrameHeader {
    /// The sequence number of its last entry; of the one before where it has none.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq((self.first_seq.0 + u64::from(self.entries)).saturating_sub(1))
    }

    /// The bytes from the beginning of the frame to where the next one begins.
    #[must_use]
    pub fn bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// Reads the header of the frame at `offset` of a segment; the payload is not looked at.
    pub(crate) fn decode(bytes: &[u8], segment: &SegmentHeader, offset: u64) -> Result<Self, What> {
        let Some(summed) = bytes.get(..68) else { return Err(What::TooShort) };
        let fields = Fields(bytes);
        if &fields.array::<4>(0) != MAGIC {
            return Err(What::Magic);
        }
        // Both lengths are bounded before the checksum is looked at, and nothing is allocated before it matches.
        let (entries, payload_bytes) = (field!(fields, u32, 8), field!(fields, u32, 12));
        if entries > FRAME_ENTRIES_MAX || payload_bytes as usize > PAYLOAD_BYTES_MAX {
            return Err(What::OutOfBounds("the length of a frame"));
        }
        if bytes.len() < FRAME_HEADER_BYTES || field!(fields, u32, 68) != header_sum(summed, segment, offset)
        {
            return Err(What::HeaderChecksum);
        }
        let kind = FrameKind::from_number(fields.array::<1>(4)[0])
            .ok_or(What::OutOfBounds("the kind of a frame"))?;
        Ok(Self {
            kind,
            entries,
            payload_bytes,
            first_seq: Seq(field!(fields, u64, 16)),
            synced_seq: Seq(field!(fields, u64, 24)),
            chain: Chain(fields.array(32)),
            payload_sum: field!(fields, u32, 64),
        })
    }

    pub(crate) fn check_payload(&self, payload: &[u8], segment: &SegmentHeader) -> Result<(), What> {
        if payload_sum(payload, segment) == self.payload_sum { Ok(()) } else { Err(What::PayloadChecksum) }
    }
}

/// The bytes that a frame with such a payload takes.
#[must_use]
pub fn frame_bytes(payload_bytes: usize) -> usize {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(FRAME_ALIGN)
}

/// Makes a frame of a buffer that begins with [`FRAME_HEADER_BYTES`] bytes to be overwritten, followed by the payload:
/// the header is written in front of it and zeros behind.
pub fn encode_frame(
    frame: &mut Vec<u8>,
    (kind, entries, first_seq): (FrameKind, u32, Seq),
    synced_seq: Seq,
    chain: &Chain,
    segment: &SegmentHeader,
    offset: u64,
) {
    let payload = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut header = Vec::with_capacity(FRAME_HEADER_BYTES);
    header.extend(MAGIC);
    header.extend([kind.number(), 0, 0, 0]);
    header.extend(entries.to_le_bytes());
    header.extend(payload_bytes.to_le_bytes());
    header.extend(first_seq.0.to_le_bytes());
    header.extend(synced_seq.0.to_le_bytes());
    header.extend(chain.0);
    header.extend(payload_sum(payload, segment).to_le_bytes());
    header.extend(header_sum(&header, segment, offset).to_le_bytes());
    if let Some(place) = frame.get_mut(..FRAME_HEADER_BYTES) {
        place.copy_from_slice(&header);
    }
    frame.resize(frame.len().next_multiple_of(FRAME_ALIGN), 0);
}

fn header_sum(header: &[u8], segment: &SegmentHeader, offset: u64) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    if !mistake::is_made("a frame of an earlier life of its file is taken for one of this") {
        sum.update(&segment.salt);
    }
    sum.update(&segment.number.to_le_bytes());
    sum.update(&offset.to_le_bytes());
    if mistake::is_made("a field of a frame is outside of its checksum") {
        // What says how much is durable.
        sum.update(header.get(..24).unwrap_or_default());
        sum.update(header.get(32..).unwrap_or_default());
        return sum.finalize();
    }
    sum.update(header);
    sum.finalize()
}

fn payload_sum(payload: &[u8], segment: &SegmentHeader) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    if !mistake::is_made("a frame of an earlier life of its file is taken for one of this") {
        sum.update(&segment.salt);
    }
    sum.update(payload);
    sum.finalize()
}
