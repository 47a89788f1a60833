//! Which keys a page holds: a range whose length is a power of two and whose place is a multiple of its length.
//!
//! Ranges come from halving, so that the same page covers the same slots in one checkpoint after another, whatever
//! happens to its neighbours, and slots that became empty are merged into wider ranges.

use flow_history_flow::Slot;

/// The keys from `first` on, `2^bits` of them: slots, or hashes of ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) bits: u8,
}

impl Range {
    /// All keys there are.
    pub(crate) const ALL: Self = Self { first: 0, bits: 32 };

    /// Whether it is one that halving leads to.
    pub(crate) fn is_aligned(self) -> bool {
        self.bits <= 32 && u64::from(self.first).is_multiple_of(self.keys())
    }

    /// The number of keys.
    pub(crate) fn keys(self) -> u64 {
        1_u64.checked_shl(u32::from(self.bits)).unwrap_or(0)
    }

    /// The key behind the last.
    pub(crate) fn end(self) -> u64 {
        u64::from(self.first) + self.keys()
    }

    /// Its last key.
    pub(crate) fn last(self) -> u32 {
        u32::try_from(self.end() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn holds(self, key: u32) -> bool {
        self.first <= key && u64::from(key) < self.end()
    }

    /// Its two halves; `None` where it is one key.
    pub(crate) fn halves(self) -> Option<[Self; 2]> {
        let bits = self.bits.checked_sub(1)?;
        let low = Self { first: self.first, bits };
        Some([low, Self { first: u32::try_from(low.end()).ok()?, bits }])
    }

    /// Its slots, where it is a range of slots.
    pub(crate) fn slots(self) -> std::ops::RangeInclusive<Slot> {
        Slot(self.first)..=Slot(self.last())
    }
}

/// Cuts keys into ranges of at most `most` weight each; one key may weigh more. Keys ascend. Returns each range that is
/// not empty with the places of its keys.
///
/// A range that was finer before stays so until it weighs half as much, so that nothing is merged and split in turn.
pub(crate) fn cut(
    keys: &[(u32, usize)],
    most: usize,
    before: &[Range],
) -> Vec<(Range, std::ops::Range<usize>)> {
    let mut ranges = Vec::new();
    let mut pending = vec![(Range::ALL, 0..keys.len())];
    while let Some((range, places)) = pending.pop() {
        let inside = keys.get(places.clone()).unwrap_or_default();
        let weight = inside.iter().fold(0_usize, |sum, (_, weight)| sum.saturating_add(*weight));
        let finer = || {
            let from = before.partition_point(|other| other.first < range.first);
            let candidates =
                before.iter().skip(from).take_while(|other| u64::from(other.first) < range.end());
            candidates.take(2).any(|other| other.bits < range.bits)
        };
        let whole = inside.len() <= 1 || weight <= most / 2 || (weight <= most && !finer());
        match range.halves().filter(|_| !whole) {
            Some([low, high]) => {
                let middle = places.start + inside.partition_point(|(key, _)| *key < high.first);
                pending.push((high, middle..places.end));
                pending.push((low, places.start..middle));
            }
            None if inside.is_empty() => {}
            None => ranges.push((range, places)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::{Range, cut};

    fn check(keys: &[(u32, usize)], most: usize) -> Vec<Range> {
        let ranges = cut(keys, most, &[]);
        let mut next = 0;
        for (range, places) in &ranges {
            assert!(range.is_aligned());
            assert_eq!(places.start, next);
            next = places.end;
            let inside = keys.get(places.clone()).unwrap();
            assert!(inside.iter().all(|(key, _)| range.holds(*key)));
            assert!(inside.len() == 1 || inside.iter().map(|(_, weight)| weight).sum::<usize>() <= most);
        }
        assert_eq!(next, keys.len());
        ranges.into_iter().map(|(range, _)| range).collect()
    }

    #[test]
    fn ranges_hold_all_keys_in_order_and_none_weighs_too_much() {
        assert_eq!(check(&[], 10), []);
        assert_eq!(check(&[(u32::MAX, 99)], 10), [Range::ALL]);
        let dense: Vec<(u32, usize)> = (0..1_000).map(|key| (key, 1)).collect();
        assert_eq!(check(&dense, 100).len(), 16);
        let sparse: Vec<(u32, usize)> = (0..1_000).map(|key| (key * 1_000_003, 1)).collect();
        assert!(check(&sparse, 100).len() < 20);
        check(&[(5, 60), (6, 60), (7, 60)], 100);
    }

    #[test]
    fn a_range_that_was_finer_stays_so_until_it_weighs_half() {
        let keys = |count: u32| (0..count).map(|key| (key, 1)).collect::<Vec<_>>();
        let first = |count, before: &[Range]| cut(&keys(count), 100, before).first().unwrap().0;
        let before: Vec<Range> = cut(&keys(120), 100, &[]).into_iter().map(|(range, _)| range).collect();
        assert_eq!(before, [Range { first: 0, bits: 6 }, Range { first: 64, bits: 6 }]);
        assert_eq!(first(90, &before).bits, 6);
        assert_eq!(first(90, &[]), Range::ALL);
        assert_eq!(first(50, &before), Range::ALL);
    }
}
