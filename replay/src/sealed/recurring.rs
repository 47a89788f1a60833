//! Integers that come again soon, as the slot of a component that somebody works on: how far back the same stands.
//!
//! ```text
//! recurring := integers: for each how many places before it the same stands last, or 0 where it does not stand near |
//!              integers: those of 0
//! ```

use std::collections::HashMap;

use super::column::{Above, Deflate, Inflate, Integers, put_integers};
use super::integer::{Broken, Reader};

/// As far as this is near: what a byte holds.
const NEAR: usize = 255;

pub(crate) fn put(above: &Above, deflate: &mut Deflate) -> Vec<u8> {
    let (mut backs, mut rest, mut last) = (Vec::new(), Vec::new(), HashMap::new());
    for (at, value) in above.values.iter().enumerate() {
        let back = last.insert(*value, at).map_or(0, |last| at - last);
        if back == 0 || back > NEAR {
            rest.push(*value);
        }
        backs.push(if back > NEAR { 0 } else { back as u64 });
    }
    let mut bytes = Vec::new();
    put_integers(&mut bytes, &backs, deflate);
    put_integers(&mut bytes, &rest, deflate);
    bytes
}

/// The integers, of which there must be so many.
pub(crate) fn read(stored: &[u8], count: usize) -> Result<Vec<u64>, Broken> {
    let wrong = Broken("a column refers to what is not before it");
    let (mut reader, mut inflate) = (Reader(stored), Inflate::new());
    let backs = Integers::read(&mut reader, &mut inflate)?;
    let rest = Integers::read(&mut reader, &mut inflate)?;
    reader.end()?;
    if backs.len() != count || rest.len() > count {
        return Err(wrong);
    }
    let (mut values, mut rest): (Vec<u64>, _) = (Vec::with_capacity(count), rest.iter());
    for back in backs.iter() {
        let value = match usize::try_from(back) {
            Ok(0) => rest.next(),
            Ok(back) => values.len().checked_sub(back).and_then(|at| values.get(at).copied()),
            Err(_) => None,
        };
        values.push(value.ok_or(wrong)?);
    }
    if rest.next().is_some() { Err(wrong) } else { Ok(values) }
}
