//! Errors to messages, hints and exit codes.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use flow_history::Error;

use crate::moment;

/// How the program ends. The numbers are a promise to scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Differences = 3,
    Conflict = 4,
    NotFound = 5,
    Damaged = 6,
    Invalid = 7,
    NoHistory = 10,
    Locked = 11,
    NewerFormat = 12,
    NothingToUndo = 13,
}

impl Exit {
    /// The name that JSON Lines carry beside the number.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::Differences => "differences",
            Exit::Conflict => "conflict",
            Exit::NotFound => "not-found",
            Exit::Damaged => "damaged",
            Exit::Invalid => "invalid",
            Exit::NoHistory => "no-history",
            Exit::Locked => "locked",
            Exit::NewerFormat => "newer-format",
            Exit::NothingToUndo => "nothing-to-undo",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command could not do what it was asked, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the program ends; [`Exit::Ok`] where whoever read stdout went away, which is nobody's fault.
    pub(crate) exit: Exit,
    /// What is wrong, in one sentence.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// The same with what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Writing to stdout failed.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, "nobody reads the output any more"),
            _ => Self::new(Exit::Failed, format!("cannot write to stdout: {error}")),
        }
    }

    /// A file that is not part of a history could not be read or written.
    pub(crate) fn file(doing: &str, path: impl Display, error: &io::Error) -> Self {
        Self::new(Exit::Failed, format!("cannot {doing} {path}: {error}"))
    }
}

/// The message of an error and of what caused it.
fn with_causes(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let text = source.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = source.source();
    }
    message
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, hint) = match &error {
            Error::Misfit(_) | Error::Header(_) | Error::EmptyChange => (Exit::Invalid, None),
            Error::Conflict { .. } => {
                (Exit::Conflict, Some("somebody else appended first; look at `log` and try again".to_owned()))
            }
            Error::Stale { .. } => (Exit::Conflict, Some("somebody else appended first; plan again".to_owned())),
            Error::Denied { .. } => (Exit::Conflict, Some("ask somebody who may".to_owned())),
            Error::NotAChange { .. } => (Exit::Invalid, Some("`log` shows which versions are changes".to_owned())),
            Error::Conflicts { .. } => {
                (Exit::Conflict, Some("`--plan` says what is in the way, `--mode` what becomes of it; `restore` makes everything as it was".into()))
            }
            Error::Frozen { .. } => {
                (Exit::Conflict, Some("`restore` goes back all the same, as a new version".into()))
            }
            Error::NothingToUndo => {
                (Exit::NothingToUndo, Some("`log` shows what was done; marks and undos are not undone".into()))
            }
            Error::NothingToRedo => {
                (Exit::NothingToUndo, Some("only what `undo` took back, with no edit since, can be done again".into()))
            }
            Error::Locked { holder, .. } => {
                let who = holder.map_or("the process that writes it".to_owned(), |pid| format!("process {pid}"));
                (Exit::Locked, Some(format!("commands that read work all the same; to write, ask the host or end {who}")))
            }
            Error::NotAHistory { .. } => {
                (Exit::NoHistory, Some("`flow-history demo` or `flow-history import` makes one".into()))
            }
            Error::Unsupported { .. } => {
                (Exit::NewerFormat, Some("install a newer flow-history; nothing is wrong with the files".into()))
            }
            Error::Damaged { .. } => (
                Exit::Damaged,
                Some("nothing was changed; versions before the damage stay readable; restore the file from a backup, or go on with `flow-history succeed`".into()),
            ),
            Error::UnknownVersion { .. } => (Exit::NotFound, Some("`log` lists the versions".into())),
            Error::UnknownLabel { .. } => (
                Exit::NotFound,
                Some("`label DIR --list` lists the labels; a time is written 2026-11-22T10:00".into()),
            ),
            Error::BeforeFirst { first, .. } => {
                let hint = if first.is_some() { "version 0 is the empty flow" } else { "the history is empty" };
                (Exit::NotFound, Some(hint.into()))
            }
            Error::BeforeStart { .. } => (Exit::NotFound, Some("version 0 is the empty flow".into())),
            Error::Foreign { .. } => {
                (Exit::NotFound, Some("it belongs to another history, or to a version that a restored backup lost".into()))
            }
            Error::Pruned { oldest } => {
                (Exit::NotFound, Some(format!("ask for version {oldest} or a later one; a backup may have the others")))
            }
            Error::UnknownSecret | Error::SecretGone { .. } => {
                (Exit::NotFound, Some("`log` shows the mark `shredded` with who did it".into()))
            }
            Error::HeldBack { .. } => (Exit::Conflict, Some("nothing was pruned".into())),
            Error::NotEmpty { .. } => (Exit::Conflict, Some("nothing was written".into())),
            Error::Poisoned { .. } => (Exit::Failed, Some("check the disk, then run the command again".into())),
            Error::Full { .. } => (Exit::Failed, Some("free some space, then run the command again".into())),
            _ => (Exit::Failed, None),
        };
        let mut message = with_causes(&error);
        if let Error::BeforeFirst { first: Some(first), .. } = &error {
            message.push_str(&format!(", which was made at {}", moment::rfc3339(*first)));
        }
        Self { exit, message, hint }
    }
}

#[cfg(test)]
mod tests {
    use flow_history::{Error, Seq};

    use super::{Exit, Failure};

    #[test]
    fn what_is_nearest_is_named() {
        let nearest = Some("released".to_owned());
        let not_found = [
            (Error::UnknownVersion { asked: Seq(99), head: Seq(3) }, "the newest is 3"),
            (Error::UnknownLabel { label: "relesed".to_owned(), nearest }, "there is \"released\""),
            (Error::BeforeFirst { asked: 0, first: Some(1_000) }, "made at 1970-01-01T00:00:01.000Z"),
            (Error::Pruned { oldest: Seq(7) }, "the oldest kept is 7"),
            (Error::BeforeStart { back: 9, head: Seq(3) }, "which is 3"),
        ];
        for (error, part) in not_found {
            let failure = Failure::from(error);
            assert_eq!(failure.exit, Exit::NotFound);
            assert!(failure.message.contains(part) && failure.hint.is_some(), "{failure:?}");
        }
    }
}
