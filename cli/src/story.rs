//! The day that `demo` plays: alice and bob edit a small flow that watches a plant.
//!
//! It goes through the library as a host would. Only what people did and when is said here; everything that the demo
//! shows is then read from the history.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flow_history::{
    Author, Clock, Component, ComponentId, FlowVersionId, History, Mark, Order, Scope, SystemClock, Timestamp,
};
use serde_json::json;

use crate::failure::Failure;

/// The label that alice gives.
pub(crate) const LABEL: &str = "morning";
/// Steps of the day, for the progress bar.
pub(crate) const STEPS: u64 = 12;

const SCRIPT: &str = "\
let reading = JSON.parse(message.payload);
let value = Number(reading.value);
if (reading.unit === 'F') {
    value = (value - 32) / 1.8;
}
message.payload = { sensor: reading.sensor, celsius: value };
return message;
";

/// A clock that shows the time of the story.
struct StoryClock {
    day: i64,
    now: AtomicI64,
}

impl Clock for StoryClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    fn random(&self) -> [u8; 16] {
        SystemClock.random()
    }
}

impl StoryClock {
    /// Yesterday, so that what is typed afterwards comes later.
    fn yesterday() -> Self {
        const DAY: i64 = 86_400_000;
        let today = Timestamp::now().millis.div_euclid(DAY) * DAY;
        Self { day: today - DAY, now: AtomicI64::new(today - DAY + 8 * 3_600_000) }
    }

    fn set(&self, hour: i64, minute: i64) {
        self.now.store(self.day + (hour * 60 + minute) * 60_000, Ordering::Relaxed);
    }
}

/// Plays the day into a new directory and returns the provenance event that a component stamped at noon.
pub(crate) fn play(dir: &Path, step: impl Fn()) -> Result<String, Failure> {
    let clock = Arc::new(StoryClock::yesterday());
    let history = History::options().clock(Arc::clone(&clock) as Arc<dyn Clock>).open(dir)?;
    let (alice, bob) = (Author::user("alice"), Author::user("bob"));
    let at = |hour, minute| {
        step();
        clock.set(hour, minute);
    };

    at(8, 2);
    history
        .change(&alice, "Receive the readings and check them")
        .add(group("readings", "Readings", 0))
        .add(processor("listen", "Listen", 1, "readings", 120, 80).field("topic", "plant/+/temperature"))
        .add(processor("check", "Check", 2, "readings", 320, 80).field("schema", "reading-v1"))
        .add(wire("listen", "check", "readings"))
        .append()?;
    at(8, 31);
    history
        .change(&alice, "Convert to degrees Celsius")
        .add(processor("convert", "Convert", 3, "readings", 520, 80).field("script", SCRIPT))
        .add(wire("check", "convert", "readings"))
        .append()?;
    at(9, 10);
    history
        .change(&bob, "Raise an alarm when it gets hot")
        .add(group("alarms", "Alarms", 4))
        .add(processor("limit", "Limit", 5, "alarms", 120, 260).field("threshold", 80).field("unit", "C"))
        .add(processor("page", "Page the operator", 6, "alarms", 130, 270).field("phone", "+49 30 5550 100"))
        .add(wire("convert", "limit", "alarms"))
        .add(wire("limit", "page", "alarms"))
        .add(policy("alarms-write", 7, "alarms"))
        .append()?;
    at(9, 24);
    history.change(&bob, "Tidy the canvas").set("page", "x", 320).set("page", "y", 260).append()?;
    at(9, 30);
    history.label(&alice, LABEL, history.version())?;
    at(10, 47);
    history.change(&bob, "Fewer alarms at night").set("limit", "threshold", 800).append()?;

    // What a host does while it runs: the ID is read in nanoseconds and goes with the data.
    clock.set(12, 0);
    let stamped = provenance_event(history.version(), clock.now());

    at(13, 15);
    history.change(&alice, "The limit had a zero too many").set("limit", "threshold", 85).append()?;
    at(14, 5);
    let stricter = SCRIPT.replace(
        "let value",
        "if (!reading.unit) {\n    throw new Error('no unit: ' + reading.sensor);\n}\nlet value",
    );
    history.change(&alice, "Refuse readings without a unit").set("convert", "script", stricter).append()?;
    at(15, 10);
    history.change(&bob, "Clean up what nobody uses").remove("alarms").append()?;
    at(15, 12);
    history.undo(Scope::Flow, &alice)?;
    at(16, 20);
    history
        .change(&alice, "Keep every reading")
        .add(
            processor("archive", "Archive", 8, "readings", 720, 80)
                .field("table", "readings")
                .field("days", 365),
        )
        .add(wire("convert", "archive", "readings"))
        .append()?;
    at(16, 45);
    history.mark(&bob, Mark::Deploy)?;
    history.close()?;
    Ok(stamped)
}

fn provenance_event(version: FlowVersionId, time: Timestamp) -> String {
    json!({
        "provenance": "SEND",
        "time": crate::moment::rfc3339(time.millis),
        "component": "limit",
        "content": { "sensor": "boiler-3", "celsius": 97.5 },
        "flowVersion": version.to_string(),
    })
    .to_string()
}

fn group(id: &str, name: &str, place: u8) -> Component {
    Component::new(id, "group").field("name", name).at(order(place))
}

fn processor(id: &str, name: &str, place: u8, parent: &str, x: i32, y: i32) -> Component {
    Component::new(id, "processor")
        .field("name", name)
        .field("x", x)
        .field("y", y)
        .inside(parent)
        .at(order(place))
}

fn wire(from: &str, to: &str, parent: &str) -> Component {
    Component::new(format!("{from}-{to}"), "wire")
        .field("from", ComponentId::from(from))
        .field("to", ComponentId::from(to))
        .inside(parent)
}

fn policy(id: &str, place: u8, parent: &str) -> Component {
    Component::new(id, "policy")
        .field("action", "write")
        .field("users", vec!["alice", "bob"])
        .field("resource", ComponentId::from(parent))
        .inside(parent)
        .at(order(place))
}

fn order(place: u8) -> Order {
    Order::from_bytes(&[place + 1])
}
