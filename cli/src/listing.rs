//! A flow as a table: what contains what, how it is set, where it leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use flow_history::{Component, Flow, Value, View, WIRE_KIND};

use crate::commands::show;
use crate::escape::first_line;
use crate::failure::Failure;
use crate::names::name;
use crate::output::Output;
use crate::value::short;

/// Fields that say what another column says, or where something is drawn.
const NOT_SHOWN: [&str; 4] = ["name", "label", "x", "y"];

/// Prints a flow that a person can take in at a glance.
pub(crate) fn print(view: &View, out: &mut Output) -> Result<(), Failure> {
    let flow = view.to_flow()?;
    if out.json() {
        return flow.in_order().iter().try_for_each(|component| show::component(component, view, out));
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.style_mut().row_separator = LineStyle::none();
    table.set_header(["component", "kind", "settings", "leads to"]);
    let wires = leads_to(&flow);
    let tops = flow.in_order().into_iter().filter(|component| {
        component.kind != WIRE_KIND && component.parent.as_ref().is_none_or(|id| flow.component(id).is_none())
    });
    // A stack rather than a recursion: nesting comes from the data.
    let mut pending: Vec<(usize, Arc<Component>)> = tops.map(|component| (0, component)).collect();
    pending.reverse();
    while let Some((depth, component)) = pending.pop() {
        let called = name(&component).unwrap_or_else(|| first_line(&component.id));
        table.add_row([
            format!("{}{called}", "  ".repeat(depth)),
            first_line(&component.kind),
            settings(&component),
            wires.get(component.id.as_str()).map(|ends| ends.join(", ")).unwrap_or_default(),
        ]);
        let mut inside = flow.children(&component.id);
        inside.retain(|child| child.kind != WIRE_KIND);
        inside.sort_by(|a, b| (&a.order, &a.id).cmp(&(&b.order, &b.id)));
        pending.extend(inside.into_iter().rev().map(|child| (depth + 1, child)));
    }
    out.line(table.trim_fmt())
}

/// What each component's wires lead to.
fn leads_to(flow: &Flow) -> BTreeMap<String, Vec<String>> {
    let mut leads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let wires = flow.in_order().into_iter().filter(|component| component.kind == WIRE_KIND);
    for wire in wires {
        let end = |field| wire.get(field).and_then(Value::as_ref_id);
        if let (Some(from), Some(to)) = (end("from"), end("to")) {
            let called = flow.component(to).and_then(|component| name(component));
            leads.entry(from.to_string()).or_default().push(called.unwrap_or_else(|| first_line(to)));
        }
    }
    leads
}

fn settings(component: &Component) -> String {
    let fields = component.fields.iter().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    let shown = fields.map(|(name, value)| match value.as_text().map(|text| text.lines().count()) {
        Some(lines) if lines > 1 => format!("{}: {lines} lines", first_line(name)),
        _ => format!("{}: {}", first_line(name), short(value)),
    });
    shown.collect::<Vec<_>>().join("\n")
}
