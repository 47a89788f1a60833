//! The dump in docs/format.md is a whole history: made by the library, taken apart here by nothing but what the document
//! says, and read back by the library.
//!
//! Whoever changes the format on purpose runs this with `FLOW_HISTORY_REGENERATE=1`, which writes the dump anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use flow_history_flow::{Component, Operation, Order};
use flow_history_replay::{
    Author, Beneath, Body, Chain, FRAME_HEADER_BYTES, FileName, FlowVersionId, FrameKind, Header, HistoryId,
    Identity, Intent, Link, Log, Mark, MemorySource, Replay, SegmentHeader, SegmentReason, Seq, State, Tail,
    Timestamp, Tops, encode_frame,
};

const BEGIN: &str = "<!-- the dump begins: written by replay/tests/format.rs -->\n```text\n";
const END: &str = "```\n<!-- the dump ends -->";
const REGENERATE: &str = "FLOW_HISTORY_REGENERATE";

const EXTRAS: [&str; 12] = [
    "names",
    "authors",
    "author",
    "session",
    "request",
    "links",
    "group",
    "message",
    "attributes",
    "idempotency key",
    "expected base",
    "owner",
];
const INTENTS: [&str; 10] =
    ["edit", "undo", "redo", "revert", "restore", "import", "merge", "reconcile", "system", "mark"];
const MARKS: [&str; 5] = ["opened", "deploy", "running", "restart", "label"];

/// 2026-11-22T08:00:00Z.
const CREATED: i64 = 1_795_334_400_000;
const HISTORY: [u8; 16] = [0x11; 16];
const SALT: [u8; 16] = [0x22; 16];

#[test]
fn the_dump_in_the_document_is_what_the_library_writes() {
    let dump = Dump::of(&files());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("docs/format.md lacks the first marker");
    let (held, after) = rest.split_once(END).expect("docs/format.md lacks the second marker");
    if held != dump && std::env::var(REGENERATE).is_ok_and(|value| value == "1") {
        std::fs::write(&path, format!("{before}{BEGIN}{dump}{END}{after}")).unwrap();
        return;
    }
    assert!(held == dump, "docs/format.md shows another dump; {REGENERATE}=1 writes this one:\n{dump}");
}

#[test]
fn the_files_of_the_dump_are_read_back() {
    let log = Log::open(Arc::new(MemorySource(files()))).unwrap();
    assert_eq!(log.history(), HistoryId(HISTORY));
    let mut replay = Replay::from_the_start(&log);
    let mut seen = Vec::new();
    while let Some(entry) = replay.next_entry().unwrap() {
        seen.push((entry.header.intent, entry.header.message.to_string(), entry.header.log_time));
        if entry.seq == Seq(1) {
            let pump = replay.state().flow.component("pump-1").unwrap();
            assert_eq!(pump.get("rate"), Some(&80.into()));
        }
    }
    assert_eq!(
        seen,
        [
            (Intent::Edit, "add the pump".to_owned(), CREATED + 1_000),
            (Intent::Undo, String::new(), CREATED + 2_000),
            (Intent::Mark, String::new(), CREATED + 3_000),
        ]
    );
    assert!(replay.state().flow.is_empty());
    assert_eq!(replay.state().marks.labels.get("first pump"), Some(&Seq(1)));
    let ending = replay.ending().unwrap();
    assert_eq!((ending.seq, ending.vouched, ending.tail), (Seq(3), Seq(3), Tail::Closed));
}

/// The files of a history of one change, one undo and one label, as they are after a close.
fn files() -> BTreeMap<String, Vec<u8>> {
    let history = HistoryId(HISTORY);
    let identity = Identity { history, first_segment: 1, last_segment: 1, created: CREATED, reaches: Seq(3) };
    let segment = SegmentHeader {
        history,
        number: 1,
        reason: SegmentReason::First,
        first_seq: Seq(1),
        chain: Chain::start(history),
        salt: SALT,
        log_time: 0,
    };
    let mut state = State::start(history);
    let mut bytes = segment.encode();

    let alice = Arc::new(Author::user("alice").named("Alice"));
    let at = |seconds: i64| Timestamp { millis: CREATED + 1_000 * seconds, zone_minutes: 60 };
    let mut change = Header::new(Arc::clone(&alice), Intent::Edit, at(1));
    change.message = "add the pump".into();
    let pump = Component::new("pump-1", "processor").at(Order::from_bytes(&[0x80])).field("rate", 80);
    append(&mut bytes, &segment, &mut state, &mut change, &Body::Change(vec![Operation::add(pump)]));

    let mut undo = Header::new(Arc::clone(&alice), Intent::Undo, at(2));
    undo.links = vec![Link::Undoes(Seq(1))];
    undo.beneath = Some(Beneath { flow: Tops::default(), author: Tops::default(), owner: "alice".into() });
    append(&mut bytes, &segment, &mut state, &mut undo, &Body::Change(vec![Operation::remove("pump-1")]));

    let mut mark = Header::new(alice, Intent::Mark, at(3));
    let label = Mark::Label { name: "first pump".into(), version: Seq(1) };
    append(&mut bytes, &segment, &mut state, &mut mark, &Body::Mark(label));

    let mut closed = vec![0; FRAME_HEADER_BYTES];
    let offset = bytes.len() as u64;
    encode_frame(&mut closed, (FrameKind::Closed, 0, Seq(4)), Seq(3), &state.chain, &segment, offset);
    bytes.extend(closed);
    BTreeMap::from([
        (FileName::Identity.to_string(), identity.encode()),
        (FileName::RawSegment(1).to_string(), bytes),
    ])
}

/// Appends one entry as a group of its own.
fn append(file: &mut Vec<u8>, segment: &SegmentHeader, state: &mut State, header: &mut Header, body: &Body) {
    let durable = state.seq;
    let mut frame = vec![0; FRAME_HEADER_BYTES + 4];
    let pushed = state.push(header, body, &mut frame).unwrap();
    let length = u32::try_from(frame.len() - FRAME_HEADER_BYTES - 4).unwrap();
    frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + 4].copy_from_slice(&length.to_le_bytes());
    let offset = file.len() as u64;
    encode_frame(&mut frame, (FrameKind::Entries, 1, pushed.seq), durable, &state.chain, segment, offset);
    file.extend(frame);
}

/// A reader of the format that knows what docs/format.md says and nothing else: it shares no code with the library, and
/// writes down what it reads.
struct Dump<'f> {
    bytes: &'f [u8],
    at: usize,
    text: String,
}

impl<'f> Dump<'f> {
    fn of(files: &'f BTreeMap<String, Vec<u8>>) -> String {
        let mut text = String::new();
        for (name, bytes) in files {
            if !text.is_empty() {
                text.push('\n');
            }
            writeln!(text, "{name}, {} bytes", bytes.len()).unwrap();
            let mut dump = Dump { bytes, at: 0, text };
            match name.as_str() {
                "history" => dump.identity(),
                "segment-0000000001.raw" => dump.segment(),
                other => panic!("{other}"),
            }
            assert_eq!(dump.at, bytes.len(), "{name} goes on");
            text = dump.text;
        }
        text
    }

    fn identity(&mut self) {
        let summed = crc32fast::hash(&self.bytes[..68]);
        assert_eq!(self.fixed(8, "magic \"FhIdent\\n\""), b"FhIdent\n");
        assert_eq!(self.fixed(2, "format 0"), [0; 2]);
        self.fixed(6, "zero");
        self.fixed(16, "history id");
        self.fixed(8, "first segment of the log: 1");
        self.fixed(8, "a segment that the log is known to reach: 1");
        self.fixed(8, "created: 2026-11-22T08:00:00Z in milliseconds");
        self.fixed(8, "an entry that the log is known to reach: 3");
        self.fixed(4, "zero");
        assert_eq!(self.u32("CRC32 of the 68 bytes before"), summed);
    }

    fn segment(&mut self) {
        let summed = crc32fast::hash(&self.bytes[..508]);
        let start = *blake3::hash(&[&HISTORY[..], b"flow-history chain 1"].concat()).as_bytes();
        assert_eq!(self.fixed(8, "magic \"FhSegmt\\n\""), b"FhSegmt\n");
        assert_eq!(self.fixed(2, "format 0"), [0; 2]);
        self.fixed(1, "why it was begun: 0, it is the first");
        self.fixed(5, "zero");
        self.fixed(16, "history id");
        self.fixed(8, "number of the segment: 1");
        self.fixed(8, "sequence number of its first entry: 1");
        assert_eq!(self.fixed(32, "chain(0)"), start);
        self.fixed(16, "salt");
        self.fixed(8, "log time before its first entry: 0");
        self.zeros(404);
        assert_eq!(self.u32("CRC32 of the 508 bytes before"), summed);
        let mut chain = start;
        let mut seq = 0;
        while self.at < self.bytes.len() {
            chain = self.frame(chain, &mut seq);
        }
    }

    fn frame(&mut self, chain_before: [u8; 32], seq: &mut u64) -> [u8; 32] {
        self.note("");
        let at = self.at;
        assert_eq!(at % 8, 0);
        let header_sum = {
            let place = (at as u64).to_le_bytes();
            crc32fast::hash(&[&SALT[..], &1_u64.to_le_bytes(), &place, &self.bytes[at..at + 68]].concat())
        };
        assert_eq!(self.fixed(4, "frame: magic \"FhFr\""), b"FhFr");
        let kind = match self.bytes[self.at] {
            1 => "kind 1: entries",
            2 => "kind 2: vouches",
            _ => "kind 3: closed",
        };
        self.fixed(1, kind);
        self.fixed(3, "zero");
        let entries = self.u32("number of entries");
        let payload_bytes = self.u32("bytes of the payload") as usize;
        let payload = &self.bytes[at + 72..at + 72 + payload_bytes];
        assert_eq!(self.u64("sequence number of its first, or the next, entry"), *seq + 1);
        assert_eq!(self.u64("highest sequence number known durable"), *seq);
        // The chain after the entry, worked out from the entry and the chain before.
        let after = match entries {
            0 => chain_before,
            _ => *blake3::hash(&[&chain_before[..], &payload[4..]].concat()).as_bytes(),
        };
        *seq += u64::from(entries);
        assert_eq!(self.fixed(32, &format!("chain({seq})")), after);
        let payload_sum = crc32fast::hash(&[&SALT[..], payload].concat());
        assert_eq!(self.u32("CRC32 of salt and payload"), payload_sum);
        assert_eq!(self.u32("CRC32 of salt, segment, offset, header"), header_sum);
        if entries > 0 {
            let length = self.u32("bytes of the entry") as usize;
            assert_eq!(length, payload_bytes - 4);
            let end = self.at + length;
            self.entry();
            assert_eq!(self.at, end);
            let padding = self.at.next_multiple_of(8) - self.at;
            if padding > 0 {
                assert_eq!(self.fixed(padding, "padding"), vec![0; padding]);
            }
            let id = version_id(*seq, &after);
            assert_eq!(id, FlowVersionId::new(Seq(*seq), &Chain(after)).to_string());
            self.note(&format!("version {seq} is {id}"));
        }
        after
    }

    fn entry(&mut self) {
        assert_eq!(self.fixed(1, "entry: encoding 1"), [1]);
        for _ in 0..self.number("extras: how many") {
            self.extra();
        }
        self.number("elapsed: milliseconds since the log time before");
        self.number("behind: 0, the host's clock is not behind");
        assert_eq!(self.number("zone: +60 minutes, zig-zag"), 120);
        self.number("author: 1 + the number of the author");
        self.variant("intent", &INTENTS);
        self.number("beneath on the flow's stack: 0, nothing");
        self.number("beneath on the owner's stack: 0, nothing");
        match self.variant("body", &["change", "mark"]) {
            0 => {
                for _ in 0..self.number("operations: how many") {
                    self.operation();
                }
            }
            _ => {
                assert_eq!(self.variant("mark", &MARKS), 4);
                self.text_of("name");
                self.number("which version");
            }
        }
    }

    fn extra(&mut self) {
        match self.variant("extra", &EXTRAS) {
            0 => {
                for _ in 0..self.number("names: how many") {
                    self.text_of("name");
                }
            }
            1 => {
                for _ in 0..self.number("authors: how many") {
                    self.text_of("id");
                    self.text_of("name");
                    self.fixed(1, "kind 0: user");
                    assert_eq!(self.fixed(1, "on behalf of nobody"), [0]);
                }
            }
            5 => {
                for _ in 0..self.number("links: how many") {
                    assert_eq!(self.variant("link", &["undoes"]), 0);
                    self.number("which entry");
                }
            }
            7 => self.text_of("message"),
            11 => {
                self.text_of("owner of the unit");
                self.number("redo beneath on the flow's stack: 0, nothing");
                self.number("redo beneath on the owner's stack: 0, nothing");
            }
            other => panic!("{other}"),
        }
    }

    fn operation(&mut self) {
        match self.variant("operation", &["add", "remove"]) {
            0 => {
                self.number("again: 0, a new slot");
                self.text_of("id");
                self.number("kind: 1 + number of the name");
                self.number("parent: 0, none");
                let length = self.number("order: how many bytes");
                self.fixed(usize::try_from(length).unwrap(), "order key");
                for _ in 0..self.number("fields: how many") {
                    self.number("field: 1 + number of the name");
                    assert_eq!(self.variant("token", &["null", "false", "true", "integer"]), 3);
                    assert_eq!(self.number("80, zig-zag"), 160);
                }
            }
            _ => {
                self.number("slot");
            }
        }
    }

    /// The number of a variant, or of a thing of few kinds, written down with its name.
    fn variant(&mut self, what: &str, names: &[&str]) -> u64 {
        let number = self.bytes[self.at];
        let name = names[usize::from(number)];
        self.number(&format!("{what} {number}: {name}"))
    }

    fn number(&mut self, note: &str) -> u64 {
        let (bytes, value) = match self.bytes[self.at] {
            251 => (3, u64::from(u16::from_le_bytes([self.bytes[self.at + 1], self.bytes[self.at + 2]]))),
            small @ 0..251 => (1, u64::from(small)),
            252 => {
                let place = self.at + 1;
                let wide = self.bytes[place..place + 4].try_into().unwrap();
                (5, u64::from(u32::from_le_bytes(wide)))
            }
            _ => {
                let place = self.at + 1;
                (9, u64::from_le_bytes(self.bytes[place..place + 8].try_into().unwrap()))
            }
        };
        self.fixed(bytes, note);
        value
    }

    fn text_of(&mut self, what: &str) {
        let length = usize::from(self.bytes[self.at]);
        assert!(length < 251);
        let text = std::str::from_utf8(&self.bytes[self.at + 1..self.at + 1 + length]).unwrap();
        self.fixed(1 + length, &format!("{what}: {length} bytes, {text:?}"));
    }

    fn u32(&mut self, note: &str) -> u32 {
        u32::from_le_bytes(self.fixed(4, note).try_into().unwrap())
    }

    fn u64(&mut self, note: &str) -> u64 {
        u64::from_le_bytes(self.fixed(8, note).try_into().unwrap())
    }

    /// The next bytes, written down sixteen to a line with the note on the first.
    fn fixed(&mut self, count: usize, note: &str) -> &'f [u8] {
        let bytes = &self.bytes[self.at..self.at + count];
        for (line, row) in bytes.chunks(16).enumerate() {
            let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            let note = if line == 0 { note } else { "" };
            let written = format!("{:08x}  {:47}  {note}", self.at + 16 * line, hex.join(" "));
            writeln!(self.text, "{}", written.trim_end()).unwrap();
        }
        self.at += count;
        bytes
    }

    fn zeros(&mut self, count: usize) {
        assert!(self.bytes[self.at..self.at + count].iter().all(|byte| *byte == 0));
        writeln!(self.text, "{:08x}  {:47}  zero", self.at, format!("({count} times 00)")).unwrap();
        self.at += count;
    }

    fn note(&mut self, note: &str) {
        writeln!(self.text, "{}", format!("          {note}").trim_end()).unwrap();
    }
}

/// A version ID, bit by bit: 48 bits of the sequence number, 1000, 12 bits of the chain, 10, the next 62 bits.
fn version_id(seq: u64, chain: &[u8; 32]) -> String {
    let bits_of = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:08b}")).collect::<String>();
    let (seq, chain) = (bits_of(&seq.to_be_bytes()), bits_of(chain));
    let bits = format!("{}1000{}10{}", &seq[16..], &chain[..12], &chain[12..74]);
    let hex = format!("{:032x}", u128::from_str_radix(&bits, 2).unwrap());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
