//! The 16 bytes that name a version.

use std::fmt;
use std::str::FromStr;

use crate::{Chain, SEQ_MAX, Seq};

/// The name of a version: a valid UUID of version 8 (RFC 9562), so that any column, attribute or tool that takes a UUID
/// carries it.
///
/// ```text
/// bits   0..48   sequence number, so that ids of one history sort in order
/// bits  48..52   1000, the version of the UUID
/// bits  52..64   the first 12 bits of the chain at that entry
/// bits  64..66   10, the variant of the UUID
/// bits  66..128  the next 62 bits of the chain
/// ```
///
/// It never names two different flows by accident: 74 bits of the hash chain tell histories, and lost versions, apart.
/// It is an identifier, not a signature.
///
/// It is held as two words, the more significant one first, so that it travels in registers: as a row of bytes it was put
/// together in memory, which cost most of a read of the head.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowVersionId {
    high: u64,
    low: u64,
}

impl FlowVersionId {
    /// The name of the version after the entry `seq`, where the chain is `chain`.
    #[must_use]
    #[inline]
    pub fn new(seq: Seq, chain: &Chain) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, ..] = chain.0;
        // The first 74 bits of the chain: twelve stand beside the sequence number, 62 in the other word.
        let first = u64::from(u16::from_be_bytes([c0, c1]) >> 4);
        let rest = u64::from_be_bytes([c2, c3, c4, c5, c6, c7, c8, c9]);
        Self {
            high: (seq.0.min(SEQ_MAX) << 16) | (8 << 12) | first,
            low: (0b10 << 62) | (u64::from(c1 & 0x0f) << 58) | (rest >> 6),
        }
    }

    /// The id with these bytes; `None` where they are not a UUID of version 8.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let [h0, h1, h2, h3, h4, h5, h6, h7, l0, l1, l2, l3, l4, l5, l6, l7] = bytes;
        let high = u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        Self::from_words(high, u64::from_be_bytes([l0, l1, l2, l3, l4, l5, l6, l7]))
    }

    /// The bytes of the UUID.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; 16] {
        ((self.high as u128) << 64 | self.low as u128).to_be_bytes()
    }

    /// The sequence number of the entry that made this version.
    #[must_use]
    #[inline]
    pub const fn seq(&self) -> Seq {
        Seq(self.high >> 16)
    }

    /// The two words of the id, the first one the more significant.
    #[must_use]
    #[inline]
    pub const fn to_words(self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// The id of two words that [`FlowVersionId::to_words`] gave, for whoever keeps them: nothing is looked at, and other
    /// words make an id that is no UUID of version 8. Words from elsewhere are for [`FlowVersionId::from_words`].
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub const fn of_words(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// The id of these two words; `None` where they are not a UUID of version 8.
    #[must_use]
    #[inline]
    pub const fn from_words(high: u64, low: u64) -> Option<Self> {
        if (high >> 12) & 0xf == 8 && low >> 62 == 0b10 { Some(Self { high, low }) } else { None }
    }
}

impl fmt::Display for FlowVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.to_bytes().into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for FlowVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a flow-version ID.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseVersionIdError;

impl fmt::Display for ParseVersionIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flow-version ID is a UUID of version 8, such as 00000000-002a-8123-8456-789abcdef012")
    }
}

impl std::error::Error for ParseVersionIdError {}

impl FromStr for FlowVersionId {
    type Err = ParseVersionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        if groups != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
            return Err(ParseVersionIdError);
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16).map_err(|_| ParseVersionIdError)?;
        Self::from_bytes(number.to_be_bytes()).ok_or(ParseVersionIdError)
    }
}

#[cfg(feature = "uuid")]
impl From<FlowVersionId> for uuid::Uuid {
    fn from(id: FlowVersionId) -> Self {
        uuid::Uuid::from_bytes(id.to_bytes())
    }
}

#[cfg(feature = "uuid")]
impl TryFrom<uuid::Uuid> for FlowVersionId {
    type Error = ParseVersionIdError;

    fn try_from(uuid: uuid::Uuid) -> Result<Self, Self::Error> {
        Self::from_bytes(uuid.into_bytes()).ok_or(ParseVersionIdError)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for FlowVersionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for FlowVersionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::FlowVersionId;
    use crate::{Chain, SEQ_MAX, Seq};

    #[test]
    fn is_a_uuid_of_version_8_that_carries_the_sequence_and_74_bits_of_the_chain() {
        let id = FlowVersionId::new(Seq(42), &Chain([0xff; 32]));
        assert_eq!(id.to_string(), "00000000-002a-8fff-bfff-ffffffffffff");
        let id = FlowVersionId::new(Seq(SEQ_MAX), &Chain([0; 32]));
        assert_eq!(id.to_string(), "ffffffff-ffff-8000-8000-000000000000");
        assert_eq!(id.seq(), Seq(SEQ_MAX));

        // Each of the first 74 bits of the chain, and none behind them, is a bit of the id.
        let base = FlowVersionId::new(Seq(7), &Chain([0; 32]));
        for bit in 0..256 {
            let mut chain = [0; 32];
            chain[bit / 8] = 0x80 >> (bit % 8);
            let other = FlowVersionId::new(Seq(7), &Chain(chain));
            assert_eq!(other != base, bit < 74, "{bit}");
        }
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn is_a_uuid_to_the_uuid_crate_too() {
        let id = FlowVersionId::new(Seq(42), &Chain::start(crate::HistoryId([3; 16])));
        let uuid = uuid::Uuid::from(id);
        assert_eq!((uuid.to_string(), uuid.get_version_num()), (id.to_string(), 8));
        assert_eq!(FlowVersionId::try_from(uuid), Ok(id));
        assert!(FlowVersionId::try_from(uuid::Uuid::nil()).is_err());
    }

    #[test]
    fn survives_every_form() {
        let id = FlowVersionId::new(Seq(1_234_567), &Chain::start(crate::HistoryId([3; 16])));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(FlowVersionId::from_bytes(id.to_bytes()), Some(id));
        let (high, low) = id.to_words();
        assert_eq!(FlowVersionId::from_words(high, low), Some(id));
        assert_eq!(FlowVersionId::of_words(high, low), id);
        assert_eq!(FlowVersionId::from_words(u64::MAX, 0), None);
        for text in ["", "42", "00000000-002a-4fff-bfff-ffffffffffff", "00000000-002a-8fff-bfff-fffffffffff"]
        {
            assert!(text.parse::<FlowVersionId>().is_err(), "{text}");
        }
    }
}
