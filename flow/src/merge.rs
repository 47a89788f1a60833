//! Three-way merge: what one side did, onto the other side, by component, field and key of a map.
//!
//! An undo is a merge too: the base is what the unit left, one side is what was there before it, the other is what is
//! there now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::component::END_FIELDS;
use crate::goals::{Goal, Goals, outcome, reach};
use crate::{
    Component, ComponentId, Conflict, Flow, Map, Mode, Name, Obstacle, Operation, Path, Resolution, Value,
};

/// On which terms a merge is made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Terms {
    /// What becomes of conflicts.
    pub mode: Mode,
    /// Components that may not be touched, and why.
    pub left_out: HashMap<ComponentId, Obstacle>,
    /// Under which other ids components come back.
    pub renamed: HashMap<ComponentId, ComponentId>,
}

/// What a merge comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Merged {
    /// The operations that make the other side what both want. Where a conflict is not resolved, those of them that are
    /// in no conflict.
    pub operations: Vec<Operation>,
    /// What is in the way, resolved by the mode or not.
    pub conflicts: Vec<Conflict>,
    /// Components that nobody asked for and that go, or come back, all the same, because something depends on it.
    pub dependents: Vec<ComponentId>,
}

impl Merged {
    /// Whether every conflict was resolved.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.conflicts.iter().all(|conflict| conflict.resolved.is_some())
    }
}

/// Merges two flows that go back to one: what was done from `base` to `mine`, onto `theirs`.
///
/// Edits of different fields of one component never conflict, nor do edits that say the same. O(n), a component that is
/// shared costing a comparison of pointers.
#[must_use]
pub fn merge(base: &Flow, mine: &Flow, theirs: &Flow, terms: &Terms) -> Merged {
    let differs = |id: &ComponentId| !same(base.component(id), mine.component(id));
    let ids = mine.iter().chain(base.iter()).map(|(_, component)| &component.id).filter(|id| differs(id));
    merge_among(base, mine, theirs, ids, terms)
}

/// Merges as [`merge`] does where only these components can differ between `base` and `mine`. Costs their number, whatever
/// the flows.
#[must_use]
pub fn merge_among<'i>(
    base: &Flow,
    mine: &Flow,
    theirs: &Flow,
    ids: impl IntoIterator<Item = &'i ComponentId>,
    terms: &Terms,
) -> Merged {
    let ids: BTreeSet<&ComponentId> = ids.into_iter().collect();
    let begin = |mode| Merging {
        mine,
        theirs,
        terms,
        mode,
        goals: Goals::new(),
        conflicts: Vec::new(),
        said: HashSet::new(),
        beside: BTreeSet::new(),
        brought: HashSet::new(),
        left: HashSet::new(),
    };
    let mut merging = begin(terms.mode);
    ids.iter().for_each(|id| merging.component(id, base.component(id)));
    merging.fit();
    let mut merged = merging.into_merged();
    if !merged.is_resolved() && terms.mode != Mode::Partial {
        let mut clean = begin(Mode::Partial);
        ids.iter().for_each(|id| clean.component(id, base.component(id)));
        clean.fit();
        merged.operations = clean.into_merged().operations;
    }
    merged
}

/// Whether two components are the same, looking at where they lie first.
fn same(a: Option<&Arc<Component>>, b: Option<&Arc<Component>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
        (None, None) => true,
        _ => false,
    }
}

struct Merging<'m> {
    mine: &'m Flow,
    theirs: &'m Flow,
    terms: &'m Terms,
    mode: Mode,
    goals: Goals,
    conflicts: Vec<Conflict>,
    /// Conflicts of a whole component are said once.
    said: HashSet<(ComponentId, &'static str)>,
    beside: BTreeSet<ComponentId>,
    /// What was brought back because something needs it, and what was left alone because nothing could be done about it.
    /// INVARIANT: neither goes because of something else, and what was left is not brought back, so that deciding ends.
    brought: HashSet<ComponentId>,
    left: HashSet<ComponentId>,
}

impl Merging<'_> {
    /// Says what is in the way and how the mode resolves it.
    fn conflict(&mut self, id: &ComponentId, obstacle: Obstacle) -> Option<Resolution> {
        let resolved = obstacle.resolved_by(self.mode);
        let name = obstacle.name();
        if name == "FieldChangedSince" || self.said.insert((id.clone(), name)) {
            self.conflicts.push(Conflict { id: id.clone(), obstacle, resolved });
        }
        resolved
    }

    /// Decides what becomes of one component, as if there were no others.
    fn component(&mut self, id: &ComponentId, base: Option<&Arc<Component>>) {
        let (mine, theirs) = (self.mine.component(id), self.theirs.component(id));
        if same(base, mine) {
            return;
        }
        if let (None, Some(mine), Some(other)) = (base, mine, self.terms.renamed.get(id)) {
            if let Some(taken) = self.theirs.component(other) {
                self.conflict(other, Obstacle::IdTaken { kind: taken.kind.clone() });
            } else {
                self.goals
                    .insert(other.clone(), Goal::is(Component { id: other.clone(), ..(**mine).clone() }));
            }
            return;
        }
        if same(theirs, mine) {
            return;
        }
        if same(theirs, base) {
            self.goals.insert(id.clone(), Goal::as_in(self.mine, id));
            return;
        }
        let bring = |resolved: Option<Resolution>| {
            matches!(resolved, Some(Resolution::Overwrite | Resolution::BringBack))
        };
        match (base, mine, theirs) {
            (None, Some(_), Some(theirs))
                if bring(self.conflict(id, Obstacle::IdTaken { kind: theirs.kind.clone() })) =>
            {
                self.goals.insert(id.clone(), Goal::as_in(self.mine, id));
            }
            (Some(_), Some(_), None) if bring(self.conflict(id, Obstacle::TargetMissing)) => {
                self.goals.insert(id.clone(), Goal::as_in(self.mine, id));
            }
            (Some(base), None, Some(theirs)) => self.removal(id, base, theirs),
            (Some(base), Some(mine), Some(theirs)) => self.edit(id, base, mine, theirs),
            _ => {}
        }
    }

    /// One side removed what the other changed.
    fn removal(&mut self, id: &ComponentId, base: &Component, theirs: &Component) {
        let mut goes = true;
        if base.kind != theirs.kind {
            let obstacle = Obstacle::KindChanged { left: base.kind.clone(), now: theirs.kind.clone() };
            goes &= self.conflict(id, obstacle) == Some(Resolution::Overwrite);
        }
        if base.parent != theirs.parent {
            let (left, now) = (base.parent.clone(), theirs.parent.clone());
            let obstacle = Obstacle::MovedSince { left, now, wanted: None };
            goes &= self.conflict(id, obstacle) == Some(Resolution::Overwrite);
        }
        for field in changed_keys(&base.fields, &theirs.fields) {
            let obstacle = Obstacle::FieldChangedSince {
                path: Path::field(&field),
                left: base.get(&field).cloned(),
                now: theirs.get(&field).cloned(),
                wanted: None,
            };
            goes &= self.conflict(id, obstacle) == Some(Resolution::Overwrite);
        }
        if goes {
            self.goals.insert(id.clone(), Goal::gone());
        }
    }

    /// Both sides changed it.
    fn edit(&mut self, id: &ComponentId, base: &Component, mine: &Component, theirs: &Component) {
        if base.kind != theirs.kind {
            let obstacle = Obstacle::KindChanged { left: base.kind.clone(), now: theirs.kind.clone() };
            if self.conflict(id, obstacle) == Some(Resolution::Overwrite) {
                self.goals.insert(id.clone(), Goal::as_in(self.mine, id));
            }
            return;
        }
        let mut merged = theirs.clone();
        merged.kind = mine.kind.clone();
        if mine.parent != base.parent && theirs.parent != mine.parent {
            let overwrite = theirs.parent == base.parent || {
                let (left, now) = (base.parent.clone(), theirs.parent.clone());
                let obstacle = Obstacle::MovedSince { left, now, wanted: mine.parent.clone() };
                self.conflict(id, obstacle) == Some(Resolution::Overwrite)
            };
            if overwrite {
                merged.parent = mine.parent.clone();
            }
        }
        // Where both gave it another place among the others, it stays at theirs: any place is as good.
        if theirs.order == base.order {
            merged.order = mine.order.clone();
        }
        let mut path = Vec::new();
        merged.fields =
            merge_maps((&base.fields, &mine.fields, &theirs.fields), &mut path, &mut |path, values| {
                let Some((field, steps)) = path.split_first() else { return false };
                let [left, wanted, now] = values.map(Option::<&Value>::cloned);
                let path = steps.iter().fold(Path::field(field), Path::key);
                let obstacle = Obstacle::FieldChangedSince { path, left, now, wanted };
                self.conflict(id, obstacle) == Some(Resolution::Overwrite)
            });
        if merged != *theirs {
            self.goals.insert(id.clone(), Goal::is(merged));
        }
    }

    /// Makes the goals fit together and fit what stays, until nothing is in the way or everything in the way was said.
    fn fit(&mut self) {
        self.rename();
        loop {
            let mut changed = false;
            let ids: Vec<ComponentId> = self.goals.keys().cloned().collect();
            for id in ids {
                let Some(goal) = self.goals.get(&id).cloned() else { continue };
                if let Some(obstacle) = self.terms.left_out.get(&id)
                    && !same(self.theirs.component(&id), goal.component.as_ref())
                {
                    if self.conflict(&id, obstacle.clone()) == Some(Resolution::Skip) {
                        self.goals.remove(&id);
                        changed = true;
                    }
                    continue;
                }
                if let Some(child) = self.child_left_out(&id, goal.component.as_deref()) {
                    let obstacle = self.terms.left_out.get(&child).cloned();
                    if let Some(obstacle) = obstacle
                        && self.conflict(&child, obstacle) == Some(Resolution::Skip)
                    {
                        self.goals.remove(&id);
                        changed = true;
                    }
                    continue;
                }
                changed |= match goal.component {
                    None => self.fit_removal(&id),
                    Some(wanted) => self.fit_place(&id, &wanted) || self.fit_ends(&id, &wanted),
                };
            }
            if !changed {
                return;
            }
        }
    }

    /// A component that may not be touched and would have to leave, if only for a moment, what contains it.
    fn child_left_out(&self, id: &ComponentId, wanted: Option<&Component>) -> Option<ComponentId> {
        let held = self.theirs.component(id)?;
        if self.terms.left_out.is_empty() || wanted.is_some_and(|wanted| wanted.kind == held.kind) {
            return None;
        }
        let children = self.theirs.children(id);
        children.iter().map(|child| &child.id).find(|child| self.terms.left_out.contains_key(*child)).cloned()
    }

    /// What stays inside, or attached to, something that goes.
    fn fit_removal(&mut self, id: &ComponentId) -> bool {
        let stays = |component: &&Arc<Component>| outcome(self.theirs, &self.goals, &component.id).is_some();
        let inside = self.theirs.children(id);
        let inside = inside.iter().filter(stays).filter(|child| {
            outcome(self.theirs, &self.goals, &child.id)
                .is_some_and(|child| child.parent.as_ref() == Some(id))
        });
        let was_loose = |wire: &Arc<Component>| {
            self.mine.component(&wire.id).is_some_and(|wire| wire.ends().any(|end| end == id))
        };
        let wires = self.theirs.attached(id).filter(stays).filter(|wire| {
            !was_loose(wire)
                && outcome(self.theirs, &self.goals, &wire.id)
                    .is_some_and(|wire| wire.ends().any(|end| end == id))
        });
        let mut dependents: Vec<ComponentId> = inside.chain(wires).map(|c| c.id.clone()).collect();
        dependents.sort_unstable();
        dependents.dedup();
        if dependents.is_empty() {
            return false;
        }
        let stays = |id: &ComponentId| self.brought.contains(id) || self.left.contains(id);
        let needed = dependents.iter().any(stays);
        match self.conflict(id, Obstacle::HasDependents { dependents: dependents.clone() }) {
            Some(Resolution::RemoveDependents) if needed => self.unresolved(id, "HasDependents"),
            Some(Resolution::RemoveDependents) => {
                for dependent in dependents {
                    self.goals.insert(dependent.clone(), Goal::gone());
                    self.beside.insert(dependent);
                }
                true
            }
            Some(_) => self.goals.remove(id).is_some(),
            None => false,
        }
    }

    /// The component that is to contain it: there, and not inside it.
    fn fit_place(&mut self, id: &ComponentId, wanted: &Component) -> bool {
        let now = self.theirs.component(id);
        let Some(parent) = &wanted.parent else { return false };
        if outcome(self.theirs, &self.goals, parent).is_none() {
            return match self.conflict(id, Obstacle::ParentMissing { parent: parent.clone() }) {
                Some(Resolution::BringBack) if self.bring_back(parent) => true,
                Some(Resolution::BringBack) => self.unresolved(id, "ParentMissing"),
                Some(_) => self.goals.remove(id).is_some(),
                None => false,
            };
        }
        if now.is_none_or(|now| now.parent.as_ref() == Some(parent)) || !self.is_cycle(id, parent) {
            return false;
        }
        match self.conflict(id, Obstacle::Cycle { parent: parent.clone() }) {
            Some(_) => {
                let parent = now.and_then(|now| now.parent.clone());
                let order = now.map(|now| now.order.clone()).unwrap_or_default();
                self.goals.insert(id.clone(), Goal::is(Component { parent, order, ..wanted.clone() }));
                true
            }
            None => false,
        }
    }

    fn is_cycle(&self, id: &ComponentId, parent: &ComponentId) -> bool {
        let mut at = Some(parent);
        for _ in 0..=self.theirs.len() + self.goals.len() {
            match at {
                Some(at) if at == id => return true,
                Some(inner) => {
                    at = outcome(self.theirs, &self.goals, inner)
                        .and_then(|component| component.parent.as_ref());
                }
                None => return false,
            }
        }
        true
    }

    /// What a wire that comes back leads from and to.
    fn fit_ends(&mut self, id: &ComponentId, wanted: &Component) -> bool {
        if self.theirs.component(id).is_some() {
            return false;
        }
        for field in END_FIELDS {
            let Some(end) = wanted.get(field).and_then(Value::as_ref_id) else { continue };
            // One that led nowhere before may do so again.
            if outcome(self.theirs, &self.goals, end).is_some() || self.mine.component(end).is_none() {
                continue;
            }
            let obstacle = Obstacle::EndpointMissing { field: field.into(), end: end.clone() };
            return match self.conflict(id, obstacle) {
                Some(Resolution::BringBack) if self.bring_back(end) => true,
                Some(Resolution::BringBack) => self.unresolved(id, "EndpointMissing"),
                Some(_) => self.goals.remove(id).is_some(),
                None => false,
            };
        }
        false
    }

    fn bring_back(&mut self, id: &ComponentId) -> bool {
        if self.mine.component(id).is_none()
            || self.left.contains(id)
            || self.goals.get(id).is_some_and(|goal| goal.component.is_some())
        {
            return false;
        }
        self.goals.insert(id.clone(), Goal::as_in(self.mine, id));
        self.brought.insert(id.clone());
        self.beside.insert(id.clone());
        true
    }

    /// The mode would resolve it, and there is nothing to do it with.
    fn unresolved(&mut self, id: &ComponentId, name: &str) -> bool {
        let skips = self.mode == Mode::Force;
        for conflict in &mut self.conflicts {
            if conflict.id == *id && conflict.obstacle.name() == name {
                conflict.resolved = skips.then_some(Resolution::Skip);
            }
        }
        self.left.insert(id.clone());
        skips && self.goals.remove(id).is_some()
    }

    /// What came back under another id is named so by what comes back with it.
    fn rename(&mut self) {
        if self.terms.renamed.is_empty() {
            return;
        }
        for goal in self.goals.values_mut() {
            let Some(component) = &mut goal.component else { continue };
            let renamed = |id: &ComponentId| self.terms.renamed.get(id).cloned();
            let parent = component.parent.as_ref().and_then(renamed);
            let ends: Vec<(&str, ComponentId)> = END_FIELDS
                .iter()
                .filter_map(|field| {
                    Some((*field, component.get(field).and_then(Value::as_ref_id).and_then(renamed)?))
                })
                .collect();
            if parent.is_none() && ends.is_empty() {
                continue;
            }
            let component = Arc::make_mut(component);
            component.parent = parent.or_else(|| component.parent.clone());
            for (field, end) in ends {
                component.fields.put(field, Value::Ref(end));
            }
        }
    }

    fn into_merged(self) -> Merged {
        let stands = |id: &ComponentId| self.goals.contains_key(id);
        Merged {
            operations: reach(self.theirs, &self.goals),
            dependents: self.beside.iter().filter(|id| stands(id)).cloned().collect(),
            conflicts: self.conflicts,
        }
    }
}

/// The keys whose values differ, in the order of the first map, then of the second.
fn changed_keys(before: &Map, after: &Map) -> Vec<Name> {
    let gone_or_other = before.iter().filter(|(key, value)| after.get(key) != Some(value));
    let new = after.iter().filter(|(key, _)| before.get(key).is_none());
    gone_or_other.chain(new).map(|(key, _)| key.clone()).collect()
}

/// Asked where all three values differ, with what is in base, mine and theirs; true where mine is to overwrite theirs.
type Ask<'a> = dyn FnMut(&[Name], [Option<&Value>; 3]) -> bool + 'a;

fn merge_maps((base, mine, theirs): (&Map, &Map, &Map), path: &mut Vec<Name>, ask: &mut Ask) -> Map {
    if base == theirs {
        return mine.clone();
    }
    let mut merged = theirs.clone();
    for key in changed_keys(base, mine) {
        let values = [base.get(&key), mine.get(&key), theirs.get(&key)];
        let [left, wanted, now] = values;
        if now == wanted {
            continue;
        }
        path.push(key.clone());
        let value = match values {
            [Some(Value::Map(base)), Some(Value::Map(mine)), Some(Value::Map(theirs))] => {
                Some(Value::Map(merge_maps((base, mine, theirs), path, ask)))
            }
            _ if now == left || ask(path, values) => wanted.cloned(),
            _ => now.cloned(),
        };
        path.pop();
        match value {
            None => drop(merged.remove(&key)),
            Some(value) if merged.get(&key).is_some() => drop(merged.put(key, value)),
            Some(value) => {
                let at = place_of(&key, mine, &merged);
                merged.place(at, key, value);
            }
        }
    }
    let order = |map: &Map| map.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    if order(base) == order(theirs) {
        // The other side left the order of keys alone, so mine stands; keys that only it has come last.
        let (kept, rest): (Vec<_>, Vec<_>) = merged.iter().partition(|(key, _)| mine.get(key).is_some());
        let in_order = mine.iter().filter_map(|(key, _)| kept.iter().find(|(other, _)| *other == key));
        return in_order.chain(&rest).map(|(key, value)| ((*key).clone(), (*value).clone())).collect();
    }
    merged
}

/// Where a key that comes back belongs: behind the nearest of those that stood before it.
fn place_of(key: &Name, mine: &Map, merged: &Map) -> usize {
    let before = mine.iter().take_while(|(other, _)| *other != key).collect::<Vec<_>>();
    before.iter().rev().find_map(|(other, _)| merged.position(other)).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{Terms, merge};
    use crate::{Component, Flow, Mode, Obstacle, Operation, Resolution, Value};

    fn flow(operations: &[Operation]) -> Flow {
        let mut flow = Flow::new();
        flow.apply_all(operations).unwrap();
        flow
    }

    fn pump() -> Flow {
        flow(&[
            Operation::add(Component::new("group", "group")),
            Operation::add(
                Component::new("pump", "processor").inside("group").field("rate", 80).field("x", 1),
            ),
        ])
    }

    fn with(base: &Flow, operations: &[Operation]) -> Flow {
        let mut flow = base.clone();
        flow.apply_all(operations).unwrap();
        flow
    }

    /// Merges, and checks that the operations fit.
    fn merged(
        base: &Flow,
        mine: &Flow,
        theirs: &Flow,
        mode: Mode,
    ) -> (Flow, Vec<(&'static str, Option<Resolution>)>) {
        let terms = Terms { mode, ..Terms::default() };
        let merged = merge(base, mine, theirs, &terms);
        let said = merged.conflicts.iter().map(|c| (c.obstacle.name(), c.resolved)).collect();
        (with(theirs, &merged.operations), said)
    }

    #[test]
    fn edits_of_different_fields_never_conflict() {
        let base = pump();
        let mine = with(&base, &[Operation::set("pump", "rate", 8)]);
        let theirs = with(&base, &[Operation::set("pump", "x", 2), Operation::set("pump", "y", 3)]);
        let (both, conflicts) = merged(&base, &mine, &theirs, Mode::Strict);
        assert_eq!(conflicts, []);
        assert_eq!(both, with(&theirs, &[Operation::set("pump", "rate", 8)]));
        assert_eq!(merged(&base, &base, &theirs, Mode::Strict).0, theirs);
        assert_eq!(merged(&base, &mine, &base, Mode::Strict).0, mine);
        assert_eq!(
            merged(&base, &mine, &mine, Mode::Strict),
            (mine.clone(), vec![]),
            "the same on both sides"
        );
    }

    #[test]
    fn keys_of_one_map_are_merged_one_by_one_and_lists_whole() {
        let map = |a: i64, b: i64| Value::Map([("a", a), ("b", b)].into_iter().collect());
        let at = |a, b| with(&pump(), &[Operation::set("pump", "env", map(a, b))]);
        let (both, conflicts) = merged(&at(1, 1), &at(2, 1), &at(1, 3), Mode::Strict);
        assert_eq!((both, conflicts), (at(2, 3), vec![]));
        let (_, conflicts) = merged(&at(1, 1), &at(2, 1), &at(3, 3), Mode::Strict);
        assert_eq!(conflicts, [("FieldChangedSince", None)]);
        let list = |at: i32| with(&pump(), &[Operation::set("pump", "list", vec![1, at])]);
        assert_eq!(merged(&list(1), &list(2), &list(3), Mode::Strict).1, [("FieldChangedSince", None)]);
    }

    #[test]
    fn each_mode_resolves_what_it_says() {
        let base = pump();
        let mine = with(&base, &[Operation::set("pump", "rate", 8), Operation::set("pump", "x", 2)]);
        let theirs = with(&base, &[Operation::set("pump", "rate", 9)]);
        let half = with(&theirs, &[Operation::set("pump", "x", 2)]);
        let field = |resolved| vec![("FieldChangedSince", resolved)];
        assert_eq!(merged(&base, &mine, &theirs, Mode::Strict), (half.clone(), field(None)));
        assert_eq!(
            merged(&base, &mine, &theirs, Mode::Partial),
            (half.clone(), field(Some(Resolution::Keep)))
        );
        assert_eq!(merged(&base, &mine, &theirs, Mode::Cascade), (half, field(None)));
        assert_eq!(merged(&base, &mine, &theirs, Mode::Force), (mine, field(Some(Resolution::Overwrite))));
    }

    #[test]
    fn what_is_missing_comes_back_with_whatever_contained_it() {
        let before = pump();
        let base = with(&before, &[Operation::remove("pump")]);
        let theirs = with(&base, &[Operation::remove("group")]);
        let (left, conflicts) = merged(&base, &before, &theirs, Mode::Strict);
        assert_eq!((left, conflicts), (theirs.clone(), vec![("ParentMissing", None)]));
        assert_eq!(merged(&base, &before, &theirs, Mode::Partial).0, theirs);
        assert_eq!(merged(&base, &before, &theirs, Mode::Cascade).0, before);
        let taken = with(&base, &[Operation::add(Component::new("pump", "label"))]);
        assert_eq!(merged(&base, &before, &taken, Mode::Strict).1, [("IdTaken", None)]);
        assert_eq!(merged(&base, &before, &taken, Mode::Force).0, before);
        let mut terms = Terms::default();
        terms.renamed.insert("pump".into(), "pump-2".into());
        let merged = merge(&base, &before, &taken, &terms);
        assert!(merged.is_resolved());
        let both = with(&taken, &merged.operations);
        assert_eq!(both.component("pump-2").unwrap().get("rate"), Some(&80.into()));
        assert_eq!(both.component("pump").unwrap().kind, "label");
    }

    #[test]
    fn what_depends_on_something_is_named_and_goes_with_it_in_a_cascade() {
        let before = Flow::new();
        let base = flow(&[Operation::add(Component::new("group", "group"))]);
        let wire = Component::new("wire", "wire").field("from", Value::Ref("pump".into()));
        let theirs = with(&pump(), &[Operation::add(wire.field("to", Value::Ref("group".into())))]);
        let terms = |mode| Terms { mode, ..Terms::default() };
        let strict = merge(&base, &before, &theirs, &terms(Mode::Strict));
        assert!(strict.operations.is_empty());
        match &strict.conflicts[0].obstacle {
            Obstacle::HasDependents { dependents } => assert_eq!(*dependents, ["pump", "wire"]),
            other => panic!("{other:?}"),
        }
        let cascade = merge(&base, &before, &theirs, &terms(Mode::Cascade));
        assert!(cascade.is_resolved());
        assert_eq!(with(&theirs, &cascade.operations), Flow::new());
        assert_eq!(cascade.dependents, ["pump", "wire"]);
    }

    #[test]
    fn what_goes_with_one_thing_and_is_needed_by_another_stays() {
        let mine = flow(&[
            Operation::add(Component::new("end", "processor")),
            Operation::add(Component::new("wire", "wire").field("from", Value::Ref("end".into()))),
            Operation::add(Component::new("note", "note").inside("wire")),
        ]);
        let base =
            with(&mine, &[Operation::add(Component::new("group", "group")), Operation::remove("note")]);
        let into_group = Operation::shift("end", Some("group".into()), crate::Order::default());
        let theirs = with(&base, &[into_group, Operation::remove("wire")]);
        // The group goes, and what is inside it; the note needs its wire, and that its end.
        let (both, _) = merged(&base, &mine, &theirs, Mode::Force);
        assert_eq!(both, mine);
    }

    #[test]
    fn what_is_needed_where_it_cannot_be_is_left_and_deciding_ends() {
        let inside = |id: &str, parent: &str| Component::new(id, "group").inside(parent);
        let mine = flow(&[
            Operation::add(Component::new("outer", "group")),
            Operation::add(inside("end", "outer")),
            Operation::add(Component::new("wire", "wire").field("from", Value::Ref("end".into()))),
        ]);
        let base = with(&mine, &[Operation::add(Component::new("new", "group")), Operation::remove("wire")]);
        // By now what contained the end is inside it.
        let shift =
            |id: &str, parent: &str| Operation::shift(id, Some(parent.into()), crate::Order::default());
        let theirs = with(&base, &[shift("end", "new"), shift("outer", "end")]);
        for mode in [Mode::Force, Mode::Cascade, Mode::Partial, Mode::Strict] {
            let (both, conflicts) = merged(&base, &mine, &theirs, mode);
            if conflicts.iter().all(|(_, resolved)| resolved.is_some()) {
                let from = both.component("wire").map(|_| both.component("end").is_some());
                assert_ne!(from, Some(false), "{mode:?}: a wire that comes back leads nowhere");
            }
        }
    }

    #[test]
    fn nothing_ends_up_inside_itself() {
        let base = flow(&[
            Operation::add(Component::new("a", "group")),
            Operation::add(Component::new("b", "group")),
        ]);
        let into = |flow: &Flow, id: &str, parent: &str| {
            with(flow, &[Operation::shift(id, Some(parent.into()), crate::Order::default())])
        };
        let (mine, theirs) = (into(&base, "a", "b"), into(&base, "b", "a"));
        assert_eq!(merged(&base, &mine, &theirs, Mode::Strict), (theirs.clone(), vec![("Cycle", None)]));
        assert_eq!(merged(&base, &mine, &theirs, Mode::Force).0, theirs);
    }
}
