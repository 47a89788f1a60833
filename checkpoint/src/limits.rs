//! Every bound of a checkpoint file, in one place, with the relations that must hold between them.

use flow_history_flow::{CHANGE_BYTES_MAX, COMPONENTS_MAX};

/// Bytes at which a page is closed, before compression. Components are not split: a page ends behind the component that
/// fills it, and one that is larger than this has a page of its own.
pub const PAGE_BYTES: usize = 64 << 10;
/// Largest page of more than one component, before compression: nearly full, then one that is nearly a page, then what
/// the archive itself takes, some 300 bytes.
pub(crate) const SHARED_PAGE_BYTES_MAX: usize = 2 * PAGE_BYTES + 4_096;
/// Largest page, before compression: one component, twice as large as the largest change that can have made it. A flow
/// with a larger one, grown by many changes, has no checkpoint and is replayed.
pub const PAGE_BYTES_MAX: usize = 2 * CHANGE_BYTES_MAX;
/// Most pages in a file: their directory is then 32 MiB.
pub const PAGES_MAX: u32 = 1 << 20;
/// Largest attachment, before compression.
pub const ATTACHMENT_BYTES_MAX: usize = CHANGE_BYTES_MAX;
/// 10,000 components of 8 random texts: 1,562 kB in 20 ms at level 1, 1,555 kB in 20 ms at 3, 1,568 kB in 89 ms at 6.
pub(crate) const ZSTD_LEVEL: i32 = 3;
/// Deepest subtree of a page's archive: the page, a column in it, the contents of the column.
pub(crate) const ARCHIVE_DEPTH_MAX: usize = 3;

const _: () = assert!(SHARED_PAGE_BYTES_MAX < PAGE_BYTES_MAX);
// An archive's pointers are 32 bits and signed.
const _: () = assert!(PAGE_BYTES_MAX < i32::MAX as usize);
const _: () = assert!(ATTACHMENT_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(PAGES_MAX < COMPONENTS_MAX);
