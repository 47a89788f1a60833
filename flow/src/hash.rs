//! State hashes: same content, same hash, whatever the history.

use std::fmt;

use crate::{Component, Facet, FacetTable, Flow, Map, Value};

/// A BLAKE3 hash of a flow's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash(pub [u8; 32]);

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Flow {
    /// The hash of everything: (id, component hash) in order of ids. O(n log n).
    #[must_use]
    pub fn state_hash(&self) -> StateHash {
        self.hash_with(Component::content_hash)
    }

    /// The hash of what the flow does, by the facet table of this version: kinds, parents and fields of the facet
    /// config. Dragging, starting and stopping leave it alone.
    #[must_use]
    pub fn config_hash(&self) -> StateHash {
        let table = FacetTable::of(self);
        self.hash_with(|component| {
            let fields = component
                .fields
                .iter()
                .filter(|(field, _)| table.facet(&component.kind, field) == Facet::Config)
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            let order = crate::Order::default();
            Component { fields, order, ..component.clone() }.content_hash()
        })
    }

    fn hash_with(&self, component_hash: impl Fn(&Component) -> StateHash) -> StateHash {
        let mut components: Vec<_> = self.iter().map(|(_, component)| component).collect();
        components.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let mut hasher = blake3::Hasher::new();
        for component in components {
            write_text(&mut hasher, &component.id);
            hasher.update(&component_hash(component).0);
        }
        StateHash(hasher.finalize().into())
    }
}

impl Component {
    /// The hash of one component: id, kind, parent, order and fields.
    #[must_use]
    pub fn content_hash(&self) -> StateHash {
        let mut hasher = blake3::Hasher::new();
        write_text(&mut hasher, &self.id);
        write_text(&mut hasher, &self.kind);
        match &self.parent {
            None => drop(hasher.update(&[0])),
            Some(parent) => {
                hasher.update(&[1]);
                write_text(&mut hasher, parent);
            }
        }
        write_bytes(&mut hasher, self.order.as_bytes());
        write_map(&mut hasher, &self.fields);
        StateHash(hasher.finalize().into())
    }
}

// The bytes that are hashed: each value by a tag, then its content with every length in front, so that no two contents
// have the same bytes.

fn write_length(hasher: &mut blake3::Hasher, length: usize) {
    hasher.update(&(length as u64).to_le_bytes());
}

fn write_bytes(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    write_length(hasher, bytes.len());
    hasher.update(bytes);
}

fn write_text(hasher: &mut blake3::Hasher, text: &str) {
    write_bytes(hasher, text.as_bytes());
}

fn write_map(hasher: &mut blake3::Hasher, map: &Map) {
    write_length(hasher, map.len());
    for (key, value) in map.iter() {
        write_text(hasher, key);
        write_value(hasher, value);
    }
}

/// Recurses at most as deep as values may be nested.
fn write_value(hasher: &mut blake3::Hasher, value: &Value) {
    match value {
        Value::Null => drop(hasher.update(&[0])),
        Value::Bool(value) => drop(hasher.update(&[1, u8::from(*value)])),
        Value::Number(number) => {
            hasher.update(&[2]);
            write_text(hasher, &number.to_string());
        }
        Value::Text(text) => {
            hasher.update(&[3]);
            write_text(hasher, text);
        }
        Value::Bytes(bytes) => {
            hasher.update(&[4]);
            write_bytes(hasher, bytes);
        }
        Value::List(list) => {
            hasher.update(&[5]);
            write_length(hasher, list.len());
            list.iter().for_each(|value| write_value(hasher, value));
        }
        Value::Map(map) => {
            hasher.update(&[6]);
            write_map(hasher, map);
        }
        Value::Ref(id) => {
            hasher.update(&[7]);
            write_text(hasher, id);
        }
        Value::Secret(secret) => {
            // The tag, not the sealed file's name: sealing the same secret anew is not a change.
            hasher.update(&[8]);
            hasher.update(&secret.tag);
        }
    }
}
