//! Goal: no changed bit, missing byte or added byte goes unnoticed.
//! Method: every one of them, on files small enough for that.

use flow_history_checkpoint::{About, Checkpoint, CheckpointError, Part, encode};
use flow_history_flow::Flow;

use crate::flows::{ABOUT, ATTACHMENT, Seeded, bytes_of, read_all, small, wide};
use crate::forge::{Forged, salted};

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = bytes_of(&small());
    assert!(read_all(&bytes).is_ok());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let error = read_all(&flipped).expect_err(&format!("bit {bit} of byte {at}"));
            // Damage is never blamed on the components.
            assert!(
                matches!(
                    error,
                    CheckpointError::NotACheckpoint
                        | CheckpointError::UnknownLayout { .. }
                        | CheckpointError::Damaged { .. }
                ),
                "bit {bit} of byte {at}: {error:?}"
            );
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = bytes_of(&small());
    for length in 0..bytes.len() {
        assert!(Checkpoint::open(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn everything_appended_is_noticed() {
    let bytes = bytes_of(&small());
    for more in [vec![0], vec![0; 4_096], bytes.clone()] {
        let error = Checkpoint::open([bytes.clone(), more].concat()).unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { part: Part::Header, .. }), "{error:?}");
    }
}

#[test]
fn bursts_of_damage_in_a_large_file_are_noticed() {
    let bytes = bytes_of(&wide(600));
    let mut seeded = Seeded(5);
    for _ in 0..300 {
        let mut damaged = bytes.clone();
        let (at, length) = (seeded.index(bytes.len() - 512), 1 + seeded.index(512));
        let noise = seeded.bytes(length);
        damaged[at..at + length].copy_from_slice(&noise);
        assert!(damaged == bytes || read_all(&damaged).is_err(), "{length} at {at}");
    }
}

#[test]
fn bytes_that_are_no_checkpoint_are_called_so() {
    for bytes in [vec![0; 4_096], b"PK\x03\x04".repeat(40), Seeded(9).bytes(500)] {
        assert!(matches!(Checkpoint::open(bytes), Err(CheckpointError::NotACheckpoint)));
    }
    assert!(Checkpoint::open(Vec::new()).is_err());
}

/// The directory of another checkpoint in the place of that of this one, with its CRC.
fn check_spliced(other: &About) {
    let flow = small();
    let (ours, theirs) = (bytes_of(&flow), encode(&flow, other, ATTACHMENT).unwrap());
    assert_eq!(ours.len(), theirs.len());
    let spliced = [&ours[..104], &theirs[104..112], &ours[112..132]].concat();
    let crc = crc32fast::hash(&spliced);
    let spliced = [&spliced, &crc.to_le_bytes()[..], &theirs[136..]].concat();
    assert!(matches!(
        Checkpoint::open(spliced).unwrap_err(),
        CheckpointError::Damaged { part: Part::Directory, what: "its CRC does not match", .. }
    ));
}

/// The first page of another checkpoint, CRC included, in the place of the first page of this one.
fn check_foreign_page(flow: &Flow, other: &About) {
    let theirs = encode(flow, other, ATTACHMENT).unwrap();
    let (mut mine, other) = (Forged::from(&bytes_of(&small())), Forged::from(&theirs));
    let page = mine.pages[0].clone();
    mine.pages[0].compressed.clone_from(&other.pages[0].compressed);
    mine.pages[0].raw_bytes = other.pages[0].raw_bytes;
    let mut bytes = mine.to_bytes();
    // The forger sums for this file; the entry of the other file has the sum that it had there.
    let directory = bytes.len() - mine.attachment.0.len() - 56 * mine.pages.len();
    let at = Forged::directory_of(&theirs) + 16;
    bytes[directory + 16..directory + 20].copy_from_slice(&theirs[at..at + 4]);
    let end = directory + 56 * mine.pages.len();
    let crc = salted(u32::MAX, &bytes[directory..end]);
    bytes[104..108].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..132]);
    bytes[132..136].copy_from_slice(&crc.to_le_bytes());
    assert!(page.raw_bytes > 0);
    assert!(matches!(
        Checkpoint::open(bytes).unwrap().to_flow().unwrap_err(),
        CheckpointError::Damaged { part: Part::Page(0), what: "its CRC does not match", .. }
    ));
}

#[test]
fn a_page_of_another_checkpoint_does_not_pass() {
    check_spliced(&About { sequence: 41, ..ABOUT });
    check_spliced(&About { chain: [0x23; 32], ..ABOUT });
    // The same content in another history; other content in this one.
    check_foreign_page(&small(), &About { history: [0x10; 16], ..ABOUT });
    check_foreign_page(&wide(3), &ABOUT);
}

#[test]
fn pages_that_changed_places_do_not_pass() {
    let bytes = bytes_of(&wide(1_000));
    let forged = Forged::from(&bytes);
    let (one, two) = (forged.pages[0].compressed.len(), forged.pages[1].compressed.len());
    let mut swapped = bytes.clone();
    swapped[136..136 + one + two].rotate_left(one);
    assert!(matches!(read_all(&swapped), Err(CheckpointError::Damaged { part: Part::Page(0), .. })));
}
