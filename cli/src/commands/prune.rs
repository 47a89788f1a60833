//! Letting go of what is old.

use std::path::PathBuf;

use clap::Args;
use flow_history::{Error, LiveStamps};
use serde::Serialize;

use super::stat::bytes;
use crate::failure::{Exit, Failure};
use crate::operator::Operator;
use crate::output::{NUMBER, Output, paint};
use crate::{opening, selector};

/// Drop the entries before a version; there is no way back
///
/// Whole segments go, so that somewhat more is kept than what was asked. Labels, pins, the version that runs and the oldest
/// stamp that is still out there hold older versions back; what they are is said, and nothing goes. The version that the
/// log begins with from then on stays as it was, and a mark says who pruned.
///
/// With --json: one line of type `pruned`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history backup ./history /backups/history-before-pruning
  flow-history prune ./history 2026-01-01 --oldest-stamp 00000000-0024-8871-b45e-37d997da0e9e
  flow-history prune ./history released --give-up-stamps")]
pub(crate) struct Prune {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The first version that is needed: what lies before it may go
    #[arg(value_name = "VERSION")]
    version: String,
    /// The oldest version ID that stamps which are kept somewhere may carry
    #[arg(long, value_name = "ID", conflicts_with = "give_up_stamps")]
    oldest_stamp: Option<String>,
    /// Accept that stamps of older versions can no longer be resolved
    #[arg(long)]
    give_up_stamps: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Serialize)]
struct PrunedLine {
    r#type: &'static str,
    oldest: u64,
    oldest_id: String,
    entries: u64,
    bytes: i64,
}

impl Prune {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        if self.oldest_stamp.is_none() && !self.give_up_stamps {
            let message = "stamps may name what would go, and nobody said which are still kept";
            let hint = "give --oldest-stamp ID, or --give-up-stamps if none of them matters any more";
            return Err(Failure::new(Exit::Usage, message.to_owned()).hint(hint));
        }
        let history = opening::to_write(&self.dir)?;
        let stamps = match &self.oldest_stamp {
            Some(stamp) => LiveStamps::Since(selector::find(&history, stamp)?),
            None => LiveStamps::GiveUp,
        };
        let version = selector::find(&history, &self.version)?;
        let pruned =
            history.prune(&self.operator.author(), version, &stamps).map_err(|error| match error {
                error @ Error::HeldBack { .. } => Failure::from(error)
                    .hint("nothing was pruned; `label --remove` takes a label away, or prune less"),
                error => error.into(),
            })?;
        if out.json() {
            out.json_line(&PrunedLine {
                r#type: "pruned",
                oldest: pruned.oldest.seq().0,
                oldest_id: pruned.oldest.to_string(),
                entries: pruned.entries,
                bytes: pruned.bytes,
            })?;
        } else if pruned.entries == 0 {
            out.line("nothing was pruned: no whole segment lies before that version")?;
        } else {
            let freed = bytes(u64::try_from(pruned.bytes).unwrap_or_default());
            out.line(format!("{} entries went, and {freed} with them", paint(NUMBER, pruned.entries)))?;
            let oldest = paint(NUMBER, pruned.oldest.seq());
            out.line(format!("the oldest version is {oldest} now, {}", pruned.oldest))?;
        }
        history.close()?;
        Ok(Exit::Ok)
    }
}
