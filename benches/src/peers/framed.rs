//! A file of frames that is synced after each: what somebody writes who wants a library that lives in memory to be durable.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::{Outcome, broken};

/// A file of frames: length, checksum, bytes.
pub(super) struct Framed {
    file: File,
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    blake3::hash(bytes).as_bytes().first_chunk().copied().unwrap_or_default()
}

impl Framed {
    /// Opens it to append.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(broken)?;
        Ok(Self { file })
    }

    /// Appends a frame, and syncs.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Outcome<()> {
        let mut frame = Vec::with_capacity(bytes.len() + 8);
        frame.extend_from_slice(&u32::try_from(bytes.len()).map_err(broken)?.to_le_bytes());
        frame.extend_from_slice(&checksum(bytes));
        frame.extend_from_slice(bytes);
        self.file.write_all(&frame).map_err(broken)?;
        self.file.sync_data().map_err(broken)
    }

    /// The whole frames of a file, in order; none where there is no file.
    pub(super) fn read(path: &Path, mut each: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let Ok(file) = File::open(path) else { return Ok(()) };
        let mut file = BufReader::new(file);
        let mut head = [0; 8];
        while file.read_exact(&mut head).is_ok() {
            let [a, b, c, d, sum @ ..] = head;
            let mut bytes = vec![0; usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(broken)?];
            if file.read_exact(&mut bytes).is_err() || checksum(&bytes) != sum {
                break;
            }
            each(&bytes)?;
        }
        Ok(())
    }
}
