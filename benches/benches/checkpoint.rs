//! Checkpoints in memory: `cargo bench -p flow-history-benches --bench checkpoint -- [--json FILE] [--quick] [ROW...]`.
//!
//! The flow of a stream after its setup and some changes, written as a checkpoint and read again: whole, and one
//! component at random. What a checkpoint takes for each change is measured at four cadences, each sharing pages with
//! the one before.
#![expect(clippy::unwrap_used, reason = "a bench stops where it fails")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use flow_history::{Flow, Slot};
use flow_history_benches::{Editing, Random, Row, Settings, Step, Table, Uniform};
use flow_history_checkpoint::{About, Checkpoint, encode, encode_after};

fn main() {
    let settings = Settings::from_arguments(std::env::args());
    let mut table = Table::new("checkpoint", &settings).unwrap();
    for (size, components, target) in [("1k", 1_000, 1.0), ("10k", 10_000, 5.0), ("100k", 100_000, 60.0)] {
        if ["bytes", "encode", "whole", "one", "id"]
            .iter()
            .any(|row| settings.wants(&format!("{row}_{size}")))
        {
            reading(size, components, target, &settings, &mut table);
        }
    }
    for (stream, steps) in streams() {
        for cadence in [2_500, 25_000, 50_000, 100_000] {
            if settings.wants(&format!("each_{stream}")) {
                cadences(stream, &steps, cadence, &settings, &mut table);
            }
        }
    }
    table.print().unwrap();
}

fn about(sequence: u64) -> About {
    About { history: [7; 16], sequence, chain: [9; 32] }
}

/// The figures of one size: a name, what it is in, what it should be.
fn add(table: &mut Table, name: String, rounds: Vec<f64>, unit: &'static str, target: f64, beside: String) {
    // Names of rows live as long as the program, which is as long as the table.
    let name: &'static str = name.leak();
    let row = Row { name, rounds, unit, target, more_is_better: false, reduced: false, beside };
    table.add(row).unwrap();
}

fn reading(size: &str, components: usize, target: f64, settings: &Settings, table: &mut Table) {
    let mut flow = Flow::new();
    for step in Uniform::new(components, 5 * components as u64) {
        flow.apply_all(&step.operations).unwrap();
    }
    let rounds = if settings.quick { 5 } else { 21 };
    let mut bytes = Vec::new();
    let mut encodes = Vec::new();
    for _ in 0..rounds.min(7) {
        let started = Instant::now();
        bytes = encode(&flow, &about(1), b"attachment").unwrap();
        encodes.push(started.elapsed().as_secs_f64() * 1e3);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
    let length = bytes.len() as f64;
    let beside = format!("{} components, {} slots", flow.len(), flow.next_slot().0);
    add(table, format!("bytes_{size}"), vec![length / 1e3], "kB", f64::INFINITY, beside.clone());
    add(table, format!("encode_{size}"), encodes, "ms", f64::INFINITY, beside.clone());

    let checkpoint = Checkpoint::open(bytes).unwrap();
    let mut whole = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let read = checkpoint.to_flow().unwrap();
        whole.push(started.elapsed().as_secs_f64() * 1e3);
        assert_eq!(read.len(), flow.len());
    }
    add(table, format!("whole_{size}"), whole, "ms", target, beside.clone());

    let slots: Vec<Slot> = flow.iter().map(|(slot, _)| slot).collect();
    let mut random = Random::seeded(1);
    let mut one = Vec::new();
    for _ in 0..rounds {
        const READS: usize = 200;
        let wanted: Vec<Slot> =
            (0..READS).filter_map(|_| slots.get(random.index(slots.len())).copied()).collect();
        let started = Instant::now();
        for slot in &wanted {
            black_box(checkpoint.component_in(*slot).unwrap().unwrap());
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of reads")]
        one.push(started.elapsed().as_secs_f64() * 1e6 / READS as f64);
    }
    add(table, format!("one_{size}"), one, "us", 300.0, beside);
}

/// Each stream, by name.
fn streams() -> Vec<(&'static str, Vec<Step>)> {
    const CHANGES: u64 = 425_000;
    vec![("w10k", Uniform::new(10_000, CHANGES).collect()), ("edit", Editing::new(CHANGES).collect())]
}

fn cadences(stream: &str, steps: &[Step], cadence: usize, settings: &Settings, table: &mut Table) {
    let setup = steps.len() % 25_000;
    let (setup, changes) = steps.split_at(setup);
    let mut flow = Flow::new();
    setup.iter().for_each(|step| drop(flow.apply_all(&step.operations).unwrap()));
    let mut files: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let (mut alone, mut sharing) = (Vec::new(), Vec::new());
    let rounds = if settings.quick { 2 } else { 4 };
    for (steps, sequence) in changes.chunks(cadence).take(1 + rounds).zip(1..) {
        steps.iter().for_each(|step| drop(flow.apply_all(&step.operations).unwrap()));
        let newest = files.last_key_value().map(|(_, newest)| newest.as_slice());
        let basis = newest.map(|newest| Checkpoint::open(newest).unwrap().basis());
        let whole = encode(&flow, &about(sequence), b"").unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
        let per_change = |bytes: &[u8]| bytes.len() as f64 / cadence as f64;
        let bytes = match basis {
            Some(basis) => {
                let bytes = encode_after(&flow, &about(sequence), b"", &basis, |_| true).unwrap();
                alone.push(per_change(&whole));
                sharing.push(per_change(&bytes));
                bytes
            }
            None => whole,
        };
        files.insert(sequence, bytes);
        let newest = files.last_key_value().map(|(_, newest)| newest.as_slice()).unwrap();
        let open = |file: u64| files.get(&file).map(Vec::as_slice);
        let read = Checkpoint::open_with(newest, open).unwrap().verify().unwrap();
        assert_eq!(read.state_hash(), flow.state_hash());
    }
    let name = format!("each_{stream}_{cadence}");
    let beside = format!("{:.1} without sharing", flow_history_benches::median(&alone));
    add(table, name, sharing, "bytes a change", 16.0, beside);
}
