//! Ways to say which version.

use flow_history_replay::{FlowVersionId, Seq, Timestamp};

/// Which version.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum At {
    /// The one with this name.
    Id(FlowVersionId),
    /// The one with this number.
    Number(Seq),
    /// The newest.
    Head,
    /// So many before the newest.
    Back(u64),
    /// The one that has this label.
    Label(String),
    /// The newest whose log time is not later than this.
    Time(Timestamp),
}

impl At {
    /// Reads `42`, `@`, `@-3` and version IDs; `None` for anything else, which may be a label or a time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "@" {
            return Some(At::Head);
        }
        if let Some(back) = text.strip_prefix("@-") {
            return back.parse().ok().map(At::Back);
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(|number| At::Number(Seq(number)));
        }
        text.parse().ok().map(At::Id)
    }
}

impl From<FlowVersionId> for At {
    fn from(id: FlowVersionId) -> Self {
        At::Id(id)
    }
}

impl From<Seq> for At {
    fn from(seq: Seq) -> Self {
        At::Number(seq)
    }
}

impl From<u64> for At {
    fn from(number: u64) -> Self {
        At::Number(Seq(number))
    }
}

impl From<Timestamp> for At {
    fn from(time: Timestamp) -> Self {
        At::Time(time)
    }
}
