//! The bytes of a checkpoint to components, one at a time or all.

use std::sync::atomic::{AtomicU64, Ordering};

use flow_history_flow::{Component, Flow, Slot};
use rkyv::util::AlignedVec;
use zstd::bulk::Decompressor;

use crate::archive::ArchivedPage;
use crate::assemble::Assembly;
use crate::columns::{PageReader, Pool, What};
use crate::crc::Salt;
use crate::directory::{Entry, directory_from_bytes};
use crate::header::{CheckpointHeader, HEADER_BYTES};
use crate::{CheckpointError, Part, ReadAt};

/// An open checkpoint. Opening reads the header and the page directory; pages are read when something on them is asked
/// for, and not kept: the caller has the cache.
///
/// Every read is checked in this order: bounds, CRC, the size that the compressed bytes state for themselves, then
/// decompression into exactly that much, validation of the archive, and what it means.
#[derive(Debug)]
pub struct Checkpoint<R> {
    reader: R,
    header: CheckpointHeader,
    directory: Vec<Entry>,
    pages_read: AtomicU64,
}

impl<R: ReadAt> Checkpoint<R> {
    /// Opens a checkpoint. Costs two reads and 32 bytes a page.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`], [`CheckpointError::UnknownLayout`], [`CheckpointError::Damaged`] and
    /// [`CheckpointError::Io`].
    pub fn open(reader: R) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { part: Part::Header, offset: 0, source };
        let file_bytes = reader.len().map_err(io)?;
        if file_bytes < HEADER_BYTES as u64 {
            let what = "the file ends in it";
            return Err(CheckpointError::Damaged { part: Part::Header, offset: 0, what });
        }
        let mut bytes = [0; HEADER_BYTES];
        reader.read_exact_at(0, &mut bytes).map_err(io)?;
        let header = CheckpointHeader::from_bytes(&bytes, file_bytes)?;

        let (part, offset) = (Part::Directory, header.directory_offset());
        let mut checkpoint = Self { reader, header, directory: Vec::new(), pages_read: AtomicU64::new(0) };
        let mut bytes = Vec::new();
        checkpoint.read(part, offset, header.directory_bytes(), header.directory_crc, &mut bytes)?;
        checkpoint.directory = directory_from_bytes(&bytes, &header)
            .map_err(|what| CheckpointError::Damaged { part, offset, what })?;
        Ok(checkpoint)
    }

    /// What the checkpoint is of, and its size.
    #[must_use]
    pub fn header(&self) -> &CheckpointHeader {
        &self.header
    }

    /// How many pages were read since the checkpoint was opened.
    #[must_use]
    pub fn pages_read(&self) -> u64 {
        self.pages_read.load(Ordering::Relaxed)
    }

    /// The attachment, as it was given to [`encode`](crate::encode).
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] and [`CheckpointError::Io`].
    pub fn attachment(&self) -> Result<Vec<u8>, CheckpointError> {
        let (part, offset) = (Part::Attachment, self.header.attachment_offset());
        let mut buffers = Buffers::default();
        let length = self.header.attachment_bytes as usize;
        self.read(part, offset, length, self.header.attachment_crc, &mut buffers.bytes)?;
        buffers
            .inflate(self.header.attachment_raw_bytes as usize)
            .map(|raw| raw.to_vec())
            .map_err(|what| CheckpointError::Damaged { part, offset, what })
    }

    /// The page that holds this slot if any does.
    #[must_use]
    pub fn page_of(&self, slot: Slot) -> Option<u32> {
        let number = self.directory.partition_point(|entry| entry.extent.last < slot);
        let entry = self.directory.get(number)?;
        if entry.extent.first <= slot { u32::try_from(number).ok() } else { None }
    }

    /// The component in a slot; `None` where the slot is empty. Reads one page, or none where no page spans the slot.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] and [`CheckpointError::Io`].
    pub fn component_in(&self, slot: Slot) -> Result<Option<Component>, CheckpointError> {
        match self.page_of(slot) {
            Some(number) => {
                self.with_page(number, &mut Buffers::default(), |reader| reader.component_in(slot))
            }
            None => Ok(None),
        }
    }

    /// All components of a page, ascending by slot. Pages are counted from zero and independent of each other: threads
    /// may read them at the same time.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], also for a page that does not exist, and [`CheckpointError::Io`].
    pub fn page(&self, number: u32) -> Result<Vec<(Slot, Component)>, CheckpointError> {
        self.with_page(number, &mut Buffers::default(), |reader| reader.components(&mut Pool::default()))
    }

    /// The flow, slots and next slot included. Reads all pages in order, each once; costs O(n log n).
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] and [`CheckpointError::Io`]; [`CheckpointError::ParentMissing`],
    /// [`CheckpointError::Cycle`] and [`CheckpointError::Misfit`] where the components are no flow.
    pub fn to_flow(&self) -> Result<Flow, CheckpointError> {
        let mut assembly = Assembly::new(self.header.next_slot);
        let mut pool = Pool::default();
        let mut buffers = Buffers::default();
        for number in 0..self.header.pages {
            let components = self.with_page(number, &mut buffers, |reader| reader.components(&mut pool))?;
            for (slot, component) in components {
                assembly.add(slot, component)?;
            }
        }
        assembly.finish()
    }

    fn with_page<T>(
        &self,
        number: u32,
        buffers: &mut Buffers,
        read: impl FnOnce(PageReader<'_>) -> Result<T, What>,
    ) -> Result<T, CheckpointError> {
        let part = Part::Page(number);
        let Some(entry) = self.directory.get(number as usize) else {
            let offset = self.header.directory_offset();
            return Err(CheckpointError::Damaged { part, offset, what: "there is no such page" });
        };
        self.read(part, entry.offset, entry.bytes as usize, entry.crc, &mut buffers.bytes)?;
        self.pages_read.fetch_add(1, Ordering::Relaxed);
        let check = || {
            let archive = buffers.inflate(entry.raw_bytes as usize)?;
            let page = ArchivedPage::validate(archive).ok_or("it is no archive of a page")?;
            read(PageReader::new(page, entry.extent)?)
        };
        check().map_err(|what| CheckpointError::Damaged { part, offset: entry.offset, what })
    }

    /// Reads a part and checks its CRC. The length was checked to lie within the file when it was opened.
    fn read(
        &self,
        part: Part,
        offset: u64,
        length: usize,
        crc: u32,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CheckpointError> {
        bytes.clear();
        bytes.resize(length, 0);
        let io = |source| CheckpointError::Io { part, offset, source };
        self.reader.read_exact_at(offset, bytes).map_err(io)?;
        if Salt::new(&self.header.about()).crc(part, bytes) != crc {
            return Err(CheckpointError::Damaged { part, offset, what: "its CRC does not match" });
        }
        Ok(())
    }
}

/// The memory for one part, before and after decompression, which who reads many pages allocates once.
#[derive(Default)]
struct Buffers {
    bytes: Vec<u8>,
    raw: AlignedVec,
    decompressor: Decompressor<'static>,
}

impl Buffers {
    /// Decompresses bytes that are said to become this many. Allocates no more than that, and only once the compressed
    /// bytes themselves say the same.
    fn inflate(&mut self, raw_bytes: usize) -> Result<&AlignedVec, What> {
        if Decompressor::upper_bound(&self.bytes) != Some(raw_bytes) {
            return Err("its compressed bytes state another size");
        }
        self.raw.clear();
        self.raw.resize(raw_bytes, 0);
        match self.decompressor.decompress_to_buffer(&self.bytes, self.raw.as_mut_slice()) {
            Ok(written) if written == raw_bytes => Ok(&self.raw),
            Ok(_) => Err("it decompresses to another size"),
            Err(_) => Err("it does not decompress"),
        }
    }
}
