//! The rows of a bench, for people and as lines of JSON.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::{median, spread_percent};

/// What a bench was asked for on its command line.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where lines of JSON go.
    pub json: Option<PathBuf>,
    /// Whether to end within two minutes, with rows run smaller.
    pub quick: bool,
    /// Rows to run; all where there are none.
    pub rows: Vec<String>,
}

impl Settings {
    /// Reads `--json FILE`, `--quick` and names of rows; what cargo adds of its own is passed over.
    #[must_use]
    pub fn from_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let mut settings = Self::default();
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => settings.json = arguments.next().map(PathBuf::from),
                "--quick" => settings.quick = true,
                other if other.starts_with('-') => {}
                row => settings.rows.push(row.to_owned()),
            }
        }
        settings
    }

    /// Whether a row is to be run.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| row.starts_with(wanted.as_str()))
    }
}

/// One row of a bench.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// The figure of each round.
    pub rounds: Vec<f64>,
    /// What the figure is in.
    pub unit: &'static str,
    /// The figure to reach.
    pub target: f64,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Whether it was run smaller than it is defined.
    pub reduced: bool,
    /// What it stands beside: the floor or the peer of the same run, in words.
    pub beside: String,
}

/// The rows of a bench as they come.
pub struct Table {
    bench: &'static str,
    json: Option<std::fs::File>,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table; the file for JSON is made now, so that a bad path is known before an hour has passed.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(bench: &'static str, settings: &Settings) -> io::Result<Self> {
        let json = settings.json.as_ref().map(std::fs::File::create).transpose()?;
        Ok(Self { bench, json, rows: Vec::new() })
    }

    /// Adds a row, and writes its line of JSON.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn add(&mut self, row: Row) -> io::Result<()> {
        let (value, spread) = (median(&row.rounds), spread_percent(&row.rounds));
        let met = match row.reduced {
            true => "null".to_owned(),
            false => row.is_met().to_string(),
        };
        writeln!(
            io::stderr(),
            "{:<16} {value:.3} {} (target {}, {})",
            row.name,
            row.unit,
            row.target,
            row.beside
        )?;
        if let Some(file) = &mut self.json {
            let reduced = if row.reduced { ",\"reduced\":true" } else { "" };
            writeln!(
                file,
                "{{\"bench\":\"{}\",\"row\":\"{}\",\"value\":{value:.6},\"unit\":\"{}\",\"target\":{},\"met\":{met},\"n\":{},\"spread\":{spread:.2}{reduced}}}",
                self.bench,
                row.name,
                row.unit,
                row.target,
                row.rounds.len(),
            )?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Prints the table.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "| row | median | unit | target | met | rounds | spread | beside |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let met = match (row.reduced, row.is_met()) {
                (true, _) => "reduced",
                (_, true) => "yes",
                _ => "no",
            };
            writeln!(
                out,
                "| `{}` | {:.3} | {} | {} {} | {met} | {} | {:.0} % | {} |",
                row.name,
                median(&row.rounds),
                row.unit,
                if row.more_is_better { ">=" } else { "<=" },
                row.target,
                row.rounds.len(),
                spread_percent(&row.rounds),
                row.beside,
            )?;
        }
        Ok(())
    }
}

impl Row {
    fn is_met(&self) -> bool {
        let value = median(&self.rounds);
        if self.more_is_better { value >= self.target } else { value <= self.target }
    }
}
