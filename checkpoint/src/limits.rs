//! Every bound of a checkpoint file, in one place, with the relations that must hold between them.

use flow_history_flow::{CHANGE_BYTES_MAX, COMPONENTS_MAX};

/// Bytes, before compression, over which the slots of a page are halved. Components are not split: one that is larger
/// than this has a page of its own.
///
/// 10,000 components of 8 random texts: 1,169 kB in pages of up to 16 KiB, 1,143 at 32, 1,131 at 64, 1,126 at 128.
pub const PAGE_BYTES: usize = 64 << 10;
/// Largest page of more than one component or entry, before compression. Pages are cut by an estimate that leaves the
/// names out; a page that turns out larger than this is halved.
pub(crate) const SHARED_PAGE_BYTES_MAX: usize = 2 * PAGE_BYTES;
/// Largest page, before compression: one component, twice as large as the largest change that can have made it. A flow
/// with a larger one, grown by many changes, has no checkpoint and is replayed.
pub const PAGE_BYTES_MAX: usize = 2 * CHANGE_BYTES_MAX;
/// What is larger than this is not compressed, so that reading takes memory by the size of the file, not by what a made
/// file claims.
pub(crate) const INFLATED_BYTES_MAX: usize = 32 << 20;
/// Entries of an index over which its page is halved: some 13 kB as they are in the file.
pub(crate) const INDEX_ENTRIES: usize = 4_096;
/// Most pages in a file: their directory is then 52 MiB.
pub const PAGES_MAX: u32 = 1 << 20;
/// Most earlier files that one checkpoint refers to.
pub const FILES_MAX: usize = 8;
/// Largest attachment, before compression.
pub const ATTACHMENT_BYTES_MAX: usize = CHANGE_BYTES_MAX;
/// 10,000 components of 8 random texts: 1,131 kB in 13 ms at level 1, as much in 17 ms at 3, 1,147 kB in 32 ms at 6.
pub(crate) const ZSTD_LEVEL: i32 = 1;
/// Deepest subtree of a page's archive: the page, a column in it, and one that must stay unused.
pub(crate) const ARCHIVE_DEPTH_MAX: usize = 3;
/// Pages from which on a second thread is worth its start, some 50 us.
pub(crate) const PAGES_FOR_TWO: usize = 8;

const _: () = assert!(SHARED_PAGE_BYTES_MAX < INFLATED_BYTES_MAX);
const _: () = assert!(INFLATED_BYTES_MAX < PAGE_BYTES_MAX);
// An archive's pointers are 32 bits and signed.
const _: () = assert!(PAGE_BYTES_MAX < i32::MAX as usize);
const _: () = assert!(ATTACHMENT_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(PAGES_MAX < COMPONENTS_MAX);
// An entry of an index is two numbers of at most 5 bytes.
const _: () = assert!(10 * INDEX_ENTRIES + 4_096 < SHARED_PAGE_BYTES_MAX);
