//! Where inside a component's fields.

use std::fmt;

use crate::Name;

/// One step into a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// The value of a key of a map.
    Key(Name),
    /// The element of a list at a place, counted from zero.
    Index(u32),
}

/// A field of a component and, where the edit is smaller than the field, the steps into its value.
///
/// Text converts into the path of the field of that name, dots and all: `"a.b"` is one field.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The field.
    pub field: Name,
    /// The steps into its value; none for the field itself.
    pub steps: Vec<Step>,
}

impl Path {
    /// The path of a whole field.
    #[must_use]
    pub fn field(field: impl Into<Name>) -> Self {
        Self { field: field.into(), steps: Vec::new() }
    }

    /// One step further, to a key of a map.
    #[must_use]
    pub fn key(mut self, key: impl Into<Name>) -> Self {
        self.steps.push(Step::Key(key.into()));
        self
    }

    /// One step further, to an element of a list.
    #[must_use]
    pub fn index(mut self, index: u32) -> Self {
        self.steps.push(Step::Index(index));
        self
    }
}

impl<N: Into<Name>> From<N> for Path {
    fn from(field: N) -> Self {
        Self::field(field)
    }
}

/// `wires[0][2]` and `env[1].value`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.field, f)?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Key(key) => write!(f, ".{key}"),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}
