//! Which version ran at a time, apart from the one saved last.

use std::path::PathBuf;

use clap::Args;
use flow_history::{At, History, Intent, Mark, Seq};
use serde::Serialize;

use super::applied::in_words;
use crate::failure::{Exit, Failure};
use crate::output::{Output, STRONG, paint};
use crate::{header, moment, opening, selector};

/// Say which version ran at a time, and which had been saved last by then
///
/// The two differ where edits take effect later than they are saved: hosts mark the version that they deploy. Of a day, a
/// minute or a second it is the end that counts.
///
/// With --json: one line of type `running`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history running ./history 2026-11-22T10:00
  flow-history running ./history 2026-11-22T10:00:07Z --json | jq .version")]
pub(crate) struct Running {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// When
    #[arg(value_name = "TIME", allow_hyphen_values = true)]
    time: String,
}

#[derive(Serialize)]
struct RunningLine {
    r#type: &'static str,
    time: String,
    version: u64,
    version_id: String,
    saved: u64,
    saved_id: String,
}

impl Running {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let time = selector::end(&self.time)?;
        let saved = history.find(At::Time(time))?;
        let Some(running) = history.running_at(time)? else {
            return Err(nothing_said(&history, saved.seq(), out));
        };
        if out.json() {
            out.json_line(&RunningLine {
                r#type: "running",
                time: moment::rfc3339(time.millis),
                version: running.seq().0,
                version_id: running.to_string(),
                saved: saved.seq().0,
                saved_id: saved.to_string(),
            })?;
            return Ok(Exit::Ok);
        }
        out.line(format!(
            "{} {}",
            paint(STRONG, "running:   "),
            in_words(&history, running.seq(), out.zone())?
        ))?;
        let saved = in_words(&history, saved.seq(), out.zone())?;
        out.line(format!("{} {saved}", paint(STRONG, "last saved:")))?;
        Ok(Exit::Ok)
    }
}

/// Nobody had said which version runs: names what was saved last, and who said so first, if anybody did.
fn nothing_said(history: &History, saved: Seq, out: &Output) -> Failure {
    let message = format!("nobody had said which version runs; the one saved last was version {saved}");
    let marks = history.entries().intent(Intent::Mark).from(saved).filter_map(Result::ok);
    let mut said = marks.filter(|entry| matches!(header::mark(entry), Some(Mark::Running { .. })));
    let hint = match said.next() {
        Some(entry) => {
            let time = moment::shown(entry.header.log_time, out.zone());
            format!("version {} said so first, at {time}", entry.seq)
        }
        None => {
            "a host that saves without running says so with a mark; in any other the newest runs".to_owned()
        }
    };
    Failure::new(Exit::NotFound, message).hint(hint)
}
