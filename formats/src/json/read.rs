//! Text to levels and values.
//!
//! A document is read level by level: `serde_json` finds where each member of an array or object begins and ends without
//! recursing, and each is looked at when its turn comes. That keeps the lexeme of every number, costs no stack in
//! proportion to what a sender nests, and reads a text once per level of nesting, which is why nesting is bounded first.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use flow_history_flow::{NAME_BYTES_MAX, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Writer, in_javascript_order, number};

/// One value with its members still unread.
pub(crate) enum Level<'t> {
    Null,
    Bool(bool),
    /// The lexeme as it stands.
    Number(&'t str),
    /// WTF-8.
    Text(Cow<'t, [u8]>),
    List(Vec<&'t RawValue>),
    /// In the order of JavaScript, each key once. Keys are WTF-8.
    Map(Vec<Entry<'t>>),
}

/// Reads one level.
pub(crate) fn level(raw: &RawValue) -> Result<Level<'_>, serde_json::Error> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Level::Null,
        Some(b't') => Level::Bool(true),
        Some(b'f') => Level::Bool(false),
        Some(b'"') => Level::Text(serde_json::from_str::<Wtf8<'_>>(text)?.0),
        Some(b'[') => Level::List(serde_json::from_str(text)?),
        Some(b'{') => Level::Map(serde_json::from_str::<Entries<'_>>(text)?.0),
        _ => Level::Number(text),
    })
}

/// Reads a whole value of at most so many levels of lists and maps; `None` where the model cannot hold it: nested
/// deeper, or with a key that is over the limit or not Unicode.
pub(crate) fn value(raw: &RawValue, levels: usize) -> Result<Option<Value>, serde_json::Error> {
    Ok(Some(match level(raw)? {
        Level::Null => Value::Null,
        Level::Bool(value) => Value::Bool(value),
        Level::Number(lexeme) => number::from_lexeme(lexeme),
        Level::Text(text) => match std::str::from_utf8(&text) {
            Ok(text) => Value::from(text),
            Err(_) => Value::Bytes(text.as_ref().into()),
        },
        Level::List(_) | Level::Map(_) if levels == 0 => return Ok(None),
        Level::List(members) => {
            let mut list = Vec::with_capacity(members.len());
            for member in members {
                let Some(value) = value(member, levels - 1)? else { return Ok(None) };
                list.push(value);
            }
            Value::List(list)
        }
        Level::Map(entries) => {
            let mut map = Vec::with_capacity(entries.len());
            for (key, member) in entries {
                let Some(key) = name(&key) else { return Ok(None) };
                let Some(value) = value(member, levels - 1)? else { return Ok(None) };
                map.push((key.to_owned(), value));
            }
            Value::Map(map.into_iter().collect())
        }
    }))
}

/// A key as a name of the model, where it is one.
fn name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key).ok().filter(|key| key.len() <= NAME_BYTES_MAX)
}

/// Writes a value as JavaScript would, whether or not the model could hold it.
pub(crate) fn rewrite(raw: &RawValue, to: &mut Writer) -> Result<(), serde_json::Error> {
    match level(raw)? {
        Level::Null => to.literal("null"),
        Level::Bool(value) => to.literal(if value { "true" } else { "false" }),
        Level::Number(lexeme) => match number::from_lexeme(lexeme) {
            Value::Number(number) => to.literal(&number.to_string()),
            _ => to.literal("null"),
        },
        Level::Text(text) => to.wtf8(&text),
        Level::List(members) => {
            to.open('[');
            for member in members {
                to.member();
                rewrite(member, to)?;
            }
            to.close(']');
        }
        Level::Map(entries) => {
            to.open('{');
            for (key, member) in entries {
                to.key(&key);
                rewrite(member, to)?;
            }
            to.close('}');
        }
    }
    Ok(())
}

/// Where a text first nests deeper than so many levels, as an offset in bytes; any text at all may be asked about.
pub(crate) fn deeper_than(text: &str, levels: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > levels {
                    return Some(at);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A string as the bytes it stands for. Asked for bytes, `serde_json` encodes a lone surrogate instead of refusing it.
struct Wtf8<'t>(Cow<'t, [u8]>);

impl<'t> Deserialize<'t> for Wtf8<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'t> Visitor<'t> for Bytes {
            type Value = Wtf8<'t>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_bytes<E>(self, bytes: &'t [u8]) -> Result<Wtf8<'t>, E> {
                Ok(Wtf8(Cow::Borrowed(bytes)))
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wtf8<'t>, E> {
                Ok(Wtf8(Cow::Owned(bytes.to_vec())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The entries of an object as JavaScript keeps them.
struct Entries<'t>(Vec<Entry<'t>>);

impl<'t> Deserialize<'t> for Entries<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'t> Visitor<'t> for Object {
            type Value = Entries<'t>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Entries<'t>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Wtf8(key), raw)) = map.next_entry::<Wtf8<'t>, &'t RawValue>()? {
                    entries.push((key, raw));
                }
                let mut entries = each_key_once(entries);
                in_javascript_order(&mut entries, |(key, _)| key);
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

type Entry<'t> = (Cow<'t, [u8]>, &'t RawValue);

/// The last value of each key, at the place of the first.
fn each_key_once(entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    // Objects have a dozen keys, which are compared sooner than hashed.
    if entries.len() <= 32 {
        let differs =
            |(at, (key, _)): (usize, &Entry<'_>)| entries.iter().take(at).all(|(other, _)| other != key);
        if entries.iter().enumerate().all(differs) {
            return entries;
        }
    }
    let mut places = HashMap::with_capacity(entries.len());
    let mut once: Vec<Entry<'_>> = Vec::with_capacity(entries.len());
    for (key, raw) in entries {
        let next = once.len();
        let at = *places.entry(key.clone()).or_insert(next);
        match once.get_mut(at) {
            Some(held) => held.1 = raw,
            None => once.push((key, raw)),
        }
    }
    once
}
