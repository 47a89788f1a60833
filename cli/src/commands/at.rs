//! The flow at a version.

use std::path::PathBuf;

use clap::Args;
use flow_history_formats::node_red::{Layout, to_document};
use serde::Serialize;

use crate::escape::escape_json;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::{moment, opening, selector};

/// Print the flow as it was at a version, as Node-RED would have saved it
///
/// The document goes to stdout byte for byte as `JSON.stringify` writes it, without a final newline unless stdout is a
/// terminal, so that its hash is the revision that Node-RED computes. Secrets and what no document shows are left out.
///
/// With --json: one line of type `flow` with the version, its time, the number of components, the hash of the state, and
/// the document as text.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history at ./history 42 > flows.json
  flow-history at ./history @-1 --pretty
  flow-history at ./history --time 2026-11-22T10:00")]
pub(crate) struct At {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Which version; the newest where nothing is said
    #[arg(value_name = "VERSION", conflicts_with = "time", default_value = "@", hide_default_value = true)]
    version: String,
    /// The version that was the newest at this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    time: Option<String>,
    /// Indent by four, as Node-RED does with `flowFilePretty`
    #[arg(long)]
    pretty: bool,
}

#[derive(Serialize)]
struct FlowLine<'d> {
    r#type: &'static str,
    version: u64,
    id: String,
    log_time: String,
    components: usize,
    state_hash: String,
    document: &'d str,
}

impl At {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let version = match &self.time {
            Some(time) => selector::find_time(&history, time)?,
            None => selector::find(&history, &self.version)?,
        };
        let view = history.at(version)?;
        let layout = if self.pretty { Layout::Pretty } else { Layout::Compact };
        let flow = view.to_flow()?;
        let document = to_document(&flow, layout)
            .map_err(|error| Failure::new(Exit::Invalid, format!("version {}: {error}", view.seq())))?;
        if out.json() {
            out.json_line(&FlowLine {
                r#type: "flow",
                version: view.seq().0,
                id: view.version()?.to_string(),
                log_time: moment::rfc3339(view.log_time()?),
                components: flow.len(),
                state_hash: view.state_hash()?.to_string(),
                document: &document,
            })?;
        } else if out.is_terminal() {
            // The same JSON, in which nothing steers the terminal.
            out.bytes(format!("{}\n", escape_json(document)).as_bytes())?;
        } else {
            out.bytes(document.as_bytes())?;
        }
        Ok(Exit::Ok)
    }
}
