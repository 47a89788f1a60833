//! Which secrets values, components and operations name, and what is left of them without some.

use crate::{Component, Edit, Map, Operation, SecretRef, Value};

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
        // Values nest no deeper than `NESTING_MAX`.
        match self {
            Value::Secret(secret) => is_gone(secret).then_some(Value::Null),
            Value::List(list) => {
                let mut left: Option<Vec<Value>> = None;
                for (at, value) in list.iter().enumerate() {
                    if let Some(value) = value.without_secrets(is_gone)
                        && let Some(place) = left.get_or_insert_with(|| list.clone()).get_mut(at)
                    {
                        *place = value;
                    }
                }
                left.map(Value::List)
            }
            Value::Map(map) => map.without_secrets(is_gone).map(Value::Map),
            _ => None,
        }
    }
}

impl Map {
    fn without_secrets(&self, is_gone: &impl Fn(&SecretRef) -> bool) -> Option<Map> {
        let mut left: Option<Map> = None;
        for (key, value) in self.iter() {
            if let Some(value) = value.without_secrets(is_gone) {
                left.get_or_insert_with(|| self.clone()).put(key.clone(), value);
            }
        }
        left
    }
}

impl Component {
    /// Shows every secret that it names.
    pub fn visit_secrets(&self, visit: &mut impl FnMut(&SecretRef)) {
        self.fields.iter().for_each(|(_, value)| value.visit_secrets(visit));
    }

    /// Itself with null in place of some secrets; `None` where it names none of these.
    #[must_use]
    pub fn without_secrets(&self, is_gone: &impl Fn(&SecretRef) -> bool) -> Option<Component> {
        let fields = self.fields.without_secrets(is_gone)?;
        Some(Component { fields, ..self.clone() })
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
