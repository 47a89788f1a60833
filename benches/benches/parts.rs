//! Our own parts, each by itself: `cargo bench -p flow-history-benches --no-default-features --bench parts`.
#![allow(missing_docs, reason = "criterion makes a function that nobody documents")]
#![expect(clippy::unwrap_used, reason = "a bench stops where it fails")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flow_history::{
    Body, Chain, FileStorage, Flow, Header, HistoryId, Intent, Operation, Options, Seq, Slot, Timestamp,
};
use flow_history_benches::{Place, Random, STREAM_BEGINS, Step, Uniform};
use flow_history_checkpoint::{About, Checkpoint, encode};
use flow_history_replay::{Log, LogIndex, Replay, State};

const HISTORY: HistoryId = HistoryId([7; 16]);
const CHANGES: usize = 20_000;

/// The setup of a thousand components, and so many changes after it.
fn stream() -> (Vec<Step>, Vec<Step>) {
    let mut steps: Vec<Step> = Uniform::w1k().take(1 + CHANGES).collect();
    let changes = steps.split_off(1);
    (steps, changes)
}

fn flow_of(steps: &[Step]) -> Flow {
    let mut flow = Flow::new();
    steps.iter().for_each(|step| drop(flow.apply_all(&step.operations).unwrap()));
    flow
}

fn header(step: &Step) -> Header {
    Header::new(
        Arc::new(Step::author_of(step.author).clone()),
        Intent::Edit,
        Timestamp::from_millis(STREAM_BEGINS),
    )
}

fn entries(criterion: &mut Criterion) {
    let (setup, changes) = stream();
    let mut start = State::start(HISTORY);
    for step in &setup {
        start.push(&mut header(step), &Body::Change(step.operations.clone()), &mut Vec::new()).unwrap();
    }
    let mut group = criterion.benchmark_group("entry");
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("validate, apply, encode, chain: 1,000", |bencher| {
        let bodies: Vec<(Header, Body)> = changes
            .iter()
            .take(1_000)
            .map(|step| (header(step), Body::Change(step.operations.clone())))
            .collect();
        bencher.iter_batched(
            || (start.clone(), bodies.clone(), Vec::with_capacity(1 << 20)),
            |(mut state, mut bodies, mut bytes)| {
                for (header, body) in &mut bodies {
                    bytes.clear();
                    state.push(header, body, &mut bytes).unwrap();
                }
                state
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("apply: 1,000", |bencher| {
        let flow = flow_of(&setup);
        let operations: Vec<Operation> =
            changes.iter().take(1_000).flat_map(|step| step.operations.clone()).collect();
        bencher.iter_batched(
            || flow.clone(),
            |mut flow| {
                operations.iter().for_each(|operation| drop(flow.apply(operation).unwrap()));
                flow
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
    criterion.bench_function("chain: 64 bytes", |bencher| {
        let chain = Chain::start(HISTORY);
        bencher.iter(|| black_box(chain).after(black_box(&[3; 64])));
    });
    criterion.bench_function("state hash: 1,000 components", |bencher| {
        bencher.iter_batched(|| flow_of(&setup), |flow| flow.state_hash(), BatchSize::LargeInput);
    });
}

fn pages(criterion: &mut Criterion) {
    let (setup, _) = stream();
    let flow = flow_of(&setup);
    let about = About { history: [7; 16], sequence: 1, chain: [9; 32] };
    criterion.bench_function("checkpoint of 1,000 components: encode", |bencher| {
        bencher.iter(|| encode(&flow, &about, b"").unwrap());
    });
    let bytes = encode(&flow, &about, b"").unwrap();
    let slots: Vec<Slot> = flow.iter().map(|(slot, _)| slot).collect();
    let mut random = Random::seeded(1);
    criterion.bench_function("checkpoint of 1,000 components: one page, one component", |bencher| {
        let checkpoint = Checkpoint::open(bytes.as_slice()).unwrap();
        bencher.iter(|| checkpoint.component_in(slots[random.index(slots.len())]).unwrap().unwrap());
    });
}

fn files(criterion: &mut Criterion) {
    let place = Place::new().unwrap();
    let path = place.fresh();
    let history = Options::new()
        .durability(flow_history::Durability::Buffered { max_delay: Duration::from_millis(100) })
        .open(&path)
        .unwrap();
    let (setup, changes) = stream();
    let mut millis = STREAM_BEGINS;
    for step in setup.into_iter().chain(changes) {
        step.append_to(&history, &mut millis).unwrap();
    }
    history.close().unwrap();
    let log = Log::open(Arc::new(FileStorage::read_only(&path))).unwrap();
    let mut random = Random::seeded(2);
    criterion.bench_function("sealed: index, one block inflated, one entry decoded", |bencher| {
        bencher.iter(|| {
            let index = LogIndex::of(&log).unwrap();
            index.entry(Seq(2 + random.below(CHANGES as u64 - 2))).unwrap().unwrap()
        });
    });
    let mut group = criterion.benchmark_group("sealed");
    group.sample_size(20).throughput(Throughput::Elements(CHANGES as u64));
    group.bench_function("replay with every check: 20,000", |bencher| {
        bencher.iter(|| {
            let mut replay = Replay::from_the_start(&log);
            replay.run_to(Seq(u64::MAX)).unwrap();
            replay.state().seq
        });
    });
    group.finish();
}

criterion_group!(parts, entries, pages, files);
criterion_main!(parts);
