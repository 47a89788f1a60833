//! Fields that may not be shown, although their values lie open in the log.
//!
//! A value in the vault is a reference and shows nothing. A host can also say, in the table of facets of the root
//! component, that a field is secret; what such a field holds is then replaced before anything is printed.

use std::borrow::Cow;

use flow_history::{
    Component, ComponentDifference, Facet, FacetTable, Flow, Operation, ROOT_ID, SecretRef, Value, View,
};

use crate::failure::Failure;

/// What some versions say is secret.
pub(crate) struct Secrets(Vec<FacetTable>);

impl Secrets {
    pub(crate) fn of<'v>(views: impl IntoIterator<Item = &'v View>) -> Result<Self, Failure> {
        let mut tables = Vec::new();
        for view in views {
            let Some(root) = view.component(ROOT_ID)?.filter(|root| root.get(FacetTable::FIELD).is_some())
            else {
                continue;
            };
            // The table of a flow is that of its root component; nothing else has to be read.
            let mut flow = Flow::new();
            if flow.apply(&Operation::add((*root).clone())).is_ok() {
                tables.push(FacetTable::of(&flow));
            }
        }
        Ok(Self(tables))
    }

    /// Whether a field may not be shown.
    pub(crate) fn is_secret(&self, kind: &str, field: &str) -> bool {
        self.0.iter().any(|table| table.facet(kind, field) == Facet::Secret)
    }

    /// A component without what may not be shown.
    pub(crate) fn hide<'c>(&self, component: &'c Component) -> Cow<'c, Component> {
        if !component.fields.iter().any(|(name, _)| self.is_secret(&component.kind, name)) {
            return Cow::Borrowed(component);
        }
        let mut hidden = component.clone();
        for (name, _) in component.fields.iter().filter(|(name, _)| self.is_secret(&component.kind, name)) {
            hidden.fields.put(name.clone(), nothing_to_see());
        }
        Cow::Owned(hidden)
    }

    /// A value of a field, or what stands for one that may not be shown.
    pub(crate) fn hide_value<'v>(&self, kind: &str, field: &str, value: &'v Value) -> Cow<'v, Value> {
        if self.is_secret(kind, field) { Cow::Owned(nothing_to_see()) } else { Cow::Borrowed(value) }
    }

    /// A difference without what may not be shown.
    pub(crate) fn hide_in<'d>(&self, difference: &'d ComponentDifference) -> Cow<'d, ComponentDifference> {
        let Some(kind) = difference.either().map(|component| component.kind.clone()) else {
            return Cow::Borrowed(difference);
        };
        if !difference.fields.iter().any(|changed| self.is_secret(&kind, &changed.field)) {
            return Cow::Borrowed(difference);
        }
        let mut hidden = difference.clone();
        for changed in hidden.fields.iter_mut().filter(|changed| self.is_secret(&kind, &changed.field)) {
            changed.before = changed.before.as_ref().map(|_| nothing_to_see());
            changed.after = changed.after.as_ref().map(|_| nothing_to_see());
        }
        Cow::Owned(hidden)
    }
}

fn nothing_to_see() -> Value {
    Value::Secret(SecretRef { id: [0; 16], tag: [0; 16] })
}
