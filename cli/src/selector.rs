//! What a person writes to a version.

use flow_history::{At, Error, FlowVersionId, History, Seq, Timestamp};

use crate::failure::{Exit, Failure};
use crate::{moment, nearest};

/// Finds the version that `42`, `@`, `@-3`, a flow-version ID, a label or a time names.
pub(crate) fn find(history: &History, text: &str) -> Result<FlowVersionId, Failure> {
    let at = read(history, text)?;
    let head = history.version().seq().0;
    match at {
        At::Back(back) if back > head => {
            let message = format!("`{text}` lies before the first version; the newest is {head}");
            Err(Failure::new(Exit::NotFound, message).hint("version 0 is the empty flow"))
        }
        at => history.find(at).map_err(|error| match error {
            Error::UnknownLabel { label, nearest: None } => unknown_label(history, label),
            error => error.into(),
        }),
    }
}

/// No label begins like this one; there may be one that is like it all the same.
fn unknown_label(history: &History, label: String) -> Failure {
    let labels = history.labels().unwrap_or_default();
    let nearest = nearest::of(&label, labels.keys().map(String::as_str)).map(str::to_owned);
    Error::UnknownLabel { label, nearest }.into()
}

/// Finds the newest version that was there at a time.
pub(crate) fn find_time(history: &History, text: &str) -> Result<FlowVersionId, Failure> {
    Ok(history.find(At::Time(end(text)?))?)
}

/// The oldest version that is kept: 0, the empty flow, unless something was pruned.
pub(crate) fn oldest(history: &History) -> Result<Seq, Failure> {
    match history.find(Seq::ZERO) {
        Ok(version) => Ok(version.seq()),
        Err(Error::Pruned { oldest }) => Ok(oldest),
        Err(error) => Err(error.into()),
    }
}

/// Reads a time; of a day, a minute or a second it is the end.
pub(crate) fn end(text: &str) -> Result<Timestamp, Failure> {
    moment::parse(text).ok_or_else(|| not_a_time(text))
}

/// Reads a time; of a day, a minute or a second it is the beginning.
pub(crate) fn beginning(text: &str) -> Result<Timestamp, Failure> {
    moment::parse_beginning(text).ok_or_else(|| not_a_time(text))
}

fn not_a_time(text: &str) -> Failure {
    Failure::new(Exit::Usage, format!("`{text}` is not a time"))
        .hint("a time is 2026-11-22, 2026-11-22T10:00 or 2026-11-22T10:00:07Z")
}

/// Whether a text names a version without a label's help, so that a label of that name could never be asked for.
pub(crate) fn is_taken(text: &str) -> bool {
    text.starts_with('@') || At::parse(text).is_some() || moment::parse(text).is_some()
}

fn read(history: &History, text: &str) -> Result<At, Failure> {
    if let Some(at) = At::parse(text) {
        return Ok(at);
    }
    // A label before a time: people name versions after days.
    if history.labels()?.contains_key(text) {
        return Ok(At::Label(text.to_owned()));
    }
    Ok(moment::parse(text).map_or_else(|| At::Label(text.to_owned()), At::Time))
}
