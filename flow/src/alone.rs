//! One component followed through operations, without the flow around it.

use std::sync::Arc;

use crate::apply::edit_fields;
use crate::{Component, Edit, Guesses, Misfit, Name, Operation, Path, Reason, Value};

impl Component {
    /// Gives a field a value, for whoever follows a component through entries that were checked when they were appended.
    /// Bounds are not looked at; whatever puts components together does.
    ///
    /// The field is looked for where `places` says that it stood last.
    pub fn put(&mut self, field: &Name, value: Value, places: &mut Guesses<u8>) {
        let place = places.near(field);
        match self.fields.named_mut_near(field, place) {
            Some(held) => *held = value,
            None => {
                *place = u8::try_from(self.fields.len()).unwrap_or(u8::MAX);
                self.fields.put(field, value);
            }
        }
    }

    /// Edits what lies at a path, as [`Component::put`] does.
    ///
    /// # Errors
    /// [`Reason`] where there is no such path, or another text than the one that a splice is of; nothing is changed.
    pub fn edit(&mut self, path: &Path, edit: &Edit) -> Result<(), Reason> {
        edit_fields(&mut self.fields, path, edit).map(drop)
    }
}

impl Operation {
    /// What becomes of the component that this operation is about, given what it was before; `None` stands for a
    /// component that does not exist. Whether its parent exists is the flow's business and is not looked at.
    ///
    /// For a reader who follows one component through entries that were checked when they were appended. It gives what
    /// [`Flow::apply`](crate::Flow::apply) would.
    ///
    /// # Errors
    /// [`Misfit`] where the operation does not fit the component.
    pub fn apply_alone(&self, before: Option<Arc<Component>>) -> Result<Option<Arc<Component>>, Misfit> {
        let misfit = |reason| Misfit::new(self.id(), reason);
        match (self, before) {
            (Operation::Add { component, .. }, None) => Ok(Some(Arc::clone(component))),
            (Operation::Add { .. }, Some(_)) => Err(misfit(Reason::IdTaken)),
            (_, None) => Err(misfit(Reason::Missing)),
            (Operation::Remove { .. }, Some(_)) => Ok(None),
            (Operation::Set { path, edit, .. }, Some(mut held)) => {
                edit_fields(&mut Arc::make_mut(&mut held).fields, path, edit).map_err(misfit)?;
                Ok(Some(held))
            }
            (Operation::Move { parent, order, .. }, Some(mut held)) => {
                let component = Arc::make_mut(&mut held);
                component.parent.clone_from(parent);
                component.order = order.clone();
                Ok(Some(held))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Component, Flow, Operation, Order, Path};

    #[test]
    fn a_component_alone_becomes_what_it_becomes_in_its_flow() {
        let pump = Component::new("pump", "processor").field("a", 1).field("b", vec![1, 2]);
        let story = [
            Operation::add(pump),
            Operation::set("pump", "a", 2),
            Operation::set("pump", Path::field("b").index(1), 7),
            Operation::shift("pump", None, Order::between(None, None)),
            Operation::clear("pump", "a"),
            Operation::remove("pump"),
        ];
        let (mut flow, mut alone) = (Flow::new(), None);
        for operation in &story {
            flow.apply(operation).unwrap();
            alone = operation.apply_alone(alone).unwrap();
            assert_eq!(alone.as_ref(), flow.component("pump"));
        }
        assert!(Operation::set("pump", "a", 2).apply_alone(None).is_err());
    }
}
