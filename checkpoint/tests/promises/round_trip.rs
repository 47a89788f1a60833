//! Goal: what was written is what is read, down to slots and the order of keys.
//! Method: flows of every shape that the model allows, there and back.

use flow_history_checkpoint::{ATTACHMENT_BYTES_MAX, Checkpoint, CheckpointError, PAGE_BYTES, encode};
use flow_history_flow::{Component, Flow, Map, NESTING_MAX, Operation, Order, Slot, Value};

use crate::flows::{ABOUT, ATTACHMENT, Seeded, any_flow, assert_same, bytes_of, every_value, small, wide};

/// Writes and reads a flow in every way; returns the number of pages of components.
fn check(flow: &Flow) -> u32 {
    let checkpoint = Checkpoint::open(bytes_of(flow)).unwrap();
    assert_eq!(checkpoint.header().about(), ABOUT);
    assert_eq!(checkpoint.header().components, flow.len() as u64);
    assert_eq!(checkpoint.attachment().unwrap(), ATTACHMENT);
    assert!(checkpoint.refers_to().is_empty());
    assert_same(&checkpoint.to_flow().unwrap(), flow);
    assert_same(&checkpoint.verify().unwrap(), flow);

    let mut by_page = 0;
    for number in 0..checkpoint.component_pages() {
        for (slot, component) in checkpoint.page(number).unwrap().components().unwrap() {
            assert_eq!(flow.component_in(slot), Some(&component));
            by_page += 1;
        }
    }
    assert_eq!(by_page, flow.len());
    let some = (0..flow.next_slot().0).step_by(1 + flow.len() / 300);
    for slot in some.map(Slot) {
        let read = checkpoint.component_in(slot).unwrap();
        assert_eq!(read.as_ref(), flow.component_in(slot).map(|held| &**held), "{slot:?}");
        let Some(component) = flow.component_in(slot) else { continue };
        let by_id = checkpoint.component(&component.id).unwrap();
        assert_eq!(by_id, read.map(|read| (slot, read)));
        assert_eq!(checkpoint.slot_of(&component.id).unwrap(), Some(slot));
        assert_eq!(checkpoint.slot_of(&format!("no {}", component.id)).unwrap(), None);
        let mut children: Vec<Slot> =
            flow.children(&component.id).iter().filter_map(|child| flow.slot(&child.id)).collect();
        children.sort_unstable();
        assert_eq!(checkpoint.children_of(slot).unwrap(), children);
        let page = checkpoint.page(checkpoint.page_of(slot).unwrap()).unwrap();
        let (_, parent) = page.component_and_parent(slot).unwrap().unwrap();
        assert_eq!(parent, component.parent.as_deref().and_then(|parent| flow.slot(parent)));
    }
    checkpoint.component_pages()
}

fn one(component: Component) -> Flow {
    let mut flow = Flow::new();
    flow.apply(&Operation::add(component)).unwrap();
    flow
}

#[test]
fn the_empty_flow() {
    assert_eq!(check(&Flow::new()), 0);
    assert_eq!(check(&Flow::with_next_slot(Slot(9))), 0);
}

#[test]
fn a_small_flow_with_a_hole_and_a_child_before_its_parent() {
    assert_eq!(check(&small()), 1);
}

#[test]
fn every_kind_of_value() {
    assert_eq!(check(&every_value()), 1);
}

#[test]
fn ten_thousand_components() {
    let pages = check(&wide(10_000));
    assert!((40..150).contains(&pages), "{pages}");
}

#[test]
fn any_flow_at_all() {
    for seed in 0..150 {
        check(&any_flow(seed, 1 + (seed as u32 * 7) % 90));
    }
    assert!(check(&any_flow(1_000, 3_000)) > 2);
}

#[test]
fn values_nested_as_deep_as_they_may_be() {
    let mut lists = Value::from(1);
    let mut maps = Value::List(Vec::new());
    for level in 0..NESTING_MAX {
        lists = Value::List(vec![lists]);
        maps = Value::Map(
            [("first", Value::Null), ("a", maps), ("last", level.to_string().into())].into_iter().collect(),
        );
    }
    assert_eq!(check(&one(Component::new("deep", "x").field("lists", lists).field("maps", maps))), 1);
}

#[test]
fn a_component_larger_than_a_page_has_one_of_its_own() {
    let mut seeded = Seeded(1);
    let mut flow = small();
    flow.apply(&Operation::add(Component::new("novel", "x").field("text", seeded.text(100_000, 100_000))))
        .unwrap();
    flow.apply(&Operation::add(Component::new("after", "x"))).unwrap();
    flow.apply(&Operation::add(
        Component::new("blank", "x").field("text", " ".repeat(16 << 20)[1..].to_owned()),
    ))
    .unwrap();
    flow.apply(&Operation::add(Component::new("list", "x").field("list", vec![0; PAGE_BYTES]))).unwrap();
    assert_eq!(check(&flow), 5);

    let checkpoint = Checkpoint::open(bytes_of(&flow)).unwrap();
    for id in ["novel", "blank", "list"] {
        let page = checkpoint.page_of(flow.slot(id).unwrap()).unwrap();
        assert_eq!(checkpoint.page(page).unwrap().components().unwrap().len(), 1, "{id}");
    }
}

#[test]
fn slots_with_holes_keep_their_numbers() {
    let mut flow = wide(1_000);
    let all: Vec<_> = flow.iter().map(|(slot, component)| (slot, component.id.clone())).collect();
    for (slot, id) in all {
        if slot.0 % 7 != 0 {
            let _parents_stay = flow.apply(&Operation::remove(id));
        }
    }
    assert!(flow.len() < 200);
    check(&flow);
}

#[test]
fn children_before_their_parents_all_the_way_up() {
    // Each component is inside the one after it: nothing can be added before the last.
    let count = 20_000;
    let mut flow = Flow::new();
    for at in 0..count {
        flow.apply(&Operation::add(Component::new(at.to_string(), "group"))).unwrap();
    }
    for at in 1..count {
        flow.apply(&Operation::shift((at - 1).to_string(), Some(at.to_string().into()), Order::default()))
            .unwrap();
    }
    let read = Checkpoint::open(bytes_of(&flow)).unwrap().to_flow().unwrap();
    assert_same(&read, &flow);
}

#[test]
fn the_longest_ids_names_and_orders() {
    let mut component =
        Component::new("i".repeat(255), "k".repeat(65_536)).at(Order::from_bytes(&[7; 1_024]));
    component.fields = [("n".repeat(65_536), 1)].into_iter().collect::<Map>();
    check(&one(component));
}

#[test]
fn a_component_that_nearly_fills_a_page_behind_a_page_that_is_nearly_full() {
    // Whatever it is that makes the component large: where that goes uncounted, the page is over what readers accept.
    let parent = "p".repeat(255);
    for part in 0..4 {
        let mut flow = one(Component::new(&parent, "x"));
        for small in 0..4 {
            let text = "x".repeat(16_000);
            flow.apply(&Operation::add(Component::new(format!("{small}"), "x").field("text", text))).unwrap();
        }
        let size = |here: usize| if part == here { 65_000 } else { 1 };
        let list = vec![Value::List(Vec::new()); size(3) / 4];
        let large = Component::new("large", "k".repeat(size(0))).inside(parent.as_str());
        let large = large
            .field("n".repeat(size(1)), "t".repeat(size(2)))
            .field("list", list)
            .field("more", "m".repeat(60_000));
        flow.apply(&Operation::add(large)).unwrap();
        check(&flow);
    }
}

#[test]
fn attachments_of_any_size() {
    let mut seeded = Seeded(3);
    for length in [0, 1, 100_000] {
        let attachment = seeded.bytes(length);
        let bytes = encode(&small(), &ABOUT, &attachment).unwrap();
        assert_eq!(Checkpoint::open(bytes).unwrap().attachment().unwrap(), attachment);
    }
    let over = encode(&small(), &ABOUT, &vec![0; ATTACHMENT_BYTES_MAX + 1]);
    assert!(matches!(over, Err(CheckpointError::TooLarge { what: "the attachment", id: None, .. })));
}

#[test]
fn the_same_flow_gives_the_same_bytes_whatever_the_way_there() {
    let flow = wide(500);
    let again = Checkpoint::open(bytes_of(&flow)).unwrap().to_flow().unwrap();
    assert_eq!(bytes_of(&again), bytes_of(&flow));
}
