//! Make everything as it was.

use std::path::PathBuf;

use clap::Args;
use flow_history::Part;

use super::applied::{self, command_line};
use crate::failure::{Exit, Failure};
use crate::operator::Operator;
use crate::output::Output;
use crate::{opening, selector};

/// Make the whole flow as it was at a version, as a new version
///
/// The versions in between stay, and can be restored just so.
///
/// With --json: one line of type `applied`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history restore ./history released
  flow-history restore ./history @-3 --as alice")]
pub(crate) struct Restore {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which version
    #[arg(value_name = "VERSION")]
    version: String,
    #[command(flatten)]
    operator: Operator,
}

impl Restore {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_write(&self.dir)?;
        let version = selector::find(&history, &self.version)?;
        if history.diff(version, history.version())?.is_empty() {
            let message = format!("the flow already is as it was at version {}", version.seq());
            return Err(Failure::new(Exit::NothingToUndo, message).hint("nothing was appended"));
        }
        let applied = history.restore(Part::Flow, version, &self.operator.author())?;
        applied::say("restore", &history, &applied, &command_line("undo", &self.dir, &[]), out)?;
        history.close()?;
        Ok(Exit::Ok)
    }
}
