//! What a log begins with once its first segments were pruned: the whole state before its first entry.
//!
//! ```text
//! offset  bytes  base
//!      0      8  magic "FhBase1\n"
//!      8      2  format
//!     10      6  zero
//!     16     16  history id
//!     32      8  number of the segment that follows
//!     40      8  sequence number of the last entry that was pruned
//!     48     32  hash chain after it
//!     80     16  salt: random
//!     96      8  log time of that entry: milliseconds since 1970, signed
//!    104      4  slot that the next add takes
//!    108      4  names in the vocabulary
//!    112      4  authors in it
//!    116      8  bytes of the state behind the header, before they were compressed
//!    124    384  zero
//!    508      4  CRC32 of the 508 bytes before
//!    512         pieces of the state, each: bytes before (4) and after compression (4), CRC32 of what follows, salted
//!                with the salt and the place in the file (4), the piece, compressed
//! ```
//!
//! All numbers are little-endian. It is written aside, synced, read back and compared before the identity names the
//! segment that follows as the first; only then do older segments go.

use std::collections::BTreeMap;

use flow_history_flow::{ComponentId, Flow, Slot};

use crate::sealed::{Grown, salted};
use crate::segment::{Fields, checked_header, field};
use crate::source::read_up_to;
use crate::{Chain, FORMAT, FileName, HistoryId, LogError, SEGMENT_HEADER_BYTES, Seq, Source, State, What};

/// A state, and the ids of the slots whose components were removed.
pub type Whole = (State, BTreeMap<Slot, ComponentId>);

const MAGIC: &[u8; 8] = b"FhBase1\n";
/// Bytes of the state in a piece.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes in front of a piece.
const PIECE_HEADER_BYTES: usize = 12;
/// A piece inflates to no more than so many times the bytes that it takes, so that a file bounds what reading it costs.
const RATIO_MAX: usize = 256;
/// Bytes of a piece of what compresses better than that: its header alone is enough for it.
const SMALL_PIECE_BYTES: usize = 2 << 10;
const _: () = assert!(SMALL_PIECE_BYTES <= RATIO_MAX * PIECE_HEADER_BYTES);
/// Most bytes of a state.
const STATE_BYTES_MAX: u64 = 1 << 32;
const LEVEL: i32 = 9;

/// What stands at the beginning of a base.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BaseHeader {
    /// The history that it belongs to.
    pub history: HistoryId,
    /// The number of the segment that follows.
    pub number: u64,
    /// The sequence number of the last entry that was pruned.
    pub seq: Seq,
    /// The hash chain after it.
    pub chain: Chain,
    /// Random.
    pub salt: [u8; 16],
    /// The log time of that entry.
    pub log_time: i64,
    /// How much of what later entries build on there was.
    pub grown: Grown,
    state_bytes: u64,
}

/// The bytes of a base that holds a state, and the ids of the components that were removed by then, for the log that goes on with the segment of this number.
///
/// # Errors
/// Why the state cannot be written, in words.
pub fn encode_base(
    state: &State,
    removed: &BTreeMap<Slot, ComponentId>,
    number: u64,
    salt: [u8; 16],
) -> Result<Vec<u8>, String> {
    let whole = crate::canonical::state_to_bytes(state, removed)?;
    let (names, authors) = state.vocabulary.lengths();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES + whole.len() / 2);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend([0; 6]);
    bytes.extend(state.history.0);
    bytes.extend(number.to_le_bytes());
    bytes.extend(state.seq.0.to_le_bytes());
    bytes.extend(state.chain.0);
    bytes.extend(salt);
    bytes.extend(state.log_time.to_le_bytes());
    bytes.extend(state.flow.next_slot().0.to_le_bytes());
    bytes.extend(count(names).to_le_bytes());
    bytes.extend(count(authors).to_le_bytes());
    bytes.extend((whole.len() as u64).to_le_bytes());
    bytes.resize(SEGMENT_HEADER_BYTES - 4, 0);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    let compressed = |piece: &[u8]| zstd::bulk::compress(piece, LEVEL).map_err(|error| error.to_string());
    for piece in whole.chunks(PIECE_BYTES) {
        let packed = compressed(piece)?;
        if !is_out_of_proportion(piece.len(), packed.len()) {
            put_piece(&mut bytes, piece.len(), &packed, &salt);
            continue;
        }
        for part in piece.chunks(SMALL_PIECE_BYTES) {
            put_piece(&mut bytes, part.len(), &compressed(part)?, &salt);
        }
    }
    Ok(bytes)
}

fn put_piece(bytes: &mut Vec<u8>, raw: usize, compressed: &[u8], salt: &[u8; 16]) {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    bytes.extend(count(raw).to_le_bytes());
    bytes.extend(count(compressed.len()).to_le_bytes());
    let place = bytes.len() as u64 + 4;
    bytes.extend(salted(salt, place, compressed).to_le_bytes());
    bytes.extend(compressed);
}

fn is_out_of_proportion(raw: usize, compressed: usize) -> bool {
    raw > RATIO_MAX.saturating_mul(PIECE_HEADER_BYTES.saturating_add(compressed))
}

impl BaseHeader {
    /// Reads the header of the base before the segment of this number: one small read.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn read(source: &dyn Source, number: u64) -> Result<Self, LogError> {
        Self::read_from(source, &FileName::Base(number).to_string(), number)
    }

    /// As [`BaseHeader::read`], from whatever file it stands in.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn read_from(source: &dyn Source, file: &str, number: u64) -> Result<Self, LogError> {
        let damaged = |offset, what| Err(LogError::damaged(file, offset, None, what));
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let count = match read_up_to(source, file, 0, &mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return damaged(0, What::Missing),
            Err(error) => return Err(LogError::io("read", file, 0, error)),
        };
        let fields = checked_header(bytes.get(..count).unwrap_or_default(), MAGIC, file)?;
        if field!(fields, u64, 32) != number {
            return damaged(32, What::OutOfBounds("the number of the segment that follows"));
        }
        let zeros = [bytes.get(10..16), bytes.get(124..508)];
        if zeros.into_iter().flatten().flatten().any(|byte| *byte != 0) {
            return damaged(0, What::OutOfBounds("a reserved byte"));
        }
        Ok(Self {
            history: HistoryId(fields.array(16)),
            number,
            seq: Seq(field!(fields, u64, 40)),
            chain: Chain(fields.array(48)),
            salt: fields.array(80),
            log_time: field!(fields, i64, 96),
            grown: Grown {
                next_slot: field!(fields, u32, 104),
                names: field!(fields, u32, 108),
                authors: field!(fields, u32, 112),
            },
            state_bytes: field!(fields, u64, 116),
        })
    }

    /// Reads the state.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn state(&self, source: &dyn Source) -> Result<State, LogError> {
        self.whole(source).map(|(state, _)| state)
    }

    /// Reads the state, and the id that each slot had whose component was removed by then.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn whole(&self, source: &dyn Source) -> Result<Whole, LogError> {
        self.whole_from(source, &FileName::Base(self.number).to_string())
    }

    /// As [`BaseHeader::whole`], from whatever file it stands in.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn whole_from(&self, source: &dyn Source, file: &str) -> Result<Whole, LogError> {
        let damaged = |offset, what| LogError::damaged(file, offset, Some(self.seq), what);
        let io = |offset, error| LogError::io("read", file, offset, error);
        let length = source.len(file).map_err(|error| io(0, error))?;
        if self.state_bytes > STATE_BYTES_MAX {
            return Err(damaged(116, What::OutOfBounds("the bytes of the state")));
        }
        let mut whole: Vec<u8> = Vec::new();
        let mut at = SEGMENT_HEADER_BYTES as u64;
        while (whole.len() as u64) < self.state_bytes {
            let mut front = [0; PIECE_HEADER_BYTES];
            let count = read_up_to(source, file, at, &mut front).map_err(|error| io(at, error))?;
            let fields = Fields(&front);
            let (raw, stored) = (field!(fields, u32, 0) as usize, field!(fields, u32, 4));
            let place = at + PIECE_HEADER_BYTES as u64;
            if count < PIECE_HEADER_BYTES || place + u64::from(stored) > length {
                return Err(damaged(at, What::TooShort));
            }
            if raw == 0 || raw > PIECE_BYTES || is_out_of_proportion(raw, stored as usize) {
                return Err(damaged(at, What::OutOfBounds("the bytes of a piece")));
            }
            let mut compressed = vec![0; stored as usize];
            let count = read_up_to(source, file, place, &mut compressed).map_err(|error| io(place, error))?;
            if count < compressed.len() {
                return Err(damaged(place, What::TooShort));
            }
            if salted(&self.salt, place, &compressed) != field!(fields, u32, 8) {
                return Err(damaged(place, What::PayloadChecksum));
            }
            let piece = zstd::bulk::decompress(&compressed, raw)
                .map_err(|_| damaged(place, What::Layout("a piece does not inflate")))?;
            if piece.len() != raw {
                return Err(damaged(place, What::Layout("a piece is shorter than it says")));
            }
            whole.extend(piece);
            at = place + u64::from(stored);
        }
        if whole.len() as u64 != self.state_bytes || at != length {
            return Err(damaged(at, What::OutOfBounds("the length of the file")));
        }
        let place = (self.history, self.seq, self.chain);
        let (state, removed) = crate::canonical::state_from_bytes(&whole, place)
            .map_err(|why| damaged(SEGMENT_HEADER_BYTES as u64, What::Encoding(why)))?;
        let (names, authors) = state.vocabulary.lengths();
        let same = state.log_time == self.log_time
            && state.flow.next_slot().0 == self.grown.next_slot
            && (names, authors) == (self.grown.names as usize, self.grown.authors as usize);
        if !same {
            return Err(damaged(96, What::OutOfBounds("what the header says of the state")));
        }
        Ok((state, removed))
    }
}

/// Whether two states are the same in everything that entries can meet later.
#[must_use]
pub fn is_same_state(one: &State, other: &State) -> bool {
    let same_slots = |one: &Flow, other: &Flow| {
        one.next_slot() == other.next_slot()
            && one.iter().all(|(slot, component)| other.component_in(slot) == Some(component))
    };
    one.history == other.history
        && (one.seq, one.chain) == (other.seq, other.chain)
        && one.flow == other.flow
        && same_slots(&one.flow, &other.flow)
        && one.aside_to_bytes().ok() == other.aside_to_bytes().ok()
}
