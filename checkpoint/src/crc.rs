//! The CRC32 of each part, salted with what the part belongs to.

use crate::{About, Part};

/// The state of a CRC32 that has read history id, sequence and chain: a part of another checkpoint, or another part of
/// this one, never passes for the part expected, though its own bytes are whole.
#[derive(Clone)]
pub(crate) struct Salt(crc32fast::Hasher);

impl Salt {
    pub(crate) fn new(about: &About) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&about.history);
        hasher.update(&about.sequence.to_le_bytes());
        hasher.update(&about.chain);
        Self(hasher)
    }

    /// CRC32 over history id, sequence, chain, the number of the part as 4 bytes, and its bytes as they are in the file.
    pub(crate) fn crc(&self, part: Part, bytes: &[u8]) -> u32 {
        let number = match part {
            Part::Page(number) => number,
            Part::Directory => u32::MAX,
            Part::Attachment => u32::MAX - 1,
            Part::Header => u32::MAX - 2,
        };
        let mut hasher = self.0.clone();
        hasher.update(&number.to_le_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }
}
