//! Names of versions.

use std::path::PathBuf;

use clap::Args;
use flow_history::{At, History};
use serde::Serialize;

use super::applied::{self, command_line};
use crate::escape::escape;
use crate::failure::{Exit, Failure};
use crate::operator::Operator;
use crate::output::{NUMBER, Output, STRONG, paint};
use crate::{opening, selector};

/// Give a version a name, take one away, or list them
///
/// A label is part of the history: who gave it and when is kept, and an older version that had the name loses it.
///
/// With --json: lines of type `label`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history label ./history released @
  flow-history label ./history --list
  flow-history label ./history --remove released")]
pub(crate) struct Label {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The name
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<String>,
    /// Which version; the newest where nothing is said
    #[arg(value_name = "VERSION", default_value = "@", hide_default_value = true)]
    version: String,
    /// List the labels
    #[arg(long, conflicts_with_all = ["name", "remove", "acting_as"])]
    list: bool,
    /// Take the label away
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    operator: Operator,
}

#[derive(Serialize)]
struct LabelLine<'l> {
    r#type: &'static str,
    label: &'l str,
    /// The version that has the name; null where none has it any more.
    version: Option<u64>,
    /// The entry by which it got or lost the name just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    take_back: Option<&'l str>,
}

impl Label {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let Some(name) = &self.name else { return list(&opening::to_read(&self.dir)?, out) };
        if name.trim().is_empty() || selector::is_taken(name) {
            let message =
                format!("`{name}` cannot be a label: it is a number, a time or an ID, or begins with @");
            return Err(Failure::new(Exit::Usage, message).hint("choose a word, such as `released`"));
        }
        let history = opening::to_write(&self.dir)?;
        let author = self.operator.author();
        let before = history.labels()?.get(name.as_str()).copied();
        let (version, entry) = if self.remove {
            // Answers with the nearest label where there is none of this name.
            history.find(At::Label(name.clone()))?;
            (None, history.unlabel(&author, name)?)
        } else {
            let version = selector::find(&history, &self.version)?;
            (Some(version.seq()), history.label(&author, name, version)?)
        };
        let take_back = match before {
            Some(seq) => command_line("label", &self.dir, &[name, &seq.to_string()]),
            None => command_line("label", &self.dir, &["--remove", name]),
        };
        if out.json() {
            out.json_line(&LabelLine {
                r#type: "label",
                label: name,
                version: version.map(|seq| seq.0),
                entry: Some(entry.seq().0),
                take_back: Some(&take_back),
            })?;
        } else {
            let shown = escape(name);
            match version {
                Some(seq) => {
                    out.line(format!(
                        "{} now names {}",
                        paint(STRONG, shown),
                        applied::in_words(&history, seq, out.zone())?
                    ))?;
                }
                None => out.line(format!("{} names nothing any more", paint(STRONG, shown)))?,
            }
            if let Some(seq) = before.filter(|seq| Some(*seq) != version) {
                out.line(format!("it named {}", applied::in_words(&history, seq, out.zone())?))?;
            }
            out.line(format!("to take it back: {take_back}"))?;
        }
        history.close()?;
        Ok(Exit::Ok)
    }
}

fn list(history: &History, out: &mut Output) -> Result<Exit, Failure> {
    for (label, seq) in history.labels()? {
        if out.json() {
            let version = Some(seq.0);
            out.json_line(&LabelLine {
                r#type: "label",
                label: &label,
                version,
                entry: None,
                take_back: None,
            })?;
        } else {
            out.line(format!("{}  {}", paint(NUMBER, seq), escape(&label)))?;
        }
    }
    Ok(Exit::Ok)
}
