//! Goal: what went wrong with undo, restore and merges in other programs, as people reported it, does not go wrong here.
//!
//! Method: each report played once, with its number where it was filed. What was reported of stacks, of marks between undo
//! and redo, and of secrets stands in `undo`, `undo_invariants` and `vault`; docs/undo.md lists all.

use std::sync::Arc;

use flow_history::{
    Author, Component, Difference, Flow, History, Intent, Mark, MemoryStorage, Mode, Operation, Options,
    Order, Part, ROOT_ID, ROOT_KIND, Scope, Seq, StateHash, Terms, Timestamp, Value, merge,
    operations_between,
};
use flow_history_tests::{Chance, SeededClock};

fn alice() -> Author {
    Author::user("alice")
}

fn open() -> History {
    History::options().open_storage(Arc::new(MemoryStorage::new())).unwrap()
}

fn flow(history: &History) -> Flow {
    history.at(history.version()).unwrap().to_flow().unwrap()
}

fn hash(history: &History) -> StateHash {
    flow(history).state_hash()
}

/// A group with two processors and a wire.
fn begin() -> History {
    let history = open();
    let to = |id: &str| Value::Ref(id.into());
    let group = Component::new("group", "group");
    let change = history.change(&alice(), "").add(group).add(Component::new("other", "group"));
    change
        .add(Component::new("pump", "processor").inside("group").field("rate", 1).field("name", "pump"))
        .add(Component::new("tank", "processor").inside("group").field("level", 1))
        .add(Component::new("wire", "wire").inside("group").field("from", to("pump")).field("to", to("tank")))
        .append()
        .unwrap();
    history
}

/// node-red#2999 and #5347: undo and redo after a deploy left the editor sure that there was nothing to deploy.
#[test]
fn whether_there_is_something_to_deploy_is_told_by_hashes_whatever_was_undone() {
    let history = begin();
    history.change(&alice(), "").set("pump", "rate", 2).append().unwrap();
    history.mark(&alice(), Mark::Deploy).unwrap();
    let deployed = hash(&history);
    history.undo(Scope::Flow, &alice()).unwrap();
    let undone = hash(&history);
    assert_ne!(undone, deployed);
    history.mark(&alice(), Mark::Deploy).unwrap();
    history.redo(Scope::Flow, &alice()).unwrap();
    // The state that was deployed last is the undone one: there is something to deploy again.
    assert_eq!(hash(&history), deployed);
    assert_ne!(hash(&history), undone);
}

/// node-red#4805: the undo of an import left the configuration behind that came with it.
#[test]
fn an_import_is_one_unit_with_the_configuration_that_came_with_it() {
    let history = begin();
    let before = hash(&history);
    let import = history.change(&alice(), "import").intent(Intent::Import);
    let broker = Value::Ref("broker".into());
    import
        .add(Component::new("broker", "config"))
        .add(Component::new("in", "processor").inside("group").field("broker", broker))
        .append()
        .unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), before);
}

/// Shuffle#601 and dograh#550: what came back had lost its settings, and one removal took several undos.
#[test]
fn what_was_removed_comes_back_with_settings_and_wires_in_one_step() {
    let history = begin();
    let before = hash(&history);
    history.change(&alice(), "").remove("pump").append().unwrap();
    assert!(flow(&history).component("wire").is_none());
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), before);
    assert_eq!(flow(&history).component("pump").unwrap().get("name"), Some(&"pump".into()));
}

/// NIFI-11192: ports that moved between groups.
#[test]
fn what_was_moved_goes_back_and_forth() {
    let history = begin();
    let parent = || flow(&history).component("pump").unwrap().parent.clone();
    history
        .change(&alice(), "")
        .shift("pump", Some("other".into()), Order::default())
        .set("tank", "level", 2)
        .append()
        .unwrap();
    for _ in 0..2 {
        history.undo(Scope::Flow, &alice()).unwrap();
        assert_eq!(parent(), Some("group".into()));
        history.redo(Scope::Flow, &alice()).unwrap();
        assert_eq!(parent(), Some("other".into()));
    }
}

/// n8n-docs#4103: a restored version kept the settings of the newest.
#[test]
fn a_restore_brings_the_settings_of_the_flow_back_too() {
    let history = begin();
    let root = Component::new(ROOT_ID, ROOT_KIND).field("timeout", 10);
    history.change(&alice(), "").add(root).append().unwrap();
    let (then, before) = (history.version(), hash(&history));
    history.change(&alice(), "").set(ROOT_ID, "timeout", 20).set("pump", "rate", 2).append().unwrap();
    history.restore(Part::Flow, then, &alice()).unwrap();
    assert_eq!(hash(&history), before);
    assert_eq!(flow(&history).component(ROOT_ID).unwrap().get("timeout"), Some(&10.into()));
}

/// baserow#4787: to delete what is there now changed what had been there.
#[test]
fn what_is_removed_later_stays_in_the_versions_that_had_it() {
    let history = begin();
    let (then, before) = (history.version(), hash(&history));
    let kept = history.at(then).unwrap();
    history.change(&alice(), "").remove("group").append().unwrap();
    history.change(&alice(), "").add(Component::new("pump", "other")).append().unwrap();
    assert_eq!(kept.state_hash().unwrap(), before);
    assert_eq!(&*history.at(then).unwrap().component("pump").unwrap().unwrap().kind, "processor");
}

/// node-red#2039 and #3354: a second merge dropped what the first had brought, and merges made empty tabs.
#[test]
fn who_merges_again_and_again_loses_nothing_and_makes_nothing_up() {
    for seed in 0..40 {
        let mut chance = Chance::new(seed);
        let history = begin();
        // Each writer has a copy, and the version that it was taken of last.
        let mut copies = vec![(flow(&history), flow(&history)); 3];
        let mut made = [0_u64; 3];
        for _ in 0..30 {
            let writer = chance.below(3);
            let (base, mine) = &mut copies[writer];
            for _ in 0..chance.below(3) {
                made[writer] += 1;
                let id = format!("{writer}-{}", made[writer]);
                let component = Component::new(id, "processor").inside("group");
                mine.apply(&Operation::add(component)).unwrap();
                mine.apply(&Operation::set("pump", format!("of-{writer}").as_str(), made[writer])).unwrap();
            }
            if chance.once_in(2) {
                let merged = merge(base, mine, &flow(&history), &Terms::default());
                assert!(merged.is_resolved(), "seed {seed}: {:?}", merged.conflicts);
                if !merged.operations.is_empty() {
                    let change =
                        history.change(&Author::user(&format!("{writer}")), "").intent(Intent::Merge);
                    change.operations(merged.operations).append().unwrap();
                }
                *mine = flow(&history);
                *base = flow(&history);
            }
        }
        for (writer, (base, mine)) in copies.iter().enumerate() {
            let merged = merge(base, mine, &flow(&history), &Terms::default());
            if !merged.operations.is_empty() {
                history.change(&alice(), "").operations(merged.operations).append().unwrap();
            }
            let now = flow(&history);
            let pump = now.component("pump").unwrap();
            assert_eq!(
                pump.get(&format!("of-{writer}")).and_then(Value::as_i64).unwrap_or_default(),
                made[writer] as i64
            );
        }
        let now = flow(&history);
        assert_eq!(now.len() as u64, 5 + made.iter().sum::<u64>(), "seed {seed}");
        assert_eq!(now.iter().filter(|(_, component)| component.kind == "group").count(), 2);
    }
}

/// I8 of the mission: a merge with one side unchanged is the other, and where nothing conflicts either way is the same.
#[test]
fn a_merge_with_an_unchanged_side_is_the_other_and_goes_either_way() {
    let terms = Terms::default();
    let base = flow(&begin());
    let with = |operations: &[Operation]| {
        let mut flow = base.clone();
        flow.apply_all(operations).unwrap();
        flow
    };
    let sides = [
        with(&[Operation::set("pump", "rate", 2)]),
        with(&[Operation::set("tank", "level", 2), Operation::add(Component::new("new", "processor"))]),
        with(&[Operation::shift("tank", Some("other".into()), Order::default())]),
        with(&[Operation::remove("wire")]),
    ];
    let merged = |mine: &Flow, theirs: &Flow| {
        let merged = merge(&base, mine, theirs, &terms);
        assert!(merged.is_resolved(), "{:?}", merged.conflicts);
        let mut flow = theirs.clone();
        flow.apply_all(&merged.operations).unwrap();
        flow.state_hash()
    };
    for mine in &sides {
        assert_eq!(merged(mine, &base), mine.state_hash());
        assert_eq!(merged(&base, mine), mine.state_hash());
        for theirs in &sides {
            assert_eq!(merged(mine, theirs), merged(theirs, mine));
        }
    }
}

/// NIFI-10371: the id that a registry gave had to be unique in a whole flow, so that a group could not be copied. What another
/// system calls a component is a field like any other: two of them may say the same, each in a group of its own.
#[test]
fn what_another_system_calls_a_component_need_not_be_unique() {
    let history = begin();
    let copy =
        |id: &str, group: &str| Component::new(id, "processor").inside(group).field("versioned", "v-1");
    let change = history.change(&alice(), "import").intent(Intent::Import);
    change.add(copy("in-1", "group")).add(copy("in-2", "other")).append().unwrap();
    let both = hash(&history);
    history.change(&alice(), "").remove("in-2").append().unwrap();
    history.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&history), both);
    assert_eq!(flow(&history).component("in-1").unwrap().get("versioned"), Some(&"v-1".into()));
}

/// NIFI-15696: who had edited a flow and wanted its newer version had to take everything back, upgrade, and do it all again;
/// and one difference that was not foreseen refused the whole.
#[test]
fn local_edits_go_onto_a_newer_version_and_only_what_both_set_otherwise_is_in_the_way() {
    let history = begin();
    let base = flow(&history);
    let edited = |operations: &[Operation]| {
        let mut flow = base.clone();
        flow.apply_all(operations).unwrap();
        flow
    };
    let newer = edited(&[
        Operation::set("pump", "rate", 2),
        Operation::set("pump", "x", 10),
        Operation::set("tank", "level", 5),
        Operation::add(Component::new("valve", "processor").inside("group")),
    ]);
    let local = [
        Operation::set("pump", "name", "the pump"),
        Operation::set("pump", "x", 10),
        Operation::shift("pump", Some("other".into()), Order::default()),
        Operation::add(Component::new("mine", "service").inside("group")),
    ];
    let merged = merge(&base, &edited(&local), &newer, &Terms::default());
    assert!(merged.is_resolved(), "{:?}", merged.conflicts);
    let mut upgraded = newer.clone();
    upgraded.apply_all(&merged.operations).unwrap();
    let pump = upgraded.component("pump").unwrap();
    assert_eq!((pump.get("rate"), pump.get("name")), (Some(&2.into()), Some(&"the pump".into())));
    assert_eq!((pump.get("x"), &pump.parent), (Some(&10.into()), &Some("other".into())));
    assert!(upgraded.component("valve").is_some() && upgraded.component("mine").is_some());

    // One value that both set refuses nothing but itself, where that is wanted.
    let mut terms = Terms::default();
    let both = [&local[..], &[Operation::set("tank", "level", 7)]].concat();
    let merged = merge(&base, &edited(&both), &newer, &terms);
    assert!(!merged.is_resolved());
    let names: Vec<_> = merged.conflicts.iter().map(|conflict| conflict.obstacle.name()).collect();
    assert_eq!(names, ["FieldChangedSince"]);
    terms.mode = Mode::Partial;
    let merged = merge(&base, &edited(&both), &newer, &terms);
    assert!(merged.is_resolved());
    let mut part = newer.clone();
    part.apply_all(&merged.operations).unwrap();
    assert_eq!(part.component("tank").unwrap().get("level"), Some(&5.into()));
    assert_eq!(part.component("pump").unwrap().get("name"), Some(&"the pump".into()));
}

/// flowfuse#6373: what two instances of a flow differ in, each of which has a history of its own.
#[test]
fn flows_of_two_histories_are_compared_as_those_of_one() {
    let (dev, prod) = (begin(), begin());
    assert!(
        Difference::between(&flow(&dev), &flow(&prod)).is_empty(),
        "though slots and versions have nothing in common"
    );
    dev.change(&alice(), "").set("pump", "rate", 2).remove("tank").append().unwrap();
    let operations = operations_between(&flow(&prod), &flow(&dev));
    prod.change(&alice(), "as on dev").operations(operations).append().unwrap();
    assert_eq!(hash(&dev), hash(&prod));
    prod.undo(Scope::Flow, &alice()).unwrap();
    assert_eq!(hash(&prod), hash(&begin()));
}

/// devlake#8059: a deployment was accepted, and no question ever found it.
#[test]
fn what_was_accepted_is_found_at_once_by_every_question() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path()).unwrap();
    let beside = History::open_read_only(dir.path()).unwrap();
    history.change(&alice(), "").add(Component::new("pump", "processor")).append().unwrap();
    let accepted = [
        history.change(&alice(), "by alice").set("pump", "rate", 1).append().unwrap(),
        history.mark(&alice(), Mark::Deploy).unwrap(),
        history.label(&alice(), "good", 1).unwrap(),
        history.running(&alice(), 2).unwrap(),
        history.undo(Scope::Flow, &alice()).unwrap().version,
    ];
    let check = |history: &History| {
        for id in accepted {
            assert_eq!(history.resolve(id).unwrap(), id.seq());
            let listed = history.entries().author("alice").from(id.seq().0).next().unwrap().unwrap();
            assert_eq!((listed.id, history.log().from(id.seq()).next().unwrap().unwrap().entry.id), (id, id));
        }
        assert_eq!(history.entries().count(), 1 + accepted.len(), "counted as they are listed");
        assert_eq!(history.labels().unwrap().get("good"), Some(&Seq(1)));
    };
    check(&history);
    check(&beside);
    history.close().unwrap();
    check(&History::open(dir.path()).unwrap());
}

/// Deis' controller: filters by age were right against the stand-in of its tests and wrong against its database.
#[test]
fn bounds_of_time_are_inclusive_and_the_same_from_files_as_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let on_disk = Options::new().clock(SeededClock::new(5)).open(dir.path()).unwrap();
    let in_memory = Options::new().clock(SeededClock::new(5));
    let in_memory = in_memory.open_storage(Arc::new(MemoryStorage::new())).unwrap();
    for history in [&on_disk, &in_memory] {
        history.change(&alice(), "").add(Component::new("pump", "processor")).append().unwrap();
        for at in 1..60 {
            history.change(&alice(), "").set("pump", "rate", at).append().unwrap();
        }
    }
    on_disk.close().unwrap();
    let on_disk = History::open(dir.path()).unwrap();
    let times: Vec<i64> = in_memory.entries().map(|entry| entry.unwrap().header.log_time).collect();
    for (since, until) in [(10, 40), (0, 59), (25, 25), (40, 10)] {
        let (since, until) = (times[since], times[until]);
        let at = |millis| Timestamp { millis, zone_minutes: 0 };
        let found = |history: &History| -> Vec<Seq> {
            let entries = history.entries().since(at(since)).until(at(until));
            entries.map(|entry| entry.unwrap().seq).collect()
        };
        let should: Vec<Seq> = (1..)
            .zip(&times)
            .filter(|(_, time)| (since..=until).contains(*time))
            .map(|(seq, _)| Seq(seq))
            .collect();
        assert_eq!((found(&on_disk), found(&in_memory)), (should.clone(), should));
    }
}
