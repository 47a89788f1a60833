//! A flow to the bytes of a checkpoint.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use flow_history_flow::{Component, Flow, Slot};
use zstd::bulk::Compressor;

use crate::archive::Index;
use crate::columns::{Extent, PageWriter, weight};
use crate::crc::{attachment_crc, directory_crc, page_crc};
use crate::directory::{Directory, Entry, Kind, page_hash};
use crate::header::{CheckpointHeader, HEADER_BYTES};
use crate::index::{self, Pair};
use crate::limits::{
    ATTACHMENT_BYTES_MAX, FILES_MAX, INDEX_ENTRIES, INFLATED_BYTES_MAX, PAGE_BYTES, PAGE_BYTES_MAX,
    PAGES_MAX, SHARED_PAGE_BYTES_MAX, ZSTD_LEVEL,
};
use crate::range::{Range, cut};
use crate::{About, CheckpointError};

/// Columns shorter than this are compressed together with their neighbours.
const CUT_BYTES_MIN: usize = 256;

/// What a later checkpoint needs to know of an earlier one to share its pages: the directory, and no page. See
/// [`encode_after`].
#[derive(Clone, Debug)]
pub struct Basis {
    history: [u8; 16],
    sequence: u64,
    id_bits: u32,
    /// Each with the file that it lies in.
    directory: Directory,
}

impl Basis {
    pub(crate) fn new(header: &CheckpointHeader, directory: &Directory) -> Self {
        let within = |entry: &Entry| Entry { file: entry.file.or(Some(header.sequence)), ..*entry };
        let directory = Directory::of(directory.entries.iter().map(within).collect());
        Self { history: header.history, sequence: header.sequence, id_bits: header.id_bits, directory }
    }

    /// The sequence number of the checkpoint.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Leaves out the pages of files, those first that hold least, until a checkpoint may refer to the rest.
    fn bound(mut self) -> Self {
        let mut bytes: HashMap<u64, u64> = HashMap::new();
        for entry in &self.directory.entries {
            *bytes.entry(entry.file.unwrap_or_default()).or_default() += u64::from(entry.bytes);
        }
        let mut files: Vec<(u64, u64)> = bytes.into_iter().map(|(file, bytes)| (bytes, file)).collect();
        files.sort_unstable_by(|one, other| other.cmp(one));
        let kept: Vec<u64> = files.into_iter().take(FILES_MAX).map(|(_, file)| file).collect();
        self.directory.entries.retain(|entry| entry.file.is_some_and(|file| kept.contains(&file)));
        self
    }
}

/// Writes a flow as a checkpoint, with an attachment that this crate does not look into. All of its pages are in its own
/// file.
///
/// The bytes depend on nothing but the arguments and the version of zstd. Costs one walk over the flow, sorted by slot,
/// and one page of memory besides the result.
///
/// # Errors
/// [`CheckpointError::TooLarge`] for a component or an attachment over its limit, which a flow within the limits of a
/// change never has; [`CheckpointError::UnknownValue`] for a kind of value that the layout lacks.
pub fn encode(flow: &Flow, about: &About, attachment: &[u8]) -> Result<Vec<u8>, CheckpointError> {
    Encoder::new(about, None)?.encode(flow, attachment, &|_| true)
}

/// Writes a flow as a checkpoint that refers to an earlier one of the same history for the pages that did not change.
/// Neither file is of use without the other then; [`Checkpoint::refers_to`](crate::Checkpoint::refers_to) names all that
/// are needed, eight at most.
///
/// `touched` says whether anything in a range of slots may have changed since: a component set, moved, added or removed.
/// Where it says no the page is shared unseen, so that a wrong no makes a wrong checkpoint. Where it says yes the page is
/// made, and shared all the same if its content is that of the earlier one. Who does not know says yes.
///
/// A basis of another history, or one that is not earlier, is left alone.
///
/// # Errors
/// As [`encode`].
pub fn encode_after(
    flow: &Flow,
    about: &About,
    attachment: &[u8],
    basis: &Basis,
    touched: impl Fn(RangeInclusive<Slot>) -> bool,
) -> Result<Vec<u8>, CheckpointError> {
    let fits =
        basis.history == about.history && basis.directory.files.iter().all(|file| *file < about.sequence);
    let basis = fits.then(|| basis.clone().bound());
    Encoder::new(about, basis)?.encode(flow, attachment, &touched)
}

/// The file so far: room for the header, then pages.
struct Encoder<'a> {
    about: &'a About,
    basis: Option<Basis>,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    compressor: Compressor<'static>,
}

type Placed<'f> = (Slot, &'f Arc<Component>);

impl<'a> Encoder<'a> {
    fn new(about: &'a About, basis: Option<Basis>) -> Result<Self, CheckpointError> {
        let compressor = Compressor::new(ZSTD_LEVEL).map_err(compression)?;
        Ok(Self { about, basis, bytes: vec![0; HEADER_BYTES], entries: Vec::new(), compressor })
    }

    fn encode(
        mut self,
        flow: &Flow,
        attachment: &[u8],
        touched: &dyn Fn(RangeInclusive<Slot>) -> bool,
    ) -> Result<Vec<u8>, CheckpointError> {
        if attachment.len() > ATTACHMENT_BYTES_MAX {
            return Err(too_large("the attachment", ATTACHMENT_BYTES_MAX));
        }
        self.components(flow, touched)?;
        let id_bits = index::id_bits(flow.len(), self.basis.as_ref().map(|basis| basis.id_bits));
        self.index(Kind::Ids, &index::ids(flow, &self.about.history, id_bits))?;
        self.index(Kind::Children, &index::children(flow))?;
        self.finish(flow, attachment, id_bits)
    }

    fn before(&self, kind: Kind) -> Vec<Range> {
        let entries = self.basis.as_ref().map(|basis| basis.directory.of_kind(kind)).unwrap_or_default();
        entries.iter().map(|entry| entry.extent.range).collect()
    }

    fn components(
        &mut self,
        flow: &Flow,
        touched: &dyn Fn(RangeInclusive<Slot>) -> bool,
    ) -> Result<(), CheckpointError> {
        let mut components: Vec<Placed<'_>> = flow.iter().collect();
        components.sort_unstable_by_key(|(slot, _)| *slot);

        let untouched = self.untouched(&components, touched);
        let mut same = untouched.iter().peekable();
        let mut keys: Vec<(u32, usize)> = Vec::with_capacity(components.len());
        for (slot, component) in &components {
            while same.next_if(|entry| entry.extent.range.end() <= u64::from(slot.0)).is_some() {}
            let weight = match same.peek() {
                Some(entry) if entry.extent.range.holds(slot.0) => {
                    entry.raw_bytes as usize / (entry.extent.count as usize).max(1)
                }
                _ => weight(component, PAGE_BYTES),
            };
            keys.push((slot.0, weight));
        }
        let slot_of = |id: &str| flow.slot(id);
        for (range, places) in cut(&keys, PAGE_BYTES, &self.before(Kind::Components)) {
            let place = untouched.binary_search_by_key(&range.first, |entry| entry.extent.range.first);
            match place
                .ok()
                .and_then(|place| untouched.get(place))
                .filter(|entry| entry.extent.range == range)
            {
                Some(entry) => self.entries.push(*entry),
                None => self.page(range, components.get(places).unwrap_or_default(), &slot_of)?,
            }
        }
        Ok(())
    }

    /// The pages of the basis that are known to be as they were.
    fn untouched(
        &self,
        components: &[Placed<'_>],
        touched: &dyn Fn(RangeInclusive<Slot>) -> bool,
    ) -> Vec<Entry> {
        let before = self.basis.as_ref().map(|basis| basis.directory.of_kind(Kind::Components));
        let is_same = |entry: &&Entry| {
            let range = entry.extent.range;
            // Counting costs nothing and catches the worst of a wrong answer.
            let from = components.partition_point(|(slot, _)| slot.0 < range.first);
            let to = components.partition_point(|(slot, _)| u64::from(slot.0) < range.end());
            to - from == entry.extent.count as usize && !touched(range.slots())
        };
        before.unwrap_or_default().iter().filter(is_same).copied().collect()
    }

    /// Writes a page, or two where it turns out larger than pages are, and so on.
    fn page(
        &mut self,
        range: Range,
        components: &[Placed<'_>],
        slot_of: &dyn Fn(&str) -> Option<Slot>,
    ) -> Result<(), CheckpointError> {
        let mut pending = vec![(range, components)];
        while let Some((range, components)) = pending.pop() {
            if components.is_empty() {
                continue;
            }
            let mut writer = PageWriter::new(range.first, slot_of);
            for (slot, component) in components {
                writer.push(*slot, component)?;
            }
            let (page, count) = writer.finish();
            let lone = components.first().filter(|_| count == 1).map(|(_, component)| component.id.clone());
            let most = if count == 1 { PAGE_BYTES_MAX } else { SHARED_PAGE_BYTES_MAX };
            match page.to_archive().filter(|(archive, _)| archive.len() <= most) {
                Some((archive, cuts)) => {
                    self.write(Kind::Components, Extent { range, count }, &archive, cuts)?;
                }
                None => {
                    let over = CheckpointError::TooLarge { what: "the size", id: lone, max: PAGE_BYTES_MAX };
                    let [low, high] = range.halves().filter(|_| count > 1).ok_or(over)?;
                    let middle = components.partition_point(|(slot, _)| slot.0 < high.first);
                    let (below, above) = components.split_at_checked(middle).unwrap_or_default();
                    pending.extend([(high, above), (low, below)]);
                }
            }
        }
        Ok(())
    }

    fn index(&mut self, kind: Kind, pairs: &[Pair]) -> Result<(), CheckpointError> {
        let keys: Vec<(u32, usize)> = pairs.iter().map(|(key, _)| (*key, 1)).collect();
        for (range, places) in cut(&keys, INDEX_ENTRIES, &self.before(kind)) {
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let index = Index::of(range.first, pairs.get(places).unwrap_or_default());
            let (archive, cuts) =
                index.to_archive().ok_or_else(|| too_large("a page of an index", PAGE_BYTES_MAX))?;
            self.write(kind, Extent { range, count }, &archive, cuts)?;
        }
        Ok(())
    }

    /// Writes a page, or refers to the same page of the basis.
    fn write(
        &mut self,
        kind: Kind,
        extent: Extent,
        archive: &[u8],
        cuts: [usize; 3],
    ) -> Result<(), CheckpointError> {
        let hash = page_hash(archive);
        let raw_bytes = u32::try_from(archive.len()).map_err(|_| too_large("a page", PAGE_BYTES_MAX))?;
        let before = self.basis.as_ref().map(|basis| &basis.directory);
        let before = before.and_then(|before| before.entries.get(before.place_of(kind, extent.range.first)?));
        let same =
            |entry: &&Entry| entry.extent == extent && entry.hash == hash && entry.raw_bytes == raw_bytes;
        if let Some(entry) = before.filter(same) {
            self.entries.push(*entry);
            return Ok(());
        }
        let offset = self.bytes.len();
        self.compress(archive, cuts)?;
        let compressed = self.bytes.get(offset..).unwrap_or_default();
        let crc = page_crc(&self.about.history, kind, extent.range, &hash, compressed);
        let bytes = u32::try_from(compressed.len()).map_err(|_| too_large("a page", PAGE_BYTES_MAX))?;
        let offset = offset as u64;
        self.entries.push(Entry { offset, bytes, raw_bytes, crc, file: None, kind, extent, hash });
        Ok(())
    }

    /// Puts bytes behind the file so far, as zstd frames one behind the other, cut at these places. What is very large
    /// stays as it is.
    fn compress(&mut self, raw: &[u8], cuts: [usize; 3]) -> Result<(), CheckpointError> {
        if raw.len() > INFLATED_BYTES_MAX {
            self.bytes.extend_from_slice(raw);
            return Ok(());
        }
        let mut from = 0;
        for to in cuts.into_iter().chain([raw.len()]) {
            // What is left behind the last cut is never left out.
            let is_last = to == raw.len();
            if !is_last && (to < from + CUT_BYTES_MIN || raw.len() < to + CUT_BYTES_MIN) {
                continue;
            }
            let section = raw.get(from..to).unwrap_or_default();
            self.bytes.extend_from_slice(&self.compressor.compress(section).map_err(compression)?);
            from = to;
            if is_last {
                break;
            }
        }
        Ok(())
    }

    fn finish(mut self, flow: &Flow, attachment: &[u8], id_bits: u32) -> Result<Vec<u8>, CheckpointError> {
        let page_bytes = (self.bytes.len() - HEADER_BYTES) as u64;
        let pages = u32::try_from(self.entries.len()).ok().filter(|pages| *pages <= PAGES_MAX);
        let pages = pages.ok_or_else(|| too_large("the number of pages", PAGES_MAX as usize))?;
        let directory = Directory::of(std::mem::take(&mut self.entries));
        let directory_bytes = directory.to_bytes();
        self.bytes.extend_from_slice(&directory_bytes);
        let attachment_offset = self.bytes.len();
        self.compress(attachment, [0; 3])?;
        let compressed = self.bytes.get(attachment_offset..).unwrap_or_default();
        let narrow = |count: usize| {
            u32::try_from(count).map_err(|_| too_large("the attachment", ATTACHMENT_BYTES_MAX))
        };
        let header = CheckpointHeader {
            history: self.about.history,
            sequence: self.about.sequence,
            chain: self.about.chain,
            next_slot: flow.next_slot(),
            components: flow.len() as u64,
            pages,
            page_bytes,
            attachment_bytes: narrow(compressed.len())?,
            attachment_raw_bytes: narrow(attachment.len())?,
            files: narrow(directory.files.len())?,
            id_bits,
            directory_crc: directory_crc(self.about, &directory_bytes),
            attachment_crc: attachment_crc(self.about, compressed),
        };
        self.bytes.splice(..HEADER_BYTES, header.to_bytes());
        Ok(self.bytes)
    }
}

fn too_large(what: &'static str, max: usize) -> CheckpointError {
    CheckpointError::TooLarge { what, id: None, max }
}

fn compression(source: std::io::Error) -> CheckpointError {
    CheckpointError::Compression { source }
}
