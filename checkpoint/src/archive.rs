//! One page as columns, and the rkyv archive of them.
//!
//! The same things of all components stand together, so that compression finds them alike and that validating a page is
//! checking two dozen slices instead of a pointer for every text. There is no map, no shared pointer and no recursion in
//! here: nested values are a flat sequence of tokens.

use std::num::NonZeroUsize;

use rkyv::bytecheck::CheckBytes;
use rkyv::util::AlignedVec;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::{Archive, Portable, Serialize};

use crate::limits::ARCHIVE_DEPTH_MAX;

/// Components in the order of their slots, each column in that order too. A column of numbers is a row of varints.
///
/// The columns are written in the order in which they stand here, one behind the other. Those of one kind are neighbours
/// and are compressed by themselves: numbers, ids, texts, byte strings. One table of frequencies for all of them takes 8 %
/// more.
///
/// ```text
/// column         | one for each                                  | holds
/// ---------------|-----------------------------------------------|------------------------------------------
/// slots          | component                                     | its slot less the one before, or the page's first
/// kinds          | component                                     | its kind, a place in names
/// parents        | component                                     | 0, or 1 + a place in parent_ids
/// fields         | component                                     | the number of its fields
/// keys           | field and key of a map, in pre-order          | its name, a place in names
/// tokens         | value, in pre-order                           | its kind, a TOKEN_*
/// counts         | list and map, in pre-order                    | the number of values directly inside
/// integers       | number that i64 prints the same way           | it, zig-zag
/// id_lengths     | component                                     | the bytes of its id
/// parent_lengths | distinct parent of the page                   | the bytes of its id
/// parent_slots   | distinct parent of the page                   | its slot
/// name_lengths   | distinct kind, field name and key of the page | its bytes
/// order_lengths  | component                                     | the bytes of its order key
/// text_lengths   | text                                          | its bytes
/// blob_lengths   | byte string                                   | its bytes
/// orders         | component                                     | its order key
/// names          | distinct kind, field name and key of the page | it, in the order of first use
/// ids            | component                                     | its id
/// parent_ids     | distinct parent of the page                   | its id, in the order of first use
/// texts          | text, other number (lexeme), reference        | it
/// blobs          | bytes, secret reference (id 16, tag 16)       | it
/// ```
#[derive(Archive, Serialize, Default)]
pub(crate) struct Page {
    pub(crate) slots: Vec<u8>,
    pub(crate) kinds: Vec<u8>,
    pub(crate) parents: Vec<u8>,
    pub(crate) fields: Vec<u8>,
    pub(crate) keys: Vec<u8>,
    pub(crate) tokens: Vec<u8>,
    pub(crate) counts: Vec<u8>,
    pub(crate) integers: Vec<u8>,
    pub(crate) id_lengths: Vec<u8>,
    pub(crate) parent_lengths: Vec<u8>,
    pub(crate) parent_slots: Vec<u8>,
    pub(crate) name_lengths: Vec<u8>,
    pub(crate) order_lengths: Vec<u8>,
    pub(crate) text_lengths: Vec<u8>,
    pub(crate) blob_lengths: Vec<u8>,
    pub(crate) orders: Vec<u8>,
    pub(crate) names: String,
    pub(crate) ids: String,
    pub(crate) parent_ids: String,
    pub(crate) texts: String,
    pub(crate) blobs: Vec<u8>,
}

/// Pairs of a key and a slot, ascending: hashes of ids and the slots that have them, or parents and their children.
///
/// ```text
/// column | one for each | holds
/// -------|--------------|---------------------------------------------------
/// keys   | pair         | its key less the one before, or the page's first
/// slots  | pair         | its slot; where the key is that of the pair before, the slot less the one before
/// ```
#[derive(Archive, Serialize, Default)]
pub(crate) struct Index {
    pub(crate) keys: Vec<u8>,
    pub(crate) slots: Vec<u8>,
}

// The archive of the columns themselves: a pointer and a length of 32 bits each. Other features of rkyv, or another order
// of fields, would change these; a change needs a new LAYOUT.
const _: () = assert!(size_of::<ArchivedPage>() == 21 * 8 && align_of::<ArchivedPage>() == 4);
const _: () = assert!(size_of::<ArchivedIndex>() == 2 * 8 && align_of::<ArchivedIndex>() == 4);

impl Page {
    /// The archive, and where to cut it for compression; `None` where it would be over 2 GiB, which the bound on pages
    /// excludes.
    pub(crate) fn to_archive(&self) -> Option<(AlignedVec, [usize; 3])> {
        let numbers = [
            &self.slots,
            &self.kinds,
            &self.parents,
            &self.fields,
            &self.keys,
            &self.tokens,
            &self.counts,
            &self.integers,
            &self.id_lengths,
            &self.parent_lengths,
            &self.parent_slots,
            &self.name_lengths,
            &self.order_lengths,
            &self.text_lengths,
            &self.blob_lengths,
            &self.orders,
        ];
        let numbers = numbers.iter().map(|column| column.len()).sum::<usize>() + self.names.len();
        let ids = numbers + self.ids.len() + self.parent_ids.len();
        let archive = rkyv::to_bytes::<rkyv::rancor::Failure>(self).ok()?;
        Some((archive, [numbers, ids, ids + self.texts.len()]))
    }
}

impl Index {
    /// The archive, and where to cut it for compression.
    pub(crate) fn to_archive(&self) -> Option<(AlignedVec, [usize; 3])> {
        let archive = rkyv::to_bytes::<rkyv::rancor::Failure>(self).ok()?;
        Some((archive, [self.keys.len(); 3]))
    }
}

/// Validates an archive; `None` where it is not one. The bytes must be aligned as those of an [`AlignedVec`] are.
pub(crate) fn validate<T>(archive: &AlignedVec) -> Option<&T>
where
    T: Portable + for<'a> CheckBytes<rkyv::rancor::Strategy<ArchiveValidator<'a>, rkyv::rancor::Failure>>,
{
    let mut validator = ArchiveValidator::with_max_depth(archive, NonZeroUsize::new(ARCHIVE_DEPTH_MAX));
    rkyv::api::access_with_context::<T, _, rkyv::rancor::Failure>(archive, &mut validator).ok()
}

#[cfg(test)]
mod tests {
    use rkyv::util::AlignedVec;

    use super::{ArchivedPage, Page, validate};

    /// Two components, every column in use.
    fn page() -> Page {
        Page {
            slots: vec![3, 0x82, 1],
            kinds: vec![0, 0],
            parents: vec![0, 1],
            fields: vec![1, 2],
            keys: vec![1, 2, 3, 1],
            tokens: vec![4, 6, 3, 5],
            counts: vec![1],
            integers: vec![3],
            id_lengths: vec![4, 15],
            parent_lengths: vec![4],
            parent_slots: vec![3],
            name_lengths: vec![1, 1, 1, 1],
            order_lengths: vec![1, 0],
            text_lengths: vec![5],
            blob_lengths: vec![2],
            orders: vec![0x80],
            names: "pabc".into(),
            ids: "tankpump-number-one".into(),
            parent_ids: "tank".into(),
            texts: "water".into(),
            blobs: vec![0xca, 0xfe],
        }
    }

    #[test]
    fn the_archive_of_a_page_is_these_bytes() {
        let (archive, _) = page().to_archive().unwrap();
        let hex: String = archive.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/page.hex").replace('\n', ""));
        assert!(validate::<ArchivedPage>(&archive).is_some());
    }

    /// CRCs stand before the validator, so that only a forger gets here; one must get an answer all the same.
    #[test]
    fn a_hostile_archive_is_refused_or_read_within_its_bounds() {
        let (good, _) = page().to_archive().unwrap();
        let mut refused = 0;
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = AlignedVec::new();
                bytes.extend_from_slice(&good);
                *bytes.as_mut_slice().get_mut(at).unwrap() ^= 1 << bit;
                match validate::<ArchivedPage>(&bytes) {
                    None => refused += 1,
                    // What passes lies inside the bytes: reading all of it is safe.
                    Some(page) => assert!(page.texts.len() + page.blobs.len() <= good.len()),
                }
            }
        }
        assert!(refused > 300, "{refused}");
        for length in 0..good.len() {
            let mut bytes = AlignedVec::new();
            bytes.extend_from_slice(good.get(..length).unwrap());
            let _whatever_but_no_panic = validate::<ArchivedPage>(&bytes);
        }
    }
}
