//! A value as a flat row of tokens, and back, without recursing.

use std::collections::HashMap;

use flow_history_flow::{ComponentId, Flow, Map, Name, Number, SecretRef, Slot, Value};

use crate::canonical::{Token, ValueBytes};
use crate::log_index::Before;

/// Slots to ids and back: those of what is before a change, and those that the change gives out on the way.
pub(crate) struct Refs<'f, B> {
    before: &'f B,
    /// The slots that were given out for the first time, one after the other from here on.
    first: u32,
    new: Vec<ComponentId>,
    again: HashMap<u32, ComponentId>,
}

impl<'f, B: Before> Refs<'f, B> {
    pub(crate) fn of(before: &'f B) -> Self {
        Self { before, first: before.next_slot().0, new: Vec::new(), again: HashMap::new() }
    }

    /// Notes which component was added, to the next slot or to an old one.
    pub(crate) fn added(&mut self, slot: Option<Slot>, id: &ComponentId) {
        let next = self.first.saturating_add(u32::try_from(self.new.len()).unwrap_or(u32::MAX));
        let slot = slot.map_or(next, |slot| slot.0);
        match self.place(slot).and_then(|place| self.new.get_mut(place)) {
            Some(held) => *held = id.clone(),
            None if slot == next => self.new.push(id.clone()),
            None => drop(self.again.insert(slot, id.clone())),
        }
    }

    pub(crate) fn id(&self, slot: u32) -> Result<ComponentId, &'static str> {
        let new = self.place(slot).and_then(|place| self.new.get(place));
        let added = new.or_else(|| self.again.get(&slot)).cloned();
        added.or_else(|| self.before.id_in(Slot(slot))).ok_or("a slot is empty")
    }

    /// The place of a slot among those that were given out.
    fn place(&self, slot: u32) -> Option<usize> {
        slot.checked_sub(self.first).and_then(|place| usize::try_from(place).ok())
    }
}

/// The tokens of a value. References to components that exist are written by slot.
pub(crate) fn to_tokens<'v>(value: &'v Value, flow: &Flow) -> ValueBytes<'v> {
    let flat = |value: &'v Value| match value {
        Value::Null => Token::Null,
        Value::Bool(false) => Token::False,
        Value::Bool(true) => Token::True,
        Value::Number(number) => match (number.as_i64(), number.as_lexeme()) {
            (Some(integer), _) => Token::Integer(integer),
            (None, lexeme) => Token::Lexeme(lexeme.unwrap_or_default()),
        },
        Value::Text(text) => Token::Text(text),
        Value::Bytes(bytes) => Token::Bytes(bytes),
        Value::List(list) => Token::List(u32::try_from(list.len()).unwrap_or(u32::MAX)),
        Value::Map(map) => Token::Map(u32::try_from(map.len()).unwrap_or(u32::MAX)),
        Value::Ref(id) => match flow.slot(id) {
            Some(slot) => Token::Component(slot.0),
            None => Token::Nowhere(id),
        },
        Value::Secret(secret) => Token::Secret { id: secret.id, tag: secret.tag },
        // A kind of value that this encoding does not know cannot be built by this version of the library.
        _ => Token::Null,
    };
    if !matches!(value, Value::List(_) | Value::Map(_)) {
        return ValueBytes::Flat(flat(value));
    }
    let mut tokens = Vec::new();
    // What is still to be written, the next one last; a map's keys are written before their values.
    enum Pending<'v> {
        Value(&'v Value),
        Key(&'v Name),
    }
    let mut pending = vec![Pending::Value(value)];
    while let Some(next) = pending.pop() {
        match next {
            Pending::Key(key) => tokens.push(Token::Key(key)),
            Pending::Value(value) => {
                tokens.push(flat(value));
                match value {
                    Value::List(list) => pending.extend(list.iter().rev().map(Pending::Value)),
                    Value::Map(map) => {
                        for (key, value) in map.iter().rev() {
                            pending.push(Pending::Value(value));
                            pending.push(Pending::Key(key));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    ValueBytes::Nested(tokens)
}

/// The value of tokens, given what finds the id of the component in a slot.
pub(crate) fn from_tokens(
    tokens: &ValueBytes<'_>,
    id_of: impl Fn(u32) -> Result<ComponentId, &'static str>,
) -> Result<Value, String> {
    /// A list or map that is being filled; a map's key waits for its value.
    struct Open {
        missing: u32,
        list: Vec<Value>,
        map: Option<OpenMap>,
    }
    type OpenMap = (Vec<(Name, Value)>, Option<Name>);
    let mut open: Vec<Open> = Vec::new();
    for token in tokens.tokens() {
        let mut done = match *token {
            Token::Key(key) => {
                let waiting = open.last_mut().and_then(|open| open.map.as_mut()).map(|(_, key)| key);
                match waiting {
                    Some(waiting @ None) => *waiting = Some(Name::from(key)),
                    _ => return Err("a key stands where a value belongs".to_owned()),
                }
                continue;
            }
            Token::List(missing) if missing > 0 => {
                open.push(Open { missing, list: Vec::new(), map: None });
                continue;
            }
            Token::Map(missing) if missing > 0 => {
                open.push(Open { missing, list: Vec::new(), map: Some((Vec::new(), None)) });
                continue;
            }
            Token::List(_) => Value::List(Vec::new()),
            Token::Map(_) => Value::Map(Map::new()),
            Token::Null => Value::Null,
            Token::False => Value::Bool(false),
            Token::True => Value::Bool(true),
            Token::Integer(integer) => Value::Number(integer.into()),
            Token::Lexeme(text) => Value::Number(Number::parse(text).ok_or("a number is not one")?),
            Token::Text(text) => Value::Text(text.into()),
            Token::Bytes(bytes) => Value::Bytes(bytes.into()),
            Token::Component(slot) => Value::Ref(id_of(slot)?),
            Token::Nowhere(id) => Value::Ref(ComponentId::from(id)),
            Token::Secret { id, tag } => Value::Secret(SecretRef { id, tag }),
        };
        // A value that is complete completes whatever was waiting only for it.
        loop {
            let Some(around) = open.last_mut() else { return Ok(done) };
            match &mut around.map {
                Some((entries, key)) => {
                    entries.push((key.take().ok_or("a value stands where a key belongs")?, done));
                }
                None => around.list.push(done),
            }
            around.missing -= 1;
            if around.missing > 0 {
                break;
            }
            let Some(full) = open.pop() else { return Err("a value is incomplete".to_owned()) };
            done = match full.map {
                Some((entries, _)) => Value::Map(entries.into_iter().collect()),
                None => Value::List(full.list),
            };
        }
    }
    Err("a value is incomplete".to_owned())
}
