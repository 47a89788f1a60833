//! Goal: whoever reads as somebody sees of what they may not read that it is there, and nothing else: in a version, an
//! entry, the log, a difference, what was removed, who gave a field its value and when it held what.
//!
//! Method: a group in which p1 is for user1 alone. Everything that user2 can ask is printed and searched for p1 and its
//! values; counts and IDs are compared with those that an administrator sees.

use std::sync::Arc;

use flow_history::{
    At, Author, Component, Error, History, ListedPolicies, MemoryStorage, OperationKind, Options,
    POLICY_KIND, Reader, SeenBody, SeenChange, SeenOperation, Sight, Value,
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
    for seq in 0..=ENTRIES as u64 {
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
