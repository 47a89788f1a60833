//! One page of components as columns, and the rkyv archive of them.
//!
//! The same things of all components stand together, so that compression finds them alike and that validating a page is
//! checking a dozen slices instead of a pointer for every text. There is no map, no shared pointer and no recursion in
//! here: nested values are a flat sequence of tokens.

use std::num::NonZeroUsize;

use rkyv::util::AlignedVec;
use rkyv::validation::archive::ArchiveValidator;
use rkyv::{Archive, Serialize};

use crate::limits::ARCHIVE_DEPTH_MAX;

/// Components in the order of their slots, each column in that order too.
///
/// ```text
/// column        | one for each                                  | holds
/// --------------|-----------------------------------------------|------------------------------------------
/// slots         | component                                     | its slot, ascending
/// ids           | component                                     | its id
/// kinds         | component                                     | its kind, a place in names
/// parents       | component                                     | 0, or 1 + a place in parent_ids
/// orders        | component                                     | its order key
/// fields        | component                                     | the number of its fields
/// keys          | field and key of a map, in pre-order          | its name, a place in names
/// tokens        | value, in pre-order                           | its kind, a TOKEN_*
/// counts        | list and map, in pre-order                    | the number of values directly inside
/// integers      | number that i64 prints the same way           | it
/// texts         | text, other number (lexeme), reference        | it
/// blobs         | bytes, secret reference (id 16, tag 16)       | it
/// names         | distinct kind, field name and key of the page | it, in the order of first use
/// parent_ids    | distinct parent of the page                   | its id, in the order of first use
/// ```
#[derive(Archive, Serialize, Default)]
pub(crate) struct Page {
    pub(crate) slots: Vec<u32>,
    pub(crate) ids: Texts,
    pub(crate) kinds: Vec<u32>,
    pub(crate) parents: Vec<u32>,
    pub(crate) orders: Blobs,
    pub(crate) fields: Vec<u32>,
    pub(crate) keys: Vec<u32>,
    pub(crate) tokens: Vec<u8>,
    pub(crate) counts: Vec<u32>,
    pub(crate) integers: Vec<i64>,
    pub(crate) texts: Texts,
    pub(crate) blobs: Blobs,
    pub(crate) names: Texts,
    pub(crate) parent_ids: Texts,
}

/// Texts one behind the other, and the length of each in bytes.
#[derive(Archive, Serialize, Default)]
pub(crate) struct Texts {
    pub(crate) lengths: Vec<u32>,
    pub(crate) text: String,
}

/// Byte strings one behind the other, and the length of each.
#[derive(Archive, Serialize, Default)]
pub(crate) struct Blobs {
    pub(crate) lengths: Vec<u32>,
    pub(crate) bytes: Vec<u8>,
}

// The archive of the columns themselves: nine vectors, four texts of two and two blobs of two, a pointer and a length of
// 32 bits each. Other features of rkyv, or another order of fields, would change these; a change needs a new LAYOUT.
const _: () = assert!(size_of::<ArchivedPage>() == (8 + 4 * 2 + 2 * 2) * 8);
const _: () = assert!(align_of::<ArchivedPage>() == 4);
const _: () = assert!(size_of::<rkyv::Archived<i64>>() == 8 && align_of::<rkyv::Archived<i64>>() == 8);
const _: () = assert!(size_of::<rkyv::Archived<u32>>() == 4 && align_of::<rkyv::Archived<u32>>() == 4);

impl Page {
    /// The bytes of the columns, which is the size of the archive but for a few hundred bytes.
    pub(crate) fn bytes(&self) -> usize {
        let narrow = [&self.slots, &self.kinds, &self.parents, &self.fields, &self.keys, &self.counts];
        let texts = [&self.ids, &self.texts, &self.names, &self.parent_ids];
        let blobs = [&self.orders, &self.blobs];
        narrow.iter().map(|column| 4 * column.len()).sum::<usize>()
            + self.tokens.len()
            + 8 * self.integers.len()
            + texts.iter().map(|column| 4 * column.lengths.len() + column.text.len()).sum::<usize>()
            + blobs.iter().map(|column| 4 * column.lengths.len() + column.bytes.len()).sum::<usize>()
    }

    /// The archive; `None` where it would be over 2 GiB, which the bound on pages excludes.
    pub(crate) fn to_archive(&self) -> Option<AlignedVec> {
        rkyv::to_bytes::<rkyv::rancor::Failure>(self).ok()
    }
}

impl ArchivedPage {
    /// Validates an archive; `None` where it is not one. The bytes must be aligned as those of an [`AlignedVec`] are.
    pub(crate) fn validate(archive: &AlignedVec) -> Option<&Self> {
        let mut validator = ArchiveValidator::with_max_depth(archive, NonZeroUsize::new(ARCHIVE_DEPTH_MAX));
        rkyv::api::access_with_context::<Self, _, rkyv::rancor::Failure>(archive, &mut validator).ok()
    }
}

#[cfg(test)]
mod tests {
    use rkyv::util::AlignedVec;

    use super::{ArchivedPage, Blobs, Page, Texts};

    fn texts(texts: &[&str]) -> Texts {
        let length = |text: &&str| u32::try_from(text.len()).unwrap();
        Texts { lengths: texts.iter().map(length).collect(), text: texts.concat() }
    }

    /// Two components, every column in use.
    fn page() -> Page {
        Page {
            slots: vec![3, 0x0102],
            ids: texts(&["tank", "pump-number-one"]),
            kinds: vec![0, 0],
            parents: vec![0, 1],
            orders: Blobs { lengths: vec![1, 0], bytes: vec![0x80] },
            fields: vec![1, 2],
            keys: vec![1, 2, 3, 1],
            tokens: vec![4, 6, 3, 5],
            counts: vec![1],
            integers: vec![-2],
            texts: texts(&["water"]),
            blobs: Blobs { lengths: vec![2], bytes: vec![0xca, 0xfe] },
            names: texts(&["p", "a", "b", "c"]),
            parent_ids: texts(&["tank"]),
        }
    }

    #[test]
    fn the_archive_of_a_page_is_these_bytes() {
        let archive = page().to_archive().unwrap();
        let hex: String = archive.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../tests/golden/page.hex").replace('\n', ""));
        assert!(ArchivedPage::validate(&archive).is_some());
    }

    /// CRCs stand before the validator, so that only a forger gets here; one must get an answer all the same.
    #[test]
    fn a_hostile_archive_is_refused_or_read_within_its_bounds() {
        let good = page().to_archive().unwrap();
        let mut refused = 0;
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = AlignedVec::new();
                bytes.extend_from_slice(&good);
                *bytes.as_mut_slice().get_mut(at).unwrap() ^= 1 << bit;
                match ArchivedPage::validate(&bytes) {
                    None => refused += 1,
                    // What passes lies inside the bytes: reading all of it is safe.
                    Some(page) => assert!(page.texts.text.len() + page.blobs.bytes.len() <= good.len()),
                }
            }
        }
        assert!(refused > 300, "{refused}");
        for length in 0..good.len() {
            let mut bytes = AlignedVec::new();
            bytes.extend_from_slice(good.get(..length).unwrap());
            let _whatever_but_no_panic = ArchivedPage::validate(&bytes);
        }
    }
}
