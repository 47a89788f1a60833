//! Goal: no changed bit, missing byte or added byte goes unnoticed.
//! Method: every one of them, on files small enough for that.

use flow_history_checkpoint::{About, Checkpoint, CheckpointError, Part, encode};

use crate::flows::{ABOUT, ATTACHMENT, Seeded, bytes_of, read_all, small, wide};
use crate::forge::Forged;

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

/// The page of another checkpoint in the place of the same page of this one, CRCs as they were there.
fn check_spliced(other: &About) {
    let flow = small();
    let (ours, theirs) = (bytes_of(&flow), encode(&flow, other, ATTACHMENT).unwrap());
    assert_eq!(ours.len(), theirs.len());
    let (mine, other) = (Forged::from(&ours), Forged::from(&theirs));
    let page = 124..124 + mine.pages[0].compressed.len();
    assert_eq!(ours[page.clone()], theirs[page.clone()]);

    // Page, directory and attachment of the other file under the header of this one.
    let spliced = [&ours[..96], &theirs[96..104], &ours[104..120]].concat();
    let crc = crc32fast::hash(&spliced);
    let spliced = [&spliced, &crc.to_le_bytes()[..], &theirs[124..]].concat();
    assert!(matches!(
        Checkpoint::open(spliced).unwrap_err(),
        CheckpointError::Damaged { part: Part::Directory, what: "its CRC does not match", .. }
    ));

    // The page alone: a directory made for this file that keeps the CRC that the page had in the other one.
    let entry = page.end + 16;
    let mut bytes = ours.clone();
    bytes[entry..entry + 4].copy_from_slice(&theirs[entry..entry + 4]);
    let directory = &bytes[page.end..page.end + 32 * other.pages.len()];
    let salt =
        [&ABOUT.history[..], &ABOUT.sequence.to_le_bytes(), &ABOUT.chain, &u32::MAX.to_le_bytes()].concat();
    let crc = crc32fast::hash(&[&salt, directory].concat());
    bytes[96..100].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..120]);
    bytes[120..124].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(
        Checkpoint::open(bytes).unwrap().to_flow().unwrap_err(),
        CheckpointError::Damaged { part: Part::Page(0), what: "its CRC does not match", .. }
    ));
}

#[test]
fn a_page_of_another_checkpoint_does_not_pass() {
    check_spliced(&About { history: [0x10; 16], ..ABOUT });
    check_spliced(&About { sequence: 41, ..ABOUT });
    check_spliced(&About { chain: [0x23; 32], ..ABOUT });
}

#[test]
fn pages_that_changed_places_do_not_pass() {
    let bytes = bytes_of(&wide(1_000));
    let forged = Forged::from(&bytes);
    let (one, two) = (forged.pages[0].compressed.len(), forged.pages[1].compressed.len());
    let mut swapped = bytes.clone();
    swapped[124..124 + one + two].rotate_left(one);
    assert!(matches!(read_all(&swapped), Err(CheckpointError::Damaged { part: Part::Page(0), .. })));
}
