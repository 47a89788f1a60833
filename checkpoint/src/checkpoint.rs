//! The bytes of a checkpoint to components, one at a time.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_history_flow::{Component, Slot};
use rkyv::util::AlignedVec;
use zstd::bulk::Decompressor;

use crate::archive::{ArchivedIndex, validate};
use crate::columns::{Extent, What};
use crate::crc::{attachment_crc, directory_crc, page_crc};
use crate::directory::{Directory, Entry, Kind, page_hash};
use crate::encode::Basis;
use crate::header::{CheckpointHeader, HEADER_BYTES};
use crate::index::{Pair, id_hash, pairs, slots_of};
use crate::limits::INFLATED_BYTES_MAX;
use crate::page::Page;
use crate::{CheckpointError, Part, ReadAt};

/// Pages in other files larger than this are believed to be that large only after a look at the file.
const UNASKED_BYTES_MAX: u32 = 1 << 20;

/// A directory takes about a part in so many of a large file; of a small one no more than so many bytes.
const DIRECTORY_PART: u64 = 256;
const DIRECTORY_BYTES_MIN: u64 = 4 << 10;

/// An open checkpoint. Opening reads the header and the page directory; pages are read when something on them is asked
/// for, and not kept: the caller has the cache.
///
/// Every read is checked in this order: bounds, CRC, the size that the compressed bytes state for themselves, then
/// decompression into exactly that much, the hash of that, validation of the archive, and what it means.
#[derive(Debug)]
pub struct Checkpoint<R> {
    reader: R,
    /// Those that the directory names, in its order.
    earlier: Vec<Option<R>>,
    pub(crate) header: CheckpointHeader,
    pub(crate) directory: Directory,
    pages_read: AtomicU64,
}

/// Has what opening a checkpoint reads fetched. For whoever has something else to read before.
pub fn will_open(reader: &impl ReadAt) {
    // What cannot be read says so when it is opened.
    let Ok(file_bytes) = reader.len() else { return };
    reader.will_read(0, HEADER_BYTES as u64);
    // The directory lies at the end, and is in proportion to the pages: where exactly, only the header says.
    let directory = (file_bytes / DIRECTORY_PART + DIRECTORY_BYTES_MIN).min(file_bytes);
    reader.will_read(file_bytes - directory, directory);
}

impl<R: ReadAt> Checkpoint<R> {
    /// Opens a checkpoint whose pages are all in its own file; one that refers to others opens too, and says
    /// [`CheckpointError::FileMissing`] when such a page is asked for. Costs two reads and 56 bytes a page.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`], [`CheckpointError::UnknownLayout`], [`CheckpointError::Damaged`] and
    /// [`CheckpointError::Io`].
    pub fn open(reader: R) -> Result<Self, CheckpointError> {
        Self::open_with(reader, |_| None)
    }

    /// Opens a checkpoint, with the files of the earlier ones that it refers to, by sequence number. They are read only
    /// where a page lies in them.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_with(reader: R, earlier: impl FnMut(u64) -> Option<R>) -> Result<Self, CheckpointError> {
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
        let mut bytes = Vec::new();
        read(&reader, part, offset, header.directory_bytes(), &mut bytes)?;
        let check = || {
            if directory_crc(&header.about(), &bytes) != header.directory_crc {
                return Err(CRC);
            }
            Directory::from_bytes(&bytes, &header)
        };
        let directory = check().map_err(|what| CheckpointError::Damaged { part, offset, what })?;
        let earlier = directory.files.iter().copied().map(earlier).collect();
        Ok(Self { reader, earlier, header, directory, pages_read: AtomicU64::new(0) })
    }

    /// What the checkpoint is of, and its size.
    #[must_use]
    pub fn header(&self) -> &CheckpointHeader {
        &self.header
    }

    /// The sequence numbers of the earlier checkpoints in whose files pages of this one lie, ascending. Without those
    /// files this one is of no use.
    #[must_use]
    pub fn refers_to(&self) -> &[u64] {
        &self.directory.files
    }

    /// What a later checkpoint needs to share the pages of this one.
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis::new(&self.header, &self.directory)
    }

    /// How many pages were read since the checkpoint was opened, those of indexes among them.
    #[must_use]
    pub fn pages_read(&self) -> u64 {
        self.pages_read.load(Ordering::Relaxed)
    }

    /// The number of pages that hold components; they come first.
    #[must_use]
    pub fn component_pages(&self) -> u32 {
        u32::try_from(self.directory.of_kind(Kind::Components).len()).unwrap_or(u32::MAX)
    }

    /// The attachment, as it was given to [`encode`](crate::encode).
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`] and [`CheckpointError::Io`].
    pub fn attachment(&self) -> Result<Vec<u8>, CheckpointError> {
        let (part, offset) = (Part::Attachment, self.header.attachment_offset());
        let mut buffers = Buffers::default();
        read(&self.reader, part, offset, self.header.attachment_bytes as usize, &mut buffers.bytes)?;
        let mut check = || {
            if attachment_crc(&self.header.about(), &buffers.bytes) != self.header.attachment_crc {
                return Err(CRC);
            }
            buffers.inflate(self.header.attachment_raw_bytes as usize).map(|raw| raw.to_vec())
        };
        check().map_err(|what| CheckpointError::Damaged { part, offset, what })
    }

    /// The page that holds this slot if any does.
    #[must_use]
    pub fn page_of(&self, slot: Slot) -> Option<u32> {
        let place =
            self.directory.place_of(Kind::Components, slot.0).filter(|_| slot < self.header.next_slot);
        place.and_then(|place| u32::try_from(place).ok())
    }

    /// The component in a slot; `None` where the slot is empty. Reads one page, or none where no page spans the slot.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], [`CheckpointError::FileMissing`] and [`CheckpointError::Io`].
    pub fn component_in(&self, slot: Slot) -> Result<Option<Component>, CheckpointError> {
        match self.page_of(slot) {
            Some(number) => self.page(number)?.component_in(slot),
            None => Ok(None),
        }
    }

    /// The component with this id, and its slot. Reads a page of the index and the page of the component; where another
    /// id has the same hash, one in 256 or fewer, the page of that component as well.
    ///
    /// # Errors
    /// As [`Checkpoint::component_in`].
    pub fn component(&self, id: &str) -> Result<Option<(Slot, Component)>, CheckpointError> {
        for slot in self.slots_of_hash(id)? {
            if let Some(component) = self.component_in(slot)?.filter(|component| *component.id == *id) {
                return Ok(Some((slot, component)));
            }
        }
        Ok(None)
    }

    /// The slot of the component with this id. Costs what [`Checkpoint::component`] costs, which gives the component too.
    ///
    /// # Errors
    /// As [`Checkpoint::component_in`].
    pub fn slot_of(&self, id: &str) -> Result<Option<Slot>, CheckpointError> {
        Ok(self.component(id)?.map(|(slot, _)| slot))
    }

    /// The slots of which one may hold the component with this id; nearly always one, or none. Reads one page. For whoever
    /// has the pages of components in a cache and compares the ids there.
    ///
    /// # Errors
    /// As [`Checkpoint::component_in`].
    pub fn slots_of_hash(&self, id: &str) -> Result<Vec<Slot>, CheckpointError> {
        self.slots_of_key(Kind::Ids, id_hash(&self.header.history, id, self.header.id_bits))
    }

    /// The slots of the components directly inside the one in a slot, ascending. Reads one page, or none.
    ///
    /// # Errors
    /// As [`Checkpoint::component_in`].
    pub fn children_of(&self, slot: Slot) -> Result<Vec<Slot>, CheckpointError> {
        if slot >= self.header.next_slot {
            return Ok(Vec::new());
        }
        self.slots_of_key(Kind::Children, slot.0)
    }

    fn slots_of_key(&self, kind: Kind, key: u32) -> Result<Vec<Slot>, CheckpointError> {
        let Some(place) = self.directory.place_of(kind, key) else { return Ok(Vec::new()) };
        self.index(place, |index, extent| slots_of(index, extent, key))
    }

    /// Has a page of components fetched, for whoever has something else to read before.
    pub fn will_read_page(&self, number: u32) {
        let entry = self.directory.of_kind(Kind::Components).get(number as usize);
        let reader = entry.and_then(|entry| self.reader_of(entry).ok());
        if let (Some(entry), Some(reader)) = (entry, reader) {
            reader.will_read(entry.offset, entry.bytes.into());
        }
    }

    /// A page of components, counted from zero. Pages are independent of each other: threads may read them at the same
    /// time.
    ///
    /// # Errors
    /// [`CheckpointError::Damaged`], also for a page that does not exist or holds no components,
    /// [`CheckpointError::FileMissing`] and [`CheckpointError::Io`].
    pub fn page(&self, number: u32) -> Result<Page, CheckpointError> {
        self.page_with(number, &mut Buffers::default())
    }

    pub(crate) fn page_with(&self, number: u32, buffers: &mut Buffers) -> Result<Page, CheckpointError> {
        let entry = self.directory.of_kind(Kind::Components).get(number as usize);
        let Some(entry) = entry else {
            let (part, offset) = (Part::Page(number), self.header.directory_offset());
            return Err(CheckpointError::Damaged { part, offset, what: "there is no such page" });
        };
        let part = part_of(number as usize, entry);
        let archive = self.archive(part, entry, buffers)?;
        Ok(Page { archive, extent: entry.extent, part, offset: entry.offset })
    }

    /// The pairs of a page of an index, by its place in the directory.
    pub(crate) fn pairs(&self, place: usize) -> Result<Vec<Pair>, CheckpointError> {
        self.index(place, pairs)
    }

    fn index<T: Default>(
        &self,
        place: usize,
        look: impl FnOnce(&ArchivedIndex, Extent) -> Result<T, What>,
    ) -> Result<T, CheckpointError> {
        let Some(entry) = self.directory.entries.get(place) else { return Ok(T::default()) };
        let (part, offset) = (part_of(place, entry), entry.offset);
        let archive = self.archive(part, entry, &mut Buffers::default())?;
        validate::<ArchivedIndex>(&archive)
            .ok_or("it is no archive of an index")
            .and_then(|index| look(index, entry.extent))
            .map_err(|what| CheckpointError::Damaged { part, offset, what })
    }

    /// The file that a page lies in.
    fn reader_of(&self, entry: &Entry) -> Result<&R, CheckpointError> {
        let Some(sequence) = entry.file else { return Ok(&self.reader) };
        let place = self.directory.files.binary_search(&sequence);
        let file = place.ok().and_then(|place| self.earlier.get(place)?.as_ref());
        file.ok_or(CheckpointError::FileMissing { sequence })
    }

    /// Reads, checks and decompresses a page.
    fn archive(
        &self,
        part: Part,
        entry: &Entry,
        buffers: &mut Buffers,
    ) -> Result<AlignedVec, CheckpointError> {
        let offset = entry.offset;
        let damaged = |what| CheckpointError::Damaged { part, offset, what };
        let reader = self.reader_of(entry)?;
        // What lies in this file was compared with its length when it was opened.
        if entry.file.is_some() && entry.bytes > UNASKED_BYTES_MAX {
            let length = reader.len().map_err(|source| CheckpointError::Io { part, offset, source })?;
            if offset.saturating_add(u64::from(entry.bytes)) > length {
                return Err(damaged(ENDS));
            }
        }
        read(reader, part, offset, entry.bytes as usize, &mut buffers.bytes)?;
        self.pages_read.fetch_add(1, Ordering::Relaxed);
        let crc = page_crc(&self.header.history, entry.kind, entry.extent.range, &entry.hash, &buffers.bytes);
        if crc != entry.crc {
            return Err(damaged(CRC));
        }
        let archive = buffers.inflate(entry.raw_bytes as usize).map_err(damaged)?;
        if page_hash(&archive) == entry.hash { Ok(archive) } else { Err(damaged("it is of other content")) }
    }
}

const CRC: What = "its CRC does not match";
const ENDS: What = "its file ends in it";

/// A page by its place in the directory.
fn part_of(place: usize, entry: &Entry) -> Part {
    let page = u32::try_from(place).unwrap_or(u32::MAX);
    entry.file.map_or(Part::Page(page), |sequence| Part::SharedPage { page, sequence })
}

/// Reads a part. The length was checked to lie within the file, or is small.
fn read(
    reader: &impl ReadAt,
    part: Part,
    offset: u64,
    length: usize,
    bytes: &mut Vec<u8>,
) -> Result<(), CheckpointError> {
    bytes.clear();
    bytes.resize(length, 0);
    reader.read_exact_at(offset, bytes).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => CheckpointError::Damaged { part, offset, what: ENDS },
        _ => CheckpointError::Io { part, offset, source },
    })
}

/// The memory for the compressed bytes of one part, which who reads many pages allocates once.
#[derive(Default)]
pub(crate) struct Buffers {
    bytes: Vec<u8>,
    /// What a page was decompressed into that nobody needs any more.
    raw: AlignedVec,
}

thread_local! {
    /// One for each thread: making one takes longer than decompressing a small page.
    static DECOMPRESSOR: RefCell<Decompressor<'static>> = RefCell::default();
}

impl Buffers {
    /// Takes the memory of a page back for the next one.
    pub(crate) fn reuse(&mut self, page: Page) {
        self.raw = page.archive;
    }

    /// Decompresses bytes that are said to become this many. Allocates no more than that, and only once the compressed
    /// bytes themselves say the same.
    fn inflate(&mut self, raw_bytes: usize) -> Result<AlignedVec, What> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        if raw_bytes > INFLATED_BYTES_MAX {
            if self.bytes.len() != raw_bytes {
                return Err("it is too large to be compressed");
            }
            raw.extend_from_slice(&self.bytes);
            return Ok(raw);
        }
        if Decompressor::upper_bound(&self.bytes) != Some(raw_bytes) {
            return Err("its compressed bytes state another size");
        }
        raw.resize(raw_bytes, 0);
        let decompressed = DECOMPRESSOR.with_borrow_mut(|decompressor| {
            decompressor.decompress_to_buffer(&self.bytes, raw.as_mut_slice())
        });
        match decompressed {
            Ok(written) if written == raw_bytes => Ok(raw),
            Ok(_) => Err("it decompresses to another size"),
            Err(_) => Err("it does not decompress"),
        }
    }
}
