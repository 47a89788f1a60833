//! Read everything, believe nothing.

use std::path::PathBuf;

use clap::Args;
use flow_history::{At, Error, FlowVersionId, History, Tail, Verified};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::opening;
use crate::output::{ADDED, Output, STRONG, paint};

/// Read the whole history and check every checksum, the hash chain and every checkpoint
///
/// Damage ends with 6 and names the file, the offset and the version. With --expect, the history must also be the one, and
/// reach the version, that was noted elsewhere: the chain of the newest version (64 hexadecimal digits, as this command
/// prints it) or any flow-version ID. That finds a history that was rewritten, cut short, or taken for another.
///
/// With --json: one line of type `verified`.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history verify ./history
  flow-history verify ./history --expect 00000000-002a-8fff-bfff-ffffffffffff")]
pub(crate) struct Verify {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The chain of the newest version, or the ID of a version that must be there
    #[arg(long, value_name = "CHAIN|ID")]
    expect: Option<String>,
}

#[derive(Serialize)]
struct VerifiedLine {
    r#type: &'static str,
    entries: u64,
    segments: u64,
    checkpoints: u64,
    log_bytes: u64,
    secrets: u64,
    shredded: u64,
    head: u64,
    head_id: String,
    chain: String,
    state_hash: String,
    ending: String,
    warnings: Vec<String>,
}

impl Verify {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let history = opening::to_read(&self.dir)?;
        let verified = history.verify()?;
        if let Some(expected) = &self.expect {
            check(&history, &verified, expected)?;
        }
        let line = VerifiedLine {
            r#type: "verified",
            entries: verified.entries,
            segments: verified.segments as u64,
            checkpoints: verified.checkpoints as u64,
            log_bytes: verified.log_bytes,
            secrets: verified.secrets as u64,
            shredded: verified.shredded as u64,
            head: verified.head.seq().0,
            head_id: verified.head.to_string(),
            chain: verified.chain.to_string(),
            state_hash: verified.state_hash.to_string(),
            ending: ending(&verified.tail),
            warnings: verified.warnings.clone(),
        };
        print(&line, self.expect.as_deref(), out)?;
        Ok(Exit::Ok)
    }
}

fn print(line: &VerifiedLine, expected: Option<&str>, out: &mut Output) -> Result<(), Failure> {
    if out.json() {
        return out.json_line(line);
    }
    for warning in &line.warnings {
        out.note(warning);
    }
    let mut row =
        |name: &str, value: &str| out.line(format!("{} {value}", paint(STRONG, format!("{name:<11}"))));
    row("entries", &line.entries.to_string())?;
    row("segments", &line.segments.to_string())?;
    row("checkpoints", &line.checkpoints.to_string())?;
    row("log bytes", &line.log_bytes.to_string())?;
    if line.secrets + line.shredded > 0 {
        let shredded =
            if line.shredded > 0 { format!(", {} shredded", line.shredded) } else { String::new() };
        row("secrets", &format!("{}{shredded}; whole, and not opened for want of a key", line.secrets))?;
    }
    row("head", &format!("version {}, {}", line.head, line.head_id))?;
    row("chain", &line.chain)?;
    row("state hash", &line.state_hash)?;
    row("ending", &line.ending)?;
    if let Some(expected) = expected {
        row("expected", &format!("{expected} is there"))?;
    }
    out.line(paint(ADDED, "everything is as it was written"))
}

/// How the log ends, in words.
fn ending(tail: &Tail) -> String {
    match tail {
        Tail::Closed => "closed".to_owned(),
        Tail::Open => "open: somebody writes it, or did not close it".to_owned(),
        Tail::Torn { bytes } => format!("torn: {bytes} bytes of a write that was cut short, or is under way"),
        other => format!("{other:?}"),
    }
}

fn check(history: &History, verified: &Verified, expected: &str) -> Result<(), Failure> {
    let text = expected.trim().to_ascii_lowercase();
    if let Ok(id) = text.parse::<FlowVersionId>() {
        return match history.find(At::Id(id)) {
            Ok(_) => Ok(()),
            Err(error @ (Error::Foreign { .. } | Error::UnknownVersion { .. })) => {
                Err(mismatch(&error.to_string()))
            }
            Err(error) => Err(error.into()),
        };
    }
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{expected}` is neither a chain nor a flow-version ID"),
        )
        .hint("a chain is 64 hexadecimal digits, a flow-version ID is a UUID of version 8"));
    }
    let found = verified.chain.to_string();
    if text == found {
        return Ok(());
    }
    Err(mismatch(&format!("the chain of version {} is {found}, not {text}", verified.head.seq())))
}

fn mismatch(what: &str) -> Failure {
    Failure::new(Exit::Damaged, format!("this is not the history that was expected: {what}"))
        .hint(
            "every checksum holds, so it was replaced, cut short or continued elsewhere; where versions were appended \
             since, expect the ID that was noted instead of the chain",
        )
}
