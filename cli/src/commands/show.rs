//! One version, or a component as it was then.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use flow_history::{Component, Seq, View};
use serde::Serialize;

use crate::difference::{self, Counts, Detail};
use crate::escape::{escape, first_line};
use crate::failure::{Exit, Failure};
use crate::names::{Names, title};
use crate::output::{NUMBER, Output, STRONG, paint};
use crate::value::{JsonComponent, short};
use crate::{header, moment, nearest, opening, selector};

/// Show everything about one version, or a component as it was at that version
///
/// Of a version: who made it, when, why, from where, what it has to do with other versions, and what it changed. Of a
/// component: its kind, what contains it, and its fields.
///
/// With --json: the line of type `entry` that `log` gives and the lines of type `component` that `diff` gives; or one line
/// of type `state` with the component.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history show ./history @
  flow-history show ./history 00000000-002a-8fff-bfff-ffffffffffff
  flow-history show ./history released limit-1")]
pub(crate) struct Show {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which version; the newest where nothing is said
    #[arg(value_name = "VERSION", default_value = "@", hide_default_value = true)]
    version: String,
    /// The ID of a component
    #[arg(value_name = "COMPONENT", allow_hyphen_values = true)]
    component: Option<String>,
}

#[derive(Serialize)]
struct StateLine<'c> {
    r#type: &'static str,
    version: u64,
    version_id: String,
    #[serde(flatten)]
    component: JsonComponent<'c>,
}

impl Show {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let version = selector::find(&history, &self.version)?;
        let view = history.at(version)?;
        if let Some(id) = &self.component {
            let Some(found) = view.component(id)? else {
                let components = view.components()?;
                let offered = nearest::offered(id, components.iter().map(|other| other.id.as_str()));
                let message = format!("version {} has no component `{id}`{offered}", view.seq());
                return Err(Failure::new(Exit::NotFound, message)
                    .hint("`log` shows what came and went; `at` prints the flow with its ids"));
            };
            component(&found, &view, out)?;
            return Ok(Exit::Ok);
        }
        let Some(before) = version.seq().previous() else {
            return Err(Failure::new(Exit::NotFound, "version 0 is the empty flow, which nobody made")
                .hint("the first entry is version 1"));
        };
        let Some(line) = history.log().from(version.seq()).to(version.seq()).next().transpose()? else {
            return Err(Failure::new(Exit::NotFound, format!("version {} has no entry", version.seq())));
        };
        let counts = Counts::from(line.summary);
        if out.json() {
            out.json_line(&header::EntryLine::of(&line.entry, counts))?;
        } else {
            header_lines(&line.entry, out)?;
        }
        // Its names may be those of the version before, which a prune may have taken.
        let views = [Some(view), history.at(before).ok()];
        let names = Names::new(views.into_iter().flatten());
        if !line.difference.is_empty() && !out.json() {
            out.line("")?;
        }
        difference::print(&line.difference, &names, Detail::Fields, out)?;
        if header::mark(&line.entry).is_none() && !out.json() {
            out.line(format!("{} {}", paint(STRONG, "in all:"), counts.sentence()))?;
        }
        Ok(Exit::Ok)
    }
}

/// Prints a component as it was at a version.
pub(crate) fn component(component: &Arc<Component>, view: &View, out: &mut Output) -> Result<(), Failure> {
    let names = Names::new([view.clone()]);
    let shown = names.secrets()?.hide(component);
    if out.json() {
        return out.json_line(&StateLine {
            r#type: "state",
            version: view.seq().0,
            version_id: view.version()?.to_string(),
            component: JsonComponent::of(&shown),
        });
    }
    let inside = component.parent.as_deref().map(|id| names.of(id)).transpose()?;
    let inside = inside.map(|name| format!(" inside {name}")).unwrap_or_default();
    out.line(format!(
        "{}{inside} at version {}",
        paint(STRONG, title(component)),
        paint(NUMBER, view.seq())
    ))?;
    for (name, value) in shown.fields.iter() {
        match value.as_text().filter(|text| text.contains('\n') && !crate::value::is_secret(value)) {
            Some(text) => {
                out.line(format!("  {}:", first_line(name)))?;
                text.lines().try_for_each(|line| out.line(format!("    | {}", escape(line))))?;
            }
            None => out.line(format!("  {}: {}", first_line(name), short(value)))?,
        }
    }
    Ok(())
}

fn header_lines(entry: &flow_history::Entry, out: &mut Output) -> Result<(), Failure> {
    let header = &entry.header;
    let mut row = |name: &str, value: String| {
        let name = paint(STRONG, format!("{name:<11}"));
        if value.is_empty() { Ok(()) } else { out.line(format!("{name} {value}")) }
    };
    let optional =
        |text: &Option<Arc<str>>| text.as_deref().map(|text| escape(text).into_owned()).unwrap_or_default();
    row("version", paint(NUMBER, entry.seq))?;
    row("id", entry.id.to_string())?;
    row("time", moment::rfc3339(header.log_time))?;
    let told = header.host_time.millis != header.log_time || header.host_time.zone_minutes != 0;
    row("host time", if told { moment::host_rfc3339(header.host_time) } else { String::new() })?;
    row("author", header::author_in_words(&header.author))?;
    row("intent", header.intent.name().to_owned())?;
    row("mark", header::mark(entry).map(header::mark_in_words).unwrap_or_default())?;
    for link in &header.links {
        row("link", header::link_in_words(link))?;
    }
    row("session", optional(&header.session))?;
    if let Some(request) = &header.request {
        row("address", optional(&request.address))?;
        row("forwarded", optional(&request.forwarded_for))?;
        row("agent", optional(&request.agent))?;
    }
    row("group", optional(&header.group))?;
    row("key", optional(&header.idempotency_key))?;
    row("base", header.expected_base.map_or_else(String::new, |Seq(seq)| format!("version {seq}")))?;
    for (name, value) in &header.attributes {
        row("attribute", format!("{} = {}", escape(name), escape(value)))?;
    }
    for line in header.message.trim_end().lines() {
        row("message", escape(line).into_owned())?;
    }
    let count = header::operations(entry);
    row("operations", if count > 0 { count.to_string() } else { String::new() })
}
