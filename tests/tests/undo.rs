//! Goal: undo, redo, revert and restore do what people expect of them, say what stands in their way, and write nothing
//! when they are refused.
//!
//! Method: small stories, each with what must come of it. Some are reports of bugs in other programs, named by theirs.

use std::sync::Arc;

use flow_history::{
    Author, Component, Error, Facet, Flow, FlowVersionId, History, Intent, Map, Mark, MemoryStorage, Mode,
    Operation, Order, Part, Path, Proposal, ROOT_ID, ROOT_KIND, Resolution, Scope, Seq, StateHash, Tuning,
    Value,
};
use flow_history_tests::{Call, Faulty, slots_of};

fn open() -> (MemoryStorage, History) {
    let storage = MemoryStorage::new();
    let history = History::options().open_storage(Arc::new(storage.clone())).unwrap();
    (storage, history)
}

fn alice() -> Author {
    Author::user("alice")
}

fn bob() -> Author {
    Author::user("bob")
}

/// A pump in a group, by alice.
fn pump() -> History {
    let (_, history) = open();
    let pump = Component::new("pump", "processor").inside("group").field("rate", 80).field("x", 1);
    history.change(&alice(), "").add(Component::new("group", "group")).add(pump).append().unwrap();
    history
}

fn set(history: &History, author: &Author, field: &str, value: i32) -> FlowVersionId {
    history.change(author, "").set("pump", field, value).append().unwrap()
}

fn get(history: &History, field: &str) -> Option<i64> {
    let pump = history.at(history.version()).unwrap().component("pump").unwrap()?;
    pump.get(field).and_then(Value::as_i64)
}

fn hash(history: &History) -> StateHash {
    history.at(history.version()).unwrap().state_hash().unwrap()
}

fn flow(history: &History) -> Flow {
    history.at(history.version()).unwrap().to_flow().unwrap()
}

/// What is in the way of a proposal; checks that refusing it writes nothing.
fn in_the_way(history: &History, proposal: Proposal) -> Vec<&'static str> {
    let before = (history.version(), hash(history));
    let plan = history.plan(&bob(), proposal).unwrap();
    assert!(!plan.is_clear());
    let conflicts = match plan.finish() {
        Err(Error::Conflicts { conflicts, .. }) => conflicts,
        other => panic!("{other:?}"),
    };
    assert_eq!((history.version(), hash(history)), before, "something was written");
    assert!(conflicts.iter().all(|conflict| !conflict.obstacle.resolutions().is_empty()));
    conflicts.iter().map(|conflict| conflict.obstacle.name()).collect()
}

// ---- Whose, and how much ----

#[test]
fn an_author_takes_back_their_own_and_leaves_others_alone() {
    let history = pump();
    set(&history, &alice(), "rate", 8);
    set(&history, &bob(), "x", 2);
    set(&history, &bob(), "y", 3);
    let applied = history.undo(Scope::Author("alice".into()), &bob()).unwrap();
    assert_eq!(applied.taken, [Seq(2)]);
    assert_eq!((get(&history, "rate"), get(&history, "x"), get(&history, "y")), (Some(80), Some(2), Some(3)));
    // Alice's stack is alice's, whoever acts; and bob's edit since is no reason to forget what she can do again.
    set(&history, &bob(), "y", 4);
    assert!(matches!(history.redo(Scope::Flow, &bob()), Err(Error::NothingToRedo)));
    history.redo(Scope::Author("alice".into()), &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(8));
    // By now it is the newest thing done to the flow.
    assert_eq!(
        history.undo(Scope::Flow, &bob()).unwrap().taken,
        [history.version().seq().previous().unwrap()]
    );
    assert_eq!((get(&history, "rate"), get(&history, "y")), (Some(80), Some(4)));
}

#[test]
fn a_session_and_a_subtree_take_back_what_is_theirs() {
    let history = pump();
    history.change(&alice(), "").session("morning").set("pump", "rate", 8).append().unwrap();
    history.change(&alice(), "").session("evening").set("pump", "x", 9).append().unwrap();
    history.change(&bob(), "").add(Component::new("tank", "processor")).append().unwrap();
    history.undo(Scope::Session("morning".into()), &alice()).unwrap();
    assert_eq!((get(&history, "rate"), get(&history, "x")), (Some(80), Some(9)));
    assert!(matches!(history.undo(Scope::Session("morning".into()), &alice()), Err(Error::NothingToUndo)));
    history.redo(Scope::Session("morning".into()), &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(8));
    history.undo(Scope::Subtree("tank".into()), &alice()).unwrap();
    assert!(flow(&history).component("tank").is_none());
    history.undo(Scope::Subtree("group".into()), &bob()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    history.redo(Scope::Subtree("group".into()), &bob()).unwrap();
    assert_eq!(get(&history, "rate"), Some(8));
}

#[test]
fn one_gesture_is_one_undo_though_others_work_meanwhile() {
    let history = pump();
    for x in 2..50 {
        history.change(&alice(), "drag").group("drag-1").set("pump", "x", x).append().unwrap();
        if x % 7 == 0 {
            set(&history, &bob(), "rate", x);
        }
    }
    let before = history.version().seq();
    let plan = history.plan(&alice(), Proposal::undo(Scope::Author("alice".into()))).unwrap();
    assert_eq!(plan.taken().len(), 48);
    plan.finish().unwrap();
    assert_eq!((get(&history, "x"), get(&history, "rate")), (Some(1), Some(49)));
    assert_eq!(history.version().seq(), before.next().unwrap(), "one entry");
    // Bob's are still there to be undone, one by one, and the drag can be done again in one.
    history.redo(Scope::Author("alice".into()), &alice()).unwrap();
    assert_eq!(get(&history, "x"), Some(49));
    history.undo(Scope::Flow, &alice()).unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!((get(&history, "x"), get(&history, "rate")), (Some(1), Some(42)));
}

#[test]
fn what_somebody_reverted_already_is_passed_over() {
    let history = pump();
    let slowed = set(&history, &alice(), "rate", 8);
    history.revert([slowed.seq()], &bob()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    let plan = history.plan(&alice(), Proposal::undo(Scope::Author("alice".into()))).unwrap();
    assert_eq!((plan.passed_over(), plan.taken()), (&[slowed.seq()][..], &[Seq(1)][..]));
    assert!(
        history.revert([slowed.seq()], &bob()).unwrap().operations.is_empty(),
        "nothing is left to revert"
    );
    assert_eq!(history.version().seq(), Seq(3));
}

// ---- Plan and finish ----

#[test]
fn a_plan_writes_nothing_and_stands_until_what_it_touches_moves() {
    let history = pump();
    set(&history, &alice(), "rate", 8);
    let head = history.version();
    let wish = || Proposal::undo(Scope::Author("alice".into()));
    drop(history.plan(&alice(), wish()).unwrap());
    assert_eq!(history.version(), head);

    let plan = history.plan(&alice(), wish()).unwrap();
    assert_eq!(plan.base(), head);
    set(&history, &bob(), "x", 5);
    let operations = plan.operations().to_vec();
    let applied = plan.finish().unwrap();
    assert_eq!(applied.operations, operations, "bob's edit has nothing to do with it");

    history.redo(Scope::Author("alice".into()), &alice()).unwrap();
    let plan = history.plan(&alice(), wish()).unwrap();
    set(&history, &bob(), "rate", 9);
    let head = history.version();
    match plan.finish() {
        Err(Error::Stale { components, head: said, .. }) => {
            assert_eq!((components, said), (vec!["pump".into()], head));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(history.version(), head);
    // Two plans of one undo: the second finds its unit taken.
    let history = pump();
    set(&history, &alice(), "rate", 8);
    let (one, two) = (history.plan(&alice(), wish()).unwrap(), history.plan(&alice(), wish()).unwrap());
    one.finish().unwrap();
    assert!(matches!(two.finish(), Err(Error::Stale { .. })));
}

#[test]
fn a_handle_that_only_reads_can_plan_and_not_finish() {
    let (storage, history) = open();
    history.change(&alice(), "").add(Component::new("pump", "processor")).append().unwrap();
    let reader = History::options().open_storage_read_only(Arc::new(storage)).unwrap();
    let plan = reader.plan(&alice(), Proposal::undo(Scope::Flow)).unwrap();
    assert_eq!(plan.operations(), [Operation::remove("pump")]);
    assert!(matches!(plan.finish(), Err(Error::ReadOnly)));
}

#[test]
fn a_host_vetoes_a_component_and_gives_another_id() {
    let history = pump();
    history.change(&alice(), "").add(Component::new("tank", "processor")).append().unwrap();
    history.change(&alice(), "").set("pump", "rate", 8).set("tank", "level", 1).append().unwrap();
    let plan = history.plan(&alice(), Proposal::undo(Scope::Flow)).unwrap();
    let plan = plan.veto("tank", "its queue is not empty").unwrap();
    assert_eq!(plan.operations().len(), 1, "what is not vetoed is planned");
    match plan.finish() {
        Err(error @ Error::Vetoed { .. }) => assert!(error.to_string().contains("its queue is not empty")),
        other => panic!("{other:?}"),
    }
    let wish = Proposal::undo(Scope::Flow).mode(Mode::Partial).veto("tank", "its queue is not empty");
    let applied = history.apply(&alice(), wish).unwrap();
    assert_eq!(applied.conflicts[0].resolved, Some(Resolution::Skip));
    let entry = history.log().from(applied.version.seq()).next().unwrap().unwrap().entry;
    assert_eq!(entry.header.attributes, [("left-out".into(), "tank: Vetoed".into())]);
    assert_eq!(
        (get(&history, "rate"), flow(&history).component("tank").unwrap().get("level")),
        (Some(80), Some(&1.into()))
    );
    // Done again is what was taken back, and nothing else.
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(8));

    history.change(&alice(), "").remove("group").append().unwrap();
    let removal = history.version().seq();
    history.change(&bob(), "").add(Component::new("group", "label")).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([removal]))[0], "IdTaken");
    let applied = history.apply(&bob(), Proposal::revert([removal]).rename("group", "group-2")).unwrap();
    assert_eq!(flow(&history).component("pump").unwrap().parent, Some("group-2".into()));
    let entry = history.log().from(applied.version.seq()).next().unwrap().unwrap().entry;
    let linked =
        entry.header.links.iter().any(|link| matches!(link, flow_history::Link::SameComponent { .. }));
    assert!(linked, "{:?}", entry.header.links);
}

// ---- What stands in the way ----

#[test]
fn each_obstacle_has_its_name_and_is_resolved_by_the_mode_that_says_so() {
    let history = pump();
    let slowed = set(&history, &alice(), "rate", 8).seq();
    set(&history, &bob(), "rate", 9);
    assert_eq!(in_the_way(&history, Proposal::revert([slowed])), ["FieldChangedSince"]);
    assert_eq!(in_the_way(&history, Proposal::revert([slowed]).mode(Mode::Cascade)), ["FieldChangedSince"]);
    assert_eq!(in_the_way(&history, Proposal::revert([slowed]).mode(Mode::Partial)), ["FieldChangedSince"]);
    history.apply(&bob(), Proposal::revert([slowed]).mode(Mode::Force)).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));

    let removed = history.change(&alice(), "").remove("pump").append().unwrap().seq();
    assert_eq!(in_the_way(&history, Proposal::revert([Seq(2)])), ["TargetMissing"]);
    history.change(&bob(), "").remove("group").append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([removed])), ["ParentMissing"]);
    let applied = history.apply(&bob(), Proposal::revert([removed]).mode(Mode::Cascade)).unwrap();
    assert_eq!(applied.conflicts[0].resolved, Some(Resolution::BringBack));
    assert_eq!(get(&history, "rate"), Some(80));

    let tank = history.change(&alice(), "").add(Component::new("tank", "processor")).append().unwrap().seq();
    let wire = Component::new("wire", "wire").field("from", Value::Ref("pump".into()));
    let wired = history.change(&bob(), "").add(wire.field("to", Value::Ref("tank".into()))).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([tank])), ["HasDependents"]);
    assert_eq!(in_the_way(&history, Proposal::undo(Scope::Author("alice".into()))), ["HasDependents"]);
    let plan = history.plan(&alice(), Proposal::revert([tank]).mode(Mode::Cascade)).unwrap();
    assert_eq!(plan.dependents(), ["wire"]);
    plan.finish().unwrap();
    assert!(flow(&history).component("wire").is_none());
    let unwired = history.version().seq();
    history.undo(Scope::Flow, &alice()).unwrap();
    history.change(&bob(), "").remove("wire").append().unwrap();
    history.change(&bob(), "").remove("tank").append().unwrap();
    let rewired = history.version().seq().previous().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([rewired])), ["EndpointMissing"]);
    assert!(history.revert([wired.seq()], &bob()).unwrap().operations.is_empty());
    assert!(unwired < rewired);

    history
        .change(&alice(), "")
        .add(Component::new("a", "group"))
        .add(Component::new("b", "group").inside("a"))
        .append()
        .unwrap();
    let out = history.change(&alice(), "").shift("b", None, Order::default()).append().unwrap().seq();
    history.change(&bob(), "").shift("a", Some("b".into()), Order::default()).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([out])), ["Cycle"]);
    history.change(&bob(), "").shift("b", Some("group".into()), Order::default()).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([out])), ["MovedSince", "Cycle"][..1]);
}

#[test]
fn another_kind_and_a_name_that_is_taken_are_in_the_way_and_no_version_of_another_history_is_restored() {
    let history = pump();
    let slowed = set(&history, &alice(), "rate", 8).seq();
    let removed = history.change(&alice(), "").remove("pump").append().unwrap().seq();
    assert_eq!(
        in_the_way(&history, Proposal::undo(Scope::Flow).name_taken("pump", "the pump")),
        ["NameTaken"]
    );
    let wish = Proposal::undo(Scope::Flow).name_taken("pump", "the pump").mode(Mode::Force);
    assert_eq!(in_the_way(&history, wish), ["NameTaken"]);

    let other = Component::new("pump", "valve").inside("group").field("rate", 8);
    history.change(&bob(), "").add(other).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([removed]))[0], "IdTaken");
    // Though what it set is as it left it, it is that of another.
    assert_eq!(in_the_way(&history, Proposal::revert([slowed])), ["KindChanged"]);
    assert_eq!(in_the_way(&history, Proposal::revert([slowed]).mode(Mode::Cascade))[0], "KindChanged");
    history.apply(&bob(), Proposal::revert([slowed]).mode(Mode::Force)).unwrap();

    let (version, elsewhere) = (history.version(), pump());
    let foreign = history.restore(Part::Flow, elsewhere.version(), &alice()).unwrap_err();
    assert!(matches!(foreign, Error::Foreign { id } if id == elsewhere.version()), "{foreign:?}");
    let unknown = history.restore(Part::Flow, 99, &alice()).unwrap_err();
    assert!(matches!(unknown, Error::UnknownVersion { asked: Seq(99), .. }), "{unknown:?}");
    assert_eq!(history.version(), version);
}

#[test]
fn an_older_component_of_the_same_name_is_another_even_back_in_its_own_slot() {
    let map = |a: i32| Value::Map([("a", a)].into_iter().collect::<Map>());
    for (between, is_nested, is_opened_again) in
        (0..8_u32).map(|case| (case & 1 == 1, case & 2 == 2, case & 4 == 4))
    {
        let (storage, mut history) = open();
        let x = |kind: &str, a: i32| Component::new("x", kind).field("a", a).field("env", map(a));
        history.change(&alice(), "").add(x("filter", 1)).add(Component::new("y", "pump")).append().unwrap();
        let removed = history.change(&alice(), "").remove("x").append().unwrap().seq();
        history.change(&alice(), "").add(x("pump", 0)).append().unwrap();
        let by_bob = history.change(&bob(), "");
        let by_bob = match is_nested {
            true => by_bob.set("x", Path::field("env").key("a"), 1),
            false => by_bob.set("x", "a", 1),
        };
        let unit = by_bob.append().unwrap().seq();
        history.change(&alice(), "").remove("x").append().unwrap();
        for round in 0..if between { 40 } else { 0 } {
            history.change(&alice(), "").set("y", "a", round).append().unwrap();
        }
        history.revert([removed], &alice()).unwrap();
        assert_eq!(flow(&history).component("x").unwrap().kind, "filter");
        if is_opened_again {
            history.close().unwrap();
            history = History::options().open_storage(Arc::new(storage)).unwrap();
        }
        assert_eq!(in_the_way(&history, Proposal::revert([unit])), ["KindChanged"], "{between} {is_nested}");
        assert_eq!(in_the_way(&history, Proposal::undo(Scope::Author("bob".into()))), ["KindChanged"]);
    }
}

#[test]
fn another_kind_that_a_host_puts_into_the_same_slot_is_another_component() {
    let (_, history) = open();
    let x = |kind: &str, a: i32| Component::new("x", kind).field("a", a);
    history.change(&alice(), "").add(x("filter", 0)).append().unwrap();
    let unit = history.change(&bob(), "").set("x", "a", 1).append().unwrap().seq();
    let slot = flow(&history).slot("x").unwrap();
    history.change(&alice(), "").remove("x").append().unwrap();
    let add = Operation::Add { component: Arc::new(x("pump", 1)), slot: Some(slot) };
    history.change(&alice(), "").operations(vec![add]).append().unwrap();
    assert_eq!(in_the_way(&history, Proposal::revert([unit])), ["KindChanged"]);
}

#[test]
fn edits_of_other_fields_and_the_same_edit_by_somebody_else_are_in_nobodys_way() {
    let history = pump();
    let slowed = set(&history, &alice(), "rate", 8).seq();
    set(&history, &bob(), "x", 7);
    let map = |a: i32, b: i32| Value::Map([("a", a), ("b", b)].into_iter().collect::<Map>());
    history.change(&bob(), "").set("pump", "env", map(1, 1)).append().unwrap();
    let first = history.change(&alice(), "").set("pump", "env", map(2, 1)).append().unwrap().seq();
    history.change(&bob(), "").set("pump", "env", map(2, 3)).append().unwrap();
    history.revert([slowed, first], &bob()).unwrap();
    assert_eq!((get(&history, "rate"), get(&history, "x")), (Some(80), Some(7)));
    assert_eq!(flow(&history).component("pump").unwrap().get("env"), Some(&map(1, 3)));
}

#[test]
fn what_cannot_be_taken_back_has_its_own_error() {
    let history = pump();
    let mark = history.mark(&alice(), Mark::Deploy).unwrap().seq();
    assert!(matches!(history.revert([mark], &alice()), Err(Error::NotAChange { entry }) if entry == mark));
    assert!(matches!(history.revert([Seq(9)], &alice()), Err(Error::UnknownVersion { .. })));
    assert!(matches!(history.redo(Scope::Author("nobody".into()), &alice()), Err(Error::NothingToRedo)));
    assert!(matches!(history.undo(Scope::Session("none".into()), &alice()), Err(Error::NothingToUndo)));
    let frozen = history.mark(&alice(), Mark::Freeze).unwrap().seq();
    for error in [
        history.undo(Scope::Author("alice".into()), &alice()).unwrap_err(),
        history.revert([Seq(1)], &alice()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Frozen { at } if at == frozen), "{error:?}");
    }
    // To make it as it was is another thing: it says so.
    history.restore(Part::Flow, 0, &alice()).unwrap();
    assert!(flow(&history).is_empty());
}

// ---- Restore ----

#[test]
fn each_part_is_restored_and_nothing_else() {
    let history = pump();
    let table: Map = [("*/x", "layout"), ("*/state", "runtime")].into_iter().collect();
    history
        .change(&alice(), "")
        .add(Component::new(ROOT_ID, ROOT_KIND).field("facets", table))
        .append()
        .unwrap();
    history
        .change(&alice(), "")
        .add(Component::new("tank", "processor").field("x", 1).field("level", 1))
        .append()
        .unwrap();
    let then = history.version();
    let change = history.change(&bob(), "").set("pump", "rate", 8).set("pump", "x", 2).set("pump", "y", 2);
    change.set("tank", "x", 2).set("tank", "level", 2).append().unwrap();
    let now = history.version();
    let restored = |part: Part| {
        history.restore(part, then, &alice()).unwrap();
        let found = flow(&history);
        history.restore(Part::Flow, now, &alice()).unwrap();
        let of =
            |id: &str, field: &str| found.component(id).and_then(|c| c.get(field)).and_then(Value::as_i64);
        [of("pump", "rate"), of("pump", "x"), of("pump", "y"), of("tank", "x"), of("tank", "level")]
    };
    let all = |values: [i64; 5]| values.map(|value| (value != 0).then_some(value));
    assert_eq!(restored(Part::Flow), all([80, 1, 0, 1, 1]));
    assert_eq!(restored(Part::Subtree("group".into())), all([80, 1, 0, 2, 2]));
    assert_eq!(restored(Part::Component("tank".into())), all([8, 2, 2, 1, 1]));
    assert_eq!(restored(Part::Fields("pump".into(), vec!["rate".into(), "y".into()])), all([80, 2, 0, 2, 2]));
    assert_eq!(restored(Part::Facet(Facet::Layout)), all([8, 1, 2, 1, 2]));

    history.change(&bob(), "").remove("group").append().unwrap();
    assert_eq!(
        in_the_way(&history, Proposal::restore(Part::Component("pump".into()), then)),
        ["ParentMissing"]
    );
    assert_eq!(
        in_the_way(&history, Proposal::restore(Part::Fields("pump".into(), vec!["rate".into()]), then)),
        ["TargetMissing"]
    );
    history.restore(Part::Subtree("group".into()), then, &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    assert_eq!(flow(&history).slot("pump"), history.at(then).unwrap().to_flow().unwrap().slot("pump"));
}

#[test]
fn what_was_removed_is_listed_and_no_redo_is_ever_lost() {
    let history = pump();
    set(&history, &alice(), "rate", 8);
    let undo = history.undo(Scope::Flow, &alice()).unwrap().version.seq();
    assert!(history.left_behind().unwrap().is_empty(), "it can be done again");
    let by = set(&history, &bob(), "x", 5).seq();
    let left = history.left_behind().unwrap();
    assert_eq!((left[0].undo, left[0].by, left[0].version, left.len()), (undo, by, Seq(2), 1));
    history.revert([undo], &bob()).unwrap();
    assert_eq!((get(&history, "rate"), get(&history, "x")), (Some(8), Some(5)));

    history.change(&bob(), "").remove("group").append().unwrap();
    let removed: Vec<_> = history.trash().unwrap().map(Result::unwrap).collect();
    let ids: Vec<&str> = removed.iter().map(|removed| removed.component.id.as_str()).collect();
    assert_eq!((ids.len(), ids.contains(&"pump"), &*removed[0].author.id), (2, true, "bob"));
    history.revert([removed[0].entry], &alice()).unwrap();
    assert!(history.trash().unwrap().next().is_none());
}

#[test]
fn replay_without_an_entry_leaves_its_undos_out_too_and_names_what_no_longer_fits() {
    let history = pump();
    set(&history, &alice(), "rate", 8);
    history.undo(Scope::Flow, &alice()).unwrap();
    history.redo(Scope::Flow, &alice()).unwrap();
    set(&history, &bob(), "x", 5);
    let without = history.replay_without(&[Seq(2)]).unwrap();
    assert_eq!(without.left_out, [Seq(2), Seq(3), Seq(4)]);
    let pump = without.flow.component("pump").unwrap();
    assert_eq!((pump.get("rate"), pump.get("x")), (Some(&80.into()), Some(&5.into())));
    let without = history.replay_without(&[Seq(1)]).unwrap();
    assert!(without.flow.is_empty());
    assert_eq!(without.misfits.iter().map(|(seq, _)| seq.0).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert!(matches!(history.replay_without(&[Seq(9)]), Err(Error::UnknownVersion { .. })));
}

// ---- jj's tests of stacks, restated ----

#[test]
fn undo_jumps_over_an_old_undo_stack() {
    let history = pump();
    let visited: Vec<StateHash> = (0..4)
        .map(|x| {
            set(&history, &alice(), "rate", x);
            hash(&history)
        })
        .collect();
    history.undo(Scope::Flow, &alice()).unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[1]);
    set(&history, &alice(), "x", 99);
    // Past the new change, and past the two that are undone already, to the one before them.
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[1]);
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[0]);
}

#[test]
fn redo_jumps_over_an_old_redo_stack() {
    let history = pump();
    let visited: Vec<StateHash> = (0..4)
        .map(|x| {
            set(&history, &alice(), "rate", x);
            hash(&history)
        })
        .collect();
    (0..3).for_each(|_| drop(history.undo(Scope::Flow, &alice()).unwrap()));
    history.redo(Scope::Flow, &alice()).unwrap();
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[2]);
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[1]);
    history.redo(Scope::Flow, &alice()).unwrap();
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), visited[3]);
    assert!(matches!(history.redo(Scope::Flow, &alice()), Err(Error::NothingToRedo)));
}

#[test]
fn a_merge_is_undone_in_one() {
    let history = pump();
    let base = flow(&history);
    set(&history, &alice(), "rate", 8);
    let before = hash(&history);
    let mut theirs = base.clone();
    theirs.apply(&Operation::set("pump", "x", 7)).unwrap();
    theirs.apply(&Operation::add(Component::new("tank", "processor"))).unwrap();
    let merged = flow_history::merge(&base, &theirs, &flow(&history), &flow_history::Terms::default());
    assert!(merged.is_resolved());
    let change = history.change(&bob(), "merge").operations(merged.operations).intent(Intent::Merge);
    change.append().unwrap();
    assert_eq!((get(&history, "rate"), get(&history, "x")), (Some(8), Some(7)));
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), before);
}

#[test]
fn a_revert_is_undone_like_any_change_and_that_does_it_again() {
    let history = pump();
    let slowed = set(&history, &alice(), "rate", 8);
    set(&history, &bob(), "x", 2);
    let before = hash(&history);
    history.revert([slowed.seq()], &bob()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), before);
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
}

// ---- Reports of other programs, and noise ----

#[test]
fn marks_and_what_the_host_does_come_between_undo_and_redo() {
    // jj#3700, and node-red#4668: undo after deploy.
    let history = pump();
    set(&history, &alice(), "rate", 8);
    history.mark(&alice(), Mark::Deploy).unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    history.mark(&alice(), Mark::Deploy).unwrap();
    history
        .change(&Author::system("host"), "")
        .intent(Intent::System)
        .set("pump", "state", 1)
        .append()
        .unwrap();
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!((get(&history, "rate"), get(&history, "state")), (Some(8), Some(1)));
}

#[test]
fn ten_thousand_starts_are_one_line_and_clear_no_redo() {
    let (_, history) = open();
    let table: Map = [("*/state", "runtime")].into_iter().collect();
    let root = Component::new(ROOT_ID, ROOT_KIND).field("facets", table);
    let mut operations = vec![Operation::add(root)];
    let ids: Vec<String> = (0..10_000).map(|at| format!("p{at}")).collect();
    operations.extend(ids.iter().map(|id| Operation::add(Component::new(id.as_str(), "processor"))));
    history.change(&alice(), "").operations(operations).append().unwrap();
    history.change(&alice(), "").set("p1", "rate", 8).append().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    let (config, entries) = (flow(&history).config_hash(), history.log().count());

    let starts = ids.iter().map(|id| Operation::set(id.as_str(), "state", "running")).collect();
    let start = history.change(&alice(), "start all").intent(Intent::System).operations(starts);
    start.append().unwrap();
    assert_eq!(history.log().count(), entries + 1);
    assert_eq!(flow(&history).config_hash(), config);
    history.redo(Scope::Flow, &alice()).unwrap();
    assert_eq!(flow(&history).component("p1").unwrap().get("rate"), Some(&8.into()));
    assert_eq!(flow(&history).component("p1").unwrap().get("state"), Some(&"running".into()));
}

#[test]
fn a_group_of_five_thousand_comes_back_whole() {
    // Shuffle#601: undo of a delete brought the component without its settings.
    let (storage, history) = open();
    let mut operations = vec![
        Operation::add(Component::new("outer", "group")),
        Operation::add(Component::new("sink", "processor")),
    ];
    for at in 0..5_000 {
        let (id, parent) =
            (format!("c{at}"), if at % 50 == 0 { "outer".to_owned() } else { format!("c{}", at / 50 * 50) });
        operations.push(Operation::add(match at % 50 {
            1..=9 => Component::new(id, "wire")
                .inside(parent)
                .field("from", Value::Ref(format!("c{}", at / 50 * 50).into()))
                .field("to", Value::Ref("sink".into())),
            10 => Component::new(id, "policy").inside(parent).field("write", vec!["alice"]),
            _ => Component::new(id, "processor")
                .inside(parent)
                .field("rate", at)
                .field("name", format!("no. {at}")),
        }));
    }
    history.change(&alice(), "").operations(operations).append().unwrap();
    let before = (hash(&history), slots_of(&flow(&history)));
    history.change(&alice(), "").remove("outer").append().unwrap();
    assert_eq!(flow(&history).len(), 1);
    let started = std::time::Instant::now();
    let plan = history.plan(&alice(), Proposal::undo(Scope::Flow)).unwrap();
    eprintln!("planning {} operations took {:?}", plan.operations().len(), started.elapsed());
    plan.finish().unwrap();
    assert_eq!((hash(&history), slots_of(&flow(&history))), before);
    // And after a restart, though somebody did something else meanwhile.
    history.redo(Scope::Flow, &alice()).unwrap();
    history.close().unwrap();
    let history =
        History::options().open_storage(Arc::new(MemoryStorage::with_files(storage.files()))).unwrap();
    history.change(&bob(), "").set("sink", "rate", 1).append().unwrap();
    history.undo(Scope::Flow, &bob()).unwrap();
    let removal = history.version().seq().previous().and_then(Seq::previous).unwrap();
    let applied = history.revert([removal], &bob()).unwrap();
    assert_eq!(hash(&history), before.0, "{:?}", applied.taken);
}

#[test]
fn undo_goes_across_seals_checkpoints_and_restarts_and_is_planned_offline() {
    let storage = MemoryStorage::new();
    let open =
        || History::options().tuning(Tuning::hostile()).open_storage(Arc::new(storage.clone())).unwrap();
    let mut history = open();
    let add = Component::new("pump", "processor").field("rate", -1).field("text", "");
    history.change(&alice(), "").add(add).append().unwrap();
    let mut hashes = vec![hash(&history)];
    for at in 0..150 {
        let change = history.change(&alice(), "").set("pump", "rate", at);
        change.set("pump", "text", "long ".repeat(at as usize)).append().unwrap();
        hashes.push(hash(&history));
    }
    history.clone().close().unwrap();
    let names = storage.files().into_keys().collect::<Vec<_>>();
    for kind in [".sealed", "checkpoint-"] {
        assert!(names.iter().filter(|name| name.contains(kind)).count() > 3, "{names:?}");
    }
    for before in hashes.iter().rev().skip(1).step_by(2).zip(0..60) {
        if before.1 % 20 == 0 {
            history = open();
        }
        // Offline, the same is planned.
        let copy = Arc::new(MemoryStorage::with_files(storage.files()));
        let offline = History::options().open_storage_read_only(copy).unwrap();
        let planned = offline.plan(&bob(), Proposal::undo(Scope::Flow)).unwrap().taken().to_vec();
        assert_eq!(history.undo(Scope::Flow, &bob()).unwrap().taken, planned);
        history.undo(Scope::Flow, &bob()).unwrap();
        history.redo(Scope::Flow, &bob()).unwrap();
        assert_eq!(hash(&history), *before.0, "{}", before.1);
        history.undo(Scope::Flow, &bob()).unwrap();
        if before.1 % 20 == 19 {
            history.clone().close().unwrap();
        }
    }
}

#[test]
fn a_far_back_change_is_found_from_the_tops_without_reading_the_log() {
    let (_, history) = open();
    let add = |id: &str| Operation::add(Component::new(id, "processor").field("rate", 80));
    history.change(&bob(), "").operations(vec![add("pump"), add("tank")]).append().unwrap();
    history.change(&alice(), "").set("pump", "rate", 8).append().unwrap();
    for at in 0..3_000 {
        history.change(&bob(), "").set("tank", "rate", at).append().unwrap();
    }
    let before = history.entries_read();
    history.undo(Scope::Author("alice".into()), &alice()).unwrap();
    assert_eq!(get(&history, "rate"), Some(80));
    let read = history.entries_read() - before;
    assert!(read < 600, "{read} entries were read for one of alice's and the top of bob's");
}

#[test]
fn what_people_did_last_is_at_hand_however_much_others_did_since() {
    const PEOPLE: usize = 300;
    let counting = Faulty::new(Arc::new(MemoryStorage::new()));
    let mut tuning = Tuning::default();
    tuning.derive_from_bytes = u64::MAX;
    let history = History::options().tuning(tuning).open_storage(Arc::new(counting.clone())).unwrap();
    let people: Vec<Author> = (0..PEOPLE).map(|at| Author::user(&format!("person-{at}"))).collect();
    let add = |at: usize| Operation::add(Component::new(format!("c{at}"), "processor").field("rate", 0));
    history.change(&bob(), "").operations((0..PEOPLE).map(add).collect()).append().unwrap();
    let set =
        |at: usize, rate: i32| history.change(&people[at], "").set(format!("c{at}").as_str(), "rate", rate);
    let busy = |count: i32| {
        let of_bob = |at| history.change(&bob(), "").set("c0", "busy", at);
        history.append_all((0..count).map(of_bob).collect()).unwrap();
    };
    // One by one, and many in one group, of which only the newest few are kept as such.
    let (apart, together) = (0..PEOPLE / 2, PEOPLE / 2..PEOPLE);
    for at in apart {
        set(at, 1).append().unwrap();
    }
    history.append_all(together.map(|at| set(at, 1)).collect()).unwrap();
    for redo in [false, true] {
        busy(100);
        let before = history.entries_read();
        counting.plan(None);
        for (at, person) in people.iter().enumerate() {
            let scope = Scope::Author(person.id.to_string());
            let wish = if redo { Proposal::redo(scope) } else { Proposal::undo(scope) };
            let applied = history.apply(person, wish).unwrap();
            assert_eq!(
                applied.operations,
                [Operation::set(format!("c{at}").as_str(), "rate", i32::from(redo))]
            );
        }
        assert_eq!((history.entries_read() - before, counting.count(Call::Read)), (0, 0), "redo {redo}");
    }
    assert!(flow(&history).iter().all(|(_, component)| component.get("rate") == Some(&1.into())));
    // The counting is not blind: what nobody would take next is read.
    history.revert([Seq(1)], &bob()).unwrap_err();
    assert!(counting.count(Call::Read) > 0);
}

#[test]
fn a_gesture_over_two_sessions_is_undone_and_done_again_from_either() {
    for session in ["one", "two"] {
        let history = pump();
        let drag = |at: &str, x: i32| {
            let change = history.change(&alice(), "drag").group("drag-1").session(at);
            change.set("pump", "x", x).append().unwrap();
        };
        drag("one", 2);
        drag("two", 3);
        let scope = Scope::Session(session.into());
        let undone = history.undo(scope.clone(), &bob()).unwrap();
        assert_eq!((undone.taken.len(), get(&history, "x")), (2, Some(1)), "{session}");
        history.redo(scope, &bob()).unwrap();
        assert_eq!(get(&history, "x"), Some(3), "{session}");
    }
}
