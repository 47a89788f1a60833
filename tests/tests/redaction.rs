//! Goal: whoever reads as somebody sees of what they may not read that it is there, and nothing else: in a version, an
//! entry, the log, a difference, what was removed, who gave a field its value and when it held what.
//!
//! Method: a group in which p1 is for user1 alone. Everything that user2 can ask is printed and searched for p1 and its
//! values; counts and IDs are compared with those that an administrator sees.

use std::sync::Arc;

use flow_history::{
    At, Author, Component, ComponentId, Error, History, Intent, ListedPolicies, MemoryStorage, Mode,
    OperationKind, Options, Order, POLICY_KIND, Part, Proposal, Reader, Scope, SeenBody, SeenChange,
    SeenOperation, Sight, Value,
};

fn policy(id: &str, of: &str, readers: &[&str]) -> Component {
    let list = Value::List(readers.iter().map(|name| Value::from(*name)).collect());
    Component::new(id, POLICY_KIND).inside(of).field("read", list)
}

/// p1 is set by a change of its own, by one together with p2, moved, shown to everybody for a while, and removed.
fn scene(redacting: bool) -> History {
    let admin = Author::user("admin");
    let mut authorizer = ListedPolicies::new().administrator("admin");
    if redacting {
        authorizer = authorizer.redacting();
    }
    let options = Options::new().authorizer(Arc::new(authorizer));
    let history = options.open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let everybody = ["user1", "user2"];
    let change = |message: &str| history.change(&admin, message);
    let begin = change("begin with hush1")
        .add(Component::new("pg1", "group"))
        .add(policy("pg1-policy", "pg1", &everybody))
        .add(Component::new("p2", "processor").inside("pg1").field("rate", 1))
        .add(Component::new("hush1", "hushed").inside("pg1").field("hushfield", "hush-a"))
        .add(policy("hush1-policy", "hush1", &["user1"]));
    begin.append().unwrap();
    change("about hush1").set("hush1", "hushfield", "hush-b").append().unwrap();
    let both = change("hush1 and p2").set("hush1", "hushfield", "hush-c").set("p2", "rate", 2);
    both.attribute("hush", "hush1").append().unwrap();
    change("p2").set("p2", "rate", 3).append().unwrap();
    change("hush1 goes").remove("hush1").append().unwrap();
    history
}

const ENTRIES: usize = 5;

fn reader(history: &History, user: &str) -> Reader {
    history.reader(&Author::user(user))
}

/// Everything that somebody is told.
fn all_of(reader: &Reader, history: &History) -> String {
    let mut told = String::new();
    for seq in 0..=history.version().seq().0 {
        told += &format!("{:?}\n", reader.at(seq).unwrap().components().unwrap());
        told += &format!("{:?}\n", reader.diff(0, seq).unwrap());
        told += &format!("{:?}\n", reader.diff(seq, At::Head).unwrap());
    }
    told += &format!("{:?}\n", reader.log().collect::<Result<Vec<_>, _>>().unwrap());
    told += &format!("{:?}\n", reader.entries(history.entries()).collect::<Result<Vec<_>, _>>().unwrap());
    told += &format!("{:?}\n", reader.trash().unwrap().collect::<Result<Vec<_>, _>>().unwrap());
    told += &format!("{:?}\n", reader.blame("hush1"));
    told += &format!("{:?}\n", reader.when("hush1", "hushfield", |value| value.is_some()).unwrap());
    told
}

#[test]
fn what_may_not_be_read_shows_nowhere() {
    let history = scene(true);
    for (user, sees) in [("user1", true), ("user2", false), ("admin", true)] {
        let told = all_of(&reader(&history, user), &history);
        assert_eq!(told.contains("hush"), sees, "{user}: {told}");
        assert!(told.contains("p2"), "{user}");
    }
    // Without an authorizer everything is shown.
    let history = Options::new().open_storage(Arc::new(MemoryStorage::new())).unwrap();
    history.change(&Author::user("a"), "m").add(Component::new("hush1", "k")).append().unwrap();
    let seen: Vec<_> = reader(&history, "a").entries(history.entries()).map(Result::unwrap).collect();
    assert!(!seen[0].is_redacted() && &*seen[0].header.message == "m");
}

#[test]
fn entries_keep_their_number_ids_and_authors_and_lose_what_speaks_of_what_is_hidden() {
    let history = scene(true);
    let entries = |user: &str| -> Vec<_> {
        reader(&history, user).entries(history.entries()).map(Result::unwrap).collect()
    };
    let (all, mine) = (entries("admin"), entries("user2"));
    assert_eq!((all.len(), mine.len()), (ENTRIES, ENTRIES));
    for (all, mine) in all.iter().zip(&mine) {
        assert_eq!((all.seq, all.id, &all.header.author), (mine.seq, mine.id, &mine.header.author));
        let (SeenBody::Change(all), SeenBody::Change(mine)) = (&all.body, &mine.body) else { panic!() };
        assert_eq!(all.len(), mine.len());
    }
    let redacted: Vec<_> = mine.iter().map(flow_history::SeenEntry::is_redacted).collect();
    assert_eq!(redacted, [true, true, true, false, true]);
    assert_eq!((&*mine[2].header.message, mine[2].header.attributes.len()), ("", 0));
    assert_eq!(&*mine[3].header.message, "p2");
    let SeenBody::Change(both) = &mine[2].body else { panic!() };
    assert!(matches!(both[0], SeenOperation::Redacted(OperationKind::Set, _)), "{both:?}");
    assert!(matches!(&both[1], SeenOperation::Whole(operation) if **operation.id() == *"p2"));
}

#[test]
fn a_condition_is_answered_by_what_may_be_seen() {
    let history = scene(true);
    let count = |user: &str, asked: flow_history::Entries| reader(&history, user).entries(asked).count();
    for (user, of_hidden, of_text, of_field, removals) in [("admin", 4, 4, 3, 1), ("user2", 0, 0, 0, 0)] {
        assert_eq!(count(user, history.entries().component("hush1")), of_hidden, "{user}");
        assert_eq!(count(user, history.entries().text("HUSH1")), of_text, "{user}");
        assert_eq!(count(user, history.entries().field("hushfield")), of_field, "{user}");
        assert_eq!(count(user, history.entries().subtree("hush1")), of_hidden, "{user}");
        assert_eq!(count(user, history.entries().kind(OperationKind::Remove)), removals, "{user}");
        assert_eq!(count(user, history.entries().component("p2")), 3, "{user}");
    }
}

#[test]
fn what_came_and_went_within_a_change_is_seen_by_who_may_see_what_it_was_inside() {
    let history = scene(true);
    let admin = Author::user("admin");
    let change = history.change(&admin, "").add(Component::new("closed", "group").inside("pg1"));
    change.add(policy("closed-policy", "closed", &["user1"])).append().unwrap();
    for group in ["pg1", "closed"] {
        let passing = history.change(&admin, "").add(Component::new("passing", "k").inside(group));
        passing.remove("passing").append().unwrap();
    }
    let redacted = |user: &str| -> Vec<bool> {
        let asked = history.entries().from(7);
        reader(&history, user).entries(asked).map(|entry| entry.unwrap().is_redacted()).collect()
    };
    assert_eq!(redacted("admin"), [false, false]);
    assert_eq!(redacted("user1"), [false, false]);
    assert_eq!(redacted("user2"), [false, true]);
}

#[test]
fn lines_and_differences_count_what_they_do_not_show() {
    let history = scene(true);
    let lines = |user: &str| -> Vec<_> { reader(&history, user).log().map(Result::unwrap).collect() };
    let (all, mine) = (lines("admin"), lines("user2"));
    for (all, mine) in all.iter().zip(&mine) {
        assert_eq!(all.difference.summary, mine.difference.summary);
        assert_eq!(all.difference.components.len(), mine.difference.components.len());
        assert_eq!(all.entry.id, mine.entry.id);
    }
    let hidden = |user: &str, before: u64, after: u64| {
        let difference = reader(&history, user).diff(before, after).unwrap();
        let is = |change: &&SeenChange| matches!(change, SeenChange::Redacted(..));
        (difference.components.len(), difference.components.iter().filter(is).count())
    };
    assert_eq!((hidden("admin", 1, 3), hidden("user2", 1, 3)), ((2, 0), (2, 1)));
    // The policies of either version hide it.
    assert_eq!((hidden("user2", 3, 5), hidden("user2", 0, 1)), ((3, 2), (5, 2)));
}

#[test]
fn what_was_removed_is_seen_by_the_last_policies_that_it_had() {
    let history = scene(true);
    let trash =
        |user: &str| -> Vec<_> { reader(&history, user).trash().unwrap().map(Result::unwrap).collect() };
    let whole = |user: &str| trash(user).iter().filter(|sight| matches!(sight, Sight::Whole(_))).count();
    assert_eq!((trash("user2").len(), whole("user2"), whole("user1"), whole("admin")), (2, 0, 2, 2));
}

#[test]
fn a_field_and_its_past_are_shown_by_the_policies_of_each_version() {
    let history = scene(true);
    let holds = |user: &str, wanted: &str| {
        let wanted = Value::from(wanted);
        reader(&history, user).when("hush1", "hushfield", |value| value == Some(&wanted)).unwrap().len()
    };
    assert_eq!((holds("user1", "hush-b"), holds("user2", "hush-b")), (1, 0));
    assert_eq!(reader(&history, "user2").blame("hush1").unwrap().map(drop), None, "it is gone");
    let admin = Author::user("admin");
    history
        .change(&admin, "")
        .add(Component::new("hush1", "k").inside("pg1").field("a", 1))
        .append()
        .unwrap();
    let open = |user: &str| matches!(reader(&history, user).blame("hush1").unwrap(), Some(Sight::Whole(_)));
    // Another component of that id, with the policies of the group.
    assert!(open("user1") && open("user2"));
    history.change(&admin, "").add(policy("hush1-policy", "hush1", &["user1"])).append().unwrap();
    assert!(open("user1") && !open("user2"));
    // Before the policy came it could be read, and can be.
    assert!(matches!(
        reader(&history, "user2").at(6).unwrap().component("hush1").unwrap(),
        Some(Sight::Whole(_))
    ));
}

#[test]
fn where_policies_refuse_a_single_answer_is_refused_and_the_rest_is_redacted() {
    let history = scene(false);
    let user2 = reader(&history, "user2");
    assert!(matches!(user2.at(1).unwrap().component("hush1"), Err(Error::Denied { .. })));
    assert_eq!(user2.log().count(), ENTRIES);
    let told = format!("{:?}", user2.log().collect::<Result<Vec<_>, _>>().unwrap());
    assert!(!told.contains("hush"), "{told}");
}

/// What user2 may read is inside what they may not, wired to it and refers to it; some of that goes, and comes back.
fn entangled() -> History {
    let admin = Author::user("admin");
    let options = Options::new();
    let authorizer = ListedPolicies::new().administrator("admin").redacting();
    let options = options.authorizer(Arc::new(authorizer));
    let history = options.open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let change = |message: &str| history.change(&admin, message);
    let to = |id: &str| Value::Ref(id.into());
    let begin = change("begin")
        .add(Component::new("hush-group", "group"))
        .add(policy("hush-policy", "hush-group", &["user1"]))
        .add(Component::new("open", "processor").inside("hush-group").field("rate", 1))
        .add(policy("open-policy", "open", &["user1", "user2"]))
        .add(Component::new("p2", "processor"))
        .add(Component::new("wire", "wire").field("from", to("p2")).field("to", to("hush-group")));
    begin.append().unwrap();
    let refers = Value::List(vec![to("hush-group"), to("p2"), "text".into()]);
    change("p2 refers to hush-group").set("p2", "refers", refers).append().unwrap();
    change("p2 goes into hush-group")
        .shift("p2", Some("hush-group".into()), Order::default())
        .append()
        .unwrap();
    change("and out again").shift("p2", None, Order::default()).append().unwrap();
    change("open").set("open", "rate", 2).append().unwrap();
    change("hush-group goes").shift("open", None, Order::default()).remove("hush-group").append().unwrap();
    history
}

#[test]
fn what_may_be_read_names_what_may_not_by_its_stub() {
    let history = entangled();
    for (user, sees) in [("user1", true), ("user2", false), ("admin", true)] {
        let mut told = all_of(&reader(&history, user), &history);
        told += &format!("{:?}", reader(&history, user).blame("p2").unwrap());
        assert_eq!(told.contains("hush"), sees, "{user}: {told}");
        assert!(told.contains("p2") && told.contains("open"), "{user}");
    }
    let user2 = reader(&history, "user2");
    let whole = |at: u64, id: &str| match user2.at(at).unwrap().component(id).unwrap() {
        Some(Sight::Whole(component)) => component,
        other => panic!("{other:?}"),
    };
    // What it is inside of is the stub that is counted, and wires lead to the same.
    let stubs: Vec<ComponentId> = user2
        .at(1)
        .unwrap()
        .components()
        .unwrap()
        .into_iter()
        .filter_map(|sight| if let Sight::Redacted(stub) = sight { Some(stub.id()) } else { None })
        .collect();
    assert_eq!(stubs.len(), 2);
    let parent = whole(1, "open").parent.clone().unwrap();
    assert!(stubs.contains(&parent));
    assert_eq!(whole(1, "wire").get("to"), Some(&Value::Ref(parent.clone())));
    let refers = |at: u64| match whole(at, "p2").get("refers").cloned() {
        Some(Value::List(list)) => list,
        other => panic!("{other:?}"),
    };
    assert_eq!(refers(2), [Value::Ref(parent.clone()), Value::Ref("p2".into()), "text".into()]);
    // Nor does a reference say more to what is gone.
    assert_eq!(refers(6)[0], Value::Ref(parent));
    // An entry that names it says nothing that speaks of it; and nothing tells what is inside of it.
    let redacted = |user: &str| -> Vec<bool> {
        let entries = reader(&history, user).entries(history.entries());
        entries.map(|entry| entry.unwrap().is_redacted()).collect()
    };
    assert_eq!(redacted("user2"), [true, true, true, true, false, true]);
    assert_eq!(redacted("user1"), [false; 6]);
    let inside = |user: &str| reader(&history, user).entries(history.entries().subtree("hush-group")).count();
    assert_eq!((inside("user1"), inside("user2")), (5, 0));
}

/// The scene for plans: user2 may write all of it, and read but some.
fn undone(acts: &[&str]) -> History {
    let admin = Author::user("admin");
    let authorizer = ListedPolicies::new().administrator("admin").redacting();
    let options = Options::new().authorizer(Arc::new(authorizer));
    let history = options.open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let change = |message: &str| history.change(&admin, message);
    let to = |id: &str| Value::Ref(id.into());
    let begin = change("begin")
        .add(Component::new("hush1", "hushed").field("rate", "hush-a"))
        .add(policy("hush1-policy", "hush1", &["user1"]))
        .add(Component::new("p2", "processor").field("rate", 1).field("refers", to("p2")))
        .add(policy("p2-policy", "p2", &["user1", "user2"]))
        .add(Component::new("p3", "processor"));
    begin.append().unwrap();
    let both = change("both").set("hush1", "rate", "hush-b").set("p2", "rate", 2);
    both.set("p2", "refers", to("hush1")).append().unwrap();
    for act in acts {
        let act = match *act {
            "set" => change("").set("hush1", "rate", "hush-c").set("p2", "refers", to("p3")),
            "remove" => change("").remove("hush1"),
            "wire" => {
                change("").add(Component::new("hush-wire", "wire").inside("hush1").field("to", to("p2")))
            }
            "inside" => change("").shift("p2", Some("hush1".into()), Order::default()),
            "p3" => change("").remove("p3"),
            other => panic!("{other}"),
        };
        act.intent(Intent::System).append().unwrap();
    }
    history
}

#[test]
fn a_plan_its_conflicts_and_its_refusal_name_nothing_that_may_not_be_read() {
    let version = |history: &History| history.version();
    let mut said = std::collections::BTreeSet::new();
    for acts in [&[][..], &["set"], &["remove"], &["wire"], &["inside"], &["inside", "set"], &["p3"]] {
        let history = undone(acts);
        let wishes = [
            Proposal::undo(Scope::Flow),
            Proposal::revert([flow_history::Seq(1)]),
            Proposal::restore(Part::Flow, 1),
            Proposal::restore(Part::Component("hush1".into()), 1),
        ];
        for (at, wish) in wishes.into_iter().enumerate() {
            for mode in [Mode::Strict, Mode::Partial, Mode::Cascade, Mode::Force] {
                let plan = history.plan(&Author::user("admin"), wish.clone().mode(mode)).unwrap();
                let before = version(&history);
                let seen = |user: &str| reader(&history, user).plan(&plan).unwrap();
                let (all, mine) = (seen("admin"), seen("user2"));
                assert_eq!(format!("{all:?}").contains("hush"), at < 3 || !plan.operations().is_empty());
                assert!(!format!("{mine:?}").contains("hush"), "{acts:?}: {mine:?}");
                // As many of everything, of the same kinds.
                let kinds = |plan: &flow_history::SeenPlan| -> Vec<_> {
                    let kind = |operation: &SeenOperation| match operation {
                        SeenOperation::Whole(operation) => OperationKind::of(operation),
                        SeenOperation::Redacted(kind, _) => *kind,
                        other => panic!("{other:?}"),
                    };
                    plan.operations.iter().map(kind).collect()
                };
                assert_eq!(kinds(&all), kinds(&mine));
                let names = |plan: &flow_history::SeenPlan| -> Vec<_> {
                    plan.conflicts
                        .iter()
                        .map(|c| (c.obstacle.name(), c.resolved, c.obstacle.resolutions()))
                        .collect()
                };
                assert_eq!(names(&all), names(&mine));
                said.extend(mine.conflicts.iter().map(ToString::to_string));
                assert_eq!(
                    (all.dependents.len(), all.rights.len()),
                    (mine.dependents.len(), mine.rights.len())
                );
                assert_eq!(all.taken, mine.taken);
                if plan.is_clear() {
                    continue;
                }
                let refused = |user: &str| {
                    let error = plan.clone().finish().unwrap_err();
                    let error = reader(&history, user).refusal(error).unwrap();
                    format!("{error:?} {error}")
                };
                assert!(!refused("user2").contains("hush"), "{}", refused("user2"));
                assert!(refused("admin").contains("hush"), "{}", refused("admin"));
                assert_eq!(version(&history), before);
            }
        }
    }
    // What is seen of conflicts is not nothing.
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    assert!(said.contains(&"\"(redacted 0)\": FieldChangedSince"), "{said:?}");
    assert!(said.contains(&"\"p2\" was moved into \"(redacted 0)\" since"), "{said:?}");
}

#[test]
fn who_may_not_read_the_policy_that_denies_is_told_that_there_is_one() {
    let admin = Author::user("admin");
    let authorizer = ListedPolicies::new().administrator("admin").redacting();
    let options = Options::new().authorizer(Arc::new(authorizer));
    let history = options.open_storage(Arc::new(MemoryStorage::new())).unwrap();
    let only_user1 = Value::List(vec!["user1".into()]);
    let rule = policy("hush1-policy", "hush1", &["user1"]).field("write", only_user1.clone());
    let begin = history.change(&admin, "").add(Component::new("hush1", "hushed")).add(rule);
    begin.add(Component::new("p2", "processor")).append().unwrap();
    history.change(&Author::user("user1"), "").remove("hush1").set("p2", "rate", 2).append().unwrap();
    let user2 = Author::user("user2");
    let error = || history.undo(Scope::Flow, &user2).unwrap_err();
    let says = |user: &str| reader(&history, user).refusal(error()).unwrap().to_string();
    assert!(says("user1").contains("the policy hush1-policy of hush1"), "{}", says("user1"));
    assert_eq!(says("user2"), "user2 may not write (redacted 0): by a policy that may not be read");
    let plan = history.plan(&user2, Proposal::undo(Scope::Flow).mode(Mode::Partial)).unwrap();
    let seen = reader(&history, "user2").plan(&plan).unwrap();
    assert!(!format!("{seen:?}").contains("hush") && !seen.denials.is_empty(), "{seen:?}");
    // What was left out stands in the entry, for whom it is for.
    let applied = plan.finish().unwrap();
    let seen = reader(&history, "user2").applied(&applied).unwrap();
    assert!(
        !format!("{seen:?}").contains("hush") && seen.conflicts.len() == applied.conflicts.len(),
        "{seen:?}"
    );
    let entry = |user: &str| {
        let entry = history.log().last().unwrap().unwrap().entry;
        reader(&history, user).entry(entry).unwrap()
    };
    assert!(format!("{:?}", entry("user1")).contains("hush1: Denied"), "{:?}", entry("user1"));
    assert!(!format!("{:?}", entry("user2")).contains("hush"), "{:?}", entry("user2"));
}
