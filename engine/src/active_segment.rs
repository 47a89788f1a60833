//! The segment that frames are appended to.

use std::io;
use std::sync::Arc;

use flow_history_flow::mistake;
use flow_history_replay::{
    Chain, FRAME_HEADER_BYTES, FileName, FrameKind, Identity, SEGMENT_HEADER_BYTES, SegmentHeader,
    SegmentReason, Seq, encode_frame, frame_bytes,
};

use crate::Clock;
use crate::storage::{Failed, Storage, create_anew, replace_file, write_all};
use crate::tuning::Tuning;

/// The end of the log, where frames go. Whoever holds it is alone in writing.
pub(crate) struct ActiveSegment {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    tuning: Tuning,
    identity: Identity,
    /// What the header of the current segment says; `None` where the next frame begins a new segment.
    current: Option<Current>,
    next_number: u64,
    prepared: Prepared,
    next_pool: u64,
    /// Bytes in all segments but the current one.
    bytes_before: u64,
    /// Whether a segment became full since this was asked last.
    filled: bool,
}

struct Current {
    header: SegmentHeader,
    file: String,
    offset: u64,
    /// The bytes of the file that were written, with zeros at first, so that a frame changes no length.
    written_to: u64,
    /// The bytes at which it is full.
    capacity: u64,
}

/// Whether a file of zeros is ready to become the next segment.
enum Prepared {
    No,
    UnderWay,
    /// The file, and its length.
    Yes(FileName, u64),
}

/// Where a segment begins in the history.
pub(crate) struct Beginning {
    pub(crate) reason: SegmentReason,
    pub(crate) seq: Seq,
    pub(crate) chain: Chain,
    pub(crate) log_time: i64,
}

/// No segment is smaller, whatever the tuning: header, a little, and the room for closing.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 1 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// The room that every segment keeps for the frame that says it was closed.
const CLOSING_BYTES: u64 = flow_history_replay::CLOSING_BYTES as u64;

impl ActiveSegment {
    /// A log that has no segment yet, or whose last one is left alone.
    pub(crate) fn after(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        tuning: Tuning,
        identity: Identity,
        (next_number, next_pool): (u64, u64),
        bytes_before: u64,
    ) -> Self {
        Self {
            storage,
            clock,
            tuning,
            identity,
            current: None,
            next_number,
            prepared: Prepared::No,
            next_pool,
            bytes_before,
            filled: false,
        }
    }

    /// The same log, going on in its last segment.
    pub(crate) fn resume(mut self, header: SegmentHeader, offset: u64, file_bytes: u64) -> Self {
        let file = FileName::RawSegment(header.number).to_string();
        self.next_number = header.number + 1;
        let capacity = self.capacity().max(file_bytes);
        self.current = Some(Current { header, file, offset, written_to: file_bytes, capacity });
        self
    }

    /// Bytes of the log that hold something.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.bytes_before + self.current.as_ref().map_or(0, |current| current.offset)
    }

    /// Writes one frame, and returns when it is durable.
    pub(crate) fn append(
        &mut self,
        (kind, entries, first_seq): (FrameKind, u32, Seq),
        frame: &mut Vec<u8>,
        synced_seq: Seq,
        chain: &Chain,
        before: impl FnOnce() -> Beginning,
        sync: bool,
    ) -> Result<(), Failed> {
        let bytes = frame_bytes(frame.len().saturating_sub(FRAME_HEADER_BYTES)) as u64;
        let closing = kind == FrameKind::Closed;
        let room = |current: &Current| if closing { u64::MAX } else { current.capacity };
        if kind == FrameKind::Vouch {
            // It is worth a write into space that is there, and nothing more.
            let fits = |current: &Current| current.offset + bytes + CLOSING_BYTES <= current.written_to;
            if !self.current.as_ref().is_some_and(fits) {
                return Ok(());
            }
        } else if self
            .current
            .as_ref()
            .is_none_or(|current| current.offset + bytes + CLOSING_BYTES > room(current))
        {
            self.begin_segment(&before(), bytes)?;
        }
        let Some(current) = &mut self.current else {
            return Err(Failed::write("write", "", 0)(io::Error::other("there is no segment")));
        };
        encode_frame(frame, (kind, entries, first_seq), synced_seq, chain, &current.header, current.offset);
        if current.offset + bytes + CLOSING_BYTES > current.written_to && !closing {
            // A history that was closed has its last segment cut to what it holds; it is filled up again once.
            let upto = current.capacity.max(current.offset + bytes);
            fill(&*self.storage, &current.file, current.written_to, upto)?;
            current.written_to = upto;
        }
        if let Err(source) = write_all(&*self.storage, &current.file, current.offset, frame) {
            let failed = Failed::write("write", &current.file, current.offset)(source);
            // What a failed write left behind is wiped, so that no part of it is ever taken for a frame. Where even that
            // fails the segment is left alone, and the next frame begins another that says where this one ends.
            if write_all(&*self.storage, &current.file, current.offset, &vec![0; frame.len()]).is_err() {
                self.leave_segment();
            }
            return Err(failed);
        }
        if sync && !mistake::is_made("a frame is not synced") {
            self.storage.sync(&current.file).map_err(Failed::sync(&current.file))?;
        }
        current.offset += bytes;
        current.written_to = current.written_to.max(current.offset);
        Ok(())
    }

    fn leave_segment(&mut self) {
        if let Some(current) = self.current.take() {
            self.bytes_before += current.offset;
        }
    }

    /// The bytes of the next segment: a small history keeps little ready, a large one seldom begins another.
    fn capacity(&self) -> u64 {
        let (first, max) = (self.tuning.segment_bytes_first.max(1), self.tuning.segment_bytes_max);
        let doublings = 1 + self.bytes_before.saturating_mul(2) / first;
        let bytes = first.saturating_mul(doublings.next_power_of_two() / 2).clamp(first.min(max), max);
        bytes.clamp(SEGMENT_BYTES_MIN, flow_history_replay::SEGMENT_BYTES_MAX / 2)
    }

    /// Says in the identity that the log begins with this segment.
    pub(crate) fn begin_log_with(&mut self, number: u64) -> Result<(), Failed> {
        let identity = Identity { first_segment: number, ..self.identity.clone() };
        replace_file(&*self.storage, &FileName::Identity.to_string(), &identity.encode())?;
        self.identity = identity;
        Ok(())
    }

    /// Notes that a segment before the current one takes fewer bytes now.
    pub(crate) fn sealed(&mut self, raw_bytes: u64, sealed_bytes: u64) {
        self.bytes_before = self.bytes_before.saturating_sub(raw_bytes).saturating_add(sealed_bytes);
    }

    /// Whether a segment became full since this was asked last, and waits to be sealed.
    pub(crate) fn take_filled(&mut self) -> bool {
        std::mem::take(&mut self.filled)
    }

    /// Whether the current segment is more than half full and nothing is ready to follow it.
    pub(crate) fn wants_prepared(&self) -> bool {
        matches!(self.prepared, Prepared::No)
            && self.current.as_ref().is_some_and(|current| current.offset > current.capacity / 2)
    }

    /// The file that should be made ready to follow, and its length.
    pub(crate) fn next_to_prepare(&mut self) -> (FileName, u64) {
        self.prepared = Prepared::UnderWay;
        (self.pool_file(), self.capacity_after())
    }

    /// Takes a file of zeros that was made ready, or notes that it could not be.
    pub(crate) fn prepared(&mut self, made: Option<(FileName, u64)>) {
        self.prepared = made.map_or(Prepared::No, |(file, bytes)| Prepared::Yes(file, bytes));
    }

    /// The bytes of the segment after the current one, once that is full.
    fn capacity_after(&self) -> u64 {
        let full = self.current.as_ref().map_or(0, |current| current.capacity);
        let doubled = full.saturating_mul(2).min(self.tuning.segment_bytes_max);
        self.capacity().max(doubled).clamp(SEGMENT_BYTES_MIN, flow_history_replay::SEGMENT_BYTES_MAX / 2)
    }

    fn pool_file(&mut self) -> FileName {
        self.next_pool += 1;
        FileName::PoolSegment(self.next_pool - 1)
    }

    fn begin_segment(&mut self, beginning: &Beginning, frame_bytes: u64) -> Result<(), Failed> {
        let number = self.next_number;
        let header = SegmentHeader {
            history: self.identity.history,
            number,
            reason: beginning.reason,
            first_seq: beginning.seq,
            chain: beginning.chain,
            salt: self.clock.random(),
            log_time: beginning.log_time,
        };
        let file = FileName::RawSegment(number).to_string();
        // An entry that is larger than a segment gets one of its own size.
        let needed = SEGMENT_HEADER_BYTES as u64 + frame_bytes + CLOSING_BYTES;
        let capacity = self.capacity_after().max(needed);
        let (pool, bytes) = match std::mem::replace(&mut self.prepared, Prepared::No) {
            Prepared::Yes(pool, bytes) if bytes >= capacity => (pool, bytes),
            other => {
                let pool = match other {
                    Prepared::Yes(pool, _) => pool,
                    Prepared::UnderWay => {
                        self.prepared = Prepared::UnderWay;
                        self.pool_file()
                    }
                    Prepared::No => self.pool_file(),
                };
                fill_new(&*self.storage, pool, capacity)?;
                (pool, capacity)
            }
        };
        let pool = pool.to_string();
        // ORDER: the header is durable before the name says that this is a segment, so that a segment with a bad header
        // is always damage; the name is durable before the identity says that the log reaches this far, and both before
        // the first frame is acknowledged, so that a log that lost its last file is known to be damaged.
        write_all(&*self.storage, &pool, 0, &header.encode()).map_err(Failed::write("write", &pool, 0))?;
        if !mistake::is_made("a segment is named before its header is synced") {
            self.storage.sync(&pool).map_err(Failed::sync(&pool))?;
        }
        // From here on there may be a segment of this number, which says that the one before ends here. Should anything
        // fail, nothing is appended to that one any more: the next try puts another segment in this one's place.
        self.filled |= self.current.is_some();
        self.leave_segment();
        self.storage.rename(&pool, &file).map_err(Failed::write("rename", &pool, 0))?;
        self.storage.sync_directory().map_err(Failed::sync(""))?;
        let reaches = beginning.seq.previous().unwrap_or_default();
        let identity = Identity { last_segment: number, reaches, ..self.identity.clone() };
        replace_file(&*self.storage, &FileName::Identity.to_string(), &identity.encode())?;
        self.identity = identity;
        self.next_number = number + 1;
        let offset = SEGMENT_HEADER_BYTES as u64;
        self.current = Some(Current { header, file, offset, written_to: bytes, capacity: bytes });
        Ok(())
    }

    /// Cuts the current segment to what it holds, and says in the identity how far a log that was closed reaches.
    pub(crate) fn close(&mut self, reaches: Seq) -> Result<(), Failed> {
        let identity = Identity { reaches, ..self.identity.clone() };
        replace_file(&*self.storage, &FileName::Identity.to_string(), &identity.encode())?;
        self.identity = identity;
        if let Prepared::Yes(pool, _) = std::mem::replace(&mut self.prepared, Prepared::No) {
            // A file of zeros that is left behind is nobody's loss; the next writer removes it.
            let _ = self.storage.remove(&pool.to_string());
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        if current.written_to > current.offset {
            let file = current.file.clone();
            self.storage.set_len(&file, current.offset).map_err(Failed::write(
                "cut",
                &file,
                current.offset,
            ))?;
            self.storage.sync(&file).map_err(Failed::sync(&file))?;
            current.written_to = current.offset;
        }
        Ok(())
    }
}

/// Makes a file of zeros, written rather than only reserved: the first write into reserved space costs the file system
/// a transaction of its own, and with it every durable append a second flush.
pub(crate) fn fill_new(storage: &dyn Storage, file: FileName, bytes: u64) -> Result<(), Failed> {
    let file = file.to_string();
    create_anew(storage, &file)?;
    let filled = fill(storage, &file, 0, bytes);
    if filled.is_err() {
        let _ = storage.remove(&file);
    }
    filled
}

fn fill(storage: &dyn Storage, file: &str, from: u64, to: u64) -> Result<(), Failed> {
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        write_all(storage, file, at, ZEROS.get(..count).unwrap_or_default())
            .map_err(Failed::write("fill", file, at))?;
        at += count as u64;
    }
    storage.sync(file).map_err(Failed::sync(file))
}
