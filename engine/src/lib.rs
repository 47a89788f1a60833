//! An embedded, append-only, event-sourced history engine for flows.
//!
//! A host that lets people edit a graph of components while it runs links this crate. Every change becomes an immutable
//! entry with an id, an author and a time; any past version can be looked at; undo, redo and restore append and never
//! rewrite; and a 16-byte flow-version ID, read in nanoseconds, goes on every provenance event, so that each of them can
//! be traced back to the exact flow that produced it.
//!
//! ```
//! # let dir = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(&dir).unwrap();
//! use flow_history::{Author, Component, History, Scope};
//!
//! let history = History::open("pump-station.history")?;
//! let alice = Author::user("alice");
//!
//! let added = history.change(&alice, "add the pump")
//!     .add(Component::new("pump-1", "processor").field("rate", 80))
//!     .append()?;                                   // FlowVersionId, durable
//! history.change(&alice, "slow it down").set("pump-1", "rate", 8).append()?;
//!
//! let stamp = history.version();                    // 16 bytes, lock-free: put it on every provenance event
//! assert_eq!(history.at(added)?.component("pump-1")?.unwrap().get("rate"), Some(&80.into()));
//! history.undo(Scope::Flow, &alice)?;               // a new entry; nothing is rewritten
//! assert_eq!(history.at(stamp)?.component("pump-1")?.unwrap().get("rate"), Some(&8.into()));
//! # Ok::<(), flow_history::Error>(())
//! ```
//!
//! The modules, in the order data flows through them:

mod sync; //           what threads wait for and share
mod telemetry; //      spans and figures for the host's own tools
mod error; //          what can go wrong, sorted by what the caller can do
mod clock; //          the time, and random bytes
mod tuning; //         sizes and waits
mod storage; //        the only door to the disk
mod file_storage; //   files in a directory
mod open_files; //     the descriptors that all histories share
mod memory_storage; // files in memory
mod policy; //         policies as components, and the one in force
mod authorizer; //     who may do what, as the host decides
mod vault; //          secrets, sealed outside the log
mod options; //        how a history is opened
mod recovery; //       creating a history, and opening one that is there
mod change; //         putting a change together
mod writer; //         validating, gathering, syncing, publishing
mod group; //          entries that become durable together, and their tickets
mod active_segment; // the segment that frames are appended to
mod published; //      the newest version, without locks
mod stamper; //        what a host puts on its provenance events
mod background; //     the two background threads of the process
mod sealing; //        full segments become smaller
mod checkpoints; //    writing checkpoints
mod catalog; //        the redb file that finds things
mod cache; //          what was read and may be asked for again
mod files; //          reading: the state at any version
mod past; //           a past version, piece by piece
mod touching; //       the entries that touched a component
mod entries; //        questions about entries
mod life; //           what became of a component
mod selector; //       ways to say which version
mod view; //           a flow at a version
mod log_lines; //      the log, entry by entry
mod subscription; //   entries as they come
mod undo; //           undo, redo, revert, restore: plan, apply, finish
mod veil; //           what somebody may not see of some versions
mod seen; //           what somebody may see of a version
mod reader; //         a whole history as somebody may see it
mod seen_plan; //      a plan, and why one was refused, as somebody may see it
mod verify; //         reading everything
mod succession; // a history that goes on where another is damaged
mod prune; //          what is old goes, where nothing needs it
mod backup; //         a copy of a history that somebody writes
mod stats; //          a history in numbers
mod history; //        the handle that a host holds

#[cfg(test)]
mod schedules; // orders of steps that a machine seldom takes

pub use flow_history_flow::*;
pub use flow_history_replay::{
    Author, AuthorKind, Body, Chain, Damage, EncodeError, Entry, FlowVersionId, HEADER_TEXT_BYTES_MAX,
    Header, HistoryId, Intent, Link, Mark, ParseVersionIdError, Request, Seq, Source, Tail, Timestamp, What,
};

pub use crate::authorizer::{Authorizer, Decision, Denial, ListedPolicies, Question, Vanished};
pub use crate::backup::Backup;
pub use crate::cache::{forget_cached, set_cache_bytes};
pub use crate::change::{About, ChangeBuilder};
pub use crate::clock::{Clock, SystemClock};
pub use crate::entries::{Entries, OperationKind};
pub use crate::error::{Advice, Error};
pub use crate::file_storage::FileStorage;
pub use crate::group::Ticket;
pub use crate::history::History;
pub use crate::life::{Blame, Interval, Removed, Trash};
pub use crate::log_lines::{Log, LogLine};
pub use crate::memory_storage::MemoryStorage;
pub use crate::options::Options;
pub use crate::policy::{Action, EffectivePolicy, POLICY_KIND};
pub use crate::prune::{Hold, LiveStamps, Prune};
pub use crate::reader::{Reader, SeenBody, SeenChange, SeenDifference, SeenEntry, SeenLine, SeenOperation};
pub use crate::seen::{Seen, Sight, Stub};
pub use crate::seen_plan::SeenPlan;
pub use crate::selector::At;
pub use crate::stamper::Stamper;
pub use crate::stats::Stats;
pub use crate::storage::{Lock, LockError, Storage};
pub use crate::subscription::Subscription;
pub use crate::tuning::Tuning;
pub use crate::undo::{Applied, LeftBehind, Part, Plan, Proposal, Right, Scope, Without};
pub use crate::vault::{KEY_NAME_BYTES_MAX, KeyError, SECRET_BYTES_MAX, SecretValue, VaultKey, VaultKeys};
pub use crate::verify::Verified;
pub use crate::view::View;
pub use crate::writer::Durability;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
