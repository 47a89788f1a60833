//! flow-history itself, by its public interface alone, with its defaults.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flow_history::{Durability, FileStorage, History, Options, Scope, Seq, Ticket, Timestamp};
use flow_history_replay::{Log, Replay};

use super::{Appender, Failure, Kind, Outcome, Peer, Store, broken};
use crate::Step;
use crate::plain::{Change, PlainFlow, plain_component};

/// flow-history. Reading rows are measured with nothing kept in the process, unless said otherwise.
#[derive(Default)]
pub(super) struct Ours {
    keeps: bool,
}

impl Ours {
    /// The same with what it keeps of what was read before, as the other systems keep theirs.
    pub(super) fn cached() -> Self {
        Self { keeps: true }
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        if self.keeps { "flow-history (warm)" } else { "flow-history" }
    }

    fn about(&self) -> String {
        if self.keeps {
            "reading rows with its cache as it comes, as all others have theirs; other rows as flow-history"
                .to_owned()
        } else {
            "defaults; before each question of a reading row everything that the process keeps is dropped"
                .to_owned()
        }
    }

    fn gives(&self) -> &'static str {
        "this project"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "replay" => Some("every check, one thread"),
            _ => None,
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        let durability = match kind {
            Kind::Durable => Durability::Immediate,
            Kind::Buffered => Durability::Buffered { max_delay: Duration::from_millis(100) },
        };
        let history = Options::new().durability(durability).open(path).map_err(broken)?;
        Ok(Box::new(OurStore { history, path: path.to_owned(), keeps: self.keeps }))
    }
}

struct OurStore {
    history: History,
    path: PathBuf,
    keeps: bool,
}

fn submit(history: &History, change: Change) -> Outcome<Ticket> {
    let author = Step::author_of(change.step.author);
    let builder = history.change(author, "").host_time(Timestamp::from_millis(change.plain.millis));
    builder.operations(change.step.operations).submit().map_err(broken)
}

fn append(history: &History, change: Change) -> Outcome<()> {
    let author = Step::author_of(change.step.author);
    let builder = history.change(author, "").host_time(Timestamp::from_millis(change.plain.millis));
    builder.operations(change.step.operations).append().map_err(broken)?;
    Ok(())
}

impl Store for OurStore {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.history.version().seq().0)
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        append(&self.history, change)
    }

    fn appenders(&mut self, count: usize) -> Outcome<Vec<Appender>> {
        let appender = |_| -> Appender {
            let history = self.history.clone();
            Box::new(move |change| append(&history, change))
        };
        Ok((0..count).map(appender).collect())
    }

    fn pipeline(&mut self, changes: Vec<Change>, in_flight: usize) -> Outcome<()> {
        let mut waiting = VecDeque::with_capacity(in_flight);
        for change in changes {
            waiting.push_back(submit(&self.history, change)?);
            if waiting.len() >= in_flight
                && let Some(oldest) = waiting.pop_front()
            {
                oldest.wait().map_err(broken)?;
            }
        }
        waiting.into_iter().try_for_each(|ticket| ticket.wait().map(|_| ())).map_err(broken)
    }

    fn component(&mut self, version: u64, id: &str) -> Outcome<bool> {
        let view = self.history.at(Seq(version)).map_err(broken)?;
        let component = view.component(id).map_err(broken)?;
        Ok(std::hint::black_box(component).is_some())
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        let flow = self.history.at(Seq(version)).and_then(|view| view.to_flow()).map_err(broken)?;
        Ok(std::hint::black_box(flow).len())
    }

    fn difference(&mut self, before: u64, after: u64) -> Outcome<usize> {
        let difference = self.history.diff(Seq(before), Seq(after)).map_err(broken)?;
        Ok(difference.components.len())
    }

    fn undo(&mut self) -> Outcome<()> {
        let author = Step::author_of(0);
        self.history.undo(Scope::Flow, author).map_err(broken)?;
        Ok(())
    }

    fn component_log(&mut self, id: &str, limit: usize) -> Outcome<usize> {
        let entries = self.history.entries().component(id).newest_first();
        entries.take(limit).try_fold(0, |count, entry| entry.map(|_| count + 1)).map_err(broken)
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        let entries = self.history.entries().newest_first();
        entries.take(limit).try_fold(0, |count, entry| entry.map(|_| count + 1)).map_err(broken)
    }

    fn replay(&mut self) -> Outcome<u64> {
        let log = Log::open(Arc::new(FileStorage::read_only(&self.path))).map_err(|error| told(&error))?;
        let mut replay = Replay::from_the_start(&log);
        replay.run_to(Seq(u64::MAX)).map_err(|error| told(&error))?;
        Ok(replay.state().seq.0)
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        let flow = self.history.at(Seq(version)).and_then(|view| view.to_flow()).map_err(broken)?;
        Ok(flow.iter().map(|(_, component)| (component.id.to_string(), plain_component(component))).collect())
    }

    fn forget(&mut self) {
        if !self.keeps {
            flow_history::forget_cached();
        }
    }

    fn flush(&mut self) -> Outcome<()> {
        self.history.flush().map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.history.close().map_err(broken)
    }
}

fn told(error: &impl std::fmt::Debug) -> Failure {
    Failure::Broke(format!("{error:?}"))
}
