//! A persistent array with holes: what stands in each slot.
//!
//! A radix tree over the bits of the slot, 32 ways wide. Slots are dense numbers, so that nothing is hashed, compared or
//! searched: a look is one step for each five bits, and the steps but the last are few enough to stay in a cache.

use std::sync::Arc;

use crate::Slot;

const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

/// What stands in each slot. A clone is O(1) and shares everything; a change copies what it shares on the way to its slot.
#[derive(Clone)]
pub(crate) struct Slots<T> {
    root: Node<T>,
    /// How many steps of branches lie above the leaves.
    height: u32,
    len: usize,
}

#[derive(Clone)]
enum Node<T> {
    Empty,
    Branch(Arc<[Node<T>; WIDTH]>),
    Leaf(Arc<[Option<T>; WIDTH]>),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { root: Node::Empty, height: 0, len: 0 }
    }
}

/// Which way to go so many steps above the leaves.
fn way(slot: u32, height: u32) -> usize {
    (slot >> (height * BITS)) as usize % WIDTH
}

impl<T: Clone> Slots<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn reaches(&self, slot: u32) -> bool {
        (self.height + 1) * BITS >= u32::BITS || slot >> ((self.height + 1) * BITS) == 0
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        if !self.reaches(slot.0) {
            return None;
        }
        let (mut node, mut height) = (&self.root, self.height);
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(leaf) => return leaf.get(way(slot.0, 0))?.as_ref(),
                Node::Branch(branch) => node = branch.get(way(slot.0, height))?,
            }
            height = height.saturating_sub(1);
        }
    }

    /// What stands in a slot, to change it in place.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        if !self.reaches(slot.0) {
            return None;
        }
        let (mut node, mut height) = (&mut self.root, self.height);
        loop {
            match node {
                Node::Empty => return None,
                Node::Leaf(leaf) => return Arc::make_mut(leaf).get_mut(way(slot.0, 0))?.as_mut(),
                Node::Branch(branch) => node = Arc::make_mut(branch).get_mut(way(slot.0, height))?,
            }
            height = height.saturating_sub(1);
        }
    }

    /// Puts something into a slot; gives back what stood there.
    pub(crate) fn insert(&mut self, slot: Slot, item: T) -> Option<T> {
        while !self.reaches(slot.0) {
            let lower = std::mem::replace(&mut self.root, Node::Empty);
            if !matches!(lower, Node::Empty) {
                let mut branch: [Node<T>; WIDTH] = std::array::from_fn(|_| Node::Empty);
                let [first, ..] = &mut branch;
                *first = lower;
                self.root = Node::Branch(Arc::new(branch));
            }
            self.height += 1;
        }
        let (mut node, mut height) = (&mut self.root, self.height);
        let held = loop {
            if matches!(node, Node::Empty) {
                *node = match height {
                    0 => Node::Leaf(Arc::new(std::array::from_fn(|_| None))),
                    _ => Node::Branch(Arc::new(std::array::from_fn(|_| Node::Empty))),
                };
            }
            match node {
                Node::Leaf(leaf) => break Arc::make_mut(leaf).get_mut(way(slot.0, 0))?,
                Node::Branch(branch) => node = Arc::make_mut(branch).get_mut(way(slot.0, height))?,
                Node::Empty => return None,
            }
            height = height.saturating_sub(1);
        };
        let before = held.replace(item);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes out what stands in a slot.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<T> {
        self.get(slot)?;
        let removed = self.root.remove(slot.0, self.height);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// What stands in each slot that holds something, in the order of the slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &T)> {
        self.root.iter(0, self.height)
    }
}

impl<T: Clone> Node<T> {
    /// Takes an item out, and lets go of what then holds nothing.
    fn remove(&mut self, slot: u32, height: u32) -> Option<T> {
        let (removed, is_empty) = match self {
            Node::Empty => return None,
            Node::Leaf(leaf) => {
                let leaf = Arc::make_mut(leaf);
                (leaf.get_mut(way(slot, 0))?.take(), leaf.iter().all(Option::is_none))
            }
            Node::Branch(branch) => {
                let branch = Arc::make_mut(branch);
                let below = branch.get_mut(way(slot, height))?;
                let removed = below.remove(slot, height.saturating_sub(1));
                let is_empty =
                    matches!(below, Node::Empty) && branch.iter().all(|below| matches!(below, Node::Empty));
                (removed, is_empty)
            }
        };
        if is_empty {
            *self = Node::Empty;
        }
        removed
    }

    fn iter(&self, first: u32, height: u32) -> Box<dyn Iterator<Item = (Slot, &T)> + '_> {
        match self {
            Node::Empty => Box::new(std::iter::empty()),
            Node::Leaf(leaf) => {
                Box::new((first..).zip(&**leaf).filter_map(|(slot, item)| Some((Slot(slot), item.as_ref()?))))
            }
            Node::Branch(branch) => Box::new((0_u32..).zip(&**branch).flat_map(move |(way, below)| {
                below.iter(first + (way << (height * BITS)), height.saturating_sub(1))
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Slots;
    use crate::Slot;

    /// The reference is an ordinary map; clones along the way must stay what they were.
    #[test]
    fn is_what_an_ordinary_map_is_and_its_clones_stay() {
        let mut random = 7_u64;
        let mut next = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for spread in [20, 1_000, 70_000, u64::from(u32::MAX)] {
            let (mut slots, mut map) = (Slots::default(), BTreeMap::new());
            let mut clones = Vec::new();
            for round in 0..3_000 {
                let slot = Slot(u32::try_from(next(spread)).unwrap());
                match next(4) {
                    0 => assert_eq!(slots.remove(slot), map.remove(&slot)),
                    1 => {
                        assert_eq!(slots.get_mut(slot).copied(), map.get(&slot).copied());
                        slots.get_mut(slot).into_iter().for_each(|held| *held += 1);
                        map.get_mut(&slot).into_iter().for_each(|held| *held += 1);
                    }
                    _ => assert_eq!(slots.insert(slot, round), map.insert(slot, round)),
                }
                if round % 500 == 0 {
                    clones.push((slots.clone(), map.clone()));
                }
                assert_eq!((slots.len(), slots.get(slot)), (map.len(), map.get(&slot)));
            }
            clones.push((slots, map));
            for (slots, map) in clones {
                let held: Vec<_> = slots.iter().map(|(slot, item)| (slot, *item)).collect();
                assert_eq!(held, map.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
