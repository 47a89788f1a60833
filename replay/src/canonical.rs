//! An entry to its canonical bytes and back. Only this file and its folder know bincode.
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

mod encode; // an entry to bytes
mod put; //    its most frequent parts, without bincode
mod decode; // and back
mod aside; //  what a checkpoint keeps of the state beside the flow
mod whole; //  a whole state
mod shared; // what an entry says that later ones build on

use std::fmt;
use std::sync::Arc;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError as BincodeError};
use bincode::{BorrowDecode, Decode, Encode};
use flow_history_flow::{NESTING_MAX, Name, Slot, Splice, Splices};

pub(crate) use self::decode::{
    decode_entry, decode_header, decode_if_it_sets, decode_whole_entry, elapsed_of, unknown_encoding,
};
pub(crate) use self::encode::EntryEncoder;
pub(crate) use self::shared::{shared_of, vocabulary_from_bytes, vocabulary_to_bytes};
pub(crate) use self::whole::{state_from_bytes, state_to_bytes};
use crate::{
    Author, AuthorKind, ENTRY_BYTES_MAX, FlowVersionId, HEADER_ITEMS_MAX, HEADER_TEXT_BYTES_MAX, Intent,
    Link, Seq,
};

/// The number of the encoding that new entries are written in.
pub const ENCODING: u8 = 1;

type Config = Configuration<LittleEndian, Varint, Limit<ENTRY_BYTES_MAX>>;
const CONFIG: Config = bincode::config::standard().with_limit::<ENTRY_BYTES_MAX>();

// ---- Rows and names ----

/// Items with their number in front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Row<T>(pub(crate) Vec<T>);

/// A kind or a field name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum NameBytes<'b> {
    Numbered(u32),
    Spelt(&'b str),
}

impl<'b> NameBytes<'b> {
    /// A name by its number, where it has one.
    fn of(name: &'b Name, number: Option<u32>) -> Self {
        number.map_or(NameBytes::Spelt(name), NameBytes::Numbered)
    }
}

impl<T: Encode> Encode for Row<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<'de, C, T: BorrowDecode<'de, C>> BorrowDecode<'de, C> for Row<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        // Every item takes a byte or more, so that a row grows no further than its input.
        let length = u64::decode(decoder)?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::borrow_decode(decoder)?);
        }
        Ok(Row(items))
    }
}

impl Encode for NameBytes<'_> {
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

impl<'de, C> BorrowDecode<'de, C> for NameBytes<'de> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(decoder)?.checked_sub(1) {
            Some(number) => Ok(NameBytes::Numbered(number)),
            None => <&str>::borrow_decode(decoder).map(NameBytes::Spelt),
        }
    }
}

// ---- The structures, in encoding order ----

/// What stands between an entry's extras and its body.
#[derive(Encode, BorrowDecode)]
struct HeadBytes {
    elapsed: u64,
    behind: u64,
    zone: i16,
    author: u32,
    intent: u8,
    flow_beneath: u64,
    own_beneath: u64,
}

#[derive(Encode, BorrowDecode)]
enum Extra<'b> {
    Names(Row<&'b str>),
    Authors(Row<AuthorBytes<'b>>),
    Author(AuthorBytes<'b>),
    Session(&'b str),
    Request {
        address: Option<&'b str>,
        forwarded_for: Option<&'b str>,
        agent: Option<&'b str>,
    },
    Links(Row<LinkBytes>),
    Group(&'b str),
    Message(&'b str),
    Attributes(Row<(&'b str, &'b str)>),
    IdempotencyKey(&'b str),
    ExpectedBase(u64),
    /// Of an undo or a redo: the author whose unit it is, and the tops of the redo stacks beneath it.
    Owner {
        id: &'b str,
        flow_redo: u64,
        own_redo: u64,
    },
}

#[derive(Encode, BorrowDecode)]
struct AuthorBytes<'b> {
    id: &'b str,
    name: &'b str,
    kind: u8,
    on_behalf_of: Option<&'b str>,
}

#[derive(Encode, BorrowDecode)]
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

/// What an entry's body begins with. The row of a change's operations, or the mark, follows: operations are written and
/// read one at a time.
#[derive(Encode, BorrowDecode)]
enum BodyBytes {
    Change,
    Mark,
}

#[derive(Encode, BorrowDecode)]
enum OperationBytes<'b> {
    /// `again` is 1 + the slot to have back, or 0 for the next; `parent` is 1 + its slot, or 0 for none.
    Add {
        again: u32,
        id: &'b str,
        kind: NameBytes<'b>,
        parent: u32,
        order: &'b [u8],
        fields: Row<(NameBytes<'b>, ValueBytes<'b>)>,
    },
    Remove {
        slot: u32,
    },
    Set {
        slot: u32,
        field: NameBytes<'b>,
        steps: Row<StepBytes<'b>>,
        edit: EditBytes<'b>,
    },
    Move {
        slot: u32,
        parent: u32,
        order: &'b [u8],
    },
}

#[derive(Encode, BorrowDecode)]
enum StepBytes<'b> {
    Key(&'b str),
    Index(u32),
}

#[derive(Encode, BorrowDecode)]
enum EditBytes<'b> {
    Put(ValueBytes<'b>),
    Place(u32, ValueBytes<'b>),
    Clear,
    Splice(SplicesBytes<'b>),
}

/// What turns a long text into another: the first 8 bytes of the BLAKE3 of the result, then its pieces, each the bytes
/// that stay since the one before, the bytes that go, and the text that comes.
#[derive(Encode, BorrowDecode)]
struct SplicesBytes<'b> {
    result: [u8; 8],
    pieces: Row<(u32, u32, &'b str)>,
}

impl<'b> SplicesBytes<'b> {
    #[cfg(test)]
    fn of(splices: &'b Splices) -> Self {
        let piece = |piece: &'b Splice| (piece.keep, piece.remove, &*piece.insert);
        Self { result: splices.result, pieces: Row(splices.pieces.iter().map(piece).collect()) }
    }

    fn into_splices(self) -> Splices {
        let piece = |(keep, remove, insert): (u32, u32, &str)| Splice { keep, remove, insert: insert.into() };
        Splices { pieces: self.pieces.0.into_iter().map(piece).collect(), result: self.result }
    }
}

#[derive(Encode, BorrowDecode)]
enum MarkBytes<'b> {
    Opened([u8; 16]),
    Deploy,
    Running(u64),
    Restart,
    Label { name: &'b str, version: u64 },
    Unlabel(&'b str),
    Pin(u64),
    Unpin(u64),
    CheckIn { instance: &'b str, version: u64 },
    ImportNote(&'b str),
    Freeze,
    Custom { name: &'b str, data: &'b [u8] },
    Pruned { oldest: u64, chain: [u8; 32] },
    Shredded([u8; 16]),
    Succeeded { predecessor: [u8; 16], place: &'b str, version: u64, chain: [u8; 32] },
}

/// One token of a value.
#[derive(Encode, BorrowDecode, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token<'b> {
    Null,
    False,
    True,
    Integer(i64),
    Lexeme(&'b str),
    Text(&'b str),
    Bytes(&'b [u8]),
    List(u32),
    Map(u32),
    Key(&'b str),
    /// A reference to a component that exists, by its slot.
    Component(u32),
    /// A reference to a component that does not exist, by its id.
    Nowhere(&'b str),
    Secret {
        id: [u8; 16],
        tag: [u8; 16],
    },
}

/// The tokens of one value; most are a single one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ValueBytes<'b> {
    Flat(Token<'b>),
    Nested(Vec<Token<'b>>),
}

impl Encode for ValueBytes<'_> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), BincodeError> {
        match self {
            ValueBytes::Flat(token) => token.encode(encoder),
            ValueBytes::Nested(tokens) => tokens.iter().try_for_each(|token| token.encode(encoder)),
        }
    }
}

impl<'de, C> BorrowDecode<'de, C> for ValueBytes<'de> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut next = || Token::borrow_decode(decoder);
        ValueBytes::of_tokens(next()?, next, || DecodeError::Other("a value is nested too deep"))
    }
}

impl<'b> ValueBytes<'b> {
    pub(crate) fn tokens(&self) -> &[Token<'b>] {
        match self {
            ValueBytes::Flat(token) => std::slice::from_ref(token),
            ValueBytes::Nested(tokens) => tokens,
        }
    }

    /// The value that begins with a token: what is flat is that alone, a list or map goes on until it is complete.
    pub(crate) fn of_tokens<E>(
        first: Token<'b>,
        mut next: impl FnMut() -> Result<Token<'b>, E>,
        too_deep: impl FnOnce() -> E,
    ) -> Result<Self, E> {
        if !matches!(first, Token::List(_) | Token::Map(_)) {
            return Ok(ValueBytes::Flat(first));
        }
        // How many tokens each open list or map still waits for; a map waits for keys and values.
        let waits_for = |token: &Token<'_>| match token {
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
            let token = next()?;
            open.extend(waits_for(&token));
            if open.len() > NESTING_MAX {
                return Err(too_deep());
            }
            tokens.push(token);
        }
        Ok(ValueBytes::Nested(tokens))
    }
}

// ---- Why something cannot be written ----

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

fn text<'b>(part: &'static str, text: &'b Arc<str>) -> Result<&'b str, EncodeError> {
    match text.len() {
        bytes if bytes > HEADER_TEXT_BYTES_MAX => {
            Err(EncodeError::TextTooLong { part, bytes, max: HEADER_TEXT_BYTES_MAX })
        }
        _ => Ok(text),
    }
}

fn optional<'b>(part: &'static str, value: Option<&'b Arc<str>>) -> Result<Option<&'b str>, EncodeError> {
    value.map(|value| text(part, value)).transpose()
}

fn few<T>(part: &'static str, items: &[T]) -> Result<(), EncodeError> {
    if items.len() > HEADER_ITEMS_MAX {
        Err(EncodeError::TooMany { part, max: HEADER_ITEMS_MAX })
    } else {
        Ok(())
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

impl<'b> AuthorBytes<'b> {
    fn of(author: &'b Author) -> Result<Self, EncodeError> {
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
            0 => Author::user(self.id),
            1 => Author::service(self.id),
            2 => Author::system(self.id),
            3 => Author::operator(self.id),
            _ => return Err("an author is of no known kind".to_owned()),
        };
        if self.name != self.id {
            author.name = self.name.into();
        }
        author.on_behalf_of = self.on_behalf_of.map(Arc::from);
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
