//! One module per command: what it takes, what it asks the library, and what it says.

pub(crate) mod demo; //    a history to try everything on
pub(crate) mod import; //  documents to a history
pub(crate) mod log; //     who did what when
pub(crate) mod at; //      the flow at a version
pub(crate) mod diff; //    what changed between two versions
pub(crate) mod show; //    one version, or a component as it was then
pub(crate) mod blame; //   who gave each field its value
pub(crate) mod when; //    when a field held what
pub(crate) mod running; // which version ran
pub(crate) mod stat; //    the history in numbers
pub(crate) mod undo; //    take back; do again
pub(crate) mod restore; // make everything, or a part, as it was
pub(crate) mod trash; //   what was removed, and what would be
pub(crate) mod label; //   names of versions
pub(crate) mod verify; //  read everything, believe nothing
pub(crate) mod backup; //  a copy
pub(crate) mod succeed; // going on where a history is damaged
pub(crate) mod prune; //   letting go of what is old
mod applied; //            what a command that wrote says

use crate::args::Command;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(command: &Command, out: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Demo(demo) => demo.run(out),
        Command::Import(import) => import.run(out),
        Command::Log(log) => log.run(out),
        Command::At(at) => at.run(out),
        Command::Diff(diff) => diff.run(out),
        Command::Show(show) => show.run(out),
        Command::Blame(blame) => blame.run(out),
        Command::When(when) => when.run(out),
        Command::Running(running) => running.run(out),
        Command::Stat(stat) => stat.run(out),
        Command::Undo(undo) => undo.undo(out),
        Command::Redo(redo) => redo.redo(out),
        Command::Revert(revert) => revert.run(out),
        Command::Restore(restore) => restore.run(out),
        Command::Trash(trash) => trash.run(out),
        Command::WhatIf(what_if) => what_if.run(out),
        Command::Label(label) => label.run(out),
        Command::Verify(verify) => verify.run(out),
        Command::Backup(backup) => backup.run(out),
        Command::Succeed(succeed) => succeed.run(out),
        Command::Prune(prune) => prune.run(out),
    }
}
