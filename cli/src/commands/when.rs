//! The versions during which a field held a value.

use std::path::PathBuf;

use clap::Args;
use flow_history::{History, Interval, Seq};
use serde::Serialize;

use crate::comparison::{Comparison, Relation};
use crate::failure::{Exit, Failure};
use crate::names::Names;
use crate::output::{NUMBER, Output, paint};
use crate::{moment, nearest, opening, selector};

/// List the versions, and the times, during which a field of a component held what is asked
///
/// Which data was made under the bad value is what was stamped with one of these versions. Numbers compare as numbers,
/// also where they are written as texts; everything else is `=` or `!=`, and texts stand in the order of their characters.
/// `!=` means that the field is there and holds another value; a component that is gone has no fields.
///
/// With --json: one line of type `interval` for each stretch of versions; `until` is the first version after it.
#[derive(Args)]
#[command(after_help = "\
Examples
  flow-history when ./history limit-1 threshold '>' 100
  flow-history when ./history limit-1 unit = C
  flow-history when ./history limit-1 unit absent")]
pub(crate) struct When {
    /// The directory of the history
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The ID of a component
    #[arg(value_name = "COMPONENT", allow_hyphen_values = true)]
    component: String,
    /// The name of a field
    #[arg(value_name = "FIELD", allow_hyphen_values = true)]
    field: String,
    /// How it is compared
    #[arg(value_name = "OP", value_enum)]
    relation: Relation,
    /// With what: a number, a word, a text, or JSON
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<String>,
}

#[derive(Serialize)]
struct IntervalLine {
    r#type: &'static str,
    from: u64,
    from_id: String,
    from_time: String,
    /// The last version of it.
    to: u64,
    /// The first version after it; null where it lasts.
    until: Option<u64>,
    until_id: Option<String>,
    until_time: Option<String>,
}

impl When {
    pub(crate) fn run(&self, out: &mut Output) -> Result<Exit, Failure> {
        let comparison = Comparison::read(self.relation, self.value.as_deref())?;
        let history = opening::to_read(&self.dir)?;
        self.must_be_askable(&history, &comparison)?;
        let head = history.version().seq();
        let intervals = history.when(&self.component, &self.field, |value| comparison.holds(value))?;
        if intervals.is_empty() {
            out.note("it never was so");
        }
        for interval in intervals {
            print(&interval, head, out)?;
        }
        Ok(Exit::Ok)
    }

    /// Whether there ever was such a component with such a field, and what it holds may be told.
    fn must_be_askable(&self, history: &History, comparison: &Comparison) -> Result<(), Failure> {
        let changed = nearest::last_change(history, &self.component)?;
        // Where the last change removed it, it is in the version before.
        let before = changed.previous().unwrap_or_default().max(selector::oldest(history)?);
        let mut views = vec![history.at(changed)?, history.at(before)?];
        let mut latest = None;
        for view in &views {
            latest = latest.or(view.component(&self.component)?);
        }
        let Some(component) = latest else { return Ok(()) };
        let mut setting = history.entries().component(&self.component).field(&self.field);
        let ever = component.get(&self.field).is_some() || setting.next().transpose()?.is_some();
        if !ever && self.relation != Relation::Absent {
            let offered =
                nearest::offered(&self.field, component.fields.iter().map(|(name, _)| name.as_str()));
            let message =
                format!("the component `{}` never had a field `{}`{offered}", self.component, self.field);
            return Err(Failure::new(Exit::NotFound, message).hint("`blame` lists the fields of a component"));
        }
        views.push(history.at(history.version())?);
        let secrets = Names::new(views).secrets()?;
        if comparison.looks_at_the_value() && secrets.is_secret(&component.kind, &self.field) {
            let message = format!("what the field `{}` holds is secret", self.field);
            return Err(Failure::new(Exit::Usage, message).hint("ask whether it was `present` or `absent`"));
        }
        Ok(())
    }
}

fn print(interval: &Interval, head: Seq, out: &mut Output) -> Result<(), Failure> {
    let (from, until) = (interval.from.seq(), interval.until.map(|until| until.seq()));
    let to = until.and_then(Seq::previous).unwrap_or(head);
    if out.json() {
        return out.json_line(&IntervalLine {
            r#type: "interval",
            from: from.0,
            from_id: interval.from.to_string(),
            from_time: moment::rfc3339(interval.from_time),
            to: to.0,
            until: until.map(|until| until.0),
            until_id: interval.until.map(|until| until.to_string()),
            until_time: interval.until_time.map(moment::rfc3339),
        });
    }
    let versions = match from == to {
        true => format!("version {}", paint(NUMBER, from)),
        false => format!("versions {} to {}", paint(NUMBER, from), paint(NUMBER, to)),
    };
    let began = moment::shown(interval.from_time, out.zone());
    let ended = match (until, interval.until_time) {
        (Some(until), Some(time)) => format!("until {}, version {until}", moment::shown(time, out.zone())),
        _ => "and still".to_owned(),
    };
    out.line(format!("{versions}, from {began} {ended}"))
}
