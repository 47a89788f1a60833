//! Goal: the format does not drift unnoticed. A history written by this version of the library opens in every later one,
//! and writing the same again gives the same bytes.
//!
//! Method: a small history of every kind of entry is made with a seeded clock; its files lie in `data/golden-0`, beside
//! a list of its versions. They are opened and read, made again, and compared byte by byte. After a change of the format
//! that was meant, `FLOW_HISTORY_REGENERATE=golden-0` writes them anew; once a version of the library is released its
//! golden files are never written again: a new format gets a new directory.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    About, At, Author, Component, Edit, History, Intent, Link, Map, Mark, MemoryStorage, Number, Operation,
    Order, Part, Path as Place, ROOT_ID, ROOT_KIND, Request, Scope, SecretRef, Seq, Slot, Step, Storage,
    Timestamp, Tuning, Value,
};
use flow_history_tests::{SeededClock, slots_of};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/golden-0")
}

fn open(storage: &MemoryStorage, clock: &Arc<SeededClock>) -> History {
    let mut tuning = Tuning::default();
    tuning.seal = false;
    tuning.segment_bytes_first = 2 << 10;
    tuning.segment_bytes_max = 4 << 10;
    tuning.vouch_after = Duration::from_secs(3_600);
    tuning.derive_from_bytes = u64::MAX;
    History::options().tuning(tuning).clock(clock.clone()).open_storage(Arc::new(storage.clone())).unwrap()
}

/// Every kind of value.
fn values() -> Vec<(&'static str, Value)> {
    let number = |lexeme: &str| Value::Number(Number::parse(lexeme).unwrap());
    let map: Map = [("z", 1), ("a", 2)].into_iter().collect();
    vec![
        ("null", Value::Null),
        ("true", true.into()),
        ("false", false.into()),
        ("small", 8.into()),
        ("large", i64::MIN.into()),
        ("larger", u64::MAX.into()),
        ("lexeme", number("-12.50e-7")),
        ("text", "Größe \u{1f4a7}".into()),
        ("empty", "".into()),
        ("bytes", Value::Bytes([0, 255, 7].as_slice().into())),
        ("list", Value::List(vec![1.into(), Value::Null, Value::List(vec![])])),
        ("map", Value::Map(map)),
        (
            "inside",
            Value::Map([("list", Value::List(vec![Value::Map(Map::new()), 2.into()]))].into_iter().collect()),
        ),
        ("here", Value::Ref("pump".into())),
        ("nowhere", Value::Ref("nobody".into())),
        ("secret", Value::Secret(SecretRef { id: [3; 16], tag: [4; 16] })),
    ]
}

fn make() -> MemoryStorage {
    let clock = SeededClock::new(42);
    let storage = MemoryStorage::new();
    let history = open(&storage, &clock);
    let alice = Author::user("alice").named("Alice Ä.");
    let robot = Author::service("robot").on_behalf_of("alice");

    let facets: Map = [("processor/x", "layout")].into_iter().collect();
    let first = history
        .change(&alice, "begin")
        .add(Component::new(ROOT_ID, ROOT_KIND).field("facets", facets))
        .add(Component::new("group", "group").at(Order::from_bytes(&[0x80])))
        .add(Component::new("pump", "processor").inside("group").field("rate", 80).field("x", 1))
        .add(Component::new("tank", "processor"))
        .add(
            Component::new("wire", "wire")
                .field("from", Value::Ref("pump".into()))
                .field("to", Value::Ref("tank".into())),
        )
        .append()
        .unwrap();
    // What is random in it comes from the system: it is the file that was written once. An entry that named one which is
    // not there would be refused.
    let sealed = "secret-03030303030303030303030303030303.sealed";
    let bytes = std::fs::read(directory().join(sealed)).unwrap();
    storage.create(sealed).unwrap();
    assert_eq!(storage.write_at(sealed, 0, &bytes).unwrap(), bytes.len());
    let every =
        values().into_iter().fold(history.change(&robot, "every kind of value"), |change, (name, value)| {
            change.set("pump", name, value)
        });
    every.append().unwrap();
    let deep = |steps: Vec<Step>, edit: Edit| {
        let path = Place { field: "inside".into(), steps };
        Operation::Set { id: "pump".into(), path, edit }
    };
    let list = |at| vec![Step::Key("list".into()), Step::Index(at)];
    let edits = vec![
        deep(list(1), Edit::Put("put".into())),
        deep(list(0), Edit::Place(0, 7.into())),
        deep(list(2), Edit::Clear),
        deep(vec![Step::Key("new".into())], Edit::Place(0, Value::Null)),
        Operation::Set { id: "pump".into(), path: "small".into(), edit: Edit::Place(0, 9.into()) },
        Operation::clear("pump", "null"),
        Operation::shift("tank", Some("group".into()), Order::from_bytes(&[0x40, 1])),
    ];
    let request = Request {
        address: Some("10.0.0.7".into()),
        forwarded_for: Some("::1".into()),
        agent: Some("curl".into()),
    };
    history
        .change(&alice, "a header with everything")
        .operations(edits)
        .host_time(Timestamp { millis: 1_795_000_100_000, zone_minutes: -330 })
        .session("session-1")
        .request(request)
        .group("gesture-1")
        .attribute("ticket", "OPS-7")
        .attribute("empty", "")
        .idempotency_key("key-1")
        .link(Link::CopiedFrom(first))
        .link(Link::MergedFrom(first))
        .link(Link::Supersedes(Seq(1)))
        .link(Link::Reverts(Seq(1)))
        .link(Link::SameComponent { old: Slot(1), new: Slot(2) })
        .expecting(history.version())
        .append()
        .unwrap();
    history.undo(Scope::Flow, &robot).unwrap();
    history.redo(Scope::Flow, &alice).unwrap();
    history.change(&alice, "").remove("group").append().unwrap();
    history.undo(Scope::Flow, &alice).unwrap();
    for intent in [Intent::Revert, Intent::Import, Intent::Merge, Intent::Reconcile, Intent::System] {
        history
            .change(&Author::operator("op"), intent.name())
            .intent(intent)
            .set("pump", "rate", intent.name())
            .append()
            .unwrap();
    }
    history.restore(Part::Flow, 2, &alice).unwrap();

    let version = Seq(2);
    let marks = [
        Mark::Deploy,
        Mark::Running { version },
        Mark::Restart,
        Mark::Label { name: "released".into(), version },
        Mark::Label { name: "gone".into(), version },
        Mark::Unlabel { name: "gone".into() },
        Mark::Pin { version },
        Mark::Unpin { version },
        Mark::Pin { version: Seq(1) },
        Mark::CheckIn { instance: "edge-7".into(), version },
        Mark::ImportNote { text: "a note".into() },
        Mark::Custom { name: "host".into(), data: [1, 2, 3].as_slice().into() },
    ];
    for mark in marks {
        history.mark_with(&Author::system("host"), mark, About::message("mark")).unwrap();
    }
    // As a crash leaves it: the next entry is the mark that says so, in a segment that says where the last one ends.
    let storage = MemoryStorage::with_files(storage.files());
    drop(history);
    let history = open(&storage, &clock);
    history.change(&alice, "after a crash").set("tank", "text", "long ".repeat(300)).append().unwrap();
    history.mark(&Author::system("host"), Mark::Freeze).unwrap();
    history.close().unwrap();
    // And what a clean close leaves goes on where it ended.
    let history = open(&storage, &clock);
    history.change(&alice, "after closing").set("tank", "text", "short").append().unwrap();
    history.close().unwrap();
    storage
}

fn log_files(storage: &MemoryStorage) -> BTreeMap<String, Vec<u8>> {
    let is_log =
        |name: &str| ["history", "segment-", "secret-"].iter().any(|beginning| name.starts_with(beginning));
    storage.files().into_iter().filter(|(name, _)| is_log(name)).collect()
}

/// What a reader must find, line by line.
fn versions(history: &History) -> String {
    let mut text = String::new();
    let mut entries = history.log();
    for seq in 0..=history.version().seq().0 {
        let view = history.at(seq).unwrap();
        let flow = view.to_flow().unwrap();
        write!(text, "{seq} {} {} {}", view.version().unwrap(), flow.state_hash(), flow.config_hash())
            .unwrap();
        let (next_slot, components) = slots_of(&flow);
        write!(text, " {} components, slot {}", components.len(), next_slot.0).unwrap();
        if seq > 0 {
            let entry = entries.next().unwrap().unwrap().entry;
            let header = &entry.header;
            let what = match &entry.body {
                flow_history::Body::Change(operations) => format!("{} operations", operations.len()),
                flow_history::Body::Mark(mark) => mark.name().to_owned(),
                _ => "what this version does not know".to_owned(),
            };
            write!(
                text,
                " {} {} {} {what} {:?}",
                header.log_time,
                header.author.id,
                header.intent.name(),
                header.message
            )
            .unwrap();
        }
        text.push('\n');
    }
    for (label, seq) in history.labels().unwrap() {
        writeln!(text, "label {label} {seq}").unwrap();
    }
    text
}

fn golden() -> (BTreeMap<String, Vec<u8>>, String) {
    let mut files = BTreeMap::new();
    let entries = std::fs::read_dir(directory()).unwrap_or_else(|error| {
        panic!("{}: {error}; FLOW_HISTORY_REGENERATE=golden-0 writes it", directory().display())
    });
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        files.insert(name, std::fs::read(path).unwrap());
    }
    let versions = String::from_utf8(files.remove("versions.txt").unwrap()).unwrap();
    (files, versions)
}

fn regenerate() {
    if std::env::var("FLOW_HISTORY_REGENERATE").as_deref() != Ok("golden-0") {
        return;
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let storage = make();
        let _ = std::fs::remove_dir_all(directory());
        std::fs::create_dir_all(directory()).unwrap();
        for (name, bytes) in log_files(&storage) {
            std::fs::write(directory().join(name), bytes).unwrap();
        }
        let history = History::options().open_storage_read_only(Arc::new(storage)).unwrap();
        std::fs::write(directory().join("versions.txt"), versions(&history)).unwrap();
        eprintln!("written anew: {}", directory().display());
    });
}

#[test]
fn what_was_written_once_opens_forever() {
    regenerate();
    let (files, expected) = golden();
    assert!(files.len() >= 4, "several segments are wanted: {:?}", files.keys());
    let storage = MemoryStorage::with_files(files.clone());
    let history = History::options().open_storage_read_only(Arc::new(storage.clone())).unwrap();
    let found = versions(&history);
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    let verified = history.verify().unwrap();
    assert_eq!(verified.head, history.version());
    assert!(storage.files() == files);

    // And it can be gone on with.
    let history = History::options().open_storage(Arc::new(storage)).unwrap();
    let before = history.version();
    let id = history.change(&Author::user("later"), "").set("tank", "text", "later").append().unwrap();
    assert_eq!(id.seq().0, before.seq().0 + 1);
    assert_eq!(history.at(before).unwrap().version().unwrap(), before);
    assert_eq!(
        history.at(At::Head).unwrap().component("tank").unwrap().unwrap().get("text"),
        Some(&"later".into())
    );
}

#[test]
fn the_same_again_gives_the_same_bytes() {
    regenerate();
    let (files, _) = golden();
    let (made, again) = (log_files(&make()), log_files(&make()));
    assert!(made == again, "two runs differ, so that nothing follows from the next comparison");
    assert_eq!(made.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        let made = &made[name];
        let differs = bytes.iter().zip(made).position(|(old, new)| old != new);
        assert_eq!(
            (differs, made.len()),
            (None, bytes.len()),
            "{name} is written in another way than it was"
        );
    }
}

#[test]
fn every_kind_of_entry_is_in_it() {
    regenerate();
    let (files, _) = golden();
    let history =
        History::options().open_storage_read_only(Arc::new(MemoryStorage::with_files(files))).unwrap();
    let lines: Vec<_> = history.log().map(|line| line.unwrap().entry).collect();
    let intents =
        ["edit", "undo", "redo", "revert", "restore", "import", "merge", "reconcile", "system", "mark"];
    for intent in intents {
        assert!(lines.iter().any(|entry| entry.header.intent.name() == intent), "no entry is a {intent}");
    }
    let marks = [
        "opened",
        "deploy",
        "running",
        "restart",
        "label",
        "unlabel",
        "pin",
        "unpin",
        "check-in",
        "import-note",
        "freeze",
        "host",
    ];
    for mark in marks {
        let is = |entry: &flow_history::Entry| match &entry.body {
            flow_history::Body::Mark(other) => other.name() == mark,
            _ => false,
        };
        assert!(lines.iter().any(is), "no mark is {mark}");
    }
    let kept = lines.iter().find(|entry| entry.header.idempotency_key.is_some()).unwrap();
    assert_eq!(kept.header.links.len(), 5);
    assert_eq!(kept.header.attributes.len(), 2);
    assert_eq!(kept.header.host_time.zone_minutes, -330);
    assert_eq!(kept.header.expected_base, Some(Seq(2)));
    let pump = history.at(2).unwrap().component("pump").unwrap().unwrap();
    for (name, value) in values() {
        assert_eq!(pump.get(name), Some(&value), "{name}");
    }
}
