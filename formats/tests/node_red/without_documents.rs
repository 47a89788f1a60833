//! Flows that were made or edited through the library, not by an import.

use flow_history_flow::{Component, Flow, Map, Operation, Order, SecretRef, Value, operations_between};
use flow_history_formats::node_red::{ExportErrorKind, Layout, to_document, to_flow};

fn flow(components: impl IntoIterator<Item = Component>) -> Flow {
    let mut flow = Flow::new();
    flow.apply_all(&components.into_iter().map(Operation::add).collect::<Vec<_>>()).unwrap();
    flow
}

/// The document of a flow; importing it changes nothing.
fn check(flow: &Flow, expected: &str) {
    assert_eq!(to_document(flow, Layout::Compact).unwrap(), expected);
    let again = to_flow(expected.as_bytes(), flow).unwrap();
    assert_eq!(operations_between(flow, &again), []);
    assert_eq!(&again, flow);
}

fn wire(id: &str, from: &str, to: &str) -> Component {
    Component::new(id, "wire").field("from", Value::Ref(from.into())).field("to", Value::Ref(to.into()))
}

fn secret() -> Value {
    Value::Secret(SecretRef { id: [1; 16], tag: [2; 16] })
}

#[test]
fn components_stand_by_order_then_id() {
    let late = Order::between(None, None);
    check(
        &flow([
            Component::new("a", "x").at(late),
            Component::new("c", "x"),
            Component::new("b", "x").inside("a"),
        ]),
        r#"[{"id":"b","type":"x","z":"a"},{"id":"c","type":"x"},{"id":"a","type":"x"}]"#,
    );
    check(&Flow::new(), "[]");
}

#[test]
fn wires_need_neither_ports_nor_our_ids() {
    let two = wire("w2", "a", "gone").field("port", 2).inside("a");
    check(
        &flow([Component::new("a", "x").field("y", 1).field("name", ""), wire("w1", "a", "a"), two]),
        r#"[{"id":"a","type":"x","y":1,"wires":[["a"],[],["gone"]],"name":""}]"#,
    );
}

#[test]
fn values_have_the_form_of_json() {
    let map: Map = [
        ("b", Value::from(1)),
        ("1", 2.5.into()),
        ("n", flow_history_flow::Number::parse("1.50").unwrap().into()),
    ]
    .into_iter()
    .collect();
    let odd =
        Component::new("a", "x").field("ref", Value::Ref("b".into())).field("map", map).field("7", u64::MAX);
    check(
        &flow([odd.field("id", "other").field("type", "other")]),
        r#"[{"7":18446744073709552000,"id":"a","type":"x","ref":"b","map":{"1":2.5,"b":1,"n":1.5}}]"#,
    );
}

#[test]
fn what_no_document_shows_is_carried_over() {
    let root = Component::new("$root", "root").field("facets", Map::new());
    let held = Component::new("a", "x")
        .inside("$root")
        .field("n", 1)
        .field("password", secret())
        .field("$host", 2)
        .field("m", 3);
    let base = flow([root, held]);
    check(&base, r#"[{"id":"a","type":"x","n":1,"m":3}]"#);

    let new = to_flow(br#"[{"id":"a","type":"x","n":9,"m":3}]"#, &base).unwrap();
    let operations = operations_between(&base, &new);
    assert_eq!(operations, [Operation::set("a", "n", 9)]);
}

#[test]
fn edits_through_the_library_are_no_change_when_they_come_back() {
    let text = br#"[{"id":"a","type":"x","y":1,"wires":[["b"]]},{"id":"b","type":"x","wires":[]}]"#;
    let mut flow = to_flow(text, &Flow::new()).unwrap();
    let edits = [
        Operation::set("a", "name", "n"),
        Operation::add(wire("w", "a", "b").field("port", 3).inside("a")),
        Operation::set("b", "a", Value::Ref("a".into())),
        Operation::add(Component::new("new", "wired").inside("b").at(flow.last_order())),
    ];
    flow.apply_all(&edits).unwrap();
    check(
        &flow,
        r#"[{"id":"a","type":"x","y":1,"wires":[["b"],[],[],["b"]],"name":"n"},{"id":"b","type":"x","a":"a","wires":[]},{"id":"new","type":"wired","z":"b"}]"#,
    );
}

#[test]
fn a_port_that_only_its_wire_shows_goes_with_the_wire() {
    let base =
        flow([Component::new("a", "x").field("$wires", 1), wire("w", "a", "b").field("port", 1).inside("a")]);
    check(&base, r#"[{"id":"a","type":"x","wires":[[],["b"]]}]"#);
    let cut = to_flow(br#"[{"id":"a","type":"x","wires":[[],[]]}]"#, &base).unwrap();
    assert_eq!(to_document(&cut, Layout::Compact).unwrap(), r#"[{"id":"a","type":"x","wires":[[],[]]}]"#);
}

#[test]
fn an_element_may_take_the_id_of_a_wire() {
    let base = flow([Component::new("a", "x"), wire("w", "a", "b").inside("a")]);
    let text = r#"[{"id":"a","type":"x","wires":[["b"]]},{"id":"w","type":"x"}]"#;
    let new = to_flow(text.as_bytes(), &base).unwrap();
    assert_eq!(to_document(&new, Layout::Compact).unwrap(), text);
    assert_eq!(new.component("w").unwrap().kind, "x");
}

#[test]
fn ids_of_our_own_mean_nothing_in_a_document() {
    let text = r#"[{"id":"n","type":"x","z":"~repeat/n/2","wires":[["~repeat/n/2"]]},{"id":"n","type":"x"}]"#;
    let flow = to_flow(text.as_bytes(), &Flow::new()).unwrap();
    assert_eq!(flow.component("n").unwrap().parent, None);
    assert_eq!(flow.len(), 2);
    check(&flow, text);
}

#[test]
fn what_would_be_lost_is_refused() {
    let refused = |component: Component| to_document(&flow([component]), Layout::Compact).unwrap_err().kind;
    let a = || Component::new("a", "x");
    let field = || "f".into();
    assert_eq!(refused(a().field("f", vec![secret()])), ExportErrorKind::Secret { field: field() });
    assert_eq!(
        refused(a().field("f", Value::Bytes([0xFF].as_slice().into()))),
        ExportErrorKind::Bytes { field: field() }
    );
    assert_eq!(refused(Component::new("a", "$verbatim").field("$json", "[1,")), ExportErrorKind::Verbatim);
    assert_eq!(
        refused(Component::new("a", "$verbatim").field("$json", "[".repeat(100_000))),
        ExportErrorKind::Verbatim
    );
    assert_eq!(refused(wire("w", "a", "b").field("port", -1)), ExportErrorKind::Wire);
    assert_eq!(refused(Component::new("w", "wire")), ExportErrorKind::Wire);
    assert_eq!(refused(a().field("$wires", i64::MAX as u64)), ExportErrorKind::Ports { max: 65_536 });
}
