//! What a component is called.

use std::sync::Arc;

use flow_history::{Component, Value, View};

use crate::escape::first_line;
use crate::failure::Failure;
use crate::secrets::Secrets;

/// The fields in which people write a name.
const NAME_FIELDS: [&str; 2] = ["name", "label"];

/// Looks up what components are called, in a later flow or, where they are gone, in an earlier one.
pub(crate) struct Names {
    views: Vec<View>,
}

impl Names {
    pub(crate) fn new(views: impl IntoIterator<Item = View>) -> Self {
        Self { views: views.into_iter().collect() }
    }

    /// The name of the component with this id, or the id.
    pub(crate) fn of(&self, id: &str) -> Result<String, Failure> {
        for view in &self.views {
            if let Some(component) = view.component(id)? {
                return Ok(name(&component).map_or_else(|| first_line(id), |name| format!("\"{name}\"")));
            }
        }
        Ok(first_line(id))
    }

    /// What the flows say may not be shown.
    pub(crate) fn secrets(&self) -> Result<Secrets, Failure> {
        Secrets::of(&self.views)
    }

    /// What a wire joins, as one reads it: `"Check" -> "Convert"`.
    pub(crate) fn of_wire(&self, wire: &Component) -> Result<String, Failure> {
        let end = |field: &str| match wire.get(field) {
            Some(Value::Ref(id)) => Some(id.as_str()),
            Some(Value::Text(id)) => Some(&**id),
            _ => None,
        };
        let from = end("from").or(wire.parent.as_deref()).map(|id| self.of(id)).transpose()?;
        let to = end("to").map(|id| self.of(id)).transpose()?;
        let port = match wire.get("port").and_then(Value::as_i64) {
            None | Some(0) => String::new(),
            Some(port) => format!(" port {}", port.saturating_add(1)),
        };
        Ok(format!("{}{port} -> {}", from.unwrap_or_else(|| "?".into()), to.unwrap_or_else(|| "?".into())))
    }
}

/// The name that people gave a component, escaped and on one line.
pub(crate) fn name(component: &Component) -> Option<String> {
    let given = NAME_FIELDS.iter().filter_map(|field| component.get(field)?.as_text());
    given.map(first_line).find(|name| !name.is_empty())
}

/// Kind, name and id: `processor "Check" (check)`.
pub(crate) fn title(component: &Arc<Component>) -> String {
    let (kind, id) = (first_line(&component.kind), first_line(&component.id));
    match name(component) {
        Some(name) => format!("{kind} \"{name}\" ({id})"),
        None => format!("{kind} {id}"),
    }
}
