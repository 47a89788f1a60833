//! Integers of which most are small and few are large: packed in the bits that most take, and what the others take more.
//!
//! ```text
//! few := bits | the lowest bits of each, packed | integers: how many places after the one before each exception lies |
//!        integers: what each exception takes above these bits
//! ```

use super::column::{Above, Deflate, Inflate, Integers, pack, packed_bytes, put_integers, unpack};
use super::integer::{Broken, Reader};

/// About the bits that the place of an exception takes.
const PLACE_BITS: usize = 7;

pub(crate) fn put(above: &Above, deflate: &mut Deflate) -> Vec<u8> {
    let bits = fewest(above);
    let exceptions = || {
        let places = above.values.iter().enumerate();
        places
            .map(|(at, value)| (at as u64, value.checked_shr(bits).unwrap_or_default()))
            .filter(|(_, more)| *more > 0)
    };
    let mut behind = 0;
    let places: Vec<u64> = exceptions()
        .map(|(at, _)| {
            let distance = at - behind;
            behind = at;
            distance
        })
        .collect();
    let mut bytes = vec![u8::try_from(bits).unwrap_or_default()];
    bytes.extend(pack(&above.values, bits));
    put_integers(&mut bytes, &places, deflate);
    put_integers(&mut bytes, &exceptions().map(|(_, more)| more).collect::<Vec<_>>(), deflate);
    bytes
}

/// The bits for most, at which all take fewest.
fn fewest(above: &Above) -> u32 {
    let mut of_bits = [0_usize; u64::BITS as usize + 1];
    for value in &above.values {
        if let Some(count) = of_bits.get_mut((u64::BITS - value.leading_zeros()) as usize) {
            *count += 1;
        }
    }
    let taken = |bits: u32| {
        let exceptions: usize = of_bits.iter().skip(bits as usize + 1).sum();
        above.values.len() * bits as usize + exceptions * (PLACE_BITS + (above.bits - bits) as usize)
    };
    (1..above.bits.min(56)).min_by_key(|bits| taken(*bits)).unwrap_or(above.bits.min(56))
}

/// The integers, of which there must be so many, of so many bits.
pub(crate) fn read(stored: &[u8], count: usize, bits: u32) -> Result<Vec<u64>, Broken> {
    let wrong = Broken("an exception of a column is out of bounds");
    let (mut reader, mut inflate) = (Reader(stored), Inflate::new());
    let most = u32::from(reader.byte()?);
    let packed = reader.take(packed_bytes(count, most).ok_or(wrong)?)?;
    let mut values = unpack(packed, count, most)?.first(count);
    let places = Integers::read(&mut reader, &mut inflate)?;
    let more = Integers::read(&mut reader, &mut inflate)?;
    reader.end()?;
    if places.len() > count || more.len() != places.len() || most >= bits {
        return Err(wrong);
    }
    let mut at = 0_usize;
    for (distance, more) in places.iter().zip(more.iter()) {
        at = usize::try_from(distance).ok().and_then(|distance| at.checked_add(distance)).ok_or(wrong)?;
        let value = values.get_mut(at).filter(|value| **value >> most == 0).ok_or(wrong)?;
        *value |= more.checked_mul(1 << most).ok_or(wrong)?;
    }
    Ok(values)
}
