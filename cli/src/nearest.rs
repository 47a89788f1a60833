//! What somebody may have meant: the name that is most like one that there is not.

use flow_history::{History, Seq};

use crate::escape::escape;
use crate::failure::{Exit, Failure};
use crate::selector;

/// How alike two names must be, from 0 to 1, for one to be offered for the other.
const ALIKE: f32 = 0.6;

/// The name that is most like another, if one is.
pub(crate) fn of<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let known: Vec<&str> = known.into_iter().collect();
    similar::get_close_matches(name, &known, 1, ALIKE).into_iter().next()
}

/// What to put behind the sentence that there is not what was named: `; there is "pump-1"`, or nothing.
pub(crate) fn offered<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    of(name, known).map(|nearest| format!("; there is `{}`", escape(nearest))).unwrap_or_default()
}

/// The version that changed a component last; of one that none did that is kept, the oldest that is.
///
/// # Errors
/// [`Exit::NotFound`] where there never was such a component, with the nearest id of the newest version.
pub(crate) fn last_change(history: &History, id: &str) -> Result<Seq, Failure> {
    if let Some(version) = history.last_change(id)? {
        return Ok(version.seq());
    }
    let view = history.at(history.version())?;
    if view.component(id)?.is_some() {
        return selector::oldest(history);
    }
    let components = view.components()?;
    let offered = offered(id, components.iter().map(|component| component.id.as_str()));
    let message = format!("there never was a component `{id}`{offered}");
    Err(Failure::new(Exit::NotFound, message)
        .hint("`at` prints the flow with its ids, `trash` what was removed"))
}

/// The failure of a question about a component that is gone, with the version in which it was there last.
pub(crate) fn gone(id: &str, went_with: Seq) -> Failure {
    let before = went_with.previous().unwrap_or_default();
    let message = format!("the component `{id}` went with version {went_with}; version {before} has it");
    Failure::new(Exit::NotFound, message).hint("`show` says how it was then, `trash` how to bring it back")
}

#[cfg(test)]
mod tests {
    use super::{of, offered};

    #[test]
    fn the_most_alike_is_offered_and_nothing_unlike() {
        let known = ["pump-1", "pump-12", "tank"];
        assert_eq!(of("pmp-1", known), Some("pump-1"));
        assert_eq!(of("TANG", known), None);
        assert_eq!(offered("tnak", known), "; there is `tank`");
        assert_eq!(offered("valve", known), "");
    }
}
