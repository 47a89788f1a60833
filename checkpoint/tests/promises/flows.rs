//! The flows that the suite writes and reads, and a small seeded generator.

use std::sync::Arc;

use flow_history_checkpoint::{About, Checkpoint, CheckpointError, encode};
use flow_history_flow::{Component, Flow, Map, Number, Operation, Order, SecretRef, Value};

pub(crate) const ABOUT: About = About { history: [0x11; 16], sequence: 42, chain: [0x22; 32] };
pub(crate) const ATTACHMENT: &[u8] = b"stacks, interned names and whatever else a log folds";

/// splitmix64.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }

    pub(crate) fn text(&mut self, min: u64, max: u64) -> String {
        let length = min + self.below(max - min + 1);
        let letters: Vec<char> = "abcdefghijklmnopqrstuvwxyzäé水🙂".chars().collect();
        (0..length).map(|_| letters[self.index(letters.len())]).collect()
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    pub(crate) fn value(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 9 } else { 11 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::Number((self.next() as i64).into()),
            3 => {
                Value::Number(Number::parse(&format!("-{}.50E+{}", self.below(10), self.below(999))).unwrap())
            }
            4 => Value::Bytes(self.bytes(self.0.to_le_bytes()[1] as usize % 40).into()),
            5 => Value::Ref(self.text(1, 10).into()),
            6 => Value::Secret(SecretRef { id: [self.0.to_le_bytes()[2]; 16], tag: [3; 16] }),
            7 | 8 => Value::Text(self.text(0, 30).into()),
            9 => Value::List((0..self.below(5)).map(|_| self.value(depth - 1)).collect()),
            _ => Value::Map((0..self.below(5)).map(|_| (self.text(0, 8), self.value(depth - 1))).collect()),
        }
    }
}

/// Any flow: components of any values, some inside others, some moved, some removed.
pub(crate) fn any_flow(seed: u64, components: u32) -> Flow {
    let mut seeded = Seeded(seed);
    let mut flow = Flow::new();
    let mut ids: Vec<String> = Vec::new();
    for at in 0..components {
        let id = format!("{at}-{}", seeded.text(0, 12));
        let mut component = Component::new(&id, ["processor", "wire", "group", ""][seeded.index(4)]);
        for _ in 0..seeded.below(8) {
            let (name, value) = (format!("field {}", seeded.below(12)), seeded.value(3));
            component = component.field(name, value);
        }
        if !ids.is_empty() && seeded.below(2) == 0 {
            component = component.inside(ids[seeded.index(ids.len())].as_str());
        }
        let length = seeded.index(4);
        component = component.at(Order::from_bytes(&seeded.bytes(length)));
        flow.apply(&Operation::add(component)).unwrap();
        ids.push(id);
    }
    // Moves put components under younger ones and fail on cycles; removals fail on parents.
    for _ in 0..components / 2 {
        let (id, parent) = (ids[seeded.index(ids.len())].as_str(), ids[seeded.index(ids.len())].as_str());
        let _may_fail = flow.apply(&Operation::shift(id, Some(parent.into()), Order::default()));
        let _may_fail = flow.apply(&Operation::remove(ids[seeded.index(ids.len())].as_str()));
    }
    flow
}

/// Every kind of value, each also inside a list and a map.
pub(crate) fn every_value() -> Flow {
    let number = |lexeme| Value::Number(Number::parse(lexeme).unwrap());
    let leaves = vec![
        Value::Null,
        true.into(),
        false.into(),
        0.into(),
        i64::MIN.into(),
        i64::MAX.into(),
        u64::MAX.into(),
        number("-0"),
        number("1.0"),
        number("1e400"),
        "".into(),
        "text with \0, é and 🙂".into(),
        Value::Bytes([].as_slice().into()),
        Value::Bytes([0, 255, 128].as_slice().into()),
        Value::Ref("nobody".into()),
        Value::Secret(SecretRef { id: [1; 16], tag: [2; 16] }),
        Value::List(Vec::new()),
        Value::Map(Map::new()),
    ];
    let named = |leaves: &[Value]| -> Map {
        leaves.iter().enumerate().map(|(at, value)| (format!("{at:02}"), value.clone())).rev().collect()
    };
    let mut component = Component::new("all", "everything").at(Order::from_bytes(&[0, 255, 0]));
    component.fields = named(&leaves);
    let many: Map = (0..100).map(|at| (format!("key {at}"), Value::from(at))).collect();
    let component = component
        .field("list", Value::List(leaves.clone()))
        .field("map", named(&leaves))
        .field("lists of lists", vec![vec![1, 2], Vec::new(), vec![3]])
        .field("many", many)
        .field("", "a field without a name");
    let mut flow = Flow::new();
    flow.apply(&Operation::add(component)).unwrap();
    flow.apply(&Operation::add(Component::new("bare", "").inside("all"))).unwrap();
    flow
}

/// Four components with a hole in the slots, a child before its parent and a wire.
pub(crate) fn small() -> Flow {
    let wire = Component::new("wire", "wire").field("from", Value::Ref("pump".into()));
    let mut flow = Flow::new();
    let change = [
        Operation::add(Component::new("pump", "processor").field("rate", 80).field("note", "slowly")),
        Operation::add(Component::new("gone", "label")),
        Operation::add(wire.field("to", Value::Ref("tank".into())).field("queue", vec![1, 2])),
        Operation::add(Component::new("group", "group").at(Order::from_bytes(&[0x80]))),
        Operation::shift("pump", Some("group".into()), Order::from_bytes(&[0x40])),
        Operation::remove("gone"),
    ];
    flow.apply_all(&change).unwrap();
    flow
}

/// `count` components, each of 300 bytes or so.
pub(crate) fn wide(count: u32) -> Flow {
    let mut seeded = Seeded(7);
    let mut flow = Flow::new();
    for at in 0..count {
        let mut component = Component::new(format!("{:032x}", seeded.next()), "processor");
        for field in 0..8 {
            component = component.field(format!("a field's name {field}"), seeded.text(10, 30));
        }
        if at > 0 {
            let parent = flow.iter().next().map(|(_, parent)| parent.id.clone());
            component.parent = if at % 3 == 0 { parent } else { None };
        }
        flow.apply(&Operation::Add { component: Arc::new(component), slot: None }).unwrap();
    }
    flow
}

pub(crate) fn bytes_of(flow: &Flow) -> Vec<u8> {
    encode(flow, &ABOUT, ATTACHMENT).unwrap()
}

/// Everything that reading a whole checkpoint checks.
pub(crate) fn read_all(bytes: &[u8]) -> Result<Flow, CheckpointError> {
    Checkpoint::open(bytes)?.verify()
}

/// Equal down to slots, order of keys and names of sealed files, which the state hash leaves out.
pub(crate) fn assert_same(read: &Flow, written: &Flow) {
    assert_eq!(read.state_hash(), written.state_hash());
    assert_eq!(read.next_slot(), written.next_slot());
    assert_eq!(read.len(), written.len());
    for (slot, component) in written.iter() {
        assert_eq!(read.component_in(slot), Some(component));
        let ids = |flow: &Flow| {
            flow.children(&component.id).iter().map(|child| child.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(read), ids(written));
    }
}
