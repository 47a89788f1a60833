//! The history in numbers.

use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::{moment, opening};

/// Show the history in numbers: versions, components, files, bytes
///
/// With --json: one line of type `stat`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history stat ./history
  flow-history stat ./history --json | jq .total_bytes")]
pub(crate) struct Stat {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Serialize)]
struct StatLine {
    r#type: &'static str,
    history: String,
    created: String,
    head: u64,
    head_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_time: Option<String>,
    components: u64,
    entries: u64,
    segments: u64,
    checkpoints: u64,
    log_bytes: u64,
    checkpoint_bytes: u64,
    catalog_bytes: u64,
    total_bytes: u64,
}

impl Stat {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let stats = opening::to_read(&self.dir)?.stats();
        let line = StatLine {
            r#type: "stat",
            history: stats.history.to_string(),
            created: moment::rfc3339(stats.created),
            head: stats.head.seq().0,
            head_id: stats.head.to_string(),
            head_time: stats.head_time.map(moment::rfc3339),
            components: stats.components as u64,
            entries: stats.entries,
            segments: stats.segments as u64,
            checkpoints: stats.checkpoints as u64,
            log_bytes: stats.log_bytes,
            checkpoint_bytes: stats.checkpoint_bytes,
            catalog_bytes: stats.catalog_bytes,
            total_bytes: stats.total_bytes,
        };
        if out.json() {
            out.json_line(&line)?;
            return Ok(Exit::Ok);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let times = |millis| moment::shown(millis, out.zone());
        table.add_row(["history", &line.history]);
        table.add_row(["created", &times(stats.created)]);
        table.add_row(["newest version", &line.head.to_string()]);
        table.add_row(["its ID", &line.head_id]);
        table.add_row(["its time", &stats.head_time.map(times).unwrap_or_default()]);
        table.add_row(["components", &line.components.to_string()]);
        table.add_row(["entries", &line.entries.to_string()]);
        table.add_row(["segments", &format!("{}, {}", line.segments, bytes(line.log_bytes))]);
        table.add_row(["checkpoints", &format!("{}, {}", line.checkpoints, bytes(line.checkpoint_bytes))]);
        table.add_row(["catalog", &bytes(line.catalog_bytes)]);
        table.add_row(["on disk", &bytes(line.total_bytes)]);
        if let Some(column) = table.column_mut(0) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        out.line(table.trim_fmt())?;
        Ok(Exit::Ok)
    }
}

/// Bytes as people write them.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
