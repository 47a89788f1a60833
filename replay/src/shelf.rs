//! Where pieces of sealed segments are kept that were read and may be asked for again.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Which piece, of which segment of a log. The same piece of the same file has the same key, whoever opened it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Piece {
    /// The number of the segment.
    pub segment: u64,
    /// The checksum of its footer, which tells it from another that takes its number.
    pub sum: u32,
    /// What kind of piece.
    pub kind: u8,
    /// Which of that kind.
    pub at: u64,
}

/// A piece as it is kept.
pub type Kept = Arc<dyn Any + Send + Sync>;

/// Keeps pieces for whoever asks for the same again. What is given to it may be gone at any time; that costs a read and
/// nothing else.
pub trait Shelf: Send + Sync {
    /// A piece, where it is kept.
    fn get(&self, piece: Piece) -> Option<Kept>;

    /// Keeps a piece that takes about so many bytes.
    fn put(&self, piece: Piece, kept: Kept, bytes: usize);
}

/// Bytes that a log keeps by itself, where it was given no shelf.
const OWN_BYTES: usize = 4 << 20;

/// The shelf of a log that was given none: two generations, of which the old one is dropped when the young one holds half.
#[derive(Default)]
pub(crate) struct OwnShelf(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Piece, (Kept, usize)>,
    young_bytes: usize,
    old: HashMap<Piece, (Kept, usize)>,
}

impl Shelf for OwnShelf {
    fn get(&self, piece: Piece) -> Option<Kept> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, _)) = held.young.get(&piece) {
            return Some(Arc::clone(kept));
        }
        let (kept, bytes) = held.old.remove(&piece)?;
        held.keep(piece, Arc::clone(&kept), bytes);
        Some(kept)
    }

    fn put(&self, piece: Piece, kept: Kept, bytes: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(piece, kept, bytes);
    }
}

impl Generations {
    fn keep(&mut self, piece: Piece, kept: Kept, bytes: usize) {
        if bytes > OWN_BYTES / 2 {
            return;
        }
        self.young_bytes += bytes;
        if let Some((_, replaced)) = self.young.insert(piece, (kept, bytes)) {
            self.young_bytes -= replaced;
        }
        if self.young_bytes > OWN_BYTES / 2 {
            self.young_bytes = 0;
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OWN_BYTES, OwnShelf, Piece, Shelf};
    use std::sync::Arc;

    #[test]
    fn keeps_the_newest_and_no_more_than_its_bytes() {
        let (shelf, piece) = (OwnShelf::default(), |at| Piece { segment: 1, sum: 2, kind: 3, at });
        for at in 0..100_u64 {
            shelf.put(piece(at), Arc::new(at), OWN_BYTES / 16);
            let kept = shelf.get(piece(at)).and_then(|kept| kept.downcast::<u64>().ok());
            assert_eq!(kept.as_deref(), Some(&at));
        }
        let kept = (0..100).filter(|at| shelf.get(piece(*at)).is_some()).count();
        assert!((4..=16).contains(&kept), "{kept}");
        shelf.put(piece(1_000), Arc::new(0), OWN_BYTES);
        assert!(shelf.get(piece(1_000)).is_none(), "larger than all the rest");
    }
}
