//! What changed between two versions.

use std::path::PathBuf;

use clap::Args;
use flow_history::{FlowVersionId, History};
use serde::Serialize;

use crate::difference::{self, Counts, Detail};
use crate::failure::{Exit, Failure};
use crate::names::Names;
use crate::output::{Output, STRONG, paint};
use crate::{opening, selector};

/// Show what changed between two versions, component by component
///
/// Each component that was added (+), removed (-), modified (~), moved to another group (>) or that merely stands elsewhere
/// among the others (=), with its fields before and after: long texts line by line, a change of place alone on one line,
/// wires by what they join, secrets never. The last line counts.
///
/// With --json: one line of type `component` each, and a last one of type `summary`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history diff ./history 41 42
  flow-history diff ./history released
  flow-history diff ./history 2026-11-21 @ --exit-code > /dev/null || echo changed")]
pub(crate) struct Diff {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The version before
    #[arg(value_name = "A")]
    before: String,
    /// The version after; the newest where nothing is said
    #[arg(value_name = "B", default_value = "@", hide_default_value = true)]
    after: String,
    /// End with 3 where anything differs
    #[arg(long)]
    exit_code: bool,
}

#[derive(Serialize)]
struct SummaryLine {
    r#type: &'static str,
    before: u64,
    after: u64,
    #[serde(flatten)]
    counts: Counts,
}

impl Diff {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let (before, after) =
            (selector::find(&history, &self.before)?, selector::find(&history, &self.after)?);
        let differs = print(&history, before, after, Detail::Fields, out)?;
        Ok(if self.exit_code && differs { Exit::Differences } else { Exit::Ok })
    }
}

/// Prints what changed between two versions and returns whether anything did.
pub(crate) fn print(
    history: &History,
    before: FlowVersionId,
    after: FlowVersionId,
    detail: Detail,
    out: &mut Output,
) -> Result<bool, Failure> {
    let difference = history.diff(before, after)?;
    let names = Names::new([history.at(after)?, history.at(before)?]);
    difference::print(&difference, &names, detail, out)?;
    let counts = Counts::from(difference.summary());
    if out.json() {
        let (before, after) = (before.seq().0, after.seq().0);
        out.json_line(&SummaryLine { r#type: "summary", before, after, counts })?;
    } else {
        out.line(format!(
            "{} {} -> {}: {}",
            paint(STRONG, "versions"),
            before.seq(),
            after.seq(),
            counts.sentence()
        ))?;
    }
    Ok(!difference.is_empty())
}
