//! What changed between two flows, for a person.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::{Component, ComponentId, Flow, Name, Value, WIRE_KIND};

/// What changed from one flow to another, component by component, in order of ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// The components that differ.
    pub components: Vec<ComponentDifference>,
}

/// A component that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComponentDifference {
    /// Which.
    pub id: ComponentId,
    /// As it was; `None` where it did not exist.
    pub before: Option<Arc<Component>>,
    /// As it is; `None` where it no longer exists.
    pub after: Option<Arc<Component>>,
    /// The fields that differ, in the order of the later component, removed ones last.
    pub fields: Vec<FieldDifference>,
}

/// A field that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldDifference {
    /// Which.
    pub field: Name,
    /// As it was; `None` where it was absent.
    pub before: Option<Value>,
    /// As it is; `None` where it is absent.
    pub after: Option<Value>,
}

/// How a component differs, the most telling way first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum ChangeKind {
    /// It did not exist.
    Added,
    /// It no longer exists.
    Removed,
    /// Its kind, its fields or the order of its fields differ.
    Modified,
    /// It has another parent, and nothing else but its order differs.
    Moved,
    /// It stands elsewhere among the others, and nothing else differs.
    Reordered,
}

/// A difference in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Components that differ, a wire counting as part of the component that it leaves and mere reordering not at all:
    /// what a difference of two documents by id counts.
    pub changed: usize,
    /// Components, without wires, that came.
    pub added: usize,
    /// Components, without wires, that went.
    pub removed: usize,
    /// Components, without wires, that are not the same: modified, moved, or wired differently.
    pub modified: usize,
    /// Components, without wires, that only stand elsewhere among the others.
    pub reordered: usize,
    /// Wires that came, went or changed.
    pub wires: usize,
}

/// A component as it was, and as it is; `None` where it does not exist.
pub type BeforeAndAfter = (Option<Arc<Component>>, Option<Arc<Component>>);

impl Difference {
    /// Compares two flows. O(n), a component that is shared by both costing a comparison of pointers.
    #[must_use]
    pub fn between(before: &Flow, after: &Flow) -> Self {
        let mut components = Vec::new();
        for (_, new) in after.iter() {
            match before.component(&new.id) {
                Some(old) if Arc::ptr_eq(old, new) || old == new => {}
                old => components.push(ComponentDifference::of(old, Some(new))),
            }
        }
        for (_, old) in before.iter() {
            if after.component(&old.id).is_none() {
                components.push(ComponentDifference::of(Some(old), None));
            }
        }
        components.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Self::of(components, before, after)
    }

    /// Compares components one by one: as each was, and as it is. `None` where one has another order key and nothing else:
    /// whether it stands elsewhere, only the whole flows tell.
    #[must_use]
    pub fn of_components(pairs: impl IntoIterator<Item = BeforeAndAfter>) -> Option<Self> {
        // What went and came again under its id may have two slots.
        let mut by_id: BTreeMap<ComponentId, BeforeAndAfter> = BTreeMap::new();
        for (before, after) in pairs {
            if let Some(before) = before {
                let id = before.id.clone();
                by_id.entry(id).or_default().0 = Some(before);
            }
            if let Some(after) = after {
                let id = after.id.clone();
                by_id.entry(id).or_default().1 = Some(after);
            }
        }
        let components: Vec<ComponentDifference> = by_id
            .into_values()
            .filter(|(before, after)| before != after)
            .map(|(before, after)| ComponentDifference::of(before.as_ref(), after.as_ref()))
            .collect();
        let is_whole = components.iter().all(|component| component.kind() != ChangeKind::Reordered);
        is_whole.then_some(Self { components })
    }

    /// Leaves out what has another order key and stands where it stood.
    fn of(mut components: Vec<ComponentDifference>, before: &Flow, after: &Flow) -> Self {
        let rekeyed =
            components.iter().filter(|c| c.kind() == ChangeKind::Reordered).map(|c| &c.id).collect();
        let moved = crate::sequence::moved(before, after, &rekeyed);
        components.retain(|c| c.kind() != ChangeKind::Reordered || moved.contains(&c.id));
        Self { components }
    }

    /// Compares two flows where only these components can differ, as after a change that touched them. Costs their
    /// number, whatever the flows, unless one of them has another order key.
    #[must_use]
    pub fn among<'i>(before: &Flow, after: &Flow, ids: impl IntoIterator<Item = &'i ComponentId>) -> Self {
        let ids: BTreeSet<&ComponentId> = ids.into_iter().collect();
        let differ = |id: &&ComponentId| before.component(id) != after.component(id);
        let components = ids
            .into_iter()
            .filter(differ)
            .map(|id| ComponentDifference::of(before.component(id), after.component(id)))
            .collect();
        Self::of(components, before, after)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.components.is_empty()
    }

    /// The difference in numbers.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        let mut came_or_went = BTreeSet::new();
        let mut rewired = BTreeSet::new();
        for component in &self.components {
            if component.is_wire() {
                summary.wires += 1;
                rewired.extend(component.owners().cloned());
                continue;
            }
            match component.kind() {
                ChangeKind::Added => summary.added += 1,
                ChangeKind::Removed => summary.removed += 1,
                ChangeKind::Reordered => {
                    summary.reordered += 1;
                    continue;
                }
                ChangeKind::Modified | ChangeKind::Moved => summary.modified += 1,
            }
            came_or_went.insert(component.id.clone());
        }
        let only_rewired = rewired.difference(&came_or_went).count();
        summary.modified += only_rewired;
        summary.changed = came_or_went.len() + only_rewired;
        summary
    }
}

impl ComponentDifference {
    /// A component as it was and as it is, which differ.
    #[must_use]
    pub fn of(before: Option<&Arc<Component>>, after: Option<&Arc<Component>>) -> Self {
        let id = before.or(after).map_or_else(|| ComponentId::from(""), |component| component.id.clone());
        let mut fields = Vec::new();
        for (name, value) in after.into_iter().flat_map(|component| component.fields.iter()) {
            let held = before.and_then(|component| component.get(name));
            if held != Some(value) {
                fields.push(FieldDifference {
                    field: name.clone(),
                    before: held.cloned(),
                    after: Some(value.clone()),
                });
            }
        }
        for (name, value) in before.into_iter().flat_map(|component| component.fields.iter()) {
            if after.is_none_or(|component| component.get(name).is_none()) {
                fields.push(FieldDifference {
                    field: name.clone(),
                    before: Some(value.clone()),
                    after: None,
                });
            }
        }
        Self { id, before: before.cloned(), after: after.cloned(), fields }
    }

    /// How it differs.
    #[must_use]
    pub fn kind(&self) -> ChangeKind {
        match (&self.before, &self.after) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            (Some(before), Some(after)) if before.kind != after.kind || before.fields != after.fields => {
                ChangeKind::Modified
            }
            (Some(before), Some(after)) if before.parent != after.parent => ChangeKind::Moved,
            _ => ChangeKind::Reordered,
        }
    }

    /// The component as it is, or as it was before it went.
    #[must_use]
    pub fn either(&self) -> Option<&Arc<Component>> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// Whether it is a wire.
    #[must_use]
    pub fn is_wire(&self) -> bool {
        self.either().is_some_and(|component| component.kind == WIRE_KIND)
    }

    /// The components that a wire leaves, before and after.
    fn owners(&self) -> impl Iterator<Item = &ComponentId> {
        [&self.before, &self.after].into_iter().flatten().filter_map(|component| {
            component.get("from").and_then(Value::as_ref_id).or(component.parent.as_ref())
        })
    }
}
