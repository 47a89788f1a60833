//! What was removed, and what would be.

use std::path::PathBuf;

use clap::Args;
use flow_history::{Difference, Seq};
use serde::Serialize;

use super::applied::command_line;
use crate::difference::{self, Counts, Detail};
use crate::escape::first_line;
use crate::failure::{Exit, Failure};
use crate::names::Names;
use crate::output::{DIM, HEADING, NUMBER, Output, STRONG, paint};
use crate::{moment, opening, selector};

/// List what was removed and is not there now, and how to bring it back
///
/// Also the undos that redo no longer reaches because somebody went on without them.
///
/// With --json: lines of type `removed` and `left-behind`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history trash ./history")]
pub(crate) struct Trash {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Say what the flow would be without some versions' changes; write nothing
///
/// With --json: the lines of a difference, then one of type `what-if`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history what-if ./history --without 42 --without 44")]
pub(crate) struct WhatIf {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// A version whose change is left out
    #[arg(long, value_name = "VERSION", required = true)]
    without: Vec<String>,
}

#[derive(Serialize)]
struct RemovedLine<'r> {
    r#type: &'static str,
    id: &'r str,
    kind: &'r str,
    version: u64,
    author: &'r str,
    time: String,
    bring_back: String,
}

#[derive(Serialize)]
struct LeftBehindLine {
    r#type: &'static str,
    undo: u64,
    by: u64,
    version: u64,
    bring_back: String,
}

#[derive(Serialize)]
struct WhatIfLine {
    r#type: &'static str,
    left_out: Vec<u64>,
    misfits: usize,
    #[serde(flatten)]
    counts: Counts,
}

impl Trash {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let bring_back = |entry: Seq| command_line("revert", &self.dir, &[&entry.to_string()]);
        for removed in history.trash()? {
            let removed = removed?;
            let component = &removed.component;
            if out.json() {
                out.json_line(&RemovedLine {
                    r#type: "removed",
                    id: &component.id,
                    kind: &component.kind,
                    version: removed.entry.0,
                    author: &removed.author.id,
                    time: moment::rfc3339(removed.log_time),
                    bring_back: bring_back(removed.entry),
                })?;
                continue;
            }
            let (id, kind) = (paint(STRONG, first_line(&component.id)), first_line(&component.kind));
            let by = first_line(&removed.author.name);
            let at = moment::shown(removed.log_time, out.zone());
            let version = paint(NUMBER, removed.entry);
            out.line(format!("{id} {kind}, removed by {by} at {at} with version {version}"))?;
            out.line(format!("  {} {}", paint(HEADING, "to bring it back:"), bring_back(removed.entry)))?;
        }
        for left in history.left_behind()? {
            if out.json() {
                out.json_line(&LeftBehindLine {
                    r#type: "left-behind",
                    undo: left.undo.0,
                    by: left.by.0,
                    version: left.version.0,
                    bring_back: bring_back(left.undo),
                })?;
                continue;
            }
            out.line(format!(
                "what version {} undid, left behind with version {}",
                paint(NUMBER, left.undo),
                paint(NUMBER, left.by)
            ))?;
            out.line(format!("  {} {}", paint(HEADING, "to bring it back:"), bring_back(left.undo)))?;
        }
        Ok(Exit::Ok)
    }
}

impl WhatIf {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let entries = self.without.iter().map(|version| Ok(selector::find(&history, version)?.seq()));
        let entries = entries.collect::<Result<Vec<Seq>, Failure>>()?;
        let without = history.replay_without(&entries)?;
        let view = history.at(history.version())?;
        let changed = Difference::between(&view.to_flow()?, &without.flow);
        let counts = Counts::from(changed.summary());
        let names = Names::new([view]);
        difference::print(&changed, &names, Detail::Fields, out)?;
        if out.json() {
            out.json_line(&WhatIfLine {
                r#type: "what-if",
                left_out: without.left_out.iter().map(|seq| seq.0).collect(),
                misfits: without.misfits.len(),
                counts,
            })?;
            return Ok(Exit::Ok);
        }
        for (seq, misfit) in &without.misfits {
            out.line(paint(DIM, format!("of version {seq}: {}", first_line(&misfit.to_string()))))?;
        }
        out.line(counts.sentence())?;
        Ok(Exit::Ok)
    }
}
