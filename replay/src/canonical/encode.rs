//! An entry to its canonical bytes, written where they go: straight into the frame that is gathering.

use bincode::Encode;
use bincode::enc::EncoderImpl;
use bincode::enc::write::Writer;
use flow_history_flow::{Flow, Operation, Slot};

use super::{
    AuthorBytes, BincodeError, BodyBytes, CONFIG, Config, ENCODING, EncodeError, Extra, INTENTS, LinkBytes,
    MarkBytes, Row, few, optional, put, text,
};
use crate::sealed::put_integer;
use crate::{ENTRY_BYTES_MAX, Header, Intent, Mark, Seq, Vocabulary};

/// The end of a buffer, to bincode.
struct End<'b>(&'b mut Vec<u8>);

impl Writer for End<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), BincodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn structure(bytes: &mut Vec<u8>, part: &impl Encode) -> Result<(), EncodeError> {
    let mut encoder = EncoderImpl::<_, Config>::new(End(bytes), CONFIG);
    part.encode(&mut encoder).map_err(|_| EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX })
}

/// How many entries back another lies; 0 for none.
fn back(seq: Seq, other: Option<Seq>) -> u64 {
    other.map_or(0, |other| seq.0.saturating_sub(other.0))
}

/// An entry on its way to bytes, which it adds to a buffer as its parts come. Operations are added one by one, each before
/// it is applied: the slots that it names are those of the flow before it.
///
/// Where a method fails, the buffer is to be cut back to where the entry began.
pub(crate) struct EntryEncoder {
    /// Where the entry begins in the buffer.
    start: usize,
    /// How many extras the header has, without what the vocabulary gained.
    extras: usize,
    /// How many names and authors the vocabulary had before.
    known: (usize, usize),
}

impl EntryEncoder {
    /// Writes the header, and how many operations follow; a mark where there is no number.
    pub(crate) fn begin(
        seq: Seq,
        header: &Header,
        log_time_before: i64,
        operations: Option<usize>,
        vocabulary: &mut Vocabulary,
        bytes: &mut Vec<u8>,
    ) -> Result<Self, EncodeError> {
        let known = vocabulary.lengths();
        let start = bytes.len();
        let mut extras: Vec<Extra<'_>> = Vec::new();
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
            let mut attributes = Vec::with_capacity(header.attributes.len());
            for (key, value) in &header.attributes {
                attributes.push((text("attribute", key)?, text("attribute", value)?));
            }
            extras.push(Extra::Attributes(Row(attributes)));
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
        bytes.push(ENCODING);
        let extras = Row(extras);
        if extras.0.is_empty() {
            bytes.push(0);
        } else {
            structure(bytes, &extras)?;
        }
        put_integer(bytes, ahead(log_time_before));
        put_integer(bytes, ahead(header.host_time.millis));
        put::signed(bytes, header.host_time.zone_minutes.into());
        put_integer(bytes, author.into());
        bytes.push(u8::try_from(intent).unwrap_or_default());
        put_integer(bytes, flow_beneath);
        put_integer(bytes, own_beneath);
        match operations {
            Some(count) => {
                bytes.push(BodyBytes::Change as u8);
                put_integer(bytes, count as u64);
            }
            None => bytes.push(BodyBytes::Mark as u8),
        }
        Ok(Self { start, extras: extras.0.len(), known })
    }

    /// Adds an operation on the component that is found in this slot of the flow before it.
    pub(crate) fn operation(
        &self,
        operation: &Operation,
        at: (&Flow, Option<Slot>),
        vocabulary: &mut Vocabulary,
        bytes: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        put::operation(bytes, operation, at, vocabulary);
        self.check_length(bytes)
    }

    /// Adds the mark.
    pub(crate) fn mark(&self, mark: &Mark, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mark = match mark {
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
            Mark::Pruned { oldest, chain } => MarkBytes::Pruned { oldest: oldest.0, chain: chain.0 },
            Mark::Shredded { secret } => MarkBytes::Shredded(*secret),
            Mark::Succeeded { predecessor, place, version, chain } => MarkBytes::Succeeded {
                predecessor: predecessor.0,
                place: text("place", place)?,
                version: version.0,
                chain: chain.0,
            },
            Mark::Custom { name, data } => MarkBytes::Custom { name: text("mark's name", name)?, data },
        };
        structure(bytes, &mark)
    }

    /// Spells out, among the extras, what the vocabulary gained since the entry was begun.
    pub(crate) fn finish(&self, vocabulary: &Vocabulary, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (names, authors) = (vocabulary.names_from(self.known.0), vocabulary.authors_from(self.known.1));
        if !names.is_empty() || !authors.is_empty() {
            let mut front = Vec::new();
            let new = usize::from(!names.is_empty()) + usize::from(!authors.is_empty());
            structure(&mut front, &((self.extras + new) as u64))?;
            if !names.is_empty() {
                structure(&mut front, &Extra::Names(Row(names.iter().map(|name| &**name).collect())))?;
            }
            if !authors.is_empty() {
                let authors =
                    authors.iter().map(|author| AuthorBytes::of(author)).collect::<Result<_, _>>()?;
                structure(&mut front, &Extra::Authors(Row(authors)))?;
            }
            // The number of extras is at most a dozen, and so one byte behind that of the encoding.
            let place = self.start + 1;
            bytes.splice(place..=place, front);
        }
        self.check_length(bytes)
    }

    /// What was written of the entry.
    pub(crate) fn written<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        bytes.get(self.start..).unwrap_or_default()
    }

    fn check_length(&self, bytes: &[u8]) -> Result<(), EncodeError> {
        match bytes.len() - self.start {
            length if length > ENTRY_BYTES_MAX => Err(EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::canonical::HeadBytes;
    use crate::{Author, Beneath, Timestamp, Tops};

    #[test]
    fn the_head_of_an_entry_is_what_bincode_makes_of_its_structure() {
        let author = Arc::new(Author::user("alice"));
        let seq = Seq(1 << 40);
        let cases =
            [(0, 0, 0, 0, 0), (1_700_000_000_000, 5, -1, 1, 250), (70_000, 300, i16::MIN, 251, 70_000)];
        for (elapsed, behind, zone_minutes, flow_beneath, own_beneath) in cases {
            for intent in INTENTS {
                let mut vocabulary = Vocabulary::default();
                assert_eq!(vocabulary.number_of_author(&author), Some(0));
                let host_time = Timestamp { millis: 1_000 + elapsed - behind, zone_minutes };
                let mut header = Header::new(Arc::clone(&author), intent, host_time);
                header.log_time = 1_000 + elapsed;
                let back = |back: u64| Tops { undo: (back > 0).then(|| Seq(seq.0 - back)), redo: None };
                let is_another_s = matches!(intent, Intent::Undo | Intent::Redo);
                let (flow, own, owner) = (back(flow_beneath), back(own_beneath), Arc::clone(&author.id));
                header.beneath = (!is_another_s).then_some(Beneath { flow, author: own, owner });
                let told = |beneath: u64| if is_another_s { 0 } else { beneath };
                let head = HeadBytes {
                    elapsed: elapsed.cast_unsigned(),
                    behind: behind.cast_unsigned(),
                    zone: zone_minutes,
                    author: 1,
                    intent: u8::try_from(INTENTS.iter().position(|other| *other == intent).unwrap()).unwrap(),
                    flow_beneath: told(flow_beneath),
                    own_beneath: told(own_beneath),
                };
                for operations in [None, Some(1), Some(10_000)] {
                    let mut bytes = Vec::new();
                    EntryEncoder::begin(seq, &header, 1_000, operations, &mut vocabulary, &mut bytes)
                        .unwrap();
                    let mut expected = vec![ENCODING];
                    let extras = Row(Vec::<Extra<'_>>::new());
                    match operations {
                        Some(count) => {
                            structure(&mut expected, &(extras, &head, BodyBytes::Change, count as u64))
                        }
                        None => structure(&mut expected, &(extras, &head, BodyBytes::Mark)),
                    }
                    .unwrap();
                    assert_eq!(bytes, expected, "{intent:?}, {elapsed}");
                }
            }
        }
    }
}
