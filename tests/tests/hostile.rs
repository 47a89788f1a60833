//! Goal: hostile files get a typed error or are read as what they are: no panic, no abort, no endless loop, never more
//! memory than 64 MiB and twice the file, and time that grows with the file and no faster.
//!
//! Method: a binary of its own, whose allocator refuses what is over the bound, which would abort it. Frames and entries
//! are forged with every checksum and the hash chain made to match, so that what is behind those is reached. Tables 6.1 to
//! 6.4 of the study of reliability; flips, cuts and splices without matching checksums are the modules `flips` and
//! `every_bit` of the suite, forged checkpoints and sealed segments the tests of those packages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "this is a test"
)]

use std::alloc::System;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cap::Cap;
use flow_history::{Author, Component, Error, History, MemoryStorage, Source, Tuning};
use flow_history_replay::{
    Chain, FRAME_HEADER_BYTES, FrameKind, SEGMENT_HEADER_BYTES, Seq, What, encode_frame,
};
use flow_history_tests::{Chance, Files, Forged, SeededClock, crc32};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const BOUND: usize = 64 << 20;

/// One test at a time: the bound is the process's, and so is what a test allocates to make its files.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Memory is bounded while this is there, and what the process spends on processors is measured: the time on the clock
/// would say how busy the machine is.
struct Bounded {
    what: String,
    began: Duration,
    bytes: usize,
}

fn on_processors() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.cast_unsigned(), u32::try_from(spent.tv_nsec).unwrap())
}

fn bounded(what: &str, file_bytes: usize) -> Bounded {
    flow_history::forget_cached();
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + BOUND + 2 * file_bytes).unwrap();
    Bounded { what: what.to_owned(), began: on_processors(), bytes: file_bytes }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        let took = on_processors() - self.began;
        // Quadratic time would be minutes.
        let most = Duration::from_secs(2 + (self.bytes >> 20) as u64);
        if !std::thread::panicking() {
            assert!(took <= most, "{}: {took:?} for {} bytes", self.what, self.bytes);
        }
    }
}

const SEGMENT: &str = "segment-0000000001.raw";

/// A sound history of a few entries that was closed, raw.
fn sound() -> Files {
    let mut tuning = Tuning::hostile();
    tuning.seal = false;
    tuning.background = false;
    tuning.derive_from_bytes = u64::MAX;
    tuning.segment_bytes_first = 64 << 10;
    let storage = MemoryStorage::new();
    let history = History::options()
        .tuning(tuning)
        .clock(SeededClock::new(1))
        .open_storage(Arc::new(storage.clone()))
        .unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "add").add(Component::new("pump", "processor").field("rate", 1)).append().unwrap();
    history.change(&alice, "set").set("pump", "rate", 2.5).append().unwrap();
    history.change(&alice, "text").set("pump", "text", "a text").append().unwrap();
    history.label(&alice, "label", 2).unwrap();
    history.close().unwrap();
    storage.files()
}

/// What comes of opening a history and reading all of it.
#[derive(Clone, PartialEq, Debug)]
enum Came {
    Damaged(What),
    Unsupported,
    Other(String),
    Opened(u64),
}

fn look(what: &str, files: &Files) -> Came {
    let bytes = files.values().map(Vec::len).sum();
    let storage = MemoryStorage::with_files(files.clone());
    let _bounded = bounded(what, bytes);
    let look = || -> Result<u64, Error> {
        let history = History::options().open_storage_read_only(Arc::new(storage.clone()))?;
        let verified = history.verify()?;
        let newest = history.version().seq().0;
        for seq in (0..=newest).take(64) {
            match history.at(seq) {
                Err(Error::Pruned { oldest }) if Seq(seq) < oldest => {}
                view => drop(view?.to_flow()?),
            }
        }
        for line in history.log() {
            line?;
        }
        assert_eq!(verified.head, history.version(), "{what}");
        Ok(newest)
    };
    let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(look));
    match looked.unwrap_or_else(|_| panic!("{what}: a panic")) {
        Ok(newest) => Came::Opened(newest),
        Err(Error::Damaged { damage, .. }) => Came::Damaged(damage.what),
        Err(Error::Unsupported { .. }) => Came::Unsupported,
        Err(error) => Came::Other(error.to_string()),
    }
}

fn forged(what: &str, forged: &Forged) -> Came {
    let mut files = sound();
    files.insert(SEGMENT.to_owned(), forged.to_bytes());
    look(what, &files)
}

fn is_damaged(came: &Came) -> bool {
    matches!(came, Came::Damaged(_))
}

#[test]
fn forged_frames_are_damage() {
    let _alone = alone();
    let truth = Forged::of(&sound()[SEGMENT], 1);
    assert_eq!(forged("the truth", &truth), Came::Opened(4));
    assert_eq!(truth.frames.len(), 5, "four entries and the frame that closes");
    let check = |what: &str, forge: &dyn Fn(&mut Forged)| {
        let mut made = truth.clone();
        forge(&mut made);
        let came = forged(what, &made);
        assert!(is_damaged(&came), "{what}: {came:?}");
    };
    for seq in [0, 1, 3, 4, 5, 1 << 48, u64::MAX - 1, u64::MAX] {
        check(&format!("sequence number {seq}"), &|forged| forged.frames[1].first_seq = seq);
    }
    for entries in [0, 2, 1 << 20, (1 << 20) + 1, u32::MAX] {
        check(&format!("{entries} entries"), &|forged| forged.frames[1].entries = entries);
    }
    for synced in [2, 9, u64::MAX] {
        check(&format!("durable up to {synced}"), &|forged| forged.frames[1].synced_seq = synced);
    }
    check("another chain", &|forged| forged.frames[1].chain = Chain([7; 32]));
    check("a frame twice", &|forged| forged.frames.insert(2, forged.frames[1].clone()));
    check("a frame less", &|forged| drop(forged.frames.remove(1)));
    check("two frames swapped", &|forged| forged.frames.swap(1, 2));
    check("no payload", &|forged| forged.frames[1].payload.clear());
    check("entries in the frame that closes", &|forged| forged.frames[4].entries = 1);
    check("a payload behind the frame that closes", &|forged| forged.frames[4].payload = vec![1; 100]);
    for length in [0, 5, 1 << 20, u32::MAX] {
        check(&format!("an entry of {length} bytes"), &|forged| {
            forged.frames[1].payload[..4].copy_from_slice(&length.to_le_bytes());
        });
    }
}

#[test]
fn what_looks_like_a_frame_inside_of_an_entry_is_none() {
    let _alone = alone();
    // The whole segment, as a value of a component of itself.
    let inner = Forged::of(&sound()[SEGMENT], 1).to_bytes();
    let mut tuning = Tuning::hostile();
    tuning.derive_from_bytes = u64::MAX;
    tuning.background = false;
    let storage = MemoryStorage::new();
    let options = History::options().tuning(tuning).clock(SeededClock::new(1));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    let nested = Component::new("pump", "processor").field("inner", flow_history::Value::Bytes(inner.into()));
    history.change(&alice, "").add(nested).append().unwrap();
    let mut files = storage.files();
    files.retain(|name, _| !name.starts_with("pool-"));
    let name = files.keys().rfind(|name| name.starts_with("segment-")).unwrap().clone();
    // The entry is torn: nothing in it vouches for anything.
    files.get_mut(&name).unwrap()[SEGMENT_HEADER_BYTES + 30] ^= 1;
    assert_eq!(look("nested", &files), Came::Opened(0));
}

/// Every byte of every entry is every other byte, with all sums and the chain as they must be.
#[test]
fn whatever_an_entry_says_it_is_an_error_or_can_be_read() {
    let _alone = alone();
    let truth = Forged::of(&sound()[SEGMENT], 1);
    let (mut tried, mut opened) = (0, 0);
    let bound = bounded("entries", 1 << 20);
    drop(bound);
    for frame in 0..4 {
        for at in 4..truth.frames[frame].payload.len() {
            for byte in (0..=255_u8).step_by(if flow_history_tests::is_nightly() { 1 } else { 3 }) {
                let mut made = truth.clone();
                made.frames[frame].payload[at] = byte;
                let came = forged(&format!("frame {frame}, byte {at} is {byte}"), &made.chained(frame));
                assert!(!matches!(came, Came::Other(_)), "frame {frame}, byte {at} is {byte}: {came:?}");
                opened += usize::from(matches!(came, Came::Opened(_)));
                tried += 1;
            }
        }
    }
    eprintln!("entries: {tried} tried, {opened} are entries too");
    assert!(opened > 100 && opened < tried, "{opened} of {tried}");
}

/// Lengths that no file of this size can have, in front of every byte of an entry.
#[test]
fn lengths_beyond_the_file_cost_nothing() {
    let _alone = alone();
    let truth = Forged::of(&sound()[SEGMENT], 1);
    let huge: [&[u8]; 5] = [
        &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xfd, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0xfc, 0xff, 0xff, 0xff, 0x7f],
        &[0xfb, 0xff, 0xff],
        &[0xfe; 17],
    ];
    for frame in 0..4 {
        for at in 4..truth.frames[frame].payload.len() {
            for (which, length) in huge.iter().enumerate() {
                for replaced in [0, 1] {
                    let mut made = truth.clone();
                    let payload = &mut made.frames[frame].payload;
                    payload.splice(at..at + replaced, length.iter().copied());
                    let entry = u32::try_from(payload.len() - 4).unwrap();
                    payload[..4].copy_from_slice(&entry.to_le_bytes());
                    let what = format!("frame {frame}, length {which} at {at}");
                    let came = forged(&what, &made.chained(frame));
                    assert!(!matches!(came, Came::Other(_)), "{what}: {came:?}");
                }
            }
        }
    }
}

#[test]
fn tails_of_any_kind_and_size_are_read_in_linear_time() {
    let _alone = alone();
    let mut chance = Chance::new(1);
    // Not closed: what follows may be torn.
    let mut open = Forged::of(&sound()[SEGMENT], 1);
    open.frames.pop();
    let sound = sound();
    let check = |what: &str, tail: Vec<u8>, expected: &dyn Fn(&Came) -> bool| {
        let mut files = sound.clone();
        let identity = files.get_mut("history").unwrap();
        // As before the close, so that the log need not reach the last entry.
        identity[56..64].fill(0);
        let sum = crc32(&identity[..68]);
        identity[68..].copy_from_slice(&sum.to_le_bytes());
        files.insert(SEGMENT.to_owned(), [open.to_bytes(), tail].concat());
        let came = look(what, &files);
        assert!(expected(&came), "{what}: {came:?}");
    };
    let opened = |came: &Came| *came == Came::Opened(4);
    for mib in [1, 16, 64] {
        check(&format!("{mib} MiB of zeros"), vec![0; mib << 20], &opened);
    }
    check("200 bytes of zeros", vec![0; 200], &opened);
    let garbage: Vec<u8> = (0..8 << 20).map(|_| chance.bits().to_le_bytes()[0]).collect();
    check("8 MiB of garbage", garbage, &opened);
    check("8 MiB of magic", b"FhFr\0\0\0\0".repeat(1 << 20), &opened);
    // Headers that match their checksums, and each claims the rest of the file: summing them all takes quadratic time.
    for mib in [1_usize, 4] {
        let bytes = mib << 20;
        let begin = open.to_bytes().len();
        let mut tail = vec![0; 8];
        while tail.len() + 80 < bytes {
            let mut made = vec![0; bytes - tail.len() - 8];
            let payload = made.len() - FRAME_HEADER_BYTES;
            if tail.len() > 8 {
                // Only the header is made; what is summed here is short.
                made.truncate(FRAME_HEADER_BYTES);
            }
            let at = (begin + tail.len()) as u64;
            forge_header(&mut made, &open, payload, at);
            tail.extend(&made[..FRAME_HEADER_BYTES]);
        }
        tail.resize(bytes, 1);
        check(&format!("{mib} MiB of headers"), tail, &|came| opened(came) || is_damaged(came));
    }
}

/// A header with a matching checksum of its own, whose payload's does not match.
fn forge_header(made: &mut Vec<u8>, of: &Forged, payload: usize, at: u64) {
    made.truncate(FRAME_HEADER_BYTES);
    encode_frame(made, (FrameKind::Entries, 1, Seq(5)), Seq(5), &Chain([1; 32]), &of.header, at);
    made[12..16].copy_from_slice(&u32::try_from(payload).unwrap().to_le_bytes());
    let mut summed = of.header.salt.to_vec();
    summed.extend(of.header.number.to_le_bytes());
    summed.extend(at.to_le_bytes());
    summed.extend(&made[..68]);
    let sum = crc32(&summed);
    made[68..72].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn a_catalog_of_any_kind_costs_nothing_but_its_reading() {
    let _alone = alone();
    let mut chance = Chance::new(3);
    let truth = sound();
    let magic = b"redb\x1a\x0a\xa9\x0d\x0a";
    let mut garbage: Vec<u8> = (0..1 << 20).map(|_| chance.bits().to_le_bytes()[0]).collect();
    let mut catalogs = vec![Vec::new(), vec![0; 100], magic.to_vec(), garbage.clone()];
    garbage[..9].copy_from_slice(magic);
    catalogs.push(garbage);
    // One that redb made, with every byte of its header another in turn.
    let storage = MemoryStorage::with_files(truth.clone());
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    history.rebuild_catalog().unwrap();
    history.close().unwrap();
    let made = storage.files()["catalog.redb"].clone();
    for at in (0..320).step_by(if flow_history_tests::is_nightly() { 1 } else { 9 }) {
        let mut bytes = made.clone();
        bytes[at] = bytes[at].wrapping_add(97);
        catalogs.push(bytes);
    }
    for (which, catalog) in catalogs.into_iter().enumerate() {
        let mut files = truth.clone();
        let bytes = catalog.len();
        files.insert("catalog.redb".to_owned(), catalog);
        let what = format!("catalog {which}");
        assert_eq!(look(&what, &files), Came::Opened(4));
        let storage = MemoryStorage::with_files(files);
        let _bounded = bounded(&what, bytes);
        let history = History::options()
            .open_storage(Arc::new(storage))
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(history.version().seq().0, 4, "{what}");
    }
}

#[test]
fn files_of_any_kind_under_any_of_our_names_cost_nothing_but_their_reading() {
    let _alone = alone();
    let mut chance = Chance::new(4);
    let truth = sound();
    let names = [
        "history",
        SEGMENT,
        "segment-0000000001.sealed",
        "segment-0000000002.raw",
        "segment-0000000002.sealed",
        "base-0000000001.state",
        "base-0000000002.state",
        "checkpoint-000000000000002.pages",
        "checkpoint-000000000000004.pages",
        "checkpoint-000000000000009.pages",
        "pool-0000000001.raw",
        "history.tmp",
    ];
    let magics: [&[u8]; 6] = [b"", b"FhSegmt\n", b"FhIdent\n", b"FhBase1\n", b"FhSeald\n", b"FhFr"];
    let mut tried = 0;
    for name in names {
        for magic in magics {
            for bytes in [0, 1, 71, 72, 511, 512, 513, 4_096, 1 << 20] {
                let mut content: Vec<u8> = (0..bytes).map(|_| chance.bits().to_le_bytes()[2]).collect();
                content.iter_mut().zip(magic).for_each(|(to, from)| *to = *from);
                let mut files = truth.clone();
                files.insert(name.to_owned(), content);
                let what = format!("{name} of {bytes} bytes, {magic:?}");
                let came = look(&what, &files);
                let is_used =
                    !name.starts_with("base-") && !name.starts_with("pool-") && !name.ends_with(".tmp");
                match came {
                    Came::Opened(4) => {}
                    Came::Opened(other) => panic!("{what}: {other} versions"),
                    Came::Other(why) => panic!("{what}: {why}"),
                    Came::Damaged(_) | Came::Unsupported => assert!(is_used, "{what}: {came:?}"),
                }
                tried += 1;
            }
        }
    }
    eprintln!("files: {tried} tried");
}

#[test]
fn a_hundred_thousand_files_of_somebody_else_cost_their_names() {
    let _alone = alone();
    struct Crowded(MemoryStorage);
    impl Source for Crowded {
        fn list(&self) -> std::io::Result<Vec<String>> {
            let mut names = self.0.list()?;
            names.extend((0..100_000).map(|at| format!(".DS_Store-{at}")));
            Ok(names)
        }
        fn len(&self, file: &str) -> std::io::Result<u64> {
            self.0.len(file)
        }
        fn read_at(&self, file: &str, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read_at(file, offset, buffer)
        }
    }
    let crowded: Arc<dyn Source> = Arc::new(Crowded(MemoryStorage::with_files(sound())));
    let _bounded = bounded("a crowd", 0);
    let log = flow_history_replay::Log::open(Arc::clone(&crowded)).unwrap();
    let mut replay = flow_history_replay::Replay::from_the_start(&log);
    replay.run_to(Seq(u64::MAX)).unwrap();
    assert_eq!(replay.state().seq, Seq(4));
}

/// A sparse file of 4 GiB costs nothing to make, and must cost nothing to refuse.
#[test]
fn a_sparse_segment_of_4_gib_is_refused_unread() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in sound() {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(SEGMENT)).unwrap();
    file.set_len(4 << 30).unwrap();
    let _bounded = bounded("a sparse segment", 0);
    match History::open_read_only(dir.path()) {
        Err(Error::Damaged { damage, .. }) => assert_eq!(damage.file, SEGMENT),
        other => panic!("{:?}", other.map(|history| history.version())),
    }
}

/// A frame of zstd that inflates to so many zeros, in some dozen bytes for each MiB; it may say how many there are, or lie.
fn zeros(bytes: usize, said: Option<u32>) -> Vec<u8> {
    let mut frame = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    match said {
        // In one segment, with its length in four bytes.
        Some(said) => {
            frame.push(0xa0);
            frame.extend(said.to_le_bytes());
        }
        // A window of 128 KiB, and no length.
        None => frame.extend([0x00, 7 << 3]),
    }
    let blocks = bytes.div_ceil(128 << 10);
    for block in 0..blocks {
        let size = (bytes - block * (128 << 10)).min(128 << 10);
        let header = size << 3 | 1 << 1 | usize::from(block + 1 == blocks);
        frame.extend(&u32::try_from(header).unwrap().to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A base whose pieces are these, each with the bytes that it says it has; its checksums match.
fn base_of(sound: &[u8], state_bytes: u64, pieces: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut base = sound[..512].to_vec();
    base[116..124].copy_from_slice(&state_bytes.to_le_bytes());
    let sum = crc32(&base[..508]);
    base[508..].copy_from_slice(&sum.to_le_bytes());
    let salt = base[80..96].to_vec();
    for (raw, piece) in pieces {
        base.extend(raw.to_le_bytes());
        base.extend(u32::try_from(piece.len()).unwrap().to_le_bytes());
        let place = base.len() as u64 + 4;
        let sum = crc32(&[&salt[..], &place.to_le_bytes(), piece].concat());
        base.extend(sum.to_le_bytes());
        base.extend(piece);
    }
    base
}

#[test]
fn a_base_that_inflates_to_more_than_it_may_is_damage_before_it_does() {
    let _alone = alone();
    let storage = MemoryStorage::new();
    let mut tuning = Tuning::hostile();
    tuning.background = false;
    tuning.derive_from_bytes = u64::MAX;
    let options = History::options().tuning(tuning).clock(SeededClock::new(2));
    let history = options.open_storage(Arc::new(storage.clone())).unwrap();
    let alice = Author::user("alice");
    // What compresses far better than the bound is written all the same, and comes back.
    let text = "z".repeat(3 << 20);
    history.change(&alice, "add").add(Component::new("pump", "k").field("text", text)).append().unwrap();
    (0..60).for_each(|at| drop(history.change(&alice, &"x".repeat(200)).set("pump", "rate", at).append()));
    history.prune(&Author::operator("olga"), Seq(40), &flow_history::LiveStamps::GiveUp).unwrap();
    history.close().unwrap();
    let files = storage.files();
    let name = files.keys().find(|name| name.starts_with("base-")).unwrap().clone();
    let sound = files[&name].clone();
    assert!(sound.len() < 128 << 10, "{} bytes", sound.len());
    assert_eq!(look("a sound base", &files), Came::Opened(62));
    let mib = 1 << 20;
    let cases = [
        ("a piece of 256 MiB that says 1", mib.into(), vec![(mib, zeros(256 << 20, None))]),
        ("a piece of 256 MiB that lies", mib.into(), vec![(mib, zeros(256 << 20, Some(mib)))]),
        ("a piece of 256 MiB that says so", 256 << 20, vec![(256 << 20, zeros(256 << 20, Some(256 << 20)))]),
        ("4,095 pieces of 1 MiB", 4_095 << 20, vec![(mib, zeros(mib as usize, Some(mib))); 4_095]),
        (
            "2,000 pieces as well packed as may be",
            2_000 << 12,
            vec![(4_096, zeros(4_096, Some(4_096))); 2_000],
        ),
        ("4 GiB that are not there", 1 << 32, Vec::new()),
        ("more than 4 GiB", 1 << 40, Vec::new()),
    ];
    for (what, state_bytes, pieces) in cases {
        let mut files = files.clone();
        files.insert(name.clone(), base_of(&sound, state_bytes, &pieces));
        let came = look(what, &files);
        assert!(is_damaged(&came), "{what}: {came:?}");
    }
}
