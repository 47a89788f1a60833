//! The command line.

use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    at, backup, blame, demo, diff, import, label, log, prune, restore, running, show, stat, succeed, trash,
    undo, verify, when,
};
use crate::failure::{Exit, Failure};
use crate::moment::Zone;
use crate::output::Output;

/// The history of a flow: who changed what and when, any version of it, and the way back.
///
/// A history is a directory to which a host, such as NiFi or Node-RED, appends every change. The commands that read it
/// work while the host writes, and without permission to write; the commands that write append new versions and never
/// change what is there.
#[derive(Parser)]
#[command(name = "flow-history", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const AFTER_HELP: &str = "\
A VERSION is one of
  42                      its number; 0 is the empty flow
  @, @-3                  the newest version, the third before it
  00000000-002a-8...      its flow-version ID, as stamped on data
  released                a label
  2026-11-22              the last version of that day, in local time
  2026-11-22T10:00        ... of that minute, in local time
  2026-11-22T10:00:07Z    ... of that second, in UTC or with an offset such as +01:00

Exit codes
  0 done   1 failed   2 wrong usage   3 differences (diff --exit-code)   4 conflict
  5 no such version, label or time   6 damaged   7 invalid input   10 no history
  11 locked by another process   12 written by a newer program   13 nothing to undo or redo
  130 interrupted

Start with `flow-history demo`.";

/// What every command understands.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Global {
    /// Print JSON Lines: one object per line, with a field `type`; an error is the last line
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub(crate) color: ColorChoice,
    /// Show times in UTC (the default)
    #[arg(long, global = true, overrides_with = "local", help_heading = "Output")]
    utc: bool,
    /// Show times in the local zone
    #[arg(long, global = true, overrides_with = "utc", help_heading = "Output")]
    local: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    #[command(subcommand)]
    Import(import::Import),
    Log(log::Log),
    At(at::At),
    Diff(diff::Diff),
    Show(show::Show),
    Blame(blame::Blame),
    When(when::When),
    Running(running::Running),
    Stat(stat::Stat),
    Undo(undo::Undo),
    Redo(undo::Redo),
    Revert(undo::Revert),
    Restore(restore::Restore),
    Trash(trash::Trash),
    WhatIf(trash::WhatIf),
    Label(label::Label),
    Verify(verify::Verify),
    Backup(backup::Backup),
    Succeed(succeed::Succeed),
    Prune(prune::Prune),
}

impl Global {
    pub(crate) fn zone(&self) -> Zone {
        if self.local { Zone::Local } else { Zone::Utc }
    }
}

impl Arguments {
    /// Reads the command line of this process.
    ///
    /// # Errors
    /// The exit code, once help, the version or what is wrong has been said.
    pub(crate) fn read() -> Result<Self, Exit> {
        let matches = Self::command().try_get_matches();
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            if error.exit_code() == 0 {
                let _ = error.print();
                return Exit::Ok;
            }
            // The command line could not be read, so whether JSON was wanted is a guess from its words.
            let json = std::env::args_os().any(|argument| argument == "--json");
            if json {
                let global = Global { json, color: ColorChoice::Never, utc: true, local: false };
                let text = error.to_string();
                let message = text.trim().split("\n\n").next().unwrap_or_default();
                let message = message.strip_prefix("error: ").unwrap_or(message);
                let failure = Failure::new(Exit::Usage, message).hint("flow-history --help");
                let mut out = Output::new(&global);
                let _ = out.error(&failure).and_then(|()| out.flush());
            } else {
                let _ = error.print();
            }
            Exit::Usage
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
