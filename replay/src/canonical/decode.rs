//! The canonical bytes of an entry to the entry.

use std::sync::{Arc, LazyLock};

use bincode::BorrowDecode;
use bincode::de::read::{Reader, SliceReader};
use bincode::de::{BorrowDecoder, Decoder, DecoderImpl};
use flow_history_flow::{
    CHANGE_OPERATIONS_MAX, Component, ComponentId, Edit, Map, Name, Operation, Order, Path, Slot, Step,
};

use super::{
    AuthorBytes, BodyBytes, CONFIG, ENCODING, EditBytes, Extra, HeadBytes, INTENTS, LinkBytes, MarkBytes,
    NameBytes, OperationBytes, Row, StepBytes,
};
use crate::log_index::Before;
use crate::stacks::{Beneath, Tops, units_back};
use crate::token::{self, Refs};
use crate::{Author, Body, Chain, Header, HistoryId, Mark, Request, Seq, Timestamp};

/// Stands in a header until its author is known.
static NOBODY: LazyLock<Arc<Author>> = LazyLock::new(|| Arc::new(Author::system("")));

/// The part of an entry that comes next.
fn next<'b, D: BorrowDecoder<'b, Context = ()>, T: BorrowDecode<'b, ()>>(
    decoder: &mut D,
) -> Result<T, String> {
    T::borrow_decode(decoder).map_err(|error| error.to_string())
}

/// The number of an encoding that this library does not know, where that is why an entry cannot be read.
pub(crate) fn unknown_encoding(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied().filter(|encoding| *encoding > ENCODING)
}

/// The milliseconds from the log time before an entry to its own, read without anything else being looked up.
pub(crate) fn elapsed_of(bytes: &[u8]) -> Result<u64, String> {
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err("its encoding is not known".to_owned());
    };
    let (head, _): ((Row<Extra<'_>>, u64), usize) =
        bincode::borrow_decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
    Ok(head.1)
}

/// Reads an entry back from its canonical bytes, given the state before it. What the log derives is left to the caller,
/// who pushes the entry and compares the bytes.
pub(crate) fn decode_entry(bytes: &[u8], before: &impl Before) -> Result<(Header, Body), String> {
    let (header, body, _) = decode_parts(bytes, before, Reach::Whole)?;
    Ok((header, body.ok_or(NOT_READ)?))
}

/// Reads an entry back with what the log derives.
pub(crate) fn decode_whole_entry(bytes: &[u8], before: &impl Before) -> Result<(Header, Body), String> {
    let (header, body) = decode_as_far(bytes, before, Reach::Whole)?;
    Ok((header, body.ok_or(NOT_READ)?))
}

/// As [`decode_whole_entry`], where all that the entry does is to give components values; of any other what it does is not
/// read.
pub(crate) fn decode_if_it_sets(
    bytes: &[u8],
    before: &impl Before,
) -> Result<(Header, Option<Body>), String> {
    decode_as_far(bytes, before, Reach::Sets)
}

/// As [`decode_whole_entry`], without what the entry does: of a change no operation is read.
pub(crate) fn decode_header(bytes: &[u8], before: &impl Before) -> Result<Header, String> {
    Ok(decode_as_far(bytes, before, Reach::Header)?.0)
}

/// How far an entry is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Header,
    /// To the first operation that does not give a component a value.
    Sets,
    Whole,
}

const NOT_READ: &str = "it was not read";

fn decode_as_far(bytes: &[u8], before: &impl Before, reach: Reach) -> Result<(Header, Option<Body>), String> {
    let (mut header, body, [flow, own]) = decode_parts(bytes, before, reach)?;
    header.log_time = before.log_time().max(header.host_time.millis);
    // What is not read of an entry are the operations of a change.
    if header.intent.is_undoable() && matches!(body, None | Some(Body::Change(_))) {
        let tops = |undo| Tops { undo, redo: None };
        let owner = Arc::clone(&header.author.id);
        header.beneath = Some(Beneath { flow: tops(flow), author: tops(own), owner });
    }
    Ok((header, body))
}

/// An entry as far as it was read, and what it says lies beneath it.
type Parts = (Header, Option<Body>, [Option<Seq>; 2]);

fn decode_parts(bytes: &[u8], before: &impl Before, reach: Reach) -> Result<Parts, String> {
    let seq = before.seq().next().ok_or("there is no sequence number left")?;
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err("its encoding is not known".to_owned());
    };
    let mut decoder = DecoderImpl::new(SliceReader::new(rest), CONFIG, ());
    let (extras, entry): (Row<Extra<'_>>, HeadBytes) = next(&mut decoder)?;

    let mut names: Vec<Name> = Vec::new();
    let mut authors: Vec<Arc<Author>> = Vec::new();
    let mut spelt_author = None;
    let intent = *INTENTS.get(usize::from(entry.intent)).ok_or("its intent is not known")?;
    let host_millis = i128::from(before.log_time()) + i128::from(entry.elapsed) - i128::from(entry.behind);
    let host_time = Timestamp {
        millis: i64::try_from(host_millis).map_err(|_| "its time is out of bounds")?,
        zone_minutes: entry.zone,
    };
    let mut header = Header::new(Arc::clone(&NOBODY), intent, host_time);
    let mut owner = None;
    for extra in extras.0 {
        match extra {
            Extra::Names(row) => names = row.0.into_iter().map(Name::from).collect(),
            Extra::Authors(row) => {
                authors = row.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
            }
            Extra::Author(author) => spelt_author = Some(author.into_author()?),
            Extra::Session(text) => header.session = Some(text.into()),
            Extra::Request { address, forwarded_for, agent } => {
                let [address, forwarded_for, agent] =
                    [address, forwarded_for, agent].map(|text| text.map(Arc::from));
                header.request = Some(Request { address, forwarded_for, agent });
            }
            Extra::Links(row) => {
                header.links = row.0.into_iter().map(LinkBytes::into_link).collect::<Result<_, _>>()?;
            }
            Extra::Group(text) => header.group = Some(text.into()),
            Extra::Message(text) => header.message = text.into(),
            Extra::Attributes(row) => {
                header.attributes =
                    row.0.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
            }
            Extra::IdempotencyKey(text) => header.idempotency_key = Some(text.into()),
            Extra::ExpectedBase(base) => header.expected_base = Some(Seq(base)),
            Extra::Owner { id, flow_redo, own_redo } => owner = Some((Arc::from(id), flow_redo, own_redo)),
        }
    }
    let (known_names, known_authors) = before.known();
    let beneath = [units_back(seq, entry.flow_beneath)?, units_back(seq, entry.own_beneath)?];
    header.author = match entry.author.checked_sub(1) {
        None => spelt_author.ok_or("it has no author")?,
        Some(number) => match (number as usize).checked_sub(known_authors) {
            Some(new) => authors.get(new).cloned(),
            None => before.author(number).cloned(),
        }
        .ok_or("its author is not known")?,
    };
    if let Some((owner, flow_redo, own_redo)) = owner {
        header.beneath = Some(Beneath {
            flow: Tops { undo: beneath[0], redo: units_back(seq, flow_redo)? },
            author: Tops { undo: beneath[1], redo: units_back(seq, own_redo)? },
            owner,
        });
    }

    let resolve_name = |bytes: NameBytes<'_>| match bytes {
        NameBytes::Spelt(text) => Ok(Name::from(text)),
        NameBytes::Numbered(number) => match (number as usize).checked_sub(known_names) {
            Some(new) => names.get(new).cloned(),
            None => before.name(number).cloned(),
        }
        .ok_or("a name is not known"),
    };
    let body = match next(&mut decoder)? {
        BodyBytes::Mark => Body::Mark(decode_mark(next(&mut decoder)?)),
        BodyBytes::Change if reach == Reach::Header => return Ok((header, None, beneath)),
        BodyBytes::Change => {
            let count: u64 = next(&mut decoder)?;
            if count > CHANGE_OPERATIONS_MAX as u64 {
                return Err("it has too many operations".to_owned());
            }
            let mut refs = Refs::of(before);
            let mut operations = Vec::new();
            for _ in 0..count {
                let operation = next(&mut decoder)?;
                if reach == Reach::Sets && !matches!(operation, OperationBytes::Set { .. }) {
                    return Ok((header, None, beneath));
                }
                operations.push(decode_operation(operation, &mut refs, &resolve_name, operations.last())?);
            }
            Body::Change(operations)
        }
    };
    if decoder.reader().peek_read(1).is_some() {
        return Err("bytes are left over".to_owned());
    }
    Ok((header, Some(body), beneath))
}

/// An operation, which stands behind another.
pub(super) fn decode_operation<B: Before>(
    operation: OperationBytes<'_>,
    refs: &mut Refs<'_, B>,
    resolve_name: &impl Fn(NameBytes<'_>) -> Result<Name, &'static str>,
    before: Option<&Operation>,
) -> Result<Operation, String> {
    let order = Order::from_bytes;
    let parent_of =
        |parent: u32, refs: &Refs<'_, B>| parent.checked_sub(1).map(|slot| refs.id(slot)).transpose();
    Ok(match operation {
        OperationBytes::Add { again, id, kind, parent, order: key, fields } => {
            let mut component = Component::new(ComponentId::from(id), resolve_name(kind)?);
            component.parent = parent_of(parent, refs)?;
            component.order = order(key);
            let mut read = Vec::with_capacity(fields.0.len());
            for (field, value) in fields.0 {
                read.push((resolve_name(field)?, token::from_tokens(&value, |slot| refs.id(slot))?));
            }
            // Components that are added together are mostly of a kind.
            let fields = match before {
                Some(Operation::Add { component: like, .. }) => Map::of_distinct_like(read, &like.fields),
                _ => Map::of_distinct(read),
            };
            component.fields = fields.ok_or("a field stands twice")?;
            let slot = again.checked_sub(1).map(Slot);
            refs.added(slot, &component.id);
            Operation::Add { component: Arc::new(component), slot }
        }
        OperationBytes::Remove { slot } => Operation::Remove { id: refs.id(slot)? },
        OperationBytes::Set { slot, field, steps, edit } => Operation::Set {
            id: refs.id(slot)?,
            path: Path {
                field: resolve_name(field)?,
                steps: steps
                    .0
                    .into_iter()
                    .map(|step| match step {
                        StepBytes::Key(key) => Step::Key(Name::from(key)),
                        StepBytes::Index(index) => Step::Index(index),
                    })
                    .collect(),
            },
            edit: match edit {
                EditBytes::Put(value) => Edit::Put(token::from_tokens(&value, |slot| refs.id(slot))?),
                EditBytes::Place(at, value) => {
                    Edit::Place(at, token::from_tokens(&value, |slot| refs.id(slot))?)
                }
                EditBytes::Clear => Edit::Clear,
                EditBytes::Splice(splices) => Edit::Splice(splices.into_splices()),
            },
        },
        OperationBytes::Move { slot, parent, order: key } => {
            Operation::Move { id: refs.id(slot)?, parent: parent_of(parent, refs)?, order: order(key) }
        }
    })
}

fn decode_mark(mark: MarkBytes<'_>) -> Mark {
    match mark {
        MarkBytes::Opened(random) => Mark::Opened { random },
        MarkBytes::Deploy => Mark::Deploy,
        MarkBytes::Running(version) => Mark::Running { version: Seq(version) },
        MarkBytes::Restart => Mark::Restart,
        MarkBytes::Label { name, version } => Mark::Label { name: name.into(), version: Seq(version) },
        MarkBytes::Unlabel(name) => Mark::Unlabel { name: name.into() },
        MarkBytes::Pin(version) => Mark::Pin { version: Seq(version) },
        MarkBytes::Unpin(version) => Mark::Unpin { version: Seq(version) },
        MarkBytes::CheckIn { instance, version } => {
            Mark::CheckIn { instance: instance.into(), version: Seq(version) }
        }
        MarkBytes::ImportNote(text) => Mark::ImportNote { text: text.into() },
        MarkBytes::Freeze => Mark::Freeze,
        MarkBytes::Pruned { oldest, chain } => Mark::Pruned { oldest: Seq(oldest), chain: Chain(chain) },
        MarkBytes::Shredded(secret) => Mark::Shredded { secret },
        MarkBytes::Succeeded { predecessor, place, version, chain } => Mark::Succeeded {
            predecessor: HistoryId(predecessor),
            place: place.into(),
            version: Seq(version),
            chain: Chain(chain),
        },
        MarkBytes::Custom { name, data } => Mark::Custom { name: name.into(), data: data.into() },
    }
}
