//! A copy of a history that somebody may be writing.

use std::path::{Path, PathBuf};

use clap::Args;
use flow_history::Error;
use serde::Serialize;

use super::stat::bytes;
use crate::escape::escape;
use crate::failure::{Exit, Failure};
use crate::opening;
use crate::output::{NUMBER, Output, STRONG, paint};

/// Copy the history, while a host writes it or not, and verify the copy
///
/// The copy is a history of its own, up to the newest version that was durable when this began. It is read back whole
/// before this says that it is there; what a copy that failed leaves behind is no history.
///
/// With --json: one line of type `backup`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history backup ./history /backups/history-2026-11-22")]
pub(crate) struct Backup {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Where the copy goes; missing, or an empty directory
    #[arg(value_name = "TO")]
    to: PathBuf,
}

#[derive(Serialize)]
struct BackupLine {
    r#type: &'static str,
    to: String,
    version: u64,
    version_id: String,
    files: u64,
    bytes: u64,
}

impl Backup {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        if self.to.exists() && !self.to.is_dir() {
            let message = format!("{} is a file; a history is a directory", self.to.display());
            return Err(Failure::new(Exit::Conflict, message).hint(free(&self.to)));
        }
        let backup = history.backup(&self.to).map_err(|error| match error {
            error @ Error::NotEmpty { .. } => Failure::from(error).hint(free(&self.to)),
            error => error.into(),
        })?;
        let to = self.to.display().to_string();
        if out.json() {
            out.json_line(&BackupLine {
                r#type: "backup",
                to,
                version: backup.version.seq().0,
                version_id: backup.version.to_string(),
                files: backup.files,
                bytes: backup.bytes,
            })?;
            return Ok(Exit::Ok);
        }
        let version = paint(NUMBER, backup.version.seq());
        let (files, size) = (backup.files, bytes(backup.bytes));
        out.line(format!("{} holds version {version}: {files} files, {size}", paint(STRONG, escape(&to))))?;
        out.line(format!("its ID is {}; every byte was read back and checked", backup.version))?;
        Ok(Exit::Ok)
    }
}

/// A name beside one that is taken.
pub(super) fn free(taken: &Path) -> String {
    let beside = |number: u32| {
        let mut name = taken.file_name().unwrap_or_default().to_owned();
        name.push(format!("-{number}"));
        taken.with_file_name(name)
    };
    let free = (2..100).map(beside).find(|path| !path.exists());
    free.map_or_else(
        || "nothing was written; name a directory that is missing or empty".to_owned(),
        |path| format!("nothing was written; {} is free", path.display()),
    )
}
