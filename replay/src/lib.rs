//! History files, to verified entries, to a flow at any version, with no engine running.
//!
//! This crate owns the format of the log: each encoder stands next to its decoder, below the table that shows the bytes.
//! It reads through its trait [`Source`] and never writes. Recovery at open and replay offline are this one code; the
//! verdict on the end of a log is a value ([`Ending`]), not an act.
//!
//! ```
//! use flow_history_replay::{Log, MemorySource, Replay};
//!
//! # fn example(files: MemorySource) -> Result<(), flow_history_replay::LogError> {
//! let log = Log::open(std::sync::Arc::new(files))?;
//! let mut replay = Replay::from_the_start(&log);
//! while let Some(entry) = replay.next_entry()? {
//!     println!("{} {}", entry.id, entry.header.author.name);
//! }
//! println!("{} components", replay.state().flow.len());
//! # Ok(())
//! # }
//! ```
//!
//! The modules, in the order data flows through them:

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod limits; //     every bound of the format, with their relations
mod seq; //        the sequence number of an entry
mod time; //       host time and log time
mod chain; //      the hash chain, and the name of a history
mod version_id; // the 16 bytes that name a version
mod author; //     who did it
mod entry; //      a change or a mark, with its header
mod damage; //     what is wrong with a file, as facts
mod source; //     where the bytes come from
mod file_name; //  the names of the files of a history
mod identity; //   the file that says which history this is, and how far its log reaches
mod vocabulary; // names and authors that entries share
mod canonical; //  an entry to bytes and back: the only user of bincode
mod token; //      a value as a flat row of tokens
mod frame; //      one group of entries, framed
mod segment; //    one file of the log: header, frames, ending
mod shelf; //      where pieces of sealed segments are kept
mod sealed; //     a segment compressed and indexed
mod base; //       what a pruned log begins with
mod slot_ids; //   the ids that slots were given, entry by entry
mod log; //        all segments of a history, in order
mod extent; //     how far the files of a log reach up to an entry
mod salvage; //     what can still be read of a damaged log
mod log_index; //  which entries touched what, and one entry at a time
mod keys; //       idempotency keys that are remembered
mod stacks; //     what undo and redo would take next
mod fold; //       the stacks of a whole log, unit by unit
mod state; //      what folding entries builds up
mod replay; //     folding, entry by entry
mod both; //       work in parts, which a second thread takes a share of
mod effects; //    what entries do to the flow, read and not yet applied
mod folded; //     folding for the flow alone
mod loose; //      the same for many entries at once, component by component
mod difference; // what differs between two versions, of which no flows are made

pub use crate::author::{Author, AuthorKind};
pub use crate::base::{BaseHeader, Whole, encode_base, is_same_state};
pub use crate::both::{End, both};
pub use crate::canonical::{ENCODING, EncodeError};
pub use crate::chain::{Chain, HistoryId};
pub use crate::damage::{Damage, LogError, What};
pub use crate::entry::{Body, Entry, Header, Intent, Link, Mark, Request};
pub use crate::extent::Extent;
pub use crate::file_name::FileName;
pub use crate::fold::{Abandoned, Fold, Lists, taken_by};
pub use crate::folded::Folded;
pub use crate::frame::{FRAME_ALIGN, FRAME_HEADER_BYTES, FrameHeader, FrameKind, encode_frame, frame_bytes};
pub use crate::identity::{IDENTITY_BYTES, Identity};
pub use crate::keys::{KEYS_REMEMBERED, Keyed, Keys, content_of};
pub use crate::limits::*;
pub use crate::log::{CLOSING_BYTES, Log, SegmentSummary};
pub use crate::log_index::{LogIndex, Told, Touches};
pub use crate::loose::{Loose, Placed};
pub use crate::replay::Replay;
pub use crate::sealed::{Grown, SealedHeader, Sealing, SegmentIndex, seal, verify_sealed};
pub use crate::segment::{Ending, SegmentHeader, SegmentReason, Tail};
pub use crate::seq::Seq;
pub use crate::shelf::{Kept, Piece, Shelf};
pub use crate::slot_ids::SlotIds;
pub use crate::source::{MemorySource, Source, read_up_to};
pub use crate::stacks::{Beneath, Stacks, Tops};
pub use crate::state::{Marks, PushError, Pushed, State};
pub use crate::time::Timestamp;
pub use crate::version_id::{FlowVersionId, ParseVersionIdError};
pub use crate::vocabulary::Vocabulary;
