//! Blocks and pages that nobody wrote. A column of integers that are all alike takes no bytes, whatever number of them it says
//! it has: nothing may be made of that number, nor go through it, that the block could not hold.

use super::block::{Block, BlockStart, CODEC_SHAPES, COLUMNS, Columns, PARTS, put_points};
use super::column::{Deflate, Inflate, Way, way_of};
use super::grammar::{HEADS, Ints, Texts, Units};
use super::indexes::SlotPage;
use super::integer::{Broken, Reader, put_integer};
use super::shapes::SHAPED;
use crate::{CHAIN_EVERY, Chain, ENCODING, Seq};

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

/// An entry as people make them: mostly one or two fields of a component on which they worked just before.
fn edit(at: u64, bytes: &mut Vec<u8>) {
    let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
    let elapsed = if mixed.is_multiple_of(40) { 700_000 + mixed % 100_000 } else { mixed % 4_000 };
    bytes.push(ENCODING);
    for integer in [0, elapsed, 0, 0, mixed % 3, 0, 1, 1, 0] {
        put_integer(bytes, integer);
    }
    let slot = 100 + at / 12 * 7_919 % 3_000 + mixed % 3;
    match mixed % 5 {
        0 => {
            for integer in [1, 1, slot] {
                put_integer(bytes, integer);
            }
        }
        of @ 1..=3 => {
            put_integer(bytes, of);
            for field in 0..of {
                for integer in [2, slot, 4 + field, 0, 0, 3, 2 * (mixed % 3_000 + field)] {
                    put_integer(bytes, integer);
                }
            }
        }
        _ => {
            for integer in [1, 2, slot, 9, 1, 1, mixed % 7, 2] {
                put_integer(bytes, integer);
            }
        }
    }
}

/// A sound block of such entries: how it begins, its bytes, the bytes of each part, and what its entries are.
fn of_edits(entries: u32) -> (BlockStart, Vec<u8>, [usize; PARTS], Vec<u8>) {
    let (mut columns, mut units) = (Columns::new(), Units::default());
    let (mut payload, mut bytes) = (Vec::new(), 0);
    let (mut chain, mut chains, mut lengths) = (Chain([0; 32]), Vec::new(), Vec::new());
    for at in 0..entries {
        if at > 0 && (at as usize).is_multiple_of(CHAIN_EVERY) {
            chains.push(chain);
            lengths.push(columns.lengths().collect());
            units = Units::default();
        }
        let mut canonical = Vec::new();
        edit(at.into(), &mut canonical);
        columns.shred(&canonical, &mut units, 1 + u64::from(at)).unwrap();
        payload.extend(u32::try_from(canonical.len()).unwrap().to_le_bytes());
        payload.extend(&canonical);
        bytes += canonical.len() as u64;
        chain = chain.after(&canonical);
    }
    let mut deflate = Deflate::new(Some(3));
    let points = put_points(&chains, &lengths, &mut deflate);
    let [heads, ids, bodies] = columns.parts(&mut deflate);
    let parts = [&points, &heads, &ids, &bodies].map(Vec::len);
    let (first_seq, chain) = (Seq(1), Chain([0; 32]));
    let start =
        BlockStart { first_seq, entries, bytes, codec: CODEC_SHAPES, chain, log_time: 0, next_slot: 4_000 };
    (start, [points, heads, ids, bodies].concat(), parts, payload)
}

/// In which way each column of a sound block is stored.
fn ways(bytes: &[u8], parts: &[usize; PARTS]) -> Vec<Option<Way>> {
    let [points, heads, ids, bodies] = *parts;
    let mut ways = Vec::new();
    let places = [
        (points, 0..HEADS),
        (points + heads, HEADS..HEADS + 1),
        (bytes.len() - bodies, HEADS + 1..Ints::COUNT),
    ];
    assert_eq!(points + heads + ids + bodies, bytes.len());
    for (begin, columns) in places {
        let mut reader = Reader(bytes.get(begin..).unwrap());
        ways.extend(columns.map(|_| way_of(&mut reader, &mut Inflate::new()).unwrap()));
    }
    ways
}

#[test]
fn what_people_do_again_and_again_is_stored_in_every_way_and_read_back() {
    let (start, bytes, parts, payload) = of_edits(900);
    let ways = ways(&bytes, &parts);
    assert_eq!(ways[Ints::Elapsed as usize], Some(Way::Few));
    assert_eq!(ways[Ints::Slot as usize], Some(Way::Recurring));
    for column in [Ints::Operations, Ints::Operation, Ints::Field, Ints::Edit] {
        assert!(SHAPED.contains(&column));
        assert_eq!(ways[column as usize], Some(Way::Shapes), "{column:?}");
    }
    let block = Block::read(start, bytes, parts).unwrap();
    assert!(block.payload(0..900).unwrap() == payload);
    // Entered at every place, from the point before it.
    let mut rest = Reader(&payload);
    for at in 0..900 {
        let length = u32::from_le_bytes(rest.fixed().unwrap());
        let canonical = rest.take(length as usize).unwrap();
        let run = block.run(at, at + 1).unwrap();
        assert_eq!(run.get(at).unwrap().bytes, canonical, "entry {at}");
        for effect in block.effects(at).unwrap() {
            assert!(block.touches_of(effect.slot.0).unwrap().iter().any(|(entry, _)| *entry == at));
        }
    }
}

#[test]
fn any_bit_of_a_block_may_be_another_whatever_its_checksum_says() {
    let (start, bytes, parts, payload) = of_edits(300);
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
