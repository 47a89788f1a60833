//! The promises of flow-history, one module each, each checked in a way that can fail.
//!
//! One binary, so that it links once and its list of modules reads as the list of promises. With
//! `FLOW_HISTORY_NIGHTLY=1` everything is tried twenty times as often, and what is sampled here is tried whole. What
//! cannot be tried where it runs says `SKIPPED`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is a test"
)]

mod flow_algebra; //  every operation has an exact inverse, every difference leads there, equal content hashes alike
mod engine_model; //  every version is what a plain list of flows says, by every route
mod crash; //         ok means durable, all or nothing, whatever a power cut leaves
mod failed_io; //     a failed write refuses its entry, a failed sync poisons, nothing is lost
mod flips; //         no damage is ever taken for a history
mod every_bit; //     every flipped bit, every length, every sector
mod read_only; //     reading never writes, and there is one writer
mod bad_input; //     each bad input has its own error and leaves no trace
mod threads; //       many threads, one order
mod requests; //      asked twice happens once, asked together happens together, and followers miss nothing
mod prune; //         what is pruned is gone and says so, what is kept is what it was
mod backup; //        a copy of a live history is a history
mod succession; //    production goes on where a history is damaged
mod long_texts; //    a changed line of a long text costs about that line
mod derived; //       checkpoints and the catalog cost time when missing, nothing else
mod undo; //          what undo, redo, revert and restore do, and what stands in their way
mod undo_invariants; // what undo promises of every flow: I1 to I7, I11, I13
mod redaction; //     what somebody may not read shows nowhere, and counts
mod undo_policies; // who may undo what, and who may see it
mod undo_reports; //  what went wrong in other programs does not go wrong here
mod vault; //         a secret is in its sealed file and nowhere else, until it is shredded
mod processes; //     kills, locks, masks, full disks, readers beside a writer
mod real_disks; //    a sync that the system fails, and a power cut, on real file systems
mod syncs; //         no acknowledgement before its sync
mod frugality; //     an idle history costs a descriptor and little memory
mod architecture; //  the sources keep the rules of the house
mod sealed; //        sealed, a history is what it was raw, and its indexes say what folding says
mod questions; //     what is answered without whole flows is what whole flows say
mod golden; //        the format does not drift
mod mistakes; //      the tests are tested
mod promises; //      the tests that the documents name are there
mod compatibility; // what was written once opens for ever, and what is newer is refused
