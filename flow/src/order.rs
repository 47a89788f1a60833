//! Order keys: between any two there is a third.

use std::fmt;
use std::sync::Arc;

/// Where a component stands among the others of its flow: byte strings compared from the left, so that one can move
/// without the rest being renumbered. Components of equal order stand by id; the empty key, the default, comes first.
///
/// The idea is fractional indexing: a key is the digits, in base 256, of a fraction between 0 and 1.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order(Option<Arc<[u8]>>);

impl Order {
    /// The key with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if bytes.is_empty() { Self(None) } else { Self(Some(bytes.into())) }
    }

    /// The bytes of the key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// A key after `low` and before `high`, as short as it can be; `None` stands for either end.
    ///
    /// Where nothing fits, because `low` is not below `high` or `high` is `low` with zeros behind it, the key comes after
    /// `low`.
    #[must_use]
    pub fn between(low: Option<&Order>, high: Option<&Order>) -> Self {
        let low = low.map(Order::as_bytes).unwrap_or_default();
        let high = high.map(Order::as_bytes).filter(|high| low < *high);
        let mut key = Vec::new();
        let mut bounded = high.is_some();
        for at in 0.. {
            let floor = low.get(at).copied().map_or(0, u16::from);
            let ceiling = match high {
                Some(high) if bounded => high.get(at).copied().map_or(256, u16::from),
                _ => 256,
            };
            // A digit strictly between leaves room on both sides and ends the key. The last digit is never zero:
            // nothing fits between a key and the same key with a zero behind it.
            if ceiling > floor + 1 {
                key.push(u8::try_from(floor + (ceiling - floor) / 2).unwrap_or(u8::MAX));
                break;
            }
            key.push(u8::try_from(floor).unwrap_or(u8::MAX));
            bounded = bounded && ceiling == floor;
        }
        Self::from_bytes(&key)
    }

    /// A key after all others, given the last one. Where components come one by one at the end, keys grow by a byte with
    /// every 65,000th of them; taking half of the room that is left would make it every eighth.
    #[must_use]
    pub fn after(&self) -> Self {
        self.step(u8::MAX, |digits| digits.saturating_add(1))
    }

    /// A key before all others, given the first one; as cheap as [`Order::after`].
    #[must_use]
    pub fn before(&self) -> Self {
        self.step(u8::MIN, |digits| digits.saturating_sub(1))
    }

    /// One unit further in the first two bytes that are not the utmost.
    fn step(&self, utmost: u8, further: impl Fn(u16) -> u16) -> Self {
        let bytes = self.as_bytes();
        let spent = bytes.iter().take_while(|byte| **byte == utmost).count();
        let digit = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let [high, low] = further(u16::from_be_bytes([digit(spent), digit(spent + 1)])).to_be_bytes();
        let mut key = vec![utmost; spent];
        key.push(high);
        // No key ends with a zero: nothing would fit right in front of it.
        key.extend((low != 0).then_some(low));
        Self::from_bytes(&key)
    }

    /// `count` keys in ascending order between two others, evenly spread so that all of them are short.
    #[must_use]
    pub fn spread(low: Option<&Order>, high: Option<&Order>, count: usize) -> Vec<Order> {
        let mut keys = vec![Order::default(); count];
        // Halving keeps keys at the logarithm of the count; filling from the left would make them as long as the list.
        let mut pending = vec![(0, count, low.cloned(), high.cloned())];
        while let Some((from, to, low, high)) = pending.pop() {
            if from >= to {
                continue;
            }
            let middle = from + (to - from) / 2;
            let key = Order::between(low.as_ref(), high.as_ref());
            if let Some(place) = keys.get_mut(middle) {
                *place = key.clone();
            }
            pending.push((from, middle, low, Some(key.clone())));
            pending.push((middle + 1, to, Some(key), high));
        }
        keys
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Order;

    #[test]
    fn there_is_always_a_key_between_two_others() {
        let (mut low, mut high) = (Order::between(None, None), Order::default());
        for round in 0..2_000_u32 {
            // Lean to one side for a while, then to the other: the worst case for the length of keys.
            let upper = if high == Order::default() { None } else { Some(&high) };
            let key = Order::between(Some(&low), upper);
            assert!(low < key && upper.is_none_or(|high| key < *high), "{low:?} {key:?} {high:?}");
            if round / 100 % 2 == 0 { low = key } else { high = key }
        }
        assert!(low.as_bytes().len() < 400);
    }

    #[test]
    fn a_spread_ascends_and_stays_short() {
        let keys = Order::spread(None, None, 10_000);
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(keys.iter().all(|key| key.as_bytes().len() <= 3));
    }

    #[test]
    fn keys_at_the_ends_grow_slowly() {
        let (mut last, mut first) = (Order::between(None, None), Order::between(None, None));
        for _ in 0..200_000 {
            let (after, before) = (last.after(), first.before());
            assert!(after > last && before < first);
            (last, first) = (after, before);
        }
        assert!(last.as_bytes().len() < 10 && first.as_bytes().len() < 10);
    }

    #[test]
    fn keys_before_the_first_exist_too() {
        let mut first = Order::between(None, None);
        for _ in 0..100 {
            let before = Order::between(None, Some(&first));
            assert!(before < first && before.as_bytes().last() != Some(&0));
            first = before;
        }
    }
}
