//! How far the files of a log reach up to an entry: what a copy of it takes.

use crate::{Log, LogError, Seq};

/// The last file that holds entries up to some version, and how much of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Extent {
    /// The number of the segment.
    pub segment: u64,
    /// The bytes of it, from its beginning; of a sealed one all.
    pub bytes: u64,
}

impl Log {
    /// What holds everything up to an entry that ends a group; the rest of its group comes along where it does not.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn extent(&self, seq: Seq) -> Result<Extent, LogError> {
        let index = self.segment_of(seq);
        let mut walk = self.walk(index)?;
        let segment = walk.segment.header.number;
        if let Some(sealed) = self.segments().get(index).filter(|summary| summary.sealed.is_some()) {
            return Ok(Extent { segment, bytes: sealed.bytes });
        }
        let mut bytes = walk.offset() as u64;
        while let Some((frame, _)) = walk.next_frame()? {
            if frame.first_seq > seq {
                break;
            }
            bytes = walk.offset() as u64;
            if frame.last_seq() >= seq && frame.entries > 0 {
                break;
            }
        }
        Ok(Extent { segment, bytes })
    }
}
