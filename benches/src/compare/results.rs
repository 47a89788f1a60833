//! Figures as they come, the tables that are printed, and the lines of JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use crate::peers::Failure;
use crate::{median, spread_percent};

/// Which floor a row is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beside {
    /// One write of 256 bytes and one sync.
    Sync,
    /// 16 KiB read from the cache of the system.
    Read,
    /// Nothing: bytes have no floor.
    Nothing,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowKind {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    pub(super) more_is_better: bool,
    pub(super) beside: Beside,
}

/// All rows, in the order in which they are printed.
pub(super) const ROWS: [RowKind; 15] = {
    const fn row(
        name: &'static str,
        title: &'static str,
        unit: &'static str,
        more_is_better: bool,
        beside: Beside,
    ) -> RowKind {
        RowKind { name, title, unit, more_is_better, beside }
    }
    use Beside::{Nothing, Read, Sync};
    [
        row("durable_1", "durable append, 1 thread", "changes/s", true, Sync),
        row("durable_4", "durable append, 4 threads", "changes/s", true, Sync),
        row("durable_16", "durable append, 16 threads", "changes/s", true, Sync),
        row("pipelined", "durable, 1,000 on their way", "changes/s", true, Sync),
        row("buffered", "buffered append, full work", "changes/s", true, Sync),
        row("component", "open a random version, read one component", "us", false, Read),
        row("flow", "whole flow at a random version", "us", false, Read),
        row("difference", "difference of two random versions", "us", false, Read),
        row("undo", "undo of the last change", "us", false, Sync),
        row("component_log", "50 newest changes of one component", "us", false, Read),
        row("log_page", "50 newest changes", "us", false, Read),
        row("open_after_kill", "open after a kill", "ms", false, Read),
        row("replay", "replay from disk", "changes/s", true, Nothing),
        row("bytes_per_change", "bytes on disk for a change, closed", "bytes", false, Nothing),
        row("peak_memory", "peak memory while loading", "MiB", false, Nothing),
    ]
};

/// The figures of one system in one row.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) rounds: Vec<f64>,
    /// Each round's figure as a ratio to the floor around it.
    pub(super) floors: Vec<f64>,
    pub(super) failure: Option<Failure>,
    /// What the figure was measured on, where that is not what the row says.
    pub(super) note: String,
}

impl Cell {
    fn value(&self) -> Option<f64> {
        (self.failure.is_none() && !self.rounds.is_empty()).then(|| median(&self.rounds))
    }

    fn to_floor(&self) -> Option<f64> {
        (self.value().is_some() && !self.floors.is_empty()).then(|| median(&self.floors))
    }
}

/// A row with the cells of all systems, in their order.
pub(super) struct Row {
    pub(super) kind: RowKind,
    pub(super) cells: Vec<Cell>,
}

/// All that was measured.
pub(super) struct Results {
    pub(super) workload: &'static str,
    pub(super) systems: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

/// A figure with as many digits as say something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        1_000.0.. => {
            let digits = format!("{value:.0}");
            let mut text = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Results {
    fn ours(row: &Row) -> Option<f64> {
        row.cells.first().and_then(Cell::value)
    }

    /// Every figure with all that is known of it.
    pub(super) fn long_table(&self, adapter: impl Fn(usize, &str) -> Option<&'static str>) -> String {
        let mut out = String::from(
            "| row | system | median | unit | x ours | x floor | rounds | spread | how |\n|---|---|---:|---|---:|---:|---:|---:|---|\n",
        );
        for row in &self.rows {
            for (at, (system, cell)) in self.systems.iter().zip(&row.cells).enumerate() {
                let better = if row.kind.more_is_better { "more" } else { "less" };
                let Some(value) = cell.value() else {
                    let why = cell.failure.as_ref().map(ToString::to_string);
                    let why = why.unwrap_or_else(|| "the run was stopped before".to_owned());
                    let _ = writeln!(out, "| `{}` | {system} | - | | | | | | {why} |", row.kind.name);
                    continue;
                };
                let ratio = |ratio: Option<f64>| ratio.map(figure).unwrap_or_default();
                let how = match adapter(at, row.kind.name) {
                    Some(how) => format!("adapter: {how}"),
                    None => String::new(),
                };
                let between = if how.is_empty() || cell.note.is_empty() { "" } else { "; " };
                let _ = writeln!(
                    out,
                    "| `{}` | {system} | {} | {}, {better} is better | {} | {} | {} | {:.0} % | {how}{between}{} |",
                    row.kind.name,
                    figure(value),
                    row.kind.unit,
                    ratio(Self::ours(row).map(|ours| value / ours)),
                    ratio(cell.to_floor()),
                    cell.rounds.len(),
                    if cell.rounds.len() > 1 { spread_percent(&cell.rounds) } else { 0.0 },
                    cell.note,
                );
            }
        }
        out
    }

    /// The medians side by side, the best of each row in bold.
    pub(super) fn short_table(&self) -> String {
        let mut out = format!("| {} | unit |", self.workload);
        self.systems.iter().for_each(|system| {
            let _ = write!(out, " {system} |");
        });
        let _ = write!(out, "\n|---|---|{}\n", "---:|".repeat(self.systems.len()));
        for row in &self.rows {
            let values: Vec<Option<f64>> = row.cells.iter().map(Cell::value).collect();
            let best =
                values.iter().flatten().copied().reduce(|one, other| {
                    if row.kind.more_is_better { one.max(other) } else { one.min(other) }
                });
            let _ = write!(out, "| {} | {} |", row.kind.title, row.kind.unit);
            for value in values {
                let _ = match value {
                    Some(value) if Some(value) == best => write!(out, " **{}** |", figure(value)),
                    Some(value) => write!(out, " {} |", figure(value)),
                    None => write!(out, " - |"),
                };
            }
            out.push('\n');
        }
        out
    }

    /// One object a line, written aside and renamed, so that nobody finds half of it.
    pub(super) fn write_json(&self, path: &Path) -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(self.json().as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn json(&self) -> String {
        let mut out = String::new();
        let number = |value: Option<f64>| match value {
            Some(value) if value.is_finite() => format!("{value:.6}"),
            _ => "null".to_owned(),
        };
        for row in &self.rows {
            for (system, cell) in self.systems.iter().zip(&row.cells) {
                let Some(value) = cell.value() else { continue };
                let _ = writeln!(
                    out,
                    "{{\"workload\":\"{}\",\"row\":\"{}\",\"system\":\"{system}\",\"value\":{},\"unit\":\"{}\",\"better\":\"{}\",\"vs_us\":{},\"vs_floor\":{},\"n\":{},\"spread\":{:.2}}}",
                    self.workload,
                    row.kind.name,
                    number(Some(value)),
                    row.kind.unit,
                    if row.kind.more_is_better { "higher" } else { "lower" },
                    number(Self::ours(row).map(|ours| value / ours)),
                    number(cell.to_floor()),
                    cell.rounds.len(),
                    if cell.rounds.len() > 1 { spread_percent(&cell.rounds) } else { 0.0 },
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, ROWS, Results, Row, figure};
    use crate::peers::Failure;

    fn results() -> Results {
        let cell = |rounds: &[f64]| Cell { rounds: rounds.to_vec(), floors: vec![0.5], ..Cell::default() };
        let failed = Cell { failure: Some(Failure::Broke("the disk is full".to_owned())), ..cell(&[1.0]) };
        Results {
            workload: "w1k",
            systems: vec!["flow-history", "other", "broken"],
            rows: vec![Row {
                kind: ROWS[0],
                cells: vec![cell(&[100.0, 300.0, 200.0]), cell(&[400.0]), failed],
            }],
        }
    }

    #[test]
    fn each_line_of_json_is_an_object_with_ratios_to_ours_and_to_the_floor() {
        let json = results().json();
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "what failed has no figure");
        assert_eq!(lines[0]["system"], "flow-history");
        assert_eq!(lines[0]["value"], 200.0);
        assert_eq!(lines[0]["n"], 3);
        assert_eq!(lines[0]["spread"], 100.0);
        assert_eq!(lines[0]["better"], "higher");
        assert_eq!(lines[1]["vs_us"], 2.0);
        assert_eq!(lines[1]["vs_floor"], 0.5);
    }

    #[test]
    fn a_peer_that_fails_is_said_in_the_table_and_json_is_whole_or_not_there() {
        let table = results().long_table(|_, _| None);
        assert!(table.contains("| broken | - | | | | | | failed: the disk is full |"), "{table}");
        assert!(results().short_table().contains("| 200 | **400** | - |"), "{}", results().short_table());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("figures.json");
        results().write_json(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), results().json());
        results().write_json(&directory.path().join("missing/figures.json")).unwrap_err();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "something was left aside");
    }

    #[test]
    fn figures_have_as_many_digits_as_say_something() {
        assert_eq!(
            [1_234_567.0, 999.6, 12.34, 1.234, 0.12345].map(figure),
            ["1,234,567", "1000", "12.3", "1.23", "0.123"]
        );
    }
}
