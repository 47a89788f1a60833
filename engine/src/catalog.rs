//! The redb file that finds things. A hint for the writer's process, never a truth: any doubt, and it is made anew.

use std::io;
use std::sync::Arc;

use flow_history_flow::mistake;
use flow_history_replay::{FileName, Log, Seq, State, read_up_to};
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, StorageBackend, TableDefinition};

use crate::storage::Storage;

/// Segment number to the sequence number of its first entry.
const SEGMENTS: TableDefinition<u64, u64> = TableDefinition::new("segments");
/// Sequence number of a checkpoint to its size in bytes.
const CHECKPOINTS: TableDefinition<u64, u64> = TableDefinition::new("checkpoints");
/// Label to the sequence number of the version that it names.
const LABELS: TableDefinition<&str, u64> = TableDefinition::new("labels");
/// Component id to its slot, of the components alive at the watermark.
const SLOTS: TableDefinition<&str, u32> = TableDefinition::new("slots");
/// Log time to the sequence number of the checkpoint at that time.
const TIMES: TableDefinition<i64, u64> = TableDefinition::new("times");
/// What the catalog is of: the history's id in two halves, and the sequence number that it was brought up to.
const ABOUT: TableDefinition<&str, u64> = TableDefinition::new("about");

/// Pages that redb may keep in memory.
const CACHE_BYTES: usize = 256 << 10;
/// A larger file is not looked at: nothing depends on it.
const LOOK_BYTES_MAX: u64 = 64 << 20;

/// redb over the same storage as everything else, so that the same faults can be tried on it.
#[derive(Clone)]
struct Backend {
    storage: Arc<dyn Storage>,
    file: String,
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backend").field("file", &self.file).finish()
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.storage.len(&self.file)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match read_up_to(&*self.storage, &self.file, offset, out)? {
            count if count == out.len() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.storage.set_len(&self.file, length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.storage.sync(&self.file)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        crate::storage::write_all(&*self.storage, &self.file, offset, data)
    }
}

/// A copy of the file in memory. redb writes to what it opens, and syncs it several times, if only to note that it is open;
/// whoever looks at a catalog changes nothing.
#[derive(Debug)]
struct Copied {
    bytes: Mutex<Vec<u8>>,
    /// The most bytes that it may become, whatever the file says of itself.
    most: usize,
}

impl Copied {
    fn of(file: &Backend) -> io::Result<Self> {
        let length = Some(file.len()?).filter(|length| *length <= LOOK_BYTES_MAX);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let mut bytes = vec![0; length.ok_or(io::ErrorKind::FileTooLarge)?];
        file.read(0, &mut bytes)?;
        Ok(Self { most: 2 * bytes.len(), bytes: Mutex::new(bytes) })
    }

    /// Where so many bytes from an offset lie.
    fn range(offset: u64, count: usize) -> io::Result<std::ops::Range<usize>> {
        let begin = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        Ok(begin..begin.checked_add(count).ok_or(io::ErrorKind::UnexpectedEof)?)
    }
}

impl StorageBackend for Copied {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.lock();
        out.copy_from_slice(bytes.get(Self::range(offset, out.len())?).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.most);
        self.bytes.lock().resize(length.ok_or(io::ErrorKind::FileTooLarge)?, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.lock();
        let place = bytes.get_mut(Self::range(offset, data.len())?);
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}

fn of(error: impl std::error::Error) -> String {
    error.to_string()
}

fn words(history: [u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(history);
    #[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
    ((number >> 64) as u64, number as u64)
}

/// Makes the catalog anew: aside, then in place of the one before. Why it could not be is told in words; nothing depends
/// on it.
pub(crate) fn rebuild(
    storage: &Arc<dyn Storage>,
    log: &Log,
    state: &State,
    checkpoints: &[(Seq, u64)],
) -> Result<(), String> {
    let name = FileName::Catalog.to_string();
    let aside = format!("{name}.tmp");
    crate::storage::create_anew(&**storage, &aside).map_err(|failed| failed.source.to_string())?;
    let backend = Backend { storage: Arc::clone(storage), file: aside.clone() };
    let built = fill(backend, log, state, checkpoints);
    if built.is_err() {
        let _ = storage.remove(&aside);
        return built;
    }
    storage.rename(&aside, &name).map_err(of)?;
    storage.sync_directory().map_err(of)
}

fn fill(backend: Backend, log: &Log, state: &State, checkpoints: &[(Seq, u64)]) -> Result<(), String> {
    let database =
        Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(of)?;
    let writing = database.begin_write().map_err(of)?;
    {
        let mut segments = writing.open_table(SEGMENTS).map_err(of)?;
        for segment in log.segments() {
            segments.insert(segment.header.number, segment.header.first_seq.0).map_err(of)?;
        }
        let mut kept = writing.open_table(CHECKPOINTS).map_err(of)?;
        for (seq, bytes) in checkpoints {
            kept.insert(seq.0, bytes).map_err(of)?;
        }
        let mut labels = writing.open_table(LABELS).map_err(of)?;
        for (label, seq) in &state.marks.labels {
            labels.insert(&**label, seq.0).map_err(of)?;
        }
        let mut slots = writing.open_table(SLOTS).map_err(of)?;
        for (slot, component) in state.flow.iter() {
            slots.insert(component.id.as_str(), slot.0).map_err(of)?;
        }
        let mut times = writing.open_table(TIMES).map_err(of)?;
        times.insert(state.log_time, state.seq.0).map_err(of)?;
        let mut about = writing.open_table(ABOUT).map_err(of)?;
        let (high, low) = words(state.history.0);
        about.insert("history.high", high).map_err(of)?;
        about.insert("history.low", low).map_err(of)?;
        about.insert("watermark", state.seq.0).map_err(of)?;
    }
    writing.commit().map_err(of)?;
    database.close().map_err(of)
}

/// What a catalog says it was brought up to; nothing where there is no catalog, or none that can be believed: it is made anew
/// when it is due.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Watermark(Option<UpTo>);

/// A history's id in two halves, and a version.
type UpTo = ((u64, u64), Seq);

impl Watermark {
    /// Reads it, with redb's check of the whole file, of which this makes a copy.
    pub(crate) fn read(storage: &Arc<dyn Storage>) -> Self {
        let file = Backend { storage: Arc::clone(storage), file: FileName::Catalog.to_string() };
        let Ok(backend) = Copied::of(&file) else { return Self::default() };
        // redb reads what others wrote; whatever it makes of a damaged file, a host must not go down with it.
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read_watermark(backend)));
        Self(read.ok().and_then(|read| read.ok().flatten()))
    }

    /// The version up to which it knows this history.
    pub(crate) fn of(self, history: [u8; 16]) -> Option<Seq> {
        if mistake::is_made("a catalog that is ahead of the log is passed over") {
            return None;
        }
        self.0.filter(|(of, _)| *of == words(history)).map(|(_, seq)| seq)
    }
}

fn read_watermark(backend: Copied) -> Result<Option<UpTo>, String> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(of)?;
    let reading = database.begin_read().map_err(of)?;
    let about = reading.open_table(ABOUT).map_err(of)?;
    let number = |key: &str| about.get(key).map(|held| held.map(|held| held.value())).map_err(of);
    let history = number("history.high")?.zip(number("history.low")?);
    Ok(history.zip(number("watermark")?.map(Seq)))
}
