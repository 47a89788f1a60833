//! `to_document(to_flow(text))` is `JSON.stringify(JSON.parse(text))`.

use flow_history_flow::Flow;
use flow_history_formats::node_red::{Layout, to_document, to_flow};

/// The document as expected, and the flow equal to itself when it comes again, from the text or from what was written.
fn check(text: &[u8], expected: &str) {
    let flow = to_flow(text, &Flow::new()).unwrap();
    assert_eq!(to_document(&flow, Layout::Compact).unwrap(), expected);
    assert_eq!(to_flow(text, &flow).unwrap(), flow);
    let pretty = to_document(&flow, Layout::Pretty).unwrap();
    assert_eq!(to_flow(pretty.as_bytes(), &flow).unwrap(), flow);
    assert_eq!(to_flow(pretty.as_bytes(), &Flow::new()).unwrap(), flow);
}

/// A document that is already as JavaScript writes it.
fn check_same(text: &str) {
    check(text.as_bytes(), text);
}

#[test]
fn white_space_byte_order_mark_and_escapes_go() {
    check(b" [\r\n ] ", "[]");
    check(b"\xEF\xBB\xBF[\r\n  {\"id\":\"n1\",\"type\":\"x\"}\r\n]\r\n", r#"[{"id":"n1","type":"x"}]"#);
    check(
        br#"[{"id":"n\u0031","t\u0079pe":"\/x","a":"\u00e9\ud83d\ude00"}]"#,
        r#"[{"id":"n1","type":"/x","a":"é😀"}]"#,
    );
}

#[test]
fn keys_stand_where_javascript_puts_them() {
    check(
        br#"[{"id":"n1","type":"a","type":"b","x":1,"y":0,"x":2}]"#,
        r#"[{"id":"n1","type":"b","x":2,"y":0}]"#,
    );
    check(
        br#"[{"id":"n","type":"x","b":{"b":1,"2":2,"1":3,"01":4},"10":1,"9":2,"4294967295":3}]"#,
        r#"[{"9":2,"10":1,"id":"n","type":"x","b":{"1":3,"2":2,"b":1,"01":4},"4294967295":3}]"#,
    );
    check_same(r#"[{"id":"__proto__","type":"x","constructor":{"a":1},"__proto__":{"b":2}}]"#);
    check_same(r#"[{"id":"n","type":"x","$wires":1,"$layout":[],"$$":2,"$element":3,"$json":"[","":4}]"#);
}

#[test]
fn id_type_z_and_wires_stand_where_they_stood() {
    for element in [
        r#"{"id":"a","type":"x","z":"t","x":1,"y":2,"wires":[["a"]]}"#,
        r#"{"id":"a","type":"x","z":"t","x":1,"y":2,"wires":[["a"]],"l":true,"info":""}"#,
        r#"{"id":"a","type":"x","y":2,"x":1,"wires":[["a"]]}"#,
        r#"{"wires":[["a"]],"type":"x","id":"a","y":1,"x":2,"z":"t"}"#,
        r#"{"p":0,"wires":[["a"]],"q":0,"z":"t","type":"x","r":0,"id":"a"}"#,
        r#"{"1":0,"wires":[["a"]],"q":0,"z":"nowhere","type":"x","id":"a"}"#,
        r#"{"1":0,"type":"x","2":0,"id":"a"}"#.replace(r#","2":0"#, "").as_str(),
        r#"{"type":"x","id":"a"}"#,
        r#"{"id":"a","type":"x","z":""}"#,
        r#"{"id":"a","type":"x","wires":[]}"#,
        r#"{"id":"a","type":"x","wires":[[],[],[]]}"#,
    ] {
        check_same(&format!(r#"[{{"id":"t","type":"tab"}},{element}]"#));
    }
}

#[test]
fn numbers_are_those_of_javascript() {
    check(
        br#"[{"id":"n1","type":"x","a":9007199254740993,"b":1.0,"c":1,"d":1e2,"e":-0,"f":-0.0,"g":1e400,
             "h":0.1000000000000000055511151231257827,"i":123456789012345678901234567890,"j":[1E3,-1.50]}]"#,
        r#"[{"id":"n1","type":"x","a":9007199254740992,"b":1,"c":1,"d":100,"e":0,"f":0,"g":null,"h":0.1,"i":1.2345678901234568e+29,"j":[1000,-1.5]}]"#,
    );
}

#[test]
fn text_that_is_not_unicode_stays() {
    check(
        br#"[{"id":"n1","type":"x","a":"\uD83D","b":"\u0000\u001f\u007f","c":["\udc00\ud800x"]}]"#,
        "[{\"id\":\"n1\",\"type\":\"x\",\"a\":\"\\ud83d\",\"b\":\"\\u0000\\u001f\u{7f}\",\"c\":[\"\\udc00\\ud800x\"]}]",
    );
    check_same(r#"[{"id":"n1","type":"x","a\ud800":1},{"id":"n2","type":"x","a":[{"\udfff":1}]}]"#);
    check_same(r#"[{"id":"\ud800","type":"x"},{"id":"\ud801","type":"x"},{"id":"n","type":"\ud800"}]"#);
    check_same(r#"[{"id":"n1","type":"x","wires":[["\ud800"]]},{"id":"n2","type":"x","z":"\ud800"}]"#);
    check_same(r#"["\ud800",{"a":"\ud800"}]"#);
}

#[test]
fn elements_without_a_usable_id_stay_whole() {
    check_same(r#"[1,null,"x",[],{},true,[1,{"a":1}],1,{"id":"n1","type":"x"},null]"#);
    check_same(
        r#"[{"type":"x"},{"type":"x"},{"id":null,"type":"y"},{"id":"","type":"z"},{"id":7,"type":"num"},{"id":7}]"#,
    );
    check_same(
        r#"[{"id":"n","type":"f","name":"a"},{"id":"n","type":"f","name":"b"},{"id":"n","type":"f","name":"a"}]"#,
    );
    check_same(
        r#"[{"id":"~wire/a/0/b","type":"x"},{"id":"$root","type":"x"},{"id":"$root","type":"x"},{"id":"a","type":"x","wires":[["b"]]}]"#,
    );
    check_same(
        r#"[{"id":"a"},{"id":"b","type":7},{"id":"c","type":null,"wires":[["a"]]},{"id":"d","type":""}]"#,
    );
    check_same(
        r#"[{"id":"a","type":"wire","from":"b","to":"c"},{"id":"b","type":"$verbatim","$element":1},{"id":"c","type":"$wire"}]"#,
    );
    let long = "i".repeat(256);
    check_same(&format!(
        r#"[{{"id":"{long}","type":"x"}},{{"id":"{long}","type":"y"}},{{"id":"{}","type":"y"}}]"#,
        &long[1..]
    ));
    let long = "k".repeat(70_000);
    check_same(&format!(
        r#"[{{"id":"a","type":"{long}"}},{{"id":"b","type":"x","{long}":1}},{{"id":"c","type":"x","o":{{"{long}":1}}}}]"#
    ));
}

#[test]
fn wires_lead_anywhere() {
    check_same(
        r#"[{"id":"a","type":"x","wires":[["b","nowhere","a"],[],["b","b","b"]]},{"id":"b","type":"x","wires":[]}]"#,
    );
    check_same(r#"[{"id":"a/0","type":"x","wires":[["b"]]},{"id":"a","type":"x","wires":[["0/b","b"]]}]"#);
    for wires in [
        r#"null"#,
        r#"[["a"],null]"#,
        r#"[["a",1]]"#,
        r#"[[""]]"#,
        r#"[["~x"]]"#,
        r#"{"0":["a"]}"#,
        r#""a""#,
        "[[[]]]",
    ] {
        check_same(&format!(r#"[{{"id":"a","type":"x","wires":{wires},"z":"a"}}]"#));
    }
    let (a, b) = ("a".repeat(255), "b".repeat(255));
    check_same(&format!(r#"[{{"id":"{a}","type":"x","wires":[["{b}","{b}","{a}"],["{b}"]]}}]"#));
    check_same(&format!(r#"[{{"id":"a","type":"x","wires":[{}[]]}}]"#, "[],".repeat(70_000)));
}

#[test]
fn parents_may_be_missing_or_in_a_circle() {
    check_same(r#"[{"id":"n","type":"x","z":"t","a":1},{"id":"t","type":"tab"}]"#);
    check_same(
        r#"[{"id":"n","type":"x","z":"gone","a":1},{"id":"m","type":"x","z":null},{"id":"o","type":"x","z":"o"}]"#,
    );
    check_same(
        r#"[{"id":"a","type":"x","z":"b"},{"id":"b","type":"x","z":"c"},{"id":"c","type":"x","z":"b"},{"id":"d","type":"x","z":"a"}]"#,
    );
    check_same(r#"[{"id":"t","type":"tab"},{"id":"t","type":"tab","z":"t"},{"id":"n","type":"x","z":"t"}]"#);
    check_same(r#"[{"id":"v"},{"id":"n","type":"x","z":"v"}]"#);
}

#[test]
fn values_nest_as_deep_as_the_model_allows() {
    let nested = |levels: usize| format!("{}0{}", "[".repeat(levels), "]".repeat(levels));
    check_same(&format!(r#"[{{"id":"n","type":"x","v":{}}}]"#, nested(512)));
    check_same(&format!(r#"[{{"type":"x","v":{}}},{}]"#, nested(512), nested(513)));
    let objects = format!("{}0{}", r#"{"a":"#.repeat(400), "}".repeat(400));
    check_same(&format!(r#"[{{"id":"n","type":"x","v":{objects}}}]"#));
}

#[test]
fn the_pretty_form_is_indented_by_four() {
    let text =
        br#"[{"id":"a","type":"x","e":{},"l":[],"o":{"k":[1,{"\ud800":[]}]},"wires":[["b"],[]]},7,[]]"#;
    let flow = to_flow(text, &Flow::new()).unwrap();
    let pretty = r#"[
    {
        "id": "a",
        "type": "x",
        "e": {},
        "l": [],
        "o": {
            "k": [
                1,
                {
                    "\ud800": []
                }
            ]
        },
        "wires": [
            [
                "b"
            ],
            []
        ]
    },
    7,
    []
]"#;
    assert_eq!(to_document(&flow, Layout::Pretty).unwrap(), pretty);
    assert_eq!(to_document(&Flow::new(), Layout::Pretty).unwrap(), "[]");
}
