//! The engine's sizes and waits, in one place. The defaults are for production; tests choose hostile ones.

use std::time::Duration;

/// Sizes and waits. None of them is part of the format: a history written under one tuning opens under any other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tuning {
    /// Bytes of a history's first segment; each later one is twice the one before.
    pub segment_bytes_first: u64,
    /// Bytes at which segments stop growing.
    pub segment_bytes_max: u64,
    /// Longest time that a leader waits for the members of the last group to come back. Zero: it never waits.
    pub rejoin_wait: Duration,
    /// Most bytes that may wait to become durable before `submit` answers `Busy`.
    pub in_flight_bytes_max: usize,
    /// Bytes of log below which nothing is derived from it: no checkpoint, no catalog.
    pub derive_from_bytes: u64,
    /// Bytes of log below which there is no catalog. redb's smallest file has 1 MiB.
    pub catalog_from_bytes: u64,
    /// Entries after which the checkpoint that follows the head is made anew; one that stays comes after half as many at
    /// least.
    pub checkpoint_entries: u64,
    /// Bytes of log after which a checkpoint is one that stays, in percent of the bytes of the last one that did.
    pub checkpoint_bytes_percent: u64,
    /// The newest checkpoints that stay whatever happens; of older ones, at most half as many in each twofold of age.
    pub checkpoints_kept: usize,
    /// Whether full segments are sealed, and the last one when the history is closed.
    pub seal: bool,
    /// Bytes below which the last segment is left raw when the history is closed.
    pub seal_bytes_min: u64,
    /// How long after the last append a frame that only vouches is written.
    pub vouch_after: Duration,
    /// Whether what can wait is done by the background threads of the process. Otherwise whoever appends does it before the
    /// call returns, which takes longer and is in the same order every time; what is due later is then never done.
    pub background: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            segment_bytes_first: 256 << 10,
            segment_bytes_max: 4 << 20,
            rejoin_wait: Duration::from_micros(50),
            in_flight_bytes_max: 64 << 20,
            derive_from_bytes: 256 << 10,
            catalog_from_bytes: 16 << 20,
            checkpoint_entries: 8_192,
            checkpoint_bytes_percent: 330,
            checkpoints_kept: 64,
            seal: true,
            seal_bytes_min: 4 << 10,
            vouch_after: Duration::from_secs(1),
            background: true,
        }
    }
}

impl Tuning {
    /// Sizes so small that everything happens all the time.
    #[must_use]
    pub fn hostile() -> Self {
        Self {
            segment_bytes_first: 4 << 10,
            segment_bytes_max: 8 << 10,
            derive_from_bytes: 0,
            catalog_from_bytes: 0,
            checkpoint_entries: 7,
            checkpoint_bytes_percent: 0,
            checkpoints_kept: 8,
            seal_bytes_min: 0,
            ..Self::default()
        }
    }
}
