//! What is no document says so, where, and never panics.

use flow_history_flow::{Flow, Reason, VALUE_BYTES_MAX};
use flow_history_formats::node_red::{DocumentErrorKind as Kind, to_flow};

fn check(text: &[u8], line: usize, column: usize, kind: &Kind) {
    let error = to_flow(text, &Flow::new()).unwrap_err();
    assert_eq!((error.line, error.column, &error.kind), (line, column, kind), "{error}");
    let said = error.to_string();
    assert!(said.starts_with(&format!("line {line}, column {column}: the ")), "{said}");
}

fn syntax(reason: &str) -> Kind {
    Kind::Syntax { reason: reason.to_owned() }
}

#[test]
fn broken_text_is_located() {
    check(b"", 1, 1, &Kind::Empty);
    check(b"\xEF\xBB\xBF \n", 1, 1, &Kind::Empty);
    check(b"[{\"id\":\"n1\",\n\"name\":\"caf\xE9\"}]", 2, 12, &Kind::NotUtf8);
    check(br#"[{"id":"n1","func":"retu"#, 1, 24, &syntax("EOF while parsing a string"));
    check(b"[\n<<<<<<< HEAD\n]", 2, 1, &syntax("expected value"));
    check("[{\"é\":\"é\" \"b\":1}]".as_bytes(), 1, 11, &syntax("expected `,` or `}`"));
    check("\u{FEFF}[}".as_bytes(), 1, 2, &syntax("expected value"));
    check("\u{FEFF}\u{FEFF}[]".as_bytes(), 1, 1, &syntax("expected value"));
    check(b"[] x", 1, 4, &syntax("trailing characters"));
    for text in [
        "[1,]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[NaN]",
        "['a']",
        "[\"\\x\"]",
        "[\"\\ud8\"]",
        "[\"\t\"]",
        "{",
        "[{a:1}]",
    ] {
        let error = to_flow(text.as_bytes(), &Flow::new()).unwrap_err();
        assert!(matches!(error.kind, Kind::Syntax { .. }), "{text} {error}");
    }
}

#[test]
fn another_top_level_is_named() {
    check(br#" {"flows":[{"id":"n1","type":"x"}],"rev":"abc"}"#, 1, 2, &Kind::FlowsObject);
    check(br#"{"flowContents":{}}"#, 1, 1, &Kind::NotAnArray { found: "an object" });
    check(b"\n\"x\"", 2, 1, &Kind::NotAnArray { found: "a string" });
    check(b"1", 1, 1, &Kind::NotAnArray { found: "a number" });
    check(b"null", 1, 1, &Kind::NotAnArray { found: "null" });
    check(b"true", 1, 1, &Kind::NotAnArray { found: "true or false" });
}

#[test]
fn limits_are_errors_and_not_crashes() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(to_flow(deep(514).as_bytes(), &Flow::new()).is_ok());
    check(deep(515).as_bytes(), 1, 515, &Kind::NestedTooDeep { max: 514 });
    check(deep(20_000).as_bytes(), 1, 515, &Kind::NestedTooDeep { max: 514 });
    check(deep(1_000_000).as_bytes(), 1, 515, &Kind::NestedTooDeep { max: 514 });
    let large = format!("[1,\n{{\"id\":\"n\",\"type\":\"x\",\"v\":\"{}\"}}]", "x".repeat(VALUE_BYTES_MAX));
    check(
        large.as_bytes(),
        2,
        1,
        &Kind::OverLimit { reason: Reason::ValueTooLarge { max: VALUE_BYTES_MAX } },
    );
    let large = format!("[\"{}\"]", "x".repeat(VALUE_BYTES_MAX));
    check(
        large.as_bytes(),
        1,
        2,
        &Kind::OverLimit { reason: Reason::ValueTooLarge { max: VALUE_BYTES_MAX } },
    );
}

/// Every prefix and every change of one byte: an error or a flow, and the flow's document stays what it is.
#[test]
fn damaged_documents_never_panic() {
    use flow_history_formats::node_red::{Layout, to_document};
    let text = r#"[{"id":"t","type":"tab"},{"id":"a","type":"x","z":"t","n":-1.5e3,"y":0,"wires":[["t","é"]],"l":"\ud800"},null]"#;
    let base = to_flow(text.as_bytes(), &Flow::new()).unwrap();
    let survives = |damaged: &[u8]| {
        let Ok(flow) = to_flow(damaged, &base) else { return };
        let written = to_document(&flow, Layout::Compact).unwrap();
        assert_eq!(to_flow(written.as_bytes(), &flow).unwrap(), flow);
        let again = to_flow(written.as_bytes(), &Flow::new()).unwrap();
        assert_eq!(to_document(&again, Layout::Compact).unwrap(), written);
    };
    for at in 0..text.len() {
        survives(&text.as_bytes()[..at]);
        for byte in b"\"\\[]{},:01ae~$ \x00\xFF" {
            let mut damaged = text.as_bytes().to_vec();
            damaged[at] = *byte;
            survives(&damaged);
        }
    }
}
