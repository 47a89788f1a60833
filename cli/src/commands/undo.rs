//! Take the last change back, and do it again.

use std::path::PathBuf;

use clap::Args;
use flow_history::Scope;

use super::applied::{self, command_line};
use crate::failure::{Exit, Failure};
use crate::opening;
use crate::operator::Operator;
use crate::output::Output;

/// Take the last change back, as a new version
///
/// What was removed comes back with its wires and policies; nothing that was recorded changes. Undo again to go further
/// back. Commands that write need the history to themselves: while a host writes it, ask the host.
///
/// With --json: one line of type `applied`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history undo ./history
  flow-history undo ./history --as alice --json")]
pub(crate) struct Undo {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    operator: Operator,
}

/// Do again what undo took back, as a new version
///
/// With --json: one line of type `applied`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history redo ./history")]
pub(crate) struct Redo {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    operator: Operator,
}

impl Undo {
    pub(crate) fn undo(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_write(&self.dir)?;
        let applied = history.undo(Scope::Flow, &self.operator.author())?;
        applied::say("undo", &history, &applied, &command_line("redo", &self.dir, &[]), out)?;
        history.close()?;
        Ok(Exit::Ok)
    }
}

impl Redo {
    pub(crate) fn redo(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_write(&self.dir)?;
        let applied = history.redo(Scope::Flow, &self.operator.author())?;
        applied::say("redo", &history, &applied, &command_line("undo", &self.dir, &[]), out)?;
        history.close()?;
        Ok(Exit::Ok)
    }
}
