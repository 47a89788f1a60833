//! A history to try everything on.

use std::path::PathBuf;

use clap::Args;
use flow_history::{FlowVersionId, History, Intent, Link, LogLine, Seq};
use serde::Serialize;

use super::applied::{command_line, in_words};
use super::{diff, log, show};
use crate::difference::{self, Counts, Detail};
use crate::failure::{Exit, Failure};
use crate::names::Names;
use crate::output::{DIM, HEADING, Output, paint};
use crate::{listing, opening, selector, story};

/// Write a small history and show what can be done with one
///
/// Two people edit a flow over a day, in a real history: in a new temporary directory, which is named and kept, or in
/// --dir. Everything that is shown is read back from it, and the commands at the end work on it.
///
/// With --json: the lines of the commands that are shown, between lines of type `section`, and a line of type `command` for
/// each command to try.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history demo
  flow-history demo --dir ./history")]
pub(crate) struct Demo {
    /// The directory of the history; it must be new or empty
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct SectionLine<'s> {
    r#type: &'static str,
    title: &'s str,
}

#[derive(Serialize)]
struct ProvenanceLine<'s> {
    r#type: &'static str,
    provenance: &'s serde_json::Value,
    version: u64,
}

#[derive(Serialize)]
struct CommandLine<'s> {
    r#type: &'static str,
    line: &'s str,
}

impl Demo {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let dir = self.place()?;
        let progress = out.progress(story::STEPS, "a day of edits");
        let stamped = story::play(&dir, || progress.inc(1))?;
        progress.finish_and_clear();

        let history = opening::to_read(&dir)?;
        section(&format!("A day of edits, in {}", dir.display()), out)?;
        log::print(&history, out)?;
        let (labelled, head) = (selector::find(&history, story::LABEL)?, history.version());
        section(&format!("What changed since the label `{}`", story::LABEL), out)?;
        diff::print(&history, labelled, head, Detail::Fields, out)?;
        undone(&history, out)?;
        let id = traced(&history, &stamped, out)?;
        next(&dir, id, head, out)?;
        Ok(Exit::Ok)
    }

    fn place(&self) -> Result<PathBuf, Failure> {
        let Some(dir) = &self.dir else {
            let dir = tempfile::Builder::new().prefix("flow-history-demo-").tempdir();
            return Ok(dir.map_err(|error| Failure::file("make", "a temporary directory", &error))?.keep());
        };
        if opening::is_new_or_empty(dir)? {
            return Ok(dir.clone());
        }
        Err(Failure::new(Exit::Conflict, format!("{} is not empty", dir.display()))
            .hint("the demo writes a history of its own: name a new directory, or none"))
    }
}

fn section(title: &str, out: &mut Output) -> Result<(), Failure> {
    if out.json() {
        return out.json_line(&SectionLine { r#type: "section", title });
    }
    out.line(format!("\n{}\n", paint(HEADING, crate::escape::escape(title))))
}

fn say(text: &str, out: &mut Output) -> Result<(), Failure> {
    if out.json() { Ok(()) } else { out.line(text) }
}

/// Shows the undo of the day: who took back what of whom, what came back, and the flow before and after.
fn undone(history: &History, out: &mut Output) -> Result<(), Failure> {
    let is_undo = |line: &LogLine| line.entry.header.intent == Intent::Undo;
    let lines: Vec<LogLine> = history.log().collect::<Result<_, _>>()?;
    let Some(undo) = lines.iter().rev().find(|line| is_undo(line)) else { return Ok(()) };
    let taken = undo.entry.header.links.iter().find_map(|link| match link {
        Link::Undoes(seq) => Some(*seq),
        _ => None,
    });
    let (version, before) = (undo.entry.seq, undo.entry.seq.previous().unwrap_or(Seq::ZERO));
    section("An undo, and what came back", out)?;
    say(&in_words(history, version, out.zone())?, out)?;
    if let Some(taken) = taken {
        say(&format!("took back {}", in_words(history, taken, out.zone())?), out)?;
    }
    let names = Names::new([history.at(version)?, history.at(before)?]);
    difference::print(&undo.difference, &names, Detail::Outline, out)?;
    say(&Counts::from(undo.summary).sentence(), out)?;
    section(&format!("The flow before it, version {before}"), out)?;
    listing::print(&history.at(before)?, out)?;
    section(&format!("The flow after it, version {version}"), out)?;
    listing::print(&history.at(version)?, out)
}

/// Follows the ID that data carries to the component that made it, as it was then.
fn traced(history: &History, stamped: &str, out: &mut Output) -> Result<FlowVersionId, Failure> {
    let unreadable = |_| Failure::new(Exit::Failed, "the provenance event cannot be read back");
    let provenance: serde_json::Value = serde_json::from_str(stamped).map_err(unreadable)?;
    let text = |name: &str| provenance.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let id = selector::find(history, text("flowVersion"))?;
    section("A provenance event, back to what made it", out)?;
    if out.json() {
        let version = id.seq().0;
        out.json_line(&ProvenanceLine { r#type: "provenance", provenance: &provenance, version })?;
    }
    say(stamped, out)?;
    let size = id.to_bytes().len();
    say(&format!("\nIts flowVersion, {size} bytes, is {}.", in_words(history, id.seq(), out.zone())?), out)?;
    let (then, now) = (history.at(id)?, history.at(history.version())?);
    let component = text("component");
    for (view, when) in [(&then, "What made it, as it was then:"), (&now, "The same component now:")] {
        say(when, out)?;
        match view.component(component)? {
            Some(component) => show::component(&component, view, out)?,
            None => say("  it is gone", out)?,
        }
    }
    Ok(id)
}

/// Ends with what to type next.
fn next(
    dir: &std::path::Path,
    stamped: FlowVersionId,
    head: FlowVersionId,
    out: &mut Output,
) -> Result<(), Failure> {
    let (stamped, head) = (stamped.to_string(), head.to_string());
    let steps: [(&str, &[&str], &str); 12] = [
        ("log", &["--newest-first"], "who did what when"),
        ("log", &["--author", "bob", "--subtree", "alarms"], "what bob did to the alarms"),
        ("at", &[story::LABEL, "--pretty"], "the flow in the morning, as a document"),
        ("show", &[&stamped, "limit"], "what made the data, as it was then"),
        ("diff", &[story::LABEL, "@"], "what changed since"),
        ("blame", &["limit"], "who gave each field its value"),
        ("when", &["limit", "threshold", ">", "100"], "which versions raised no alarm"),
        ("undo", &["--as", "alice"], "take the last change back"),
        ("redo", &[], "and do it again"),
        ("label", &["evening", "@"], "name a version"),
        ("stat", &[], "the history in numbers"),
        ("verify", &["--expect", &head], "check every byte, and that nothing was lost"),
    ];
    section("Try it yourself", out)?;
    for (command, rest, what) in steps {
        let line = command_line(command, dir, rest);
        if out.json() {
            out.json_line(&CommandLine { r#type: "command", line: &line })?;
        } else {
            out.line(format!("{}\n  {line}", paint(DIM, format!("# {what}"))))?;
        }
    }
    say("\nThe directory stays until you remove it.", out)
}
