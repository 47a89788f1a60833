//! Who gave each field of a component its value.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::escape::first_line;
use crate::failure::{Exit, Failure};
use crate::header::JsonAuthor;
use crate::names::{Names, title};
use crate::output::{NUMBER, Output, STRONG, paint};
use crate::value::{Json, short_to};
use crate::{moment, nearest, opening};

/// Longest value in the table, in characters.
const VALUE_CHARACTERS: usize = 40;

/// Show who gave each field of a component the value that it has, and when
///
/// Of a text that was edited in many places it is the last edit that counts. `show` says what else that version changed.
///
/// With --json: one line of type `blame` per field, with the whole value.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history blame ./history limit-1
  flow-history blame ./history limit-1 --json | jq -r 'select(.field == \"threshold\").author.id'")]
pub(crate) struct Blame {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The ID of a component
    #[arg(value_name = "COMPONENT", allow_hyphen_values = true)]
    component: String,
}

#[derive(Serialize)]
struct BlameLine<'b> {
    r#type: &'static str,
    component: &'b str,
    field: &'b str,
    value: Json<'b>,
    version: u64,
    version_id: String,
    author: JsonAuthor<'b>,
    log_time: String,
}

impl Blame {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let changed = nearest::last_change(&history, &self.component)?;
        let view = history.at(history.version())?;
        let Some(component) = view.component(&self.component)? else {
            return Err(nearest::gone(&self.component, changed.seq()));
        };
        let secrets = Names::new([view]).secrets()?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for told in history.blame(&self.component)? {
            let value = secrets.hide_value(&component.kind, &told.field, &told.value);
            if out.json() {
                out.json_line(&BlameLine {
                    r#type: "blame",
                    component: &self.component,
                    field: &told.field,
                    value: Json(&value),
                    version: told.version.seq().0,
                    version_id: told.version.to_string(),
                    author: JsonAuthor::of(&told.author),
                    log_time: moment::rfc3339(told.log_time),
                })?;
                continue;
            }
            table.add_row([
                first_line(&told.field),
                short_to(&value, VALUE_CHARACTERS),
                format!("version {}", told.version.seq()),
                moment::shown(told.log_time, out.zone()),
                first_line(&told.author.name),
            ]);
        }
        if !out.json() {
            let at = paint(NUMBER, history.version().seq());
            out.line(format!("{} at version {at}", paint(STRONG, title(&component))))?;
            match table.is_empty() {
                true => out.line("  it has no fields")?,
                false => out.line(table.trim_fmt())?,
            }
        }
        Ok(Exit::Ok)
    }
}
