//! An ordered map of values: the fields of a component, and every map inside them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::{Name, Value};

/// Keys and values in the order in which they were added, which is part of what the map is: Node-RED's revision of a
/// document changes when two keys change places.
///
/// Finding a key walks the entries; fields number a dozen, where a walk beats a hash.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Map(Vec<(Name, Value)>);

impl Map {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// The map of these entries, in their order; `None` where a key comes twice. Quicker than collecting where there are
    /// few, and the entries are not copied.
    #[must_use]
    pub fn of_distinct(entries: Vec<(Name, Value)>) -> Option<Self> {
        are_distinct(&entries).then_some(Self(entries))
    }

    /// As [`Map::of_distinct`], beside a map that very likely has the same keys, as components of a kind do: where it does,
    /// they are not compared with each other.
    #[must_use]
    pub fn of_distinct_like(entries: Vec<(Name, Value)>, like: &Map) -> Option<Self> {
        let is_same = |((key, _), (other, _)): (&(Name, Value), &(Name, Value))| key == other;
        if entries.len() == like.0.len() && entries.iter().zip(&like.0).all(is_same) {
            return Some(Self(entries));
        }
        Self::of_distinct(entries)
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| &**k == key).map(|(_, value)| value)
    }

    /// The value of a key, to change it in place.
    #[must_use]
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(k, _)| &**k == key).map(|(_, value)| value)
    }

    /// As [`Map::get_mut`], for whoever has the key as a name: where both lie in place, no other memory is read.
    pub(crate) fn named_mut(&mut self, key: &Name) -> Option<&mut Value> {
        self.0.iter_mut().find(|(held, _)| held == key).map(|(_, value)| value)
    }

    /// As [`Map::named_mut`], for whoever has an idea where the key stands, which is set right.
    pub(crate) fn named_mut_near(&mut self, key: &Name, place: &mut u8) -> Option<&mut Value> {
        let at = match self.0.get(usize::from(*place)) {
            Some((held, _)) if held == key => usize::from(*place),
            _ => self.0.iter().position(|(held, _)| held == key)?,
        };
        *place = u8::try_from(at).unwrap_or(u8::MAX);
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// The place of a key among the keys.
    #[must_use]
    pub fn position(&self, key: &str) -> Option<usize> {
        self.0.iter().position(|(k, _)| &**k == key)
    }

    /// Gives a key a value: in place where it exists, as the last one otherwise. Returns the value before.
    pub fn put(&mut self, key: impl Into<Name>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        if let Some(held) = self.named_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        self.0.push((key, value));
        None
    }

    /// Puts a key and value at a place among the others, from where it stood if it existed; a place past the end is the
    /// end. Returns where it stood and what it held.
    pub fn place(
        &mut self,
        at: usize,
        key: impl Into<Name>,
        value: impl Into<Value>,
    ) -> Option<(usize, Value)> {
        let key = key.into();
        let before = self.remove(&key);
        self.0.insert(at.min(self.0.len()), (key, value.into()));
        before
    }

    /// Takes a key out. Returns where it stood and what it held.
    pub fn remove(&mut self, key: &str) -> Option<(usize, Value)> {
        let at = self.position(key)?;
        Some((at, self.0.remove(at).1))
    }

    /// The keys, for equal ones to be put in their places.
    pub(crate) fn names_mut(&mut self) -> impl Iterator<Item = &mut Name> {
        self.0.iter_mut().map(|(key, _)| key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Name, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

fn are_distinct(entries: &[(Name, Value)]) -> bool {
    // Up to here, comparing each key with those before it is quicker than a hash table.
    const FEW_KEYS: usize = 24;
    if entries.len() <= FEW_KEYS {
        let behind = |at: usize| entries.iter().skip(at + 1);
        entries.iter().enumerate().all(|(at, (key, _))| behind(at).all(|(other, _)| other != key))
    } else {
        let mut keys = HashSet::with_capacity(entries.len());
        entries.iter().all(|(key, _)| keys.insert(key))
    }
}

/// A key that comes again replaces the value and keeps the first place.
impl<K: Into<Name>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: Vec<(Name, Value)> =
            entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        if are_distinct(&entries) {
            return Self(entries);
        }
        // A map of a hundred thousand keys must not cost their square.
        let mut places = HashMap::new();
        let mut map: Vec<(Name, Value)> = Vec::new();
        for (key, value) in entries {
            let next = map.len();
            let at = *places.entry(key.clone()).or_insert(next);
            match map.get_mut(at) {
                Some(held) => held.1 = value,
                None => map.push((key, value)),
            }
        }
        Self(map)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Map;
    use crate::{Name, Value};

    #[test]
    fn keeps_the_order_of_keys_and_the_last_value_of_each() {
        let map: Map = [("b", 1), ("a", 2), ("b", 3)].into_iter().collect();
        assert_eq!(format!("{map:?}"), r#"{"b": 3, "a": 2}"#);
    }

    #[test]
    fn entries_whose_keys_differ_are_a_map() {
        let entries = |keys: &[u32]| -> Vec<(Name, Value)> {
            keys.iter().map(|key| (key.to_string().into(), (*key).into())).collect()
        };
        for count in [0, 1, 2, 24, 25, 1_000] {
            let keys: Vec<u32> = (0..count).rev().collect();
            let map: Map = keys.iter().map(|key| (key.to_string(), *key)).collect();
            let twice = entries(&[&keys[..], &[0, 0]].concat());
            assert_eq!(Map::of_distinct(entries(&keys)).as_ref(), Some(&map));
            for like in [&map, &Map(entries(&keys)), &Map(twice.clone()), &Map::new()] {
                assert_eq!(Map::of_distinct_like(entries(&keys), like).as_ref(), Some(&map));
                let same_texts = like.0.clone();
                let expected = Map::of_distinct(same_texts.clone());
                if like.0 != twice {
                    assert_eq!(Map::of_distinct_like(same_texts, like), expected);
                }
            }
            assert_eq!(Map::of_distinct_like(twice.clone(), &map), None);
            assert_eq!(Map::of_distinct(twice), None);
        }
    }

    #[test]
    fn a_key_is_found_whatever_place_was_guessed() {
        let mut map: Map = (0..300).map(|key: u32| (key.to_string(), key)).collect();
        for key in ["0", "7", "254", "255", "256", "299", "x"] {
            for guess in [0, 7, 254, 255] {
                let (mut place, name) = (guess, Name::from(key));
                let expected = map.get(key).cloned();
                assert_eq!(map.named_mut_near(&name, &mut place).cloned(), expected);
                if expected.is_some() {
                    assert_eq!(usize::from(place), map.position(key).unwrap().min(255));
                }
                assert_eq!(map.named_mut_near(&name, &mut place).cloned(), expected);
            }
        }
    }

    #[test]
    fn takes_out_and_puts_back_where_it_stood() {
        let mut map: Map = [("a", 1), ("b", 2), ("c", 3)].into_iter().collect();
        let before = map.clone();
        let (at, value) = map.remove("b").unwrap();
        assert_eq!(map.place(at, "b", value), None);
        assert_eq!(map, before);
    }
}
