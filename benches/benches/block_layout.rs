//! How the blocks of a sealed segment should be laid out: bytes a change and time to inflate, of rows and of columns, by
//! size of block and level of zstd, on both streams. `--quick` does a tenth; `--defaults` only what the library does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints and fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use flow_history::Operation;
use flow_history_benches::{Editing, Random, Step, Uniform, median};
use flow_history_replay::{
    Body, Chain, FRAME_HEADER_BYTES, FileName, FrameKind, Header, HistoryId, Identity, Intent, Log, LogIndex,
    MemorySource, Sealing, SegmentHeader, SegmentReason, Seq, State, Timestamp, encode_frame, seal,
};

const SEGMENT_BYTES: usize = 4 << 20;
const HISTORY: HistoryId = HistoryId([7; 16]);

/// A raw log of a stream in memory, and its canonical bytes, segment by segment.
struct Raw {
    files: BTreeMap<String, Vec<u8>>,
    segments: Vec<Vec<Vec<u8>>>,
    changes: usize,
}

/// Makes a stream into a log.
type Stream = Box<dyn Fn() -> Raw>;

struct Writing {
    header: SegmentHeader,
    bytes: Vec<u8>,
    entries: Vec<Vec<u8>>,
    frame: Vec<u8>,
    in_frame: u32,
    first: Seq,
}

impl Writing {
    fn begin(number: u64, state: &State) -> Self {
        let mut salt = [3; 16];
        salt[0] = u8::try_from(number).unwrap_or_default();
        let header = SegmentHeader {
            history: HISTORY,
            number,
            reason: if number == 1 { SegmentReason::First } else { SegmentReason::Full },
            first_seq: state.seq.next().unwrap(),
            chain: state.chain,
            salt,
            log_time: state.log_time,
        };
        let (bytes, first) = (header.encode(), header.first_seq);
        Self { header, bytes, entries: Vec::new(), frame: vec![0; FRAME_HEADER_BYTES], in_frame: 0, first }
    }

    fn frame(&mut self, state: &State, kind: FrameKind) {
        let first = if kind == FrameKind::Entries { self.first } else { state.seq.next().unwrap() };
        let synced = self.first.previous().unwrap_or_default();
        let offset = self.bytes.len() as u64;
        let about = (kind, self.in_frame, first);
        encode_frame(&mut self.frame, about, synced, &state.chain, &self.header, offset);
        self.bytes.append(&mut self.frame);
        (self.frame, self.in_frame, self.first) = (vec![0; FRAME_HEADER_BYTES], 0, state.seq.next().unwrap());
    }
}

fn raw(steps: impl Iterator<Item = Step>) -> Raw {
    let authors = Step::authors().map(Arc::new);
    let (mut state, mut now, mut changes) = (State::start(HISTORY), 1_795_334_400_000_i64, 0);
    let mut writing = Writing::begin(1, &state);
    let (mut files, mut segments) = (BTreeMap::new(), Vec::new());
    for step in steps {
        now += i64::from(step.gap_millis);
        let author = Arc::clone(&authors[usize::from(step.author)]);
        let mut header = Header::new(author, Intent::Edit, Timestamp::from_millis(now));
        let mut canonical = Vec::new();
        let before = state.clone();
        let body = Body::Change(step.operations);
        state.push(&mut header, &body, &mut canonical).unwrap();
        if writing.bytes.len() + writing.frame.len() + canonical.len() > SEGMENT_BYTES
            && !writing.entries.is_empty()
        {
            if writing.in_frame > 0 {
                writing.frame(&before, FrameKind::Entries);
            }
            let number = writing.header.number;
            files.insert(FileName::RawSegment(number).to_string(), std::mem::take(&mut writing.bytes));
            segments.push(std::mem::take(&mut writing.entries));
            writing = Writing::begin(number + 1, &before);
        }
        writing.frame.extend(u32::try_from(canonical.len()).unwrap().to_le_bytes());
        writing.frame.extend(&canonical);
        writing.entries.push(canonical);
        writing.in_frame += 1;
        changes += 1;
        if writing.in_frame == 32 {
            writing.frame(&state, FrameKind::Entries);
        }
    }
    if writing.in_frame > 0 {
        writing.frame(&state, FrameKind::Entries);
    }
    writing.frame(&state, FrameKind::Closed);
    let number = writing.header.number;
    files.insert(FileName::RawSegment(number).to_string(), writing.bytes);
    segments.push(writing.entries);
    let identity =
        Identity { history: HISTORY, first_segment: 1, last_segment: number, created: 0, reaches: state.seq };
    files.insert(FileName::Identity.to_string(), identity.encode());
    assert_ne!(state.chain, Chain::start(HISTORY));
    Raw { files, segments, changes }
}

/// Rows: the entries of a block one behind the other, as frames hold them, in one run of zstd; nothing else of a file.
fn rows(raw: &Raw, block_bytes: usize, level: i32, dictionary_bytes: usize) -> (f64, f64) {
    let (mut stored, mut micros) = (0, Vec::new());
    for segment in &raw.segments {
        let mut blocks = vec![Vec::new()];
        for entry in segment {
            if blocks.last().unwrap().len() + entry.len() > block_bytes && !blocks.last().unwrap().is_empty()
            {
                blocks.push(Vec::new());
            }
            let block: &mut Vec<u8> = blocks.last_mut().unwrap();
            block.push(u8::try_from(entry.len()).unwrap_or(255));
            block.extend(entry);
        }
        let dictionary = match dictionary_bytes {
            0 => Vec::new(),
            // A piece of every so many blocks: what zstd trains is little better where values are random.
            bytes => {
                let piece = bytes / blocks.len().min(16);
                let chosen = blocks.iter().step_by(blocks.len().div_ceil(16));
                chosen.flat_map(|block| block.iter().take(piece).copied()).collect()
            }
        };
        let mut compressor = zstd::bulk::Compressor::with_dictionary(level, &dictionary).unwrap();
        let mut decompressor = zstd::bulk::Decompressor::with_dictionary(&dictionary).unwrap();
        stored += dictionary.len();
        for block in &blocks {
            let small = compressor.compress(block).unwrap();
            stored += small.len();
            let begin = Instant::now();
            let out = decompressor.decompress(&small, block.len()).unwrap();
            micros.push(begin.elapsed().as_secs_f64() * 1e6);
            assert_eq!(out.len(), block.len());
        }
    }
    (stored as f64 / raw.changes as f64, median(&micros))
}

struct Figures {
    bytes: f64,
    blocks: f64,
    indexes: f64,
    inflate: f64,
    resolve: f64,
    entry: f64,
    seal_seconds: f64,
}

fn columns(raw: &Raw, sealing: &Sealing) -> Figures {
    let mut files = raw.files.clone();
    let begin = Instant::now();
    for at in 0..raw.segments.len() {
        let bytes = {
            let log = Log::open(Arc::new(MemorySource(files.clone()))).unwrap();
            seal(&log, at, sealing, &mut || {}).unwrap()
        };
        files.remove(&FileName::RawSegment(at as u64 + 1).to_string());
        files.insert(FileName::SealedSegment(at as u64 + 1).to_string(), bytes);
    }
    let seal_seconds = begin.elapsed().as_secs_f64();
    let stored: usize =
        files.iter().filter(|(name, _)| name.ends_with(".sealed")).map(|(_, it)| it.len()).sum();
    let log = Log::open(Arc::new(MemorySource(files))).unwrap();
    let parts = log.segments().iter().map(|segment| segment.sealed.as_ref().unwrap().part_bytes().unwrap());
    let [chains, heads, ids, bodies] =
        parts.fold([0; 4], |sum, parts| std::array::from_fn(|at| sum[at] + parts[at]));
    let per = |bytes: u64| bytes as f64 / raw.changes as f64;
    println!(
        "    chains {:.2}  heads {:.2}  ids {:.2}  bodies {:.2}  the rest {:.2}",
        per(chains),
        per(heads),
        per(ids),
        per(bodies),
        per(stored as u64 - chains - heads - ids - bodies)
    );
    // The chain behind the last entry of a block is known once the block is inflated.
    let mut inflate = Vec::new();
    for segment in log.segments() {
        for first in segment.sealed.as_ref().unwrap().blocks().unwrap().skip(1) {
            let begin = Instant::now();
            log.chain_at(first.previous().unwrap()).unwrap().unwrap();
            inflate.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    let (mut random, mut resolve, mut entry) = (Random::seeded(1), Vec::new(), Vec::new());
    let index = LogIndex::of(&log).unwrap();
    let last = index.last_seq().0;
    for _ in 0..1_000 {
        let seq = Seq(1 + random.below(last));
        let begin = Instant::now();
        log.chain_at(seq).unwrap().unwrap();
        resolve.push(begin.elapsed().as_secs_f64() * 1e6);
        let begin = Instant::now();
        let found = index.entry(seq).unwrap().unwrap();
        entry.push(begin.elapsed().as_secs_f64() * 1e6);
        assert_eq!(found.seq, seq);
    }
    let indexes = per(stored as u64 - heads - ids - bodies);
    Figures {
        bytes: per(stored as u64),
        blocks: per(heads + ids + bodies),
        indexes,
        inflate: median(&inflate),
        resolve: median(&resolve),
        entry: median(&entry),
        seal_seconds,
    }
}

/// What no way to write down a stream can be shorter than, for those that are random throughout.
fn floor(steps: impl Iterator<Item = Step>) -> f64 {
    let (mut bits, mut changes) = (0.0, 0.0_f64);
    let letters = |text: &str| 26_f64.log2() * text.len() as f64;
    for step in steps {
        bits += 5_f64.log2() + 60_001_f64.log2();
        changes += 1.0;
        for operation in &step.operations {
            let value = |value: &flow_history::Value| match value {
                flow_history::Value::Text(text) => letters(text) + 21_f64.log2(),
                _ => 0.0,
            };
            bits += match operation {
                Operation::Set { edit: flow_history::Edit::Put(put), .. } => {
                    value(put) + 3.0 + 10_000_f64.log2()
                }
                Operation::Add { component, .. } => {
                    96.0 + component.fields.iter().map(|(_, field)| value(field)).sum::<f64>()
                }
                _ => 10_000_f64.log2(),
            };
        }
    }
    bits / 8.0 / changes
}

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let scale = if has("--quick") { 10 } else { 1 };
    println!(
        "w10k, what its random parts alone take: {:.2} bytes/change",
        floor(Uniform::new(10_000, 1_000_000 / scale))
    );
    let is_long = |step: &Step| {
        step.operations
            .iter()
            .any(|operation| matches!(operation, Operation::Set { path, .. } if &*path.field == "func"))
    };
    let streams: [(&str, Stream); 3] = [
        ("w10k", Box::new(move || raw(Uniform::new(10_000, 1_000_000 / scale)))),
        ("edit", Box::new(move || raw(Editing::new(30_000 / scale)))),
        (
            "edit without long texts",
            Box::new(move || raw(Editing::new(500_000 / scale).filter(|step| !is_long(step)))),
        ),
    ];
    for (name, stream) in streams {
        let raw = stream();
        let total: usize = raw.segments.iter().flatten().map(Vec::len).sum();
        println!(
            "{name}: {} changes, {} segments, {:.1} canonical bytes/change",
            raw.changes,
            raw.segments.len(),
            total as f64 / raw.changes as f64
        );
        let sizes = [64 << 10, 128 << 10, 256 << 10];
        let levels = [3, 6, 9, 12];
        for (size, level) in sizes.iter().flat_map(|size| levels.map(|level| (*size, level))) {
            if has("--defaults") {
                continue;
            }
            let (bytes, micros) = rows(&raw, size, level, 0);
            println!(
                "  rows     {:>3} KiB zstd-{level:<2} {bytes:>8.2} B/change, inflate {micros:>4.0} us",
                size >> 10
            );
        }
        if !has("--defaults") {
            let (bytes, micros) = rows(&raw, 64 << 10, 3, 16 << 10);
            println!(
                "  rows with a dictionary of 16 KiB a segment, 64 KiB zstd-3 {bytes:.2} B/change, inflate {micros:.0} us"
            );
        }
        let defaults = [(0, 0)];
        let all: Vec<(usize, i32)> =
            sizes.iter().flat_map(|size| levels.map(|level| (*size, level))).collect();
        for (size, level) in if has("--defaults") { &defaults[..] } else { &all } {
            let sealing = match level {
                0 => Sealing::default(),
                level => Sealing::default().block_bytes(*size).level(Some(*level)),
            };
            let f = columns(&raw, &sealing);
            println!(
                "  columns  {:>3} KiB zstd-{level:<2} {:>8.2} B/change (blocks {:.2}, all else {:.2}), inflate {:>4.0} us, chain_at {:>4.0} us, \
                 entry {:>4.0} us, sealed {:.2} M/s",
                size >> 10,
                f.bytes,
                f.blocks,
                f.indexes,
                f.inflate,
                f.resolve,
                f.entry,
                raw.changes as f64 / f.seal_seconds / 1e6
            );
        }
    }
}
