//! A component: the unit of which flows are made.

use crate::{ComponentId, Map, Name, Order, Value};

/// A processor, connection, group, port, label, service, parameter context, policy, node, wire or tab: anything with an
/// id of its own that a person can change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Component {
    /// Unique within a flow.
    pub id: ComponentId,
    /// What it is; an open set that the host chooses.
    pub kind: Name,
    /// The component that contains it.
    pub parent: Option<ComponentId>,
    /// Where it stands among all components.
    pub order: Order,
    /// Named values, in order.
    pub fields: Map,
}

impl Component {
    /// A component without parent, order or fields.
    #[must_use]
    pub fn new(id: impl Into<ComponentId>, kind: impl Into<Name>) -> Self {
        Self { id: id.into(), kind: kind.into(), parent: None, order: Order::default(), fields: Map::new() }
    }

    /// The same with one more field, or another value of one.
    #[must_use]
    pub fn field(mut self, name: impl Into<Name>, value: impl Into<Value>) -> Self {
        self.fields.put(name, value);
        self
    }

    /// The same inside another component.
    #[must_use]
    pub fn inside(mut self, parent: impl Into<ComponentId>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    /// The same at another place.
    #[must_use]
    pub fn at(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Puts, in the place of its kind and of each field's name that is too long to lie in place, the equal name that `known`
    /// gives, where it gives one: many components then hold one text.
    pub fn rename_alike<'n>(&mut self, known: impl Fn(&Name) -> Option<&'n Name>) {
        let share = |name: &mut Name| {
            if name.is_shared()
                && let Some(known) = known(name)
                && known == name
            {
                name.clone_from(known);
            }
        };
        share(&mut self.kind);
        self.fields.names_mut().for_each(share);
    }

    /// The value of a field, absent ones being `None`.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }

    /// Reads a little of every field, and says something of no meaning about it. Whoever goes through many components that are in
    /// no cache glances at some of them, and then goes through these: a processor waits for many places of memory at a time
    /// where nothing that it is to do depends on what stands there.
    #[must_use]
    pub fn glance(&self) -> usize {
        self.fields.iter().map(|(name, _)| name.len()).sum()
    }

    /// The components that this one is attached to: those its fields `from` and `to` refer to.
    pub fn ends(&self) -> impl Iterator<Item = &ComponentId> {
        END_FIELDS.iter().filter_map(|field| self.get(field)).filter_map(Value::as_ref_id)
    }
}

/// The fields by which a wire names its ends.
pub(crate) const END_FIELDS: [&str; 2] = ["from", "to"];
