//! Blocks and pages that nobody wrote. A column of integers that are all alike takes no bytes, whatever number of them it says
//! it has: nothing may be made of that number, nor go through it, that the block could not hold.

use super::block::{Block, BlockStart, CODEC_SHAPES, COLUMNS};
use super::grammar::{HEADS, Ints, Texts};
use super::indexes::SlotPage;
use super::integer::{Broken, put_integer};
use super::made::{edit, of_entries};
use crate::{CHAIN_EVERY, Chain, Seq};

fn constant(bytes: &mut Vec<u8>, count: u64, value: u64) {
    put_integer(bytes, count);
    if count > 0 {
        put_integer(bytes, value);
        bytes.push(0);
    }
}

/// A block of columns that each hold one number so often; those that every entry has one of hold zeros.
fn block(entries: u32, columns: &[(Ints, u64, u64)], used: u64) -> Result<Block, Broken> {
    let of_each = [Ints::Extras, Ints::Elapsed, Ints::Author, Ints::Intent, Ints::Body];
    let of_entries = [Ints::Behind, Ints::Zone, Ints::FlowBeneath, Ints::OwnBeneath];
    let points = (entries as usize).saturating_sub(1) / CHAIN_EVERY;
    let mut bytes = vec![0; 32 * points];
    constant(&mut bytes, (points * COLUMNS) as u64, used);
    let mut ends = vec![bytes.len()];
    for (at, column) in Ints::ALL.iter().enumerate() {
        if at == HEADS {
            bytes.push(0);
            ends.push(bytes.len());
        }
        if at == HEADS + 1 {
            bytes.push(0);
            ends.push(bytes.len());
        }
        let said = columns.iter().find(|(of, _, _)| of == column).map(|(_, count, value)| (*count, *value));
        let is_of_entries = of_each.contains(column) || of_entries.contains(column);
        let (count, value) = said.unwrap_or((if is_of_entries { u64::from(entries) } else { 0 }, 0));
        constant(&mut bytes, count, value);
    }
    bytes.extend([0; Texts::COUNT - 1]);
    ends.push(bytes.len());
    let (first_seq, chain) = (Seq(1), Chain([0; 32]));
    let start = BlockStart {
        first_seq,
        entries,
        bytes: 16 << 20,
        codec: CODEC_SHAPES,
        chain,
        log_time: 0,
        next_slot: 9,
    };
    let mut begin = 0;
    let parts: Vec<usize> = ends.iter().map(|end| end - std::mem::replace(&mut begin, *end)).collect();
    Block::read(start, bytes, parts.try_into().unwrap())
}

#[test]
fn a_block_whose_columns_say_more_than_it_can_hold_is_refused() {
    let removals =
        |count| [(Ints::Operations, 1, 4_000), (Ints::Operation, count, 1), (Ints::Slot, count, 5)];
    assert!(block(1, &removals(4_000), 0).is_ok());
    for count in [16 << 20, 1 << 40, 1 << 61, u64::MAX] {
        assert!(block(1, &removals(count), 0).is_err(), "{count} integers");
    }
}

#[test]
fn points_that_lead_nowhere_are_an_error() {
    let columns = [(Ints::Operations, 129, 1), (Ints::Operation, 129, 0), (Ints::Again, 129, 0)];
    for used in [0, 1, 129, 1 << 40, u64::MAX / 64] {
        if let Ok(block) = block(129, &columns, used) {
            assert!(block.effects(128).is_err() && block.run(128, 129).is_err(), "{used}");
        }
    }
}

#[test]
fn what_touched_a_slot_is_found_where_everything_did() {
    let entries = 1 << 17;
    let touching = [
        (Ints::Operations, u64::from(entries), 1),
        (Ints::Operation, u64::from(entries), 1),
        (Ints::Slot, u64::from(entries), 5),
    ];
    // With each point where it is, and with all of them leading back to the beginning, over the same operations.
    let every = CHAIN_EVERY as u64;
    assert_eq!(
        block(entries, &touching, every).unwrap().touches_of(5).map(|found| found.len()),
        Ok(entries as usize)
    );
    assert_eq!(block(entries, &touching, every).unwrap().touches_of(6), Ok(Vec::new()));
    let again_and_again = [
        (Ints::Operations, u64::from(entries), 50_000),
        (Ints::Operation, 7 << 20, 1),
        (Ints::Slot, 7 << 20, 5),
    ];
    assert!(block(entries, &again_and_again, 1).unwrap().touches_of(5).is_err());
}

#[test]
fn what_one_entry_does_is_counted_down_to_its_steps() {
    let steps = 7 << 20;
    let columns = [
        (Ints::Operations, 1, 1),
        (Ints::Operation, 1, 2),
        (Ints::Slot, 1, 5),
        (Ints::Field, 1, 1),
        (Ints::Steps, 1, steps),
        (Ints::Step, steps, 1),
        (Ints::Index, steps, 7),
        (Ints::Edit, 1, 2),
    ];
    assert!(block(1, &columns, 0).unwrap().effects(0).is_err());
}

#[test]
fn a_slot_is_in_no_more_blocks_than_there_are() {
    let page = |places: u64, delta: u64| {
        let mut bytes = Vec::new();
        for (count, value) in [(1, 5), (1, places), (places, delta)] {
            constant(&mut bytes, count, value);
        }
        SlotPage::read(&bytes, 1, 10)
    };
    assert_eq!(page(10, 1).unwrap().blocks_of(5), Ok((1..=10).collect()));
    assert_eq!(page(10, 0).unwrap().blocks_of(5), Ok(vec![0]));
    for places in [11, 1 << 27, 1 << 40] {
        assert!(page(places, 0).is_err() && page(places, 1).is_err());
    }
}

#[test]
fn any_bit_of_a_block_may_be_another_whatever_its_checksum_says() {
    let (start, bytes, parts, payload) = of_entries(300, edit);
    let mut refused = 0;
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        // Whatever it gives, it comes back.
        let Ok(block) = Block::read(start, forged, parts) else {
            refused += 1;
            continue;
        };
        let whole = block.payload(0..300);
        refused += usize::from(whole.is_err());
        // What is no error is another block; that its entries are others the chain says.
        let is_same = whole.is_ok_and(|whole| whole == payload);
        for at in [0, 131, 299] {
            let effects = block.effects(at);
            let run = block.run(at, at + 1).is_ok();
            assert!(!is_same || run && effects.is_ok(), "bit {bit}");
            let _ = block.touches_of(100 + u32::try_from(at).unwrap());
        }
        let _ = (block.heads.added(), block.heads.ids().map(|ids| ids.iter().count()));
        let _ = (block.heads.not_later(1 << 20), block.heads.log_time_before(200));
    }
    assert!(refused > bytes.len(), "{refused} of {} bits", bytes.len() * 8);
}
