//! The CRC32 of each part, salted with what the part belongs to.

use crate::About;
use crate::directory::{Kind, PageHash};
use crate::range::Range;

/// CRC32 of the directory: over history id, sequence, chain, the number 2^32 - 1 as 4 bytes, and its bytes. That of another
/// checkpoint never passes for the one expected, though its own bytes are whole.
pub(crate) fn directory_crc(about: &About, bytes: &[u8]) -> u32 {
    own(about, u32::MAX, bytes)
}

/// CRC32 of the attachment: as that of the directory, the number being 2^32 - 2.
pub(crate) fn attachment_crc(about: &About, bytes: &[u8]) -> u32 {
    own(about, u32::MAX - 1, bytes)
}

fn own(about: &About, number: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&about.history);
    hasher.update(&about.sequence.to_le_bytes());
    hasher.update(&about.chain);
    hasher.update(&number.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

/// CRC32 of a page: over history id, the kind and bits of its range as a byte each, the range's first key as 4 bytes, the
/// hash of its content, and its bytes as they are in the file.
///
/// Nothing in it depends on the checkpoint, so that a later one can refer to the page; but a page of another history, of
/// another kind or range, or of other content, never passes for the one expected.
pub(crate) fn page_crc(history: &[u8; 16], kind: Kind, range: Range, hash: &PageHash, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(history);
    hasher.update(&[kind.number(), range.bits]);
    hasher.update(&range.first.to_le_bytes());
    hasher.update(hash);
    hasher.update(bytes);
    hasher.finalize()
}
