//! Raw segments that were tampered with, by somebody who sees to the checksums.

use flow_history_replay::{
    Chain, FRAME_HEADER_BYTES, FrameKind, SEGMENT_HEADER_BYTES, SegmentHeader, Seq, encode_frame,
};

/// A frame of a segment, taken apart.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is for.
    pub kind: FrameKind,
    /// How many entries it says that it holds.
    pub entries: u32,
    /// The number of the first.
    pub first_seq: u64,
    /// Up to which entry it vouches.
    pub synced_seq: u64,
    /// The hash chain after its last entry.
    pub chain: Chain,
    /// Its entries, each behind its length.
    pub payload: Vec<u8>,
}

/// A raw segment, taken apart, to be put together with matching checksums.
#[derive(Clone, Debug)]
pub struct Forged {
    /// What stands before the frames.
    pub header: SegmentHeader,
    /// The frames.
    pub frames: Vec<Frame>,
}

impl Forged {
    /// Takes the segment of a number apart.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn of(bytes: &[u8], number: u64) -> Self {
        let header = SegmentHeader::decode(bytes, number).unwrap();
        let (mut frames, mut at) = (Vec::new(), SEGMENT_HEADER_BYTES);
        while bytes.get(at..at + 4) == Some(b"FhFr") {
            let number = |from: usize, count: usize| {
                bytes[at + from..at + from + count]
                    .iter()
                    .rev()
                    .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
            };
            let length = usize::try_from(number(12, 4)).unwrap();
            let kind =
                [FrameKind::Entries, FrameKind::Vouch, FrameKind::Closed][usize::from(bytes[at + 4]) - 1];
            frames.push(Frame {
                kind,
                entries: u32::try_from(number(8, 4)).unwrap(),
                first_seq: number(16, 8),
                synced_seq: number(24, 8),
                chain: Chain(bytes[at + 32..at + 64].try_into().unwrap()),
                payload: bytes[at + FRAME_HEADER_BYTES..at + FRAME_HEADER_BYTES + length].to_vec(),
            });
            at += (FRAME_HEADER_BYTES + length).next_multiple_of(8);
        }
        Self { header, frames }
    }

    /// Its bytes, every checksum made to match.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.encode();
        for frame in &self.frames {
            let mut made = vec![0; FRAME_HEADER_BYTES];
            made.extend(&frame.payload);
            let about = (frame.kind, frame.entries, Seq(frame.first_seq));
            encode_frame(
                &mut made,
                about,
                Seq(frame.synced_seq),
                &frame.chain,
                &self.header,
                bytes.len() as u64,
            );
            bytes.extend(made);
        }
        bytes
    }

    /// The hash chain of every frame from this one on as its entries have it.
    ///
    /// # Panics
    /// Where there are fewer frames.
    #[must_use]
    pub fn chained(mut self, from: usize) -> Self {
        let mut chain = if from == 0 { self.header.chain } else { self.frames[from - 1].chain };
        for frame in &mut self.frames[from..] {
            let mut at = 0;
            while let Some(length) = frame.payload.get(at..at + 4) {
                let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
                let Some(entry) =
                    frame.payload.get(at + 4..at + 4 + length).filter(|entry| !entry.is_empty())
                else {
                    break;
                };
                chain = chain.after(entry);
                at += 4 + length;
            }
            frame.chain = chain;
        }
        self
    }
}

/// CRC-32 as in zlib, bit by bit: the suite is no home of crc32fast.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 },
        )
    })
}
