//! A small edit of a document is a small change of the flow.

use flow_history_flow::{Flow, Operation, operations_between};
use flow_history_formats::node_red::{Layout, to_document, to_flow};

const BASE: &str = r#"[{"id":"t","type":"tab"},{"id":"a","type":"x","z":"t","x":1,"y":2,"wires":[["b"],[]],"l":true},{"id":"b","type":"x","z":"t","x":1,"y":2,"wires":[]},{"id":"c","type":"x","p":1},{"id":"d","type":"x","p":1},7,{"wires":[["b"]],"id":"e","type":"x","q":1}]"#;

/// The operations from the base to the base with a piece replaced; that they lead there; and back.
fn change(from: &str, to: &str) -> Vec<Operation> {
    assert_eq!(BASE.matches(from).count(), 1, "{from}");
    operations(BASE, &BASE.replace(from, to))
}

fn operations(before: &str, after: &str) -> Vec<Operation> {
    let base = to_flow(before.as_bytes(), &Flow::new()).unwrap();
    let new = to_flow(after.as_bytes(), &base).unwrap();
    let operations = operations_between(&base, &new);
    let mut applied = base.clone();
    let back = applied.apply_all(&operations).unwrap();
    assert_eq!(applied, new);
    assert_eq!(to_document(&applied, Layout::Compact).unwrap(), after);
    applied.apply_all(&back).unwrap();
    assert_eq!(to_document(&applied, Layout::Compact).unwrap(), before);
    operations
}

/// The operations in short: what, and on which component.
fn check(from: &str, to: &str, expected: &[&str]) {
    let short = |operation: &Operation| match operation {
        Operation::Add { component, .. } => format!("add {}", component.id),
        Operation::Remove { id } => format!("remove {id}"),
        Operation::Set { id, path, .. } => format!("set {id} {path}"),
        Operation::Move { id, .. } => format!("move {id}"),
    };
    assert_eq!(change(from, to).iter().map(short).collect::<Vec<_>>(), expected);
}

#[test]
fn the_same_document_is_no_change() {
    assert_eq!(operations(BASE, BASE), []);
}

#[test]
fn a_property_is_one_set() {
    check(r#""c","type":"x","p":1"#, r#""c","type":"x","p":2"#, &["set c p"]);
    check(r#""c","type":"x","p":1"#, r#""c","type":"x","p":1,"new":{}"#, &["set c new"]);
    check(r#""c","type":"x","p":1"#, r#""c","type":"x""#, &["set c p"]);
    // Neither does the element whose keys stand elsewhere need anything else, nor the one with keys behind its wires.
    check(r#","q":1"#, r#","q":2,"r":1"#, &["set e q", "set e r"]);
    check(r#","q":1"#, r#","r":1,"q":1"#, &["set e r"]);
    check(r#""a","type":"x","z":"t","x":1"#, r#""a","type":"x","z":"t","name":"","x":1"#, &["set a name"]);
    check(r#","l":true"#, r#","l":true,"info":"""#, &["set a info"]);
    check(r#","l":true"#, "", &["set a l"]);
}

#[test]
fn where_keys_stand_is_not_said_anew_when_a_property_goes() {
    let with = |rest: &str| format!(r#"[{{"id":"a","type":"x","p":1,"wires":[]{rest}}}]"#);
    assert_eq!(operations(&with(r#","q":1"#), &with("")), [Operation::clear("a", "q")]);
}

#[test]
fn a_wire_is_one_component() {
    check(r#"[["b"],[]]"#, r#"[["b","c"],[]]"#, &["add ~wire/a/0/c"]);
    check(r#"[["b"],[]]"#, r#"[["b","b"],[]]"#, &["add ~wire/a/0/b#2"]);
    check(r#"[["b"],[]]"#, r#"[["c","b"],[]]"#, &["add ~wire/a/0/c"]);
    check(r#"[["b"],[]]"#, r#"[[],[]]"#, &["remove ~wire/a/0/b"]);
    check(r#"[["b"],[]]"#, r#"[["b"],["gone"]]"#, &["add ~wire/a/1/gone"]);
    check(r#"[["b"],[]]"#, r#"[["b"]]"#, &["set a $wires"]);
    check(r#"[["b"],[]]"#, r#"[["b"],[],[]]"#, &["set a $wires"]);
    check(
        r#""z":"t","x":1,"y":2,"wires":[]}"#,
        r#""z":"t","x":1,"y":2,"wires":[["a"]]}"#,
        &["add ~wire/b/0/a", "set b $wires"],
    );
}

#[test]
fn wires_of_one_port_change_places_with_one_move() {
    let with = |wires: &str| format!(r#"[{{"id":"a","type":"x","wires":[{wires}]}}]"#);
    let short = |from: &str, to: &str| {
        operations(&with(from), &with(to))
            .iter()
            .map(|o| (o.id().to_string(), matches!(o, Operation::Move { .. })))
            .collect::<Vec<_>>()
    };
    assert_eq!(short(r#"["p","q","r","s"]"#, r#"["s","p","q","r"]"#), [("~wire/a/0/s".to_owned(), true)]);
    assert_eq!(short(r#"["p","q","p"]"#, r#"["q","p"]"#).len(), 2);
    assert_eq!(short(r#"["p","q"],["q"]"#, r#"["p"],["q"]"#), [("~wire/a/0/q".to_owned(), false)]);
}

#[test]
fn another_place_is_one_move() {
    check(
        r#"{"id":"c","type":"x","p":1},{"id":"d","type":"x","p":1}"#,
        r#"{"id":"d","type":"x","p":1},{"id":"c","type":"x","p":1}"#,
        &["move d"],
    );
    let front = BASE.replace(r#"{"id":"d","type":"x","p":1},"#, "").replacen(
        '[',
        r#"[{"id":"d","type":"x","p":1},"#,
        1,
    );
    let moved = operations(BASE, &front);
    assert!(matches!(moved.as_slice(), [Operation::Move { id, .. }] if *id == "d"), "{moved:?}");
    check(r#""b","type":"x","z":"t","#, r#""b","type":"x","z":"c","#, &["move b"]);
}

#[test]
fn an_element_comes_and_goes_alone() {
    check(
        r#"{"id":"c","type":"x","p":1},"#,
        r#"{"id":"c","type":"x","p":1},{"id":"new","type":"x"},"#,
        &["add new"],
    );
    check(r#"{"id":"d","type":"x","p":1},"#, "", &["remove d"]);
    check(
        r#"{"id":"d","type":"x","p":1},7"#,
        r#"{"id":"d","type":"x","p":1}"#,
        &[&format!("remove {}", seven())],
    );
    check(r#","wires":[["b"],[]]"#, "", &["remove ~wire/a/0/b", "set a $wires"]);
}

/// The id of the element `7`: derived from its content, the same wherever it stands.
fn seven() -> String {
    let flow = to_flow(b"[7]", &Flow::new()).unwrap();
    flow.in_order().first().unwrap().id.to_string()
}

#[test]
fn a_tab_that_goes_leaves_its_elements() {
    let gone = BASE.replace(r#"{"id":"t","type":"tab"},"#, "");
    let changed = operations(BASE, &gone);
    // Each of the two moves out and says as a property where it was.
    assert_eq!(changed.iter().filter(|operation| matches!(operation, Operation::Set { .. })).count(), 2);
    operations(&gone, BASE);
}

#[test]
fn elements_change_between_named_and_verbatim() {
    operations(BASE, &BASE.replace(r#""id":"t","type":"tab""#, r#""id":"t","label":"tab""#));
    operations(BASE, &BASE.replace(r#""id":"b","type":"x","#, r#""id":"b","type":"wire","#));
    operations(BASE, &BASE.replace(r#"{"id":"c""#, r#"{"id":"b""#));
    operations(BASE, &BASE.replace(r#""id":"c""#, r#""id":"~wire/a/0/b""#));
    operations(BASE, &BASE.replace(r#""p":1},7"#, r#""p":{"\ud800":1}},8"#));
    operations(
        BASE,
        r#"[{"id":"b","type":"x","z":"a"},{"id":"a","type":"x"},{"id":"t","type":"x","z":"b"}]"#,
    );
    operations(
        r#"[{"id":"b","type":"x","z":"a"},{"id":"a","type":"x"}]"#,
        r#"[{"id":"a","type":"x","z":"b"},{"id":"b","type":"x"}]"#,
    );
}
