//! What is done in a process of its own, so that its memory can be measured, its system calls counted, and it be killed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::workload::{Workload, pump, small_change, small_setup};
use crate::peers::{Failure, Kind, Outcome, Peer, broken, built};
use crate::plain::changes_of;
use crate::{Uniform, copy_all};

/// What the child does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Task {
    /// Loads a workload, flushes, copies what lies there as a kill would leave it, and closes.
    Load,
    /// Appends so many durable changes, and ends.
    Durable,
    /// Appends durable changes and says each number once it is acknowledged, until it is killed.
    Endless,
}

/// The command line of a child.
#[derive(Clone, Debug, Args)]
pub struct Child {
    #[arg(value_enum)]
    task: Task,
    /// The name of the peer.
    peer: String,
    /// Where it keeps its files.
    path: PathBuf,
    /// Versions or changes.
    count: u64,
    /// Seconds after which a load ends where it is.
    seconds: u64,
    #[arg(value_enum)]
    workload: Workload,
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loaded {
    /// Versions that it made.
    pub(super) versions: u64,
    /// The most memory that the process had, in MiB.
    pub(super) peak_mib: f64,
}

/// The changes that an endless child appends.
pub(super) fn endless_changes() -> impl Iterator<Item = crate::plain::Change> {
    changes_of(Uniform::new(100, u64::MAX))
}

fn report_path(path: &Path) -> PathBuf {
    path.with_extension("report")
}

/// Where a load leaves what lay there while the store was open, flushed: files are the same when a process is killed. That
/// kills lose nothing is tried by killing (`honesty.rs`).
pub(super) fn killed_path(path: &Path) -> PathBuf {
    path.with_extension("killed")
}

/// The most memory that this process had, in MiB, where the system tells.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1_024.0)
}

impl Child {
    /// Does what it is told.
    ///
    /// # Errors
    /// What the peer says.
    pub fn run(&self) -> Outcome<()> {
        let peers = built();
        let peer = peers.iter().find(|peer| peer.name() == self.peer);
        let peer = peer.ok_or_else(|| Failure::Broke(format!("no peer is called {}", self.peer)))?;
        match self.task {
            Task::Load => self.load(peer.as_ref()),
            Task::Durable => self.durable(peer.as_ref()),
            Task::Endless => self.endless(peer.as_ref()),
        }
    }

    fn load(&self, peer: &dyn Peer) -> Outcome<()> {
        // Who acknowledges nothing before it is durable loads that way.
        let mut store = match peer.open(&self.path, Kind::Buffered) {
            Err(Failure::Cannot(_)) => peer.open(&self.path, Kind::Durable)?,
            opened => opened?,
        };
        let mut started = Instant::now();
        let mut versions = 0;
        for change in self.workload.changes() {
            // A setup is never cut short, and its time is its own: everything after it builds on it.
            if versions == self.workload.setup() {
                started = Instant::now();
            }
            let late = started.elapsed() > Duration::from_secs(self.seconds);
            if versions == self.count || (late && versions > self.workload.setup()) {
                break;
            }
            store.append(change)?;
            versions += 1;
        }
        store.flush()?;
        // What is done in the background is done in any store that was open for a while.
        std::thread::sleep(Duration::from_secs(1));
        let peak = peak_mib();
        copy_all(&self.path, &killed_path(&self.path)).map_err(broken)?;
        store.close()?;
        std::fs::write(report_path(&self.path), format!("{versions} {peak}")).map_err(broken)
    }

    fn durable(&self, peer: &dyn Peer) -> Outcome<()> {
        let mut store = peer.open(&self.path, Kind::Durable)?;
        store.append(small_setup(1))?;
        (0..self.count).try_for_each(|at| store.append(small_change(&pump(0), "note", at)))
    }

    fn endless(&self, peer: &dyn Peer) -> Outcome<()> {
        let mut store = peer.open(&self.path, Kind::Durable)?;
        for (version, change) in endless_changes().enumerate() {
            store.append(change)?;
            let mut out = io::stdout().lock();
            writeln!(out, "{}", version + 1).and_then(|()| out.flush()).map_err(broken)?;
        }
        Ok(())
    }

    /// The command that does it, in a process of its own.
    pub(super) fn command(
        task: Task,
        peer: &str,
        path: &Path,
        count: u64,
        seconds: u64,
        workload: Workload,
    ) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        let task = task.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        command.args(["child", &task, peer]).arg(path).args([count.to_string(), seconds.to_string()]);
        command.arg(workload.name()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// Has a child load a workload.
pub(super) fn load(
    peer: &dyn Peer,
    path: &Path,
    workload: Workload,
    versions: u64,
    seconds: u64,
) -> Outcome<Loaded> {
    let mut command =
        Child::command(Task::Load, peer.name(), path, versions, seconds, workload).map_err(broken)?;
    let output = command.output().map_err(broken)?;
    let Ok(report) = std::fs::read_to_string(report_path(path)) else {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
        return Err(Failure::Broke(last.trim().trim_start_matches("failed: ").to_owned()));
    };
    let mut report = report.split(' ');
    let versions = report.next().and_then(|versions| versions.parse().ok());
    let peak_mib = report.next().and_then(|peak| peak.parse().ok());
    match (versions, peak_mib) {
        (Some(versions), Some(peak_mib)) => Ok(Loaded { versions, peak_mib }),
        _ => Err(Failure::Broke("the load says nothing that can be read".to_owned())),
    }
}
