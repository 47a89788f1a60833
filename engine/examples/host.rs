//! A toy flow engine with a history: edits, an undo, a refused undo, and a crash at each point between plan and finish,
//! settled at the next start by comparing its own flow with the history.
//!
//! ```text
//! cargo run -p flow-history --example host
//! ```
//!
//! The engine keeps its flow in a file of its own, as hosts do. It applies an undo to its flow first and finishes the plan
//! then, so that a crash in between leaves its flow ahead of the history. See docs/hosting.md for the other order.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use flow_history::{Author, Component, Error, Flow, History, Operation, Proposal, Scope};

/// Where the process ends, as by a power cut.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Crash {
    AfterPlan,
    HalfApplied,
    BeforeFinish,
    AfterFinish,
}

const CRASHES: [Crash; 4] = [Crash::AfterPlan, Crash::HalfApplied, Crash::BeforeFinish, Crash::AfterFinish];

/// Taps and how far each is open: all that this engine runs.
#[derive(Default, PartialEq, Debug)]
struct Engine {
    taps: BTreeMap<String, i64>,
    file: PathBuf,
}

impl Engine {
    /// Reads its own file.
    fn start(dir: &Path) -> Self {
        let file = dir.join("engine.txt");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let tap = |line: &str| {
            let (id, open) = line.split_once('=')?;
            Some((id.to_owned(), open.parse().ok()?))
        };
        Self { taps: text.lines().filter_map(tap).collect(), file }
    }

    /// Applies one operation to the running flow and saves it.
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Add { component, .. } => {
                let open = component.get("open").and_then(flow_history::Value::as_i64).unwrap_or_default();
                self.taps.insert(component.id.to_string(), open);
            }
            Operation::Remove { id } => drop(self.taps.remove(id.as_str())),
            Operation::Set { id, edit: flow_history::Edit::Put(value), .. } => {
                self.taps.insert(id.to_string(), value.as_i64().unwrap_or_default());
            }
            other => panic!("this engine knows no {other:?}"),
        }
        self.save();
    }

    fn save(&self) {
        let text: String = self.taps.iter().map(|(id, open)| format!("{id}={open}\n")).collect();
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, &self.file).unwrap();
    }

    /// The same flow as the history would tell it.
    fn of(flow: &Flow) -> BTreeMap<String, i64> {
        let open = |component: &Component| component.get("open").and_then(flow_history::Value::as_i64);
        flow.iter().map(|(_, tap)| (tap.id.to_string(), open(tap).unwrap_or_default())).collect()
    }
}

/// A start: what the history says was saved is what was saved. Whatever the engine did beyond was not acknowledged.
fn settle(dir: &Path) -> (History, Engine, &'static str) {
    let history = History::open(dir.join("history")).unwrap();
    let mut engine = Engine::start(dir);
    let saved = Engine::of(&history.at(history.version()).unwrap().to_flow().unwrap());
    let said =
        if engine.taps == saved { "nothing to settle" } else { "its flow is made as the history says" };
    if engine.taps != saved {
        engine.taps = saved;
        engine.save();
    }
    (history, engine, said)
}

/// Plan, apply, finish.
fn undo(history: &History, engine: &mut Engine, author: &Author, crash: Option<Crash>) -> Result<(), Error> {
    let at = |point| {
        if crash == Some(point) {
            std::process::abort();
        }
    };
    let plan = history.plan(author, Proposal::undo(Scope::Flow))?;
    at(Crash::AfterPlan);
    let operations = plan.operations().to_vec();
    let before = Engine { taps: engine.taps.clone(), file: engine.file.clone() };
    for (done, operation) in operations.iter().enumerate() {
        engine.apply(operation);
        if done == 0 {
            at(Crash::HalfApplied);
        }
    }
    at(Crash::BeforeFinish);
    if let Err(error) = plan.finish() {
        // Refused: nothing was written, so the engine goes back too.
        *engine = before;
        engine.save();
        return Err(error);
    }
    at(Crash::AfterFinish);
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (dir, point) = (arguments.next(), arguments.next());
    let crash = CRASHES.into_iter().find(|crash| point.as_ref() == Some(&format!("{crash:?}")));
    if let (Some(dir), Some(crash)) = (dir, crash) {
        let (history, mut engine, _) = settle(Path::new(&dir));
        undo(&history, &mut engine, &Author::user("alice"), Some(crash)).unwrap();
        panic!("it was to crash");
    }

    let dir = std::env::temp_dir().join(format!("host-example-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let alice = Author::user("alice");
    let (history, mut engine, _) = settle(&dir);
    let tap = |id: &str, open| Operation::add(Component::new(id, "tap").field("open", open));
    let added = vec![tap("a", 1), tap("b", 2)];
    for operations in [added, vec![Operation::set("a", "open", 5), Operation::set("b", "open", 6)]] {
        operations.iter().for_each(|operation| engine.apply(operation));
        history.change(&alice, "edit").operations(operations).append().unwrap();
    }
    println!("edited: {:?}", engine.taps);

    // Refused: the pump room runs, so the host says no before anything is applied; and nothing was.
    let plan = history.plan(&alice, Proposal::undo(Scope::Flow)).unwrap();
    let refused = plan.veto("a", "it runs").unwrap().finish().unwrap_err();
    println!("refused: {refused}");
    // Refused: somebody edited between plan and finish.
    let plan = history.plan(&alice, Proposal::undo(Scope::Flow)).unwrap();
    history.change(&Author::user("bob"), "").set("a", "open", 7).append().unwrap();
    engine.apply(&Operation::set("a", "open", 7));
    println!("refused: {}", plan.finish().unwrap_err());
    undo(&history, &mut engine, &alice, None).unwrap();
    println!("undone: {:?}", engine.taps);
    history.close().unwrap();

    for crash in CRASHES {
        let this = std::env::current_exe().unwrap();
        let ended = Command::new(this).arg(&dir).arg(format!("{crash:?}")).output().unwrap();
        assert!(!ended.status.success());
        let (history, engine, settled) = settle(&dir);
        let saved = Engine::of(&history.at(history.version()).unwrap().to_flow().unwrap());
        assert_eq!(engine.taps, saved);
        println!("{crash:?}: version {}, {settled}: {:?}", history.version().seq(), engine.taps);
        if crash == Crash::AfterFinish {
            assert_eq!(
                engine.taps,
                BTreeMap::from([("a".into(), 1), ("b".into(), 2)]),
                "undone, and it stays so"
            );
        } else {
            assert_eq!(engine.taps, BTreeMap::from([("a".into(), 5), ("b".into(), 6)]), "as before the undo");
        }
        engine.save();
        history.close().unwrap();
    }
    std::fs::remove_dir_all(dir).unwrap();
}
