//! The order of the keys of an object.

/// Puts keys that JavaScript takes for array indices first, in ascending order; the others keep theirs.
pub(crate) fn in_javascript_order<T>(entries: &mut [T], key: impl Fn(&T) -> &[u8]) {
    if entries.iter().any(|entry| array_index(key(entry)).is_some()) {
        // Stable, so that what is no index keeps its order: false sorts before true.
        entries.sort_by_key(|entry| {
            let index = array_index(key(entry));
            (index.is_none(), index)
        });
    }
}

/// Whether JavaScript takes a key for an array index.
pub(crate) fn is_array_index(key: &str) -> bool {
    array_index(key.as_bytes()).is_some()
}

/// The array index that a key is: `0` to `4294967294`, written without leading zeros. `2^32 - 1` is an ordinary key.
fn array_index(key: &[u8]) -> Option<u32> {
    if key.is_empty() || key.len() > 10 || !key.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if key.len() > 1 && key.starts_with(b"0") {
        return None;
    }
    let index: u32 = std::str::from_utf8(key).ok()?.parse().ok()?;
    (index != u32::MAX).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::in_javascript_order;

    #[test]
    fn indices_come_first_and_nothing_else_moves() {
        let mut keys = ["b", "4294967295", "4294967294", "01", "-1", "a", "10", "9", "0", ""];
        in_javascript_order(&mut keys, |key| key.as_bytes());
        assert_eq!(keys, ["0", "9", "10", "4294967294", "b", "4294967295", "01", "-1", "a", ""]);
    }
}
