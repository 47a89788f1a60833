//! What the suite of promises is written with: flows by chance, a plain model, and storages that misbehave.
//!
//! The promises themselves stand in `tests/`, one module each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this crate is a test"
)]

mod chance; //     numbers from a seed
mod clock; //      time and randomness from a seed
mod gene; //       operations by chance, made to fit a flow
mod model; //      a history as a plain list of flows
mod faulty; //     a storage that counts, and fails when told to
mod trickle; //    a storage that does as little as it may
mod disk; //       what lies on a disk, and what is left of it when the power goes
mod sim_disk; //   the disk as a storage that keeps account of every step
mod secrets; //    the secrets of a workload, and what must be true of them
mod workload; //   what a host does to a history on such a disk
mod oracle; //     what must be true of whatever a crash leaves
mod power_cut; //  cutting the power after every step
mod log_files; //  whether two directories hold the same log
mod forged; //     raw segments that were tampered with
mod overlay; //    files of which one is another
mod skip; //       what could not be tried here

pub use crate::chance::Chance;
pub use crate::clock::SeededClock;
pub use crate::disk::{Disk, Fate, Files, Outcome, Step};
pub use crate::faulty::{Call, Fault, Faulty};
pub use crate::forged::{Forged, Frame, crc32};
pub use crate::gene::{Gene, random_value};
pub use crate::log_files::is_same_log;
pub use crate::model::{Line, Model, slots_of};
pub use crate::oracle::{Said, check_crash, check_log};
pub use crate::overlay::Overlay;
pub use crate::power_cut::{Cuts, Sweep, Tally};
pub use crate::secrets::vault_key;
pub use crate::sim_disk::SimDisk;
pub use crate::skip::skip;
pub use crate::trickle::Trickle;
pub use crate::workload::{Act, Settings, Truth, Worker, work};

/// How many times as much is tried: 1, or 20 where the variable `FLOW_HISTORY_NIGHTLY` is `1`.
#[must_use]
pub fn thoroughness() -> usize {
    if is_nightly() { 20 } else { 1 }
}

/// Whether everything is to be tried, however long it takes.
#[must_use]
pub fn is_nightly() -> bool {
    std::env::var("FLOW_HISTORY_NIGHTLY").is_ok_and(|value| value == "1")
}
