//! A flow to the bytes of a checkpoint.

use std::sync::Arc;

use flow_history_flow::{Component, Flow, Slot};
use zstd::bulk::Compressor;

use crate::columns::{Extent, PageWriter, fills_a_page};
use crate::crc::Salt;
use crate::directory::{Entry, directory_to_bytes};
use crate::header::{CheckpointHeader, HEADER_BYTES};
use crate::limits::{ATTACHMENT_BYTES_MAX, PAGE_BYTES_MAX, PAGES_MAX, ZSTD_LEVEL};
use crate::{About, CheckpointError, Part};

/// Writes a flow as a checkpoint, with an attachment that this crate does not look into.
///
/// The bytes depend on nothing but the arguments and the version of zstd. Costs one walk over the flow, sorted by slot,
/// and one page of memory besides the result.
///
/// # Errors
/// [`CheckpointError::TooLarge`] for a component or an attachment over its limit, which a flow within the limits of a
/// change never has; [`CheckpointError::UnknownValue`] for a kind of value that the layout lacks.
pub fn encode(flow: &Flow, about: &About, attachment: &[u8]) -> Result<Vec<u8>, CheckpointError> {
    if attachment.len() > ATTACHMENT_BYTES_MAX {
        return Err(too_large("the attachment", ATTACHMENT_BYTES_MAX));
    }
    let mut components: Vec<(Slot, &Arc<Component>)> = flow.iter().collect();
    components.sort_unstable_by_key(|(slot, _)| *slot);

    let mut pages = Pages::new(about)?;
    let mut page = PageWriter::default();
    for (slot, component) in components {
        let alone = fills_a_page(component);
        if alone && !page.is_empty() {
            pages.write(std::mem::take(&mut page))?;
        }
        page.push(slot, component)?;
        if alone || page.is_full() {
            pages.write(std::mem::take(&mut page))?;
        }
    }
    if !page.is_empty() {
        pages.write(page)?;
    }
    pages.finish(flow, about, attachment)
}

/// The file so far: room for the header, then pages.
struct Pages {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    salt: Salt,
    compressor: Compressor<'static>,
}

impl Pages {
    fn new(about: &About) -> Result<Self, CheckpointError> {
        let compressor = Compressor::new(ZSTD_LEVEL).map_err(compression)?;
        Ok(Self { bytes: vec![0; HEADER_BYTES], entries: Vec::new(), salt: Salt::new(about), compressor })
    }

    fn write(&mut self, page: PageWriter) -> Result<(), CheckpointError> {
        let page = page.finish();
        let (Some(first), Some(last)) = (page.slots.first(), page.slots.last()) else { return Ok(()) };
        let over = || too_large("a page", PAGE_BYTES_MAX);
        let archive = page.to_archive().filter(|archive| archive.len() <= PAGE_BYTES_MAX).ok_or_else(over)?;
        let compressed = self.compressor.compress(&archive).map_err(compression)?;
        let number = u32::try_from(self.entries.len()).ok().filter(|number| *number < PAGES_MAX);
        let number = number.ok_or_else(|| too_large("the number of pages", PAGES_MAX as usize))?;
        let narrow = |length: usize| u32::try_from(length).map_err(|_| over());
        self.entries.push(Entry {
            offset: self.bytes.len() as u64,
            bytes: narrow(compressed.len())?,
            raw_bytes: narrow(archive.len())?,
            crc: self.salt.crc(Part::Page(number), &compressed),
            extent: Extent { first: Slot(*first), last: Slot(*last), components: narrow(page.slots.len())? },
        });
        self.bytes.extend_from_slice(&compressed);
        Ok(())
    }

    fn finish(mut self, flow: &Flow, about: &About, attachment: &[u8]) -> Result<Vec<u8>, CheckpointError> {
        let page_bytes = (self.bytes.len() - HEADER_BYTES) as u64;
        let directory = directory_to_bytes(&self.entries);
        let compressed = self.compressor.compress(attachment).map_err(compression)?;
        let narrow = |count: usize| {
            u32::try_from(count).map_err(|_| too_large("the attachment", ATTACHMENT_BYTES_MAX))
        };
        let header = CheckpointHeader {
            history: about.history,
            sequence: about.sequence,
            chain: about.chain,
            next_slot: flow.next_slot(),
            components: flow.len() as u64,
            pages: narrow(self.entries.len())?,
            page_bytes,
            attachment_bytes: narrow(compressed.len())?,
            attachment_raw_bytes: narrow(attachment.len())?,
            directory_crc: self.salt.crc(Part::Directory, &directory),
            attachment_crc: self.salt.crc(Part::Attachment, &compressed),
        };
        self.bytes.extend_from_slice(&directory);
        self.bytes.extend_from_slice(&compressed);
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
