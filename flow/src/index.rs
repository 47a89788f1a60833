//! A persistent index: from the hash of an id to the slot of its component.
//!
//! A radix tree over the low bits of the hash, whose leaves are rows of a tag, the high bits of the hash, and a slot: eight bytes
//! for each component, where a map that holds its keys takes 24 and the key's text besides. Tags ascend in a leaf and are spread
//! evenly, so that a tag says about where it stands: of a leaf one cache line is looked at, or two. Whoever looks says
//! which slot is the one: the component is at hand there, and is needed next anyway.

use std::sync::Arc;

use crate::Slot;

const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;
/// A leaf near the root that grows beyond this becomes a branch: four cache lines at most are scanned.
const LEAF_MAX: usize = 32;
/// Below so many branches the next one would no longer lie in a near cache, and leaves grow to 1 KiB instead.
const HEIGHT_OF_LONG: u32 = 2;
const LONG_LEAF_MAX: usize = 128;
/// So many places of a leaf fill a cache line.
const A_FEW: usize = 8;
/// Below so many branches there are leaves, however long: the bits that ways are taken from are used up.
const HEIGHT_MAX: u32 = 6;

/// Slots by the hash of something. A clone is O(1) and shares everything.
#[derive(Clone, Default)]
pub(crate) struct Index {
    root: Tree,
}

#[derive(Clone, Default)]
enum Tree {
    #[default]
    Empty,
    Branch(Arc<[Tree; WIDTH]>),
    /// INVARIANT: tags ascend.
    Leaf(Arc<[Tagged]>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Tagged {
    /// The high half of the hash.
    tag: u32,
    /// The low half, that says the way, is not kept: the slot's component has it again.
    slot: Slot,
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn way(hash: u64, depth: u32) -> usize {
    (hash >> (depth * BITS)) as usize % WIDTH
}

/// The most entries of a leaf below so many branches.
fn leaf_max(depth: u32) -> usize {
    match depth {
        0..HEIGHT_OF_LONG => LEAF_MAX,
        HEIGHT_OF_LONG..HEIGHT_MAX => LONG_LEAF_MAX,
        _ => usize::MAX,
    }
}

/// The entries of a leaf with this tag, one behind the other.
fn alike(leaf: &[Tagged], tag: u32) -> impl Iterator<Item = &Tagged> {
    let mut at = 0;
    if leaf.len() > LEAF_MAX {
        // As much of the leaf lies before it as of all tags there are, give or take a few.
        let guess = (u64::from(tag) * leaf.len() as u64) >> u32::BITS;
        at = usize::try_from(guess).unwrap_or_default().saturating_sub(A_FEW);
        while at > 0 && leaf.get(at).is_some_and(|tagged| tagged.tag >= tag) {
            at = at.saturating_sub(A_FEW);
        }
    }
    let from = leaf.get(at..).unwrap_or_default().iter();
    from.skip_while(move |tagged| tagged.tag < tag).take_while(move |tagged| tagged.tag == tag)
}

impl Index {
    /// The index of many at once. Also gives the slots that have a hash in common, each such group ascending.
    pub(crate) fn of(mut slots: Vec<(u64, Slot)>) -> (Self, Vec<Vec<Slot>>) {
        // By the ways from the root on, and then by the rest: what goes to one leaf stands together.
        slots.sort_unstable_by_key(|(hash, slot)| (hash.reverse_bits(), *slot));
        let alike = slots.chunk_by(|(one, _), (other, _)| one == other).filter(|group| group.len() > 1);
        let alike = alike.map(|group| group.iter().map(|(_, slot)| *slot).collect()).collect();
        (Self { root: built(&slots, 0) }, alike)
    }

    /// The slot with this hash that is the one.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(Slot) -> bool) -> Option<Slot> {
        let (mut tree, mut depth) = (&self.root, 0);
        loop {
            match tree {
                Tree::Empty => return None,
                Tree::Branch(branch) => tree = branch.get(way(hash, depth))?,
                Tree::Leaf(leaf) => {
                    return alike(leaf, tag(hash)).map(|tagged| tagged.slot).find(|slot| is_it(*slot));
                }
            }
            depth += 1;
        }
    }

    /// Adds a slot; `hash_of` gives the hash of a slot that was added before.
    pub(crate) fn insert(&mut self, hash: u64, slot: Slot, hash_of: impl Fn(Slot) -> u64) {
        let (mut tree, mut depth) = (&mut self.root, 0);
        let new = Tagged { tag: tag(hash), slot };
        loop {
            if let Tree::Leaf(leaf) = tree
                && leaf.len() >= leaf_max(depth)
            {
                *tree = split(leaf, depth, &hash_of);
            }
            match tree {
                Tree::Empty => {
                    *tree = Tree::Leaf(Arc::new([new]));
                    return;
                }
                Tree::Leaf(leaf) => {
                    let place = leaf.partition_point(|tagged| tagged.tag < new.tag);
                    let (before, behind) = leaf.split_at(place);
                    *leaf = before.iter().copied().chain([new]).chain(behind.iter().copied()).collect();
                    return;
                }
                Tree::Branch(branch) => match Arc::make_mut(branch).get_mut(way(hash, depth)) {
                    Some(below) => tree = below,
                    None => return,
                },
            }
            depth += 1;
        }
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: Slot) {
        let (mut tree, mut depth) = (&mut self.root, 0);
        loop {
            match tree {
                Tree::Empty => return,
                Tree::Leaf(leaf) => {
                    let rest: Arc<[Tagged]> =
                        leaf.iter().copied().filter(|tagged| tagged.slot != slot).collect();
                    *tree = if rest.is_empty() { Tree::Empty } else { Tree::Leaf(rest) };
                    return;
                }
                Tree::Branch(branch) => match Arc::make_mut(branch).get_mut(way(hash, depth)) {
                    Some(below) => tree = below,
                    None => return,
                },
            }
            depth += 1;
        }
    }
}

fn built(slots: &[(u64, Slot)], depth: u32) -> Tree {
    if slots.is_empty() {
        return Tree::Empty;
    }
    if slots.len() <= leaf_max(depth) {
        let mut leaf: Arc<[Tagged]> =
            slots.iter().map(|(hash, slot)| Tagged { tag: tag(*hash), slot: *slot }).collect();
        Arc::make_mut(&mut leaf).sort_unstable_by_key(|tagged| tagged.tag);
        return Tree::Leaf(leaf);
    }
    let mut ways: [Tree; WIDTH] = std::array::from_fn(|_| Tree::Empty);
    for of_way in slots.chunk_by(|(one, _), (other, _)| way(*one, depth) == way(*other, depth)) {
        if let Some((hash, _)) = of_way.first()
            && let Some(below) = ways.get_mut(way(*hash, depth))
        {
            *below = built(of_way, depth + 1);
        }
    }
    Tree::Branch(Arc::new(ways))
}

fn split(leaf: &[Tagged], depth: u32, hash_of: impl Fn(Slot) -> u64) -> Tree {
    let mut ways: [Vec<Tagged>; WIDTH] = std::array::from_fn(|_| Vec::new());
    for tagged in leaf {
        if let Some(way) = ways.get_mut(way(hash_of(tagged.slot), depth)) {
            way.push(*tagged);
        }
    }
    Tree::Branch(Arc::new(ways.map(|way| if way.is_empty() { Tree::Empty } else { Tree::Leaf(way.into()) })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::Index;
    use crate::Slot;

    /// The reference is an ordinary map. Hashes that share many bits, or all of them, are told apart by who looks.
    #[test]
    fn finds_what_an_ordinary_map_finds_whatever_the_hashes() {
        let even = |key: u64| key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let check = |hash: &dyn Fn(u64) -> u64, keys: u64| {
            let (mut index, mut map) = (Index::default(), HashMap::new());
            let mut key_of = Vec::new();
            let mut clones: Vec<(Index, HashMap<u64, Slot>)> = Vec::new();
            for round in 0..4 * keys {
                let key = even(round).rotate_left(20) % keys;
                match map.remove(&key) {
                    Some(slot) => index.remove(hash(key), slot),
                    None => {
                        let slot = Slot(u32::try_from(key_of.len()).unwrap());
                        key_of.push(key);
                        index.insert(hash(key), slot, |slot| hash(key_of[slot.0 as usize]));
                        map.insert(key, slot);
                    }
                }
                if round % keys == 0 {
                    clones.push((index.clone(), map.clone()));
                }
            }
            clones.push((index, map));
            let (index, map) = clones.last().cloned().unwrap();
            let slots: Vec<(u64, Slot)> = map.iter().map(|(key, slot)| (hash(*key), *slot)).collect();
            let (at_once, alike) = Index::of(slots.clone());
            let of_alike =
                slots.iter().filter(|(one, slot)| slots.iter().any(|(other, of)| one == other && slot != of));
            assert_eq!(alike.iter().map(Vec::len).sum::<usize>(), of_alike.count());
            clones.push((index, map.clone()));
            clones.push((at_once, map));
            for (index, map) in clones {
                for key in 0..keys {
                    let found = index.find(hash(key), |slot| key_of[slot.0 as usize] == key);
                    assert_eq!(found, map.get(&key).copied(), "{key}");
                }
            }
        };
        check(&even, 5_000);
        check(&|key| key << 32, 300);
        check(&|key| key % 3, 300);
    }
}
