//! Whether the systems do what the rows take them to do: sync before they acknowledge, keep what they acknowledged, and
//! hold in the end what was appended.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::child::{Child, Task, endless_changes};
use super::workload::{Workload, hash_at};
use crate::Place;
use crate::peers::{Kind, Outcome, Peer, broken};
use crate::plain::flow_hash;

/// What was found out about one system.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) syncs: String,
    pub(super) killed: String,
    pub(super) read_back: String,
}

/// The calls that make something durable.
const SYNCS: &str = "fsync,fdatasync,msync,sync_file_range,syncfs";

/// Whether calls can be counted here.
pub(super) fn strace_works() -> bool {
    let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet(Command::new("strace").args(["-f", "-e", "trace=fsync", "true"]))
        .is_ok_and(|status| status.success())
}

/// Syncs that a process makes which appends so many durable changes.
fn syncs_of(peer: &dyn Peer, place: &Place, count: u64) -> Outcome<f64> {
    let calls = place.fresh();
    let child = Child::command(Task::Durable, peer.name(), &place.fresh(), count, 0, Workload::W1k);
    let child = child.map_err(broken)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={SYNCS}"), "-o"]).arg(&calls);
    strace.arg(child.get_program()).args(child.get_args());
    let output = strace.stdin(Stdio::null()).output().map_err(broken)?;
    if !output.status.success() {
        return Err(broken(
            String::from_utf8_lossy(&output.stderr)
                .lines()
                .last()
                .unwrap_or("strace failed")
                .trim_start_matches("failed: "),
        ));
    }
    let text = std::fs::read_to_string(calls).map_err(broken)?;
    // A call that another thread interrupts stands there twice, the second time as resumed.
    let calls = text.lines().filter(|line| line.contains("sync") && !line.contains("resumed>")).count();
    #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
    let calls = calls as f64;
    Ok(calls)
}

/// Syncs for each change that is acknowledged: what 50 more changes cost.
pub(super) fn syncs_per_append(peer: &dyn Peer, place: &Place) -> String {
    let measured = syncs_of(peer, place, 10).and_then(|few| Ok((few, syncs_of(peer, place, 60)?)));
    match measured {
        Ok((few, many)) => format!("{:.2}", (many - few) / 50.0),
        Err(failure) => failure.to_string(),
    }
}

/// Kills a process that appends durable changes, opens what it left, and compares.
pub(super) fn killed(peer: &dyn Peer, place: &Place, acknowledged: usize) -> String {
    let path = place.fresh();
    match killed_at(peer, &path, acknowledged) {
        Ok(said) => said,
        Err(failure) => failure.to_string(),
    }
}

fn killed_at(peer: &dyn Peer, path: &Path, acknowledged: usize) -> Outcome<String> {
    let mut command =
        Child::command(Task::Endless, peer.name(), path, 0, 0, Workload::W1k).map_err(broken)?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(broken)?;
    let (mut last, mut said) = (0_u64, 0);
    if let Some(out) = child.stdout.take() {
        let mut lines = BufReader::new(out).lines();
        let read = |line: std::io::Result<String>| line.ok().and_then(|line| line.parse().ok());
        for version in lines.by_ref().filter_map(read).take(acknowledged) {
            (last, said) = (version, said + 1);
        }
        child.kill().map_err(broken)?;
        // What it said before it died counts too.
        for version in lines.filter_map(read) {
            last = last.max(version);
        }
    }
    let mut complaint = String::new();
    if let Some(mut told) = child.stderr.take() {
        told.read_to_string(&mut complaint).map_err(broken)?;
    }
    let ended = child.wait().map_err(broken)?;
    let why = complaint.lines().rev().find(|line| !line.trim().is_empty()).map(str::trim);
    if last == 0 {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return Ok(format!("nothing was acknowledged{why}"));
    }
    let mut store = peer.open(path, Kind::Durable)?;
    let newest = store.newest()?;
    if said < acknowledged {
        let why = why.map_or_else(|| ended.to_string(), str::to_owned);
        return Ok(format!("ended by itself after acknowledging {last} ({why}); {newest} there"));
    }
    if newest < last {
        return Ok(format!("LOST: {last} acknowledged, {newest} there"));
    }
    if flow_hash(&store.contents(newest)?) != hash_at(endless_changes(), newest) {
        return Ok(format!("DIFFERS at version {newest}"));
    }
    Ok(format!("all of {last} there"))
}

/// The table of what was checked.
pub(super) fn table(systems: &[&'static str], checked: &[Checked]) -> String {
    let mut out = String::from(
        "| system | syncs per acknowledged append | killed after acknowledging, opened again | flow read back and hashed |\n|---|---:|---|---|\n",
    );
    for (system, checked) in systems.iter().zip(checked) {
        let _ =
            writeln!(out, "| {system} | {} | {} | {} |", checked.syncs, checked.killed, checked.read_back);
    }
    out
}
