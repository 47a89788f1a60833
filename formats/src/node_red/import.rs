//! A document to a flow.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Flow, NESTING_MAX, Operation, Order, ROOT_ID, Reason};
use serde_json::value::RawValue;

use super::element::{Content, Element, Naming};
use super::error::{DocumentError, DocumentErrorKind};
use super::export::is_element;
use super::places::places;
use super::wires::{self, wires_of};
use crate::json::{self, Level};

/// Deepest nesting of a document: a value as deep as the model allows, in an element, in the array.
const LEVELS_MAX: usize = NESTING_MAX + 2;

/// Returns the flow of a document, given the flow of the version before it: an empty one for the first.
///
/// `base` decides what stays the same component: elements keep their order keys where they keep their order, wires keep
/// their ids, and what no document shows is carried over, so that the operations between the two are few. The document
/// of `base` itself gives a flow equal to `base`. A byte order mark is dropped, as Node-RED does.
///
/// Reads the text once per level of nesting, and visits every component of `base`.
///
/// # Errors
/// [`DocumentError`] with the line and column: where the text is empty, not UTF-8, not JSON, not an array, or nested
/// deeper than a component can hold, and at an element that is over another limit of the model.
pub fn to_flow(text: &[u8], base: &Flow) -> Result<Flow, DocumentError> {
    let text = text.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(text);
    let members = members(text)?;
    let mut naming = Naming::default();
    let elements: Vec<Element> = members
        .iter()
        .map(|raw| naming.read(raw).map_err(|error| unread(text, offset(text, raw), &error)))
        .collect::<Result<_, _>>()?;
    let mut taken: HashSet<ComponentId> = elements.iter().map(|element| element.id.clone()).collect();
    let held_wires = wires_of(base);
    let wires = wires::components(elements.iter().filter_map(with_ports), &held_wires, &mut taken);
    let (inside, parents_first) = parents(&elements);
    let orders = orders(&elements, base);

    let mut components: Vec<Option<Arc<Component>>> = Vec::with_capacity(elements.len());
    for ((element, parent), order) in elements.into_iter().zip(inside).zip(orders) {
        let held = base.component(&element.id).filter(|held| is_element(held));
        let leaving = held_wires.leaving(&element.id);
        let component = element.component(parent, order, held, leaving);
        components.push(Some(component));
    }

    let mut flow = Flow::new();
    let over_limit =
        |offset, reason| DocumentError::at(text, offset, DocumentErrorKind::OverLimit { reason });
    if let Some(root) = base.component(ROOT_ID) {
        add(&mut flow, Arc::clone(root)).map_err(|reason| over_limit(0, reason))?;
    }
    for at in parents_first {
        if let (Some(component), Some(raw)) = (components.get_mut(at).and_then(Option::take), members.get(at))
        {
            add(&mut flow, component).map_err(|reason| over_limit(offset(text, raw), reason))?;
        }
    }
    for wire in wires {
        add(&mut flow, wire).map_err(|reason| over_limit(0, reason))?;
    }
    Ok(flow)
}

/// The elements of a document, unread.
fn members(text: &[u8]) -> Result<Vec<&RawValue>, DocumentError> {
    let fails = |offset, kind| Err(DocumentError::at(text, offset, kind));
    let utf8 = match std::str::from_utf8(text) {
        Ok(utf8) => utf8,
        Err(error) => return fails(error.valid_up_to(), DocumentErrorKind::NotUtf8),
    };
    if utf8.trim_ascii().is_empty() {
        return fails(0, DocumentErrorKind::Empty);
    }
    // All of it is checked here; what is read further down is known to be JSON.
    let whole: &RawValue = serde_json::from_str(utf8).map_err(|error| DocumentError::syntax(text, &error))?;
    if let Some(offset) = json::deeper_than(utf8, LEVELS_MAX) {
        return fails(offset, DocumentErrorKind::NestedTooDeep { max: LEVELS_MAX });
    }
    let start = offset(text, whole);
    let found = match json::level(whole).map_err(|error| unread(text, start, &error))? {
        Level::List(members) => return Ok(members),
        Level::Map(entries) if entries.iter().any(|(key, _)| &**key == b"flows") => {
            return fails(start, DocumentErrorKind::FlowsObject);
        }
        Level::Map(_) => "an object",
        Level::Text(_) => "a string",
        Level::Number(_) => "a number",
        Level::Bool(_) => "true or false",
        Level::Null => "null",
    };
    fails(start, DocumentErrorKind::NotAnArray { found })
}

/// Where in the text a part of it begins.
fn offset(text: &[u8], raw: &RawValue) -> usize {
    raw.get().as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

/// The error of a part that was checked before, and so should not occur.
fn unread(text: &[u8], offset: usize, error: &serde_json::Error) -> DocumentError {
    DocumentError::at(text, offset, DocumentErrorKind::Syntax { reason: error.to_string() })
}

fn with_ports(element: &Element) -> Option<(&ComponentId, &wires::Ports)> {
    match &element.content {
        Content::Named(named) => Some((&element.id, named.ports.as_ref()?)),
        Content::Verbatim(_) => None,
    }
}

/// The parent of each element, and an order of the elements in which parents come first.
///
/// Elements that are in each other's circle, or inside of one that is, have no parent: their `z` stays a property.
fn parents(elements: &[Element]) -> (Vec<Option<ComponentId>>, Vec<usize>) {
    let ids: HashSet<&ComponentId> = elements.iter().map(|element| &element.id).collect();
    let parent = |element: &Element| match &element.content {
        Content::Named(named) => named.z.clone().filter(|z| ids.contains(z)),
        Content::Verbatim(_) => None,
    };
    let mut inside: Vec<Option<ComponentId>> = elements.iter().map(parent).collect();

    let mut children: HashMap<Option<&ComponentId>, Vec<usize>> = HashMap::new();
    for (at, parent) in inside.iter().enumerate() {
        children.entry(parent.as_ref()).or_default().push(at);
    }
    let mut order = children.remove(&None).unwrap_or_default();
    let mut next = 0;
    while let Some(element) = order.get(next).and_then(|at| elements.get(*at)) {
        order.extend(children.remove(&Some(&element.id)).into_iter().flatten());
        next += 1;
    }

    let reached: HashSet<usize> = order.iter().copied().collect();
    for (at, parent) in inside.iter_mut().enumerate().filter(|(at, _)| !reached.contains(at)) {
        *parent = None;
        order.push(at);
    }
    (inside, order)
}

/// The order key of each element.
fn orders(elements: &[Element], base: &Flow) -> Vec<Order> {
    let held = |id| base.component(id).filter(|held| is_element(held)).map(|held| &held.order);
    let sequence: Vec<_> = elements.iter().map(|element| (&element.id, held(&element.id))).collect();
    places(&sequence)
}

fn add(flow: &mut Flow, component: Arc<Component>) -> Result<(), Reason> {
    flow.apply(&Operation::Add { component, slot: None }).map(drop).map_err(|misfit| misfit.reason)
}
