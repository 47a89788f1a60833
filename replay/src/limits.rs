//! Every bound of the log's format, in one place, with the relations that must hold between them.

use flow_history_flow::CHANGE_BYTES_MAX;

/// The newest format of files that this library writes and reads. Format 0 may still change; see docs/format.md.
pub const FORMAT: u16 = 0;
/// Most bytes of one entry.
pub const ENTRY_BYTES_MAX: usize = CHANGE_BYTES_MAX;
/// Most bytes of the entries of one frame, the length before each included.
pub const PAYLOAD_BYTES_MAX: usize = ENTRY_BYTES_MAX + (4 << 20);
/// Most entries in one frame.
pub const FRAME_ENTRIES_MAX: u32 = 1 << 20;
/// Most names, and most authors, that a history numbers; later ones are written out each time.
pub const VOCABULARY_MAX: usize = 1 << 16;
/// Longest name that is numbered, in bytes.
pub const VOCABULARY_NAME_BYTES_MAX: usize = 255;
/// Longest text of a header: a message, a session, a label, in bytes.
pub const HEADER_TEXT_BYTES_MAX: usize = 64 << 10;
/// Most attributes, and most links, of one entry.
pub const HEADER_ITEMS_MAX: usize = 1 << 12;
/// Highest sequence number: what 48 bits of a version ID hold.
pub const SEQ_MAX: u64 = (1 << 48) - 1;
/// Bytes of a segment's header: one sector, written whole or not at all.
pub const SEGMENT_HEADER_BYTES: usize = 512;
/// Most bytes of one segment: one frame of the largest kind, with room to spare.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;
/// Bytes of the entries of one block of a sealed segment, unless a single entry has more.
pub const BLOCK_BYTES: usize = 64 << 10;
/// A block of fewer entries than these goes on: they are large, and what they have in common lies in other entries.
pub const BLOCK_ENTRIES_FEW: usize = 32;
/// To so many times the bytes of another.
pub const BLOCK_OF_FEW_TIMES: usize = 4;
/// Most bytes that the columns of one block inflate to, and most bytes of their entries: a larger block is stored as it is,
/// so that a short file cannot ask for much memory.
pub const BLOCK_INFLATED_MAX: usize = 16 << 20;
/// A block keeps the chain behind every so many entries.
pub const CHAIN_EVERY: usize = 128;
/// Footer and pages of the ids of a sealed segment are compressed where its blocks take less than this.
pub const COMPRESSED_INDEX_MAX: usize = 256 << 10;
/// The level of zstd in sealed segments.
pub const SEAL_LEVEL: i32 = 3;
/// The same of blocks of few entries, and large ones.
pub const SEAL_LEVEL_OF_FEW: i32 = 6;

const _: () = assert!(BLOCK_OF_FEW_TIMES * BLOCK_BYTES <= BLOCK_INFLATED_MAX);
const _: () = assert!(BLOCK_INFLATED_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(PAYLOAD_BYTES_MAX < u32::MAX as usize);
const _: () = assert!((PAYLOAD_BYTES_MAX + 2 * SEGMENT_HEADER_BYTES) < SEGMENT_BYTES_MAX as usize);
const _: () = assert!(HEADER_TEXT_BYTES_MAX * 8 < ENTRY_BYTES_MAX);
