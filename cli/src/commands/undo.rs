//! Take the last change back, and do it again; take older entries back.

use std::path::{Path, PathBuf};

use clap::Args;
use flow_history::{History, Proposal, Scope, Seq};

use super::applied::{self, command_line};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::scope::{self, Taking};
use crate::{opening, selector};

/// Take the last change back, as a new version
///
/// What was removed comes back with its wires and policies; nothing that was recorded changes. Undo again to go further
/// back. Commands that write need the history to themselves: while a host writes it, ask the host.
///
/// With --json: one line of type `applied`, or with --plan one of type `plan` and one of type `conflict` for each thing in
/// the way.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history undo ./history
  flow-history undo ./history --scope author:alice --plan
  flow-history undo ./history --as alice --json")]
pub(crate) struct Undo {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Whose changes: `flow`, `author:ID`, `session:ID` or `subtree:ID`
    #[arg(long, value_name = "SCOPE", value_parser = scope::parse, default_value = "flow")]
    scope: Scope,
    #[command(flatten)]
    taking: Taking,
}

/// Do again what undo took back, as a new version
///
/// With --json: one line of type `applied`, or with --plan as `undo`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history redo ./history
  flow-history redo ./history --scope author:alice")]
pub(crate) struct Redo {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Whose changes: `flow`, `author:ID`, `session:ID` or `subtree:ID`
    #[arg(long, value_name = "SCOPE", value_parser = scope::parse, default_value = "flow")]
    scope: Scope,
    #[command(flatten)]
    taking: Taking,
}

/// Take older versions' changes back although later ones exist, as one new version
///
/// To revert an undo brings back what it took. Later changes stay; where they are in the way, that is said.
///
/// With --json: one line of type `applied`, or with --plan as `undo`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history revert ./history 42
  flow-history revert ./history 42 44 --mode partial --plan")]
pub(crate) struct Revert {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which versions' changes
    #[arg(value_name = "VERSION", required = true)]
    versions: Vec<String>,
    #[command(flatten)]
    taking: Taking,
}

impl Undo {
    pub(crate) fn undo(&self, out: &mut Output) -> Result<Exit, Failure> {
        let rest: Vec<String> = scope::text(&self.scope).into_iter().collect();
        let again = line("redo", &self.dir, &rest);
        take("undo", &self.dir, &self.taking, &again, |_| Ok(Proposal::undo(self.scope.clone())), out)
    }
}

impl Redo {
    pub(crate) fn redo(&self, out: &mut Output) -> Result<Exit, Failure> {
        let rest: Vec<String> = scope::text(&self.scope).into_iter().collect();
        let back = line("undo", &self.dir, &rest);
        take("redo", &self.dir, &self.taking, &back, |_| Ok(Proposal::redo(self.scope.clone())), out)
    }
}

impl Revert {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let back = line("undo", &self.dir, &[]);
        let proposal = |history: &History| -> Result<Proposal, Failure> {
            let seqs = self.versions.iter().map(|version| Ok(selector::find(history, version)?.seq()));
            Ok(Proposal::revert(seqs.collect::<Result<Vec<Seq>, Failure>>()?))
        };
        take("revert", &self.dir, &self.taking, &back, proposal, out)
    }
}

fn line(command: &str, dir: &Path, rest: &[String]) -> String {
    command_line(command, dir, &rest.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Plans, and unless only the plan is wanted, finishes it.
pub(super) fn take(
    command: &str,
    dir: &Path,
    taking: &Taking,
    take_back: &str,
    proposal: impl Fn(&History) -> Result<Proposal, Failure>,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let history = if taking.plan { opening::to_read(dir)? } else { opening::to_write(dir)? };
    let plan = history.plan(&taking.author(), taking.terms(proposal(&history)?))?;
    if taking.plan {
        applied::say_plan(command, &history, &plan, out)?;
        return Ok(if plan.is_clear() { Exit::Ok } else { Exit::Conflict });
    }
    if plan.is_clear() && plan.operations().is_empty() {
        let message = match command {
            "restore" => format!(
                "that already is as it was at version {}",
                plan.taken().first().copied().unwrap_or_default()
            ),
            _ => "what it did has been taken back already".to_owned(),
        };
        return Err(Failure::new(Exit::NothingToUndo, message).hint("nothing was appended"));
    }
    // What no document can hold is said before anything is appended.
    let document = match &taking.write_document {
        Some(_) => Some(applied::document_after(&history, &plan)?),
        None => None,
    };
    let done = plan.finish()?;
    applied::say(command, &history, &done, take_back, out)?;
    if let (Some(path), Some(document)) = (&taking.write_document, document) {
        applied::write_document(path, &document)?;
    }
    history.close()?;
    Ok(Exit::Ok)
}
