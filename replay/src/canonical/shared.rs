//! What an entry says that later ones build on: the names and authors that it brings, and whose unit it is about.

use std::sync::Arc;

use flow_history_flow::Name;

use super::{AuthorBytes, CONFIG, ENCODING, EncodeError, Extra, Row};
use crate::{Author, ENTRY_BYTES_MAX};

/// What an entry's extras say that others build on.
pub(crate) struct Shared {
    pub(crate) names: Vec<Name>,
    pub(crate) authors: Vec<Arc<Author>>,
    pub(crate) spelt: Option<Arc<Author>>,
    /// Whose unit an undo or a redo is about, and how far back the redo tops beneath it lie.
    pub(crate) owner: Option<(Arc<str>, u64, u64)>,
}

/// Reads the extras of an entry, and nothing else of it.
pub(crate) fn shared_of(bytes: &[u8]) -> Result<Shared, String> {
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err("its encoding is not known".to_owned());
    };
    let (extras, _): (Row<Extra<'_>>, usize) =
        bincode::borrow_decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
    let mut shared = Shared { names: Vec::new(), authors: Vec::new(), spelt: None, owner: None };
    for extra in extras.0 {
        match extra {
            Extra::Names(row) => shared.names = row.0.into_iter().map(Name::from).collect(),
            Extra::Authors(row) => {
                shared.authors = row.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
            }
            Extra::Author(author) => shared.spelt = Some(author.into_author()?),
            Extra::Owner { id, flow_redo, own_redo } => {
                shared.owner = Some((Arc::from(id), flow_redo, own_redo));
            }
            _ => {}
        }
    }
    Ok(shared)
}

/// Names and authors, to keep.
pub(crate) fn vocabulary_to_bytes(names: &[Name], authors: &[Arc<Author>]) -> Result<Vec<u8>, EncodeError> {
    let names = Row(names.iter().map(|name| &**name).collect::<Vec<&str>>());
    let authors = Row(authors.iter().map(|author| AuthorBytes::of(author)).collect::<Result<Vec<_>, _>>()?);
    bincode::encode_to_vec((names, authors), CONFIG)
        .map_err(|_| EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX })
}

/// Names and authors that were kept.
pub(crate) fn vocabulary_from_bytes(bytes: &[u8]) -> Result<(Vec<Name>, Vec<Arc<Author>>), String> {
    let ((names, authors), used): ((Row<&str>, Row<AuthorBytes<'_>>), usize) =
        bincode::borrow_decode_from_slice(bytes, CONFIG).map_err(|error| error.to_string())?;
    if used != bytes.len() {
        return Err("bytes are left over".to_owned());
    }
    let authors = authors.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
    Ok((names.0.into_iter().map(Name::from).collect(), authors))
}
