//! The floor: what the disk and the system take by themselves.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use crate::{Place, Random};

/// A durable append can cost no less: 256 bytes at an advancing place of written space, then fdatasync.
pub struct Floor {
    file: File,
    at: u64,
}

const FLOOR_BYTES: u64 = 4 << 20;
const FLOOR_PIECE: usize = 64 << 10;
/// What a reading is compared with.
const READ_BYTES: u64 = 16 << 10;

impl Floor {
    /// Writes its file.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(place: &Place) -> io::Result<Self> {
        let path = place.fresh();
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        // In pieces, as a segment is written ahead: one write of 4 MiB leaves the file in the page cache in large folios,
        // of which the kernel looks through every block at each sync; that floor lay 40 % too low.
        let piece = vec![0; FLOOR_PIECE];
        (0..FLOOR_BYTES).step_by(FLOOR_PIECE).try_for_each(|at| file.write_all_at(&piece, at))?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes a second.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn rate(&mut self, count: u32) -> io::Result<f64> {
        let started = Instant::now();
        (0..count).try_for_each(|_| self.write(256))?;
        Ok(f64::from(count) / started.elapsed().as_secs_f64())
    }

    /// One write of so many bytes, at most 4 KiB, and one sync.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&mut self, bytes: u64) -> io::Result<()> {
        let piece = [7; 4_096];
        let piece = piece.get(..usize::try_from(bytes).unwrap_or(4_096)).unwrap_or(&piece);
        self.file.write_all_at(piece, self.at / bytes * bytes)?;
        self.file.sync_data()?;
        self.at = (self.at + bytes) % (FLOOR_BYTES - 2 * bytes);
        Ok(())
    }

    /// Microseconds to read 16 KiB that the system has in its cache, at random places.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn read_micros(&self, random: &mut Random, count: u32) -> io::Result<f64> {
        let mut buffer = vec![0; usize::try_from(READ_BYTES).unwrap_or_default()];
        let started = Instant::now();
        for _ in 0..count {
            self.file.read_exact_at(&mut buffer, random.below(FLOOR_BYTES / READ_BYTES) * READ_BYTES)?;
        }
        Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(count))
    }
}
