//! The file that says which history this is, and how far its log reaches.
//!
//! ```text
//! offset  bytes  history
//!      0      8  magic "FhIdent\n"
//!      8      2  format
//!     10      6  zero
//!     16     16  history id
//!     32      8  number of the first segment of the log
//!     40      8  number of a segment that the log is known to reach
//!     48      8  when it was created: milliseconds since 1970, signed
//!     56      8  sequence number of an entry that the log is known to reach
//!     64      4  zero
//!     68      4  CRC32 of the 68 bytes before
//! ```
//!
//! All numbers are little-endian. The file is written aside and renamed into place when a segment joins the log and when
//! the history is closed, so that a log whose last file was deleted, or a closed one whose last file was cut, is known to
//! be damaged and never opens as a shorter one.

use flow_history_flow::mistake;

use crate::segment::{Fields, field};
use crate::{FORMAT, FileName, HistoryId, LogError, Seq, What};

/// Bytes of the identity file.
pub const IDENTITY_BYTES: usize = 72;
const MAGIC: &[u8; 8] = b"FhIdent\n";

/// Which history this is, and how far its log reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The name of the history.
    pub history: HistoryId,
    /// The number of the first segment of the log.
    pub first_segment: u64,
    /// The number of a segment that the log is known to reach; it may have gone further.
    pub last_segment: u64,
    /// When the history was created, in milliseconds since 1970.
    pub created: i64,
    /// The sequence number of an entry that the log is known to reach; it may have gone further.
    pub reaches: Seq,
}

impl Identity {
    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(IDENTITY_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(self.history.0);
        bytes.extend(self.first_segment.to_le_bytes());
        bytes.extend(self.last_segment.to_le_bytes());
        bytes.extend(self.created.to_le_bytes());
        bytes.extend(self.reaches.0.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// [`LogError::Unsupported`] where the file is newer, [`LogError::Damaged`] where it is not what it must be.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let file = FileName::Identity.to_string();
        let damaged = |offset, what| LogError::damaged(&file, offset, None, what);
        if bytes.len() < IDENTITY_BYTES {
            return Err(damaged(bytes.len() as u64, What::TooShort));
        }
        let fields = Fields(bytes);
        if &fields.array::<8>(0) != MAGIC {
            return Err(damaged(0, What::Magic));
        }
        // A newer format may be longer or summed otherwise; it is recognised before anything else is believed.
        let found = field!(fields, u16, 8);
        if found > FORMAT {
            return Err(LogError::Unsupported { file, found, max: FORMAT });
        }
        let summed = bytes.get(..68).unwrap_or_default();
        let sum_matches = field!(fields, u32, 68) == crc32fast::hash(summed)
            || mistake::is_made("the checksum of the identity is not looked at");
        if bytes.len() != IDENTITY_BYTES || !sum_matches {
            return Err(damaged(0, What::Checksum));
        }
        let identity = Self {
            history: HistoryId(fields.array(16)),
            first_segment: field!(fields, u64, 32),
            last_segment: field!(fields, u64, 40),
            created: field!(fields, i64, 48),
            reaches: Seq(field!(fields, u64, 56)),
        };
        if identity.first_segment == 0 || identity.first_segment > identity.last_segment {
            return Err(damaged(32, What::OutOfBounds("the number of a segment")));
        }
        Ok(identity)
    }
}
