//! Goal: who may undo what, by the policies that stood just before the change and what stands now; and who may see it.
//!
//! Method: the scenario that started it: user1 alone may touch p1 in the group pg1, which user2 may write too; user1
//! removes p1, policies and all. Then everybody asks for it back.

use std::sync::Arc;

use flow_history::{
    Action, Author, Component, Error, History, ListedPolicies, MemoryStorage, Mode, Options, POLICY_KIND,
    Proposal, Scope, Sight, Value,
};

fn names(list: &[&str]) -> Value {
    Value::List(list.iter().map(|name| Value::from(*name)).collect())
}

fn policy(id: &str, of: &str, fields: &[(&str, &[&str])]) -> Component {
    let policy = Component::new(id, POLICY_KIND).inside(of);
    fields.iter().fold(policy, |policy, (field, list)| policy.field(*field, names(list)))
}

fn authorizer() -> ListedPolicies {
    ListedPolicies::new().administrator("admin")
}

struct Scene {
    storage: MemoryStorage,
    history: History,
}

impl Scene {
    /// The group and the processor, each with a policy as given; `None` where it has none.
    fn new(of_group: Option<Component>, of_p1: Option<Component>) -> Self {
        let storage = MemoryStorage::new();
        let history = Options::new()
            .authorizer(Arc::new(authorizer()))
            .open_storage(Arc::new(storage.clone()))
            .unwrap();
        let mut change = history
            .change(&Author::user("admin"), "begin")
            .add(Component::new("pg1", "group"))
            .add(Component::new("p1", "processor").inside("pg1").field("rate", 80));
        for policy in [of_group, of_p1].into_iter().flatten() {
            change = change.add(policy);
        }
        change.append().unwrap();
        Self { storage, history }
    }

    fn named() -> Self {
        Self::new(
            Some(policy(
                "pg1-policy",
                "pg1",
                &[("write", &["user1", "user2"]), ("read", &["user1", "user2"])],
            )),
            Some(policy("p1-policy", "p1", &[("write", &["user1"]), ("read", &["user1"])])),
        )
    }

    fn remove_p1(&self) {
        self.history.change(&Author::user("user1"), "remove p1").remove("p1").append().unwrap();
    }

    fn with(self, authorizer: ListedPolicies) -> Self {
        self.history.close().unwrap();
        let options = Options::new().authorizer(Arc::new(authorizer));
        let history = options.open_storage(Arc::new(self.storage.clone())).unwrap();
        Self { history, ..self }
    }

    fn denied(&self, user: &str) -> String {
        let before = self.history.version();
        let error = self.history.undo(Scope::Flow, &Author::user(user)).unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        assert_eq!(self.history.version(), before, "something was written");
        error.to_string()
    }

    fn allowed(&self, user: &str) {
        let view = self.history.at(self.history.version()).unwrap();
        let before = view.state_hash().unwrap();
        let then = view.seq().previous().unwrap();
        self.history.undo(Scope::Flow, &Author::user(user)).unwrap();
        let now = self.history.at(self.history.version()).unwrap().state_hash().unwrap();
        assert_eq!(now, self.history.at(then).unwrap().state_hash().unwrap());
        self.history.redo(Scope::Flow, &Author::user("admin")).unwrap();
        assert_eq!(self.history.at(self.history.version()).unwrap().state_hash().unwrap(), before);
    }
}

#[test]
fn who_could_not_have_removed_it_may_not_bring_it_back() {
    let scene = Scene::named();
    scene.remove_p1();
    assert_eq!(
        scene.denied("user2"),
        "user2 may not write p1: the policy p1-policy of p1, as of version 1, names user1"
    );
    // Not for their own undo either, nor by looking the other way.
    for mode in [Mode::Partial, Mode::Cascade, Mode::Force] {
        let wish = Proposal::undo(Scope::Author("user1".into())).mode(mode);
        let error = scene.history.apply(&Author::user("user2"), wish).unwrap_err();
        assert!(matches!(error, Error::Denied { .. } | Error::Conflicts { .. }), "{mode:?}: {error:?}");
    }
    let seq = scene.history.version().seq();
    let error = scene.history.revert([seq], &Author::user("user2")).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    let part = flow_history::Part::Component("p1".into());
    let error = scene.history.restore(part, 1, &Author::user("user2")).unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_eq!(scene.history.version().seq(), seq);
}

#[test]
fn who_removed_it_may_bring_it_back_and_so_may_an_administrator() {
    let scene = Scene::named();
    scene.remove_p1();
    scene.allowed("user1");
    scene.allowed("admin");
    let back = scene.history.undo(Scope::Flow, &Author::user("user1")).unwrap();
    let view = scene.history.at(back.version).unwrap();
    assert!(view.component("p1").unwrap().is_some() && view.component("p1-policy").unwrap().is_some());
}

#[test]
fn who_lost_the_right_since_may_not() {
    let scene = Scene::named();
    scene.remove_p1();
    let taken_away = scene.history.change(&Author::user("admin"), "user1 left the team");
    let taken_away = taken_away.set("pg1-policy", "write", names(&["user2"]));
    taken_away.intent(flow_history::Intent::System).append().unwrap();
    assert_eq!(
        scene.denied("user1"),
        "user1 may not write pg1: the policy pg1-policy of pg1, as of version 3, names user2"
    );
    let scene = scene.with(authorizer().without("user1"));
    assert!(scene.denied("user1").contains("there is no user1 any more"));
}

#[test]
fn by_an_inherited_policy() {
    let scene = Scene::new(Some(policy("pg1-policy", "pg1", &[("write", &["user1"])])), None);
    scene.remove_p1();
    assert_eq!(
        scene.denied("user2"),
        "user2 may not write p1: the policy pg1-policy inherited from pg1, as of version 1, names user1"
    );
    scene.allowed("user1");
}

#[test]
fn by_a_policy_that_overrides_the_inherited_one() {
    let of_group = policy("pg1-policy", "pg1", &[("write", &["user1", "user2", "user3"])]);
    let scene = Scene::new(Some(of_group), Some(policy("p1-policy", "p1", &[("write", &["group:owners"])])));
    let scene = scene.with(authorizer().member("owners", "user2"));
    scene.remove_p1();
    assert!(scene.denied("user1").contains("p1-policy of p1"), "named outside, not inside");
    scene.allowed("user2");
}

#[test]
fn by_a_policy_that_was_deleted_since() {
    let scene = Scene::named();
    scene.history.change(&Author::user("user1"), "slow down").set("p1", "rate", 8).append().unwrap();
    let deleted = scene.history.change(&Author::user("admin"), "").remove("p1-policy");
    deleted.intent(flow_history::Intent::System).append().unwrap();
    // When user1 slowed it down, the policy stood.
    assert!(scene.denied("user2").contains("as of version 1, names user1"));
    scene.allowed_after("user1");
    // And to bring the policy itself back is to manage policies.
    let managed = Scene::new(
        Some(policy("pg1-policy", "pg1", &[("manage", &["user3"])])),
        Some(policy("p1-policy", "p1", &[("write", &["user1"])])),
    );
    managed.history.change(&Author::user("user3"), "").remove("p1-policy").append().unwrap();
    assert!(managed.denied("user1").starts_with("user1 may not manage p1"));
    managed.allowed("user3");
}

/// Whoever may touch p1, and by whichever policy: one of its own, that of its group, or one that was deleted since.
#[test]
fn everybody_gets_the_same_answer_by_every_kind_of_policy() {
    let group = |write: &[&str]| policy("pg1-policy", "pg1", &[("write", write), ("manage", &["admin"])]);
    let own = || policy("p1-policy", "p1", &[("write", &["user1", "carol"])]);
    for kind in ["overridden", "inherited", "deleted"] {
        let scene = || match kind {
            "overridden" => Scene::new(Some(group(&["user1", "user2"])), Some(own())),
            "inherited" => Scene::new(Some(group(&["user1", "carol"])), None),
            _ => Scene::new(Some(group(&["user1"])), Some(own())),
        };
        let removed = || {
            let scene = scene();
            scene.history.change(&Author::user("user1"), "").remove("p1").append().unwrap();
            if kind == "deleted" {
                let gone = scene.history.change(&Author::user("admin"), "").remove("pg1-policy");
                gone.intent(flow_history::Intent::System).append().unwrap();
            }
            scene
        };
        let by = if kind == "inherited" { "pg1-policy inherited from pg1" } else { "p1-policy of p1" };
        let reason = removed().denied("user2");
        assert!(reason.contains(by) && reason.contains("user2 may not write p1"), "{kind}: {reason}");
        assert!(reason.contains("as of version 1"), "{kind}: {reason}");
        // Where no policy is left around p1, whoever could remove it can bring it back.
        for user in ["user1", "admin"] {
            let scene = removed();
            let back = scene.history.undo(Scope::Flow, &Author::user(user)).unwrap();
            let view = scene.history.at(back.version).unwrap();
            let rate = view.component("p1").unwrap().unwrap().get("rate").cloned();
            assert_eq!(rate, Some(80.into()), "{kind}: {user}");
        }
        let without = |user: &str| removed().with(authorizer().without(user));
        assert!(without("user1").denied("user1").contains("there is no user1 any more"), "{kind}");
        let scene = without("carol");
        let applied = scene.history.undo(Scope::Flow, &Author::user("user1")).unwrap();
        let vanished: Vec<_> = applied.vanished.iter().map(|vanished| vanished.policy.to_string()).collect();
        // A policy that did not go with p1 is not touched by its coming back.
        let expected: &[&str] = if kind == "inherited" { &[] } else { &["p1-policy"] };
        assert_eq!(vanished, expected, "{kind}");
    }
}

impl Scene {
    fn allowed_after(&self, user: &str) {
        let applied = self.history.undo(Scope::Flow, &Author::user(user)).unwrap();
        let view = self.history.at(applied.version).unwrap();
        assert_eq!(view.component("p1").unwrap().unwrap().get("rate"), Some(&80.into()));
    }
}

#[test]
fn a_policy_that_names_somebody_who_is_gone_comes_back_without_them_and_says_so() {
    let scene = Scene::new(
        None,
        Some(policy("p1-policy", "p1", &[("write", &["user1", "carol"]), ("read", &["carol"])])),
    );
    scene.remove_p1();
    let scene = scene.with(authorizer().without("carol"));
    let applied = scene.history.undo(Scope::Flow, &Author::user("user1")).unwrap();
    let said: Vec<String> = applied.vanished.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2);
    assert!(said[1].contains("p1-policy comes back without carol"), "{said:?}");
    let view = scene.history.at(applied.version).unwrap();
    let policy = view.component("p1-policy").unwrap().unwrap();
    assert_eq!((policy.get("write"), policy.get("read")), (Some(&names(&["user1"])), Some(&names(&[]))));
    let entry = scene.history.log().from(applied.version.seq()).next().unwrap().unwrap().entry;
    assert!(entry.header.attributes.iter().any(|(_, said)| said.contains("carol")), "{:?}", entry.header);
}

#[test]
fn in_part_what_is_allowed_is_done_and_what_is_denied_is_said() {
    let scene = Scene::named();
    let add =
        scene.history.change(&Author::user("admin"), "").add(Component::new("p2", "processor").inside("pg1"));
    add.intent(flow_history::Intent::System).append().unwrap();
    scene.history.change(&Author::user("user1"), "").remove("p1").remove("p2").append().unwrap();
    let wish = Proposal::undo(Scope::Flow).mode(Mode::Partial);
    let plan = scene.history.plan(&Author::user("user2"), wish).unwrap();
    assert_eq!(
        plan.denials().first().map(|denial| (denial.action, denial.component.as_str())),
        Some((Action::Write, "p1"))
    );
    assert!(plan.rights().iter().any(|right| right.component == "pg1" && right.as_of == plan.base().seq()));
    let applied = plan.finish().unwrap();
    let view = scene.history.at(applied.version).unwrap();
    assert!(view.component("p2").unwrap().is_some(), "this they may");
    assert!(view.component("p1").unwrap().is_none() && view.component("p1-policy").unwrap().is_none());
}

#[test]
fn what_may_not_be_read_is_a_stub_and_counts() {
    let scene = Scene::named().with(authorizer().redacting());
    let seen = |user: &str, at: u64| {
        let view = scene.history.at(at).unwrap();
        scene.history.seen_by(&Author::user(user), view)
    };
    let stubs = |user: &str, at: u64| {
        let sights = seen(user, at).components().unwrap();
        (sights.len(), sights.iter().filter(|sight| matches!(sight, Sight::Redacted(_))).count())
    };
    assert_eq!((stubs("user1", 1), stubs("user2", 1), stubs("admin", 1)), ((4, 0), (4, 2), (4, 0)));
    // By the policy of the version that is read: of what was removed, the last that it had.
    scene.remove_p1();
    assert!(matches!(seen("user2", 1).component("p1").unwrap(), Some(Sight::Redacted(_))));
    assert!(matches!(seen("user1", 1).component("p1").unwrap(), Some(Sight::Whole(_))));
    assert_eq!(stubs("user2", 2), (2, 0));
    let scene = scene.with(authorizer());
    let view = scene.history.at(1).unwrap();
    let denied = scene.history.seen_by(&Author::user("user2"), view).component("p1").unwrap_err();
    assert!(denied.to_string().starts_with("user2 may not read p1"), "{denied}");
}

#[test]
fn without_an_authorizer_everything_is_allowed() {
    let storage = Scene::named().storage;
    let history = Options::new().open_storage(Arc::new(MemoryStorage::with_files(storage.files()))).unwrap();
    let user2 = Author::user("user2");
    history.change(&user2, "").remove("p1").append().unwrap();
    history.undo(Scope::Flow, &user2).unwrap();
    let view = history.at(history.version()).unwrap();
    assert_eq!(history.seen_by(&user2, view).components().unwrap().len(), 4);
}
