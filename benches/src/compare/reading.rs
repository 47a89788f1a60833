//! The rows that ask a store which another process loaded with the stream, and closed.

use std::path::PathBuf;
use std::time::Instant;

use super::honesty::{self, Checked};
use super::results::Cell;
use super::workload::{Known, Question, known_of, small_change};
use super::{AS_OURS, Bench, child, is_warm, micros, one, real, stopped};
use crate::peers::{Failure, Kind, Outcome, Store, broken};
use crate::plain::flow_hash;
use crate::{bytes_on_disk, median};

/// Changes on a page.
const PAGE: usize = 50;

/// What was loaded into one system.
struct Loaded {
    path: PathBuf,
    versions: u64,
    peak_mib: f64,
}

/// One system with the stream in it, open.
struct Prepared {
    store: Box<dyn Store>,
    versions: u64,
    bytes: u64,
    known: Known,
    note: String,
}

/// What a store is asked in a row.
type Ask = fn(&mut dyn Store, &Question) -> Outcome<usize>;

impl Bench {
    /// All of them; and whether each system holds what was appended.
    pub(super) fn reading(&mut self) -> Vec<Checked> {
        let mut checked = vec![Checked::default(); self.peers.len()];
        let loaded: Vec<Outcome<Loaded>> = (0..self.peers.len()).map(|at| self.load(at)).collect();
        // Opening a copy costs as much again as making one: three are enough.
        let rounds = self.effort.rounds.min(3);
        self.row("open_after_kill", rounds, |bench, at, _| {
            if bench.peers.get(at).is_some_and(|peer| is_warm(peer.as_ref())) {
                return Err(AS_OURS);
            }
            bench.open_after_kill(at, loaded_of(&loaded, at)?)
        });
        self.row("peak_memory", 1, |bench, at, _| {
            let loaded = loaded_of(&loaded, at)?;
            let note = bench.note(loaded.versions);
            Ok(Cell { note, ..one(loaded.peak_mib) })
        });

        let lengths: Vec<u64> = loaded.iter().flatten().map(|loaded| loaded.versions).collect();
        let mut known =
            known_of(self.workload.changes(), self.workload.setup(), &lengths, self.effort.questions);
        let mut prepared: Vec<Outcome<Prepared>> = Vec::new();
        for (at, loaded) in loaded.iter().enumerate() {
            let one = loaded.as_ref().map_err(Clone::clone).and_then(|loaded| {
                let known = known.get(&loaded.versions).cloned();
                let known = known.ok_or_else(|| Failure::Broke("nothing is known of it".to_owned()))?;
                self.prepare(at, loaded, known)
            });
            prepared.push(one);
        }
        known.clear();
        for (prepared, checked) in prepared.iter_mut().zip(&mut checked) {
            checked.read_back = match prepared {
                Ok(prepared) => match prepared.store.contents(prepared.versions) {
                    Ok(flow) if flow_hash(&flow) == prepared.known.hash => {
                        format!("equal after {} versions", prepared.versions)
                    }
                    Ok(_) => format!("DIFFERS after {} versions", prepared.versions),
                    Err(failure) => failure.to_string(),
                },
                Err(failure) => failure.to_string(),
            };
        }
        self.row("bytes_per_change", 1, |bench, at, _| {
            let prepared = prepared_of(&mut prepared, at)?;
            let versions = real(usize::try_from(prepared.versions).unwrap_or_default());
            let bytes = real(usize::try_from(prepared.bytes).unwrap_or_default());
            Ok(Cell { note: bench.note(prepared.versions), ..one(bytes / versions) })
        });

        let questions: [(&str, Ask); 5] = [
            ("component", |store, asked| {
                store.component(asked.version, &asked.id).and_then(|found| {
                    if found { Ok(1) } else { Err(Failure::Broke(format!("{} is not there", asked.id))) }
                })
            }),
            ("flow", |store, asked| store.flow(asked.version)),
            ("difference", |store, asked| store.difference(asked.version, asked.other)),
            ("component_log", |store, asked| store.component_log(&asked.id, PAGE)),
            ("log_page", |store, _| store.log_page(PAGE)),
        ];
        for (row, ask) in questions {
            self.row(row, self.effort.rounds, |bench, at, round| {
                bench.asked(prepared_of(&mut prepared, at)?, round, ask)
            });
        }
        let rounds = self.effort.rounds.min(5);
        self.row("replay", rounds, |bench, at, _| {
            if bench.peers.get(at).is_some_and(|peer| is_warm(peer.as_ref())) {
                return Err(AS_OURS);
            }
            let prepared = prepared_of(&mut prepared, at)?;
            let started = Instant::now();
            let changes = prepared.store.replay()?;
            let elapsed = started.elapsed().as_secs_f64();
            let rate = real(usize::try_from(changes).unwrap_or_default()) / elapsed;
            Ok(Cell { note: prepared.note.clone(), ..one(rate) })
        });
        self.row("undo", self.effort.rounds, |bench, at, round| {
            if bench.peers.get(at).is_some_and(|peer| is_warm(peer.as_ref())) {
                return Err(AS_OURS);
            }
            bench.undone(prepared_of(&mut prepared, at)?, round)
        });
        // After everything was taken back that was changed meanwhile, it must be what it was.
        if let Some(undone) = self.rows.iter().find(|row| row.kind.name == "undo")
            && !stopped()
        {
            for ((prepared, checked), cell) in prepared.iter_mut().zip(&mut checked).zip(&undone.cells) {
                let (Ok(prepared), None) = (prepared, &cell.failure) else { continue };
                let after = prepared.store.newest().and_then(|newest| prepared.store.contents(newest));
                match after {
                    Ok(flow) if flow_hash(&flow) == prepared.known.hash => {
                        checked.read_back += ", and after its undos";
                    }
                    Ok(_) => checked.read_back = "DIFFERS after its undos".to_owned(),
                    Err(failure) => checked.read_back = failure.to_string(),
                }
            }
        }
        checked
    }

    /// What is said of a figure that was measured after fewer changes than the stream has.
    fn note(&self, versions: u64) -> String {
        if versions < self.workload.versions(self.effort.quick) {
            format!("after {versions} versions")
        } else {
            String::new()
        }
    }

    fn load(&mut self, at: usize) -> Outcome<Loaded> {
        let path = self.place.fresh();
        let needed = self.wanted.is_empty()
            || self
                .wanted
                .iter()
                .any(|row| !["durable", "pipelined", "buffered"].iter().any(|other| row.starts_with(other)));
        let Some(peer) = self.peers.get(at) else { return Err(Failure::Cannot("")) };
        if !needed || stopped() {
            return Err(Failure::Cannot("not loaded"));
        }
        self.progress.set_message(format!("loading {}", peer.name()));
        let versions = self.workload.versions(self.effort.quick);
        let seconds = self.effort.load_seconds;
        let loaded = child::load(peer.as_ref(), &path, self.workload, versions, seconds)?;
        Ok(Loaded { path, versions: loaded.versions, peak_mib: loaded.peak_mib })
    }

    fn open_after_kill(&mut self, at: usize, loaded: &Loaded) -> Outcome<Cell> {
        let copy = self.copy_of(&child::killed_path(&loaded.path))?;
        let Some(peer) = self.peers.get(at) else { return Err(Failure::Cannot("")) };
        let started = Instant::now();
        let opened = peer.open(&copy, Kind::Durable);
        let elapsed = started.elapsed();
        let newest = opened.and_then(|mut store| store.newest())?;
        let _ = std::fs::remove_dir_all(&copy);
        if newest != loaded.versions {
            return Err(Failure::Broke(format!("{} were flushed, {newest} are there", loaded.versions)));
        }
        Ok(Cell { note: self.note(loaded.versions), ..one(micros(elapsed) / 1e3) })
    }

    /// Measures what lies there after a close, and opens it.
    fn prepare(&self, at: usize, loaded: &Loaded, known: Known) -> Outcome<Prepared> {
        let Some(peer) = self.peers.get(at) else { return Err(Failure::Cannot("")) };
        self.progress.set_message(format!("closing and opening {}", peer.name()));
        let bytes = bytes_on_disk(&loaded.path).map_err(broken)?;
        let store = peer.open(&loaded.path, Kind::Durable)?;
        let note = self.note(loaded.versions);
        Ok(Prepared { store, versions: loaded.versions, bytes, known, note })
    }

    /// Asks until there is no question left or the time is over: each time by itself, of which the median counts. The
    /// first answer of the first round is not counted: some build what they look things up in with it.
    fn asked(&self, prepared: &mut Prepared, round: usize, ask: Ask) -> Outcome<Cell> {
        let began = Instant::now();
        let mut times = Vec::new();
        let questions = &prepared.known.questions;
        let from = round * questions.len() / self.effort.rounds.max(1);
        if round == 0
            && let Some(first) = questions.first()
        {
            ask(prepared.store.as_mut(), first)?;
        }
        for question in questions.iter().cycle().skip(from).take(questions.len()) {
            if !times.is_empty() && began.elapsed() > self.effort.slice {
                break;
            }
            prepared.store.forget();
            let started = Instant::now();
            std::hint::black_box(ask(prepared.store.as_mut(), question)?);
            times.push(micros(started.elapsed()));
        }
        Ok(Cell { note: prepared.note.clone(), ..one(median(&times)) })
    }

    fn undone(&self, prepared: &mut Prepared, round: usize) -> Outcome<Cell> {
        let began = Instant::now();
        let mut times = Vec::new();
        for (number, (id, field)) in (0..).zip(&prepared.known.live) {
            if !times.is_empty() && began.elapsed() > self.effort.slice {
                break;
            }
            prepared.store.append(small_change(id, field, round as u64 * 1_000 + number))?;
            let started = Instant::now();
            prepared.store.undo()?;
            times.push(micros(started.elapsed()));
        }
        Ok(Cell { note: prepared.note.clone(), ..one(median(&times)) })
    }

    /// Counts syncs, and kills.
    pub(super) fn check_honesty(&mut self, checked: &mut [Checked]) {
        let counted = honesty::strace_works();
        if !counted {
            self.notes.push("There is no strace that works here: syncs were not counted.".to_owned());
        }
        let acknowledged = if self.effort.quick { 100 } else { 1_000 };
        for (peer, checked) in self.peers.iter().zip(checked) {
            if stopped() {
                checked.killed = "stopped".to_owned();
                checked.syncs = "stopped".to_owned();
                continue;
            }
            if is_warm(peer.as_ref()) {
                checked.syncs = "as flow-history".to_owned();
                checked.killed = "as flow-history".to_owned();
                continue;
            }
            self.progress.set_message(format!("killing {}", peer.name()));
            checked.killed = honesty::killed(peer.as_ref(), &self.place, acknowledged);
            checked.syncs = match counted {
                true => honesty::syncs_per_append(peer.as_ref(), &self.place),
                false => "skipped".to_owned(),
            };
        }
    }
}

fn loaded_of(loaded: &[Outcome<Loaded>], at: usize) -> Outcome<&Loaded> {
    loaded.get(at).ok_or(Failure::Cannot(""))?.as_ref().map_err(Clone::clone)
}

fn prepared_of(prepared: &mut [Outcome<Prepared>], at: usize) -> Outcome<&mut Prepared> {
    prepared.get_mut(at).ok_or(Failure::Cannot(""))?.as_mut().map_err(|failure| failure.clone())
}
