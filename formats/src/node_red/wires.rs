//! Which component each wire is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Flow, Order, ROOT_ID, Value, WIRE_KIND};

use super::names::{PORTS, wire_id};
use super::places::places;

/// Most output ports of an element; one with more keeps its `wires` as an ordinary field.
pub(crate) const PORTS_MAX: usize = 65_536;

/// The fields of a wire.
const FROM: &str = "from";
const PORT: &str = "port";
const TO: &str = "to";

/// Targets by output port.
pub(crate) type Ports = Vec<Vec<ComponentId>>;

/// A component that is a wire.
#[derive(Clone, Copy)]
pub(crate) struct Wire<'f> {
    pub(crate) component: &'f Arc<Component>,
    pub(crate) source: &'f str,
    pub(crate) port: usize,
    pub(crate) target: &'f str,
}

impl<'f> Wire<'f> {
    /// Reads a component as a wire; `None` where it lacks an end or its port is out of bounds. A wire without a port
    /// leaves the first.
    pub(crate) fn of(component: &'f Arc<Component>) -> Option<Self> {
        let end = |field| match component.get(field) {
            Some(Value::Ref(id)) => Some(id.as_str()),
            Some(Value::Text(id)) => Some(&**id),
            _ => None,
        };
        let source = end(FROM).or_else(|| component.parent.as_deref())?;
        let port = component.get(PORT).map_or(Some(0), |port| usize::try_from(port.as_i64()?).ok())?;
        (port < PORTS_MAX).then_some(Self { component, source, port, target: end(TO)? })
    }
}

/// Whether a component is a wire, well-formed or not.
pub(crate) fn is_wire(component: &Component) -> bool {
    component.kind == WIRE_KIND
}

/// The wires of a flow by the element that they leave, in order.
pub(crate) struct Wiring<'f>(HashMap<&'f str, Vec<Wire<'f>>>);

impl<'f> Wiring<'f> {
    pub(crate) fn of(wires: impl Iterator<Item = Wire<'f>>) -> Self {
        let mut by_source: HashMap<&str, Vec<Wire<'f>>> = HashMap::new();
        for wire in wires {
            by_source.entry(wire.source).or_default().push(wire);
        }
        for wires in by_source.values_mut() {
            wires.sort_unstable_by_key(|wire| (wire.port, &wire.component.order, &wire.component.id));
        }
        Self(by_source)
    }

    /// The wires that leave an element, by port and order.
    pub(crate) fn leaving(&self, source: &str) -> &[Wire<'f>] {
        self.0.get(source).map_or(&[], Vec::as_slice)
    }
}

/// The number of output ports that an element shows: as many as it says, and as its wires need; `None` where it shows no
/// wires at all.
pub(crate) fn ports_shown(said: Option<&Value>, highest: Option<usize>) -> Option<usize> {
    let said = said.and_then(Value::as_i64).and_then(|ports| usize::try_from(ports).ok());
    let needed = highest.map(|port| port + 1);
    said.max(needed)
}

/// What an import puts into `$wires`: what was there, where it showed as many ports before and does so still.
pub(crate) fn ports_said(ports: &Ports, held: Option<&Component>, held_wires: &[Wire<'_>]) -> Option<Value> {
    let shown = Some(ports.len());
    let said = held.and_then(|held| held.get(PORTS));
    let highest_before = held_wires.last().map(|wire| wire.port);
    let highest_now = ports.iter().rposition(|targets| !targets.is_empty());
    if held.is_some() && ports_shown(said, highest_before) == shown && ports_shown(said, highest_now) == shown
    {
        return said.cloned();
    }
    u32::try_from(ports.len()).ok().map(Value::from)
}

/// The wires of a document as components: each the one that it was in the flow before, or a new one.
///
/// `taken` holds the ids of the elements; those of the wires come to it.
pub(crate) fn components<'e>(
    elements: impl Iterator<Item = (&'e ComponentId, &'e Ports)>,
    before: &Wiring<'_>,
    taken: &mut HashSet<ComponentId>,
) -> Vec<Arc<Component>> {
    let is_element = taken.clone();
    let mut found: Vec<(&ComponentId, usize, Vec<_>)> = Vec::new();
    for (source, ports) in elements {
        let mut held: HashMap<(usize, &str), VecDeque<&Arc<Component>>> = HashMap::new();
        for wire in before.leaving(source) {
            if !is_element.contains(&wire.component.id) {
                held.entry((wire.port, wire.target)).or_default().push_back(wire.component);
            }
        }
        for (port, targets) in ports.iter().enumerate() {
            let targets: Vec<(&ComponentId, Option<&Arc<Component>>)> = targets
                .iter()
                .map(|target| (target, held.get_mut(&(port, target.as_str())).and_then(VecDeque::pop_front)))
                .collect();
            taken.extend(targets.iter().filter_map(|(_, held)| held.map(|held| held.id.clone())));
            found.push((source, port, targets));
        }
    }

    // Only now, when every id that is kept is known, do new wires get theirs.
    let mut components = Vec::new();
    for (source, port, targets) in found {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut id_of = |target: &'e ComponentId| loop {
            let count = counts.entry(target).or_default();
            *count += 1;
            let id = wire_id(source, port, target, *count);
            if taken.insert(id.clone()) {
                return id;
            }
        };
        let ids: Vec<ComponentId> = targets
            .iter()
            .map(|(target, held)| held.map_or_else(|| id_of(target), |held: &Arc<Component>| held.id.clone()))
            .collect();
        let sequence: Vec<(&ComponentId, Option<&Order>)> =
            ids.iter().zip(&targets).map(|(id, (_, held))| (id, held.map(|held| &held.order))).collect();
        for (order, (id, (target, held))) in places(&sequence).into_iter().zip(ids.iter().zip(&targets)) {
            components.push(match held {
                Some(held) => kept(held, source, order, &is_element),
                None => Arc::new(drawn(id, source, port, target).at(order)),
            });
        }
    }
    components
}

fn drawn(id: &ComponentId, source: &ComponentId, port: usize, target: &ComponentId) -> Component {
    Component::new(id, WIRE_KIND)
        .inside(source)
        .field(FROM, source.clone())
        .field(PORT, u32::try_from(port).unwrap_or(u32::MAX))
        .field(TO, target.clone())
}

/// A wire that was there before, at its place now; what contained it may be gone.
fn kept(
    held: &Arc<Component>,
    source: &ComponentId,
    order: Order,
    is_element: &HashSet<ComponentId>,
) -> Arc<Component> {
    let stays = held.parent.as_ref().is_none_or(|parent| is_element.contains(parent) || *parent == ROOT_ID);
    if stays && held.order == order {
        return Arc::clone(held);
    }
    let mut wire = Component::clone(held);
    wire.order = order;
    if !stays {
        wire.parent = Some(source.clone());
    }
    Arc::new(wire)
}

/// The wires of a flow, well-formed ones only.
pub(crate) fn wires_of(flow: &Flow) -> Wiring<'_> {
    Wiring::of(flow.iter().map(|(_, component)| component).filter(|c| is_wire(c)).filter_map(Wire::of))
}
