//! The two indexes: hashes of ids to slots, and parents to children.

use flow_history_flow::{ComponentId, Flow, Slot};

use crate::archive::{ArchivedIndex, Index};
use crate::columns::{Extent, What};
use crate::varint::{self, Varints};

/// A key, and a slot that it leads to.
pub(crate) type Pair = (u32, Slot);

/// The hash of an id: so many bits from the front of its BLAKE3, keyed with the history, so that nobody can choose ids of
/// one hash without knowing where they will be used.
pub(crate) fn id_hash(history: &[u8; 16], id: &str, bits: u32) -> u32 {
    let mut key = [0; 32];
    key.iter_mut().zip(history.iter().cycle()).for_each(|(byte, of_history)| *byte = *of_history);
    let hash = blake3::keyed_hash(&key, id.as_bytes());
    let front = hash.as_bytes().first_chunk().copied().map_or(0, u32::from_be_bytes);
    front.checked_shr(32 - bits.min(32)).unwrap_or(0)
}

/// How many bits the hashes of so many ids have: one id in 256 or fewer has the hash of another. What an earlier
/// checkpoint had is kept while it is not far off, so that pages can be shared.
pub(crate) fn id_bits(components: usize, before: Option<u32>) -> u32 {
    let bits = usize::BITS - components.leading_zeros();
    match before {
        Some(before) if (bits + 7..=bits + 10).contains(&before) => before,
        _ => (bits + 8).min(32),
    }
}

/// All ids, by hash.
pub(crate) fn ids(flow: &Flow, history: &[u8; 16], bits: u32) -> Vec<Pair> {
    let hash = |id: &ComponentId| id_hash(history, id, bits);
    let mut pairs: Vec<Pair> = flow.iter().map(|(slot, component)| (hash(&component.id), slot)).collect();
    pairs.sort_unstable();
    pairs
}

/// All components that are inside others, by parent.
pub(crate) fn children(flow: &Flow) -> Vec<Pair> {
    let pair = |slot, parent: &ComponentId| Some((flow.slot(parent)?.0, slot));
    let mut pairs: Vec<Pair> = flow
        .iter()
        .filter_map(|(slot, component)| component.parent.as_ref().and_then(|parent| pair(slot, parent)))
        .collect();
    pairs.sort_unstable();
    pairs
}

impl Index {
    /// The page of these pairs, which ascend, the first key being no less than `first`.
    pub(crate) fn of(first: u32, pairs: &[Pair]) -> Self {
        let mut index = Self::default();
        let (mut last, mut last_slot) = (first, 0);
        for (at, (key, slot)) in pairs.iter().enumerate() {
            let again = at > 0 && *key == last;
            varint::push(&mut index.keys, u64::from(key - last));
            varint::push(&mut index.slots, u64::from(if again { slot.0 - last_slot } else { slot.0 }));
            (last, last_slot) = (*key, slot.0);
        }
        index
    }
}

/// The pairs of a page, which ascend and lie within its range.
pub(crate) fn pairs(index: &ArchivedIndex, extent: Extent) -> Result<Vec<Pair>, What> {
    let (mut keys, mut slots) = (Varints(&index.keys), Varints(&index.slots));
    let mut pairs: Vec<Pair> = Vec::with_capacity(index.keys.len().min(extent.count as usize));
    let mut last: Option<Pair> = None;
    while !keys.0.is_empty() {
        let (gap, slot) = (keys.next_u32()?, slots.next_u32()?);
        let key = last.map_or(extent.range.first, |(key, _)| key).checked_add(gap);
        let key = key
            .filter(|key| extent.range.holds(*key))
            .ok_or("it holds other keys than the directory says")?;
        let slot = match last {
            Some((_, before)) if gap == 0 => {
                before.0.checked_add(slot).filter(|_| slot > 0).ok_or("its slots do not ascend")?
            }
            _ => slot,
        };
        last = Some((key, Slot(slot)));
        pairs.push((key, Slot(slot)));
    }
    if pairs.len() != extent.count as usize || !slots.0.is_empty() {
        return Err("it holds another number of pairs than the directory says");
    }
    Ok(pairs)
}

/// The slots that a page gives for one key. What stands behind them is not looked at: whoever asks for an id compares it.
pub(crate) fn slots_of(index: &ArchivedIndex, extent: Extent, wanted: u32) -> Result<Vec<Slot>, What> {
    let (mut keys, mut slots) = (Varints(&index.keys), Varints(&index.slots));
    let (mut key, mut before, mut found) = (extent.range.first, 0, Vec::<Slot>::new());
    while !keys.0.is_empty() {
        key = key.checked_add(keys.next_u32()?).ok_or("it holds other keys than the directory says")?;
        if key > wanted {
            break;
        }
        if key < wanted {
            before += 1;
            continue;
        }
        if found.is_empty() {
            slots.pass(before)?;
        }
        let slot = slots.next_u32()?;
        let slot = match found.last() {
            Some(last) => last.0.checked_add(slot).filter(|_| slot > 0).ok_or("its slots do not ascend")?,
            None => slot,
        };
        found.push(Slot(slot));
    }
    Ok(found)
}
