//! An entry's header, for a person and as JSON Lines.

use flow_history::{Author, Body, Entry, Header, Link, Mark};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::difference::Counts;
use crate::escape::{escape, first_line};
use crate::moment;

#[derive(Serialize)]
pub(crate) struct EntryLine<'e> {
    r#type: &'static str,
    seq: u64,
    id: String,
    log_time: String,
    host_time: String,
    author: JsonAuthor<'e>,
    intent: &'static str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<JsonMark<'e>>,
    links: Vec<JsonLink>,
    attributes: Attributes<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<JsonRequest<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'e str>,
    #[serde(flatten)]
    counts: Counts,
    operations: usize,
}

#[derive(Serialize)]
pub(crate) struct JsonAuthor<'e> {
    id: &'e str,
    name: &'e str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<&'e str>,
}

#[derive(Serialize)]
struct JsonRequest<'e> {
    address: Option<&'e str>,
    forwarded_for: Option<&'e str>,
    agent: Option<&'e str>,
}

#[derive(Serialize)]
struct JsonMark<'e> {
    name: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'e str>,
}

#[derive(Serialize)]
#[serde(tag = "link", rename_all = "kebab-case")]
enum JsonLink {
    Undoes { version: u64 },
    Redoes { version: u64 },
    Reverts { version: u64 },
    Restores { version: u64 },
    Supersedes { version: u64 },
    CopiedFrom { id: String },
    MergedFrom { id: String },
    SameComponent { old: String, new: String },
    Other { text: String },
}

struct Attributes<'e>(&'e Header);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.attributes.len()))?;
        self.0.attributes.iter().try_for_each(|(key, value)| map.serialize_entry(&**key, &**value))?;
        map.end()
    }
}

impl<'e> JsonAuthor<'e> {
    pub(crate) fn of(author: &'e Author) -> Self {
        let on_behalf_of = author.on_behalf_of.as_deref();
        Self { id: &author.id, name: &author.name, kind: author.kind.name(), on_behalf_of }
    }
}

impl<'e> EntryLine<'e> {
    pub(crate) fn of(entry: &'e Entry, counts: Counts) -> Self {
        let header = &entry.header;
        Self {
            r#type: "entry",
            seq: entry.seq.0,
            id: entry.id.to_string(),
            log_time: moment::rfc3339(header.log_time),
            host_time: moment::host_rfc3339(header.host_time),
            author: JsonAuthor::of(&header.author),
            intent: header.intent.name(),
            message: &header.message,
            mark: mark(entry).map(|mark| {
                let (version, text) = parts(mark);
                JsonMark { name: mark.name(), version, text }
            }),
            links: header.links.iter().map(json_link).collect(),
            attributes: Attributes(header),
            session: header.session.as_deref(),
            request: header.request.as_ref().map(|request| JsonRequest {
                address: request.address.as_deref(),
                forwarded_for: request.forwarded_for.as_deref(),
                agent: request.agent.as_deref(),
            }),
            group: header.group.as_deref(),
            counts,
            operations: operations(entry),
        }
    }
}

/// The number of operations of an entry.
pub(crate) fn operations(entry: &Entry) -> usize {
    match &entry.body {
        Body::Change(operations) => operations.len(),
        _ => 0,
    }
}

/// The mark that an entry is, where it is one.
pub(crate) fn mark(entry: &Entry) -> Option<&Mark> {
    match &entry.body {
        Body::Mark(mark) => Some(mark),
        _ => None,
    }
}

/// The version and the text of a mark.
fn parts(mark: &Mark) -> (Option<u64>, Option<&str>) {
    match mark {
        Mark::Running { version } | Mark::Pin { version } | Mark::Unpin { version } => {
            (Some(version.0), None)
        }
        Mark::Pruned { oldest, .. } => (Some(oldest.0), None),
        Mark::Succeeded { place, version, .. } => (Some(version.0), Some(place)),
        Mark::Label { name, version } => (Some(version.0), Some(name)),
        Mark::CheckIn { instance, version } => (Some(version.0), Some(instance)),
        Mark::Unlabel { name } => (None, Some(name)),
        Mark::ImportNote { text } => (None, Some(text)),
        _ => (None, None),
    }
}

/// A mark in a few words: `label released = version 4`.
pub(crate) fn mark_in_words(mark: &Mark) -> String {
    let (version, text) = parts(mark);
    let mut words = first_line(mark.name());
    if let Some(text) = text {
        words.push_str(if matches!(mark, Mark::ImportNote { .. }) { ": " } else { " " });
        words.push_str(&first_line(text));
    }
    if let Some(version) = version {
        let up_to = if matches!(mark, Mark::Pruned { .. } | Mark::Succeeded { .. }) { "up to" } else { "=" };
        words.push_str(&format!(" {up_to} version {version}"));
    }
    words
}

/// The part of an ID that tells versions of one number apart: `8f1c-b2d3`.
pub(crate) fn short_id(entry: &Entry) -> String {
    entry.id.to_string().split('-').skip(2).take(2).collect::<Vec<_>>().join("-")
}

/// An author as text: the name and, where it says more, the id.
pub(crate) fn author_in_words(author: &Author) -> String {
    let mut words = escape(&author.name).into_owned();
    if author.id != author.name {
        words.push_str(&format!(" <{}>", escape(&author.id)));
    }
    words.push_str(&format!(" ({})", author.kind.name()));
    if let Some(principal) = &author.on_behalf_of {
        words.push_str(&format!(" on behalf of {}", escape(principal)));
    }
    words
}

/// A link as text: `undoes version 9`.
pub(crate) fn link_in_words(link: &Link) -> String {
    match link {
        Link::Undoes(seq) => format!("undoes version {seq}"),
        Link::Redoes(seq) => format!("does again what version {seq} took back"),
        Link::Reverts(seq) => format!("reverts version {seq}"),
        Link::Restores(seq) => format!("restores version {seq}"),
        Link::Supersedes(seq) => format!("supersedes version {seq}"),
        Link::CopiedFrom(id) => format!("copied from {id}"),
        Link::MergedFrom(id) => format!("merged from {id}"),
        other => format!("{other:?}"),
    }
}

fn json_link(link: &Link) -> JsonLink {
    match link {
        Link::Undoes(seq) => JsonLink::Undoes { version: seq.0 },
        Link::Redoes(seq) => JsonLink::Redoes { version: seq.0 },
        Link::Reverts(seq) => JsonLink::Reverts { version: seq.0 },
        Link::Restores(seq) => JsonLink::Restores { version: seq.0 },
        Link::Supersedes(seq) => JsonLink::Supersedes { version: seq.0 },
        Link::CopiedFrom(id) => JsonLink::CopiedFrom { id: id.to_string() },
        Link::MergedFrom(id) => JsonLink::MergedFrom { id: id.to_string() },
        Link::SameComponent { old, new } => {
            JsonLink::SameComponent { old: format!("{old:?}"), new: format!("{new:?}") }
        }
        other => JsonLink::Other { text: format!("{other:?}") },
    }
}
