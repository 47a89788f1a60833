//! An entry to its canonical bytes and back. The only file that knows bincode.
//!
//! The bytes that the hash chain runs over, kept exactly by every later format. They begin with the number of their
//! encoding; this is encoding 1. The rest are the structures below in declaration order by bincode 2's standard
//! configuration: integers as variable-length little-endian (zig-zag where signed), enums as the number of the variant,
//! texts and rows with their length in front. New kinds of anything take new numbers.
//!
//! ```text
//! entry  := 1 | extras | elapsed | behind | zone | author | intent | flow | own | body
//!   extras     parts that most entries lack, in ascending order of their numbers; what is absent costs nothing
//!   elapsed    milliseconds from the log time before to this entry's
//!   behind     milliseconds that the host's time lies behind the log time
//!   zone       minutes that the host's zone is ahead of UTC
//!   author     1 + number of the author; 0 where an extra spells them out
//!   intent     0 edit, 1 undo, 2 redo, 3 revert, 4 restore, 5 import, 6 merge, 7 reconcile, 8 system, 9 mark
//!   flow, own  how many entries back the unit beneath lies on the undo stack of the flow, and of the owner; 0 for none
//!   body       change: a row of operations; or a mark
//! name   := 1 + number of the name; or 0 and the text, where the vocabulary has no room for it
//! value  := tokens in pre-order: a list or map is its length, then its elements, each key before its value
//! ```
//!
//! bincode 2.0.1 is unmaintained (RUSTSEC-2025-0141). What that leaves open is closed here: every length is checked
//! against the bytes that are left before anything is allocated, nothing recurses, and what is decoded is encoded again
//! and compared, so that there is one way to write an entry.

use std::fmt;
use std::sync::Arc;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::read::Reader;
use bincode::de::{BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError as BincodeError};
use bincode::{BorrowDecode, Decode, Encode};
use flow_history_flow::{
    CHANGE_OPERATIONS_MAX, Component, ComponentId, Edit, Flow, Map, NESTING_MAX, Name, Operation, Order,
    Path, Slot, Splice, Splices, Step,
};

use crate::keys::{Keyed, Keys};
use crate::log_index::Before;
use crate::stacks::{Beneath, Tops};
use crate::state::{Marks, State};
use crate::token::{self, Refs};
use crate::{
    Author, AuthorKind, Body, ENTRY_BYTES_MAX, FlowVersionId, HEADER_ITEMS_MAX, HEADER_TEXT_BYTES_MAX,
    Header, Intent, Link, Mark, Request, Seq, Stacks, Timestamp, Vocabulary,
};

/// The number of the encoding that new entries are written in.
pub const ENCODING: u8 = 1;

type Config = Configuration<LittleEndian, Varint, Limit<ENTRY_BYTES_MAX>>;
const CONFIG: Config = bincode::config::standard().with_limit::<ENTRY_BYTES_MAX>();

// ---- Texts, bytes and rows that allocate no more than the input can fill ----

/// Text with its length in front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text(pub(crate) Arc<str>);

/// Bytes with their length in front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bytes(pub(crate) Arc<[u8]>);

/// Items with their number in front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row<T>(pub(crate) Vec<T>);

/// A kind or a field name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NameBytes {
    Numbered(u32),
    Spelt(Text),
}

fn decode_bytes<D: Decoder>(decoder: &mut D) -> Result<Vec<u8>, DecodeError> {
    let length = usize::try_from(u64::decode(decoder)?).map_err(|_| DecodeError::LimitExceeded)?;
    decoder.claim_bytes_read(length)?;
    // A length is believed only where the bytes are there.
    if decoder.reader().peek_read(length).is_none() {
        return Err(DecodeError::UnexpectedEnd { additional: length });
    }
    let mut bytes = vec![0; length];
    decoder.reader().read(&mut bytes)?;
    Ok(bytes)
}

impl Encode for Text {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        (*self.0).encode(encoder)
    }
}

impl<C> Decode<C> for Text {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let bytes = decode_bytes(decoder)?;
        let text =
            String::from_utf8(bytes).map_err(|error| DecodeError::Utf8 { inner: error.utf8_error() })?;
        Ok(Text(text.into()))
    }
}

impl Encode for Bytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        (*self.0).encode(encoder)
    }
}

impl<C> Decode<C> for Bytes {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        decode_bytes(decoder).map(|bytes| Bytes(bytes.into()))
    }
}

impl<T: Encode> Encode for Row<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<C, T: Decode<C>> Decode<C> for Row<T> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        // Every item takes a byte or more, so that a row grows no further than its input.
        let length = u64::decode(decoder)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::decode(decoder)?);
        }
        Ok(Row(items))
    }
}

impl Encode for NameBytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        match self {
            NameBytes::Numbered(number) => (number + 1).encode(encoder),
            NameBytes::Spelt(text) => {
                0_u32.encode(encoder)?;
                text.encode(encoder)
            }
        }
    }
}

impl<C> Decode<C> for NameBytes {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(decoder)?.checked_sub(1) {
            Some(number) => Ok(NameBytes::Numbered(number)),
            None => Text::decode(decoder).map(NameBytes::Spelt),
        }
    }
}

// bincode asks every type for a borrowing twin of its decoder; ours never borrow.
bincode::impl_borrow_decode!(Text);
bincode::impl_borrow_decode!(Bytes);
bincode::impl_borrow_decode!(NameBytes);
bincode::impl_borrow_decode!(ValueBytes);

impl<'de, C, T: BorrowDecode<'de, C>> BorrowDecode<'de, C> for Row<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = u64::decode(decoder)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::borrow_decode(decoder)?);
        }
        Ok(Row(items))
    }
}

// ---- The structures, in encoding order ----

#[derive(Encode, Decode)]
struct EntryBytes {
    extras: Row<Extra>,
    elapsed: u64,
    behind: u64,
    zone: i16,
    author: u32,
    intent: u8,
    flow_beneath: u64,
    own_beneath: u64,
    body: BodyBytes,
}

#[derive(Encode, Decode)]
enum Extra {
    Names(Row<Text>),
    Authors(Row<AuthorBytes>),
    Author(AuthorBytes),
    Session(Text),
    Request {
        address: Option<Text>,
        forwarded_for: Option<Text>,
        agent: Option<Text>,
    },
    Links(Row<LinkBytes>),
    Group(Text),
    Message(Text),
    Attributes(Row<(Text, Text)>),
    IdempotencyKey(Text),
    ExpectedBase(u64),
    /// Of an undo or a redo: the author whose unit it is, and the tops of the redo stacks beneath it.
    Owner {
        id: Text,
        flow_redo: u64,
        own_redo: u64,
    },
}

#[derive(Encode, Decode)]
struct AuthorBytes {
    id: Text,
    name: Text,
    kind: u8,
    on_behalf_of: Option<Text>,
}

#[derive(Encode, Decode)]
enum LinkBytes {
    Undoes(u64),
    Redoes(u64),
    Reverts(u64),
    Restores(u64),
    Supersedes(u64),
    CopiedFrom([u8; 16]),
    MergedFrom([u8; 16]),
    SameComponent { old: u32, new: u32 },
}

#[derive(Encode, Decode)]
enum BodyBytes {
    Change(Row<OperationBytes>),
    Mark(MarkBytes),
}

#[derive(Encode, Decode)]
enum OperationBytes {
    /// `again` is 1 + the slot to have back, or 0 for the next; `parent` is 1 + its slot, or 0 for none.
    Add {
        again: u32,
        id: Text,
        kind: NameBytes,
        parent: u32,
        order: Bytes,
        fields: Row<(NameBytes, ValueBytes)>,
    },
    Remove {
        slot: u32,
    },
    Set {
        slot: u32,
        field: NameBytes,
        steps: Row<StepBytes>,
        edit: EditBytes,
    },
    Move {
        slot: u32,
        parent: u32,
        order: Bytes,
    },
}

#[derive(Encode, Decode)]
enum StepBytes {
    Key(Text),
    Index(u32),
}

#[derive(Encode, Decode)]
enum EditBytes {
    Put(ValueBytes),
    Place(u32, ValueBytes),
    Clear,
    Splice(SplicesBytes),
}

/// What turns a long text into another: the first 8 bytes of the BLAKE3 of the result, then its pieces, each the bytes
/// that stay since the one before, the bytes that go, and the text that comes.
#[derive(Encode, Decode)]
struct SplicesBytes {
    result: [u8; 8],
    pieces: Row<(u32, u32, Text)>,
}

impl SplicesBytes {
    fn of(splices: &Splices) -> Self {
        let piece = |piece: &Splice| (piece.keep, piece.remove, Text(Arc::clone(&piece.insert)));
        Self { result: splices.result, pieces: Row(splices.pieces.iter().map(piece).collect()) }
    }

    fn into_splices(self) -> Splices {
        let piece = |(keep, remove, insert): (u32, u32, Text)| Splice { keep, remove, insert: insert.0 };
        Splices { pieces: self.pieces.0.into_iter().map(piece).collect(), result: self.result }
    }
}

#[derive(Encode, Decode)]
enum MarkBytes {
    Opened([u8; 16]),
    Deploy,
    Running(u64),
    Restart,
    Label { name: Text, version: u64 },
    Unlabel(Text),
    Pin(u64),
    Unpin(u64),
    CheckIn { instance: Text, version: u64 },
    ImportNote(Text),
    Freeze,
    Custom { name: Text, data: Bytes },
}

/// One token of a value.
#[derive(Encode, Decode, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    Null,
    False,
    True,
    Integer(i64),
    Lexeme(Text),
    Text(Text),
    Bytes(Bytes),
    List(u32),
    Map(u32),
    Key(Text),
    /// A reference to a component that exists, by its slot.
    Component(u32),
    /// A reference to a component that does not exist, by its id.
    Nowhere(Text),
    Secret {
        id: [u8; 16],
        tag: [u8; 16],
    },
}

/// The tokens of one value; most are a single one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ValueBytes {
    Flat(Token),
    Nested(Vec<Token>),
}

impl Encode for ValueBytes {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        match self {
            ValueBytes::Flat(token) => token.encode(encoder),
            ValueBytes::Nested(tokens) => tokens.iter().try_for_each(|token| token.encode(encoder)),
        }
    }
}

impl<C> Decode<C> for ValueBytes {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let first = Token::decode(decoder)?;
        if !matches!(first, Token::List(_) | Token::Map(_)) {
            return Ok(ValueBytes::Flat(first));
        }
        // How many tokens each open list or map still waits for; a map waits for keys and values.
        let waits_for = |token: &Token| match token {
            Token::List(length) => Some(u64::from(*length)),
            Token::Map(length) => Some(2 * u64::from(*length)),
            _ => None,
        };
        let mut open: Vec<u64> = waits_for(&first).into_iter().collect();
        let mut tokens = vec![first];
        while let Some(waiting) = open.last_mut() {
            let Some(left) = waiting.checked_sub(1) else {
                open.pop();
                continue;
            };
            *waiting = left;
            let token = Token::decode(decoder)?;
            open.extend(waits_for(&token));
            if open.len() > NESTING_MAX {
                return Err(DecodeError::Other("a value is nested too deep"));
            }
            tokens.push(token);
        }
        Ok(ValueBytes::Nested(tokens))
    }
}

// ---- Encoding ----

/// A part of an entry's header or of a mark that cannot be written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// A text of the header or of a mark is over the limit.
    TextTooLong {
        /// Which.
        part: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// More attributes or links than an entry may have.
    TooMany {
        /// Which.
        part: &'static str,
        /// The most allowed.
        max: usize,
    },
    /// The entry is larger than one may be.
    EntryTooLarge {
        /// The most bytes allowed.
        max: usize,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::TextTooLong { part, bytes, max } => {
                write!(f, "the {part} has {bytes} bytes; {max} are allowed")
            }
            EncodeError::TooMany { part, max } => write!(f, "there are more than {max} {part}"),
            EncodeError::EntryTooLarge { max } => write!(f, "the entry is larger than {max} bytes"),
        }
    }
}

impl std::error::Error for EncodeError {}

fn text(part: &'static str, text: &Arc<str>) -> Result<Text, EncodeError> {
    match text.len() {
        bytes if bytes > HEADER_TEXT_BYTES_MAX => {
            Err(EncodeError::TextTooLong { part, bytes, max: HEADER_TEXT_BYTES_MAX })
        }
        _ => Ok(Text(Arc::clone(text))),
    }
}

fn optional(part: &'static str, value: Option<&Arc<str>>) -> Result<Option<Text>, EncodeError> {
    value.map(|value| text(part, value)).transpose()
}

fn few<T>(part: &'static str, items: &[T]) -> Result<(), EncodeError> {
    if items.len() > HEADER_ITEMS_MAX {
        Err(EncodeError::TooMany { part, max: HEADER_ITEMS_MAX })
    } else {
        Ok(())
    }
}

/// How many entries back another lies; 0 for none.
fn back(seq: Seq, other: Option<Seq>) -> u64 {
    other.map_or(0, |other| seq.0.saturating_sub(other.0))
}

fn forward(seq: Seq, back: u64) -> Result<Option<Seq>, String> {
    match back {
        0 => Ok(None),
        _ => seq
            .0
            .checked_sub(back)
            .filter(|seq| *seq > 0)
            .map(|seq| Some(Seq(seq)))
            .ok_or_else(|| "a unit on a stack lies before the first entry".to_owned()),
    }
}

impl Author {
    fn check(&self) -> Result<(), EncodeError> {
        let longest = self.on_behalf_of.iter().chain([&self.id, &self.name]).map(|text| text.len()).max();
        match longest {
            Some(bytes) if bytes > HEADER_TEXT_BYTES_MAX => {
                Err(EncodeError::TextTooLong { part: "author", bytes, max: HEADER_TEXT_BYTES_MAX })
            }
            _ => Ok(()),
        }
    }
}

impl AuthorBytes {
    fn of(author: &Author) -> Result<Self, EncodeError> {
        let kind = match author.kind {
            AuthorKind::User => 0,
            AuthorKind::Service => 1,
            AuthorKind::System => 2,
            AuthorKind::Operator => 3,
        };
        Ok(Self {
            id: text("author's id", &author.id)?,
            name: text("author's name", &author.name)?,
            kind,
            on_behalf_of: optional("principal", author.on_behalf_of.as_ref())?,
        })
    }

    fn into_author(self) -> Result<Arc<Author>, String> {
        let mut author = match self.kind {
            0 => Author::user(&self.id.0),
            1 => Author::service(&self.id.0),
            2 => Author::system(&self.id.0),
            3 => Author::operator(&self.id.0),
            _ => return Err("an author is of no known kind".to_owned()),
        };
        author.name = self.name.0;
        author.on_behalf_of = self.on_behalf_of.map(|text| text.0);
        Ok(Arc::new(author))
    }
}

const INTENTS: [Intent; 10] = [
    Intent::Edit,
    Intent::Undo,
    Intent::Redo,
    Intent::Revert,
    Intent::Restore,
    Intent::Import,
    Intent::Merge,
    Intent::Reconcile,
    Intent::System,
    Intent::Mark,
];

impl LinkBytes {
    fn of(link: &Link) -> Self {
        match link {
            Link::Undoes(seq) => LinkBytes::Undoes(seq.0),
            Link::Redoes(seq) => LinkBytes::Redoes(seq.0),
            Link::Reverts(seq) => LinkBytes::Reverts(seq.0),
            Link::Restores(seq) => LinkBytes::Restores(seq.0),
            Link::Supersedes(seq) => LinkBytes::Supersedes(seq.0),
            Link::CopiedFrom(id) => LinkBytes::CopiedFrom(id.to_bytes()),
            Link::MergedFrom(id) => LinkBytes::MergedFrom(id.to_bytes()),
            Link::SameComponent { old, new } => LinkBytes::SameComponent { old: old.0, new: new.0 },
        }
    }

    fn into_link(self) -> Result<Link, String> {
        let id =
            |bytes| FlowVersionId::from_bytes(bytes).ok_or_else(|| "a link holds no version ID".to_owned());
        Ok(match self {
            LinkBytes::Undoes(seq) => Link::Undoes(Seq(seq)),
            LinkBytes::Redoes(seq) => Link::Redoes(Seq(seq)),
            LinkBytes::Reverts(seq) => Link::Reverts(Seq(seq)),
            LinkBytes::Restores(seq) => Link::Restores(Seq(seq)),
            LinkBytes::Supersedes(seq) => Link::Supersedes(Seq(seq)),
            LinkBytes::CopiedFrom(bytes) => Link::CopiedFrom(id(bytes)?),
            LinkBytes::MergedFrom(bytes) => Link::MergedFrom(id(bytes)?),
            LinkBytes::SameComponent { old, new } => Link::SameComponent { old: Slot(old), new: Slot(new) },
        })
    }
}

fn name(name: &Name, vocabulary: &mut Vocabulary) -> NameBytes {
    match vocabulary.number_of_name(name) {
        Some(number) => NameBytes::Numbered(number),
        None => NameBytes::Spelt(Text(name.to_shared())),
    }
}

fn slot_plus_one(id: Option<&ComponentId>, flow: &Flow) -> u32 {
    id.and_then(|id| flow.slot(id)).map_or(0, |slot| slot.0 + 1)
}

/// An entry on its way to bytes. Operations are added one by one, each before it is applied: the slots that it names are
/// those of the flow before it.
pub(crate) struct EntryEncoder {
    entry: EntryBytes,
}

impl EntryEncoder {
    pub(crate) fn begin(
        seq: Seq,
        header: &Header,
        log_time_before: i64,
        vocabulary: &mut Vocabulary,
    ) -> Result<Self, EncodeError> {
        let mut extras = Vec::new();
        let author = match vocabulary.number_of_author(&header.author) {
            Some(number) => number + 1,
            None => {
                extras.push(Extra::Author(AuthorBytes::of(&header.author)?));
                0
            }
        };
        // Checked here because the vocabulary spells it out without looking again.
        header.author.check()?;
        if let Some(session) = &header.session {
            extras.push(Extra::Session(text("session", session)?));
        }
        if let Some(request) = &header.request {
            extras.push(Extra::Request {
                address: optional("request's address", request.address.as_ref())?,
                forwarded_for: optional("request's forwarded-for", request.forwarded_for.as_ref())?,
                agent: optional("request's agent", request.agent.as_ref())?,
            });
        }
        if !header.links.is_empty() {
            few("links", &header.links)?;
            extras.push(Extra::Links(Row(header.links.iter().map(LinkBytes::of).collect())));
        }
        if let Some(group) = &header.group {
            extras.push(Extra::Group(text("group", group)?));
        }
        if !header.message.is_empty() {
            extras.push(Extra::Message(text("message", &header.message)?));
        }
        if !header.attributes.is_empty() {
            few("attributes", &header.attributes)?;
            let attribute = |(key, value): &(_, _)| Ok((text("attribute", key)?, text("attribute", value)?));
            extras.push(Extra::Attributes(Row(header
                .attributes
                .iter()
                .map(attribute)
                .collect::<Result<_, _>>()?)));
        }
        if let Some(key) = &header.idempotency_key {
            extras.push(Extra::IdempotencyKey(text("idempotency key", key)?));
        }
        if let Some(base) = header.expected_base {
            extras.push(Extra::ExpectedBase(base.0));
        }
        let (mut flow_beneath, mut own_beneath) = (0, 0);
        if let Some(beneath) = &header.beneath {
            flow_beneath = back(seq, beneath.flow.undo);
            own_beneath = back(seq, beneath.author.undo);
            if matches!(header.intent, Intent::Undo | Intent::Redo) {
                extras.push(Extra::Owner {
                    id: text("owner", &beneath.owner)?,
                    flow_redo: back(seq, beneath.flow.redo),
                    own_redo: back(seq, beneath.author.redo),
                });
            }
        }
        let intent = INTENTS.iter().position(|intent| *intent == header.intent).unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "log time is never below either"
        )]
        let ahead = |of: i64| (i128::from(header.log_time) - i128::from(of)) as u64;
        let entry = EntryBytes {
            extras: Row(extras),
            elapsed: ahead(log_time_before),
            behind: ahead(header.host_time.millis),
            zone: header.host_time.zone_minutes,
            author,
            intent: u8::try_from(intent).unwrap_or_default(),
            flow_beneath,
            own_beneath,
            body: BodyBytes::Change(Row(Vec::new())),
        };
        Ok(Self { entry })
    }

    pub(crate) fn operation(&mut self, operation: &Operation, flow: &Flow, vocabulary: &mut Vocabulary) {
        // A component that does not exist is refused when the operation is applied; until then any slot does.
        let slot = |id: &ComponentId| flow.slot(id).unwrap_or_default().0;
        let bytes = match operation {
            Operation::Add { component, slot } => OperationBytes::Add {
                again: slot.map_or(0, |slot| slot.0.saturating_add(1)),
                id: Text(component.id.to_shared()),
                kind: name(&component.kind, vocabulary),
                parent: slot_plus_one(component.parent.as_ref(), flow),
                order: Bytes(component.order.as_bytes().into()),
                fields: Row(component
                    .fields
                    .iter()
                    .map(|(field, value)| (name(field, vocabulary), token::to_tokens(value, flow)))
                    .collect()),
            },
            Operation::Remove { id } => OperationBytes::Remove { slot: slot(id) },
            Operation::Set { id, path, edit } => OperationBytes::Set {
                slot: slot(id),
                field: name(&path.field, vocabulary),
                steps: Row(path
                    .steps
                    .iter()
                    .map(|step| match step {
                        Step::Key(key) => StepBytes::Key(Text(key.to_shared())),
                        Step::Index(index) => StepBytes::Index(*index),
                    })
                    .collect()),
                edit: match edit {
                    Edit::Put(value) => EditBytes::Put(token::to_tokens(value, flow)),
                    Edit::Place(at, value) => EditBytes::Place(*at, token::to_tokens(value, flow)),
                    Edit::Clear => EditBytes::Clear,
                    Edit::Splice(splices) => EditBytes::Splice(SplicesBytes::of(splices)),
                },
            },
            Operation::Move { id, parent, order } => OperationBytes::Move {
                slot: slot(id),
                parent: slot_plus_one(parent.as_ref(), flow),
                order: Bytes(order.as_bytes().into()),
            },
        };
        if let BodyBytes::Change(Row(operations)) = &mut self.entry.body {
            operations.push(bytes);
        }
    }

    pub(crate) fn mark(mut self, mark: &Mark) -> Result<Self, EncodeError> {
        self.entry.body = BodyBytes::Mark(match mark {
            Mark::Opened { random } => MarkBytes::Opened(*random),
            Mark::Deploy => MarkBytes::Deploy,
            Mark::Running { version } => MarkBytes::Running(version.0),
            Mark::Restart => MarkBytes::Restart,
            Mark::Label { name, version } => {
                MarkBytes::Label { name: text("label", name)?, version: version.0 }
            }
            Mark::Unlabel { name } => MarkBytes::Unlabel(text("label", name)?),
            Mark::Pin { version } => MarkBytes::Pin(version.0),
            Mark::Unpin { version } => MarkBytes::Unpin(version.0),
            Mark::CheckIn { instance, version } => {
                MarkBytes::CheckIn { instance: text("instance", instance)?, version: version.0 }
            }
            Mark::ImportNote { text: note } => MarkBytes::ImportNote(text("import note", note)?),
            Mark::Freeze => MarkBytes::Freeze,
            Mark::Custom { name, data } => {
                MarkBytes::Custom { name: text("mark's name", name)?, data: Bytes(Arc::clone(data)) }
            }
        });
        Ok(self)
    }

    /// Spells out what the vocabulary gained since `before`, and adds the bytes of the entry.
    pub(crate) fn finish(
        mut self,
        vocabulary: &Vocabulary,
        before: (usize, usize),
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (names, authors) = (vocabulary.names_from(before.0), vocabulary.authors_from(before.1));
        let mut front = Vec::new();
        if !names.is_empty() {
            front.push(Extra::Names(Row(names.iter().map(|name| Text(name.to_shared())).collect())));
        }
        if !authors.is_empty() {
            let authors = authors.iter().map(|author| AuthorBytes::of(author)).collect::<Result<_, _>>()?;
            front.push(Extra::Authors(Row(authors)));
        }
        if !front.is_empty() {
            self.entry.extras.0.splice(..0, front);
        }
        let start = bytes.len();
        bytes.push(ENCODING);
        let written = bincode::encode_into_std_write(&self.entry, bytes, CONFIG);
        if written.is_err() || bytes.len() - start > ENTRY_BYTES_MAX {
            bytes.truncate(start);
            return Err(EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX });
        }
        Ok(())
    }
}

// ---- Decoding ----

/// The number of an encoding that this library does not know, where that is why an entry cannot be read.
pub(crate) fn unknown_encoding(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied().filter(|encoding| *encoding > ENCODING)
}

/// The milliseconds from the log time before an entry to its own, read without anything else being looked up.
pub(crate) fn elapsed_of(bytes: &[u8]) -> Result<u64, String> {
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err("its encoding is not known".to_owned());
    };
    let (head, _): ((Row<Extra>, u64), usize) =
        bincode::decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
    Ok(head.1)
}

/// Reads an entry back from its canonical bytes, given the state before it. What the log derives is left to the caller,
/// who pushes the entry and compares the bytes.
pub(crate) fn decode_entry(bytes: &[u8], before: &impl Before) -> Result<(Header, Body), String> {
    decode_parts(bytes, before).map(|(header, body, _)| (header, body))
}

/// Reads an entry back with what the log derives.
pub(crate) fn decode_whole_entry(bytes: &[u8], before: &impl Before) -> Result<(Header, Body), String> {
    let (mut header, body, [flow, own]) = decode_parts(bytes, before)?;
    header.log_time = before.log_time().max(header.host_time.millis);
    if header.intent.is_undoable() && matches!(body, Body::Change(_)) {
        let tops = |undo| Tops { undo, redo: None };
        let owner = Arc::clone(&header.author.id);
        header.beneath = Some(Beneath { flow: tops(flow), author: tops(own), owner });
    }
    Ok((header, body))
}

fn decode_parts(bytes: &[u8], before: &impl Before) -> Result<(Header, Body, [Option<Seq>; 2]), String> {
    let seq = before.seq().next().ok_or("there is no sequence number left")?;
    let Some((&ENCODING, rest)) = bytes.split_first() else {
        return Err("its encoding is not known".to_owned());
    };
    let (entry, used): (EntryBytes, usize) =
        bincode::decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
    if used != rest.len() {
        return Err("bytes are left over".to_owned());
    }

    let mut names: Vec<Name> = Vec::new();
    let mut authors: Vec<Arc<Author>> = Vec::new();
    let mut spelt_author = None;
    let intent = *INTENTS.get(usize::from(entry.intent)).ok_or("its intent is not known")?;
    let host_millis = i128::from(before.log_time()) + i128::from(entry.elapsed) - i128::from(entry.behind);
    let host_time = Timestamp {
        millis: i64::try_from(host_millis).map_err(|_| "its time is out of bounds")?,
        zone_minutes: entry.zone,
    };
    let mut header = Header::new(Arc::new(Author::system("")), intent, host_time);
    let mut owner = None;
    for extra in entry.extras.0 {
        match extra {
            Extra::Names(row) => names = row.0.into_iter().map(|text| Name::from(text.0)).collect(),
            Extra::Authors(row) => {
                authors = row.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
            }
            Extra::Author(author) => spelt_author = Some(author.into_author()?),
            Extra::Session(text) => header.session = Some(text.0),
            Extra::Request { address, forwarded_for, agent } => {
                let open = |text: Option<Text>| text.map(|text| text.0);
                header.request = Some(Request {
                    address: open(address),
                    forwarded_for: open(forwarded_for),
                    agent: open(agent),
                });
            }
            Extra::Links(row) => {
                header.links = row.0.into_iter().map(LinkBytes::into_link).collect::<Result<_, _>>()?;
            }
            Extra::Group(text) => header.group = Some(text.0),
            Extra::Message(text) => header.message = text.0,
            Extra::Attributes(row) => {
                header.attributes = row.0.into_iter().map(|(key, value)| (key.0, value.0)).collect();
            }
            Extra::IdempotencyKey(text) => header.idempotency_key = Some(text.0),
            Extra::ExpectedBase(base) => header.expected_base = Some(Seq(base)),
            Extra::Owner { id, flow_redo, own_redo } => owner = Some((id.0, flow_redo, own_redo)),
        }
    }
    let (known_names, known_authors) = before.known();
    let beneath = [forward(seq, entry.flow_beneath)?, forward(seq, entry.own_beneath)?];
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
            flow: Tops { undo: beneath[0], redo: forward(seq, flow_redo)? },
            author: Tops { undo: beneath[1], redo: forward(seq, own_redo)? },
            owner,
        });
    }

    let resolve_name = |bytes: NameBytes| match bytes {
        NameBytes::Spelt(text) => Ok(Name::from(text.0)),
        NameBytes::Numbered(number) => match (number as usize).checked_sub(known_names) {
            Some(new) => names.get(new).cloned(),
            None => before.name(number).cloned(),
        }
        .ok_or("a name is not known"),
    };
    let body = match entry.body {
        BodyBytes::Mark(mark) => Body::Mark(decode_mark(mark)),
        BodyBytes::Change(Row(operations)) if operations.len() > CHANGE_OPERATIONS_MAX => {
            return Err("it has too many operations".to_owned());
        }
        BodyBytes::Change(Row(operations)) => {
            let mut refs = Refs::of(before);
            let mut decoded = Vec::with_capacity(operations.len());
            for operation in operations {
                decoded.push(decode_operation(operation, &mut refs, &resolve_name)?);
            }
            Body::Change(decoded)
        }
    };
    Ok((header, body, beneath))
}

fn decode_operation<B: Before>(
    operation: OperationBytes,
    refs: &mut Refs<'_, B>,
    resolve_name: &impl Fn(NameBytes) -> Result<Name, &'static str>,
) -> Result<Operation, String> {
    let order = |bytes: &Bytes| Order::from_bytes(&bytes.0);
    let parent_of =
        |parent: u32, refs: &Refs<'_, B>| parent.checked_sub(1).map(|slot| refs.id(slot)).transpose();
    Ok(match operation {
        OperationBytes::Add { again, id, kind, parent, order: key, fields } => {
            let mut component = Component::new(ComponentId::from(id.0), resolve_name(kind)?);
            component.parent = parent_of(parent, refs)?;
            component.order = order(&key);
            let mut read = Vec::with_capacity(fields.0.len());
            for (field, value) in fields.0 {
                read.push((resolve_name(field)?, token::from_tokens(value, refs)?));
            }
            component.fields = read.into_iter().collect::<Map>();
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
                        StepBytes::Key(key) => Step::Key(Name::from(key.0)),
                        StepBytes::Index(index) => Step::Index(index),
                    })
                    .collect(),
            },
            edit: match edit {
                EditBytes::Put(value) => Edit::Put(token::from_tokens(value, refs)?),
                EditBytes::Place(at, value) => Edit::Place(at, token::from_tokens(value, refs)?),
                EditBytes::Clear => Edit::Clear,
                EditBytes::Splice(splices) => Edit::Splice(splices.into_splices()),
            },
        },
        OperationBytes::Move { slot, parent, order: key } => {
            Operation::Move { id: refs.id(slot)?, parent: parent_of(parent, refs)?, order: order(&key) }
        }
    })
}

fn decode_mark(mark: MarkBytes) -> Mark {
    match mark {
        MarkBytes::Opened(random) => Mark::Opened { random },
        MarkBytes::Deploy => Mark::Deploy,
        MarkBytes::Running(version) => Mark::Running { version: Seq(version) },
        MarkBytes::Restart => Mark::Restart,
        MarkBytes::Label { name, version } => Mark::Label { name: name.0, version: Seq(version) },
        MarkBytes::Unlabel(name) => Mark::Unlabel { name: name.0 },
        MarkBytes::Pin(version) => Mark::Pin { version: Seq(version) },
        MarkBytes::Unpin(version) => Mark::Unpin { version: Seq(version) },
        MarkBytes::CheckIn { instance, version } => {
            Mark::CheckIn { instance: instance.0, version: Seq(version) }
        }
        MarkBytes::ImportNote(text) => Mark::ImportNote { text: text.0 },
        MarkBytes::Freeze => Mark::Freeze,
        MarkBytes::Custom { name, data } => Mark::Custom { name: name.0, data: data.0 },
    }
}

// ---- What a checkpoint keeps of the state beside the flow ----

#[derive(Encode, Decode)]
struct AsideBytes {
    log_time: i64,
    names: Row<Text>,
    authors: Row<AuthorBytes>,
    flow_tops: (u64, u64),
    author_tops: Row<(Text, u64, u64)>,
    labels: Row<(Text, u64)>,
    pins: Row<u64>,
    running: u64,
    frozen: u64,
    keys: Row<(Text, [u8; 16], [u8; 16])>,
}

impl State {
    /// The bytes of everything in this state but its place in the chain and its flow; for a checkpoint to keep beside
    /// the flow. They are derived data: a later version of this library may write them otherwise.
    ///
    /// # Errors
    /// [`EncodeError`] where they exceed what one entry may hold.
    pub fn aside_to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let seq = |seq: Option<Seq>| seq.unwrap_or_default().0;
        let mut author_tops: Vec<_> = self
            .stacks
            .authors
            .iter()
            .map(|(id, tops)| (Text(Arc::clone(id)), seq(tops.undo), seq(tops.redo)))
            .collect();
        author_tops.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        let aside = AsideBytes {
            log_time: self.log_time,
            names: Row(self.vocabulary.names_from(0).iter().map(|name| Text(name.to_shared())).collect()),
            authors: Row(self
                .vocabulary
                .authors_from(0)
                .iter()
                .map(|a| AuthorBytes::of(a))
                .collect::<Result<_, _>>()?),
            flow_tops: (seq(self.stacks.flow.undo), seq(self.stacks.flow.redo)),
            author_tops: Row(author_tops),
            labels: Row(self
                .marks
                .labels
                .iter()
                .map(|(name, seq)| (Text(Arc::clone(name)), seq.0))
                .collect()),
            pins: Row(self.marks.pins.iter().map(|seq| seq.0).collect()),
            running: seq(self.marks.running),
            frozen: seq(self.marks.frozen),
            keys: Row(self
                .keys
                .iter()
                .map(|keyed| (Text(Arc::clone(&keyed.key)), keyed.id.to_bytes(), keyed.content))
                .collect()),
        };
        bincode::encode_to_vec(&aside, CONFIG)
            .map_err(|_| EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX })
    }

    /// The state at a checkpoint: its place in the chain, its flow, and what [`State::aside_to_bytes`] kept.
    ///
    /// # Errors
    /// Why the bytes are not what was kept.
    pub fn from_aside(
        history: crate::HistoryId,
        seq: Seq,
        chain: crate::Chain,
        flow: Flow,
        aside: &[u8],
    ) -> Result<Self, String> {
        let given = aside.len();
        let (aside, used): (AsideBytes, usize) =
            bincode::decode_from_slice(aside, CONFIG).map_err(|error| error.to_string())?;
        if used != given {
            return Err("bytes are left over".to_owned());
        }
        let some = |seq: u64| (seq > 0).then_some(Seq(seq));
        let mut vocabulary = Vocabulary::default();
        vocabulary.restore(
            aside.names.0.into_iter().map(|text| Name::from(text.0)).collect(),
            aside.authors.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?,
        );
        let tops = |undo: u64, redo: u64| Tops { undo: some(undo), redo: some(redo) };
        let stacks = Stacks {
            flow: tops(aside.flow_tops.0, aside.flow_tops.1),
            authors: aside
                .author_tops
                .0
                .into_iter()
                .map(|(id, undo, redo)| (id.0, tops(undo, redo)))
                .collect(),
        };
        let mut keys = Keys::default();
        for (key, id, content) in aside.keys.0 {
            let id = FlowVersionId::from_bytes(id).ok_or("a key's version ID is none")?;
            keys.add(Keyed { key: key.0, id, content });
        }
        let marks = Marks {
            labels: aside.labels.0.into_iter().map(|(name, seq)| (name.0, Seq(seq))).collect(),
            pins: aside.pins.0.into_iter().map(Seq).collect(),
            running: some(aside.running),
            frozen: some(aside.frozen),
        };
        Ok(State {
            history,
            seq,
            chain,
            log_time: aside.log_time,
            flow,
            vocabulary,
            stacks,
            marks: Arc::new(marks),
            keys,
        })
    }
}

// ---- What a sealed segment keeps of the vocabulary ----

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
    let (extras, _): (Row<Extra>, usize) =
        bincode::decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
    let mut shared = Shared { names: Vec::new(), authors: Vec::new(), spelt: None, owner: None };
    for extra in extras.0 {
        match extra {
            Extra::Names(row) => shared.names = row.0.into_iter().map(|text| Name::from(text.0)).collect(),
            Extra::Authors(row) => {
                shared.authors = row.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
            }
            Extra::Author(author) => shared.spelt = Some(author.into_author()?),
            Extra::Owner { id, flow_redo, own_redo } => shared.owner = Some((id.0, flow_redo, own_redo)),
            _ => {}
        }
    }
    Ok(shared)
}

/// Names and authors, to keep.
pub(crate) fn vocabulary_to_bytes(names: &[Name], authors: &[Arc<Author>]) -> Result<Vec<u8>, EncodeError> {
    let names = Row(names.iter().map(|name| Text(name.to_shared())).collect());
    let authors = Row(authors.iter().map(|author| AuthorBytes::of(author)).collect::<Result<_, _>>()?);
    bincode::encode_to_vec((names, authors), CONFIG)
        .map_err(|_| EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX })
}

/// Names and authors that were kept.
pub(crate) fn vocabulary_from_bytes(bytes: &[u8]) -> Result<(Vec<Name>, Vec<Arc<Author>>), String> {
    let ((names, authors), used): ((Row<Text>, Row<AuthorBytes>), usize) =
        bincode::decode_from_slice(bytes, CONFIG).map_err(|error| error.to_string())?;
    if used != bytes.len() {
        return Err("bytes are left over".to_owned());
    }
    let authors = authors.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?;
    Ok((names.0.into_iter().map(|text| Name::from(text.0)).collect(), authors))
}
