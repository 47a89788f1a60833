//! Real histories and random documents, revision by revision, against what Node.js makes of them.
//!
//! Skipped, with a notice, where Node.js or the histories are absent.

use std::path::{Path, PathBuf};
use std::process::Command;

use flow_history_flow::{Difference, Flow, operations_between};
use flow_history_formats::node_red::{DocumentErrorKind, Layout, to_document, to_flow};

const ORACLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node_red/oracle.js");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");

/// What Node.js makes of a document.
struct Expected {
    changed: usize,
    compact: String,
    pretty: String,
}

fn oracle(arguments: &[&str]) -> Option<Vec<String>> {
    let Ok(output) = Command::new("node").arg(ORACLE).args(arguments).output() else {
        eprintln!("skipped: no Node.js to compare with");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().split('\n').map(str::to_owned).collect())
}

/// Takes one answer of the oracle; `None` for a document that JavaScript cannot read.
fn answer(lines: &mut impl Iterator<Item = String>) -> Option<Expected> {
    let first = lines.next().unwrap();
    if first == "invalid" {
        return None;
    }
    let compact = lines.next().unwrap();
    let pretty = lines.next().unwrap().replace('\u{1}', "\n");
    Some(Expected { changed: first.parse().unwrap(), compact, pretty })
}

/// Checks one document after another; returns its flow, and how many operations lead there.
fn check(text: &[u8], base: &Flow, expected: &Expected, what: &str) -> (Flow, usize) {
    let flow = to_flow(text, base).unwrap_or_else(|error| panic!("{what}: {error}"));
    // Not `assert_eq`, which would print megabytes.
    assert!(to_document(&flow, Layout::Compact).unwrap() == expected.compact, "{what}: {}", expected.compact);
    assert!(to_document(&flow, Layout::Pretty).unwrap() == expected.pretty, "{what}, pretty");
    assert_eq!(operations_between(&flow, &to_flow(text, &flow).unwrap()), [], "{what}, imported again");

    let operations = operations_between(base, &flow);
    let mut applied = base.clone();
    let back = applied.apply_all(&operations).unwrap_or_else(|misfit| panic!("{what}: {misfit}"));
    assert!(applied == flow, "{what}: the operations lead elsewhere");
    assert!(to_document(&applied, Layout::Compact).unwrap() == expected.compact, "{what}, by operations");
    applied.apply_all(&back).unwrap();
    assert!(applied == *base, "{what}: the inverses lead elsewhere");
    (flow, operations.len())
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    paths.sort();
    paths
}

#[test]
fn every_revision_of_every_history() {
    if !Path::new(DATA).exists() {
        eprintln!("skipped: no histories at {DATA}");
        return;
    }
    for set in ["dexi", "everest-two-evse", "randers-klimadata"] {
        let folder = Path::new(DATA).join("node-red").join(set);
        let Some(lines) = oracle(&["files", folder.to_str().unwrap()]) else { return };
        let mut lines = lines.into_iter();
        let (mut flow, mut read, mut total) = (Flow::new(), 0, 0);
        for path in documents(&folder) {
            let what = path.display().to_string();
            let text = std::fs::read(&path).unwrap();
            let Some(expected) = answer(&mut lines) else {
                let error = to_flow(&text, &flow).expect_err(&what);
                assert!(
                    matches!(error.kind, DocumentErrorKind::Empty | DocumentErrorKind::Syntax { .. }),
                    "{error}"
                );
                continue;
            };
            let (new, operations) = check(&text, &flow, &expected, &what);
            let summary = Difference::between(&flow, &new).summary();
            assert_eq!(summary.changed, expected.changed, "{what}: {summary:?}");
            flow = new;
            read += 1;
            total += operations;
        }
        println!("{set}: {read} revisions, {total} operations");
        assert!(read >= 14, "{set}: {read}");
    }
}

#[test]
fn every_tricky_document() {
    let folder = Path::new(DATA).join("tricky");
    if !folder.exists() {
        eprintln!("skipped: no tricky documents at {DATA}");
        return;
    }
    let Some(lines) = oracle(&["files", folder.to_str().unwrap()]) else { return };
    let mut lines = lines.into_iter();
    let mut refused = Vec::new();
    for path in documents(&folder) {
        let what = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read(&path).unwrap();
        let expected = answer(&mut lines);
        match (to_flow(&text, &Flow::new()), expected) {
            (Ok(_), Some(expected)) => drop(check(&text, &Flow::new(), &expected, &what)),
            (Ok(_), None) => panic!("{what} is no JSON for Node.js"),
            (Err(_), _) => refused.push(what),
        }
    }
    let expected = [
        "syn-deep-20000.json",
        "syn-nifi-nested-80.json",
        "syn-not-array.json",
        "syn-not-utf8.json",
        "syn-truncated.json",
    ];
    assert_eq!(refused, expected);
}

#[test]
fn random_documents() {
    for seed in ["1", "2", "3"] {
        let Some(lines) = oracle(&["random", seed, "400"]) else { return };
        let mut lines = lines.into_iter();
        let mut flow = Flow::new();
        for round in 0..400 {
            let text = lines.next().unwrap();
            let expected = answer(&mut lines).unwrap();
            flow = check(text.as_bytes(), &flow, &expected, &format!("seed {seed}, round {round}: {text}")).0;
        }
    }
}
