//! One element: read, named, made a component.

use std::collections::HashMap;
use std::sync::Arc;

use flow_history_flow::{Component, ComponentId, Map, NESTING_MAX, Name, Order, ROOT_ID, Value};
use serde_json::value::RawValue;

use super::export::write_element;
use super::layout::{Shown, WIRES, Z, layout_of};
use super::names::{
    ELEMENT, JSON, LAYOUT, PORTS, VERBATIM_KIND, content_id, field_of, is_hidden, is_usable_id, kind_of,
    repeated_id, stand_in_id,
};
use super::wires::{PORTS_MAX, Ports, Wire, ports_said, ports_shown};
use crate::json::{self, Level, Writer};

/// An element of a document.
pub(crate) struct Element {
    pub(crate) id: ComponentId,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Named(Named),
    /// Kept whole, in these fields.
    Verbatim(Map),
}

/// An element that the model can name.
pub(crate) struct Named {
    kind: Name,
    /// Its keys as the document has them, in order.
    keys: Vec<String>,
    /// Its properties as fields, `z` among them.
    fields: Vec<(Name, Value)>,
    /// Which element it says it is in; there need not be one.
    pub(crate) z: Option<ComponentId>,
    /// Its wires, where they are well-formed; otherwise they are among the fields.
    pub(crate) ports: Option<Ports>,
}

/// Names elements as they are read: which names have come, and how often.
#[derive(Default)]
pub(crate) struct Naming(HashMap<String, usize>);

impl Naming {
    /// Reads and names the next element of the document.
    pub(crate) fn read(&mut self, raw: &RawValue) -> Result<Element, serde_json::Error> {
        let entries = match json::level(raw)? {
            Level::Map(entries) => entries,
            _ => Vec::new(),
        };
        let own = match entries.iter().find(|(key, _)| &**key == b"id") {
            None => Vec::new(),
            Some((_, raw)) => match json::level(raw)? {
                Level::Null => Vec::new(),
                Level::Text(id) => id.into_owned(),
                _ => canonical(raw)?.into_bytes(),
            },
        };
        let is_text = entries.iter().any(|(key, raw)| &**key == b"id" && raw.get().starts_with('"'));
        if let Ok(id) = std::str::from_utf8(&own)
            && is_text
            && is_usable_id(id)
        {
            let count = self.count(id);
            if count > 1 {
                return Ok(Element { id: repeated_id(id, count), content: verbatim(raw)? });
            }
            let content = match named(&entries)? {
                Some(named) => Content::Named(named),
                None => verbatim(raw)?,
            };
            return Ok(Element { id: id.into(), content });
        }

        let id = if own.is_empty() { content_id(&canonical(raw)?) } else { stand_in_id(&own) };
        let id = match self.count(&id) {
            1 => id,
            count => format!("{id}/{count}"),
        };
        Ok(Element { id: id.into(), content: verbatim(raw)? })
    }

    /// How often a name has come, this time counted.
    fn count(&mut self, name: &str) -> usize {
        let count = self.0.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }
}

/// Reads the keys of an element; `None` where the model cannot hold one of them, or the type is no kind.
fn named(entries: &[(std::borrow::Cow<'_, [u8]>, &RawValue)]) -> Result<Option<Named>, serde_json::Error> {
    let (mut kind, mut z, mut ports) = (None, None, None);
    let mut keys = Vec::with_capacity(entries.len());
    let mut fields = Vec::with_capacity(entries.len());
    for (key, raw) in entries {
        let Ok(key) = std::str::from_utf8(key) else { return Ok(None) };
        let (Some(field), Some(value)) = (field_of(key), json::value(raw, NESTING_MAX)?) else {
            return Ok(None);
        };
        keys.push(key.to_owned());
        match key {
            "id" => continue,
            "type" => {
                kind = value.as_text().and_then(kind_of);
                continue;
            }
            WIRES => {
                ports = well_formed(&value);
                if ports.is_some() {
                    continue;
                }
            }
            Z => z = value.as_text().filter(|z| is_usable_id(z)).map(ComponentId::from),
            _ => {}
        }
        fields.push((field, value));
    }
    Ok(kind.map(|kind| Named { kind, keys, fields, z, ports }))
}

/// Wires as an array of arrays of ids, where they are that.
fn well_formed(wires: &Value) -> Option<Ports> {
    let target = |value: &Value| value.as_text().filter(|id| is_usable_id(id)).map(ComponentId::from);
    let ports = json::list(wires).filter(|ports| ports.len() <= PORTS_MAX)?;
    ports.iter().map(|targets| json::list(targets)?.iter().map(target).collect()).collect()
}

fn verbatim(raw: &RawValue) -> Result<Content, serde_json::Error> {
    let (field, value) = match json::value(raw, NESTING_MAX)? {
        Some(value) => (ELEMENT, value),
        None => (JSON, canonical(raw)?.into()),
    };
    Ok(Content::Verbatim([(field, value)].into_iter().collect()))
}

fn canonical(raw: &RawValue) -> Result<String, serde_json::Error> {
    let mut writer = Writer::new(false);
    json::rewrite(raw, &mut writer)?;
    Ok(writer.finish())
}

impl Element {
    /// The element as a component; the very one that it was before, where nothing of it changed.
    pub(crate) fn component(
        self,
        parent: Option<ComponentId>,
        order: Order,
        held: Option<&Arc<Component>>,
        held_wires: &[Wire<'_>],
    ) -> Arc<Component> {
        let mut component = match self.content {
            Content::Named(named) => {
                let mut component = Component::new(self.id, named.kind.clone());
                component.parent = parent;
                let held = held.filter(|held| held.kind == component.kind);
                named.fill(&mut component, held.map(Arc::as_ref), held_wires);
                component
            }
            Content::Verbatim(fields) => {
                let mut component = Component::new(self.id, VERBATIM_KIND);
                component.fields = fields;
                component
            }
        };
        component.order = order;
        match held {
            Some(held) if **held == component => Arc::clone(held),
            _ => Arc::new(component),
        }
    }
}

impl Named {
    /// Gives a component its fields, ours first, and what no document shows from the component it was before.
    fn fill(self, component: &mut Component, held: Option<&Component>, held_wires: &[Wire<'_>]) {
        let shown = Shown { parent: component.parent.is_some(), wires: self.ports.is_some() };
        let properties: Map =
            self.fields.into_iter().filter(|(field, _)| !(shown.parent && *field == Z)).collect();
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let layout = layout_of(&keys, &properties, shown, held.and_then(|held| held.get(LAYOUT)));
        let said = self.ports.as_ref().and_then(|ports| ports_said(ports, held, held_wires));

        let ours = [(PORTS, said), (LAYOUT, layout)];
        component.fields = ours
            .into_iter()
            .filter_map(|(field, value)| Some((Name::from(field), value?)))
            .chain(properties.iter().map(|(field, value)| (field.clone(), value.clone())))
            .collect();

        let Some(held) = held else { return };
        for (at, (field, value)) in held.fields.iter().enumerate() {
            if is_hidden(field, value) && component.get(field).is_none() {
                component.fields.place(at, field, value.clone());
            }
        }
        if component.parent.is_none() && held.parent.as_ref().is_some_and(|parent| *parent == ROOT_ID) {
            component.parent.clone_from(&held.parent);
        }
        // Whoever edits through the library may say the same otherwise, with a reference where the document has text.
        let highest = held_wires.last().map(|wire| wire.port);
        if component.fields != held.fields
            && component.parent == held.parent
            && component.get(PORTS) == held.get(PORTS)
            && shown.wires == ports_shown(held.get(PORTS), highest).is_some()
            && shows_alike(component, held, shown.wires)
        {
            component.fields = held.fields.clone();
        }
    }
}

/// Whether a document shows two components alike, their wires apart.
fn shows_alike(one: &Component, other: &Component, wires: bool) -> bool {
    let text = |component| {
        let mut writer = Writer::new(false);
        write_element(component, wires.then_some(&[]), &mut writer).ok().map(|()| writer.finish())
    };
    text(one).is_some_and(|one| text(other) == Some(one))
}
