//! The order of an element's keys.
//!
//! Node-RED writes `id`, `type`, `z`, the properties, and `wires` right behind `y`. An element that deviates says so in
//! `$layout`, by neighbours rather than by numbers, so that adding or removing a property leaves it as it is.

use std::collections::HashMap;

use flow_history_flow::{Map, Value};

use super::names::property_of;
use crate::json::{in_javascript_order, is_array_index, list};

/// The keys that are no properties, in the order in which Node-RED writes them.
const ID: &str = "id";
const TYPE: &str = "type";
pub(crate) const Z: &str = "z";
pub(crate) const WIRES: &str = "wires";

/// The property behind which Node-RED writes the wires.
const BEFORE_WIRES: &str = "y";

/// One key of an element, and where its value is.
#[derive(Clone, Copy)]
pub(crate) enum Key<'c> {
    Id,
    Type,
    Parent,
    Wires,
    Property(&'c str, &'c str, &'c Value),
}

impl<'c> Key<'c> {
    /// The key as the document has it.
    pub(crate) fn name(&self) -> &'c str {
        match self {
            Key::Id => ID,
            Key::Type => TYPE,
            Key::Parent => Z,
            Key::Wires => WIRES,
            Key::Property(name, ..) => name,
        }
    }
}

/// What an element has besides its properties.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    /// `z` stands for the parent.
    pub(crate) parent: bool,
    /// `wires` stands for the wires.
    pub(crate) wires: bool,
}

/// The keys of an element in the order in which the document has them.
pub(crate) fn keys<'c>(fields: &'c Map, shown: Shown, layout: Option<&Value>) -> Vec<Key<'c>> {
    let properties: Vec<Key<'c>> = fields
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Secret(_)))
        .filter_map(|(field, value)| Some(Key::Property(property_of(field)?, field, value)))
        .filter(|key| {
            let name = key.name();
            name != ID && name != TYPE && !(name == Z && shown.parent) && !(name == WIRES && shown.wires)
        })
        .collect();

    let mut unplaced = vec![Key::Id, Key::Type];
    unplaced.extend(shown.parent.then_some(Key::Parent));
    unplaced.extend(shown.wires.then_some(Key::Wires));
    let is_there = |anchor: &str| properties.iter().any(|key| key.name() == anchor);
    let mut behind: HashMap<Option<&str>, Vec<Key<'c>>> = HashMap::new();
    for (anchor, run) in runs(layout) {
        if anchor.is_none_or(is_there) {
            for name in run {
                if let Some(at) = unplaced.iter().position(|key| key.name() == name) {
                    behind.entry(anchor).or_default().push(unplaced.remove(at));
                }
            }
        }
    }

    let wires = unplaced.iter().position(|key| matches!(key, Key::Wires)).map(|at| unplaced.remove(at));
    let wires_behind_y = wires.filter(|_| is_there(BEFORE_WIRES));
    let wires_last = wires.filter(|_| wires_behind_y.is_none());
    let mut keys = unplaced;
    keys.extend(behind.remove(&None).into_iter().flatten());
    for property in properties {
        keys.push(property);
        keys.extend(wires_behind_y.filter(|_| property.name() == BEFORE_WIRES));
        keys.extend(behind.remove(&Some(property.name())).into_iter().flatten());
    }
    keys.extend(wires_last);
    in_javascript_order(&mut keys, |key| key.name().as_bytes());
    keys
}

/// The layout under which an element's keys stand as a document has them: the one it had, if that still holds, or none,
/// or a new one.
pub(crate) fn layout_of(
    document: &[&str],
    fields: &Map,
    shown: Shown,
    held: Option<&Value>,
) -> Option<Value> {
    let holds = |layout: Option<&Value>| {
        keys(fields, shown, layout).iter().map(Key::name).eq(document.iter().copied())
    };
    if held.is_some() && holds(held) {
        return held.cloned();
    }
    if holds(None) { None } else { Some(written(document, shown)) }
}

/// The runs of a layout: what stands behind each property, or at the start. Anything else in it is passed over.
fn runs(layout: Option<&Value>) -> impl Iterator<Item = (Option<&str>, impl Iterator<Item = &str>)> {
    layout.and_then(list).into_iter().flatten().filter_map(|run| {
        let (anchor, run) = list(run)?.split_first()?;
        let anchor = match anchor {
            Value::Null => None,
            anchor => Some(anchor.as_text()?),
        };
        Some((anchor, run.iter().filter_map(Value::as_text)))
    })
}

/// The layout that says where each key stands.
fn written(document: &[&str], shown: Shown) -> Value {
    let mut runs: Vec<Vec<Value>> = Vec::new();
    let mut anchor = Value::Null;
    let mut open = false;
    for &name in document {
        let special = match name {
            ID | TYPE => true,
            Z => shown.parent,
            WIRES => shown.wires,
            _ => false,
        };
        // Indices stand first whatever a layout says, so nothing stands behind one of them.
        if !special && is_array_index(name) {
            continue;
        }
        if !special {
            anchor = name.into();
            open = false;
            continue;
        }
        match runs.last_mut() {
            Some(run) if open => run.push(name.into()),
            _ => runs.push(vec![anchor.clone(), name.into()]),
        }
        open = true;
    }
    runs.into()
}
