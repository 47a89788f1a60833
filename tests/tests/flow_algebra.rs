//! Goal: the algebra on which history rests. Every operation has an exact inverse, a change is all or nothing, the
//! operations between two flows lead from one to the other, and a state hash is a name for content.
//!
//! Method: proptest grows flows from genes, which become operations when they meet a flow, so that failures shrink to a
//! few operations. Slots, key order and the indexes of children and wires are compared too: `==` on flows is not enough.

use std::sync::Arc;

use flow_history::{
    Component, Difference, Facet, FacetTable, Flow, Map, Number, Operation, Order, ROOT_ID, ROOT_KIND,
    SecretRef, Slot, Value, operations_between,
};
use flow_history_replay::{Author, Body, Header, HistoryId, Intent, State, Timestamp};
use flow_history_tests::{Gene, slots_of, thoroughness};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just("-0"), Just("1.0"), Just("1e400"), Just("18446744073709551616")]
            .prop_map(|lexeme| Number::parse(lexeme).unwrap().into()),
        ".{0,6}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Value::Bytes(bytes.into())),
        (0..30_u8).prop_map(|at| Value::Ref(format!("c{at}").into())),
        (0..4_u8).prop_map(|tag| Value::Secret(SecretRef { id: [tag; 16], tag: [tag; 16] })),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::vec(("[a-d]", inner), 0..6)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

fn gene() -> impl Strategy<Value = Gene> {
    (any::<u8>(), any::<u16>(), any::<u16>(), any::<u8>(), value())
        .prop_map(|(kind, pick, other, place, value)| Gene { kind, pick, other, place, value })
}

fn genes(count: usize) -> impl Strategy<Value = Vec<Gene>> {
    prop::collection::vec(gene(), 0..count)
}

fn grow(mut flow: Flow, genes: &[Gene]) -> Flow {
    for gene in genes {
        let operation = gene.operation(&flow);
        let _ = flow.apply(&operation);
    }
    flow
}

/// Everything that can be asked of a flow, slots and indexes included.
fn all_of(flow: &Flow) -> impl PartialEq + std::fmt::Debug + use<> {
    let children: Vec<(String, Vec<String>)> = flow
        .in_order()
        .iter()
        .map(|c| (c.id.to_string(), flow.children(&c.id).iter().map(|c| c.id.to_string()).collect()))
        .collect();
    let ends = (0..30).map(|at| format!("c{at}")).chain(["nowhere".to_owned(), ROOT_ID.to_owned()]);
    let attached: Vec<(String, Vec<String>)> =
        ends.map(|end| (end.clone(), flow.attached(&end).map(|c| c.id.to_string()).collect())).collect();
    (slots_of(flow), children, attached, flow.state_hash())
}

/// The indexes of a flow that was built up must be those of one that is read back component by component.
fn rebuilt(flow: &Flow) -> Flow {
    let mut other = Flow::with_next_slot(flow.next_slot());
    other.apply_all(&flow.to_operations()).unwrap();
    other
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases: cases * u32::try_from(thoroughness()).unwrap(),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(800))]

    #[test]
    fn an_operation_and_its_inverse_lead_back(before in genes(40), next in genes(20)) {
        let mut flow = grow(Flow::new(), &before);
        prop_assert_eq!(all_of(&flow), all_of(&rebuilt(&flow)));
        for gene in next {
            let operation = gene.operation(&flow);
            let was = all_of(&flow);
            match flow.apply(&operation) {
                Err(misfit) => prop_assert_eq!(all_of(&flow), was, "{} changed the flow", misfit),
                Ok(inverse) => {
                    let next_slot = flow.next_slot();
                    let is = all_of(&flow);
                    let mut back = flow.clone();
                    let forth = back.apply(&inverse).expect("an inverse fits");
                    // Slots are never given out twice, so that the next slot alone stays where it was.
                    prop_assert_eq!(back.next_slot(), next_slot);
                    let mut taken_back = flow.clone();
                    let slot = was_next_slot(&operation, next_slot);
                    taken_back.take_back([&inverse], slot);
                    prop_assert_eq!(all_of(&taken_back), was, "{:?} and {:?}", operation, inverse);
                    back.apply(&forth).expect("the inverse of an inverse fits");
                    prop_assert_eq!(all_of(&back), is, "{:?} and {:?} and {:?}", operation, inverse, forth);
                }
            }
        }
        prop_assert_eq!(all_of(&flow), all_of(&rebuilt(&flow)));
    }

    /// Without inverses, and with the slot looked up before, an entry has the same bytes and leads to the same state; what
    /// does not fit is refused alike and leaves no trace.
    #[test]
    fn what_is_pushed_for_good_is_what_is_pushed(before in genes(30), changes in prop::collection::vec(genes(5), 1..8)) {
        let mut kept = State::start(HistoryId([7; 16]));
        kept.flow = grow(Flow::new(), &before);
        let mut for_good = kept.clone();
        let author = Arc::new(Author::user("alice"));
        let (mut kept_bytes, mut bytes) = (Vec::new(), Vec::new());
        for change in changes {
            let operations: Vec<_> = change.iter().map(|gene| gene.operation(&kept.flow)).collect();
            let body = Body::Change(operations);
            let mut header = Header::new(Arc::clone(&author), Intent::Edit, Timestamp::from_millis(1));
            let mut same = header.clone();
            let slow = kept.push(&mut header, &body, &mut kept_bytes).map(|pushed| pushed.id);
            let fast = for_good.push_for_good(&mut same, &body, &mut bytes);
            prop_assert_eq!(slow, fast);
            prop_assert_eq!(&kept_bytes, &bytes);
            prop_assert_eq!((header, kept.version()), (same, for_good.version()));
            prop_assert_eq!(all_of(&kept.flow), all_of(&for_good.flow));
            prop_assert_eq!(kept.flow.next_slot(), for_good.flow.next_slot());
        }
    }

    #[test]
    fn a_change_is_all_or_nothing(before in genes(30), change in genes(12)) {
        let mut flow = grow(Flow::new(), &before);
        let was = all_of(&flow);
        let (content, next_slot) = (flow.clone(), flow.next_slot());
        // Genes meet the flow before the change, so that later operations often do not fit.
        let operations: Vec<Operation> = change.iter().map(|gene| gene.operation(&flow)).collect();
        let first_misfit = {
            let mut one_by_one = flow.clone();
            operations.iter().position(|operation| one_by_one.apply(operation).is_err())
        };
        match flow.apply_all(&operations) {
            Err(misfit) => {
                prop_assert_eq!(Some(misfit.operation), first_misfit);
                prop_assert_eq!(all_of(&flow), was);
            }
            Ok(inverses) => {
                prop_assert_eq!(first_misfit, None);
                prop_assert_eq!(inverses.len(), operations.len());
                flow.apply_all(&inverses).expect("the inverses of a change fit");
                prop_assert_eq!(&flow, &content);
                let slots = |flow: &Flow| flow.to_operations();
                prop_assert_eq!(slots(&flow), slots(&content));
                prop_assert!(flow.next_slot() >= next_slot);
            }
        }
    }

    #[test]
    fn the_operations_between_two_flows_lead_from_one_to_the_other(
        shared in genes(30), left in genes(25), right in genes(25), apart in any::<bool>(),
    ) {
        let base = grow(Flow::new(), &shared);
        let a = grow(base.clone(), &left);
        let b = if apart { grow(Flow::new(), &right) } else { grow(base, &right) };
        check_between(&a, &b)?;
        check_between(&b, &a)?;
        prop_assert_eq!(operations_between(&a, &a.clone()), vec![]);
        // The same content in other slots differs in nothing either.
        prop_assert_eq!(operations_between(&b, &grown_alone(&b)), vec![]);
    }

    #[test]
    fn equal_content_has_one_hash_and_different_content_has_others(
        left in genes(30), right in genes(30), more in gene(),
    ) {
        let (a, b) = (grow(Flow::new(), &left), grow(Flow::new(), &right));
        // Along another route: through a different flow, in other slots.
        let mut detour = b.clone();
        detour.apply_all(&operations_between(&b, &a)).expect("operations between two flows fit");
        prop_assert_eq!(detour.state_hash(), a.state_hash());
        prop_assert_eq!(grown_alone(&a).state_hash(), a.state_hash());
        prop_assert_eq!(detour.config_hash(), a.config_hash());
        prop_assert_eq!(a == b, a.state_hash() == b.state_hash());
        let next = grow(a.clone(), &[more]);
        prop_assert_eq!(a == next, a.state_hash() == next.state_hash());
    }

    #[test]
    fn a_value_edit_by_edit_becomes_another(before in value(), after in value()) {
        let of = |value: &Value| {
            let mut flow = Flow::new();
            flow.apply(&Operation::add(Component::new("c", "k").field("v", value.clone()))).unwrap();
            flow
        };
        check_between(&of(&before), &of(&after))?;
    }
}

fn was_next_slot(operation: &Operation, now: Slot) -> Slot {
    match operation {
        Operation::Add { slot: None, .. } => Slot(now.0 - 1),
        _ => now,
    }
}

fn grown_alone(flow: &Flow) -> Flow {
    let mut other = Flow::new();
    let without_slots = flow.to_operations().into_iter().map(|operation| match operation {
        Operation::Add { component, .. } => Operation::Add { component, slot: None },
        other => other,
    });
    other.apply_all(&without_slots.collect::<Vec<_>>()).unwrap();
    other
}

fn check_between(before: &Flow, after: &Flow) -> Result<(), TestCaseError> {
    let operations = operations_between(before, after);
    let mut flow = before.clone();
    flow.apply_all(&operations).map_err(|misfit| TestCaseError::fail(format!("{misfit}: {operations:?}")))?;
    prop_assert_eq!(&flow, after, "{:?}", &operations);
    prop_assert_eq!(operations.is_empty(), before == after);
    prop_assert_eq!(flow.state_hash(), after.state_hash());
    prop_assert_eq!(Difference::between(&flow, after), Difference::default());
    prop_assert_eq!(Difference::between(before, after).is_empty(), looks_alike(before, after));
    Ok(())
}

/// Whether two flows differ in nothing that a person sees: an order key is not seen, the places it gives are.
fn looks_alike(before: &Flow, after: &Flow) -> bool {
    let seen = |flow: &Flow| -> Vec<Component> {
        let without_key =
            |component: &std::sync::Arc<Component>| Component::clone(component).at(Order::default());
        flow.in_order().iter().map(without_key).collect()
    };
    seen(before) == seen(after)
}

#[test]
fn the_config_hash_sees_what_the_facet_table_calls_config_and_nothing_else() {
    let table: Map = [
        ("processor/x", "layout"),
        ("*/state", "runtime"),
        ("processor/key", "secret"),
        ("*/y", "no such facet"),
    ]
    .into_iter()
    .map(|(key, facet)| (key, Value::from(facet)))
    .collect();
    let flow = |facets: bool, processor: Component, order: u8| {
        let mut flow = Flow::new();
        let root = Component::new(ROOT_ID, ROOT_KIND);
        let root = if facets { root.field(FacetTable::FIELD, table.clone()) } else { root };
        flow.apply(&Operation::add(root)).unwrap();
        flow.apply(&Operation::add(processor.at(Order::from_bytes(&[order])))).unwrap();
        flow
    };
    let pump = || {
        Component::new("pump", "processor")
            .field("rate", 8)
            .field("x", 1)
            .field("state", "running")
            .field("key", "k")
            .field("y", 1)
    };
    let check = |changed: Component, with_table_differs: bool, what: &str| {
        let (was, is) = (flow(true, pump(), 1), flow(true, changed.clone(), 1));
        assert_ne!(was.state_hash(), is.state_hash(), "the state hash misses {what}");
        assert_eq!(was.config_hash() != is.config_hash(), with_table_differs, "{what}");
        let (was, is) = (flow(false, pump(), 1), flow(false, changed, 1));
        assert_ne!(was.config_hash(), is.config_hash(), "without a table every field is config: {what}");
    };
    check(pump().field("rate", 9), true, "a config field");
    check(pump().field("x", 9), false, "a layout field");
    check(pump().field("state", "stopped"), false, "a runtime field of every kind");
    check(pump().field("key", "l"), false, "a secret field");
    check(pump().field("y", 9), true, "a field whose facet no table knows");
    check(pump().field("z", 9), true, "a new field");
    assert_eq!(flow(true, pump(), 1).config_hash(), flow(true, pump(), 2).config_hash(), "order is layout");
    assert_ne!(flow(true, pump(), 1).state_hash(), flow(true, pump(), 2).state_hash(), "order is state");
    for facet in
        [Facet::Config, Facet::Layout, Facet::Runtime, Facet::Secret, Facet::Policy, Facet::Environment]
    {
        assert_eq!(Facet::from_name(facet.name()), Some(facet));
    }
}

#[test]
fn the_order_of_keys_is_content() {
    let flow = |fields: [(&str, i64); 2]| {
        let mut component = Component::new("c", "k");
        component.fields = fields.into_iter().collect();
        let mut flow = Flow::new();
        flow.apply(&Operation::add(component)).unwrap();
        flow
    };
    let (ab, ba) = (flow([("a", 1), ("b", 2)]), flow([("b", 2), ("a", 1)]));
    assert_ne!(ab, ba);
    assert_ne!(ab.state_hash(), ba.state_hash());
    assert_eq!(operations_between(&ab, &ba).len(), 2, "one key moves");
}
