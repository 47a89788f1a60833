//! All segments of a history, in order.

use std::io;
use std::sync::Arc;

use crate::segment::{SegmentBytes, Walked};
use crate::source::read_up_to;
use crate::{
    Chain, Ending, FileName, FrameHeader, HistoryId, IDENTITY_BYTES, Identity, LogError, SEGMENT_BYTES_MAX,
    SEGMENT_HEADER_BYTES, SegmentHeader, SegmentReason, Seq, Source, What,
};

/// The log of a history: which segments there are and where each begins. Their frames are read when they are needed.
#[derive(Clone)]
pub struct Log {
    source: Arc<dyn Source>,
    identity: Identity,
    segments: Vec<SegmentSummary>,
}

/// What is known of a segment without reading its frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentSummary {
    /// What its header says.
    pub header: SegmentHeader,
    /// The length of its file in bytes.
    pub bytes: u64,
}

impl Log {
    /// Reads the identity of the history in a directory and the header of each segment, and checks that the segments
    /// continue one another. Costs one read a segment.
    ///
    /// # Errors
    /// [`LogError::NotAHistory`] where there is none; [`LogError::Unsupported`], [`LogError::Damaged`] and
    /// [`LogError::Io`].
    pub fn open(source: Arc<dyn Source>) -> Result<Self, LogError> {
        let names = source.list().map_err(|error| LogError::io("list the files of", "", 0, error))?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| match FileName::parse(name) {
                Some(FileName::RawSegment(number)) => Some(number),
                _ => None,
            })
            .collect();
        numbers.sort_unstable();
        let identity = match read_identity(&*source)? {
            Some(identity) => identity,
            None if numbers.is_empty() => {
                return Err(LogError::NotAHistory { found: "a directory without the file `history`" });
            }
            // The identity is written last when a history is created and never removed.
            None => return Err(LogError::damaged(&FileName::Identity.to_string(), 0, None, What::Missing)),
        };

        let mut segments: Vec<SegmentSummary> = Vec::new();
        for number in identity.first_segment..=numbers.last().copied().unwrap_or(0).max(identity.last_segment)
        {
            let summary = read_segment_header(&*source, number)?;
            check_continues(&identity, segments.last(), &summary)?;
            segments.push(summary);
        }
        Ok(Self { source, identity, segments })
    }

    /// The name of the history.
    #[must_use]
    pub fn history(&self) -> HistoryId {
        self.identity.history
    }

    /// Which history this is, and how far its log reaches.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[SegmentSummary] {
        &self.segments
    }

    /// Where the bytes come from.
    #[must_use]
    pub fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    /// Walks the frames of the last segment, without decoding their entries, and says how the log ends.
    ///
    /// # Errors
    /// [`LogError::Damaged`] where something vouches for what is not there, and [`LogError::Io`].
    pub fn ending(&self) -> Result<Ending, LogError> {
        let mut walk = self.walk(self.segments.len().saturating_sub(1))?;
        while walk.next_frame()?.is_some() {}
        Ok(walk.ending())
    }

    /// The hash chain after an entry; `None` past the end of the log. Reads one segment and hashes the entries of one
    /// frame, without decoding any.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn chain_at(&self, seq: Seq) -> Result<Option<Chain>, LogError> {
        if seq == Seq::ZERO {
            return Ok(Some(Chain::start(self.history())));
        }
        let mut walk = self.walk(self.segment_of(seq))?;
        let mut chain = walk.segment.header.chain;
        while let Some((frame, payload)) = walk.next_frame()? {
            if frame.last_seq() < seq || frame.entries == 0 {
                chain = frame.chain;
                continue;
            }
            let mut entries = EntryRanges::new(&walk, payload);
            for _ in frame.first_seq.0..=seq.0 {
                let Some(range) = entries.next_range()? else { return Ok(None) };
                chain = chain.after(walk.segment.bytes.get(range).unwrap_or_default());
            }
            return Ok(Some(chain));
        }
        Ok(None)
    }

    /// The newest entry whose log time is not later than this, in milliseconds since 1970; 0 where the first is later.
    /// Also the log time of the first entry, where there is one. Reads one segment.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn seq_at_time(&self, millis: i64) -> Result<Seq, LogError> {
        // A segment's header says the log time before its first entry, which never goes back.
        let begun = self.segments.partition_point(|segment| {
            segment.header.log_time <= millis && segment.header.first_seq > Seq(1)
                || segment.header.first_seq == Seq(1)
        });
        let index = begun.saturating_sub(1);
        let mut walk = self.walk(index)?;
        let mut log_time = walk.segment.header.log_time;
        let mut newest = walk.segment.header.first_seq.previous().unwrap_or_default();
        while let Some((frame, payload)) = walk.next_frame()? {
            let mut entries = EntryRanges::new(&walk, payload);
            for seq in frame.first_seq.0..frame.first_seq.0 + u64::from(frame.entries) {
                let Some(range) = entries.next_range()? else { break };
                let bytes = walk.segment.bytes.get(range.clone()).unwrap_or_default();
                let elapsed = crate::canonical::elapsed_of(bytes).map_err(|why| {
                    LogError::damaged(&walk.file, range.start as u64, Some(Seq(seq)), What::Encoding(why))
                })?;
                log_time = log_time.saturating_add_unsigned(elapsed);
                if log_time > millis {
                    return Ok(newest);
                }
                newest = Seq(seq);
            }
        }
        Ok(newest)
    }

    /// The log time of the first entry; `None` where there is none.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn first_time(&self) -> Result<Option<i64>, LogError> {
        let mut walk = self.walk(0)?;
        while let Some((frame, payload)) = walk.next_frame()? {
            if frame.entries == 0 {
                continue;
            }
            let range = EntryRanges::new(&walk, payload).next_range()?;
            let bytes = range.and_then(|range| walk.segment.bytes.get(range)).unwrap_or_default();
            let elapsed = crate::canonical::elapsed_of(bytes).map_err(|why| {
                LogError::damaged(&walk.file, walk.offset() as u64, Some(Seq(1)), What::Encoding(why))
            })?;
            return Ok(Some(walk.segment.header.log_time.saturating_add_unsigned(elapsed)));
        }
        Ok(None)
    }

    /// The place, in the list of segments, of the one that holds an entry.
    pub(crate) fn segment_of(&self, seq: Seq) -> usize {
        self.segments.partition_point(|segment| segment.header.first_seq <= seq).saturating_sub(1)
    }

    pub(crate) fn walk(&self, index: usize) -> Result<Walk, LogError> {
        let file = |number| FileName::RawSegment(number).to_string();
        let Some(summary) = self.segments.get(index) else {
            return Err(LogError::damaged(&file(self.identity.first_segment), 0, None, What::Missing));
        };
        let name = file(summary.header.number);
        let bytes = read_file(&*self.source, &name, SEGMENT_BYTES_MAX)?
            .ok_or_else(|| LogError::damaged(&name, 0, None, What::Missing))?;
        let header = SegmentHeader::decode(&bytes, summary.header.number)?;
        if header != summary.header {
            return Err(LogError::damaged(&name, 0, None, What::HeaderChecksum));
        }
        Ok(Walk {
            seq: header.first_seq.previous().unwrap_or_default(),
            chain: header.chain,
            segment: SegmentBytes { header, bytes },
            source: Arc::clone(&self.source),
            next: self.segments.get(index + 1).map(|next| next.header.clone()),
            reaches: self.identity.reaches,
            file: name,
            offset: SEGMENT_HEADER_BYTES,
            vouched: summary.header.first_seq.previous().unwrap_or_default(),
            last_kind: None,
            done: false,
        })
    }
}

/// The room that is kept behind every frame, for the one that says that the history was closed.
pub const CLOSING_BYTES: usize = crate::FRAME_HEADER_BYTES + crate::FRAME_ALIGN;

/// The frames of one segment, one after the other, each checked by its checksums and its place.
pub(crate) struct Walk {
    pub(crate) segment: SegmentBytes,
    source: Arc<dyn Source>,
    pub(crate) file: String,
    next: Option<SegmentHeader>,
    reaches: Seq,
    offset: usize,
    seq: Seq,
    chain: Chain,
    vouched: Seq,
    last_kind: Option<crate::FrameKind>,
    done: bool,
}

impl Walk {
    /// The next frame, and where its payload lies in the segment; `None` where the frames end and may end.
    pub(crate) fn next_frame(&mut self) -> Result<Option<(FrameHeader, std::ops::Range<usize>)>, LogError> {
        if self.done {
            return Ok(None);
        }
        let expected = self.seq.next().unwrap_or_default();
        let damaged =
            |file: &str, offset: usize, what| LogError::damaged(file, offset as u64, Some(expected), what);
        // The next segment says where this one ends: what lies behind that was never acknowledged.
        if self.next.as_ref().is_some_and(|next| next.first_seq == expected && next.chain == self.chain) {
            // A frame that only vouches, or closes, may still follow.
            if let Walked::Frame(header, payload) = self.segment.walk(self.offset)
                && header.entries == 0
                && header.first_seq == expected
                && header.chain == self.chain
            {
                return self.accept(header, payload).map(Some);
            }
            self.done = true;
            return Ok(None);
        }
        let (header, payload) = match self.segment.walk(self.offset) {
            Walked::Frame(header, payload) => (header, payload),
            Walked::End(what) => {
                if let Some(next) = &self.next {
                    let what = if next.first_seq > expected { what } else { What::Chain };
                    return Err(damaged(&self.file, self.offset, lost_or(what)));
                }
                // Whoever writes does so into a file that was lengthened before, and keeps room behind; only closing cuts it.
                let left = self.segment.bytes.len().saturating_sub(self.offset);
                let open = self.last_kind != Some(crate::FrameKind::Closed);
                let cut = open && (left < CLOSING_BYTES || what == What::TooShort);
                let lost =
                    expected <= self.reaches || self.segment.vouched_later(self.offset, expected).is_some();
                if (cut || lost) && self.has_changed()? {
                    // Somebody writes it: what was read was half old, half new.
                    return self.next_frame();
                }
                if cut {
                    return Err(damaged(&self.file, self.offset, What::TooShort));
                }
                if lost {
                    return Err(damaged(&self.file, self.offset, lost_or(what)));
                }
                self.done = true;
                return Ok(None);
            }
        };
        self.accept(header, payload).map(Some)
    }

    /// Reads the segment again, and says whether it is another than it was.
    fn has_changed(&mut self) -> Result<bool, LogError> {
        let bytes = read_file(&*self.source, &self.file, SEGMENT_BYTES_MAX)?
            .ok_or_else(|| LogError::damaged(&self.file, 0, None, What::Missing))?;
        let changed = bytes != self.segment.bytes;
        self.segment.bytes = bytes;
        Ok(changed)
    }

    fn accept(
        &mut self,
        header: FrameHeader,
        payload: std::ops::Range<usize>,
    ) -> Result<(FrameHeader, std::ops::Range<usize>), LogError> {
        let expected = self.seq.next().unwrap_or_default();
        let damaged = |what| LogError::damaged(&self.file, self.offset as u64, Some(expected), what);
        if header.first_seq != expected {
            return Err(damaged(What::Sequence));
        }
        if (header.entries == 0 && header.chain != self.chain) || header.synced_seq > self.seq {
            return Err(damaged(What::Chain));
        }
        if self.next.as_ref().is_some_and(|next| header.entries > 0 && header.last_seq() >= next.first_seq) {
            return Err(damaged(What::Sequence));
        }
        self.offset += header.bytes();
        self.seq = header.last_seq();
        self.chain = header.chain;
        self.vouched = self.vouched.max(header.synced_seq);
        self.last_kind = Some(header.kind);
        Ok((header, payload))
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn ending(&self) -> Ending {
        let offset = self.offset.min(self.segment.bytes.len().next_multiple_of(crate::FRAME_ALIGN));
        let first_kind = match self.segment.header.reason {
            SegmentReason::First | SegmentReason::Full | SegmentReason::Recovered => None,
        };
        Ending {
            segment: self.segment.header.number,
            offset: offset as u64,
            seq: self.seq,
            chain: self.chain,
            vouched: self.vouched,
            tail: self.segment.tail(self.offset, self.last_kind.or(first_kind)),
        }
    }
}

/// Where the entries of a payload lie, one after the other.
pub(crate) struct EntryRanges<'w> {
    walk: &'w Walk,
    payload: std::ops::Range<usize>,
}

impl<'w> EntryRanges<'w> {
    pub(crate) fn new(walk: &'w Walk, payload: std::ops::Range<usize>) -> Self {
        Self { walk, payload }
    }

    pub(crate) fn next_range(&mut self) -> Result<Option<std::ops::Range<usize>>, LogError> {
        if self.payload.is_empty() {
            return Ok(None);
        }
        let bytes = self.walk.segment.bytes.get(self.payload.clone()).unwrap_or_default();
        let length = crate::segment::field!(crate::segment::Fields(bytes), u32, 0) as usize;
        let start = self.payload.start + 4;
        if length == 0 || bytes.get(4..4 + length).is_none() {
            let what = What::OutOfBounds("the length of an entry");
            return Err(LogError::damaged(&self.walk.file, self.payload.start as u64, None, what));
        }
        self.payload.start = start + length;
        Ok(Some(start..start + length))
    }
}

/// A place where a frame must be and nothing at all is says less than that it is lost.
fn lost_or(what: What) -> What {
    if what == What::Magic || what == What::TooShort { What::LostFrame } else { what }
}

fn check_continues(
    identity: &Identity,
    before: Option<&SegmentSummary>,
    segment: &SegmentSummary,
) -> Result<(), LogError> {
    let header = &segment.header;
    let damaged = |what| {
        Err(LogError::damaged(
            &FileName::RawSegment(header.number).to_string(),
            0,
            Some(header.first_seq),
            what,
        ))
    };
    if header.history != identity.history {
        return damaged(What::OtherHistory);
    }
    match before {
        None if header.reason != SegmentReason::First => {
            damaged(What::OutOfBounds("why the segment was begun"))
        }
        None if header.first_seq != Seq(1) => damaged(What::Sequence),
        None if header.chain != Chain::start(identity.history) => damaged(What::Chain),
        Some(_) if header.reason == SegmentReason::First => {
            damaged(What::OutOfBounds("why the segment was begun"))
        }
        Some(before) if header.first_seq < before.header.first_seq => damaged(What::Sequence),
        Some(before) if header.salt == before.header.salt => damaged(What::OutOfBounds("the salt")),
        _ => Ok(()),
    }
}

fn read_identity(source: &dyn Source) -> Result<Option<Identity>, LogError> {
    let file = FileName::Identity.to_string();
    let Some(bytes) = read_file(source, &file, 4 * IDENTITY_BYTES as u64)? else { return Ok(None) };
    Identity::decode(&bytes).map(Some)
}

fn read_segment_header(source: &dyn Source, number: u64) -> Result<SegmentSummary, LogError> {
    let file = FileName::RawSegment(number).to_string();
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LogError::damaged(&file, 0, None, What::Missing),
        _ => LogError::io("read", &file, 0, error),
    };
    let bytes = source.len(&file).map_err(io)?;
    if bytes > SEGMENT_BYTES_MAX {
        return Err(LogError::damaged(
            &file,
            SEGMENT_BYTES_MAX,
            None,
            What::OutOfBounds("the length of the file"),
        ));
    }
    let mut header = [0; SEGMENT_HEADER_BYTES];
    let count = read_up_to(source, &file, 0, &mut header).map_err(io)?;
    let header = SegmentHeader::decode(header.get(..count).unwrap_or_default(), number)?;
    Ok(SegmentSummary { header, bytes })
}

/// Reads a whole file of at most so many bytes; `None` where there is none.
fn read_file(source: &dyn Source, file: &str, max: u64) -> Result<Option<Vec<u8>>, LogError> {
    let io = |offset, error| LogError::io("read", file, offset, error);
    let length = match source.len(file) {
        Ok(length) => length,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(0, error)),
    };
    if length > max {
        return Err(LogError::damaged(file, max, None, What::OutOfBounds("the length of the file")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let count = read_up_to(source, file, 0, &mut bytes).map_err(|error| io(0, error))?;
    bytes.truncate(count);
    Ok(Some(bytes))
}
