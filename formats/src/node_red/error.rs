//! What can be wrong with a document or a flow.

use std::fmt;

use flow_history_flow::{ComponentId, Name, Reason};

/// A document that cannot become a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DocumentError {
    /// The line, counted from 1.
    pub line: usize,
    /// The character of that line, counted from 1; a byte order mark does not count.
    pub column: usize,
    /// What is wrong there.
    pub kind: DocumentErrorKind,
}

/// What is wrong with a document.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DocumentErrorKind {
    /// It has no content at all.
    Empty,
    /// It is not UTF-8.
    NotUtf8,
    /// It is not JSON.
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// It is not an array but something else.
    NotAnArray {
        /// What it is.
        found: &'static str,
    },
    /// It is an object with `flows` inside, as version 2 of the admin API sends and takes it.
    FlowsObject,
    /// Its arrays and objects are nested too deep.
    NestedTooDeep {
        /// The most levels allowed.
        max: usize,
    },
    /// An element is over a limit of the model.
    OverLimit {
        /// Which limit.
        reason: Reason,
    },
}

impl DocumentError {
    /// The error at an offset in bytes.
    pub(crate) fn at(text: &[u8], offset: usize, kind: DocumentErrorKind) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        Self { line, column: 1 + characters(before.get(start..).unwrap_or_default()), kind }
    }

    /// The error of the parser, which counts columns in bytes and from 1.
    pub(crate) fn syntax(text: &[u8], error: &serde_json::Error) -> Self {
        let line = error.line().max(1);
        let bytes = text.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or_default();
        let column = characters(bytes.get(..error.column()).unwrap_or(bytes)).max(1);
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason).to_owned();
        Self { line, column, kind: DocumentErrorKind::Syntax { reason } }
    }
}

fn characters(utf8: &[u8]) -> usize {
    utf8.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.kind)
    }
}

impl fmt::Display for DocumentErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the document is empty"),
            Self::NotUtf8 => f.write_str("the document is not UTF-8"),
            Self::Syntax { reason } => write!(f, "the document is not JSON: {reason}"),
            Self::NotAnArray { found } => {
                write!(f, "the document is {found} where an array of elements belongs")
            }
            Self::FlowsObject => f.write_str(
                "the document is the object of the admin API, version 2; the array in its `flows` is wanted",
            ),
            Self::NestedTooDeep { max } => write!(f, "the document is nested deeper than {max} levels"),
            Self::OverLimit { reason } => write!(f, "the element is over a limit: {reason}"),
        }
    }
}

impl std::error::Error for DocumentError {}

/// A flow that no document can show without losing something.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ExportError {
    /// The component that cannot be shown.
    pub id: ComponentId,
    /// Why not.
    pub kind: ExportErrorKind,
}

/// Why a component cannot be shown in a document.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ExportErrorKind {
    /// A field holds a secret among other things; only a field that is nothing but a secret can be left out.
    Secret {
        /// The field.
        field: Name,
    },
    /// A field holds bytes that are no text.
    Bytes {
        /// The field.
        field: Name,
    },
    /// The text of an element that is kept verbatim is no JSON.
    Verbatim,
    /// A wire lacks an end, or its port is no number from 0 to the limit.
    Wire,
    /// An element has more output ports than the limit.
    Ports {
        /// The most allowed.
        max: usize,
    },
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An id can be as long as its sender likes; an error message cannot.
        let id: String = self.id.chars().take(80).collect();
        write!(f, "component {id:?} has no place in a document: {}", self.kind)
    }
}

impl fmt::Display for ExportErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { field } => write!(f, "its field {field:?} holds a secret inside a value"),
            Self::Bytes { field } => write!(f, "its field {field:?} holds bytes that are no text"),
            Self::Verbatim => f.write_str("its text is not the JSON of an element"),
            Self::Wire => f.write_str("the wire lacks a source, a target or a valid port"),
            Self::Ports { max } => write!(f, "it has more than {max} output ports"),
        }
    }
}

impl std::error::Error for ExportError {}
