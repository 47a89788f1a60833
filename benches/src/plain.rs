//! Changes and flows in plain structures, with plain bytes: what a competent user of a store would write, and what the
//! harness compares all systems by.

use std::collections::HashMap;

use flow_history::{Component, Edit, Operation, Value};

use crate::peers::{Failure, Outcome, broken};
use crate::{STREAM_BEGINS, Step};

/// What a field holds in the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainValue {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
}

/// A component, its fields by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainComponent {
    /// What it is.
    pub kind: String,
    /// The component that it is inside of; empty for none.
    pub parent: String,
    /// Its fields, sorted by name.
    pub fields: Vec<(String, PlainValue)>,
}

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlainOperation {
    /// A component that was not there.
    Add(String, PlainComponent),
    /// One field of a component.
    Set(String, String, PlainValue),
    /// A component is no more.
    Remove(String),
}

/// A change with who and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainChange {
    /// Which of the five authors.
    pub author: u8,
    /// When, in milliseconds since 1970.
    pub millis: i64,
    /// What.
    pub operations: Vec<PlainOperation>,
}

/// Components by id.
pub type PlainFlow = HashMap<String, PlainComponent>;

/// A change as every system gets it: ours as it stands in the stream, the others' in plain structures. Making either is
/// not what is measured.
#[derive(Clone, Debug)]
pub struct Change {
    /// As the stream has it.
    pub step: Step,
    /// The same in plain structures.
    pub plain: PlainChange,
}

/// The changes of a stream.
pub fn changes_of(steps: impl Iterator<Item = Step>) -> impl Iterator<Item = Change> {
    let mut millis = STREAM_BEGINS;
    steps.map(move |step| {
        millis += i64::from(step.gap_millis);
        let operations = step.operations.iter().filter_map(plain_operation).collect();
        let plain = PlainChange { author: step.author, millis, operations };
        Change { step, plain }
    })
}

fn plain_value(value: &Value) -> PlainValue {
    match (value.as_text(), value.as_i64()) {
        (Some(text), _) => PlainValue::Text(text.to_owned()),
        (_, Some(number)) => PlainValue::Integer(number),
        _ => PlainValue::Text(format!("{value:?}")),
    }
}

/// A component of ours in plain structures.
#[must_use]
pub fn plain_component(component: &Component) -> PlainComponent {
    let mut fields: Vec<_> =
        component.fields.iter().map(|(name, value)| (name.to_string(), plain_value(value))).collect();
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    let parent = component.parent.as_ref().map(ToString::to_string).unwrap_or_default();
    PlainComponent { kind: component.kind.to_string(), parent, fields }
}

/// The streams add, remove, and put one field; nothing else has a plain form.
fn plain_operation(operation: &Operation) -> Option<PlainOperation> {
    match operation {
        Operation::Add { component, .. } => {
            Some(PlainOperation::Add(component.id.to_string(), plain_component(component)))
        }
        Operation::Remove { id } => Some(PlainOperation::Remove(id.to_string())),
        Operation::Set { id, path, edit: Edit::Put(value) } => {
            Some(PlainOperation::Set(id.to_string(), path.field.to_string(), plain_value(value)))
        }
        _ => None,
    }
}

impl PlainOperation {
    /// The component that it is about.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Add(id, _) | Self::Set(id, ..) | Self::Remove(id) => id,
        }
    }
}

impl PlainComponent {
    /// Puts a field.
    pub fn put(&mut self, field: &str, value: PlainValue) {
        match self.fields.binary_search_by(|(name, _)| name.as_str().cmp(field)) {
            Ok(at) => {
                if let Some(pair) = self.fields.get_mut(at) {
                    pair.1 = value;
                }
            }
            Err(at) => self.fields.insert(at, (field.to_owned(), value)),
        }
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&PlainValue> {
        let at = self.fields.binary_search_by(|(name, _)| name.as_str().cmp(field)).ok()?;
        self.fields.get(at).map(|(_, value)| value)
    }

    /// Its bytes.
    pub fn encode(&self, to: &mut Vec<u8>) {
        put_text(to, &self.kind);
        put_text(to, &self.parent);
        put_number(to, self.fields.len() as u64);
        for (name, value) in &self.fields {
            put_text(to, name);
            put_value(to, value);
        }
    }

    /// The component of bytes.
    ///
    /// # Errors
    /// [`Failure::Broke`] where they are of none.
    pub fn decode(bytes: &mut &[u8]) -> Outcome<Self> {
        let (kind, parent) = (take_text(bytes)?, take_text(bytes)?);
        let count = take_number(bytes)?;
        let fields = (0..count)
            .map(|_| Ok((take_text(bytes)?, take_value(bytes)?)))
            .collect::<Outcome<Vec<(String, PlainValue)>>>()?;
        Ok(Self { kind, parent, fields })
    }
}

impl PlainChange {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(64);
        to.push(self.author);
        to.extend_from_slice(&self.millis.to_le_bytes());
        put_number(&mut to, self.operations.len() as u64);
        for operation in &self.operations {
            match operation {
                PlainOperation::Add(id, component) => {
                    to.push(0);
                    put_text(&mut to, id);
                    component.encode(&mut to);
                }
                PlainOperation::Set(id, field, value) => {
                    to.push(1);
                    put_text(&mut to, id);
                    put_text(&mut to, field);
                    put_value(&mut to, value);
                }
                PlainOperation::Remove(id) => {
                    to.push(2);
                    put_text(&mut to, id);
                }
            }
        }
        to
    }

    /// The change of bytes.
    ///
    /// # Errors
    /// [`Failure::Broke`] where they are of none.
    pub fn decode(mut bytes: &[u8]) -> Outcome<Self> {
        let bytes = &mut bytes;
        let author = take(bytes, 1)?.first().copied().unwrap_or_default();
        let millis = i64::from_le_bytes(take(bytes, 8)?.try_into().map_err(broken)?);
        let count = take_number(bytes)?;
        let operations = (0..count)
            .map(|_| {
                let kind = take(bytes, 1)?.first().copied();
                let id = take_text(bytes)?;
                Ok(match kind {
                    Some(0) => PlainOperation::Add(id, PlainComponent::decode(bytes)?),
                    Some(1) => PlainOperation::Set(id, take_text(bytes)?, take_value(bytes)?),
                    _ => PlainOperation::Remove(id),
                })
            })
            .collect::<Outcome<Vec<PlainOperation>>>()?;
        Ok(Self { author, millis, operations })
    }

    /// Applies it to a flow.
    pub fn apply(&self, flow: &mut PlainFlow) {
        for operation in &self.operations {
            match operation {
                PlainOperation::Add(id, component) => {
                    flow.insert(id.clone(), component.clone());
                }
                PlainOperation::Set(id, field, value) => {
                    if let Some(component) = flow.get_mut(id) {
                        component.put(field, value.clone());
                    }
                }
                PlainOperation::Remove(id) => {
                    flow.remove(id);
                }
            }
        }
    }

    /// The change that takes it back, by what was there before it.
    #[must_use]
    pub fn inverse(&self, before: impl Fn(&str) -> Option<PlainComponent>) -> Self {
        let operations = self.operations.iter().rev().filter_map(|operation| match operation {
            PlainOperation::Add(id, _) => Some(PlainOperation::Remove(id.clone())),
            PlainOperation::Remove(id) => Some(PlainOperation::Add(id.clone(), before(id)?)),
            PlainOperation::Set(id, field, _) => {
                Some(PlainOperation::Set(id.clone(), field.clone(), before(id)?.get(field)?.clone()))
            }
        });
        Self { operations: operations.collect(), ..self.clone() }
    }

    /// The components that it touches, each once.
    #[must_use]
    pub fn touched(&self) -> Vec<&str> {
        let mut touched: Vec<&str> = self.operations.iter().map(PlainOperation::id).collect();
        if touched.len() > 1 {
            touched.sort_unstable();
            touched.dedup();
        }
        touched
    }
}

/// A flow, and the encoded changes that `read` gives, folded into it; also how many there were.
///
/// # Errors
/// What `read` says; where the bytes are no change.
pub fn folded(
    mut flow: PlainFlow,
    read: impl FnOnce(&mut dyn FnMut(&[u8]) -> Outcome<()>) -> Outcome<()>,
) -> Outcome<(PlainFlow, u64)> {
    let mut count = 0;
    read(&mut |bytes| {
        PlainChange::decode(bytes)?.apply(&mut flow);
        count += 1;
        Ok(())
    })?;
    Ok((flow, count))
}

/// A flow to bytes.
#[must_use]
pub fn encode_flow(flow: &PlainFlow) -> Vec<u8> {
    let mut to = Vec::with_capacity(flow.len() * 400);
    put_number(&mut to, flow.len() as u64);
    for (id, component) in flow {
        put_text(&mut to, id);
        component.encode(&mut to);
    }
    to
}

/// The flow of bytes.
///
/// # Errors
/// [`Failure::Broke`] where they are of none.
pub fn decode_flow(mut bytes: &[u8]) -> Outcome<PlainFlow> {
    let bytes = &mut bytes;
    let count = take_number(bytes)?;
    (0..count).map(|_| Ok((take_text(bytes)?, PlainComponent::decode(bytes)?))).collect()
}

/// The hash of what a flow holds: by it the harness compares what it reads back with what it wrote.
#[must_use]
pub fn flow_hash(flow: &PlainFlow) -> String {
    let mut ids: Vec<_> = flow.iter().collect();
    ids.sort_unstable_by_key(|(id, _)| *id);
    let mut bytes = Vec::new();
    for (id, component) in ids {
        put_text(&mut bytes, id);
        component.encode(&mut bytes);
    }
    blake3::hash(&bytes).to_hex().to_string()
}

fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    to.push(u8::try_from(number).unwrap_or_default());
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_number(to, text.len() as u64);
    to.extend_from_slice(text.as_bytes());
}

fn put_value(to: &mut Vec<u8>, value: &PlainValue) {
    match value {
        PlainValue::Text(text) => {
            to.push(0);
            put_text(to, text);
        }
        PlainValue::Integer(number) => {
            to.push(1);
            to.extend_from_slice(&number.to_le_bytes());
        }
    }
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Outcome<&'b [u8]> {
    let (taken, left) =
        bytes.split_at_checked(count).ok_or_else(|| Failure::Broke("bytes end too early".to_owned()))?;
    *bytes = left;
    Ok(taken)
}

fn take_number(bytes: &mut &[u8]) -> Outcome<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?.first().copied().unwrap_or_default();
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Ok(number)
}

fn take_text(bytes: &mut &[u8]) -> Outcome<String> {
    let count = usize::try_from(take_number(bytes)?).map_err(broken)?;
    String::from_utf8(take(bytes, count)?.to_vec()).map_err(broken)
}

fn take_value(bytes: &mut &[u8]) -> Outcome<PlainValue> {
    Ok(match take(bytes, 1)?.first() {
        Some(0) => PlainValue::Text(take_text(bytes)?),
        _ => PlainValue::Integer(i64::from_le_bytes(take(bytes, 8)?.try_into().map_err(broken)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::{PlainChange, PlainFlow, changes_of, decode_flow, encode_flow, flow_hash};
    use crate::{Editing, Uniform};

    #[test]
    fn changes_and_flows_come_back_from_their_bytes_and_an_inverse_leads_back() {
        let uniform = changes_of(Uniform::new(50, 500));
        let mut flow = PlainFlow::new();
        for change in uniform.chain(changes_of(Editing::new(200))).map(|change| change.plain) {
            assert_eq!(PlainChange::decode(&change.encode()).unwrap(), change);
            let before = flow.clone();
            change.apply(&mut flow);
            let mut back = flow.clone();
            change.inverse(|id| before.get(id).cloned()).apply(&mut back);
            assert_eq!(flow_hash(&back), flow_hash(&before));
        }
        assert_eq!(decode_flow(&encode_flow(&flow)).unwrap(), flow);
    }
}
