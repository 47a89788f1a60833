//! `flow`, `author:ID`, `session:ID`, `subtree:ID` to a scope; and the options that undo, redo, revert and restore share.

use clap::{Args, ValueEnum};
use flow_history::{Author, Mode, Proposal, Scope};
use std::path::PathBuf;

use crate::operator::Operator;

/// What becomes of what is in the way.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeName {
    /// All or nothing
    Strict,
    /// Do what nothing is in the way of, and say what was left out
    Partial,
    /// Bring back and remove beside what it takes
    Cascade,
    /// As cascade, and overwrite what was changed since
    Force,
}

/// The options that undo, redo, revert and restore share.
#[derive(Args, Clone, Debug)]
pub(crate) struct Taking {
    /// Say what would be done, and what is in the way; write nothing. Works while a host writes
    #[arg(long)]
    pub(crate) plan: bool,
    /// What becomes of what is in the way
    #[arg(long, value_name = "MODE", value_enum, default_value = "strict")]
    mode: ModeName,
    /// Write the flow as it is then to this file, as Node-RED keeps it: a host that is not running reads its own file
    #[arg(long, value_name = "FILE")]
    pub(crate) write_document: Option<PathBuf>,
    #[command(flatten)]
    operator: Operator,
}

impl Taking {
    /// Who does it.
    pub(crate) fn author(&self) -> Author {
        self.operator.author()
    }

    /// A proposal on these terms.
    pub(crate) fn terms(&self, proposal: Proposal) -> Proposal {
        proposal.mode(match self.mode {
            ModeName::Strict => Mode::Strict,
            ModeName::Partial => Mode::Partial,
            ModeName::Cascade => Mode::Cascade,
            ModeName::Force => Mode::Force,
        })
    }
}

/// Reads a scope.
pub(crate) fn parse(text: &str) -> Result<Scope, String> {
    match text.split_once(':') {
        None if text == "flow" => Ok(Scope::Flow),
        Some(("author", id)) if !id.is_empty() => Ok(Scope::Author(id.to_owned())),
        Some(("session", id)) if !id.is_empty() => Ok(Scope::Session(id.to_owned())),
        Some(("subtree", id)) if !id.is_empty() => Ok(Scope::Subtree(id.into())),
        _ => Err("it is `flow`, `author:ID`, `session:ID` or `subtree:ID`".to_owned()),
    }
}

/// The same text again, for a command that can be typed next.
pub(crate) fn text(scope: &Scope) -> Option<String> {
    match scope {
        Scope::Author(id) => Some(format!("--scope=author:{id}")),
        Scope::Session(id) => Some(format!("--scope=session:{id}")),
        Scope::Subtree(id) => Some(format!("--scope=subtree:{id}")),
        _ => None,
    }
}
