//! Folding, entry by entry.

use std::ops::Range;

use crate::canonical::unknown_encoding;
use crate::log::Walk;
use crate::segment::{Fields, field};
use crate::{ENCODING, Ending, Entry, FrameHeader, Log, LogError, Pushed, Seq, State, What};

/// A walk along a log that folds every entry into a [`State`]. Each entry is checked before it is believed: checksums,
/// chain, encoding, and whether it fits the flow.
///
/// After an error it stays where it is and gives the same error again.
pub struct Replay {
    log: Log,
    state: State,
    segment: usize,
    walk: Option<Walk>,
    frame: Option<(FrameHeader, Range<usize>)>,
    scratch: Vec<u8>,
    failed: bool,
    decoded: u64,
}

impl Replay {
    /// From version 0; of a pruned log from the oldest version that is kept, as soon as the first entry is asked for.
    #[must_use]
    pub fn from_the_start(log: &Log) -> Self {
        Self::from_state(log, State::start(log.history()))
    }

    /// From a state at some version, a checkpoint's for instance. Entries up to there are skipped, not decoded.
    #[must_use]
    pub fn from_state(log: &Log, state: State) -> Self {
        let segment = log.segment_of(state.seq.next().unwrap_or(state.seq));
        Self {
            log: log.clone(),
            state,
            segment,
            walk: None,
            frame: None,
            scratch: Vec::new(),
            failed: false,
            decoded: 0,
        }
    }

    /// The log that it walks along.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The state after the last entry.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state after the last entry, to keep.
    #[must_use]
    pub fn into_state(self) -> State {
        self.state
    }

    /// How many entries were decoded so far.
    #[must_use]
    pub fn entries_decoded(&self) -> u64 {
        self.decoded
    }

    /// Folds the next entry and returns it; `None` at the end of the log.
    ///
    /// # Errors
    /// [`LogError`]; the state stays at the last entry before it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, LogError> {
        Ok(self.fold(false)?.map(|(entry, _)| entry))
    }

    /// Folds the next entry and returns it with its inverse; `None` at the end of the log.
    ///
    /// # Errors
    /// As [`Replay::next_entry`].
    pub fn step(&mut self) -> Result<Option<(Entry, Pushed)>, LogError> {
        self.fold(true)
    }

    /// Folds the next entry; with its inverse where that is to be kept.
    fn fold(&mut self, keep: bool) -> Result<Option<(Entry, Pushed)>, LogError> {
        if self.failed {
            // The walk stands where it failed; walking on from there finds the same.
            self.walk = None;
            self.frame = None;
        }
        if self.state.seq < self.log.oldest() {
            // What was pruned is told by the state that the log begins with.
            self.state = self.log.start()?;
        }
        let result = self.try_step(keep);
        self.failed = result.is_err();
        result
    }

    /// Folds entries up to and with this one, or to the end of the log.
    ///
    /// # Errors
    /// As [`Replay::next_entry`].
    pub fn run_to(&mut self, seq: Seq) -> Result<(), LogError> {
        while self.state.seq < seq && self.fold(false)?.is_some() {}
        Ok(())
    }

    /// How the log ends; known once every entry has been folded.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.walk.as_ref().filter(|_| self.frame.is_none()).map(Walk::ending)
    }

    fn try_step(&mut self, keep: bool) -> Result<Option<(Entry, Pushed)>, LogError> {
        loop {
            if let Some((frame, payload)) = self.frame.take() {
                if payload.is_empty() {
                    self.check_frame_end(&frame)?;
                } else {
                    return self.entry_of(frame, payload, keep).map(Some);
                }
            }
            let walk = match &mut self.walk {
                Some(walk) => walk,
                none => none.insert(
                    self.log.walk_from(self.segment, self.state.seq.next().unwrap_or(self.state.seq))?,
                ),
            };
            match walk.next_frame()? {
                // What the state holds already is skipped: whole frames by their header.
                Some((frame, _)) if frame.last_seq() < self.state.seq => {}
                // Inside of a frame nothing but its place says that an entry follows the state.
                Some((frame, _)) if self.state.seq.next().is_some_and(|next| frame.first_seq > next) => {
                    let offset = walk.offset();
                    return Err(self.damaged(offset, What::Sequence));
                }
                Some((frame, payload)) => self.frame = self.skip_known(frame, payload)?,
                None if self.segment + 1 < self.log.segments().len() => {
                    self.segment += 1;
                    self.walk = None;
                }
                None => {
                    let ending = walk.ending();
                    if ending.seq < self.state.seq {
                        let (file, offset) = (walk.file.clone(), walk.offset() as u64);
                        return Err(LogError::damaged(
                            &file,
                            offset,
                            Some(self.state.seq),
                            What::LogIsShorter,
                        ));
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// Skips the entries of a frame that the state holds already.
    fn skip_known(
        &self,
        frame: FrameHeader,
        mut payload: Range<usize>,
    ) -> Result<Option<(FrameHeader, Range<usize>)>, LogError> {
        for _ in frame.first_seq.0..=self.state.seq.0 {
            if frame.entries == 0 {
                break;
            }
            payload.start = self.entry_range(&payload)?.end;
        }
        Ok(Some((frame, payload)))
    }

    /// Where the first entry of what is left of a payload lies.
    fn entry_range(&self, payload: &Range<usize>) -> Result<Range<usize>, LogError> {
        let bytes =
            self.walk.as_ref().and_then(|walk| walk.segment.bytes.get(payload.clone())).unwrap_or_default();
        let length = field!(Fields(bytes), u32, 0) as usize;
        match bytes.get(4..4 + length) {
            Some(_) if length > 0 => Ok(payload.start + 4..payload.start + 4 + length),
            _ => Err(self.damaged(payload.start, What::OutOfBounds("the length of an entry"))),
        }
    }

    fn entry_of(
        &mut self,
        frame: FrameHeader,
        payload: Range<usize>,
        keep: bool,
    ) -> Result<(Entry, Pushed), LogError> {
        let range = self.entry_range(&payload)?;
        let bytes =
            self.walk.as_ref().and_then(|walk| walk.segment.bytes.get(range.clone())).unwrap_or_default();
        if let Some(found) = unknown_encoding(bytes) {
            let file = self.walk.as_ref().map(|walk| walk.file.clone()).unwrap_or_default();
            return Err(LogError::Unsupported { file, found: found.into(), max: ENCODING.into() });
        }
        self.decoded += 1;
        let rest = range.end..payload.end;
        // The last entry of a frame is taken back where the frame's chain says that it is not the one.
        let pushed = self.state.push_bytes(bytes, keep || rest.is_empty(), &mut self.scratch);
        let (entry, pushed) = pushed.map_err(|what| self.damaged(range.start, what))?;
        if rest.is_empty()
            && let Err(error) = self.check_frame_end(&frame)
        {
            // The chain of the frame is what makes its entries believed.
            self.state.take_back(pushed);
            return Err(error);
        }
        if !rest.is_empty() {
            self.frame = Some((frame, rest));
        }
        Ok((entry, pushed))
    }

    fn check_frame_end(&self, frame: &FrameHeader) -> Result<(), LogError> {
        let offset = self.walk.as_ref().map(Walk::offset).unwrap_or_default();
        if frame.last_seq() != self.state.seq {
            return Err(self.damaged(offset, What::Sequence));
        }
        if frame.chain != self.state.chain {
            return Err(self.damaged(offset, What::Chain));
        }
        Ok(())
    }

    fn damaged(&self, offset: usize, what: What) -> LogError {
        let file = self.walk.as_ref().map(|walk| walk.file.as_str()).unwrap_or_default();
        let offset = self.walk.as_ref().map_or(0, |walk| walk.place(offset));
        LogError::damaged(file, offset, self.state.seq.next(), what)
    }
}
