//! Sealed segments: a raw segment compressed, indexed, and never changed again.
//!
//! ```text
//! header | blocks | pages of the slot index | pages of the ids | footer
//! ```
//!
//! One behind the other, with nothing between them. Every byte lies under a checksum: that of the header in the header,
//! that of the footer in the header, all others in the footer; each is salted with the salt of the segment and the place in
//! the file.
//!
//! The modules, in the order data flows:

mod integer; //       integers as entries write them
mod column; //        integers and texts side by side
mod few; //           integers of which few are large
mod recurring; //     integers that come again soon
mod shapes; //        what is the same in many entries
mod grammar; //       the parts of an entry, and the column of each
mod parts; //         of entries, for who wants what they do to the flow
mod stored; //        columns as they were read, inflated when they are asked for
mod cursors; //       how far columns were gone through
mod heads; //         when entries were made and what they touched
mod block; //         some 64 KiB of entries
mod facts; //         what entries say of slots, ids, vocabulary and stacks
mod indexes; //       slot to blocks, id to slot
mod header; //        what the segments around it have to agree with
mod footer; //        where everything lies
mod segment_index; // reading
mod encode; //        sealing, and checking what was sealed
#[cfg(test)]
mod made; //          blocks of entries that were made up
#[cfg(test)]
mod forged; //        blocks and pages that nobody wrote

pub(crate) use block::Block;
pub(crate) use encode::index_of_raw;
pub use encode::{Sealing, seal, verify_sealed};
pub(crate) use footer::Owner;
pub(crate) use grammar::{Ints, Texts, extra_of, mark};
pub(crate) use header::salted;
pub use header::{Grown, SealedHeader};
pub(crate) use integer::{Broken, Reader, put_integer};
pub(crate) use parts::{Parts, PlainParts};
pub use segment_index::SegmentIndex;
pub(crate) use segment_index::{Found, New};
