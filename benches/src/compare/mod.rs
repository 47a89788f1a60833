//! `compare`: all systems side by side in one run, rounds interleaved, the floor measured between them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use self::results::{Beside, Cell, ROWS, Results, Row, RowKind};
use crate::peers::{Failure, Outcome, Peer, broken, built, left_out};
use crate::plain::Change;
use crate::{Floor, Place, Random, copy_all};

pub(crate) mod workload; // what is appended, and what must be there afterwards
mod child; //    what is done in a process of its own
pub(crate) mod results; //  figures, tables, JSON
mod appending; // the rows that append to fresh stores
mod reading; //  the rows that ask a store that was loaded
mod honesty; //  whether systems do what the rows take them to do
mod machine; //  what it all ran on
mod report; //   what is printed

pub use self::child::Child;
pub use self::workload::Workload;

/// The command line of `compare`.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The stream that is appended.
    #[arg(long, value_enum, default_value = "w10k")]
    workload: Workload,
    /// Rows to run, by the beginnings of their names; all where none is named.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Peers to run, by the beginnings of their names; all that were built in where none is named. Ours is always there.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// A smaller stream and fewer rounds: two minutes.
    #[arg(long)]
    quick: bool,
    /// Where each figure goes as a line of JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where everything is written, in a directory that is removed at the end. By default that of the build.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Seconds after which loading a peer ends where it is; 6 with --quick, 600 otherwise.
    #[arg(long)]
    seconds: Option<u64>,
    /// Rounds of each row; 3 with --quick, 7 otherwise.
    #[arg(long)]
    rounds: Option<usize>,
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With every row.
    Whole,
    /// By Ctrl-C, with the rows until then.
    Stopped,
    /// With a system that does not hold what was appended to it.
    Wrong,
}

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Whether somebody wants the run to end.
pub(crate) fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// Has Ctrl-C end a run between two measurements, so that its directory goes.
///
/// # Errors
/// Whatever the system says.
pub fn heed_interrupts() -> Outcome<()> {
    ctrlc::set_handler(|| STOPPED.store(true, Ordering::Relaxed)).map_err(broken)
}

/// How much a run does.
#[derive(Clone, Copy, Debug)]
struct Effort {
    quick: bool,
    rounds: usize,
    /// The longest that one measurement goes on before it is asked how far it came.
    slice: Duration,
    /// The most questions of a measurement.
    questions: usize,
    /// Syncs by which the floor is measured.
    floor_syncs: u32,
    load_seconds: u64,
}

struct Bench {
    workload: Workload,
    effort: Effort,
    peers: Vec<Box<dyn Peer>>,
    place: Place,
    floor: Floor,
    random: Random,
    progress: ProgressBar,
    rows: Vec<Row>,
    wanted: Vec<String>,
    /// What is said above the table.
    notes: Vec<String>,
    /// Where syncing means nothing.
    never_synced: bool,
}

impl Compare {
    fn effort(&self) -> Effort {
        let (rounds, slice, questions, floor_syncs, seconds) = match self.quick {
            true => (3, Duration::from_millis(500), 20, 60, 6),
            false => (7, Duration::from_secs(4), 100, 400, 600),
        };
        Effort {
            quick: self.quick,
            rounds: self.rounds.unwrap_or(rounds).max(1),
            slice,
            questions,
            floor_syncs,
            load_seconds: self.seconds.unwrap_or(seconds),
        }
    }

    fn peers(&self) -> Vec<Box<dyn Peer>> {
        let wanted = |name: &str| {
            self.peers.iter().any(|wanted| name.to_lowercase().starts_with(&wanted.to_lowercase()))
        };
        let mut peers = built();
        peers.retain(|peer| {
            // What is a variant of another comes when there is time, or when it is named.
            let by_default = self.peers.is_empty() && !(self.quick && peer.is_variant());
            peer.name().starts_with("flow-history") || by_default || wanted(peer.name())
        });
        peers
    }

    /// Runs it, and prints what came of it.
    ///
    /// # Errors
    /// What keeps it from beginning, and what cannot be written at the end.
    pub fn run(&self) -> Outcome<Ending> {
        let began = Instant::now();
        let peers = self.peers();
        if let Some(unknown) =
            self.rows.iter().find(|row| !ROWS.iter().any(|kind| kind.name.starts_with(*row)))
        {
            let names: Vec<_> = ROWS.iter().map(|kind| kind.name).collect();
            return Err(Failure::Broke(format!(
                "no row is called {unknown}; there are {}",
                names.join(", ")
            )));
        }
        if let Some(path) = &self.json
            && path.is_dir()
        {
            return Err(Failure::Broke(format!("{} is a directory, not a file for JSON", path.display())));
        }
        let place = match &self.directory {
            Some(directory) => Place::inside(directory),
            None => Place::new(),
        };
        let place = place.map_err(broken)?;
        let (mut notes, never_synced) = machine::notes(place.path(), self.quick).map_err(broken)?;
        let absent = left_out();
        if !absent.is_empty() {
            notes.push(format!("Not built in: {} (`--features all-peers`).", absent.join(", ")));
        }
        let bar = "{elapsed_precise} {wide_bar} {msg}";
        let progress = ProgressBar::new((ROWS.len() * self.effort().rounds * peers.len()) as u64);
        progress.set_style(ProgressStyle::with_template(bar).map_err(broken)?);
        let mut bench = Bench {
            workload: self.workload,
            effort: self.effort(),
            floor: Floor::new(&place).map_err(broken)?,
            peers,
            place,
            random: Random::seeded(3),
            progress,
            rows: Vec::new(),
            wanted: self.rows.clone(),
            notes,
            never_synced,
        };
        bench.appending();
        let mut checked = bench.reading();
        bench.check_honesty(&mut checked);
        bench.progress.finish_and_clear();
        let ending = match (stopped(), checked.iter().any(|checked| checked.read_back.starts_with("DIFFERS")))
        {
            (true, _) => Ending::Stopped,
            (_, true) => Ending::Wrong,
            _ => Ending::Whole,
        };
        bench.finish(ending, self.json.as_deref(), &checked, began)?;
        Ok(ending)
    }
}

impl Bench {
    fn wants(&self, row: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| row.starts_with(wanted.as_str()))
    }

    fn floor(&mut self, beside: Beside) -> Option<f64> {
        match beside {
            Beside::Sync => self.floor.rate(self.effort.floor_syncs).ok(),
            Beside::Read => self.floor.read_micros(&mut self.random, 100).ok(),
            Beside::Nothing => None,
        }
    }

    /// Measures a row: each round every system in turn, the floor between them, and each round begins with another.
    fn row(
        &mut self,
        name: &str,
        rounds: usize,
        mut measure: impl FnMut(&mut Self, usize, usize) -> Outcome<Cell>,
    ) {
        let Some(kind) = ROWS.iter().copied().find(|kind| kind.name == name && self.wants(name)) else {
            return;
        };
        let count = self.peers.len();
        let mut cells = vec![Cell::default(); count];
        let mut before = self.floor(kind.beside);
        for round in 0..rounds {
            for at in (0..count).map(|step| (round + step) % count) {
                let Some(peer) = self.peers.get(at) else { continue };
                self.progress.set_message(format!("{name}: {}", peer.name()));
                self.progress.inc(1);
                let Some(cell) = cells.get_mut(at) else { continue };
                if stopped() || cell.failure.is_some() {
                    continue;
                }
                let measured = catch_unwind(AssertUnwindSafe(|| measure(self, at, round)))
                    .unwrap_or_else(|_| Err(Failure::Broke("it panicked".to_owned())));
                let after = self.floor(kind.beside);
                match measured {
                    // Somebody who wants to stop takes the children along; that is no failure of theirs.
                    _ if stopped() => {}
                    Err(failure) => cell.failure = Some(failure),
                    Ok(one) => {
                        let ratio = one.rounds.first().copied().zip(before).zip(after);
                        cell.floors.extend(ratio.map(|((value, before), after)| {
                            to_floor(&kind, value, f64::midpoint(before, after))
                        }));
                        cell.rounds.extend(one.rounds);
                        cell.note = one.note;
                    }
                }
                before = after;
            }
        }
        self.rows.push(Row { kind, cells });
    }

    /// A row of which no figure can be had, and why.
    fn no_row(&mut self, name: &str, why: &'static str) {
        if let Some(kind) = ROWS.iter().copied().find(|kind| kind.name == name && self.wants(name)) {
            let cell = Cell { failure: Some(Failure::Cannot(why)), ..Cell::default() };
            self.rows.push(Row { kind, cells: vec![cell; self.peers.len()] });
        }
    }
}

/// A figure as a ratio to the floor: writes a second, or microseconds for a read.
fn to_floor(kind: &RowKind, value: f64, floor: f64) -> f64 {
    match (kind.beside, kind.unit) {
        (Beside::Sync, "us") => value / (1e6 / floor),
        (Beside::Read, "ms") => value * 1e3 / floor,
        _ => value / floor,
    }
}

/// The system that stands for reading with what it keeps, and is in all other rows what ours is.
fn is_warm(peer: &dyn Peer) -> bool {
    peer.name() == "flow-history (warm)"
}

const AS_OURS: Failure = Failure::Cannot("as flow-history");

fn one(value: f64) -> Cell {
    Cell { rounds: vec![value], ..Cell::default() }
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn real(count: usize) -> f64 {
    count as f64
}

fn micros(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1e6
}

/// Changes appended by several threads at the same time, until each has done its count or the time is over; a second.
fn threads_rate(appenders: Vec<crate::peers::Appender>, each: u64, slice: Duration) -> Outcome<f64> {
    let barrier = Arc::new(Barrier::new(appenders.len() + 1));
    let threads: Vec<_> = appenders
        .into_iter()
        .enumerate()
        .map(|(thread, mut append)| {
            let barrier = Arc::clone(&barrier);
            std::thread::spawn(move || -> Outcome<usize> {
                let id = workload::pump(thread);
                let changes: Vec<Change> =
                    (0..each).map(|at| workload::small_change(&id, "note", at)).collect();
                barrier.wait();
                let started = Instant::now();
                let mut done = 0;
                for change in changes {
                    if started.elapsed() > slice {
                        break;
                    }
                    append(change)?;
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    barrier.wait();
    let started = Instant::now();
    let mut done = 0;
    for thread in threads {
        done += thread.join().map_err(|_| Failure::Broke("a thread panicked".to_owned()))??;
    }
    Ok(real(done) / started.elapsed().as_secs_f64())
}

/// All that was measured, put in the order of the table.
fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| ROWS.iter().position(|kind| kind.name == row.kind.name));
    rows
}

impl Bench {
    fn results(&mut self) -> Results {
        Results {
            workload: self.workload.name(),
            systems: self.peers.iter().map(|peer| peer.name()).collect(),
            rows: in_order(std::mem::take(&mut self.rows)),
        }
    }

    /// A copy of a directory, to be opened once.
    fn copy_of(&self, path: &std::path::Path) -> Outcome<PathBuf> {
        let copy = self.place.fresh();
        copy_all(path, &copy).map_err(broken)?;
        Ok(copy)
    }
}
