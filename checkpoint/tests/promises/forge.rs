//! Checkpoint files that somebody made: taken apart and put together by the documented byte tables alone, every CRC right.
//! That it can be done from the tables is a test of the tables.

use crate::flows::ABOUT;

const HEADER_BYTES: usize = 136;
const ENTRY_BYTES: usize = 56;

#[derive(Clone)]
pub(crate) struct Forged {
    /// The 132 bytes before the header's CRC; those that follow from the rest are put right when it is put together.
    pub(crate) header: Vec<u8>,
    /// The sequence numbers of earlier files.
    pub(crate) files: Vec<u64>,
    pub(crate) pages: Vec<ForgedPage>,
    /// As it is in the file, and how long it claims to be.
    pub(crate) attachment: (Vec<u8>, u32),
}

#[derive(Clone)]
pub(crate) struct ForgedPage {
    /// Empty where the page is in another file.
    pub(crate) compressed: Vec<u8>,
    pub(crate) raw_bytes: u32,
    /// Zero for this file; otherwise `elsewhere` says what stands in the entry.
    pub(crate) file: u32,
    pub(crate) elsewhere: (u64, u32, u32),
    pub(crate) first: u32,
    pub(crate) bits: u8,
    pub(crate) kind: u8,
    pub(crate) count: u32,
    pub(crate) hash: [u8; 16],
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The CRC32 of the directory, or of the attachment, by its number.
pub(crate) fn salted(number: u32, bytes: &[u8]) -> u32 {
    let salt =
        [&ABOUT.history[..], &ABOUT.sequence.to_le_bytes(), &ABOUT.chain, &number.to_le_bytes()].concat();
    crc32fast::hash(&[&salt, bytes].concat())
}

impl Forged {
    pub(crate) fn from(bytes: &[u8]) -> Self {
        let directory = HEADER_BYTES + u64_at(bytes, 88) as usize;
        let entries = directory + 8 * u32_at(bytes, 96) as usize;
        let attachment = entries + ENTRY_BYTES * u32_at(bytes, 76) as usize;
        let page = |entry: &[u8]| {
            let (offset, length, file) = (u64_at(entry, 0), u32_at(entry, 8), u32_at(entry, 20));
            let own = if file == 0 { offset as usize..offset as usize + length as usize } else { 0..0 };
            ForgedPage {
                compressed: bytes[own].to_vec(),
                raw_bytes: u32_at(entry, 12),
                file,
                elsewhere: (offset, length, u32_at(entry, 16)),
                first: u32_at(entry, 24),
                bits: entry[28],
                kind: entry[29],
                count: u32_at(entry, 32),
                hash: entry[36..52].try_into().unwrap(),
            }
        };
        Self {
            header: bytes[..132].to_vec(),
            files: bytes[directory..entries].chunks(8).map(|file| u64_at(file, 0)).collect(),
            pages: bytes[entries..attachment].chunks(ENTRY_BYTES).map(page).collect(),
            attachment: (bytes[attachment..].to_vec(), u32_at(bytes, 116)),
        }
    }

    /// Where the entries of a file without earlier files begin.
    pub(crate) fn directory_of(bytes: &[u8]) -> usize {
        HEADER_BYTES + u64_at(bytes, 88) as usize
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
        self.files.iter().for_each(|file| directory.extend_from_slice(&file.to_le_bytes()));
        for page in &self.pages {
            let salt = [&[0x11; 16][..], &[page.kind, page.bits], &page.first.to_le_bytes(), &page.hash];
            let crc = crc32fast::hash(&[&salt.concat(), &page.compressed[..]].concat());
            let own = ((HEADER_BYTES + pages.len()) as u64, page.compressed.len() as u32, crc);
            let (offset, length, crc) = if page.file == 0 { own } else { page.elsewhere };
            directory.extend_from_slice(&offset.to_le_bytes());
            for field in [length, page.raw_bytes, crc, page.file, page.first] {
                directory.extend_from_slice(&field.to_le_bytes());
            }
            directory.extend_from_slice(&[page.bits, page.kind, 0, 0]);
            directory.extend_from_slice(&page.count.to_le_bytes());
            directory.extend_from_slice(&page.hash);
            directory.extend_from_slice(&[0; 4]);
            pages.extend_from_slice(&page.compressed);
        }
        let (attachment, raw_bytes) = &self.attachment;
        let file = (HEADER_BYTES + pages.len() + directory.len() + attachment.len()) as u64;
        let mut bytes = self.header.clone();
        bytes[88..96].copy_from_slice(&(pages.len() as u64).to_le_bytes());
        bytes[96..100].copy_from_slice(&(self.files.len() as u32).to_le_bytes());
        bytes[104..108].copy_from_slice(&salted(u32::MAX, &directory).to_le_bytes());
        bytes[108..112].copy_from_slice(&salted(u32::MAX - 1, attachment).to_le_bytes());
        bytes[112..116].copy_from_slice(&(attachment.len() as u32).to_le_bytes());
        bytes[116..120].copy_from_slice(&raw_bytes.to_le_bytes());
        bytes[120..128].copy_from_slice(&file.to_le_bytes());
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
        self.hash = blake3::hash(raw).as_bytes()[..16].try_into().unwrap();
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
