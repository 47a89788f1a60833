//! The append path against its floor: `cargo bench -p flow-history-benches --bench append -- [--json FILE] [--quick] [ROW...]`.
//!
//! The floor is what the disk itself takes: 256 bytes written at an advancing place of a file that was written before,
//! in pieces as a segment is, then fdatasync: one write and one sync, of as many bytes as ours. It is measured between the
//! rounds of every durable row, because shared disks drift.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a bench stops where it fails")]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use flow_history::{Author, Component, Durability, History, Options, Tuning};
use flow_history_benches::plain::{PlainFlow, changes_of};
use flow_history_benches::{
    Floor, Place, Row, STREAM_BEGINS, Settings, Step, Table, Uniform, bytes_in, median, percentile,
};

fn main() {
    let settings = Settings::from_arguments(std::env::args());
    let mut table = Table::new("append", &settings).unwrap();
    let place = Place::new().unwrap();
    if settings.wants("stamp") {
        stamp(&place, &settings, &mut table);
    }
    if settings.wants("durable_1") {
        durable_1(&place, &settings, &mut table);
    }
    if settings.wants("durable_16") {
        durable_16(&place, &settings, &mut table);
    }
    if settings.wants("pipelined") {
        pipelined(&place, &settings, &mut table);
    }
    if settings.wants("buffered") {
        buffered(&place, &settings, &mut table);
    }
    if settings.wants("switch_p99") {
        switch_p99(&place, &settings, &mut table);
    }
    if settings.wants("flow_growth") {
        flow_growth(&place, &settings, &mut table);
    }
    if settings.wants("append_growth") {
        append_growth(&place, &settings, &mut table);
    }
    table.print().unwrap();
}

/// A history with one component, whose changes are about 256 bytes on the disk.
fn small_history(place: &Place, tuning: Tuning) -> History {
    let history = Options::new().tuning(tuning).open(place.fresh()).unwrap();
    let pump = Component::new("pump-1", "processor").field("note", "x");
    history.change(&Author::user("alice"), "").add(pump).append().unwrap();
    history
}

fn note(round: u32) -> String {
    format!("{round:0>140}")
}

/// Checkpoints would measure something else here.
fn without_checkpoints() -> Tuning {
    let mut tuning = Tuning::default();
    tuning.derive_from_bytes = u64::MAX;
    tuning
}

fn durable_1(place: &Place, settings: &Settings, table: &mut Table) {
    // Many short rounds: a disk changes its speed from second to second, and what a round is compared with lies beside it.
    let (rounds, count) = if settings.quick { (25, 100) } else { (75, 200) };
    let alice = Author::user("alice");
    let history = small_history(place, without_checkpoints());
    let mut floor = Floor::new(place).unwrap();
    let mut ratios = Vec::new();
    let mut floors = Vec::new();
    for round in 0..rounds {
        let before = floor.rate(count).unwrap();
        // Making up what is written is not what is measured: the floor writes what it has.
        let notes: Vec<String> = (0..count).map(|at| note(round * count + at)).collect();
        let started = Instant::now();
        for note in notes {
            history.change(&alice, "").set("pump-1", "note", note).append().unwrap();
        }
        let ours = f64::from(count) / started.elapsed().as_secs_f64();
        let after = floor.rate(count).unwrap();
        ratios.push(ours / f64::midpoint(before, after));
        floors.push(f64::midpoint(before, after));
    }
    let beside = format!("floor {:.0} syncs per s", median(&floors));
    table
        .add(Row {
            name: "durable_1",
            rounds: ratios,
            unit: "x floor",
            target: 0.95,
            more_is_better: true,
            reduced: settings.quick,
            beside,
        })
        .unwrap();
}

/// Appends from 16 threads for a while; acknowledgements and syncs a second.
fn sixteen(place: &Place, tuning: Tuning, each: u32) -> (f64, f64) {
    let history = small_history(place, tuning);
    let syncs_before = history.stats().syncs;
    let barrier = Arc::new(Barrier::new(17));
    let threads: Vec<_> = (0..16)
        .map(|thread| {
            let (history, barrier) = (history.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let author = Author::user(&format!("user-{thread}"));
                let notes: Vec<String> = (0..each).map(note).collect();
                barrier.wait();
                for note in notes {
                    history.change(&author, "").set("pump-1", "note", note).append().unwrap();
                }
            })
        })
        .collect();
    barrier.wait();
    let started = Instant::now();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let elapsed = started.elapsed().as_secs_f64();
    let acknowledged = f64::from(16 * each);
    let syncs = history.stats().syncs - syncs_before;
    #[expect(clippy::cast_precision_loss, reason = "a count of syncs")]
    let per_sync = acknowledged / syncs as f64;
    (acknowledged / elapsed, per_sync)
}

fn durable_16(place: &Place, settings: &Settings, table: &mut Table) {
    let (rounds, each) = if settings.quick { (5, 150) } else { (11, 600) };
    let mut without_wait = without_checkpoints();
    without_wait.rejoin_wait = Duration::ZERO;
    let (mut acks, mut gains, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (rate, per_sync) = sixteen(place, without_checkpoints(), each);
        let (rate_without, per_sync_without) = sixteen(place, without_wait.clone(), each);
        acks.push(per_sync);
        gains.push(rate / rate_without);
        plain.push(per_sync_without);
    }
    let beside = format!("{:.1} without the wait", median(&plain));
    let reduced = settings.quick;
    table
        .add(Row {
            name: "durable_16_acks",
            rounds: acks,
            unit: "acks per sync",
            target: 15.0,
            more_is_better: true,
            reduced,
            beside,
        })
        .unwrap();
    table
        .add(Row {
            name: "durable_16_gain",
            rounds: gains,
            unit: "x without wait",
            target: 1.15,
            more_is_better: true,
            reduced,
            beside: "the same engine without the wait".to_owned(),
        })
        .unwrap();
}

fn pipelined(place: &Place, settings: &Settings, table: &mut Table) {
    const IN_FLIGHT: usize = 1_000;
    let (rounds, count) = if settings.quick { (3, 100_000) } else { (7, 400_000) };
    let alice = Author::user("alice");
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let history = small_history(place, without_checkpoints());
        let notes: Vec<String> = (0..64).map(note).collect();
        let started = Instant::now();
        let mut waiting = VecDeque::with_capacity(IN_FLIGHT);
        for at in 0..count {
            let value = notes.get(at % notes.len()).cloned().unwrap_or_default();
            let ticket = history.change(&alice, "").set("pump-1", "note", value).submit().unwrap();
            waiting.push_back(ticket);
            if waiting.len() >= IN_FLIGHT
                && let Some(oldest) = waiting.pop_front()
            {
                oldest.wait().unwrap();
            }
        }
        for ticket in waiting {
            ticket.wait().unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of changes")]
        rates.push(count as f64 / started.elapsed().as_secs_f64());
        history.close().unwrap();
    }
    table
        .add(Row {
            name: "pipelined",
            rounds: rates,
            unit: "changes per s",
            target: 400_000.0,
            more_is_better: true,
            reduced: settings.quick,
            beside: "1,000 in flight, every one durable".to_owned(),
        })
        .unwrap();
}

fn buffered_history(place: &Place) -> (PathBuf, History) {
    let path = place.fresh();
    let durability = Durability::Buffered { max_delay: Duration::from_millis(100) };
    let history = Options::new().durability(durability).tuning(without_checkpoints()).open(&path).unwrap();
    (path, history)
}

/// Appends the setup of a stream, then so many of its changes, timed.
fn append_stream(history: &History, stream: &mut Uniform, setup: usize, count: usize) -> f64 {
    let mut millis = STREAM_BEGINS;
    let mut append = |step: Step| {
        step.append_to(history, &mut millis).unwrap();
    };
    stream.by_ref().take(setup).for_each(&mut append);
    // Making up the stream is not what is measured; it is made in slices that fit a cache.
    let mut elapsed = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let slice: Vec<Step> = stream.by_ref().take(left.min(2_000)).collect();
        if slice.is_empty() {
            break;
        }
        left -= slice.len();
        let mut steps = slice.into_iter();
        let started = Instant::now();
        steps.by_ref().for_each(&mut append);
        elapsed += started.elapsed();
        // Nor is giving back the memory of a slice, which has the allocator tidy up what it put off.
        drop(steps);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of changes")]
    let rate = (count - left) as f64 / elapsed.as_secs_f64();
    rate
}

fn buffered(place: &Place, settings: &Settings, table: &mut Table) {
    let (rounds, count) = if settings.quick { (3, 200_000) } else { (5, 1_000_000) };
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (path, history) = buffered_history(place);
        rates.push(append_stream(&history, &mut Uniform::w10k(), 10, count));
        history.close().unwrap();
        std::fs::remove_dir_all(path).unwrap();
    }
    table
        .add(Row {
            name: "buffered",
            rounds: rates,
            unit: "changes per s",
            target: 1_000_000.0,
            more_is_better: true,
            reduced: settings.quick,
            beside: "w10k, full engine work".to_owned(),
        })
        .unwrap();
}

/// What this thread spent on a processor, in nanoseconds. Two readers and a writer share what may be two cores: the time
/// on the clock would say how long a reader waited for its turn.
fn nanos_on_processor() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    times.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap()
}

/// What an addition costs that needs the result of the one before: a cycle of this machine as it runs now.
fn nanos_a_cycle() -> f64 {
    const ADDITIONS: u32 = 50_000_000;
    let started = Instant::now();
    let mut sum = 0_u32;
    for _ in 0..ADDITIONS {
        // Two steps that depend on each other, so that no compiler folds the loop.
        sum = (sum ^ std::hint::black_box(1)).wrapping_add(1);
    }
    std::hint::black_box(sum);
    started.elapsed().as_secs_f64() * 1e9 / f64::from(ADDITIONS) / 2.0
}

fn stamp(place: &Place, settings: &Settings, table: &mut Table) {
    const READS: u32 = 20_000_000;
    let rounds = if settings.quick { 3 } else { 9 };
    let mut nanos = Vec::new();
    for _ in 0..rounds {
        let history = small_history(place, without_checkpoints());
        let done = Arc::new(AtomicBool::new(false));
        let writer = {
            let (history, done) = (history.clone(), Arc::clone(&done));
            thread::spawn(move || {
                let alice = Author::user("alice");
                let mut at = 0;
                while !done.load(Ordering::Relaxed) {
                    history.change(&alice, "").set("pump-1", "note", note(at)).append().unwrap();
                    at += 1;
                }
            })
        };
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let history = history.clone();
                thread::spawn(move || {
                    let started = nanos_on_processor();
                    let mut seen = 0_u64;
                    for _ in 0..READS {
                        seen ^= std::hint::black_box(history.version()).to_words().0;
                    }
                    std::hint::black_box(seen);
                    (nanos_on_processor() - started) / f64::from(READS)
                })
            })
            .collect();
        let each: Vec<f64> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        nanos.push(median(&each));
    }
    table
        .add(Row {
            name: "stamp",
            rounds: nanos,
            unit: "ns per read",
            target: 2.0,
            more_is_better: false,
            reduced: settings.quick,
            beside: format!(
                "2 readers while a writer appends, time on a processor; a cycle takes {:.2} ns here",
                nanos_a_cycle()
            ),
        })
        .unwrap();
}

fn switch_p99(place: &Place, settings: &Settings, table: &mut Table) {
    // Changes of 4 KiB reach the tenth switch, 36 MiB on, in some ten thousand appends.
    let rounds = if settings.quick { 1 } else { 3 };
    let segments = if settings.quick { 7 } else { 12 };
    let value = "x".repeat(4_000);
    let alice = Author::user("alice");
    let mut ratios = Vec::new();
    let mut switches = 0;
    for _ in 0..rounds {
        let history = small_history(place, without_checkpoints());
        let mut floor = Floor::new(place).unwrap();
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        while history.stats().segments < segments {
            for _ in 0..50 {
                let started = Instant::now();
                history.change(&alice, "").set("pump-1", "note", value.as_str()).append().unwrap();
                ours.push(started.elapsed().as_secs_f64());
                let started = Instant::now();
                floor.write(4_096).unwrap();
                floors.push(started.elapsed().as_secs_f64());
            }
        }
        switches = history.stats().segments - 1;
        ratios.push(percentile(&ours, 99.0) / percentile(&floors, 99.0));
    }
    table
        .add(Row {
            name: "switch_p99",
            rounds: ratios,
            unit: "x floor's p99",
            target: 2.0,
            more_is_better: false,
            reduced: settings.quick,
            beside: format!("{switches} switches, 4 KiB changes, floor 4 KiB"),
        })
        .unwrap();
}

fn flow_growth(place: &Place, settings: &Settings, table: &mut Table) {
    let (rounds, count) = if settings.quick { (3, 50_000) } else { (5, 200_000) };
    let mut ratios = Vec::new();
    // Nanoseconds for each change: ours, then a plain map, each at 1,000 and at 100,000 components.
    let mut nanos: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        let ours = |components: usize| {
            let (path, history) = buffered_history(place);
            let mut stream = Uniform::new(components, u64::MAX);
            let rate = append_stream(&history, &mut stream, components / 1_000, count);
            history.close().unwrap();
            std::fs::remove_dir_all(path).unwrap();
            1e9 / rate
        };
        let round = [ours(1_000), ours(100_000), in_plain_map(1_000, count), in_plain_map(100_000, count)];
        ratios.push(round[1] / round[0]);
        nanos.iter_mut().zip(round).for_each(|(all, of_round)| all.push(of_round));
    }
    let [small, large, plain_small, plain_large] = nanos.map(|all| median(&all));
    let beside = format!(
        "buffered appends at 100,000 components; {small:.0} and {large:.0} ns, a plain hash map of the same components {plain_small:.0} \
         and {plain_large:.0}: what that alone takes more would make {:.2} x of ours",
        (small + plain_large - plain_small) / small
    );
    table
        .add(Row {
            name: "flow_growth",
            rounds: ratios,
            unit: "x cost at 1,000",
            target: 1.2,
            more_is_better: false,
            reduced: settings.quick,
            beside,
        })
        .unwrap();
}

/// Nanoseconds to apply a change of the same stream to components in a hash map, by name, with their fields in a row: no
/// structure that is changed in place has fewer places of memory to go to.
fn in_plain_map(components: usize, count: usize) -> f64 {
    let mut flow = PlainFlow::new();
    let mut stream = changes_of(Uniform::new(components, u64::MAX));
    stream.by_ref().take(components / 1_000).for_each(|change| change.plain.apply(&mut flow));
    let (mut elapsed, mut left) = (Duration::ZERO, count);
    while left > 0 {
        let slice: Vec<_> = stream.by_ref().take(left.min(2_000)).collect();
        left -= slice.len();
        let started = Instant::now();
        slice.iter().for_each(|change| change.plain.apply(&mut flow));
        elapsed += started.elapsed();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of changes")]
    let nanos = elapsed.as_secs_f64() * 1e9 / count as f64;
    nanos
}

fn append_growth(place: &Place, settings: &Settings, table: &mut Table) {
    let (early, late) = if settings.quick { (50_000, 500_000) } else { (100_000, 10_000_000) };
    let (rounds, slice) = (15, 20_000);
    let history_of = |entries: usize| {
        let (path, history) = buffered_history(place);
        let mut stream = Uniform::new(10_000, u64::MAX);
        append_stream(&history, &mut stream, 10, entries);
        history.flush().unwrap();
        (path, history, stream)
    };
    let (mut long, mut short) = (history_of(late), history_of(early));
    // In turns: a machine changes its speed within the time that ten million appends take.
    let ratios = (0..rounds)
        .map(|_| {
            let [rate_short, rate_long] =
                [&mut short, &mut long].map(|(_, history, stream)| append_stream(history, stream, 0, slice));
            rate_short / rate_long
        })
        .collect();
    for (path, history, _) in [long, short] {
        history.close().unwrap();
        eprintln!("append_growth: {} bytes of log", bytes_in(&path, |_| true).unwrap());
        std::fs::remove_dir_all(path).unwrap();
    }
    table
        .add(Row {
            name: "append_growth",
            rounds: ratios,
            unit: "x cost early on",
            target: 1.1,
            more_is_better: false,
            reduced: settings.quick,
            beside: format!("at {late} entries against {early}"),
        })
        .unwrap();
}
