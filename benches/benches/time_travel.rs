//! Any version at once: `cargo bench -p flow-history-benches --bench time_travel -- [--json FILE] [--quick] [ROW...]`.
//!
//! Every row reads one directory of a stream, written once with the defaults and closed by another process, as in `compare`.
//! "From the OS cache" means that the files were read before and that this process keeps nothing of them; "cold" that the
//! system was told to drop them too.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a bench stops where it fails"
)]

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flow_history::{Author, Component, Durability, FileStorage, History, Options, Seq, Tuning};
use flow_history_benches::{
    Editing, Place, Random, Row, STREAM_BEGINS, Settings, Step, Table, Uniform, bytes_in, median, percentile,
};
use flow_history_replay::{Folded, Log, Loose, Replay};

fn main() {
    write_and_die();
    write_and_close();
    let settings = Settings::from_arguments(std::env::args());
    let mut bench = Bench {
        table: Table::new("time_travel", &settings).unwrap(),
        place: Place::new().unwrap(),
        written: HashMap::new(),
        settings,
    };
    bench.bytes();
    bench.flows();
    bench.open_read();
    bench.diff();
    bench.component_history();
    bench.log_page();
    bench.open_after_kill();
    bench.rebuild_catalog();
    bench.replay();
    bench.append_while_sealing();
    bench.real_sets();
    bench.frontier();
    bench.table.print().unwrap();
}

struct Bench {
    settings: Settings,
    table: Table,
    place: Place,
    written: HashMap<Stream, Written>,
}

/// A stream, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Stream {
    Uniform { components: usize, changes: u64 },
    Editing { changes: u64 },
}

/// A history that was written and closed.
#[derive(Clone)]
struct Written {
    path: PathBuf,
    changes: u64,
}

fn bytes_of(path: &Path, kind: impl Fn(&str) -> bool) -> u64 {
    bytes_in(path, kind).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn real(count: u64) -> f64 {
    count as f64
}

fn write_steps(history: &History, steps: impl Iterator<Item = Step>) {
    let mut millis = STREAM_BEGINS;
    for step in steps {
        step.append_to(history, &mut millis).unwrap();
    }
}

fn write_stream(path: &Path, stream: Stream, tuning: Tuning) -> Written {
    let durability = Durability::Buffered { max_delay: Duration::from_millis(100) };
    let history = Options::new().durability(durability).tuning(tuning).open(path).unwrap();
    match stream {
        Stream::Uniform { components, changes } => write_steps(&history, Uniform::new(components, changes)),
        Stream::Editing { changes } => write_steps(&history, Editing::new(changes)),
    }
    let changes = history.version().seq().0;
    history.close().unwrap();
    Written { path: path.to_owned(), changes }
}

/// Tells the system to forget what it keeps of these files.
fn drop_os_cache(path: &Path) {
    for entry in std::fs::read_dir(path).unwrap() {
        forget(&File::open(entry.unwrap().path()).unwrap());
    }
}

fn forget(file: &File) {
    file.sync_all().unwrap();
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// The floor of a cold read: 16 KiB at a random place of a file that the system keeps nothing of.
fn cold_floor(place: &Place, random: &mut Random, count: usize) -> Vec<f64> {
    const BYTES: u64 = 64 << 20;
    const READ: u64 = 16 << 10;
    let path = place.fresh();
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    let chunk = vec![7; 1 << 20];
    (0..BYTES >> 20).for_each(|at| file.write_all_at(&chunk, at << 20).unwrap());
    let mut buffer = vec![0; usize::try_from(READ).unwrap()];
    let times = (0..count)
        .map(|_| {
            forget(&file);
            let at = random.below(BYTES / READ);
            let started = Instant::now();
            file.read_exact_at(&mut buffer, at * READ).unwrap();
            micros(started)
        })
        .collect();
    std::fs::remove_file(path).unwrap();
    times
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn reopen(written: &Written) -> History {
    History::open_read_only(&written.path).unwrap()
}

impl Bench {
    fn wants(&self, row: &str) -> bool {
        self.settings.wants(row)
    }

    fn quick(&self) -> bool {
        self.settings.quick
    }

    fn w1k(&self) -> Stream {
        Stream::Uniform { components: 1_000, changes: 100_000 }
    }

    fn w10k(&self) -> Stream {
        Stream::Uniform { components: 10_000, changes: if self.quick() { 200_000 } else { 1_000_000 } }
    }

    fn w100k(&self) -> Stream {
        Stream::Uniform { components: 100_000, changes: if self.quick() { 300_000 } else { 10_000_000 } }
    }

    fn edit(&self) -> Stream {
        Stream::Editing { changes: if self.quick() { 50_000 } else { 300_000 } }
    }

    /// The history of a stream, written when it is first asked for.
    fn history_of(&mut self, stream: Stream) -> Written {
        if let Some(written) = self.written.get(&stream) {
            return written.clone();
        }
        let started = Instant::now();
        let written = write_in_a_process(&self.place.fresh(), stream);
        eprintln!("{stream:?}: {} entries in {:.1} s", written.changes, started.elapsed().as_secs_f64());
        self.written.insert(stream, written.clone());
        written
    }

    fn add(
        &mut self,
        name: &'static str,
        rounds: Vec<f64>,
        unit: &'static str,
        target: f64,
        reduced: bool,
        beside: String,
    ) {
        let more_is_better = unit.ends_with("per s");
        self.table.add(Row { name, rounds, unit, target, more_is_better, reduced, beside }).unwrap();
    }

    fn bytes(&mut self) {
        if !self.wants("bytes") {
            return;
        }
        let reduced = self.quick();
        let rows = [
            ("bytes_log_w10k", "bytes_all_w10k", self.w10k()),
            ("bytes_log_edit", "bytes_all_edit", self.edit()),
        ];
        for (log_row, all_row, stream) in rows {
            let written = self.history_of(stream);
            let per_change = |bytes: u64| real(bytes) / real(written.changes);
            let log = bytes_of(&written.path, |name| name.starts_with("segment-") || name == "history");
            let checkpoints = bytes_of(&written.path, |name| name.starts_with("checkpoint-"));
            let catalog = bytes_of(&written.path, |name| name.starts_with("catalog"));
            let all = bytes_of(&written.path, |_| true);
            let beside = format!(
                "log {log}, checkpoints {checkpoints}, catalog {catalog}, {} entries",
                written.changes
            );
            self.add(log_row, vec![per_change(log)], "bytes", 16.0, reduced, beside.clone());
            self.add(all_row, vec![per_change(all)], "bytes", 32.0, reduced, beside);
        }
    }

    fn flows(&mut self) {
        let rows = [
            ("flow_1k", self.w1k(), 1.0, false),
            ("flow_10k", self.w10k(), 10.0, self.quick()),
            ("flow_100k", self.w100k(), 100.0, self.quick()),
        ];
        for (row, stream, target, reduced) in rows {
            if !self.wants(row) {
                continue;
            }
            let written = self.history_of(stream);
            let (times, p99) = self.whole_flows(&written, if self.quick() { 20 } else { 100 });
            self.add(row, times, "ms", target, reduced, format!("p99 {p99:.1} ms"));
        }
    }

    /// Milliseconds to the whole flow at random versions, nothing kept from one to the next.
    fn whole_flows(&self, written: &Written, count: usize) -> (Vec<f64>, f64) {
        let mut random = Random::seeded(7);
        let history = reopen(written);
        let times: Vec<f64> = (0..count)
            .map(|_| {
                let seq = Seq(random_version(&mut random, written));
                flow_history::forget_cached();
                let started = Instant::now();
                let flow = history.at(seq).unwrap().to_flow().unwrap();
                let elapsed = millis(started);
                assert!(!flow.is_empty());
                elapsed
            })
            .collect();
        let p99 = percentile(&times, 99.0);
        (times, p99)
    }

    fn open_read(&mut self) {
        let rows = [
            ("open_read_hot_w10k", "open_read_warm_w10k", "open_read_cold_w10k", self.w10k()),
            ("open_read_hot_w100k", "open_read_warm_w100k", "open_read_cold_w100k", self.w100k()),
        ];
        for (hot, warm, cold, stream) in rows {
            if ![hot, warm, cold].iter().any(|row| self.wants(row)) {
                continue;
            }
            let written = self.history_of(stream);
            let samples = if self.quick() { 60 } else { 300 };
            let mut random = Random::seeded(11);
            let history = reopen(&written);
            // Questions that have an answer: a component that is there at that version.
            let questions: Vec<(Seq, String)> = (0..samples)
                .map(|_| {
                    let seq = Seq(random_version(&mut random, &written));
                    (seq, some_component(&history, seq, &mut random))
                })
                .collect();
            let ask = |history: &History, (seq, id): &(Seq, String)| {
                let started = Instant::now();
                let component = history.at(*seq).unwrap().component(id).unwrap().unwrap();
                std::hint::black_box(component.fields.len());
                micros(started)
            };
            let reduced = self.quick();

            for question in &questions {
                ask(&history, question);
            }
            let times: Vec<f64> = questions
                .iter()
                .map(|question| {
                    ask(&history, question);
                    ask(&history, question)
                })
                .collect();
            let p99 = percentile(&times, 99.0);
            self.add(hot, times, "us", 5.0, reduced, format!("p99 {p99:.1} us, asked before"));

            let times: Vec<f64> = questions
                .iter()
                .map(|question| {
                    flow_history::forget_cached();
                    ask(&history, question)
                })
                .collect();
            let p99 = percentile(&times, 99.0);
            self.add(warm, times, "us", 300.0, reduced, format!("p99 {p99:.0} us, from the OS cache"));

            let floors = cold_floor(&self.place, &mut random, samples / 3);
            let times: Vec<f64> = questions
                .iter()
                .take(samples / 3)
                .map(|question| {
                    drop_os_cache(&written.path);
                    flow_history::forget_cached();
                    ask(&history, question)
                })
                .collect();
            let (p50, p99) = (median(&floors), percentile(&floors, 99.0));
            let ratios = times.iter().map(|time| time / p50).collect();
            let beside = format!(
                "p50 {:.0} us, p99 {:.0} us ({:.1} x the floor's p99); 16 KiB cold read p50 {p50:.0} us, p99 {p99:.0} us",
                median(&times),
                percentile(&times, 99.0),
                percentile(&times, 99.0) / p99,
            );
            self.add(cold, ratios, "x cold read", 10.0, reduced, beside);
        }
    }

    fn diff(&mut self) {
        if !self.wants("diff") {
            return;
        }
        let written = self.history_of(self.w10k());
        let mut random = Random::seeded(13);
        let history = reopen(&written);
        let ratios = (0..if self.quick() { 10 } else { 40 })
            .map(|_| {
                let (a, b) = (random_version(&mut random, &written), random_version(&mut random, &written));
                flow_history::forget_cached();
                let started = Instant::now();
                let difference = history.diff(a, b).unwrap();
                micros(started) / (1_000.0 + 2.0 * real(difference.components.len() as u64))
            })
            .collect();
        let beside = "of 1 ms + 2 us per changed component".to_owned();
        self.add("diff", ratios, "x allowance", 1.0, self.quick(), beside);
    }

    fn component_history(&mut self) {
        if !self.wants("component_history") {
            return;
        }
        let written = self.history_of(self.w10k());
        let mut random = Random::seeded(17);
        let history = reopen(&written);
        let head = history.version().seq();
        let times = (0..if self.quick() { 20 } else { 100 })
            .map(|_| {
                let id = some_component(&history, head, &mut random);
                flow_history::forget_cached();
                let started = Instant::now();
                let entries = history.entries().component(&id).newest_first().take(50).count();
                assert!(entries > 0);
                micros(started)
            })
            .collect();
        self.add(
            "component_history",
            times,
            "us",
            300.0,
            self.quick(),
            "50 entries, from the OS cache".to_owned(),
        );
    }

    fn log_page(&mut self) {
        if !self.wants("log_page") {
            return;
        }
        let written = self.history_of(self.w100k());
        let history = reopen(&written);
        let times = (0..30)
            .map(|_| {
                flow_history::forget_cached();
                let started = Instant::now();
                let entries = history.entries().newest_first().take(50).count();
                assert_eq!(entries, 50);
                millis(started)
            })
            .collect();
        let beside = format!("newest first, of {} entries", written.changes);
        self.add("log_page", times, "ms", 1.0, self.quick(), beside);
    }

    /// Milliseconds to open for writing what a killed process left.
    fn open_killed(&self, components: usize, changes: u64) -> Vec<f64> {
        (0..if self.quick() { 3 } else { 9 })
            .map(|_| {
                let path = self.place.fresh();
                let status = std::process::Command::new(std::env::current_exe().unwrap())
                    .env("FLOW_HISTORY_BENCH_KILLED", format!("{} {components} {changes}", path.display()))
                    .status();
                assert!(!status.unwrap().success(), "it was to be killed");
                let started = Instant::now();
                let history = History::open(&path).unwrap();
                let elapsed = millis(started);
                assert!(history.version().seq() > Seq(1_000));
                drop(history);
                std::fs::remove_dir_all(path).unwrap();
                elapsed
            })
            .collect()
    }
}

impl Bench {
    fn open_after_kill(&mut self) {
        if self.wants("open_after_kill") {
            let times = self.open_killed(10_000, if self.quick() { 200_000 } else { 1_000_000 });
            let beside = "w10k, killed after its last append".to_owned();
            self.add("open_after_kill", times, "ms", 20.0, self.quick(), beside);
        }
        if self.wants("open_growth") {
            let changes = if self.quick() { 300_000 } else { 10_000_000 };
            let small = median(&self.open_killed(10_000, 100_000));
            let large = self.open_killed(10_000, changes);
            let ratios = large.iter().map(|time| time / small).collect();
            let beside = format!("{changes} changes against 100,000, which take {small:.1} ms");
            self.add("open_growth", ratios, "x", 1.2, self.quick(), beside);
        }
    }

    fn rebuild_catalog(&mut self) {
        if !self.wants("rebuild_catalog") {
            return;
        }
        let written = self.history_of(self.w100k());
        let history = History::open(&written.path).unwrap();
        let times = (0..3)
            .map(|_| {
                flow_history::forget_cached();
                let started = Instant::now();
                history.rebuild_catalog().unwrap();
                started.elapsed().as_secs_f64()
            })
            .collect();
        history.close().unwrap();
        let beside = format!("{} entries, from footers", written.changes);
        self.add("rebuild_catalog", times, "s", 2.0, self.quick(), beside);
    }

    fn replay(&mut self) {
        for (row, target, beside) in [
            ("replay_2", 3e6, "w10k, two threads, checksums and chain"),
            ("replay_1", 2.5e6, "w10k, one thread, checksums"),
            ("replay_0", 0.0, "w10k, one thread, every check, every header: no target"),
        ] {
            if !self.wants(row) {
                continue;
            }
            let written = self.history_of(self.w10k());
            let rates = (0..if self.quick() { 2 } else { 5 })
                .map(|_| {
                    let started = Instant::now();
                    let log = Log::open(std::sync::Arc::new(FileStorage::read_only(&written.path))).unwrap();
                    let end = match row {
                        "replay_0" => {
                            let mut replay = Replay::from_the_start(&log);
                            replay.run_to(Seq(u64::MAX)).unwrap();
                            replay.state().seq
                        }
                        _ => {
                            let mut loose = Loose::of(&Folded::from(&log.start().unwrap()));
                            let end = log.ending().unwrap().seq;
                            match row {
                                "replay_2" => loose.run_checked(&log, end).unwrap(),
                                _ => loose.run_to(&log, end).unwrap(),
                            }
                            loose.into_folded().unwrap().seq()
                        }
                    };
                    assert_eq!(end, Seq(written.changes));
                    real(end.0) / started.elapsed().as_secs_f64()
                })
                .collect();
            self.add(row, rates, "changes per s", target, self.quick(), beside.to_owned());
        }
    }

    /// The 99th percentile of durable appends while a second history's worth of log is sealed and checkpointed, against
    /// the same without.
    fn append_while_sealing(&mut self) {
        if !self.wants("append_while_sealing") {
            return;
        }
        let count = if self.quick() { 3_000 } else { 20_000 };
        let mut busy = Tuning::default();
        busy.segment_bytes_first = 256 << 10;
        busy.segment_bytes_max = 256 << 10;
        busy.checkpoint_entries = 500;
        busy.checkpoint_bytes_percent = 0;
        let mut quiet = Tuning::default();
        quiet.derive_from_bytes = u64::MAX;
        quiet.seal = false;
        let ratios = (0..if self.quick() { 2 } else { 5 })
            .map(|_| {
                let p99 = |tuning: &Tuning| {
                    let path = self.place.fresh();
                    let history = Options::new().tuning(tuning.clone()).open(&path).unwrap();
                    write_steps(&history, Uniform::new(1_000, 10));
                    let alice = Author::user("alice");
                    history.change(&alice, "").add(Component::new("pump-1", "processor")).append().unwrap();
                    let value = "x".repeat(400);
                    let times: Vec<f64> = (0..count)
                        .map(|at| {
                            let started = Instant::now();
                            history
                                .change(&alice, "")
                                .set("pump-1", "note", format!("{at}{value}"))
                                .append()
                                .unwrap();
                            micros(started)
                        })
                        .collect();
                    history.close().unwrap();
                    std::fs::remove_dir_all(path).unwrap();
                    percentile(&times, 99.0)
                };
                p99(&busy) / p99(&quiet)
            })
            .collect();
        let beside = "segments of 256 KiB, a checkpoint every 500 entries".to_owned();
        self.add("append_while_sealing", ratios, "x p99 without", 2.0, self.quick(), beside);
    }

    fn frontier(&mut self) {
        if !self.wants("frontier") {
            return;
        }
        println!("| cadence | bytes per change | whole flow, median ms | p99 ms |");
        println!("|---|---|---|---|");
        for (name, factor) in [("four times as often", 4), ("default", 1), ("a quarter as often", 0)] {
            let mut tuning = Tuning::default();
            match factor {
                4 => tuning.checkpoint_bytes_percent /= 4,
                0 => tuning.checkpoint_bytes_percent *= 4,
                _ => {}
            }
            let written = write_stream(&self.place.fresh(), self.w10k(), tuning);
            let (times, p99) = self.whole_flows(&written, if self.quick() { 10 } else { 60 });
            let bytes = real(bytes_of(&written.path, |_| true)) / real(written.changes);
            println!("| {name} | {bytes:.2} | {:.2} | {p99:.2} |", median(&times));
            std::fs::remove_dir_all(&written.path).unwrap();
        }
    }
}

fn random_version(random: &mut Random, written: &Written) -> u64 {
    1 + random.below(written.changes)
}

/// The id of some component that is there at a version.
fn some_component(history: &History, seq: Seq, random: &mut Random) -> String {
    let flow = history.at(seq).unwrap().to_flow().unwrap();
    let at = random.index(flow.len());
    let (_, component) = flow.iter().nth(at).unwrap();
    component.id.to_string()
}

const TO_WRITE: &str = "FLOW_HISTORY_BENCH_WRITTEN";

/// Has a child of this program write a stream, with the defaults.
fn write_in_a_process(path: &Path, stream: Stream) -> Written {
    let told = match stream {
        Stream::Uniform { components, changes } => format!("{components} {changes}"),
        Stream::Editing { changes } => format!("0 {changes}"),
    };
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .env(TO_WRITE, format!("{} {told}", path.display()))
        .status();
    assert!(status.unwrap().success(), "the stream was not written");
    let changes = History::open_read_only(path).unwrap().version().seq().0;
    Written { path: path.to_owned(), changes }
}

/// That child.
fn write_and_close() {
    let Ok(told) = std::env::var(TO_WRITE) else { return };
    let mut told = told.split(' ');
    let path = Path::new(told.next().unwrap());
    let [components, changes]: [u64; 2] = std::array::from_fn(|_| told.next().unwrap().parse().unwrap());
    let stream = match usize::try_from(components).unwrap() {
        0 => Stream::Editing { changes },
        components => Stream::Uniform { components, changes },
    };
    write_stream(path, stream, Tuning::default());
    std::process::exit(0);
}

/// A child of this program: writes a stream, then is killed where it stands.
fn write_and_die() {
    let Ok(told) = std::env::var("FLOW_HISTORY_BENCH_KILLED") else { return };
    let mut told = told.split(' ');
    let (path, components) = (told.next().unwrap(), told.next().unwrap().parse().unwrap());
    let changes = told.next().unwrap().parse().unwrap();
    let durability = Durability::Buffered { max_delay: Duration::from_millis(100) };
    let history = Options::new().durability(durability).open(path).unwrap();
    write_steps(&history, Uniform::new(components, changes));
    history.flush().unwrap();
    // What is done in the background is done in any history that was open for a while.
    std::thread::sleep(Duration::from_secs(2));
    std::process::abort();
}

impl Bench {
    /// Everything on disk for a real history, against what git packs the same file into.
    fn real_sets(&mut self) {
        // As data/README.md has them: bytes after `git gc`.
        const SETS: [(&str, &str, f64); 3] = [
            ("real_randers", "randers-klimadata", 84e3),
            ("real_everest", "everest-two-evse", 14e3),
            ("real_dexi", "dexi", 19e3),
        ];
        let Ok(data) = std::env::var("FLOW_HISTORY_DATA").map(|data| Path::new(&data).join("node-red"))
        else {
            eprintln!("real_*: SKIPPED, FLOW_HISTORY_DATA does not say where real histories are");
            return;
        };
        for (row, set, git) in SETS {
            let from = data.join(set);
            if !self.wants(row) || !from.is_dir() {
                continue;
            }
            let path = self.place.fresh();
            import(&from, &path);
            let bytes = real(bytes_of(&path, |_| true));
            let beside = format!("{bytes} bytes, git {git}");
            self.table
                .add(Row {
                    name: row,
                    rounds: vec![bytes / git],
                    unit: "x git",
                    target: 1.0,
                    more_is_better: false,
                    reduced: false,
                    beside,
                })
                .unwrap();
        }
    }
}

/// Imports the revisions of a set in order.
fn import(from: &Path, to: &Path) {
    let history = History::open(to).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(from).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let importer = Author::service("import");
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "json")) {
        let Ok(text) = std::fs::read(file) else { continue };
        let base = history.at(flow_history::At::Head).unwrap().to_flow().unwrap();
        let Ok(after) = flow_history_formats::node_red::to_flow(&text, &base) else { continue };
        let operations = flow_history::operations_between(&base, &after);
        if !operations.is_empty() {
            let change = history.change(&importer, "").intent(flow_history::Intent::Import);
            change.operations(operations).append().unwrap();
        }
    }
    history.close().unwrap();
}
