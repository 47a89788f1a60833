//! A flow to a document.

use flow_history_flow::{Component, ComponentId, Flow, NESTING_MAX, Name, ROOT_ID, Value};
use serde_json::value::RawValue;

use super::error::{ExportError, ExportErrorKind};
use super::layout::{Key, Shown, keys};
use super::names::{ELEMENT, JSON, LAYOUT, PORTS, is_verbatim, type_of};
use super::wires::{PORTS_MAX, Wire, Wiring, is_wire, ports_shown};
use crate::json::{self, Unwritable, Writer};

/// How a document is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Layout {
    /// `JSON.stringify(x)`: what Node-RED computes its revision from.
    #[default]
    Compact,
    /// `JSON.stringify(x, null, 4)`: what Node-RED writes where `flowFilePretty` is set.
    Pretty,
}

/// Returns the document of a flow: the text that JavaScript would write.
///
/// Components stand by their order keys; what no document shows is left out (see the [module](super)). Costs O(n log n)
/// in components and a copy of their text.
///
/// # Errors
/// [`ExportError`] where a component would lose something that is not left out as a rule; never for a flow of
/// [`to_flow`](super::to_flow).
pub fn to_document(flow: &Flow, layout: Layout) -> Result<String, ExportError> {
    let wires: Vec<Wire<'_>> = flow
        .iter()
        .filter(|(_, component)| is_wire(component))
        .map(|(_, component)| Wire::of(component).ok_or_else(|| error(&component.id, ExportErrorKind::Wire)))
        .collect::<Result<_, _>>()?;
    let wiring = Wiring::of(wires.into_iter());

    let mut writer = Writer::new(layout == Layout::Pretty);
    writer.open('[');
    for component in flow.in_order().iter().filter(|component| is_element(component)) {
        let wires = wiring.leaving(&component.id);
        let shown = ports_shown(component.get(PORTS), wires.last().map(|wire| wire.port));
        let ports = shown.map(|count| ports(&component.id, count, wires)).transpose()?;
        writer.member();
        write_element(component, ports.as_deref(), &mut writer)?;
    }
    writer.close(']');
    Ok(writer.finish())
}

/// Whether a component stands in the array of a document.
pub(crate) fn is_element(component: &Component) -> bool {
    !is_wire(component) && component.id != ROOT_ID
}

/// The targets of each port.
fn ports<'f>(id: &ComponentId, count: usize, wires: &[Wire<'f>]) -> Result<Vec<Vec<&'f str>>, ExportError> {
    if count > PORTS_MAX {
        return Err(error(id, ExportErrorKind::Ports { max: PORTS_MAX }));
    }
    let mut ports = vec![Vec::new(); count];
    for wire in wires {
        if let Some(targets) = ports.get_mut(wire.port) {
            targets.push(wire.target);
        }
    }
    Ok(ports)
}

/// Writes one element.
pub(crate) fn write_element(
    component: &Component,
    ports: Option<&[Vec<&str>]>,
    to: &mut Writer,
) -> Result<(), ExportError> {
    if is_verbatim(&component.kind, &component.fields) {
        return write_verbatim(component, to);
    }
    let parent = component.parent.as_ref().filter(|parent| **parent != ROOT_ID);
    let shown = Shown { parent: parent.is_some(), wires: ports.is_some() };
    to.open('{');
    for key in keys(&component.fields, shown, component.get(LAYOUT)) {
        to.key(key.name().as_bytes());
        match key {
            Key::Id => to.string(&component.id),
            Key::Type => to.string(type_of(&component.kind)),
            Key::Parent => to.string(parent.map(ComponentId::as_str).unwrap_or_default()),
            Key::Property(_, field, value) => {
                to.value(value).map_err(|reason| unwritable(component, field, &reason))?;
            }
            Key::Wires => {
                to.open('[');
                for targets in ports.unwrap_or_default() {
                    to.member();
                    to.open('[');
                    for target in targets {
                        to.member();
                        to.string(target);
                    }
                    to.close(']');
                }
                to.close(']');
            }
        }
    }
    to.close('}');
    Ok(())
}

fn write_verbatim(component: &Component, to: &mut Writer) -> Result<(), ExportError> {
    if let Some(value) = component.get(ELEMENT) {
        return to.value(value).map_err(|reason| unwritable(component, ELEMENT, &reason));
    }
    // The text came from a document, but anyone may have edited the field since.
    let text = component.get(JSON).and_then(Value::as_text).unwrap_or_default();
    let written = match json::deeper_than(text, NESTING_MAX + 1) {
        None => serde_json::from_str::<&RawValue>(text).and_then(|raw| json::rewrite(raw, to)).is_ok(),
        Some(_) => false,
    };
    if written { Ok(()) } else { Err(error(&component.id, ExportErrorKind::Verbatim)) }
}

fn unwritable(component: &Component, field: &str, reason: &Unwritable) -> ExportError {
    let field = Name::from(field);
    let kind = match reason {
        Unwritable::Secret => ExportErrorKind::Secret { field },
        Unwritable::Bytes => ExportErrorKind::Bytes { field },
    };
    error(&component.id, kind)
}

fn error(id: &ComponentId, kind: ExportErrorKind) -> ExportError {
    ExportError { id: id.clone(), kind }
}
