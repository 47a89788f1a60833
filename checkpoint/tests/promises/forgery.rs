//! Goal: a made file, every CRC right, is an error or a flow within the limits; never a panic or memory without bound.
//! Method: lies in each field, bombs, archives with every bit flipped.

use std::io::Write;

use flow_history_checkpoint::{Checkpoint, CheckpointError, Part};
use flow_history_flow::{Component, ComponentId, Flow, NESTING_MAX, Operation, Slot, Value};

use crate::flows::{bytes_of, every_value, read_all, small, wide};
use crate::forge::Forged;

fn forged(flow: &Flow) -> Forged {
    let bytes = bytes_of(flow);
    let forged = Forged::from(&bytes);
    assert_eq!(forged.to_bytes(), bytes, "the forger knows the layout");
    forged
}

#[track_caller]
fn check(forged: &Forged, expected: Part, why: &str) {
    match read_all(&forged.to_bytes()) {
        Err(CheckpointError::Damaged { part, what, .. }) => assert_eq!((part, what), (expected, why)),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it passes"),
    }
}

#[test]
fn a_header_that_lies_is_refused() {
    let flow = forged(&small());
    let le = |number: u32| number.to_le_bytes();
    check(&flow.clone().header(12, &le(1)), Part::Header, "it has flags that this program does not know");
    check(&flow.clone().header(72, &le(2)), Part::Header, "it states more components than slots");
    check(&flow.clone().header(72, &le(u32::MAX)), Part::Header, "it states more components than slots");
    check(
        &flow.clone().header(80, &le(4)),
        Part::Directory,
        "its pages hold another number of components than the header says",
    );
    let pages = "it states a number of pages that its components cannot have";
    check(&flow.clone().header(76, &le(0)), Part::Header, pages);
    check(&flow.clone().header(76, &le(u32::MAX)), Part::Header, pages);
    check(&flow.clone().header(76, &le(2)), Part::Header, "its parts do not add up to its file");
    let mut long = flow.clone();
    long.attachment.1 = u32::MAX;
    check(&long, Part::Header, "it states an attachment that is too large to be compressed");
    let bits = "it states hashes of a length that they cannot have";
    check(&flow.clone().header(100, &le(0)), Part::Header, bits);
    check(&flow.clone().header(100, &le(33)), Part::Header, bits);
    check(&flow.clone().header(100, &le(1)), Part::Page(1), "an index is of another flow");
    let mut many = flow.clone();
    many.files = (0..9).collect();
    check(&many, Part::Header, "it states more files than one refers to");
    for layout in [0, 2] {
        let other = read_all(&flow.clone().header(8, &le(layout)).to_bytes());
        assert!(matches!(other, Err(CheckpointError::UnknownLayout { found, known: 1 }) if found == layout));
    }
}

#[test]
fn a_directory_that_lies_is_refused() {
    let flow = forged(&wide(600));
    let index = flow.pages.iter().position(|page| page.kind == 1).unwrap();
    let last = index - 1;
    let width = 1 << flow.pages[1].bits;
    assert!(last >= 2);
    let le = |number: u32| number.to_le_bytes();
    let ranges = "the ranges of its pages do not ascend";
    let room = "a page holds no component or more than it has slots";
    let given = "a page is of slots that were never given out";
    check(&flow.clone().page(0, |page| page.bits = 33), Part::Directory, ranges);
    check(&flow.clone().page(0, |page| page.bits = 32), Part::Directory, ranges);
    check(&flow.clone().page(1, |page| page.first -= 1), Part::Directory, ranges);
    check(&flow.clone().page(1, |page| page.first = 0), Part::Directory, ranges);
    check(&flow.clone().page(index, |page| page.kind = 0), Part::Directory, ranges);
    check(&flow.clone().page(0, |page| page.bits = 1), Part::Directory, room);
    check(&flow.clone().page(0, |page| page.count = 0), Part::Directory, room);
    check(&flow.clone().page(last, |page| page.first = 1 << 30), Part::Directory, given);
    let kinds = "a page is of a kind that this program does not know";
    check(&flow.clone().page(index, |page| page.kind = 3), Part::Directory, kinds);
    let larger = "a page is larger than pages are";
    check(&flow.clone().page(0, |page| page.raw_bytes = u32::MAX), Part::Directory, larger);
    check(&flow.clone().page(index, |page| page.raw_bytes = u32::MAX), Part::Directory, larger);
    let fewer = "its pages hold another number of components than the header says";
    check(&flow.clone().page(0, |page| page.count -= 1), Part::Directory, fewer);
    check(&flow.clone().page(index, |page| page.count -= 1), Part::Directory, fewer);

    // One less here, one more there: only the pages themselves tell.
    let sparse = flow.clone().page(last, |page| page.count += 1).page(1, |page| page.count -= 1);
    let other = "it holds another number of components than the directory says";
    check(&sparse, Part::Page(1), other);
    // The slots come first in a page, each less the one before it.
    let with = |at: usize, byte: u8| {
        flow.clone().page(1, |page| {
            let mut raw = page.raw();
            assert_eq!(raw[..width], [&[0][..], &vec![1; width - 1]].concat());
            raw[at] = byte;
            page.set_raw(&raw);
        })
    };
    check(&with(width - 1, 2), Part::Page(1), "it holds other slots than the directory says");
    check(&with(width - 1, 0), Part::Page(1), "its slots do not ascend");
    // All slots moved: a flow, but not the one that the indexes are of.
    let elsewhere = flow.clone().header(72, &le(10_000)).page(last, |page| page.first = 1_024);
    check(&elsewhere, Part::Page(index as u32), "an index is of another flow");
}

#[test]
fn an_index_that_lies_is_refused() {
    let flow = forged(&small());
    let with = |number: usize, at: usize, byte: u8| {
        flow.clone().page(number, |page| {
            let mut raw = page.raw();
            raw[at] = byte;
            page.set_raw(&raw);
        })
    };
    // The children: pump, slot 0, inside group, slot 3.
    assert_eq!(flow.pages[2].raw()[..2], [3, 0]);
    check(&with(2, 0, 2), Part::Page(2), "an index is of another flow");
    check(&with(2, 1, 2), Part::Page(2), "an index is of another flow");
    check(&with(2, 0, 0x80), Part::Page(2), "a column ends before its components");
    let two = flow.clone().page(1, |page| page.raw_bytes = 10 * page.count + 4_097);
    check(&two, Part::Directory, "a page is larger than pages are");
    // The slot of a parent, which no other part of the page follows from.
    let parents = flow.clone().page(0, |page| page.replace(&[5, 3, 9], &[5, 2, 9]));
    check(&parents, Part::Page(0), "the slot of a parent is another");
}

#[test]
fn a_reference_that_lies_is_refused() {
    let flow = forged(&small());
    let refer = |files: &[u64], elsewhere: (u64, u32, u32), file: u32| {
        let mut flow = flow.clone().page(2, |page| {
            page.compressed.clear();
            (page.file, page.elsewhere) = (file, elsewhere);
        });
        flow.files = files.to_vec();
        flow
    };
    let place = (136, 50, 7);
    let earlier = "its files are not earlier ones in their order";
    check(&refer(&[42], place, 1), Part::Directory, earlier);
    check(&refer(&[5, 5], place, 1), Part::Directory, earlier);
    check(&refer(&[6, 5], place, 1), Part::Directory, earlier);
    check(&refer(&[5, 6], place, 3), Part::Directory, "a page lies in a file that is not named");
    check(&refer(&[5], (135, 50, 7), 1), Part::Directory, "a page in another file begins in its header");
    check(&refer(&[5], (u64::MAX, 50, 7), 1), Part::Directory, "its pages are larger than any file");
    let bytes = refer(&[5], place, 1).to_bytes();
    assert!(matches!(read_all(&bytes), Err(CheckpointError::FileMissing { sequence: 5 })));

    // A page that claims to be far larger than the file that it is in takes no memory.
    let mut large = refer(&[5], (136, 500 << 20, 7), 1);
    large.pages.truncate(2);
    large.header[76] = 2;
    large = large.page(0, |page| {
        (page.file, page.elsewhere, page.raw_bytes, page.count) = (1, (136, 500 << 20, 7), 500 << 20, 1);
        page.compressed.clear();
    });
    large.header[80] = 1;
    large = large.page(1, |page| page.count = 1);
    let other = forged(&wide(10)).to_bytes();
    let bytes = large.to_bytes();
    let checkpoint = Checkpoint::open_with(bytes.as_slice(), |_| Some(other.as_slice())).unwrap();
    match checkpoint.to_flow() {
        Err(CheckpointError::Damaged { part: Part::SharedPage { page: 0, sequence: 5 }, what, .. }) => {
            assert_eq!(what, "its file ends in it");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_that_becomes_more_than_it_states_takes_no_more_memory_than_it_states() {
    // 256 MiB of zeros in 8 kB, with its size and, from a stream, without.
    let zeros = vec![0; 1 << 20];
    let mut stream = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    (0..256).for_each(|_| stream.write_all(&zeros).unwrap());
    let unsized_bomb = stream.finish().unwrap();
    let sized_bomb = zstd::bulk::compress(&vec![0; 256 << 20], 1).unwrap();
    let flow = forged(&small());
    let why = "its compressed bytes state another size";
    for bomb in [unsized_bomb, sized_bomb] {
        assert!(bomb.len() < 100_000);
        check(&flow.clone().page(0, |page| page.compressed.clone_from(&bomb)), Part::Page(0), why);
        let mut attached = flow.clone();
        attached.attachment.0 = bomb;
        check(&attached, Part::Attachment, why);
    }
    // A frame whose own size field lies too: zstd stops at the buffer's end.
    let mut lying = zstd::bulk::compress(&vec![7; 100_000], 1).unwrap();
    let field = lying.windows(4).position(|bytes| bytes == 100_000_u32.to_le_bytes()).unwrap();
    lying[field..field + 4].copy_from_slice(&99_000_u32.to_le_bytes());
    let lied = flow.clone().page(0, |page| (page.compressed, page.raw_bytes) = (lying, 99_000));
    check(&lied, Part::Page(0), "it does not decompress");
    check(&flow.clone().page(0, |page| page.raw_bytes += 1), Part::Page(0), why);
    check(&flow.clone().page(0, |page| page.compressed.push(0)), Part::Page(0), why);
    check(&flow.page(0, |page| page.compressed.clear()), Part::Page(0), why);
}

#[test]
fn every_flipped_bit_of_an_archive_is_an_error_or_another_flow() {
    for flow in [small(), every_value()] {
        let good = forged(&flow);
        let raw = good.pages[0].raw();
        let (mut refused, mut others) = (0, 0);
        for at in 0..raw.len() {
            for bit in 0..8 {
                let mut flipped = raw.clone();
                flipped[at] ^= 1 << bit;
                let bytes = good.clone().page(0, |page| page.set_raw(&flipped)).to_bytes();
                let checkpoint = Checkpoint::open(bytes).unwrap();
                for slot in 0..4 {
                    let _error_or_component = checkpoint.component_in(Slot(slot));
                }
                match checkpoint.to_flow() {
                    Err(_) => refused += 1,
                    Ok(_) => others += 1,
                }
            }
        }
        // Both happen: a flipped pointer is refused, a flipped letter is another letter.
        assert!(refused > 400 && others > 100, "{refused} {others}");
    }
}

#[test]
fn bytes_that_are_no_archive_are_refused() {
    let flow = forged(&small());
    for raw in [vec![0xff; 1_000], vec![0; 10], Vec::new(), vec![0x80; 65_536]] {
        let bytes = flow.clone().page(0, |page| page.set_raw(&raw)).to_bytes();
        assert!(matches!(read_all(&bytes), Err(CheckpointError::Damaged { part: Part::Page(0), .. })));
    }
}

fn add_all(components: impl IntoIterator<Item = Component>) -> Flow {
    let mut flow = Flow::new();
    flow.apply_all(&components.into_iter().map(Operation::add).collect::<Vec<_>>()).unwrap();
    flow
}

#[test]
fn a_missing_parent_and_a_cycle_have_errors_of_their_own() {
    let group = |id: &str| Component::new(id, "group");
    let flow = add_all([group("one"), group("two"), group("six").inside("two"), group("ten").inside("six")]);
    // Ids are "onetwosixten": the dictionary of parents, "twosix", is the other place of these letters.
    let forge = |to: &[u8]| {
        forged(&flow).page(0, |page| {
            let mut raw = page.raw();
            let at = raw.windows(6).rposition(|bytes| bytes == b"twosix").unwrap();
            assert_ne!(raw[at - 3..at], *b"one");
            raw[at..at + 6].copy_from_slice(to);
            page.set_raw(&raw);
        })
    };
    match read_all(&forge(b"foosix").to_bytes()) {
        Err(CheckpointError::ParentMissing { slot: Slot(2), parent }) => assert_eq!(parent, "foo"),
        other => panic!("{other:?}"),
    }
    for cycle in [b"tensix", b"sixsix"] {
        match read_all(&forge(cycle).to_bytes()) {
            Err(CheckpointError::Cycle { slot: Slot(2 | 3) }) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn two_components_of_one_id_do_not_fit_a_flow() {
    let flow = add_all([Component::new("twin-a", "x"), Component::new("twin-b", "x")]);
    let twins = forged(&flow).page(0, |page| page.replace(b"twin-b", b"twin-a"));
    match read_all(&twins.to_bytes()) {
        Err(CheckpointError::Misfit { slot: Slot(1), source }) => {
            assert_eq!(source.id, ComponentId::from("twin-a"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_against_the_limits_of_the_model_are_refused() {
    let deepest = (0..NESTING_MAX).fold(Value::from("leaf"), |inside, _| Value::List(vec![inside]));
    let fields = Component::new("a", "x")
        .field("deep", deepest)
        .field("number", Value::Number(flow_history_flow::Number::parse("1.25").unwrap()));
    let flow = add_all([fields
        .field("secret", Value::Bytes([9; 31].as_slice().into()))
        .field("twice-1", true)
        .field("twice-2", true)]);
    let page = |from: &[u8], to: &[u8]| forged(&flow).page(0, |page| page.replace(from, to));

    // The tokens: 512 lists, a text, a lexeme, bytes, true, true.
    let tokens = [&[7; 512][..], &[5, 4, 6, 2, 2]].concat();
    let with = |at: usize, token: u8| {
        let mut changed = tokens.clone();
        changed[at] = token;
        page(&tokens, &changed)
    };
    check(&with(512, 7), Part::Page(0), "a column ends before its components");
    check(&with(513, 3), Part::Page(0), "a column ends before its components");
    check(&with(514, 10), Part::Page(0), "a secret reference is not of 32 bytes");
    check(&with(515, 11), Part::Page(0), "a value is of an unknown kind");
    // What is within the limits is another flow, and read as one.
    let other = read_all(&with(516, 0).to_bytes()).unwrap();
    assert_eq!(other.component("a").unwrap().get("twice-2"), Some(&Value::Null));
}

#[test]
fn a_value_nested_one_level_too_deep_is_refused() {
    let deepest = (0..NESTING_MAX).fold(Value::List(Vec::new()), |inside, _| Value::List(vec![inside]));
    let flow = add_all([Component::new("a", "x").field("deep", deepest).field("more", vec![1, 2, 3])]);
    // The counts: 512 lists of one, the empty one, the list of three. Were the empty one to hold a value, that would be
    // too deep; were it to hold more than there are tokens, no memory is taken for them.
    let counts = |innermost: u8| -> Vec<u8> { [&[1; 512][..], &[innermost, 3]].concat() };
    let deeper = forged(&flow).page(0, |page| page.replace(&counts(0), &counts(1)));
    check(&deeper, Part::Page(0), "a value is nested too deep");

    let list = add_all([Component::new("a", "x").field("list", vec![1, 2, 3])]);
    // Four tokens, then the only count, then the integers.
    let tokens = [7, 3, 3, 3, 3, 2, 4, 6];
    let lying = [7, 3, 3, 3, 0x7f, 2, 4, 6];
    let wider = forged(&list).page(0, |page| page.replace(&tokens, &lying));
    check(&wider, Part::Page(0), "a value ends behind its page");
}

#[test]
fn texts_against_the_limits_of_the_model_are_refused() {
    let flow = add_all([Component::new("a", "x")
        .field("n", Value::Number(flow_history_flow::Number::parse("1.25").unwrap()))
        .field("twice-1", true)
        .field("twice-2", true)]);
    let page = |from: &[u8], to: &[u8]| forged(&flow).page(0, |page| page.replace(from, to));
    check(&page(b"1.25", b"0x25"), Part::Page(0), "a number is not one of JSON");
    check(&page(b"1.25", b"1025"), Part::Page(0), "a number is not one of JSON");
    check(&page(b"twice-2", b"twice-1"), Part::Page(0), "a key of a map comes twice");
    check(&page(b"twice-2", b"twice-\xff"), Part::Page(0), "it is no archive of a page");
}
