//! Goal: each bad input has its own typed error, and nothing is created, changed or shortened by trying it.
//!
//! Method: a table of bad changes against a history in a real directory, whose listing with a hash of every file is
//! compared before and after each; and a table of bad directories, tried by a writer and by a reader.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow_history::{
    About, Advice, At, Author, Component, ComponentId, Error, FlowVersionId, History, Link, Mark,
    MemoryStorage, Operation, Order, Part, Reason, Request, Scope, Seq, Slot, Timestamp, Tuning, Value,
};
use flow_history_tests::crc32;

/// Every file below a directory, and what it holds: length, hash, mode, time of change.
pub(crate) fn listing(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut listing = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return listing };
    for entry in entries {
        let path = entry.unwrap().path();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            listing.extend(self::listing(&path));
        }
        let mut hasher = DefaultHasher::new();
        if metadata.is_file() {
            std::fs::read(&path).unwrap().hash(&mut hasher);
        }
        let said = format!(
            "{:?} {} {:x} {:?}",
            metadata.file_type(),
            metadata.len(),
            hasher.finish(),
            metadata.modified().unwrap()
        );
        listing.insert(path, said);
    }
    listing
}

/// The name of an error's variant, of the misfit's reason where it is one.
fn kind_of(error: &Error) -> String {
    let name = match error {
        Error::Misfit(misfit) => format!("Misfit {:?}", misfit.reason),
        other => format!("{other:?}"),
    };
    name.split([' ', '{', '('])
        .filter(|word| !word.is_empty())
        .take(if name.starts_with("Misfit") { 2 } else { 1 })
        .collect::<Vec<_>>()
        .join(" ")
}

fn open_memory() -> History {
    let history = History::options().open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let alice = Author::user("alice");
    let wire = Component::new("wire", "wire")
        .field("from", Value::Ref("pump".into()))
        .field("to", Value::Ref("tank".into()));
    let change = history.change(&alice, "").add(Component::new("group", "group"));
    let change = change.add(Component::new("inner", "group").inside("group"));
    let change = change.add(Component::new("pump", "processor").inside("inner").field("list", vec![1, 2, 3]));
    change.add(Component::new("tank", "processor")).add(wire).append().unwrap();
    history
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inside, _| Value::List(vec![inside]))
}

#[test]
fn an_old_slot_goes_back_to_the_id_that_had_it_and_to_no_other() {
    let storage = MemoryStorage::new();
    let open =
        || History::options().tuning(Tuning::hostile()).open_storage(Arc::new(storage.clone())).unwrap();
    let history = open();
    let alice = Author::user("alice");
    let add = |id: &str, slot: u32| Operation::Add {
        component: Arc::new(Component::new(id, "p")),
        slot: Some(Slot(slot)),
    };
    let change = |history: &History, operations| history.change(&alice, "").operations(operations).append();
    let two = vec![Operation::add(Component::new("pump", "p")), Operation::add(Component::new("tank", "p"))];
    change(&history, two).unwrap();
    change(&history, vec![Operation::remove("pump")]).unwrap();
    // A long history in between, and a restart: the ids of what was removed are not at hand.
    for at in 0..200 {
        change(&history, vec![Operation::set("tank", "rate", at)]).unwrap();
    }
    history.close().unwrap();
    let history = open();
    let check = |history: &History| {
        let before = history.version();
        let refused = |operations| kind_of(&change(history, operations).unwrap_err());
        assert_eq!(refused(vec![add("other", 0)]), "Misfit SlotOfAnother");
        assert_eq!(refused(vec![Operation::remove("tank"), add("other", 1)]), "Misfit SlotOfAnother");
        assert_eq!(refused(vec![add("other", 1)]), "Misfit SlotTaken");
        assert_eq!(refused(vec![add("other", 2)]), "Misfit SlotTaken");
        let mixed =
            vec![Operation::add(Component::new("new", "p")), Operation::remove("new"), add("other", 2)];
        assert_eq!(refused(mixed), "Misfit SlotOfAnother");
        // Each is looked at before any of them is pushed.
        let of = |operation| history.change(&alice, "").operations(vec![operation]);
        let together = history.append_all(vec![of(Operation::remove("tank")), of(add("other", 1))]);
        assert_eq!(kind_of(&together.unwrap_err()), "Misfit SlotTaken");
        assert_eq!(history.version(), before);
    };
    check(&history);
    let mut copy = history.version().seq();
    history.prune(&alice, copy, &flow_history::LiveStamps::GiveUp).unwrap();
    copy = history.version().seq();
    check(&history);
    // A removal that is still on its way to the disk counts.
    drop(history.change(&alice, "").remove("tank").submit().unwrap());
    change(&history, vec![add("tank", 1), add("pump", 0)]).unwrap();
    assert_eq!(history.version().seq().0, copy.0 + 2);
    let mixed = vec![Operation::add(Component::new("new", "p")), Operation::remove("new"), add("new", 2)];
    change(&history, mixed).unwrap();
    history.verify().unwrap();
}

#[test]
fn each_bad_change_has_its_own_error_and_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let mut tuning = Tuning::default();
    // What is written beside the changes, a second later, is not what is looked at.
    tuning.vouch_after = Duration::from_secs(3_600);
    let history = History::options().tuning(tuning).open(dir.path().join("h")).unwrap();
    let alice = Author::user("alice");
    let wire = Component::new("wire", "wire").field("from", Value::Ref("pump".into()));
    let change = history.change(&alice, "").add(Component::new("group", "group"));
    let change = change.add(Component::new("inner", "group").inside("group"));
    change
        .add(Component::new("pump", "p").inside("inner").field("list", vec![1, 2, 3]))
        .add(wire)
        .append()
        .unwrap();

    let id = |text: &str| ComponentId::from(text);
    let check = |what: &str, operations: Vec<Operation>, expected: &str| {
        let before = (listing(dir.path()), history.version(), history.log().count());
        // Behind one that fits, so that there is something to take back.
        let fits = Operation::set("pump", "rate", 1);
        let operations = std::iter::once(fits).chain(operations).collect();
        let result = history.change(&alice, "").operations(operations).append();
        let error = result.expect_err(what);
        assert_eq!(kind_of(&error), expected, "{what}: {error}");
        assert_eq!(error.advice(), Advice::FixTheChange, "{what}: {error}");
        assert!(error.to_string().len() < 1_000, "{what}: the message is as long as the input");
        assert_eq!((listing(dir.path()), history.version(), history.log().count()), before, "{what}");
        assert_eq!(
            history.at(At::Head).unwrap().component("pump").unwrap().unwrap().get("rate"),
            None,
            "{what}"
        );
    };
    let add = |component: Component| vec![Operation::add(component)];
    let shift = |what: &str, parent: &str| vec![Operation::shift(what, Some(id(parent)), Order::default())];
    check("an id that exists", add(Component::new("pump", "p")), "Misfit IdTaken");
    check("an id of no bytes", add(Component::new("", "p")), "Misfit IdLength");
    check("an id of 256 bytes", add(Component::new("x".repeat(256), "p")), "Misfit IdLength");
    check(
        "a parent that is missing",
        add(Component::new("new", "p").inside("nobody")),
        "Misfit ParentMissing",
    );
    check("a parent that is itself", add(Component::new("new", "p").inside("new")), "Misfit ParentMissing");
    check("a kind of 65,537 bytes", add(Component::new("new", "k".repeat(65_537))), "Misfit NameTooLong");
    check(
        "a field name of 65,537 bytes",
        vec![Operation::set("pump", "f".repeat(65_537), 1)],
        "Misfit NameTooLong",
    );
    check(
        "an order of 1,025 bytes",
        vec![Operation::shift("pump", None, Order::from_bytes(&[7; 1_025]))],
        "Misfit OrderTooLong",
    );
    check("removing a missing one", vec![Operation::remove("nobody")], "Misfit Missing");
    check("removing one with something inside", vec![Operation::remove("inner")], "Misfit HasChildren");
    check("setting a missing one", vec![Operation::set("nobody", "a", 1)], "Misfit Missing");
    check("moving a missing one", shift("nobody", "group"), "Misfit Missing");
    check("moving into itself", shift("group", "group"), "Misfit Cycle");
    check("moving into what is inside it", shift("group", "pump"), "Misfit Cycle");
    check("moving into a missing one", shift("pump", "nobody"), "Misfit ParentMissing");
    let path = |at: u32| flow_history::Path::field("list").index(at);
    check("setting past the end of a list", vec![Operation::set("pump", path(4), 1)], "Misfit NoSuchPath");
    check("clearing past the end of a list", vec![Operation::clear("pump", path(3))], "Misfit NoSuchPath");
    check(
        "a key of a list",
        vec![Operation::set("pump", flow_history::Path::field("list").key("a"), 1)],
        "Misfit NoSuchPath",
    );
    check(
        "inside a missing field",
        vec![Operation::set("pump", flow_history::Path::field("no").key("a"), 1)],
        "Misfit NoSuchPath",
    );
    check(
        "a text of 16 MiB",
        vec![Operation::set("pump", "text", "x".repeat(16 << 20))],
        "Misfit ValueTooLarge",
    );
    check("513 levels", vec![Operation::set("pump", "deep", nested(513))], "Misfit NestingTooDeep");
    check(
        "a reference of 256 bytes",
        vec![Operation::set("pump", "to", Value::Ref(id(&"x".repeat(256))))],
        "Misfit IdLength",
    );
    let slot = Operation::Add {
        component: Component::new("new", "p").into(),
        slot: Some(flow_history::Slot(9_999)),
    };
    check("a slot that was never given out", vec![slot], "Misfit SlotTaken");
    let slot =
        Operation::Add { component: Component::new("new", "p").into(), slot: Some(flow_history::Slot(0)) };
    check("a slot that is taken", vec![slot], "Misfit SlotTaken");
    // The limits themselves fit.
    let fits = add(Component::new("x".repeat(255), "k")).into_iter().chain([Operation::set(
        "pump",
        "deep",
        nested(512),
    )]);
    history.change(&alice, "").operations(fits.collect()).append().unwrap();
}

#[test]
fn each_bad_header_has_its_own_error_and_leaves_no_trace() {
    let history = open_memory();
    let alice = Author::user("alice");
    let long = "x".repeat(flow_history_replay::HEADER_TEXT_BYTES_MAX + 1);
    let before = (history.version(), history.log().count());
    let set = || history.change(&alice, "").set("pump", "rate", 1);
    let check = |what: &str, result: Result<FlowVersionId, Error>, expected: &str| {
        let error = result.expect_err(what);
        assert_eq!(kind_of(&error), expected, "{what}: {error}");
        assert!(error.to_string().len() < 1_000, "{what}: the message is as long as the input");
        assert_eq!((history.version(), history.log().count()), before, "{what}");
    };
    check("no operations", history.change(&alice, "").append(), "EmptyChange");
    check("a long message", history.change(&alice, &long).set("pump", "rate", 1).append(), "Header");
    check(
        "a long author",
        history.change(&Author::user(&long), "").set("pump", "rate", 1).append(),
        "Header",
    );
    check(
        "a long name",
        history.change(&Author::user("a").named(&long), "").set("pump", "rate", 1).append(),
        "Header",
    );
    check(
        "a long principal",
        history.change(&Author::user("a").on_behalf_of(&long), "").set("pump", "rate", 1).append(),
        "Header",
    );
    check("a long session", set().session(&long).append(), "Header");
    check("a long group", set().group(&long).append(), "Header");
    check("a long key", set().idempotency_key(&long).append(), "Header");
    check("a long attribute", set().attribute("a", &long).append(), "Header");
    check("a long attribute's name", set().attribute(&long, "a").append(), "Header");
    let request = Request { agent: Some(long.as_str().into()), ..Request::default() };
    check("a long agent", set().request(request).append(), "Header");
    let many = (0..=flow_history_replay::HEADER_ITEMS_MAX)
        .fold(set(), |change, at| change.attribute(&at.to_string(), ""));
    check("many attributes", many.append(), "Header");
    let many = (0..=flow_history_replay::HEADER_ITEMS_MAX)
        .fold(set(), |change, _| change.link(Link::Reverts(Seq(1))));
    check("many links", many.append(), "Header");
    check("a long label", history.label(&alice, &long, 1), "Header");
    check("a label of a version to come", history.label(&alice, "l", 9), "UnknownVersion");
    check(
        "running what is to come",
        history.mark(&alice, Mark::Running { version: Seq(9) }),
        "UnknownVersion",
    );
    check(
        "a long custom mark",
        history.mark(&alice, Mark::Custom { name: long.as_str().into(), data: [].as_slice().into() }),
        "Header",
    );
    check("a long note", history.mark_with(&alice, Mark::Deploy, About::message(&long)), "Header");
    check("a label that is not there", history.unlabel(&alice, "nothing"), "UnknownLabel");
    // The longest that fits does.
    history.change(&alice, &long[1..]).set("pump", "rate", 1).append().unwrap();
}

#[test]
fn clocks_may_say_anything() {
    let history = open_memory();
    let alice = Author::user("alice");
    let mut last = history.at(At::Head).unwrap().log_time().unwrap();
    for millis in [0, -1, i64::MIN, i64::MIN + 1, 1, i64::MAX - 1, i64::MAX, 5, i64::MIN] {
        let time = Timestamp { millis, zone_minutes: -720 };
        history.change(&alice, "").set("pump", "rate", millis).host_time(time).append().unwrap();
        let now = history.at(At::Head).unwrap().log_time().unwrap();
        assert!(now >= last && now >= millis, "{millis}: from {last} to {now}");
        last = now;
    }
    let times: Vec<i64> =
        history.log().map(|line| line.unwrap().entry.header.host_time.millis).skip(1).collect();
    assert_eq!(
        times,
        [0, -1, i64::MIN, i64::MIN + 1, 1, i64::MAX - 1, i64::MAX, 5, i64::MIN],
        "the host's time is kept"
    );
    history.verify().unwrap();
}

#[test]
fn texts_of_any_kind_are_data_and_never_names_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    let history = History::open(&path).unwrap();
    let texts = [
        "../../escape",
        "/etc/passwd",
        "a\0b",
        "\u{202e}rtl",
        ".",
        "..",
        "segment-0000000001.raw",
        "\u{feff}",
        " ",
    ];
    for text in texts {
        let author = Author::user(text).named(text);
        history
            .change(&author, text)
            .add(Component::new(text, text).field(text, text))
            .session(text)
            .append()
            .unwrap();
        history.label(&author, text, At::Head).unwrap();
    }
    history.close().unwrap();
    let history = History::open(&path).unwrap();
    for text in texts {
        let found = history.at(At::Head).unwrap().component(text).unwrap().unwrap();
        assert_eq!(found.get(text), Some(&text.into()));
        assert!(history.find(At::Label(text.to_owned())).is_ok(), "{text:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn questions_about_what_is_not_there_say_what_is() {
    let history = open_memory();
    let other = open_memory();
    let check = |what: &str, at: At, expected: &str| {
        let error = history.at(at.clone()).map(|view| view.version().unwrap()).expect_err(what);
        assert_eq!(kind_of(&error), expected, "{what}: {error}");
        assert_eq!(error.advice(), Advice::FixTheQuestion, "{what}");
        let error = history.find(at).expect_err(what);
        assert_eq!(kind_of(&error), expected, "{what}: {error}");
    };
    check("the next version", At::Number(Seq(2)), "UnknownVersion");
    check("the last version of all", At::Number(Seq(u64::MAX)), "UnknownVersion");
    check("before the first", At::Back(2), "BeforeStart");
    check("far before the first", At::Back(u64::MAX), "BeforeStart");
    check("a label", At::Label("released".to_owned()), "UnknownLabel");
    check("a version of another history", At::Id(other.version()), "Foreign");
    check("before all time", At::Time(Timestamp::from_millis(i64::MIN)), "BeforeFirst");
    let alice = Author::user("alice");
    let kind = |result: Result<flow_history::Applied, Error>| kind_of(&result.expect_err("nothing there"));
    assert_eq!(kind(history.redo(Scope::Flow, &alice)), "NothingToRedo");
    assert_eq!(kind(history.restore(Part::Flow, 9, &alice)), "UnknownVersion");
    history.undo(Scope::Flow, &alice).unwrap();
    assert_eq!(kind(history.undo(Scope::Flow, &alice)), "NothingToUndo");
    history.redo(Scope::Flow, &alice).unwrap();
    assert_eq!(kind(history.redo(Scope::Flow, &alice)), "NothingToRedo");
    history.undo(Scope::Flow, &alice).unwrap();
    history.change(&alice, "").add(Component::new("new", "k")).append().unwrap();
    assert_eq!(kind(history.redo(Scope::Flow, &alice)), "NothingToRedo");
}

#[test]
fn a_misfit_says_which_operation_and_why() {
    let history = open_memory();
    let change =
        history.change(&Author::user("alice"), "").set("pump", "a", 1).remove("group").set("pump", "b", 2);
    match change.append() {
        Err(Error::Misfit(misfit)) => {
            // Removing the group takes the wire, the pump, the inner group and itself: four operations behind the first.
            assert_eq!((misfit.operation, misfit.id.as_str(), misfit.reason), (5, "pump", Reason::Missing));
        }
        other => panic!("{other:?}"),
    }
}

// ---- Directories ----

fn closed_history(path: &Path) {
    let history = History::open(path).unwrap();
    let alice = Author::user("alice");
    history.change(&alice, "").add(Component::new("pump", "processor")).append().unwrap();
    history.close().unwrap();
}

fn with_format(path: &Path, format: u16, sum_at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8..10].copy_from_slice(&format.to_le_bytes());
    let sum = crc32(&bytes[..sum_at]);
    bytes[sum_at..sum_at + 4].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn each_bad_directory_has_its_own_error_and_is_left_as_it_was() {
    type Make = fn(&Path);
    let check = |what: &str, make: Make, writer: &str, reader: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("h");
        make(&path);
        // The lock says which process holds it, to whoever asks, whether or not there is more to it.
        let _ = std::fs::remove_file(path.join("lock"));
        let listing = |path: &Path| {
            let mut listing = listing(path);
            listing.retain(|path, _| path.file_name().is_some_and(|name| name != "lock") && !path.is_dir());
            listing
        };
        let before = listing(dir.path());
        let error = History::open_read_only(&path).map(|history| history.version()).expect_err(what);
        assert_eq!(kind_of(&error), reader, "{what}, reading: {error}");
        assert_eq!(listing(dir.path()), before, "{what}: reading changed something");
        let error = History::open(&path).map(|history| history.version()).expect_err(what);
        assert_eq!(kind_of(&error), writer, "{what}, writing: {error}");
        assert_eq!(listing(dir.path()), before, "{what}: writing changed something");
        let must_exist = History::options().must_exist(true).open(&path);
        let error = must_exist.map(|history| history.version()).expect_err(what);
        let expected = if what == "a dangling link" { reader } else { writer };
        assert_eq!(kind_of(&error), expected, "{what}, writing what must exist: {error}");
        assert_eq!(listing(dir.path()), before, "{what}: writing changed something");
    };
    check("a file", |path| std::fs::write(path, "text").unwrap(), "NotAHistory", "NotAHistory");
    check(
        "a directory of somebody else's",
        |path| {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("letter.txt"), "dear").unwrap();
        },
        "NotAHistory",
        "NotAHistory",
    );
    check(
        "an identity of a newer format",
        |path| {
            closed_history(path);
            with_format(&path.join("history"), 1, 60);
        },
        "Unsupported",
        "Unsupported",
    );
    check(
        "a segment of a newer format",
        |path| {
            closed_history(path);
            with_format(&path.join("segment-0000000001.raw"), 9, 508);
        },
        "Unsupported",
        "Unsupported",
    );
    check(
        "no identity",
        |path| {
            closed_history(path);
            std::fs::remove_file(path.join("history")).unwrap();
        },
        "Damaged",
        "Damaged",
    );
    check(
        "no segment",
        |path| {
            closed_history(path);
            std::fs::remove_file(path.join("segment-0000000001.raw")).unwrap();
        },
        "Damaged",
        "Damaged",
    );
    check(
        "a link in place of a segment",
        |path| {
            closed_history(path);
            let segment = path.join("segment-0000000001.raw");
            std::fs::rename(&segment, path.with_extension("elsewhere")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("elsewhere"), &segment).unwrap();
        },
        "Io",
        "Io",
    );
    check(
        "a link in place of the identity",
        |path| {
            closed_history(path);
            std::fs::rename(path.join("history"), path.with_extension("elsewhere")).unwrap();
            std::os::unix::fs::symlink(path.with_extension("elsewhere"), path.join("history")).unwrap();
        },
        "Io",
        "Io",
    );
    check(
        "a directory in place of a segment",
        |path| {
            closed_history(path);
            std::fs::remove_file(path.join("segment-0000000001.raw")).unwrap();
            std::fs::create_dir(path.join("segment-0000000001.raw")).unwrap();
        },
        "Io",
        "Io",
    );
    check(
        "a dangling link",
        |path| std::os::unix::fs::symlink("nowhere", path).unwrap(),
        "Io",
        "NotAHistory",
    );
}

#[test]
fn a_link_in_place_of_the_lock_is_refused_and_its_target_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    closed_history(&path);
    let target = dir.path().join("precious");
    std::fs::write(&target, "precious").unwrap();
    std::fs::remove_file(path.join("lock")).unwrap();
    std::os::unix::fs::symlink(&target, path.join("lock")).unwrap();
    let before = listing(dir.path());
    let error = History::open(&path).map(|history| history.version()).expect_err("a link as lock");
    assert_eq!(kind_of(&error), "Io", "{error}");
    assert_eq!(listing(dir.path()), before);
}

#[test]
fn what_must_exist_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().join("missing"), dir.path().to_owned()] {
        let error = History::options()
            .must_exist(true)
            .open(&path)
            .map(|history| history.version())
            .expect_err("missing");
        assert_eq!(kind_of(&error), "NotAHistory", "{error}");
        assert_eq!(listing(dir.path()).len(), 0);
    }
}

#[test]
fn files_of_somebody_else_beside_a_history_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h");
    closed_history(&path);
    for name in [".DS_Store", "segment-1.raw", "notes.txt~", "SEGMENT-0000000001.RAW"] {
        std::fs::write(path.join(name), name).unwrap();
    }
    std::fs::create_dir(path.join("directory")).unwrap();
    let history = History::open(&path).unwrap();
    history.change(&Author::user("alice"), "").set("pump", "rate", 1).append().unwrap();
    let warnings = history.verify().unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains(".DS_Store")), "{warnings:?}");
    history.close().unwrap();
    for name in [".DS_Store", "segment-1.raw", "notes.txt~", "SEGMENT-0000000001.RAW"] {
        assert_eq!(std::fs::read_to_string(path.join(name)).unwrap(), name);
    }
    assert_eq!(History::open_read_only(&path).unwrap().version().seq(), Seq(2));
}
