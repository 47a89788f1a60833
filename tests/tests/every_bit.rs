//! Goal: of a closed history of more than 64 KiB, raw, sealed or pruned, no flipped bit, no cut, no zeroed and no swapped
//! sector goes unnoticed: it is an error that names the file, or what is read is what was recorded. Never a panic, never
//! a shorter history or another flow.
//!
//! Method: every bit of every byte of every file of the log and of every checkpoint, every length, every sector. What is
//! damaged is read whole, with every check and by checksums alone, and what follows on it; `flips` does the same with a
//! small history and everything that a host can ask. The catalog, a megabyte that is mostly empty, is damaged in places.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flow_history::{Author, Component, History, LiveStamps, MemoryStorage, Tuning};
use flow_history_checkpoint::Checkpoint;
use flow_history_replay::{FileName, Folded, Log, LogError, Replay, Seq, State};
use flow_history_tests::{Chance, Files, Overlay, SeededClock, is_nightly};

/// How the history was kept.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kept {
    Raw,
    Sealed,
    Pruned,
}

/// A closed history, with the state before each segment and at the end.
struct Truth {
    files: Arc<Files>,
    /// By the number of the segment, the state before its first entry.
    before: BTreeMap<u64, State>,
    end: State,
}

fn made(kept: Kept) -> Truth {
    let mut tuning = Tuning::hostile();
    tuning.segment_bytes_first = 8 << 10;
    tuning.segment_bytes_max = 8 << 10;
    tuning.checkpoint_entries = 30;
    tuning.background = false;
    tuning.seal = kept != Kept::Raw;
    let storage = MemoryStorage::new();
    let options = History::options().tuning(tuning).clock(SeededClock::new(kept as u64));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let (alice, mut chance) = (Author::user("alice"), Chance::new(5));
    for at in 0..90_u32 {
        let id = format!("part-{}", at % 10);
        // Text that no compression makes much smaller.
        let text: String = (0..800).map(|_| char::from(b'!' + chance.bits().to_le_bytes()[5] % 90)).collect();
        let change = history.change(&alice, "a change");
        let change = match at / 10 {
            0 => change.add(Component::new(id.as_str(), "part").field("text", text)),
            _ => change.set(id.as_str(), "text", text),
        };
        change.append().unwrap();
    }
    if kept == Kept::Pruned {
        history.prune(&Author::operator("olga"), 20, &LiveStamps::GiveUp).unwrap();
    }
    history.close().unwrap();
    let files = Arc::new(storage.files());
    let of_log: usize = files.iter().filter(|(name, _)| is_log(name)).map(|(_, bytes)| bytes.len()).sum();
    assert!(of_log >= 64 << 10 || kept == Kept::Pruned, "{kept:?}: {of_log} bytes");
    assert!(files.keys().any(|name| name.starts_with("checkpoint-")));
    assert_eq!(files.keys().any(|name| name.ends_with(".sealed")), kept != Kept::Raw);
    assert_eq!(files.keys().any(|name| name.starts_with("base-")), kept == Kept::Pruned);
    let log = Log::open(Arc::new(storage)).unwrap();
    let mut replay = Replay::from_the_start(&log);
    let mut before = BTreeMap::new();
    for segment in log.segments() {
        replay.run_to(segment.header.first_seq.previous().unwrap()).unwrap();
        let state =
            if replay.state().seq < log.oldest() { log.start().unwrap() } else { replay.state().clone() };
        before.insert(segment.header.number, state);
    }
    replay.run_to(Seq(u64::MAX)).unwrap();
    Truth { files, before, end: replay.into_state() }
}

fn is_log(name: &str) -> bool {
    name == "history" || name.starts_with("segment-") || name.starts_with("base-")
}

/// What became of damage.
#[derive(Default)]
struct Tally {
    tried: AtomicUsize,
    noticed: AtomicUsize,
    /// Where damage began that changed nothing.
    harmless: Mutex<Vec<(String, usize)>>,
}

impl Truth {
    /// Reads what is damaged: `Ok(true)` where that is noticed, `Ok(false)` where it changes nothing, and otherwise what
    /// is wrong.
    fn look(&self, name: &str, bytes: Option<Vec<u8>>) -> Result<bool, String> {
        if let Some(FileName::Checkpoint(seq)) = FileName::parse(name) {
            return self.look_at_checkpoint(seq, bytes.as_deref().unwrap_or_default());
        }
        let source = Arc::new(Overlay::new(&self.files, name, bytes));
        match self.read(source, name) {
            Ok(()) => Ok(false),
            Err(Wrong::Noticed(error)) => match &error {
                LogError::Damaged(damage) if stem(&damage.file) == stem(name) => Ok(true),
                LogError::Unsupported { file, .. } if file == name => Ok(true),
                error => Err(format!("{error} does not name {name}")),
            },
            Err(Wrong::Silent(why)) => Err(why),
        }
    }

    fn read(&self, source: Arc<Overlay>, name: &str) -> Result<(), Wrong> {
        let log = Log::open(source)?;
        if let Some(FileName::Base(_)) = FileName::parse(name) {
            let begun = log.start()?;
            let (_, state) = self.before.first_key_value().unwrap();
            return if flow_history_replay::is_same_state(&begun, state) {
                Ok(())
            } else {
                silent("another base")
            };
        }
        let segment = match FileName::parse(name) {
            Some(FileName::RawSegment(number) | FileName::SealedSegment(number)) => number,
            // Whatever the identity says, the end of the log is where it was.
            _ => *self.before.last_key_value().unwrap().0,
        };
        let before = &self.before[&segment];
        let after = self.before.range(segment + 1..).next().map_or(&self.end, |(_, state)| state);
        let upto = if std::ptr::eq(after, &self.end) { Seq(u64::MAX) } else { after.seq };
        let mut replay = Replay::from_state(&log, before.clone());
        let replayed = replay.run_to(upto);
        // By checksums alone, as a view folds: an error there has the longer way taken.
        let mut folded = Folded::from(before);
        if folded.run_to(&log, after.seq).is_ok() && *folded.flow() != after.flow {
            return silent("another flow by checksums alone");
        }
        replayed?;
        let state = replay.state();
        if state.seq != after.seq || state.chain != after.chain || state.flow != after.flow {
            return silent("another flow");
        }
        // What is read only for questions: the indexes.
        for index in log.segments().iter().filter_map(|of_log| of_log.sealed.as_ref()) {
            if index.header().segment.number == segment {
                index.verify()?;
            }
        }
        Ok(())
    }

    /// A checkpoint that is damaged is passed over; none is ever another flow.
    fn look_at_checkpoint(&self, seq: u64, bytes: &[u8]) -> Result<bool, String> {
        let Ok(checkpoint) = Checkpoint::open(bytes) else { return Ok(true) };
        if checkpoint.header().sequence != seq {
            return Ok(true);
        }
        let (true_bytes, name) = (&self.files, FileName::Checkpoint(seq).to_string());
        let truth = Checkpoint::open(true_bytes[&name].as_slice()).map_err(|error| error.to_string())?;
        let same =
            |one: Result<flow_history::Flow, _>, other: Result<flow_history::Flow, _>| match (one, other) {
                (Ok(one), Ok(other)) => Ok(one == other),
                (Err(_), _) => Err(true),
                (Ok(_), Err(error)) => panic!("the true one cannot be read: {error}"),
            };
        match same(checkpoint.to_flow(), truth.to_flow()) {
            Err(noticed) => return Ok(noticed),
            Ok(false) => return Err("another flow".to_owned()),
            Ok(true) => {}
        }
        let Ok(attachment) = checkpoint.attachment() else { return Ok(true) };
        if Some(attachment) != truth.attachment().ok() {
            return Err("another attachment".to_owned());
        }
        let flow = truth.to_flow().map_err(|error| error.to_string())?;
        for (slot, component) in flow.iter() {
            let found = (checkpoint.slot_of(component.id.as_str()), checkpoint.children_of(slot));
            let (Ok(found), Ok(_)) = found else { return Ok(true) };
            if found != Some(slot) {
                return Err(format!("{} is in {found:?}", component.id));
            }
        }
        Ok(false)
    }

    /// Tries damage of one file, on two threads: so many ways to damage it.
    fn damage(
        &self,
        name: &str,
        ways: usize,
        tally: &Tally,
        damaged: impl Fn(usize) -> Option<Vec<u8>> + Sync,
    ) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let from = next.fetch_add(64, Ordering::Relaxed);
                        if from >= ways {
                            return;
                        }
                        for way in from..(from + 64).min(ways) {
                            let Some(bytes) = damaged(way) else { continue };
                            if bytes == self.files[name] {
                                continue;
                            }
                            tally.tried.fetch_add(1, Ordering::Relaxed);
                            let truth = &self.files[name];
                            let differs = bytes.iter().zip(truth).position(|(one, other)| one != other);
                            let began = differs.unwrap_or(bytes.len().min(truth.len()));
                            match self.look(name, Some(bytes)) {
                                Ok(true) => drop(tally.noticed.fetch_add(1, Ordering::Relaxed)),
                                Ok(false) => tally.harmless.lock().unwrap().push((name.to_owned(), began)),
                                Err(why) => panic!("{name}, {way}: {why}"),
                            };
                        }
                    }
                });
            }
        });
    }
}

enum Wrong {
    Noticed(LogError),
    Silent(String),
}

fn silent(why: &str) -> Result<(), Wrong> {
    Err(Wrong::Silent(why.to_owned()))
}

impl From<LogError> for Wrong {
    fn from(error: LogError) -> Self {
        Self::Noticed(error)
    }
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".raw").or_else(|| name.strip_suffix(".sealed")).unwrap_or(name)
}

/// Every file of a kind that no other history here has.
fn each_file(truth: &Truth, kept: Kept) -> impl Iterator<Item = (&String, &Vec<u8>)> {
    truth.files.iter().filter(move |(name, _)| match kept {
        _ if is_nightly() => is_log(name) || name.starts_with("checkpoint-"),
        Kept::Raw => is_log(name),
        Kept::Sealed => is_log(name) || name.starts_with("checkpoint-"),
        Kept::Pruned => *name == "history" || name.starts_with("base-"),
    })
}

/// The only damage that may go unnoticed is to zeros behind the last frame of a raw segment, where the next segment says
/// that it ends.
fn tell(what: &str, kept: Kept, truth: &Truth, tally: &Tally) {
    let (tried, noticed) = (tally.tried.load(Ordering::Relaxed), tally.noticed.load(Ordering::Relaxed));
    eprintln!("{what}, {kept:?}: {tried} tried, {noticed} noticed, {} harmless, 0 silent", tried - noticed);
    for (name, began) in tally.harmless.lock().unwrap().iter() {
        let is_room = name.ends_with(".raw") && truth.files[name][*began..].iter().all(|byte| *byte == 0);
        assert!(is_room, "{what}, {kept:?}: damage of {name} from {began} on is not noticed");
    }
    assert!(noticed > 0);
}

fn flip_every_bit(kept: Kept) {
    let truth = made(kept);
    assert_eq!(truth.look("history", Some(truth.files["history"].clone())), Ok(false));
    let tally = Tally::default();
    for (name, bytes) in each_file(&truth, kept) {
        truth.damage(name, bytes.len() * 8, &tally, |way| {
            let mut bytes = bytes.clone();
            bytes[way / 8] ^= 1 << (way % 8);
            Some(bytes)
        });
    }
    tell("every bit", kept, &truth, &tally);
}

#[test]
fn of_a_raw_history_is_noticed() {
    flip_every_bit(Kept::Raw);
}

#[test]
fn of_a_sealed_history_is_noticed() {
    flip_every_bit(Kept::Sealed);
}

#[test]
fn of_a_pruned_history_is_noticed() {
    flip_every_bit(Kept::Pruned);
}

#[test]
fn every_length_of_every_file_is_noticed() {
    for kept in [Kept::Raw, Kept::Sealed, Kept::Pruned] {
        let (truth, tally) = (made(kept), Tally::default());
        for (name, bytes) in each_file(&truth, kept) {
            truth.damage(name, bytes.len(), &tally, |way| Some(bytes[..way].to_vec()));
            // And longer than it was.
            truth.damage(name, 600, &tally, |way| {
                let zeros = vec![if way % 2 == 0 { 0 } else { 0xff }; way / 2];
                Some([bytes.as_slice(), &zeros].concat())
            });
        }
        tell("every length", kept, &truth, &tally);
    }
}

#[test]
fn zeroed_and_swapped_sectors_are_noticed() {
    for kept in [Kept::Raw, Kept::Sealed, Kept::Pruned] {
        let (truth, tally) = (made(kept), Tally::default());
        for (name, bytes) in each_file(&truth, kept) {
            let sectors = bytes.len().div_ceil(512);
            let sector = |at: usize| at * 512..(at * 512 + 512).min(bytes.len());
            truth.damage(name, sectors, &tally, |at| {
                let mut bytes = bytes.clone();
                bytes[sector(at)].fill(0);
                Some(bytes)
            });
            truth.damage(name, sectors * sectors, &tally, |way| {
                let (one, other) = (sector(way / sectors), sector(way % sectors));
                let mut damaged = bytes.clone();
                let count = one.len().min(other.len());
                damaged[one.start..one.start + count]
                    .copy_from_slice(&bytes[other.start..other.start + count]);
                if way / sectors < way % sectors {
                    // Swapped; otherwise one stands twice.
                    damaged[other.start..other.start + count]
                        .copy_from_slice(&bytes[one.start..one.start + count]);
                }
                Some(damaged)
            });
            // A sector of another file of the same history, at the same place.
            for (other, foreign) in each_file(&truth, kept).filter(|(other, _)| *other != name) {
                truth.damage(name, sectors, &tally, |at| {
                    let foreign = foreign.get(sector(at))?;
                    let mut bytes = bytes.clone();
                    bytes[sector(at)].copy_from_slice(foreign);
                    Some(bytes)
                });
                if !is_nightly() && other.starts_with("checkpoint-") {
                    break;
                }
            }
        }
        tell("sectors", kept, &truth, &tally);
    }
}
