//! The files that are history, and whether two directories hold the same of it.

use std::collections::BTreeMap;

use flow_history_replay::{FileName, Identity};

/// Whether the log in one set of files is, file by file, that in another that it became: nothing changed, cut, added or
/// gone, but that raw segments may have been sealed meanwhile, and that what was pruned may be gone. What is derived, made
/// ready or written aside is not looked at.
#[must_use]
pub fn is_same_log(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) -> bool {
    let log = |files: &BTreeMap<String, Vec<u8>>| -> BTreeMap<FileName, Vec<u8>> {
        let identity = files.get("history").and_then(|bytes| Identity::decode(bytes).ok());
        let first = identity.map_or(0, |identity| identity.first_segment);
        let of_log = |name: &FileName| match name {
            FileName::Identity => true,
            FileName::RawSegment(number) | FileName::SealedSegment(number) => *number >= first,
            FileName::Base(number) => *number == first,
            _ => false,
        };
        let parsed = files.iter().filter_map(|(name, bytes)| Some((FileName::parse(name)?, bytes.clone())));
        parsed.filter(|(name, _)| of_log(name)).collect()
    };
    let (before, after) = (log(before), log(after));
    let kept = before.iter().all(|(name, bytes)| match (after.get(name), name) {
        (Some(now), _) => now == bytes,
        (None, FileName::RawSegment(number)) => after.contains_key(&FileName::SealedSegment(*number)),
        (None, _) => false,
    });
    let nothing_new = after.keys().all(|name| match name {
        FileName::SealedSegment(number) => {
            before.contains_key(name) || before.contains_key(&FileName::RawSegment(*number))
        }
        _ => before.contains_key(name),
    });
    kept && nothing_new
}
