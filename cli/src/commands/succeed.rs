//! Going on where a history is damaged, in another directory.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use clap::Args;
use flow_history::{Body, Error, FlowVersionId, History, Mark};
use serde::Serialize;

use super::backup::free;
use crate::escape::escape;
use crate::failure::{Exit, Failure};
use crate::opening;
use crate::output::{NUMBER, Output, STRONG, paint};

/// Go on where a history is damaged, in a new directory that begins with the newest version that can be trusted
///
/// Of the damaged directory nothing is changed. Versions up to the one that the new history begins with keep their IDs and
/// are read from there, so leave it where it is. What came behind the damage is not taken over, and its IDs name nothing in
/// the new history. Undo does not reach back over the beginning.
///
/// A history that is sound, or that somebody still writes, is refused.
///
/// With --json: one line of type `succeeded`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history succeed ./history --into ./history-2
  flow-history verify ./history-2")]
pub(crate) struct Succeed {
    /// The directory of the damaged history
    #[arg(value_name = "DAMAGED")]
    damaged: PathBuf,
    /// Where the history goes on; missing, or an empty directory
    #[arg(long, value_name = "NEW")]
    into: PathBuf,
}

#[derive(Serialize)]
struct SucceededLine {
    r#type: &'static str,
    into: String,
    predecessor: String,
    version: u64,
    version_id: String,
    head: u64,
    head_id: String,
    damage: String,
}

impl Succeed {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let damage = self.damage()?;
        self.check_place()?;
        let history = History::succeed(&self.into, &self.damaged).map_err(|error| match error {
            error @ Error::NotEmpty { .. } => Failure::from(error).hint(free(&self.into)),
            error => error.into(),
        })?;
        let (trusted, head) = (trusted(&history)?, history.version());
        history.close()?;
        let line = SucceededLine {
            r#type: "succeeded",
            into: self.into.display().to_string(),
            predecessor: self.damaged.display().to_string(),
            version: trusted.seq().0,
            version_id: trusted.to_string(),
            head: head.seq().0,
            head_id: head.to_string(),
            damage,
        };
        if out.json() {
            out.json_line(&line)?;
        } else {
            say(&line, out)?;
        }
        Ok(Exit::Ok)
    }

    /// What is wrong with the damaged history; refused where nothing is, or where it cannot be told.
    fn damage(&self) -> Result<String, Failure> {
        let read = opening::to_read_at_all(&self.damaged)?.and_then(|history| history.verify());
        match read {
            Err(damaged @ Error::Damaged { .. }) => {
                self.check_nobody_writes()?;
                Ok(damaged.to_string())
            }
            Err(error) => Err(error.into()),
            Ok(_) => {
                let message = format!("{} is not damaged: every byte is as written", self.damaged.display());
                let hint = "nothing was written; open it as it is, or copy it with `flow-history backup`";
                Err(Failure::new(Exit::Conflict, message).hint(hint))
            }
        }
    }

    /// Whoever still writes the damaged history would go on behind the successor's back.
    fn check_nobody_writes(&self) -> Result<(), Failure> {
        let lock = self.damaged.join("lock");
        if !lock.symlink_metadata().is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        let Ok(file) = File::open(&lock) else { return Ok(()) };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is written by another process", self.damaged.display());
                Err(Failure::new(Exit::Locked, message).hint("nothing was written; end that process first"))
            }
            _ => Ok(()),
        }
    }

    fn check_place(&self) -> Result<(), Failure> {
        if self.into.exists() && !self.into.is_dir() {
            let message = format!("{} is a file; a history is a directory", self.into.display());
            return Err(Failure::new(Exit::Conflict, message).hint(free(&self.into)));
        }
        let into = std::path::absolute(&self.into).unwrap_or_else(|_| self.into.clone());
        let there = into.ancestors().find_map(|above| above.canonicalize().ok());
        let damaged = self.damaged.canonicalize().ok();
        if let (Some(there), Some(damaged)) = (there, damaged)
            && there.starts_with(&damaged)
        {
            let message = format!("{} lies in the damaged directory", self.into.display());
            let hint = format!("nothing was written; {}", free(&self.damaged));
            return Err(Failure::new(Exit::Conflict, message).hint(hint));
        }
        Ok(())
    }
}

/// The version that a successor begins with.
fn trusted(history: &History) -> Result<FlowVersionId, Failure> {
    for line in history.log() {
        if let Body::Mark(Mark::Succeeded { version, chain, .. }) = &line?.entry.body {
            return Ok(FlowVersionId::new(*version, chain));
        }
    }
    Err(Failure::new(Exit::Failed, "the successor does not say what it succeeds")
        .hint("remove it, and try again"))
}

fn say(line: &SucceededLine, out: &mut Output) -> Result<(), Failure> {
    let (into, damaged) = (escape(&line.into), escape(&line.predecessor));
    let version = paint(NUMBER, line.version);
    out.line(format!("{} goes on from version {version} of {damaged}", paint(STRONG, &into)))?;
    let mut row =
        |name: &str, text: String| out.line(format!("{} {text}", paint(STRONG, format!("{name:<9}"))));
    row(
        "kept",
        format!(
            "version {version}, {}, and its flow; older versions are read from {damaged}",
            line.version_id
        ),
    )?;
    row("not kept", format!("what came after version {version}: {}", escape(&line.damage)))?;
    row(
        "next",
        format!("have the host open {into}; leave {damaged} where it is; `flow-history verify {into}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::Succeed;
    use std::path::Path;

    #[test]
    fn a_place_inside_of_the_damaged_directory_is_refused() {
        let keep = tempfile::tempdir().unwrap();
        let damaged = keep.path().join("damaged");
        std::fs::create_dir(&damaged).unwrap();
        let into = |into: &Path| Succeed { damaged: damaged.clone(), into: into.to_owned() }.check_place();
        assert!(into(&damaged.join("new")).is_err() && into(&damaged.join("a/b")).is_err());
        assert!(into(&damaged).is_err());
        assert!(into(&keep.path().join("damaged-2")).is_ok());
    }
}
