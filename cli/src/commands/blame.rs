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
    /// Null where it was pruned, as all that follows.
    version: Option<u64>,
    version_id: Option<String>,
    author: Option<JsonAuthor<'b>>,
    log_time: Option<String>,
}

impl Blame {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let changed = nearest::last_change(&history, &self.component)?;
        let view = history.at(history.version())?;
        let Some(component) = view.component(&self.component)? else {
            return Err(nearest::gone(&self.component, changed));
        };
        let secrets = Names::new([view]).secrets()?;
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let told = history.blame(&self.component)?;
        for (field, value) in component.fields.iter() {
            let value = secrets.hide_value(&component.kind, field, value);
            // Who gave it its value may have been pruned; nobody else did since.
            let by = told.iter().find(|told| told.field == *field);
            if out.json() {
                out.json_line(&BlameLine {
                    r#type: "blame",
                    component: &self.component,
                    field,
                    value: Json(&value),
                    version: by.map(|by| by.version.seq().0),
                    version_id: by.map(|by| by.version.to_string()),
                    author: by.map(|by| JsonAuthor::of(&by.author)),
                    log_time: by.map(|by| moment::rfc3339(by.log_time)),
                })?;
                continue;
            }
            let version = by.map_or("pruned".to_owned(), |by| format!("version {}", by.version.seq()));
            table.add_row([
                first_line(field),
                short_to(&value, VALUE_CHARACTERS),
                version,
                by.map(|by| moment::shown(by.log_time, out.zone())).unwrap_or_default(),
                by.map(|by| first_line(&by.author.name)).unwrap_or_default(),
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
