//! The rows that append to fresh stores.

use std::time::{Duration, Instant};

use super::results::Cell;
use super::workload::{pump, small_change, small_setup};
use super::{AS_OURS, Bench, is_warm, one, real, stopped, threads_rate};
use crate::peers::{Failure, Kind, Outcome, Store};
use crate::plain::Change;

/// Changes on their way at once in `pipelined`.
const IN_FLIGHT: usize = 1_000;
/// Changes that are made up ahead of being timed.
const SLICE_CHANGES: usize = 500;

impl Bench {
    pub(super) fn appending(&mut self) {
        let rounds = self.effort.rounds;
        for (row, threads) in [("durable_1", 1), ("durable_4", 4), ("durable_16", 16)] {
            if self.never_synced {
                self.no_row(row, "the directory is on tmpfs, where nothing is ever synced");
                continue;
            }
            self.row(row, rounds, |bench, at, _| {
                bench.in_fresh(at, Kind::Durable, |bench, store| bench.durable(store, threads))
            });
        }
        if self.never_synced {
            self.no_row("pipelined", "the directory is on tmpfs, where nothing is ever synced");
        } else {
            self.row("pipelined", rounds, |bench, at, _| bench.in_fresh(at, Kind::Durable, Self::pipelined));
        }
        self.row("buffered", rounds, |bench, at, _| bench.in_fresh(at, Kind::Buffered, Self::buffered));
    }

    /// Measures something in a store of a directory of its own, which goes.
    fn in_fresh(
        &mut self,
        at: usize,
        kind: Kind,
        measure: impl FnOnce(&Self, &mut dyn Store) -> Outcome<Cell>,
    ) -> Outcome<Cell> {
        let path = self.place.fresh();
        let measured = match self.peers.get(at) {
            None => Err(Failure::Cannot("")),
            Some(peer) if is_warm(peer.as_ref()) => Err(AS_OURS),
            Some(peer) => peer.open(&path, kind).and_then(|mut store| measure(self, store.as_mut())),
        };
        // What cannot be removed goes with the directory of the run.
        let _ = std::fs::remove_dir_all(&path);
        measured
    }

    fn durable(&self, store: &mut dyn Store, threads: usize) -> Outcome<Cell> {
        let each = if self.effort.quick { 150 } else { 1_000 };
        store.append(small_setup(threads))?;
        if threads > 1 {
            return threads_rate(store.appenders(threads)?, each, self.effort.slice).map(one);
        }
        let changes: Vec<Change> = (0..each).map(|at| small_change(&pump(0), "note", at)).collect();
        let started = Instant::now();
        let mut done = 0;
        for change in changes {
            if started.elapsed() > self.effort.slice {
                break;
            }
            store.append(change)?;
            done += 1;
        }
        Ok(one(real(done) / started.elapsed().as_secs_f64()))
    }

    fn pipelined(&self, store: &mut dyn Store) -> Outcome<Cell> {
        let pieces = if self.effort.quick { 20 } else { 200 };
        store.append(small_setup(1))?;
        let mut elapsed = Duration::ZERO;
        let mut done = 0;
        for piece in 0..pieces {
            if elapsed > self.effort.slice || stopped() {
                break;
            }
            let numbers = piece * 2 * IN_FLIGHT as u64..(piece + 1) * 2 * IN_FLIGHT as u64;
            let changes: Vec<Change> = numbers.map(|at| small_change(&pump(0), "note", at)).collect();
            let count = changes.len();
            let started = Instant::now();
            store.pipeline(changes, IN_FLIGHT)?;
            elapsed += started.elapsed();
            done += count;
        }
        Ok(one(real(done) / elapsed.as_secs_f64()))
    }

    fn buffered(&self, store: &mut dyn Store) -> Outcome<Cell> {
        let wanted = self.workload.versions(self.effort.quick) - self.workload.setup();
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let longest = self.effort.slice * if self.effort.quick { 3 } else { 8 };
        let mut changes = self.workload.changes();
        for _ in 0..self.workload.setup() {
            changes.next().map_or(Ok(()), |change| store.append(change))?;
        }
        let mut elapsed = Duration::ZERO;
        let mut done = 0;
        while done < wanted && elapsed < longest && !stopped() {
            // Making up the stream is not what is measured; it is made in slices that fit a cache.
            let slice: Vec<Change> = changes.by_ref().take(SLICE_CHANGES.min(wanted - done)).collect();
            let started = Instant::now();
            for change in slice {
                store.append(change)?;
                done += 1;
                if started.elapsed() > longest {
                    break;
                }
            }
            elapsed += started.elapsed();
        }
        let note = if done < wanted { format!("{done} changes of {wanted}") } else { String::new() };
        Ok(Cell { note, ..one(real(done) / elapsed.as_secs_f64()) })
    }
}
