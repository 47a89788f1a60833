//! Goal: pages shared with earlier checkpoints change the size of a file and nothing else; what is wrong with an earlier
//! file is noticed where its pages are read.
//! Method: flows edited at random, written after one another with and without sharing; earlier files damaged, missing or
//! of another line.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use flow_history_checkpoint::{
    About, Basis, Checkpoint, CheckpointError, FILES_MAX, Part, encode, encode_after,
};
use flow_history_flow::{Component, Flow, Operation, Order, Slot};

use crate::flows::{ABOUT, ATTACHMENT, Seeded, any_flow, assert_same, wide};

/// The files of checkpoints, by sequence number.
type Files = BTreeMap<u64, Vec<u8>>;

fn open(files: &Files, sequence: u64) -> Checkpoint<&[u8]> {
    let file = |sequence: u64| files.get(&sequence).map(Vec::as_slice);
    Checkpoint::open_with(file(sequence).unwrap(), file).unwrap()
}

fn about(sequence: u64) -> About {
    About { sequence, ..ABOUT }
}

/// One random edit; returns the slot that it touched.
fn edit(flow: &mut Flow, seeded: &mut Seeded) -> Option<Slot> {
    let slots: Vec<Slot> = flow.iter().map(|(slot, _)| slot).collect();
    let mut any = || flow.component_in(*slots.get(seeded.index(slots.len().max(1)))?).cloned();
    let (one, other) = (any()?, any()?);
    let new = Component::new(seeded.text(8, 12), "new").field("x", seeded.text(5, 500));
    let operation = match seeded.below(10) {
        0 => Operation::add(new.inside(other.id.clone())),
        1 => Operation::remove(one.id.clone()),
        2 => Operation::shift(one.id.clone(), Some(other.id.clone()), Order::default()),
        _ => Operation::set(one.id.clone(), "name", seeded.text(0, 20)),
    };
    let before = flow.slot(operation.id());
    flow.apply(&operation).ok()?;
    before.or_else(|| flow.slot(operation.id()))
}

#[test]
fn sharing_changes_nothing_but_the_size() {
    for (seed, mut flow) in [(1, wide(2_000)), (2, any_flow(7, 1_500)), (3, wide(300)), (4, Flow::new())] {
        let mut seeded = Seeded(seed);
        let mut files = Files::new();
        let mut bases: Vec<Basis> = Vec::new();
        let (mut alone_bytes, mut sharing_bytes) = (0, 0);
        for sequence in 1..=30 {
            let mut touched = BTreeSet::new();
            // Edits in one place, which is where sharing helps, and now and then everywhere.
            for _ in 0..1 + seeded.below(20) {
                touched.extend(edit(&mut flow, &mut seeded));
            }
            if sequence == 1 || flow.is_empty() {
                flow.apply(&Operation::add(Component::new(format!("first {sequence}"), "x"))).unwrap();
                touched.extend(flow.slot(&format!("first {sequence}")));
            }
            let alone = encode(&flow, &about(sequence), ATTACHMENT).unwrap();
            let bytes = match bases.last() {
                None => alone.clone(),
                Some(basis) => {
                    let asked = RefCell::new(Vec::new());
                    let known = encode_after(&flow, &about(sequence), ATTACHMENT, basis, |slots| {
                        asked.borrow_mut().push(slots.clone());
                        touched.range(slots).next().is_some()
                    })
                    .unwrap();
                    let unknown = encode_after(&flow, &about(sequence), ATTACHMENT, basis, |_| true).unwrap();
                    // Knowing what was touched may leave small pages unmerged; it never makes another flow.
                    files.insert(sequence, unknown);
                    assert_same(&open(&files, sequence).verify().unwrap(), &flow);
                    known
                }
            };
            alone_bytes += alone.len();
            sharing_bytes += bytes.len();
            files.insert(sequence, bytes);
            let checkpoint = open(&files, sequence);
            assert_same(&checkpoint.verify().unwrap(), &flow);
            assert_eq!(checkpoint.attachment().unwrap(), ATTACHMENT);
            assert!(checkpoint.refers_to().len() <= FILES_MAX);
            bases.push(checkpoint.basis());
            // A checkpoint needs the files that it names and no other.
            let needed: BTreeSet<u64> = checkpoint.refers_to().iter().copied().chain([sequence]).collect();
            let few: Files = files
                .iter()
                .filter(|(file, _)| needed.contains(file))
                .map(|(k, v)| (*k, v.clone()))
                .collect();
            assert_same(&open(&few, sequence).verify().unwrap(), &flow);
        }
        assert!(sharing_bytes < alone_bytes, "{seed}: {sharing_bytes} {alone_bytes}");
    }
}

/// A flow, and the same with one component changed, the second sharing with the first.
fn two(count: u32) -> (Files, Flow) {
    let (mut flow, middle) = (wide(count), Slot(count / 2));
    let mut files = Files::new();
    files.insert(1, encode(&flow, &about(1), ATTACHMENT).unwrap());
    let id = flow.component_in(middle).unwrap().id.clone();
    flow.apply(&Operation::set(id, "name", "changed")).unwrap();
    let basis = open(&files, 1).basis();
    let bytes = encode_after(&flow, &about(2), ATTACHMENT, &basis, |slots| slots.contains(&middle));
    files.insert(2, bytes.unwrap());
    (files, flow)
}

#[test]
fn one_changed_component_costs_one_page() {
    let (files, flow) = two(3_000);
    let (first, second) = (open(&files, 1), open(&files, 2));
    assert_eq!(second.refers_to(), [1]);
    let pages = u64::from(first.component_pages());
    assert!(second.header().page_bytes * pages < 2 * first.header().page_bytes);
    assert_same(&second.verify().unwrap(), &flow);

    // What is asked of it costs what it costs in a file that shares nothing.
    let second = open(&files, 2);
    for slot in [0, 1_500, 2_999] {
        let before = second.pages_read();
        let component = second.component_in(Slot(slot)).unwrap().unwrap();
        assert_eq!(Some(&component), flow.component_in(Slot(slot)).map(|held| &**held));
        assert_eq!(second.pages_read() - before, 1);
    }
}

#[test]
fn a_page_that_nobody_touched_is_not_looked_at() {
    let (files, flow) = two(3_000);
    // A wrong no gives the page of the earlier checkpoint: nothing was compared.
    let basis = open(&files, 1).basis();
    let mut files = files;
    files.insert(3, encode_after(&flow, &about(3), ATTACHMENT, &basis, |_| false).unwrap());
    let wrong = open(&files, 3).to_flow().unwrap();
    assert_eq!(wrong.component_in(Slot(1_500)).unwrap().get("name"), None);
    // But for a component that came or went, which is noticed.
    let mut fewer = flow.clone();
    let id = fewer.component_in(Slot(2_000)).unwrap().id.clone();
    fewer.apply(&Operation::remove(id)).unwrap();
    let basis = open(&files, 2).basis();
    files.insert(4, encode_after(&fewer, &about(4), ATTACHMENT, &basis, |_| false).unwrap());
    assert_same(&open(&files, 4).verify().unwrap(), &fewer);
}

#[test]
fn a_basis_that_does_not_fit_is_left_alone() {
    let (files, flow) = two(3_000);
    let basis = open(&files, 2).basis();
    assert_eq!(basis.sequence(), 2);
    for other in [about(2), about(1), About { history: [9; 16], ..about(3) }] {
        let alone = encode(&flow, &other, ATTACHMENT).unwrap();
        assert_eq!(encode_after(&flow, &other, ATTACHMENT, &basis, |_| false).unwrap(), alone);
    }
}

#[test]
fn a_missing_file_is_named() {
    let (mut files, _) = two(3_000);
    files.remove(&1);
    let checkpoint = open(&files, 2);
    assert!(matches!(checkpoint.to_flow(), Err(CheckpointError::FileMissing { sequence: 1 })));
    assert!(checkpoint.component_in(Slot(1_500)).unwrap().is_some());
    assert_eq!(checkpoint.attachment().unwrap(), ATTACHMENT);
}

#[test]
fn damage_in_an_earlier_file_is_noticed_where_its_pages_are_read() {
    let (files, flow) = two(700);
    let (mut noticed, mut harmless) = (0, 0);
    let length = files[&1].len();
    for at in (0..length).step_by(499).chain((0..length).rev().take(400).step_by(5)) {
        let mut damaged = files.clone();
        damaged.get_mut(&1).unwrap()[at] ^= 1 << (at % 8);
        match open(&damaged, 2).verify() {
            Ok(read) => {
                assert_eq!(read.state_hash(), flow.state_hash());
                harmless += 1;
            }
            Err(CheckpointError::Damaged { part: Part::SharedPage { sequence: 1, .. }, .. }) => noticed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    // Its header, directory and attachment are not asked for.
    assert!(noticed > 50 && harmless > 50, "{noticed} {harmless}");
    for length in (0..length).step_by(9_973) {
        let mut damaged = files.clone();
        damaged.get_mut(&1).unwrap().truncate(length);
        let error = open(&damaged, 2).verify().unwrap_err();
        assert!(matches!(error, CheckpointError::Damaged { part: Part::SharedPage { .. }, .. }), "{error:?}");
    }
}

#[test]
fn a_file_of_another_line_does_not_pass() {
    let (files, _) = two(3_000);
    // The same history went on otherwise in a copy; its checkpoint has the same name.
    let mut other = wide(3_000);
    let slots: Vec<Slot> = other.iter().map(|(slot, _)| slot).collect();
    for slot in slots {
        let id = other.component_in(slot).unwrap().id.clone();
        other.apply(&Operation::set(id, "a field's name 0", "xxxxxxxxxxxxxxxxxxxx")).unwrap();
    }
    let mut mixed = files;
    mixed.insert(1, encode(&other, &about(1), ATTACHMENT).unwrap());
    let error = open(&mixed, 2).to_flow().unwrap_err();
    assert!(
        matches!(error, CheckpointError::Damaged { part: Part::SharedPage { sequence: 1, .. }, .. }),
        "{error:?}"
    );
}
