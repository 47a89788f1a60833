//! Text or JSON Lines on stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal, StdoutLock, Write};

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::args::Global;
use crate::escape::{escape, escape_json};
use crate::failure::Failure;
use crate::moment::Zone;

pub(crate) const HEADING: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const NUMBER: Style = AnsiColor::Yellow.on_default();
pub(crate) const AUTHOR: Style = AnsiColor::Blue.on_default();
pub(crate) const ADDED: Style = AnsiColor::Green.on_default();
pub(crate) const REMOVED: Style = AnsiColor::Red.on_default();
pub(crate) const MODIFIED: Style = AnsiColor::Yellow.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const STRONG: Style = Style::new().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// Text in a style, which [`Output`] takes away again where colour is not wanted.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Bytes kept back before they are written: one system call for many lines.
const KEPT_BACK: usize = 32 << 10;

/// Stdout, as text for a person or as JSON Lines for a program.
pub(crate) struct Output {
    stdout: StdoutLock<'static>,
    kept_back: Vec<u8>,
    json: bool,
    terminal: bool,
    colour: bool,
    color: anstream::ColorChoice,
    zone: Zone,
}

/// The last line of a failed command.
#[derive(Serialize)]
struct ErrorLine<'f> {
    r#type: &'static str,
    code: &'static str,
    exit: u8,
    message: &'f str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'f str>,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let color = match global.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        let chosen = match color {
            anstream::ColorChoice::Auto => anstream::AutoStream::choice(&stdout),
            chosen => chosen,
        };
        Self {
            terminal: stdout.is_terminal(),
            colour: chosen != anstream::ColorChoice::Never,
            stdout: stdout.lock(),
            kept_back: Vec::new(),
            json: global.json,
            color,
            zone: global.zone(),
        }
    }

    /// Whether JSON Lines are wanted.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether a person looks at stdout.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The zone in which times are shown.
    pub(crate) fn zone(&self) -> Zone {
        self.zone
    }

    /// One line of text, or several.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        let text = format!("{text}\n");
        if self.colour {
            return self.bytes(text.as_bytes());
        }
        let plain = anstream::adapter::strip_str(&text).to_string();
        self.bytes(plain.as_bytes())
    }

    /// One line of JSON.
    pub(crate) fn json_line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        let json = serde_json::to_string(line).map_err(|error| Failure::stdout(&error.into()))?;
        self.bytes(format!("{}\n", escape_json(json)).as_bytes())
    }

    /// Bytes exactly as they are: documents, in which nothing may be taken away.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.kept_back.extend_from_slice(bytes);
        if self.kept_back.len() >= KEPT_BACK { self.flush() } else { Ok(()) }
    }

    /// Writes what was kept back.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.kept_back);
        let written = self.stdout.write_all(&bytes).and_then(|()| self.stdout.flush());
        written.map_err(|error| Failure::stdout(&error))
    }

    /// What went wrong: on stderr for a person, as a line of JSON for a program.
    pub(crate) fn error(&mut self, failure: &Failure) -> Result<(), Failure> {
        let hint = failure.hint.as_deref();
        if self.json {
            let (code, exit) = (failure.exit.name(), failure.exit as u8);
            return self.json_line(&ErrorLine {
                r#type: "error",
                code,
                exit,
                message: &failure.message,
                hint,
            });
        }
        self.flush()?;
        self.stderr(&format!("{} {}", paint(ERROR, "error:"), escape_lines(&failure.message)));
        if let Some(hint) = hint {
            self.stderr(&format!("{} {}", paint(HINT, "hint:"), escape_lines(hint)));
        }
        Ok(())
    }

    /// Something worth knowing that is not the result, for a person.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            self.stderr(&format!("{} {}", paint(HINT, "note:"), escape_lines(text)));
        }
    }

    /// A bar on stderr that counts to `total`; nothing where stderr is not a terminal or JSON is wanted.
    pub(crate) fn progress(&self, total: u64, what: &'static str) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total).with_message(what);
        match ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn stderr(&self, line: &str) {
        // Nobody can be told that stderr is gone.
        let _ = writeln!(anstream::AutoStream::new(io::stderr(), self.color), "{line}");
    }
}

/// Keeps the lines of a message of ours and escapes everything else that a terminal would obey.
fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}
