//! Documents become versions with their authors and times, and come back byte for byte.

use std::fs;

use crate::fixture::{DOCUMENTS, documents, json, place, run};

#[test]
fn what_cannot_be_read_stops_the_import_and_says_where() {
    let (keep, dir) = place();
    let index = documents(keep.path());
    let ran = run(&["import", "node-red", "--index", &index, "--into", &dir]).failed(7);
    assert!(ran.stderr.contains("0003.json:3:1: "), "{}", ran.stderr);
    let (_, log) = json(&["log", &dir]);
    assert_eq!(log.len(), 2, "what came before it stays");
    assert_eq!(run(&["at", &dir]).well().stdout, DOCUMENTS[1]);
}

#[test]
fn row_n_becomes_version_n() {
    let (keep, dir) = place();
    let index = documents(keep.path());
    let (ran, lines) = json(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]);
    ran.well();
    let total = lines.last().unwrap();
    assert_eq!(total["type"], "import");
    assert_eq!((&total["revisions"], &total["versions"], &total["marks"]), (&5.into(), &3.into(), &2.into()));
    assert!(total["bytes"].as_u64().unwrap() > 0 && total["operations"].as_u64().unwrap() > 5, "{total}");

    let (_, log) = json(&["log", &dir]);
    assert_eq!(log.len(), 5);
    assert_eq!(log[0]["author"]["id"], "ann");
    assert_eq!(log[0]["host_time"], "2024-09-01T09:17:31.000-05:00");
    assert_eq!(log[0]["log_time"], "2024-09-01T14:17:31.000Z");
    assert_eq!(log[1]["attributes"]["commit"], "c0ffee2");
    assert_eq!(log[1]["attributes"]["parents"], "0001");
    assert_eq!((&log[1]["message"], &log[1]["intent"]), (&"edit 2".into(), &"import".into()));
    assert_eq!((&log[1]["added"], &log[1]["wires"]), (&1.into(), &1.into()));
    assert!(log[2]["mark"]["text"].as_str().unwrap().starts_with("0003.json:3:1: "), "{}", log[2]);
    assert_eq!(log[3]["mark"]["text"], "equals version 2");
    assert_eq!(log[3]["author"]["id"], "ben");

    for (n, document) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 4)] {
        assert_eq!(run(&["at", &dir, &n.to_string()]).well().stdout, DOCUMENTS[document], "version {n}");
    }
    let (_, flow) = json(&["at", &dir, "@"]);
    assert_eq!(flow[0]["document"], DOCUMENTS[4]);
    let pretty = run(&["at", &dir, "2", "--pretty"]).well().stdout;
    assert!(pretty.starts_with("[\n    {\n        \"id\": \"t1\","), "{pretty}");
}

#[test]
fn files_continue_a_history() {
    let (keep, dir) = place();
    documents(keep.path());
    let file = |n: usize| keep.path().join(format!("{n:04}.json")).to_str().unwrap().to_owned();
    run(&["import", "node-red", &file(1), &file(2), "--into", &dir]).well();
    run(&["import", "node-red", &file(5), "--into", &dir]).well();
    let (_, log) = json(&["log", &dir]);
    assert_eq!(log.len(), 3);
    assert_eq!(log[2]["author"]["id"], "tester");
    assert_eq!(log[2]["author"]["kind"], "operator");
    assert_eq!(run(&["at", &dir]).well().stdout, DOCUMENTS[4]);
}

#[test]
fn an_index_needs_a_new_directory_and_its_columns() {
    let (keep, dir) = place();
    let index = documents(keep.path());
    run(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]);
    run(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]).failed(4);
    let (keep, dir) = place();
    let index = documents(keep.path());
    fs::write(&index, "n\tauthor\tdate\n").unwrap();
    let ran = run(&["import", "node-red", "--index", &index, "--into", &dir]).failed(7);
    assert!(ran.stderr.contains("index.tsv:1: there is no column `subject`"), "{}", ran.stderr);
    fs::write(&index, "n\tauthor\tdate\tsubject\n../../x\tann\t2024-09-01T00:00:00Z\ts\n").unwrap();
    run(&["import", "node-red", "--index", &index, "--into", &dir]).failed(7);
    assert!(!std::path::Path::new(&dir).exists(), "nothing was made");
}

#[test]
fn a_message_of_any_length_is_taken() {
    let (keep, dir) = place();
    let index = documents(keep.path());
    let long = fs::read_to_string(&index).unwrap().replace("edit 1", &"ü".repeat(100_000));
    fs::write(&index, long).unwrap();
    run(&["import", "node-red", "--keep-going", "--index", &index, "--into", &dir]);
    let (_, log) = json(&["log", &dir]);
    assert_eq!(log[0]["attributes"]["message-bytes"], "200000");
    assert!(log[0]["message"].as_str().unwrap().ends_with("ü ..."));
}
