//! Values that hold no others, wherever they stand, and what is left where some of them become something else.

use crate::{Component, Map, Value};

impl Value {
    /// Itself with other values in place of some that it is or holds; `None` where there are none to replace.
    #[must_use]
    pub fn replace_leaves(&self, other: &mut impl FnMut(&Value) -> Option<Value>) -> Option<Value> {
        // Values nest no deeper than `NESTING_MAX`.
        match self {
            Value::List(list) => {
                let mut left: Option<Vec<Value>> = None;
                for (at, value) in list.iter().enumerate() {
                    if let Some(value) = value.replace_leaves(other)
                        && let Some(place) = left.get_or_insert_with(|| list.clone()).get_mut(at)
                    {
                        *place = value;
                    }
                }
                left.map(Value::List)
            }
            Value::Map(map) => map.replace_leaves(other).map(Value::Map),
            leaf => other(leaf),
        }
    }
}

impl Map {
    fn replace_leaves(&self, other: &mut impl FnMut(&Value) -> Option<Value>) -> Option<Map> {
        let mut left: Option<Map> = None;
        for (key, value) in self.iter() {
            if let Some(value) = value.replace_leaves(other) {
                left.get_or_insert_with(|| self.clone()).put(key.clone(), value);
            }
        }
        left
    }
}

impl Component {
    /// Itself with other values in place of some in its fields; `None` where there are none to replace.
    #[must_use]
    pub fn replace_leaves(&self, other: &mut impl FnMut(&Value) -> Option<Value>) -> Option<Component> {
        let fields = self.fields.replace_leaves(other)?;
        Some(Component { fields, ..self.clone() })
    }
}
