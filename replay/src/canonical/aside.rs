//! What a checkpoint keeps of the state beside the flow.

use std::sync::Arc;

use bincode::{BorrowDecode, Encode};
use flow_history_flow::{Flow, Name};

use super::{AuthorBytes, CONFIG, EncodeError, Row};
use crate::keys::{Keyed, Keys};
use crate::stacks::Tops;
use crate::state::{Marks, State};
use crate::{ENTRY_BYTES_MAX, FlowVersionId, Seq, Stacks, Vocabulary};

#[derive(Encode, BorrowDecode)]
struct AsideBytes<'b> {
    log_time: i64,
    names: Row<&'b str>,
    authors: Row<AuthorBytes<'b>>,
    flow_tops: (u64, u64),
    author_tops: Row<(&'b str, u64, u64)>,
    labels: Row<(&'b str, u64)>,
    pins: Row<u64>,
    running: u64,
    frozen: u64,
    oldest: u64,
    keys: Row<(&'b str, [u8; 16], [u8; 16])>,
}

/// Behind it, where a secret was shredded: which, and the mark that says so, ascending.
type ShreddedBytes = Row<([u8; 16], u64)>;

impl State {
    /// The bytes of everything in this state but its place in the chain and its flow; for a checkpoint to keep beside
    /// the flow. They are derived data: a later version of this library may write them otherwise.
    ///
    /// # Errors
    /// [`EncodeError`] where they exceed what one entry may hold.
    pub fn aside_to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let seq = |seq: Option<Seq>| seq.unwrap_or_default().0;
        let mut author_tops: Vec<_> =
            self.stacks.authors.iter().map(|(id, tops)| (&**id, seq(tops.undo), seq(tops.redo))).collect();
        author_tops.sort_by(|a, b| a.0.cmp(b.0));
        let aside = AsideBytes {
            log_time: self.log_time,
            names: Row(self.vocabulary.names_from(0).iter().map(|name| &**name).collect()),
            authors: Row(self
                .vocabulary
                .authors_from(0)
                .iter()
                .map(|a| AuthorBytes::of(a))
                .collect::<Result<_, _>>()?),
            flow_tops: (seq(self.stacks.flow.undo), seq(self.stacks.flow.redo)),
            author_tops: Row(author_tops),
            labels: Row(self.marks.labels.iter().map(|(name, seq)| (&**name, seq.0)).collect()),
            pins: Row(self.marks.pins.iter().map(|seq| seq.0).collect()),
            running: seq(self.marks.running),
            frozen: seq(self.marks.frozen),
            oldest: seq(self.marks.oldest),
            keys: Row(self
                .keys
                .iter()
                .map(|keyed| (&*keyed.key, keyed.id.to_bytes(), keyed.content))
                .collect()),
        };
        let too_large = |_| EncodeError::EntryTooLarge { max: ENTRY_BYTES_MAX };
        let mut bytes = bincode::encode_to_vec(&aside, CONFIG).map_err(too_large)?;
        if !self.marks.shredded.is_empty() {
            let shredded: ShreddedBytes =
                Row(self.marks.shredded.iter().map(|(secret, mark)| (*secret, mark.0)).collect());
            bytes.extend(bincode::encode_to_vec(&shredded, CONFIG).map_err(too_large)?);
        }
        Ok(bytes)
    }

    /// Of what [`State::aside_to_bytes`] kept the names that have numbers, which is all that folding the flow needs.
    ///
    /// # Errors
    /// As [`State::from_aside`].
    pub fn names_of_aside(aside: &[u8]) -> Result<Vec<Name>, String> {
        let (aside, _): (AsideBytes<'_>, usize) =
            bincode::borrow_decode_from_slice(aside, CONFIG).map_err(|error| error.to_string())?;
        Ok(aside.names.0.into_iter().map(Name::from).collect())
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
        let given = aside;
        let (aside, used): (AsideBytes<'_>, usize) =
            bincode::borrow_decode_from_slice(given, CONFIG).map_err(|error| error.to_string())?;
        let rest = given.get(used..).unwrap_or_default();
        let mut shredded: ShreddedBytes = Row(Vec::new());
        if !rest.is_empty() {
            let used;
            (shredded, used) =
                bincode::borrow_decode_from_slice(rest, CONFIG).map_err(|error| error.to_string())?;
            if used != rest.len() {
                return Err("bytes are left over".to_owned());
            }
        }
        let some = |seq: u64| (seq > 0).then_some(Seq(seq));
        let mut vocabulary = Vocabulary::default();
        vocabulary.restore(
            aside.names.0.into_iter().map(Name::from).collect(),
            aside.authors.0.into_iter().map(AuthorBytes::into_author).collect::<Result<_, _>>()?,
        );
        let tops = |undo: u64, redo: u64| Tops { undo: some(undo), redo: some(redo) };
        let stacks = Stacks {
            flow: tops(aside.flow_tops.0, aside.flow_tops.1),
            authors: aside
                .author_tops
                .0
                .into_iter()
                .map(|(id, undo, redo)| (id.into(), tops(undo, redo)))
                .collect(),
        };
        let mut keys = Keys::default();
        for (key, id, content) in aside.keys.0 {
            let id = FlowVersionId::from_bytes(id).ok_or("a key's version ID is none")?;
            keys.add(Keyed { key: key.into(), id, content });
        }
        let marks = Marks {
            labels: aside.labels.0.into_iter().map(|(name, seq)| (name.into(), Seq(seq))).collect(),
            pins: aside.pins.0.into_iter().map(Seq).collect(),
            running: some(aside.running),
            frozen: some(aside.frozen),
            shredded: shredded.0.into_iter().map(|(secret, mark)| (secret, Seq(mark))).collect(),
            oldest: some(aside.oldest),
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
