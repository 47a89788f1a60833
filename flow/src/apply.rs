//! An operation onto a flow, and its inverse.
//!
//! INVARIANT: every check stands before the first write, so that an operation that does not fit leaves the flow as it
//! was; and `apply(inverse(x), apply(x, flow)) = flow`, order of keys and slots included.

use std::sync::Arc;

use crate::component::END_FIELDS;
use crate::{
    COMPONENTS_MAX, Component, ComponentId, Edit, Flow, ID_BYTES_MAX, Map, Misfit, NAME_BYTES_MAX, Name,
    ORDER_BYTES_MAX, Operation, Order, PATH_STEPS_MAX, Path, Reason, Slot, Step, Value,
};

/// Whether an operation's inverse is to be put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inverse {
    /// It may be taken back.
    Wanted,
    /// Nobody will.
    Unwanted,
}

impl Flow {
    /// Applies one operation and returns its inverse. Costs O(log n), plus the depth of the flow for a Move.
    ///
    /// # Errors
    /// [`Misfit`] when it does not fit; the flow is as it was.
    pub fn apply(&mut self, operation: &Operation) -> Result<Operation, Misfit> {
        let found = self.slot(operation.id());
        self.apply_located(operation, found)
    }

    /// As [`Flow::apply`], for whoever has looked up the slot of the operation's component already: `found` is
    /// `self.slot(operation.id())`. Returns the inverse where it is wanted.
    ///
    /// # Errors
    /// As [`Flow::apply`].
    pub fn apply_found(
        &mut self,
        operation: &Operation,
        found: Option<Slot>,
        inverse: Inverse,
    ) -> Result<Option<Operation>, Misfit> {
        debug_assert_eq!(found, self.slot(operation.id()));
        if let (Inverse::Unwanted, Operation::Set { path, edit, .. }) = (inverse, operation) {
            // What it set before is let go of, and not put together for anybody.
            return match self.set(found, path, edit) {
                Ok(_) => Ok(None),
                Err(reason) => Err(Misfit::new(operation.id(), reason)),
            };
        }
        self.apply_located(operation, found).map(Some)
    }

    /// Gives a field of the component in a slot a value, for whoever asks for no inverse. What is put beneath a field, and
    /// every other edit, is for [`Flow::set_in`].
    ///
    /// # Errors
    /// [`Reason`]; the flow is as it was.
    pub fn put_in(&mut self, slot: Slot, field: &Name, value: Value) -> Result<(), Reason> {
        if END_FIELDS.contains(&field.as_str()) {
            return self.set_in(slot, &Path { field: field.clone(), steps: Vec::new() }, &Edit::Put(value));
        }
        check_name(field)?;
        value.check_bounds()?;
        let held = self.components.get_mut(slot).ok_or(Reason::Missing)?;
        let fields = &mut Arc::make_mut(held).fields;
        match fields.named_mut_near(field, self.places.near(field)) {
            Some(held) => *held = value,
            None => drop(fields.put(field, value)),
        }
        Ok(())
    }

    /// Edits the component in a slot, for whoever asks for no inverse.
    ///
    /// # Errors
    /// [`Reason`]; the flow is as it was.
    pub fn set_in(&mut self, slot: Slot, path: &Path, edit: &Edit) -> Result<(), Reason> {
        self.set(Some(slot), path, edit).map(drop)
    }

    fn apply_located(&mut self, operation: &Operation, found: Option<Slot>) -> Result<Operation, Misfit> {
        match operation {
            Operation::Add { component, slot } => self.add(component, found, *slot),
            Operation::Remove { .. } => self.remove(found),
            Operation::Set { id, path, edit } => self.set(found, path, edit).map(|edit| Operation::Set {
                id: id.clone(),
                path: path.clone(),
                edit,
            }),
            Operation::Move { id, parent, order } => self.shift(id, found, parent.as_ref(), order),
        }
        .map_err(|reason| Misfit::new(operation.id(), reason))
    }

    /// Applies a change: all of its operations, or none. Returns the inverse of each, in the order in which they undo
    /// the change.
    ///
    /// # Errors
    /// [`Misfit`] with the place of the first operation that does not fit; the flow is as it was.
    pub fn apply_all<'o>(
        &mut self,
        operations: impl IntoIterator<Item = &'o Operation>,
    ) -> Result<Vec<Operation>, Misfit> {
        let mut inverses = Vec::new();
        let next_slot = self.next_slot();
        for (at, operation) in operations.into_iter().enumerate() {
            match self.apply(operation) {
                Ok(inverse) => inverses.push(inverse),
                Err(misfit) => {
                    self.take_back(inverses.iter().rev(), next_slot);
                    return Err(misfit.at(at));
                }
            }
        }
        inverses.reverse();
        Ok(inverses)
    }

    /// Takes back what was just applied as if it had never been: the inverses in the order in which they undo it, and
    /// the slot that the next Add took before. Unlike an undo this gives the slots back too.
    pub fn take_back<'o>(&mut self, inverses: impl IntoIterator<Item = &'o Operation>, next_slot: Slot) {
        for inverse in inverses {
            // The inverse of an operation fits the flow that the operation left: nothing happened in between.
            let fits = self.apply(inverse);
            debug_assert!(fits.is_ok(), "{fits:?}");
        }
        self.next_slot = next_slot.0;
    }

    fn add(
        &mut self,
        component: &Arc<Component>,
        found: Option<Slot>,
        slot: Option<Slot>,
    ) -> Result<Operation, Reason> {
        check_component(component)?;
        if found.is_some() {
            return Err(Reason::IdTaken);
        }
        let parent = self.slot_of_parent(component.parent.as_ref())?;
        let slot = match slot {
            Some(slot) if slot.0 < self.next_slot && self.components.get(slot).is_none() => slot,
            Some(slot) => return Err(Reason::SlotTaken { slot }),
            None if self.next_slot >= COMPONENTS_MAX => return Err(Reason::TooManyComponents),
            None => {
                self.next_slot += 1;
                Slot(self.next_slot - 1)
            }
        };

        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(slot);
        }
        component.ends().for_each(|end| self.attach(end, slot));
        self.occupy(slot, component);
        Ok(Operation::Remove { id: component.id.clone() })
    }

    fn remove(&mut self, found: Option<Slot>) -> Result<Operation, Reason> {
        let slot = found.ok_or(Reason::Missing)?;
        if let Some(children) = self.children.get(&slot)
            && let Some(child) = children.get_min().and_then(|child| self.component_in(*child))
        {
            return Err(Reason::HasChildren { child: child.id.clone(), count: children.len() });
        }
        let component = self.vacate(slot).ok_or(Reason::Missing)?;
        if let Some(parent) = component.parent.as_ref().and_then(|parent| self.slot(parent)) {
            self.leave(parent, slot);
        }
        component.ends().for_each(|end| self.detach(end, slot));
        Ok(Operation::Add { component, slot: Some(slot) })
    }

    fn set(&mut self, found: Option<Slot>, path: &Path, edit: &Edit) -> Result<Edit, Reason> {
        check_path(path)?;
        if let Edit::Put(value) | Edit::Place(_, value) = edit {
            value.check_bounds()?;
        }
        let slot = found.ok_or(Reason::Missing)?;
        let ends_change = path.steps.is_empty() && END_FIELDS.contains(&path.field.as_str());
        if ends_change {
            let old = self
                .component_in(slot)
                .and_then(|component| component.get(&path.field)?.as_ref_id().cloned());
            let inverse = self.edit(slot, path, edit)?;
            if let Some(old) = old {
                self.detach(&old, slot);
            }
            // A wire from a component to itself is attached to it once; looking again keeps that right.
            let ends: Vec<ComponentId> = self
                .component_in(slot)
                .map(|component| component.ends().cloned().collect())
                .unwrap_or_default();
            ends.iter().for_each(|end| self.attach(end, slot));
            return Ok(inverse);
        }
        self.edit(slot, path, edit)
    }

    fn edit(&mut self, slot: Slot, path: &Path, edit: &Edit) -> Result<Edit, Reason> {
        let deep = !path.steps.is_empty() || matches!(edit, Edit::Splice(_));
        let held = self.components.get_mut(slot).ok_or(Reason::Missing)?;
        let component = Arc::make_mut(held);
        if let (Edit::Put(value), true) = (edit, path.steps.is_empty())
            && let Some(held) = component.fields.named_mut_near(&path.field, self.places.near(&path.field))
        {
            return Ok(Edit::Put(std::mem::replace(held, value.clone())));
        }
        let inverse = edit_fields(&mut component.fields, path, edit)?;
        // A part can push the whole over a bound; only then is the whole measured.
        if deep
            && !matches!(edit, Edit::Clear)
            && let Err(reason) = component.fields.get(&path.field).map_or(Ok(()), Value::check_bounds)
        {
            let restored = edit_fields(&mut component.fields, path, &inverse);
            debug_assert!(restored.is_ok(), "{restored:?}");
            return Err(reason);
        }
        Ok(inverse)
    }

    fn shift(
        &mut self,
        id: &ComponentId,
        found: Option<Slot>,
        parent: Option<&ComponentId>,
        order: &Order,
    ) -> Result<Operation, Reason> {
        check_order(order)?;
        let slot = found.ok_or(Reason::Missing)?;
        let parent_slot = self.slot_of_parent(parent)?;
        if let Some(parent) = parent
            && self.is_inside(parent, id)
        {
            return Err(Reason::Cycle { parent: parent.clone() });
        }

        let held = self.components.get_mut(slot).ok_or(Reason::Missing)?;
        let component = Arc::make_mut(held);
        let old_parent = std::mem::replace(&mut component.parent, parent.cloned());
        let old_order = std::mem::replace(&mut component.order, order.clone());
        if let Some(old) = old_parent.as_ref().and_then(|parent| self.slot(parent)) {
            self.leave(old, slot);
        }
        if let Some(new) = parent_slot {
            self.children.entry(new).or_default().insert(slot);
        }
        Ok(Operation::Move { id: id.clone(), parent: old_parent, order: old_order })
    }

    fn slot_of_parent(&self, parent: Option<&ComponentId>) -> Result<Option<Slot>, Reason> {
        let Some(parent) = parent else { return Ok(None) };
        self.slot(parent).map(Some).ok_or_else(|| Reason::ParentMissing { parent: parent.clone() })
    }

    fn leave(&mut self, parent: Slot, child: Slot) {
        if let Some(children) = self.children.get_mut(&parent) {
            children.remove(&child);
            if children.is_empty() {
                self.children.remove(&parent);
            }
        }
    }

    fn attach(&mut self, end: &ComponentId, wire: Slot) {
        self.attached.entry(end.clone()).or_default().insert(wire);
    }

    fn detach(&mut self, end: &ComponentId, wire: Slot) {
        if let Some(wires) = self.attached.get_mut(end) {
            wires.remove(&wire);
            if wires.is_empty() {
                self.attached.remove(end);
            }
        }
    }
}

pub(crate) fn check_component(component: &Component) -> Result<(), Reason> {
    let bytes = component.id.len();
    if bytes == 0 || bytes > ID_BYTES_MAX {
        return Err(Reason::IdLength { bytes, max: ID_BYTES_MAX });
    }
    check_name(&component.kind)?;
    check_order(&component.order)?;
    component.fields.iter().try_for_each(|(name, value)| {
        check_name(name)?;
        value.check_bounds()
    })
}

fn check_name(name: &str) -> Result<(), Reason> {
    match name.len() {
        bytes if bytes > NAME_BYTES_MAX => Err(Reason::NameTooLong { bytes, max: NAME_BYTES_MAX }),
        _ => Ok(()),
    }
}

fn check_order(order: &Order) -> Result<(), Reason> {
    match order.as_bytes().len() {
        bytes if bytes > ORDER_BYTES_MAX => Err(Reason::OrderTooLong { bytes, max: ORDER_BYTES_MAX }),
        _ => Ok(()),
    }
}

fn check_path(path: &Path) -> Result<(), Reason> {
    check_name(&path.field)?;
    if path.steps.len() >= PATH_STEPS_MAX {
        return Err(Reason::NestingTooDeep { max: PATH_STEPS_MAX - 1 });
    }
    path.steps.iter().try_for_each(|step| match step {
        Step::Key(key) => check_name(key),
        Step::Index(_) => Ok(()),
    })
}

/// Edits the value at a path and returns the edit that takes it back.
pub(crate) fn edit_fields(fields: &mut Map, path: &Path, edit: &Edit) -> Result<Edit, Reason> {
    let no_such_path = || Reason::NoSuchPath { path: path.clone() };
    if let Edit::Splice(splices) = edit {
        let held = value_at(fields, &path.field, &path.steps).ok_or_else(no_such_path)?;
        let Value::Text(before) = held else { return Err(no_such_path()) };
        let after = splices.apply(before).map_err(|_| Reason::OtherText { path: path.clone() })?;
        // What it was is at hand whole, and takes no more room than it did.
        return Ok(Edit::Put(std::mem::replace(held, Value::Text(after))));
    }
    let Some((last, inner)) = path.steps.split_last() else {
        return edit_key(fields, &path.field, edit).ok_or_else(no_such_path);
    };
    let at = value_at(fields, &path.field, inner).ok_or_else(no_such_path)?;
    match (at, last) {
        (Value::Map(map), Step::Key(key)) => edit_key(map, key, edit),
        (Value::List(list), Step::Index(index)) => edit_element(list, *index as usize, edit),
        _ => None,
    }
    .ok_or_else(no_such_path)
}

fn value_at<'f>(fields: &'f mut Map, field: &str, steps: &[Step]) -> Option<&'f mut Value> {
    steps.iter().try_fold(fields.get_mut(field)?, |at, step| match (at, step) {
        (Value::Map(map), Step::Key(key)) => map.get_mut(key),
        (Value::List(list), Step::Index(index)) => list.get_mut(*index as usize),
        _ => None,
    })
}

fn edit_key(map: &mut Map, key: &crate::Name, edit: &Edit) -> Option<Edit> {
    let position = |at: usize| u32::try_from(at).ok();
    Some(match edit {
        Edit::Put(value) => match map.named_mut(key) {
            Some(held) => Edit::Put(std::mem::replace(held, value.clone())),
            None => {
                map.put(key, value.clone());
                Edit::Clear
            }
        },
        Edit::Place(at, value) => match map.place(*at as usize, key, value.clone()) {
            Some((at, before)) => Edit::Place(position(at)?, before),
            None => Edit::Clear,
        },
        Edit::Clear => match map.remove(key) {
            Some((at, before)) => Edit::Place(position(at)?, before),
            None => Edit::Clear,
        },
        // Told apart before: it needs the value, not its place.
        Edit::Splice(_) => return None,
    })
}

fn edit_element(list: &mut Vec<Value>, index: usize, edit: &Edit) -> Option<Edit> {
    match edit {
        Edit::Put(value) if index == list.len() => {
            list.push(value.clone());
            Some(Edit::Clear)
        }
        Edit::Put(value) => list.get_mut(index).map(|held| Edit::Put(std::mem::replace(held, value.clone()))),
        Edit::Place(_, value) if index <= list.len() => {
            list.insert(index, value.clone());
            Some(Edit::Clear)
        }
        Edit::Clear if index < list.len() => Some(Edit::Place(0, list.remove(index))),
        Edit::Place(..) | Edit::Clear | Edit::Splice(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Component, Edit, Flow, Operation, Order, Path, Reason, Value};

    fn pump_in_group() -> Flow {
        let mut flow = Flow::new();
        let fields =
            Component::new("pump", "processor").inside("group").field("a", 1).field("b", vec![1, 2, 3]);
        flow.apply(&Operation::add(Component::new("group", "group"))).unwrap();
        flow.apply(&Operation::add(fields.field("c", Value::Null))).unwrap();
        flow
    }

    fn check_inverse(operation: &Operation) {
        let before = pump_in_group();
        let mut flow = before.clone();
        let inverse = flow.apply(operation).unwrap();
        assert_ne!(flow, before);
        flow.apply(&inverse).unwrap();
        assert_eq!(flow, before);
        assert_eq!(format!("{flow:?}"), format!("{before:?}"));
    }

    #[test]
    fn every_operation_has_an_exact_inverse() {
        let place =
            |path: Path, at| Operation::Set { id: "pump".into(), path, edit: Edit::Place(at, 9.into()) };
        check_inverse(&Operation::add(Component::new("new", "processor").inside("group")));
        check_inverse(&Operation::remove("pump"));
        check_inverse(&Operation::set("pump", "a", 2));
        check_inverse(&Operation::set("pump", "new", 2));
        check_inverse(&Operation::clear("pump", "b"));
        check_inverse(&place("c".into(), 0));
        check_inverse(&place("new".into(), 1));
        check_inverse(&place(Path::field("b").index(1), 0));
        check_inverse(&Operation::set("pump", Path::field("b").index(3), 4));
        check_inverse(&Operation::clear("pump", Path::field("b").index(0)));
        check_inverse(&Operation::shift("pump", None, Order::between(None, None)));
    }

    fn check_misfit(operation: &Operation, reason: &Reason) {
        let before = pump_in_group();
        let mut flow = before.clone();
        assert_eq!(&flow.apply(operation).unwrap_err().reason, reason);
        assert_eq!(flow, before);
        assert_eq!(flow.next_slot(), before.next_slot());
    }

    #[test]
    fn an_operation_that_does_not_fit_says_why_and_changes_nothing() {
        let long = "x".repeat(256);
        check_misfit(&Operation::add(Component::new("pump", "x")), &Reason::IdTaken);
        check_misfit(&Operation::add(Component::new("", "x")), &Reason::IdLength { bytes: 0, max: 255 });
        check_misfit(&Operation::add(Component::new(long, "x")), &Reason::IdLength { bytes: 256, max: 255 });
        check_misfit(
            &Operation::add(Component::new("new", "x").inside("nowhere")),
            &Reason::ParentMissing { parent: "nowhere".into() },
        );
        check_misfit(&Operation::remove("missing"), &Reason::Missing);
        check_misfit(&Operation::remove("group"), &Reason::HasChildren { child: "pump".into(), count: 1 });
        check_misfit(&Operation::set("missing", "a", 1), &Reason::Missing);
        check_misfit(
            &Operation::set("pump", Path::field("a").key("x"), 1),
            &Reason::NoSuchPath { path: Path::field("a").key("x") },
        );
        check_misfit(
            &Operation::shift("group", Some("pump".into()), Order::default()),
            &Reason::Cycle { parent: "pump".into() },
        );
        check_misfit(
            &Operation::shift("group", Some("group".into()), Order::default()),
            &Reason::Cycle { parent: "group".into() },
        );
        let large = "x".repeat(crate::VALUE_BYTES_MAX);
        check_misfit(
            &Operation::set("pump", "a", large),
            &Reason::ValueTooLarge { max: crate::VALUE_BYTES_MAX },
        );
        let nested = (0..600).fold(Value::Null, |inside, _| Value::List(vec![inside]));
        check_misfit(&Operation::set("pump", "a", nested), &Reason::NestingTooDeep { max: 512 });
    }

    #[test]
    fn a_change_is_applied_whole_or_not_at_all() {
        let before = pump_in_group();
        let mut flow = before.clone();
        let change = [Operation::set("pump", "a", 5), Operation::remove("pump"), Operation::remove("pump")];
        let added = [Operation::add(Component::new("new", "x")), Operation::remove("missing")];
        assert_eq!(flow.apply_all(&change).unwrap_err().operation, 2);
        assert_eq!(flow.apply_all(&added).unwrap_err().operation, 1);
        assert_eq!((&flow, flow.next_slot()), (&before, before.next_slot()));

        let back = flow.apply_all(&change[..2]).unwrap();
        flow.apply_all(&back).unwrap();
        assert_eq!(flow, before);
    }

    #[test]
    fn wires_are_found_from_both_ends() {
        let mut flow = pump_in_group();
        let wire = Component::new("wire", "wire").field("from", Value::Ref("pump".into()));
        flow.apply(&Operation::add(wire.field("to", Value::Ref("pump".into())))).unwrap();
        assert_eq!(flow.attached("pump").count(), 1);
        flow.apply(&Operation::set("wire", "to", Value::Ref("elsewhere".into()))).unwrap();
        assert_eq!((flow.attached("pump").count(), flow.attached("elsewhere").count()), (1, 1));
        flow.apply(&Operation::remove("wire")).unwrap();
        assert_eq!((flow.attached("pump").count(), flow.attached("elsewhere").count()), (0, 0));
    }
}
