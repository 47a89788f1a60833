//! What a field holds.

use std::fmt;
use std::sync::Arc;

use crate::{
    ComponentId, ID_BYTES_MAX, Map, NAME_BYTES_MAX, NESTING_MAX, Number, Reason, Text, VALUE_BYTES_MAX,
};

/// A value of a field, or inside one.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// Nothing, said explicitly: an absent field differs from one that is null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number with its lexeme.
    Number(Number),
    /// Text.
    Text(Text),
    /// Bytes that are not text.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Vec<Value>),
    /// A map whose keys keep their order.
    Map(Map),
    /// A reference to a component, which may not exist (any more).
    Ref(ComponentId),
    /// A reference to a secret that lies sealed outside the log.
    Secret(SecretRef),
}

/// Names a secret and says when two of them are equal, without holding either.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// The name of the sealed file.
    pub id: [u8; 16],
    /// A keyed tag: equal tags, equal secrets.
    pub tag: [u8; 16],
}

impl Value {
    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where it is a number written as one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// The id of the component that it refers to, where it is a reference.
    #[must_use]
    pub fn as_ref_id(&self) -> Option<&ComponentId> {
        match self {
            Value::Ref(id) => Some(id),
            _ => None,
        }
    }

    /// Checks the bounds on size and nesting without recursing, so that a hostile value cannot exhaust the stack.
    ///
    /// # Errors
    /// [`Reason::ValueTooLarge`], [`Reason::NestingTooDeep`], and the reasons of names and ids that are too long.
    pub(crate) fn check_bounds(&self) -> Result<(), Reason> {
        // Nearly every value is small and flat; it costs no allocation.
        let mut bytes = self.own_bytes();
        let mut pending: Vec<(usize, &Value)> = Vec::new();
        fn children<'v>(value: &'v Value, depth: usize, pending: &mut Vec<(usize, &'v Value)>) {
            match value {
                Value::List(list) => pending.extend(list.iter().map(|v| (depth, v))),
                Value::Map(map) => pending.extend(map.iter().map(|(_, v)| (depth, v))),
                _ => {}
            }
        }
        self.check_names()?;
        children(self, 1, &mut pending);
        while let Some((depth, value)) = pending.pop() {
            if depth > NESTING_MAX {
                return Err(Reason::NestingTooDeep { max: NESTING_MAX });
            }
            value.check_names()?;
            bytes = bytes.saturating_add(value.own_bytes());
            if bytes > VALUE_BYTES_MAX {
                break;
            }
            children(value, depth + 1, &mut pending);
        }
        if bytes > VALUE_BYTES_MAX {
            return Err(Reason::ValueTooLarge { max: VALUE_BYTES_MAX });
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), Reason> {
        match self {
            Value::Map(map) => map.iter().try_for_each(|(key, _)| match key.len() {
                bytes if bytes > NAME_BYTES_MAX => Err(Reason::NameTooLong { bytes, max: NAME_BYTES_MAX }),
                _ => Ok(()),
            }),
            Value::Ref(id) if id.is_empty() || id.len() > ID_BYTES_MAX => {
                Err(Reason::IdLength { bytes: id.len(), max: ID_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }

    /// Bytes of content, without those of the values inside; one for the value itself.
    fn own_bytes(&self) -> usize {
        1 + match self {
            Value::Null | Value::Bool(_) | Value::List(_) => 0,
            Value::Number(number) => number.as_lexeme().map_or(8, str::len),
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Map(map) => map.iter().map(|(key, _)| 1 + key.len()).sum(),
            Value::Ref(id) => id.len(),
            Value::Secret(_) => 32,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => value.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => fmt::Debug::fmt(&**text, f),
            Value::Bytes(bytes) => write!(f, "<{} bytes>", bytes.len()),
            Value::List(list) => f.debug_list().entries(list).finish(),
            Value::Map(map) => fmt::Debug::fmt(map, f),
            Value::Ref(id) => write!(f, "-> {id}"),
            Value::Secret(_) => f.write_str("<secret>"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

macro_rules! from_integer {
    ($($small:ty)*) => {$(
        impl From<$small> for Value {
            fn from(value: $small) -> Self {
                Value::Number(i64::from(value).into())
            }
        }
    )*};
}
from_integer!(i8 i16 i32 i64 u8 u16 u32);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Number(value.into())
    }
}

/// A double that is not finite becomes null, as in JSON.
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Number::from_f64(value).map_or(Value::Null, Value::Number)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value.into())
    }
}

impl From<Number> for Value {
    fn from(value: Number) -> Self {
        Value::Number(value)
    }
}

impl From<ComponentId> for Value {
    fn from(value: ComponentId) -> Self {
        Value::Ref(value)
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Value::Map(value)
    }
}

impl<V: Into<Value>> From<Vec<V>> for Value {
    fn from(value: Vec<V>) -> Self {
        Value::List(value.into_iter().map(Into::into).collect())
    }
}
