//! Checkpoint files that somebody made: taken apart and put together by the documented byte tables alone, every CRC right.
//! That it can be done from the tables is a test of the tables.

use crate::flows::ABOUT;

const HEADER_BYTES: usize = 124;

#[derive(Clone)]
pub(crate) struct Forged {
    /// The 120 bytes before the header's CRC; those that follow from the rest are put right when it is put together.
    pub(crate) header: Vec<u8>,
    pub(crate) pages: Vec<ForgedPage>,
    /// As it is in the file, and how long it claims to be.
    pub(crate) attachment: (Vec<u8>, u32),
}

#[derive(Clone)]
pub(crate) struct ForgedPage {
    pub(crate) compressed: Vec<u8>,
    pub(crate) raw_bytes: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) components: u32,
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn salted(number: u32, bytes: &[u8]) -> u32 {
    let salt =
        [&ABOUT.history[..], &ABOUT.sequence.to_le_bytes(), &ABOUT.chain, &number.to_le_bytes()].concat();
    crc32fast::hash(&[&salt, bytes].concat())
}

impl Forged {
    pub(crate) fn from(bytes: &[u8]) -> Self {
        let directory = HEADER_BYTES + u64_at(bytes, 88) as usize;
        let attachment = directory + 32 * u32_at(bytes, 76) as usize;
        let page = |entry: &[u8]| {
            let offset = u64_at(entry, 0) as usize;
            ForgedPage {
                compressed: bytes[offset..offset + u32_at(entry, 8) as usize].to_vec(),
                raw_bytes: u32_at(entry, 12),
                first: u32_at(entry, 20),
                last: u32_at(entry, 24),
                components: u32_at(entry, 28),
            }
        };
        Self {
            header: bytes[..120].to_vec(),
            pages: bytes[directory..attachment].chunks(32).map(page).collect(),
            attachment: (bytes[attachment..].to_vec(), u32_at(bytes, 108)),
        }
    }

    /// Changes the header's bytes; what follows from the rest of the file cannot be changed this way.
    pub(crate) fn header(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn page(mut self, number: usize, change: impl FnOnce(&mut ForgedPage)) -> Self {
        change(&mut self.pages[number]);
        self
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let (mut pages, mut directory) = (Vec::new(), Vec::new());
        for (page, number) in self.pages.iter().zip(0..) {
            directory.extend_from_slice(&((HEADER_BYTES + pages.len()) as u64).to_le_bytes());
            let crc = salted(number, &page.compressed);
            let length = page.compressed.len() as u32;
            for field in [length, page.raw_bytes, crc, page.first, page.last, page.components] {
                directory.extend_from_slice(&field.to_le_bytes());
            }
            pages.extend_from_slice(&page.compressed);
        }
        let (attachment, raw_bytes) = &self.attachment;
        let file = (HEADER_BYTES + pages.len() + directory.len() + attachment.len()) as u64;
        let mut bytes = self.header.clone();
        bytes[88..96].copy_from_slice(&(pages.len() as u64).to_le_bytes());
        bytes[96..100].copy_from_slice(&salted(u32::MAX, &directory).to_le_bytes());
        bytes[100..104].copy_from_slice(&salted(u32::MAX - 1, attachment).to_le_bytes());
        bytes[104..108].copy_from_slice(&(attachment.len() as u32).to_le_bytes());
        bytes[108..112].copy_from_slice(&raw_bytes.to_le_bytes());
        bytes[112..120].copy_from_slice(&file.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        [&bytes, &crc.to_le_bytes()[..], &pages, &directory, attachment].concat()
    }
}

impl ForgedPage {
    pub(crate) fn raw(&self) -> Vec<u8> {
        zstd::bulk::decompress(&self.compressed, self.raw_bytes as usize).unwrap()
    }

    pub(crate) fn set_raw(&mut self, raw: &[u8]) {
        self.compressed = zstd::bulk::compress(raw, 1).unwrap();
        self.raw_bytes = raw.len() as u32;
    }

    /// Replaces the only place where these bytes occur.
    pub(crate) fn replace(&mut self, from: &[u8], to: &[u8]) {
        let mut raw = self.raw();
        let places: Vec<usize> = raw
            .windows(from.len())
            .enumerate()
            .filter(|(_, bytes)| *bytes == from)
            .map(|(at, _)| at)
            .collect();
        assert_eq!((places.len(), from.len()), (1, to.len()), "{from:?}");
        raw[places[0]..places[0] + to.len()].copy_from_slice(to);
        self.set_raw(&raw);
    }
}
