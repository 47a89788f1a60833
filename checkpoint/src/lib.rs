//! A flow at a version, to bytes and back.
//!
//! A checkpoint holds all components of a flow in the order of their slots, in pages of about 64 KiB; a directory says
//! which page holds which slots. Reading one component reads one page; reading the flow reads all of them, in order.
//! An attachment, which this crate does not look into, travels with them. It knows no log, opens no file and depends on
//! no clock.
//!
//! ```
//! use flow_history_checkpoint::{About, Checkpoint, encode};
//! use flow_history_flow::{Component, Flow, Operation, Slot};
//!
//! let mut flow = Flow::new();
//! flow.apply(&Operation::add(Component::new("group-1", "group")))?;
//! flow.apply(&Operation::add(Component::new("pump-1", "processor").inside("group-1").field("rate", 80)))?;
//!
//! let about = About { history: [7; 16], sequence: 2, chain: [9; 32] };
//! let bytes = encode(&flow, &about, b"what the log wants to remember")?;
//!
//! let checkpoint = Checkpoint::open(bytes)?;
//! assert_eq!(checkpoint.header().sequence, 2);
//! let pump = checkpoint.component_in(Slot(1))?.unwrap();
//! assert_eq!(pump.get("rate"), Some(&80.into()));
//! assert_eq!(checkpoint.pages_read(), 1);
//!
//! assert_eq!(checkpoint.to_flow()?.state_hash(), flow.state_hash());
//! assert_eq!(checkpoint.attachment()?, b"what the log wants to remember");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is believed
//!
//! Nothing that was not checked. Every byte of the file lies under a CRC32 that is salted with history, sequence, chain
//! and the number of its part, so that a page of another checkpoint, or another page of this one, does not pass either.
//! Behind the CRCs stand bounds on every size, for a file that somebody made rather than damaged: decompression into a
//! size that is known before, validation of the archive, limits of the model. A CRC is no signature: whoever makes the
//! file can make a flow that never was; the chain in the log is what tells.
//!
//! A checkpoint is derived. Whatever is wrong with one, the caller takes an older one or replays the log. That is why it
//! may be an rkyv archive, whose layout follows the crate that writes it: a layout number stands in the header, golden
//! bytes in the tests, and a file of another layout is not read.
//!
//! The modules, in the order data flows through them:
#![deny(clippy::indexing_slicing)]

mod limits; //     every bound of the file, with their relations
mod error; //      why not
mod range; //      which keys a page holds
mod varint; //     numbers of as many bytes as they need
mod columns; //    components into columns and out of them
mod index; //      hashes of ids to slots, parents to children
mod archive; //    one page as columns, and the rkyv archive of them
mod encode; //     a flow to bytes, pages shared with an earlier checkpoint
mod header; //     what the checkpoint is of and where its parts lie
mod directory; //  which page holds what, and in which file
mod crc; //        the CRC of each part, salted with what it belongs to
mod read_at; //    where the bytes come from
mod checkpoint; // bytes to components, one at a time
mod page; //       one page in memory
mod whole; //      all pages to a flow

pub use crate::checkpoint::{Checkpoint, will_open};
pub use crate::encode::{Basis, encode, encode_after};
pub use crate::error::{CheckpointError, Part};
pub use crate::header::{About, CheckpointHeader, HEADER_BYTES, LAYOUT, MAGIC};
pub use crate::limits::{ATTACHMENT_BYTES_MAX, FILES_MAX, PAGE_BYTES, PAGE_BYTES_MAX, PAGES_MAX};
pub use crate::page::Page;
pub use crate::read_at::ReadAt;
pub use crate::whole::{PageOfComponents, Turns};
