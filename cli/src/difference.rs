//! What changed, for a person and as JSON Lines.

use anstyle::Style;
use flow_history::{ChangeKind, ComponentDifference, Difference, FieldDifference, Summary, Value};
use serde::Serialize;

use crate::escape::first_line;
use crate::failure::Failure;
use crate::line_difference;
use crate::names::{Names, name, title};
use crate::output::{ADDED, DIM, MODIFIED, Output, REMOVED, STRONG, paint};
use crate::value::{Json, SECRET, is_secret, short};

/// Where a component is drawn; a change of nothing else is not worth more than a line.
const POSITION_FIELDS: [&str; 3] = ["x", "y", "position"];

/// How much is said about each component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// That it differs.
    Outline,
    /// Which fields differ, and how.
    Fields,
}

#[derive(Serialize)]
struct ComponentLine<'d> {
    r#type: &'static str,
    change: &'static str,
    id: &'d str,
    kind: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'d str>,
    /// Where another component contained it before; null for the top.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_before: Option<Option<&'d str>>,
    fields: Vec<FieldLine<'d>>,
}

#[derive(Serialize)]
struct FieldLine<'d> {
    field: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Json<'d>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Json<'d>>,
}

/// A difference in numbers, as every command gives it.
#[derive(Serialize, Clone, Copy)]
pub(crate) struct Counts {
    changed: usize,
    added: usize,
    removed: usize,
    modified: usize,
    reordered: usize,
    wires: usize,
}

impl From<Summary> for Counts {
    fn from(summary: Summary) -> Self {
        let Summary { changed, added, removed, modified, reordered, wires, .. } = summary;
        Self { changed, added, removed, modified, reordered, wires }
    }
}

impl Counts {
    /// On a line of the log: `+3 -1 ~2, 4 wires`.
    pub(crate) fn brief(self) -> String {
        let signed = [("+", self.added), ("-", self.removed), ("~", self.modified)];
        let signed =
            signed.iter().filter(|(_, count)| *count > 0).map(|(sign, count)| format!("{sign}{count}"));
        let mut parts = vec![signed.collect::<Vec<_>>().join(" ")];
        parts.extend((self.wires > 0).then(|| number(self.wires, "wire")));
        parts.extend((self.reordered > 0).then(|| format!("{} reordered", self.reordered)));
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }

    /// As a sentence.
    pub(crate) fn sentence(self) -> String {
        let Self { changed, added, removed, modified, reordered, wires } = self;
        if changed + reordered + wires == 0 {
            return "nothing differs".to_owned();
        }
        let (changed, wires) = (number(changed, "component"), number(wires, "wire"));
        format!(
            "{changed} changed: {added} added, {removed} removed, {modified} modified; {reordered} reordered; {wires}"
        )
    }
}

/// A count and its noun.
pub(crate) fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Prints the components that differ, wires last.
pub(crate) fn print(
    difference: &Difference,
    names: &Names,
    detail: Detail,
    out: &mut Output,
) -> Result<(), Failure> {
    let secrets = names.secrets()?;
    let (wires, others): (Vec<_>, Vec<_>) =
        difference.components.iter().partition(|component| component.is_wire());
    for component in others.into_iter().chain(wires) {
        let component = secrets.hide_in(component);
        if out.json() {
            out.json_line(&json(&component))?;
        } else {
            text(&component, names, detail, out)?;
        }
    }
    Ok(())
}

fn word(kind: ChangeKind) -> (&'static str, &'static str, Style) {
    match kind {
        ChangeKind::Added => ("+", "added", ADDED),
        ChangeKind::Removed => ("-", "removed", REMOVED),
        ChangeKind::Modified => ("~", "modified", MODIFIED),
        ChangeKind::Moved => (">", "moved", MODIFIED),
        ChangeKind::Reordered => ("=", "reordered", DIM),
        _ => ("?", "different", MODIFIED),
    }
}

fn json(component: &ComponentDifference) -> ComponentLine<'_> {
    let either = component.either();
    let parent_of =
        |side: &Option<std::sync::Arc<flow_history::Component>>| side.as_ref().map(|c| c.parent.clone());
    let shifted = match (parent_of(&component.before), parent_of(&component.after)) {
        (Some(before), Some(after)) => before != after,
        _ => false,
    };
    let before = component.before.as_ref().map(|component| component.parent.as_deref());
    ComponentLine {
        r#type: "component",
        change: word(component.kind()).1,
        id: &component.id,
        kind: either.map_or("", |component| &component.kind),
        name: either.and_then(|component| name(component)),
        parent: either.and_then(|component| component.parent.as_deref()),
        parent_before: before.filter(|_| shifted),
        fields: component
            .fields
            .iter()
            .map(|field| FieldLine {
                field: &field.field,
                before: field.before.as_ref().map(Json),
                after: field.after.as_ref().map(Json),
            })
            .collect(),
    }
}

fn text(
    component: &ComponentDifference,
    names: &Names,
    detail: Detail,
    out: &mut Output,
) -> Result<(), Failure> {
    let kind = component.kind();
    let (sign, word, style) = word(kind);
    let Some(either) = component.either() else { return Ok(()) };
    let title = match component.is_wire() {
        true => format!("wire {}", names.of_wire(either)?),
        false => title(either),
    };
    let head = format!("{} {title}", paint(style, format!("{sign} {word:<9}")));
    let place = place(component, names)?;
    let only_position = kind == ChangeKind::Modified
        && component.fields.iter().all(|field| POSITION_FIELDS.contains(&field.field.as_str()));
    if only_position && place.is_none() && !component.fields.is_empty() {
        return out.line(format!("{head}  {}", position(component)));
    }
    out.line(head)?;
    if detail == Detail::Outline || kind == ChangeKind::Removed || (component.is_wire() && place.is_none()) {
        return Ok(());
    }
    if let Some(place) = place {
        out.line(format!("    {place}"))?;
    }
    let (drawn, fields): (Vec<_>, Vec<_>) =
        component.fields.iter().partition(|field| POSITION_FIELDS.contains(&field.field.as_str()));
    for changed in fields {
        field(changed, kind, out)?;
    }
    if !drawn.is_empty() {
        out.line(format!("    {}", position(component)))?;
    }
    let (before, after) = (component.before.as_ref(), component.after.as_ref());
    if let (Some(before), Some(after)) = (before, after) {
        if before.kind != after.kind {
            out.line(format!("    kind: {} -> {}", first_line(&before.kind), first_line(&after.kind)))?;
        } else if component.fields.is_empty() && kind == ChangeKind::Modified {
            out.line("    its fields stand in another order")?;
        }
    }
    Ok(())
}

/// What contains a component, where that is new.
fn place(component: &ComponentDifference, names: &Names) -> Result<Option<String>, Failure> {
    let called = |id: Option<&str>| id.map_or(Ok("the top".to_owned()), |id| names.of(id));
    match (&component.before, &component.after) {
        (None, Some(after)) => {
            let inside = after.parent.as_deref().filter(|_| !component.is_wire());
            inside.map(|id| Ok(format!("inside {}", names.of(id)?))).transpose()
        }
        (Some(before), Some(after)) if before.parent != after.parent => {
            let (from, to) = (called(before.parent.as_deref())?, called(after.parent.as_deref())?);
            Ok(Some(format!("moved from {from} to {to}")))
        }
        _ => Ok(None),
    }
}

/// Where a component was drawn and is: `at 120, 80 -> 300, 80`.
fn position(difference: &ComponentDifference) -> String {
    let drawn = |component: &flow_history::Component| {
        let shown = POSITION_FIELDS.iter().filter_map(|field| component.get(field)).map(short);
        shown.collect::<Vec<_>>().join(", ")
    };
    let sides = [&difference.before, &difference.after].into_iter().flatten().map(|side| drawn(side));
    format!("at {}", sides.collect::<Vec<_>>().join(" -> "))
}

fn field(changed: &FieldDifference, kind: ChangeKind, out: &mut Output) -> Result<(), Failure> {
    let name = match changed.field.as_str() {
        // What the import of Node-RED keeps beside the properties of a document.
        "$wires" => "output ports".to_owned(),
        field => first_line(field),
    };
    let name = paint(STRONG, name);
    let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "(absent)".to_owned(), short);
    match (&changed.before, &changed.after) {
        // Its name says nothing; one that was sealed anew has the tag that it had.
        (Some(Value::Secret(before)), Some(Value::Secret(after)))
            if before.tag == after.tag && before.id != after.id =>
        {
            out.line(format!("    {name}: the same {SECRET}, sealed anew"))
        }
        (Some(before), Some(after)) if is_secret(before) && is_secret(after) => {
            out.line(format!("    {name}: changed {SECRET}"))
        }
        (Some(Value::Text(before)), Some(Value::Text(after)))
            if !is_secret_text(changed) && line_difference::is_worth_it(before, after) =>
        {
            out.line(format!("    {name}:"))?;
            line_difference::lines(before, after)
                .into_iter()
                .try_for_each(|line| out.line(format!("      {line}")))
        }
        (None, Some(after)) if kind == ChangeKind::Added => out.line(format!("    {name}: {}", short(after))),
        (before, after) => out.line(format!("    {name}: {} -> {}", shown(before), shown(after))),
    }
}

fn is_secret_text(changed: &FieldDifference) -> bool {
    [&changed.before, &changed.after].into_iter().flatten().any(is_secret)
}
