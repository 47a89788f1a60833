//! Undo against a durable append of the same size: `cargo bench -p flow-history-benches --bench undo -- [--json FILE]
//! [--quick] [ROW...]`.
//!
//! Appends and undos take turns, so that a disk that drifts drifts for both. `undo_far` is asked by an author whose
//! last change lies nine million foreign entries back in the same process, `undo_far_cold` after a fiftieth of that and
//! after the history was opened again; `plan` puts a group of 5,000 components, wires and policies together again, at once,
//! after the history was idle and after it was opened again.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a bench stops where it fails")]

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use flow_history::{Author, Component, History, Options, POLICY_KIND, Proposal, Scope, Tuning, Value};
use flow_history_benches::{Place, Row, Settings, Table, median};

fn main() {
    let settings = Settings::from_arguments(std::env::args());
    let mut table = Table::new("undo", &settings).unwrap();
    let place = Place::new().unwrap();
    if settings.wants("undo") {
        undo(&place, &settings, &mut table);
    }
    if settings.wants("plan") {
        plan(&place, &settings, &mut table);
    }
    if settings.wants("undo_far") {
        undo_far(&place, &settings, &mut table);
    }
    table.print().unwrap();
}

fn note(round: usize) -> String {
    format!("{round:0>140}")
}

fn timed<T>(act: impl FnOnce() -> T) -> f64 {
    let started = Instant::now();
    act();
    started.elapsed().as_secs_f64()
}

/// A change of one note by this author, durable.
fn change(history: &History, author: &Author, id: &str, round: usize) {
    history.change(author, "").set(id, "note", note(round)).append().unwrap();
}

fn undo(place: &Place, settings: &Settings, table: &mut Table) {
    let (rounds, count) = if settings.quick { (5, 100) } else { (15, 500) };
    let alice = Author::user("alice");
    let mut tuning = Tuning::default();
    tuning.derive_from_bytes = u64::MAX;
    let history = Options::new().tuning(tuning).open(place.fresh()).unwrap();
    let pump = Component::new("pump-1", "processor").field("note", note(0));
    history.change(&alice, "").add(pump).append().unwrap();
    let (mut ratios, mut micros) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (mut appends, mut undos) = (0.0, 0.0);
        for at in 0..count {
            appends += timed(|| change(&history, &alice, "pump-1", 1 + round * count + at));
            undos += timed(|| history.undo(Scope::Flow, &alice).unwrap());
        }
        ratios.push(undos / appends);
        #[expect(clippy::cast_precision_loss, reason = "a count of appends")]
        micros.push(appends * 1e6 / count as f64);
    }
    table
        .add(Row {
            name: "undo",
            rounds: ratios,
            unit: "x append",
            target: 1.1,
            more_is_better: false,
            reduced: settings.quick,
            beside: format!("an append takes {:.0} us", median(&micros)),
        })
        .unwrap();
}

/// Rounds, and the authors of each who ask, everybody once and for a change of their own.
const ROUNDS: usize = 15;
const ASKING: usize = 20;

fn undo_far(place: &Place, settings: &Settings, table: &mut Table) {
    let foreign = if settings.quick { 200_000 } else { 9_000_000 };
    let path = place.fresh();
    let history = far_history(&path, foreign);
    far_row(&history, "undo_far", foreign, settings, table);
    history.close().unwrap();
    // Opened again nothing is at hand: the entry, and the value before it, are read from a block and a page each.
    let history = far_history(&place.fresh(), foreign / 45);
    let reopened = place.fresh();
    history.backup(&reopened).unwrap();
    history.close().unwrap();
    let history = History::open(&reopened).unwrap();
    far_row(&history, "undo_far_cold", foreign / 45, settings, table);
    history.close().unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

fn far_row(history: &History, name: &'static str, foreign: usize, settings: &Settings, table: &mut Table) {
    let bob = Author::user("far-bob");
    let (mut ratios, mut micros, mut planning) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // An append and an undo take turns; one slow sync decides neither median.
        let (mut appends, mut undos) = (Vec::new(), Vec::new());
        for asking in round * ASKING..(round + 1) * ASKING {
            appends.push(timed(|| change(history, &bob, "far-bob", asking)));
            let author = Author::user(&format!("far-{asking}"));
            let scope = Scope::Author(author.id.to_string());
            let began = Instant::now();
            let plan = history.plan(&author, Proposal::undo(scope)).unwrap();
            planning.push(began.elapsed().as_secs_f64() * 1e6);
            plan.finish().unwrap();
            undos.push(began.elapsed().as_secs_f64());
        }
        ratios.push(median(&undos) / median(&appends));
        micros.push(median(&undos) * 1e6);
    }
    table
        .add(Row {
            name,
            rounds: ratios,
            unit: "x append",
            target: 1.1,
            more_is_better: false,
            reduced: settings.quick || name.ends_with("cold"),
            beside: format!(
                "{foreign} foreign entries back, {:.0} us, of which {:.0} to plan",
                median(&micros),
                median(&planning)
            ),
        })
        .unwrap();
}

/// A change of each author, and then so many of others.
fn far_history(path: &Path, foreign: usize) -> History {
    const IN_FLIGHT: usize = 1_000;
    let history = History::open(path).unwrap();
    let alice = Author::user("alice");
    let of = |id: &str| Component::new(id, "processor").field("note", note(0));
    history.change(&alice, "").add(of("far-bob")).add(of("busy")).append().unwrap();
    for asking in 0..ROUNDS * ASKING {
        let id = format!("far-{asking}");
        history.change(&alice, "").add(of(&id)).append().unwrap();
        change(&history, &Author::user(&id), &id, asking);
    }
    let mut waiting = VecDeque::with_capacity(IN_FLIGHT);
    for at in 0..foreign {
        let change = history.change(&alice, "").set("busy", "rate", at as u64);
        waiting.push_back(change.submit().unwrap());
        if waiting.len() >= IN_FLIGHT
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.wait().unwrap();
        }
    }
    for ticket in waiting {
        ticket.wait().unwrap();
    }
    // What goes on beside, sealing above all, is not what is measured.
    std::thread::sleep(Duration::from_secs(10));
    eprintln!("{} entries", history.version().seq());
    history
}

const COMPONENTS: usize = 5_000;

/// A group with all that is in it, which was removed just now.
fn removed_group(path: &Path) -> History {
    let alice = Author::user("alice");
    let history = History::open(path).unwrap();
    let mut add = history.change(&alice, "").add(Component::new("group", "group"));
    // A hundred groups of 30 processors in a row, wired one to the next, each group with a policy.
    for group in 0..COMPONENTS / 62 {
        let inside = format!("group-{group}");
        add = add.add(Component::new(inside.as_str(), "group").inside("group"));
        let list = Value::List(vec!["alice".into()]);
        let policy = Component::new(format!("{inside}-policy"), POLICY_KIND).inside(inside.as_str());
        add = add.add(policy.field("write", list));
        for at in 0..30 {
            let id = format!("{inside}-{at}");
            let processor = Component::new(id.as_str(), "processor").inside(inside.as_str());
            add = add.add(processor.field("rate", at).field("note", note(at as usize)));
            let to = Value::Ref(format!("{inside}-{}", (at + 1) % 30).as_str().into());
            let wire = Component::new(format!("{id}-wire"), "wire").inside(inside.as_str());
            add = add.add(wire.field("from", Value::Ref(id.as_str().into())).field("to", to));
        }
    }
    add.append().unwrap();
    history.change(&alice, "").remove("group").append().unwrap();
    history
}

/// At once, when the history has been idle for long enough to have let go of what was at hand, and opened again.
fn plan(place: &Place, settings: &Settings, table: &mut Table) {
    const IDLE: Duration = Duration::from_millis(2_500);
    let rounds = if settings.quick { 5 } else { 15 };
    let path = place.fresh();
    let mut history = removed_group(&path);
    for name in ["plan", "plan_idle", "plan_reopened"] {
        let (mut millis, mut planned) = (Vec::new(), 0);
        for _ in 0..rounds {
            match name {
                "plan_idle" => {
                    // Any append makes it busy; this one is no unit of alice's.
                    append_of_bob(&history);
                    std::thread::sleep(IDLE);
                    flow_history::forget_cached();
                }
                "plan_reopened" => {
                    history.close().unwrap();
                    flow_history::forget_cached();
                    history = History::open(&path).unwrap();
                }
                _ => {}
            }
            let alice = Author::user("alice");
            let wish = Proposal::undo(Scope::Author("alice".into()));
            millis.push(
                1e3 * timed(|| {
                    let plan = history.plan(&alice, wish).unwrap();
                    planned = plan.operations().len();
                }),
            );
        }
        table
            .add(Row {
                name,
                rounds: millis,
                unit: "ms",
                target: 20.0,
                more_is_better: false,
                reduced: settings.quick,
                beside: format!("{planned} components come back"),
            })
            .unwrap();
    }
}

fn append_of_bob(history: &History) {
    let bob = Author::user("bob");
    let id = format!("of-bob-{}", history.version().seq());
    history.change(&bob, "").add(Component::new(id, "processor")).append().unwrap();
}
