//! Which secrets values, components and operations name, and what is left of them without some.

use crate::{Component, Edit, Operation, SecretRef, Value};

impl Value {
    /// Shows every secret that it names, those inside lists and maps too.
    pub fn visit_secrets(&self, visit: &mut impl FnMut(&SecretRef)) {
        let mut pending = Vec::new();
        let mut at = Some(self);
        while let Some(value) = at {
            match value {
                Value::Secret(secret) => visit(secret),
                Value::List(list) => pending.extend(list),
                Value::Map(map) => pending.extend(map.iter().map(|(_, value)| value)),
                _ => {}
            }
            at = pending.pop();
        }
    }

    /// Itself with null in place of some secrets; `None` where it names none of these.
    #[must_use]
    pub fn without_secrets(&self, is_gone: &impl Fn(&SecretRef) -> bool) -> Option<Value> {
        self.replace_leaves(&mut |leaf| null_where_gone(leaf, is_gone))
    }
}

fn null_where_gone(leaf: &Value, is_gone: &impl Fn(&SecretRef) -> bool) -> Option<Value> {
    matches!(leaf, Value::Secret(secret) if is_gone(secret)).then_some(Value::Null)
}

impl Component {
    /// Shows every secret that it names.
    pub fn visit_secrets(&self, visit: &mut impl FnMut(&SecretRef)) {
        self.fields.iter().for_each(|(_, value)| value.visit_secrets(visit));
    }

    /// Itself with null in place of some secrets; `None` where it names none of these.
    #[must_use]
    pub fn without_secrets(&self, is_gone: &impl Fn(&SecretRef) -> bool) -> Option<Component> {
        self.replace_leaves(&mut |leaf| null_where_gone(leaf, is_gone))
    }
}

impl Operation {
    /// Shows every secret that it names.
    pub fn visit_secrets(&self, visit: &mut impl FnMut(&SecretRef)) {
        match self {
            Operation::Add { component, .. } => component.visit_secrets(visit),
            Operation::Set { edit: Edit::Put(value) | Edit::Place(_, value), .. } => {
                value.visit_secrets(visit);
            }
            _ => {}
        }
    }
}

impl From<SecretRef> for Value {
    fn from(value: SecretRef) -> Self {
        Value::Secret(value)
    }
}
