//! Goal: a long text of which a line changes costs about that line, and comes back whole from everywhere.
//!
//! Method: a function body of 650 kB in a real directory, edited line by line; bytes are counted, versions compared.

use flow_history::{Author, Component, History, Scope, Seq, Tuning};

const LINES: usize = 14_000;

fn body(changed: &[usize]) -> String {
    let line = |at| {
        let verb = if changed.contains(&at) { "does something else" } else { "does what it always did" };
        format!("// line {at} {verb} here\n")
    };
    (0..LINES).map(line).collect()
}

#[test]
fn a_changed_line_of_a_long_text_costs_about_that_line() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Author::user("alice");
    let mut tuning = Tuning::default();
    // What is counted is what is logged.
    tuning.seal = false;
    let history = History::options().tuning(tuning).open(dir.path()).unwrap();
    let function = Component::new("function-1", "function").field("code", body(&[]));
    history.change(&alice, "").add(function).append().unwrap();
    assert!(body(&[]).len() > 500_000);

    let whole = history.stats().log_bytes_used;
    for edit in 1..=50 {
        let changed: Vec<usize> = (1..=edit).map(|at| at * 250).collect();
        history.change(&alice, "").set("function-1", "code", body(&changed)).append().unwrap();
    }
    let added = history.stats().log_bytes_used - whole;
    assert!(added < 50 * 400, "50 edits of one line each took {added} bytes");

    let code = |history: &History, seq: u64| {
        let component = history.at(seq).unwrap().component("function-1").unwrap().unwrap();
        component.get("code").unwrap().as_text().unwrap().to_owned()
    };
    history.undo(Scope::Flow, &alice).unwrap();
    history.redo(Scope::Flow, &alice).unwrap();
    history.undo(Scope::Flow, &alice).unwrap();
    assert!(history.stats().log_bytes_used - whole < 54 * 400, "undo is told by what differs too");
    let versions = [1, 2, 25, 51, 52, 53, 54];
    let lines_changed = [0, 1, 24, 50, 49, 50, 49];
    let check = |history: &History| {
        for (version, lines) in versions.into_iter().zip(lines_changed) {
            let changed: Vec<usize> = (1..=lines).map(|at| at * 250).collect();
            assert!(code(history, version) == body(&changed), "version {version}");
        }
    };
    check(&history);
    history.close().unwrap();
    check(&History::open(dir.path()).unwrap());
    check(&History::open_read_only(dir.path()).unwrap());
    assert_eq!(History::open_read_only(dir.path()).unwrap().verify().unwrap().head.seq(), Seq(54));
}

#[test]
fn a_repeated_request_is_known_whatever_stands_there_by_now() {
    let dir = tempfile::tempdir().unwrap();
    let alice = Author::user("alice");
    let history = History::open(dir.path()).unwrap();
    let function = Component::new("function-1", "function").field("code", body(&[]));
    history.change(&alice, "").add(function).append().unwrap();
    let ask =
        || history.change(&alice, "").set("function-1", "code", body(&[7])).idempotency_key("key-1").append();
    let first = ask().unwrap();
    history.change(&alice, "").set("function-1", "code", body(&[8])).append().unwrap();
    assert_eq!(ask().unwrap(), first);
}
