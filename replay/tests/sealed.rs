//! What is wrong with a sealed segment is an error that names it, or changes nothing: every bit flipped, every length cut,
//! and files that are forged so that their checksums match.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use flow_history_flow::{Component, Operation, Value};
use flow_history_replay::{
    Author, Body, Chain, Entry, FRAME_HEADER_BYTES, FileName, FrameKind, Header, HistoryId, Identity, Intent,
    Log, LogError, LogIndex, Mark, MemorySource, Replay, SEGMENT_HEADER_BYTES, Sealing, SegmentHeader,
    SegmentIndex, SegmentReason, Seq, State, Timestamp, encode_frame, seal, verify_sealed,
};

type Files = BTreeMap<String, Vec<u8>>;

const HISTORY: HistoryId = HistoryId([5; 16]);
const NAME: &str = "segment-0000000001.sealed";

fn entries() -> Vec<(Arc<Author>, Body)> {
    let alice = Arc::new(Author::user("alice"));
    let bob = Arc::new(Author::user("bob").named("Bob B."));
    let pump = Component::new("pump-1", "processor").field("rate", 80).field("name", "first");
    let valve = Component::new("valve-1", "valve").inside("pump-1").field("of", Value::Ref("pump-1".into()));
    let mut entries = vec![
        (Arc::clone(&alice), Body::Change(vec![Operation::add(pump), Operation::add(valve)])),
        (Arc::clone(&bob), Body::Change(vec![Operation::set("pump-1", "name", "the pump by the river")])),
        (alice, Body::Mark(Mark::Label { name: "tested".into(), version: Seq(2) })),
    ];
    entries.extend((0..200).map(|rate| {
        (Arc::clone(&bob), Body::Change(vec![Operation::set("pump-1", "rate", rate * 37 % 1_001)]))
    }));
    entries.push((bob, Body::Change(vec![Operation::remove("valve-1")])));
    entries
}

/// A closed history of one raw segment.
fn raw() -> Files {
    raw_of(entries())
}

fn raw_of(entries: Vec<(Arc<Author>, Body)>) -> Files {
    let mut state = State::start(HISTORY);
    let header = SegmentHeader {
        history: HISTORY,
        number: 1,
        reason: SegmentReason::First,
        first_seq: Seq(1),
        chain: Chain::start(HISTORY),
        salt: [9; 16],
        log_time: 0,
    };
    let mut bytes = header.encode();
    let mut put = |state: &State, kind, frame: &mut Vec<u8>, count: u32| {
        let first = Seq(state.seq.0 + 1 - u64::from(count));
        let synced = first.previous().unwrap();
        encode_frame(frame, (kind, count, first), synced, &state.chain, &header, bytes.len() as u64);
        bytes.append(frame);
    };
    for (author, body) in entries {
        let time = Timestamp { millis: 1_795_000_000_000 + state.seq.0 as i64 * 977, zone_minutes: 60 };
        let intent = if matches!(body, Body::Mark(_)) { Intent::Mark } else { Intent::Edit };
        let mut header = Header::new(author, intent, time);
        header.message = if state.seq.0 % 50 == 1 { "why not".into() } else { "".into() };
        let mut canonical = Vec::new();
        state.push(&mut header, &body, &mut canonical).unwrap();
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        frame.extend(u32::try_from(canonical.len()).unwrap().to_le_bytes());
        frame.extend(canonical);
        put(&state, FrameKind::Entries, &mut frame, 1);
    }
    put(&state, FrameKind::Closed, &mut vec![0; FRAME_HEADER_BYTES], 0);
    let identity =
        Identity { history: HISTORY, first_segment: 1, last_segment: 1, created: 0, reaches: state.seq };
    [(FileName::Identity.to_string(), identity.encode()), (FileName::RawSegment(1).to_string(), bytes)].into()
}

fn sealed(sealing: &Sealing) -> (Files, Files) {
    let raw = raw();
    let bytes = seal(&open(&raw).unwrap(), 0, sealing, &mut || {}).unwrap();
    let mut files = raw.clone();
    files.remove(&FileName::RawSegment(1).to_string());
    files.insert(NAME.to_owned(), bytes);
    (raw, files)
}

fn open(files: &Files) -> Result<Log, LogError> {
    Log::open(Arc::new(MemorySource(files.clone())))
}

/// Reads everything there is, in every way there is.
fn read(files: &Files) -> Result<Vec<Entry>, LogError> {
    let log = open(files)?;
    let mut replay = Replay::from_the_start(&log);
    let mut entries = Vec::new();
    while let Some(entry) = replay.next_entry()? {
        entries.push(entry);
    }
    for segment in log.segments() {
        segment.sealed.as_ref().map_or(Ok(()), SegmentIndex::verify)?;
    }
    Ok(entries)
}

/// Asks everything of whatever can be opened; the answers may be wrong, for what is asked for is damaged or forged.
fn ask(files: &Files) {
    let Ok(log) = open(files) else { return };
    let _ = (log.ending(), log.first_time(), log.seq_at_time(1_795_000_010_000));
    let Ok(index) = LogIndex::of(&log) else { return };
    for seq in [1, 2, 3, 100, 128, 129, 204, u64::MAX >> 20] {
        let _ = (log.chain_at(Seq(seq)), index.entry(Seq(seq)));
    }
    for slot in [0, 1, 2, u32::MAX].map(flow_history_flow::Slot) {
        let _ = (index.id_of(slot), index.touches(slot, Seq(0), Seq(1_000)).count());
        let _ = index.touches_back(slot, Seq(5), Seq(u64::MAX)).count();
    }
    let _ = (index.touched(Seq(3), Seq(40)), index.touched(Seq(0), Seq(1_000)), index.stacks());
    let _ = (index.slots_of("pump-1").count(), index.slots_of("nobody").count());
    let _ = read(files);
}

/// Changes of every kind to sixty components, one or more at a time, and marks between them: several points in a block.
fn many_entries() -> Vec<(Arc<Author>, Body)> {
    let alice = Arc::new(Author::user("alice"));
    let mut numbers = (0..).scan(7_u64, |last, _| {
        *last = last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*last >> 33) as usize)
    });
    let mut chance = |below: usize| numbers.next().unwrap() % below;
    let (mut alive, mut entries) = (Vec::<String>::new(), Vec::new());
    for at in 0..900 {
        if at % 97 == 5 {
            entries.push((
                Arc::clone(&alice),
                Body::Mark(Mark::Label { name: "so far".into(), version: Seq(2) }),
            ));
            continue;
        }
        let count = if at % 50 == 0 { 12 } else { 1 + chance(2) };
        let operations = (0..count).map(|of| match chance(10) {
            0 | 1 if alive.len() < 60 => {
                alive.push(format!("part-{at}-{of}"));
                Operation::add(
                    Component::new(alive.last().unwrap().as_str(), "part").field("rate", i64::from(at)),
                )
            }
            2 if alive.len() > 5 => Operation::remove(alive.swap_remove(chance(alive.len()))),
            _ if alive.is_empty() => {
                alive.push(format!("part-{at}-{of}"));
                Operation::add(Component::new(alive.last().unwrap().as_str(), "part"))
            }
            3 => {
                Operation::set(alive[chance(alive.len())].as_str(), "note", "a text that is longer than most")
            }
            _ => Operation::set(alive[chance(alive.len())].as_str(), "rate", chance(5_000) as i64),
        });
        let operations = operations.collect();
        entries.push((Arc::clone(&alice), Body::Change(operations)));
    }
    entries
}

/// Of a block only the columns are inflated that an answer takes, and only the entries behind a point are looked at.
#[test]
fn single_entries_and_what_touched_a_slot_are_what_reading_everything_says() {
    let raw = raw_of(many_entries());
    let mut replay = Replay::from_the_start(&open(&raw).unwrap());
    let (mut entries, mut touched, mut flows) = (Vec::new(), Vec::new(), vec![replay.state().flow.clone()]);
    while let Some(entry) = replay.next_entry().unwrap() {
        let (before, after) = (flows.last().unwrap(), replay.state().flow.clone());
        let mut slots = std::collections::BTreeSet::new();
        let mut flow = before.clone();
        if let Body::Change(operations) = &entry.body {
            for operation in operations {
                slots.extend(flow.slot(operation.id()));
                flow.apply(operation).unwrap();
                slots.extend(flow.slot(operation.id()));
            }
        }
        entries.push(entry);
        touched.push(slots);
        flows.push(after);
    }
    let slots = flows.last().unwrap().next_slot().0;
    assert!(slots > 100, "{slots}");
    for sealing in [Sealing::default(), Sealing::default().block_bytes(5_000), Sealing::default().level(None)]
    {
        let mut files = raw.clone();
        let bytes = seal(&open(&raw).unwrap(), 0, &sealing, &mut || {}).unwrap();
        files.remove(&FileName::RawSegment(1).to_string());
        files.insert(NAME.to_owned(), bytes);
        for at in (0..entries.len()).step_by(7).chain(120..140).chain(890..900) {
            // Nothing is known from before: another log, another index.
            let index = LogIndex::of(&open(&files).unwrap()).unwrap();
            let (entry, next) = index.entry_and_slot(entries[at].seq).unwrap().unwrap();
            assert_eq!((&entry, next), (&entries[at], flows[at].next_slot()), "{at}");
            let place = index.place(entry.seq).unwrap().unwrap();
            assert_eq!(place.1, entry.header.log_time, "{at}");
            for slot in &touched[at] {
                let before = flows[at].component_in(*slot).cloned();
                let after = LogIndex::of(&open(&files).unwrap()).unwrap().follow(entry.seq, *slot, before);
                assert_eq!(after.unwrap().as_ref(), flows[at + 1].component_in(*slot), "{at}, {slot:?}");
            }
        }
        let log = open(&files).unwrap();
        for slot in (0..slots + 2).map(flow_history_flow::Slot) {
            let of_slot = entries.iter().zip(&touched).filter(|(_, slots)| slots.contains(&slot));
            let expected: Vec<Seq> = of_slot.map(|(entry, _)| entry.seq).collect();
            let index = LogIndex::of(&log).unwrap();
            let mut found = index.touches_back(slot, Seq(0), Seq(u64::MAX));
            for seq in expected.iter().rev() {
                assert_eq!(found.next().unwrap().unwrap(), *seq, "{slot:?}");
                let [before, after] = [seq.0 - 1, seq.0].map(|at| flows[at as usize].component_in(slot));
                // One that came and went in the same entry was there neither before nor after.
                let expected = before.is_some() != after.is_some() || before.is_none();
                assert_eq!(found.came_or_went(), expected, "{slot:?}, {seq:?}");
            }
            assert!(found.next().is_none(), "{slot:?}");
            assert!(index.touches(slot, Seq(0), Seq(u64::MAX)).map(Result::unwrap).eq(expected.clone()));
            let later = index.touches(slot, Seq(300), Seq(700)).map(Result::unwrap);
            assert!(later.eq(expected.into_iter().filter(|seq| (301..=700).contains(&seq.0))), "{slot:?}");
        }
    }
}

#[test]
fn it_is_whole_before_it_is_damaged() {
    let (raw, files) = sealed(&Sealing::default());
    let entries = read(&files).unwrap();
    assert_eq!((entries.len(), &entries), (204, &read(&raw).unwrap()));
    assert!(files[NAME].len() * 3 < raw[&FileName::RawSegment(1).to_string()].len());
}

/// What a line of them shares with another lies in another entry: a function's text, saved again and again.
#[test]
fn few_large_entries_share_a_block_up_to_four_times_its_bytes() {
    const TEXT_BYTES: usize = 20 << 10;
    let alice = Arc::new(Author::user("alice"));
    let mut random = 1_u64;
    let mut text: String = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + u8::try_from(random >> 58).unwrap())
    })
    .take(TEXT_BYTES)
    .collect();
    let pump = Component::new("pump-1", "processor");
    let mut entries = vec![(Arc::clone(&alice), Body::Change(vec![Operation::add(pump)]))];
    for at in 0..40 {
        text.replace_range(at..=at, "#");
        entries
            .push((Arc::clone(&alice), Body::Change(vec![Operation::set("pump-1", "func", text.as_str())])));
    }
    let raw = raw_of(entries);
    let sealed = |sealing: &Sealing| {
        let bytes = seal(&open(&raw).unwrap(), 0, sealing, &mut || {}).unwrap();
        [(FileName::Identity.to_string(), raw["history"].clone()), (NAME.to_owned(), bytes)].into()
    };
    let block_sizes = |files: &Files, behind: u64| {
        let index = SegmentIndex::open(Arc::new(MemorySource(files.clone())), NAME, 1).unwrap();
        let begins: Vec<u64> = index.blocks().unwrap().map(|seq| seq.0).chain([behind]).collect();
        begins.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    // The first entry is small; twelve of the others take less than 256 KiB.
    let files = sealed(&Sealing::default());
    assert_eq!(block_sizes(&files, 42), [13, 12, 12, 4]);
    assert_eq!(read(&files).unwrap(), read(&raw).unwrap());
    assert!(files[NAME].len() < 4 * TEXT_BYTES, "{} bytes", files[NAME].len());
    // Where no more than three lie together, as much as there are blocks is kept.
    assert!(sealed(&Sealing::default().block_bytes(16 << 10))[NAME].len() > 13 * TEXT_BYTES / 2);
    // Many small ones end with the bytes that a block has.
    let many = block_sizes(&self::sealed(&Sealing::default().block_bytes(1_000)).1, 205);
    assert!(many.len() == 5 && many.iter().all(|entries| *entries <= 50), "{many:?}");
}

#[test]
fn whoever_seals_has_turns_for_other_things_and_seals_the_same() {
    let raw = raw();
    let log = open(&raw).unwrap();
    let sealing = Sealing::default().block_bytes(500);
    let (mut of_sealing, mut of_checking) = (0, 0);
    let bytes = seal(&log, 0, &sealing, &mut || of_sealing += 1).unwrap();
    assert_eq!(bytes, seal(&log, 0, &sealing, &mut || {}).unwrap());
    let aside = format!("{NAME}.tmp");
    let beside: Files = raw.into_iter().chain([(aside.clone(), bytes)]).collect();
    verify_sealed(&open(&beside).unwrap(), 0, &aside, &mut || of_checking += 1).unwrap();
    assert!(of_sealing > 5 && of_checking > 5, "{of_sealing} and {of_checking} turns");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (_, files) = sealed(&Sealing::default().block_bytes(2_000));
    let length = files[NAME].len();
    let mut noticed = 0;
    for bit in 0..length * 8 {
        let mut files = files.clone();
        files.get_mut(NAME).unwrap()[bit / 8] ^= 1 << (bit % 8);
        // One bit of each byte is read as a log, too.
        let verify = |files: Files| SegmentIndex::open(Arc::new(MemorySource(files)), NAME, 1)?.verify();
        let found = if bit % 8 == bit / 8 % 8 { read(&files).map(drop) } else { verify(files) };
        match found {
            Err(LogError::Damaged(damage)) => {
                assert_eq!(damage.file, NAME, "bit {bit}");
                noticed += 1;
            }
            // The number of the format.
            Err(LogError::Unsupported { file, .. }) => {
                assert!(file == NAME && (64..80).contains(&bit), "bit {bit}");
                noticed += 1;
            }
            other => panic!("bit {bit}: {other:?}"),
        }
    }
    assert_eq!(noticed, length * 8);
}

#[test]
fn every_cut_is_noticed() {
    let (_, files) = sealed(&Sealing::default().block_bytes(2_000));
    for length in 0..files[NAME].len() {
        let mut cut = files.clone();
        cut.get_mut(NAME).unwrap().truncate(length);
        let Err(LogError::Damaged(damage)) = read(&cut) else { panic!("cut to {length} bytes") };
        assert_eq!(damage.file, NAME);
    }
    let mut longer = files.clone();
    longer.get_mut(NAME).unwrap().push(0);
    assert!(matches!(read(&longer), Err(LogError::Damaged(_))));
}

#[test]
fn a_damaged_one_gives_way_to_the_raw_segment_beside_it() {
    let (raw, files) = sealed(&Sealing::default().block_bytes(2_000));
    let footer_at = files[NAME].len() - 1;
    let entries = read(&raw).unwrap();
    for damaged_at in [None, Some(30), Some(footer_at)] {
        let mut both = files.clone();
        both.extend(raw.clone());
        if let Some(at) = damaged_at {
            both.get_mut(NAME).unwrap()[at] ^= 1;
        }
        let log = open(&both).unwrap();
        let is_sealed = log.segments()[0].sealed.is_some();
        assert_eq!(is_sealed, damaged_at.is_none());
        let left = if is_sealed { FileName::RawSegment(1) } else { FileName::SealedSegment(1) };
        assert_eq!(log.leftovers(), [left]);
        assert_eq!(read(&both).unwrap(), entries);
    }
}

#[test]
fn a_segment_that_ends_before_what_the_identity_says_is_damage() {
    let (_, mut files) = sealed(&Sealing::default());
    let mut identity = Identity::decode(&files["history"]).unwrap();
    identity.reaches = Seq(205);
    files.insert("history".to_owned(), identity.encode());
    let Err(LogError::Damaged(damage)) = read(&files) else { panic!("a lost entry went unnoticed") };
    assert_eq!((&*damage.file, damage.seq), (NAME, Some(Seq(205))));
}

/// Sums a part as the format says.
fn sum(salt: &[u8], offset: usize, bytes: &[u8]) -> [u8; 4] {
    let offset = (offset as u64).to_le_bytes();
    crc32fast::hash(&[salt, &offset[..], bytes].concat()).to_le_bytes()
}

/// Changes a byte, and makes the checksums of header and footer match again. The footer of what is not compressed stands
/// in the file as it is.
fn forge(bytes: &mut [u8], at: usize, to: u8) {
    bytes[at] = to;
    let salt = bytes[80..96].to_vec();
    let footer = u64::from_le_bytes(bytes[184..192].try_into().unwrap()) as usize;
    if let Some(of_footer) = bytes.get(footer..) {
        let of_footer = sum(&salt, footer, of_footer);
        bytes[196..200].copy_from_slice(&of_footer);
    }
    let of_header = crc32fast::hash(&bytes[..SEGMENT_HEADER_BYTES - 4]).to_le_bytes();
    bytes[SEGMENT_HEADER_BYTES - 4..SEGMENT_HEADER_BYTES].copy_from_slice(&of_header);
}

#[test]
fn one_that_holds_several_takes_the_place_of_each() {
    let (raw, files) = sealed(&Sealing::default());
    let mut bytes = files[NAME].clone();
    forge(&mut bytes, 32, 2);
    let mut identity = Identity::decode(&files["history"]).unwrap();
    identity.last_segment = 2;
    let mut merged = raw.clone();
    merged.insert("history".to_owned(), identity.encode());
    merged.insert("segment-0000000002.sealed".to_owned(), bytes);
    let entries = read(&raw).unwrap();
    // Beside what was merged into it, sealed or raw, and alone.
    merged.insert(NAME.to_owned(), files[NAME].clone());
    for left in
        [vec![FileName::RawSegment(1), FileName::SealedSegment(1)], vec![FileName::SealedSegment(1)], vec![]]
    {
        let mut files = merged.clone();
        for file in [FileName::RawSegment(1), FileName::SealedSegment(1)] {
            if !left.contains(&file) {
                files.remove(&file.to_string());
            }
        }
        let log = open(&files).unwrap();
        assert_eq!(log.segments().len(), 1);
        assert_eq!(log.leftovers(), left);
        assert_eq!(read(&files).unwrap(), entries);
    }
}

#[test]
fn a_forged_header_or_footer_is_an_error_or_the_truth() {
    let (raw, files) = sealed(&Sealing::default().block_bytes(2_000).level(None));
    let truth = read(&raw).unwrap();
    let length = files[NAME].len();
    let footer = u64::from_le_bytes(files[NAME][184..192].try_into().unwrap()) as usize;
    let mut errors = 0;
    for at in (96..SEGMENT_HEADER_BYTES - 4).chain(footer..length) {
        for change in [if at % 2 == 0 { 1 } else { 0x80 }, 0xff] {
            let mut forged = files.clone();
            let to = forged[NAME][at] ^ change;
            forge(forged.get_mut(NAME).unwrap(), at, to);
            if at % 4 == 0 {
                ask(&forged);
            }
            match read(&forged) {
                Ok(entries) => assert_eq!(entries, truth, "byte {at}"),
                Err(_) => errors += 1,
            }
        }
    }
    assert!(errors > 500, "{errors} forgeries were noticed");
}

#[test]
fn forged_blocks_and_pages_are_an_error_or_the_truth() {
    let (raw, files) = sealed(&Sealing::default().block_bytes(2_000).level(None));
    let truth = read(&raw).unwrap();
    let bytes = &files[NAME];
    let footer = u64::from_le_bytes(bytes[184..192].try_into().unwrap()) as usize;
    // The parts and where the footer sums them: every sum in the footer that is that of a run of bytes in front of it.
    let salt = bytes[80..96].to_vec();
    let mut parts = Vec::new();
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut at = footer;
    while offset < footer && at + 4 <= bytes.len() {
        let found =
            (offset..=footer).find(|end| bytes[at..at + 4] == sum(&salt, offset, &bytes[offset..*end]));
        match found.filter(|end| *end > offset) {
            Some(end) => {
                parts.push((offset..end, at));
                (offset, at) = (end, at + 4);
            }
            None => at += 1,
        }
    }
    assert_eq!(offset, footer, "a part of the file is not summed by the footer");
    let mut errors = 0;
    for (part, sum_at) in parts {
        for at in part.clone() {
            let mut forged = files.clone();
            let bytes = forged.get_mut(NAME).unwrap();
            bytes[at] ^= if at % 3 == 0 { 1 } else { 0x80 };
            let new = sum(&salt, part.start, &bytes[part.clone()]);
            bytes[sum_at..sum_at + 4].copy_from_slice(&new);
            let same = bytes[sum_at];
            forge(bytes, sum_at, same);
            if at % 4 == 0 {
                ask(&forged);
            }
            match read(&forged) {
                Ok(entries) => assert_eq!(entries, truth, "byte {at}"),
                Err(_) => errors += 1,
            }
        }
    }
    assert!(errors > 500, "{errors} forgeries were noticed");
}
