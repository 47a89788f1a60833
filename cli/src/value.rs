//! A value on one line, and as JSON. Secrets show in neither.

use std::fmt::Write as _;

use flow_history::{Component, Value};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::escape::escape;

/// What stands for a secret.
pub(crate) const SECRET: &str = "(secret)";
/// Longest value on a line, in characters.
const SHORT_CHARACTERS: usize = 100;

/// Whether a value is a secret: a reference into the vault, or what NiFi writes for a sensitive property.
pub(crate) fn is_secret(value: &Value) -> bool {
    match value {
        Value::Secret(_) => true,
        Value::Text(text) => text.starts_with("enc{") && text.ends_with('}'),
        _ => false,
    }
}

/// A value on one line, cut where it is long.
pub(crate) fn short(value: &Value) -> String {
    short_to(value, SHORT_CHARACTERS)
}

/// A value on one line, cut where it has more characters than this.
pub(crate) fn short_to(value: &Value, characters: usize) -> String {
    let mut text = String::new();
    write_short(value, &mut text);
    if text.chars().count() <= characters {
        return text;
    }
    let kept: String = text.chars().take(characters).collect();
    format!("{kept}... ({} characters)", text.chars().count())
}

fn write_short(value: &Value, text: &mut String) {
    // Whoever reads a line needs no megabyte of it; the count of characters is then that of what was looked at.
    if text.len() > 64 << 10 {
        return;
    }
    match value {
        secret if is_secret(secret) => text.push_str(SECRET),
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(text, "{number}");
        }
        Value::Text(value) => {
            let _ = write!(text, "\"{}\"", escape(value));
        }
        Value::Bytes(bytes) => {
            let _ = write!(text, "({} bytes)", bytes.len());
        }
        Value::List(list) => {
            text.push('[');
            for (at, value) in list.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { ", " });
                write_short(value, text);
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push('{');
            for (at, (key, value)) in map.iter().enumerate() {
                let _ = write!(text, "{}{}: ", if at == 0 { "" } else { ", " }, escape(key));
                write_short(value, text);
            }
            text.push('}');
        }
        Value::Ref(id) => {
            let _ = write!(text, "-> {}", escape(id));
        }
        _ => text.push('?'),
    }
}

/// A value as JSON: numbers with their lexemes, keys in their order; what JSON lacks is an object with one key that
/// begins with `$`.
pub(crate) struct Json<'v>(pub(crate) &'v Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            secret if is_secret(secret) => one(to, "$secret", &true),
            Value::Bool(value) => to.serialize_bool(*value),
            Value::Number(number) => match RawValue::from_string(number.to_string()) {
                Ok(lexeme) => lexeme.serialize(to),
                Err(_) => to.serialize_f64(number.as_f64()),
            },
            Value::Text(text) => to.serialize_str(text),
            Value::Bytes(bytes) => {
                one(to, "$bytes", &bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            Value::List(list) => {
                let mut seq = to.serialize_seq(Some(list.len()))?;
                list.iter().try_for_each(|value| seq.serialize_element(&Json(value)))?;
                seq.end()
            }
            Value::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| map.serialize_entry(key.as_str(), &Json(value)))?;
                map.end()
            }
            Value::Ref(id) => one(to, "$ref", &id.as_str()),
            _ => to.serialize_unit(),
        }
    }
}

fn one<S: Serializer>(to: S, key: &str, value: &impl Serialize) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

/// A component as JSON.
#[derive(Serialize)]
pub(crate) struct JsonComponent<'c> {
    id: &'c str,
    kind: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'c str>,
    fields: Fields<'c>,
}

struct Fields<'c>(&'c Component);

impl<'c> JsonComponent<'c> {
    pub(crate) fn of(component: &'c Component) -> Self {
        let parent = component.parent.as_ref().map(flow_history::ComponentId::as_str);
        Self { id: &component.id, kind: &component.kind, parent, fields: Fields(component) }
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.fields.len()))?;
        let mut fields = self.0.fields.iter();
        fields.try_for_each(|(name, value)| map.serialize_entry(name.as_str(), &Json(value)))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use flow_history::{Map, Number, Value};

    use super::{Json, short};

    #[test]
    fn json_keeps_lexemes_and_the_order_of_keys() {
        let map: Map =
            [("b", Value::Number(Number::parse("1e400").unwrap())), ("a", Value::Null)].into_iter().collect();
        assert_eq!(serde_json::to_string(&Json(&map.into())).unwrap(), r#"{"b":1e400,"a":null}"#);
    }

    #[test]
    fn secrets_do_not_show() {
        let list = Value::from(vec!["enc{0123}", "open"]);
        assert_eq!(short(&list), r#"[(secret), "open"]"#);
        assert_eq!(serde_json::to_string(&Json(&list)).unwrap(), r#"[{"$secret":true},"open"]"#);
    }

    #[test]
    fn long_values_are_cut_and_controls_escaped() {
        assert_eq!(short(&"a\u{1b}b".into()), r#""a\u{1b}b""#);
        assert!(short(&"x".repeat(5_000).into()).ends_with("... (5002 characters)"));
    }
}
