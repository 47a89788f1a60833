//! Bytes made into files whose checksums and hash chains match, so that what stands behind those is reached.

use std::sync::{Arc, LazyLock};

use flow_history::{Author, Component, MemoryStorage, Options, Tuning};
use flow_history_replay::{
    Chain, FRAME_HEADER_BYTES, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader, Seq, encode_frame,
};
use flow_history_tests::{Files, crc32};

/// The only segment of [`SOUND`].
pub(crate) const SEGMENT: &str = "segment-0000000001.raw";

/// The files of a sound history of three versions, raw.
pub(crate) static SOUND: LazyLock<Files> = LazyLock::new(|| {
    let mut tuning = Tuning::default();
    tuning.seal = false;
    tuning.background = false;
    let storage = MemoryStorage::new();
    let clock = flow_history_tests::SeededClock::new(1);
    if let Ok(history) = Options::new().tuning(tuning).clock(clock).open_storage(Arc::new(storage.clone())) {
        let alice = Author::user("alice");
        let pump = Component::new("pump-1", "processor").field("rate", 80);
        let _ = history.change(&alice, "add the pump").add(pump).append();
        let _ = history.change(&alice, "slow it down").set("pump-1", "rate", 8).append();
        let _ = history.change(&alice, "take it away").remove("pump-1").append();
        let _ = history.close();
    }
    let mut files = storage.files();
    // As before it was closed, so that the log need not reach anywhere.
    if let Some(identity) = files.get_mut("history") {
        if let Some(reaches) = identity.get_mut(56..64) {
            reaches.fill(0);
        }
        *identity = summed(identity, 68);
    }
    files
});

fn header() -> Option<SegmentHeader> {
    SegmentHeader::decode(SOUND.get(SEGMENT)?, 1).ok()
}

/// The payload of the first frame of a sound segment.
#[must_use]
pub(crate) fn sound_payload() -> Vec<u8> {
    let from = SEGMENT_HEADER_BYTES;
    let segment = SOUND.get(SEGMENT).map(Vec::as_slice).unwrap_or_default();
    let length = number(segment.get(from + 12..from + 16).unwrap_or_default());
    let from = from + FRAME_HEADER_BYTES;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    segment.get(from..from.saturating_add(length)).unwrap_or_default().to_vec()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The chain over the entries of a payload, as far as it has any.
fn chain_over(mut chain: Chain, mut payload: &[u8]) -> (Chain, u32) {
    let mut entries = 0;
    while let Some((length, rest)) = payload.split_at_checked(4) {
        let length = usize::try_from(number(length)).unwrap_or(usize::MAX);
        let Some((entry, rest)) = rest.split_at_checked(length).filter(|(entry, _)| !entry.is_empty()) else {
            break;
        };
        chain = chain.after(entry);
        entries += 1;
        payload = rest;
    }
    (chain, entries)
}

/// A segment of one frame with this payload. Where the bytes are no entries one behind the other, they are made one.
#[must_use]
pub(crate) fn payload(bytes: &[u8]) -> Vec<u8> {
    let Some(header) = header() else { return Vec::new() };
    let (mut chain, mut entries) = chain_over(header.chain, bytes);
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    if entries == 0 {
        frame.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        (chain, entries) = (header.chain.after(bytes), 1);
    }
    frame.extend(bytes);
    let mut segment = header.encode();
    let offset = segment.len() as u64;
    encode_frame(&mut frame, (FrameKind::Entries, entries, Seq(1)), Seq(0), &chain, &header, offset);
    segment.extend(frame);
    segment.resize(segment.len() + 256, 0);
    segment
}

/// A segment of frames: of every 16 bytes the first say what stands in a header, the last how much of the rest is the
/// payload.
#[must_use]
pub(crate) fn frames(bytes: &[u8]) -> Vec<u8> {
    let Some(header) = header() else { return Vec::new() };
    let mut segment = header.encode();
    let (mut rest, mut chain, mut next) = (bytes, header.chain, 1_u64);
    while let Some((front, behind)) = rest.split_at_checked(16) {
        let at = |at: usize| front.get(at).copied().unwrap_or_default();
        let kind = match at(0) % 5 {
            3 => FrameKind::Vouch,
            4 => FrameKind::Closed,
            _ => FrameKind::Entries,
        };
        let length = usize::from(at(15)).min(behind.len());
        let (own, behind) = behind.split_at(length);
        // Mostly what a frame would say, and now and then what the bytes say.
        let payload = if at(1) % 4 == 0 { sound_payload() } else { own.to_vec() };
        let (true_chain, true_entries) = chain_over(chain, &payload);
        let entries =
            if at(2) < 200 { true_entries } else { number(front.get(2..6).unwrap_or_default()) as u32 };
        let first = if at(6) < 200 { next } else { number(front.get(6..14).unwrap_or_default()) };
        let synced = if at(7) < 200 { next - 1 } else { u64::from(at(7)) };
        let said = if at(8) < 220 { true_chain } else { Chain([at(8); 32]) };
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        frame.extend(&payload);
        let offset = segment.len() as u64;
        encode_frame(&mut frame, (kind, entries, Seq(first)), Seq(synced), &said, &header, offset);
        segment.extend(frame);
        (rest, chain, next) = (behind, true_chain, next + u64::from(true_entries));
    }
    segment.extend(rest);
    segment.resize(segment.len() + 256, 0);
    segment
}

/// These bytes with the CRC32 of the first so many behind them.
#[must_use]
pub(crate) fn summed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((front, behind)) = bytes.split_at_mut_checked(at)
        && let Some(place) = behind.get_mut(..4)
    {
        place.copy_from_slice(&crc32(front).to_le_bytes());
    }
    bytes
}

const NAMES: [&str; 12] = [
    "history",
    SEGMENT,
    "segment-0000000001.sealed",
    "segment-0000000002.raw",
    "segment-0000000002.sealed",
    "base-0000000002.state",
    "checkpoint-000000000000002.pages",
    "checkpoint-000000000000009.pages",
    "catalog.redb",
    "pool-0000000001.raw",
    "history.tmp",
    "lock",
];

/// A sound history with files taken away, cut, or put in: of every three bytes the first says which file, the second what is
/// done, the third how much of the rest is its content.
#[must_use]
pub(crate) fn directory(bytes: &[u8]) -> Files {
    let mut files = SOUND.clone();
    let mut rest = bytes;
    while let Some((front, behind)) = rest.split_at_checked(3) {
        let at = |at: usize| usize::from(front.get(at).copied().unwrap_or_default());
        let name = NAMES.get(at(0) % NAMES.len()).copied().unwrap_or(SEGMENT);
        let (own, behind) = behind.split_at(at(2).min(behind.len()));
        match at(1) % 6 {
            0 => drop(files.remove(name)),
            1 => drop(files.insert(name.to_owned(), own.to_vec())),
            2 => drop(files.insert(name.to_owned(), summed(own, if name == "history" { 68 } else { 508 }))),
            3 => files.entry(name.to_owned()).or_default().extend(own),
            4 => {
                let file = files.entry(name.to_owned()).or_default();
                file.truncate(at(2) * 8);
            }
            _ => {
                // Flips, with the checksum of the header made to match.
                let file = files.entry(name.to_owned()).or_default();
                for (place, byte) in own.iter().enumerate() {
                    if let Some(there) = file.get_mut(place * 3) {
                        *there ^= byte;
                    }
                }
                *file = summed(file, if name == "history" { 68 } else { 508 });
            }
        }
        rest = behind;
    }
    files
}
