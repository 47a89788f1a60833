//! What a command that wrote says: what it did, what that changed, and how to take it back.

use std::path::Path;

use flow_history::{Applied, Difference, Error, History, Plan, Seq};
use flow_history_formats::node_red::{Layout, to_document};
use serde::Serialize;

use crate::difference::{self, Counts, Detail, number};
use crate::escape::{first_line, for_shell};
use crate::failure::{Exit, Failure};
use crate::header;
use crate::moment::{self, Zone};
use crate::names::Names;
use crate::output::{DIM, HEADING, NUMBER, Output, STRONG, paint};

/// Most components that are listed; `show` lists all of them.
const LISTED: usize = 40;

#[derive(Serialize)]
struct AppliedLine<'a> {
    r#type: &'static str,
    command: &'a str,
    version: u64,
    id: String,
    /// The version that was undone, done again or restored.
    taken: u64,
    operations: usize,
    #[serde(flatten)]
    counts: Counts,
    /// What was in the way, in words; the mode, or a secret that is gone, left it out.
    in_the_way: Vec<String>,
    take_back: &'a str,
}

/// The name by which this program was called, so that a command it suggests can be typed.
pub(crate) fn program() -> String {
    std::env::args().next().map_or_else(|| "flow-history".to_owned(), |name| for_shell(&name))
}

/// A command line on a history that can be typed next.
pub(crate) fn command_line(command: &str, dir: &Path, rest: &[&str]) -> String {
    let mut line = format!("{} {command} {}", program(), for_shell(&dir.to_string_lossy()));
    rest.iter().for_each(|argument| {
        line.push(' ');
        line.push_str(&for_shell(argument));
    });
    line
}

/// Says what was applied.
pub(crate) fn say(
    command: &str,
    history: &History,
    applied: &Applied,
    take_back: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let version = applied.version.seq();
    let before = version.previous().unwrap_or(Seq::ZERO);
    let difference = history.diff(before, version)?;
    let counts = Counts::from(difference.summary());
    let in_the_way: Vec<String> =
        applied.conflicts.iter().map(|conflict| first_line(&conflict.to_string())).collect();
    if out.json() {
        return out.json_line(&AppliedLine {
            r#type: "applied",
            command,
            version: version.0,
            id: applied.version.to_string(),
            taken: applied.taken.first().copied().unwrap_or_default().0,
            operations: applied.operations.len(),
            counts,
            in_the_way,
            take_back,
        });
    }
    let did = format!(
        "{command} of {}",
        in_words(history, applied.taken.first().copied().unwrap_or_default(), out.zone())?
    );
    out.line(format!("{} is {did}", paint(STRONG, format!("version {}", paint(NUMBER, version)))))?;
    let names = Names::new([history.at(version)?, history.at(before)?]);
    let mut listed = difference;
    let left_out = listed.components.len().saturating_sub(LISTED);
    listed.components.truncate(LISTED);
    difference::print(&listed, &names, Detail::Outline, out)?;
    if left_out > 0 {
        out.line(paint(DIM, format!("  and {} more", number(left_out, "component"))))?;
    }
    for conflict in in_the_way.iter().take(LISTED) {
        out.line(format!("  {} {conflict}", paint(DIM, "in the way:")))?;
    }
    out.line(counts.sentence())?;
    out.line(format!("{} {take_back}", paint(HEADING, "to take it back:")))
}

#[derive(Serialize)]
struct PlanLine<'a> {
    r#type: &'static str,
    command: &'a str,
    /// The version that it was made on.
    base: u64,
    /// The versions that would be undone, done again or restored.
    taken: Vec<u64>,
    operations: usize,
    /// Components that go, or come back, with the others.
    dependents: Vec<&'a str>,
    clear: bool,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct ConflictLine<'a> {
    r#type: &'static str,
    id: &'a str,
    obstacle: &'static str,
    says: String,
    resolved: Option<String>,
    resolutions: Vec<String>,
}

/// Says what would be done, and what is in the way.
pub(crate) fn say_plan(
    command: &str,
    history: &History,
    plan: &Plan,
    out: &mut Output,
) -> Result<(), Failure> {
    let view = history.at(plan.base())?;
    let before = view.to_flow()?;
    let mut after = before.clone();
    after.apply_all(plan.operations()).map_err(flow_history::Error::from)?;
    let difference = Difference::between(&before, &after);
    let counts = Counts::from(difference.summary());
    if out.json() {
        out.json_line(&PlanLine {
            r#type: "plan",
            command,
            base: plan.base().seq().0,
            taken: plan.taken().iter().map(|seq| seq.0).collect(),
            operations: plan.operations().len(),
            dependents: plan.dependents().iter().map(flow_history::ComponentId::as_str).collect(),
            clear: plan.is_clear(),
            counts,
        })?;
    } else {
        let taken = plan.taken().first().copied().unwrap_or_default();
        out.line(format!("{command} of {}", in_words(history, taken, out.zone())?))?;
        difference::print(&difference, &Names::new([view]), Detail::Fields, out)?;
        out.line(counts.sentence())?;
    }
    for conflict in plan.conflicts() {
        let in_words = |resolution| format!("{resolution:?}");
        if out.json() {
            out.json_line(&ConflictLine {
                r#type: "conflict",
                id: &conflict.id,
                obstacle: conflict.obstacle.name(),
                says: conflict.to_string(),
                resolved: conflict.resolved.map(in_words),
                resolutions: conflict.obstacle.resolutions().iter().copied().map(in_words).collect(),
            })?;
            continue;
        }
        let resolved = match conflict.resolved {
            Some(resolution) => format!("{resolution:?}"),
            None => "in the way".to_owned(),
        };
        let name = conflict.obstacle.name();
        out.line(format!("{} {name}: {}", paint(HEADING, resolved), first_line(&conflict.to_string())))?;
    }
    Ok(())
}

/// The document of the flow that a plan leads to.
pub(crate) fn document_after(history: &History, plan: &Plan) -> Result<String, Failure> {
    let mut flow = history.at(plan.base())?.to_flow()?;
    flow.apply_all(plan.operations()).map_err(flow_history::Error::from)?;
    to_document(&flow, Layout::Compact).map_err(|error| Failure::new(Exit::Invalid, error.to_string()))
}

/// Puts a document in the place of another, whole or not at all.
pub(crate) fn write_document(path: &Path, document: &str) -> Result<(), Failure> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let written = std::fs::write(&aside, document).and_then(|()| std::fs::rename(&aside, path));
    written.map_err(|error| Failure::file("write", path.display(), &error))
}

/// A version and who made it: `version 9, by bob at 15:10: Clean up`.
pub(crate) fn in_words(history: &History, seq: Seq, zone: Zone) -> Result<String, Failure> {
    let line = match history.log().from(seq).to(seq).next() {
        Some(Ok(line)) => line,
        // The oldest version that is kept has no entry any more.
        None | Some(Err(Error::Pruned { .. })) => return Ok(format!("version {seq}")),
        Some(Err(error)) => return Err(error.into()),
    };
    let by = &line.entry.header;
    let time = moment::shown(by.log_time, zone);
    let said = first_line(&by.message);
    let said = header::mark(&line.entry).map_or(said, header::mark_in_words);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    Ok(format!("version {seq}, by {} at {time}{said}", first_line(&by.author.name)))
}
