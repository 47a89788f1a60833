//! Loro: a map of maps in memory; a version is the frontier after a change. It keeps nothing on a disk itself: durable, each
//! change's update is a synced frame; buffered, its snapshot is written when that is asked for.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use loro::{
    Container, ExportMode, Frontiers, ID, LoroDoc, LoroMap, LoroValue, UndoManager, ValueOrContainer,
    VersionVector,
};

use super::framed::Framed;
use super::{Failure, Kind, Outcome, Peer, Store, broken};
use crate::plain::{Change, PlainChange, PlainComponent, PlainFlow, PlainOperation, PlainValue};

/// One peer writes, always the same.
const WRITER: u64 = 1;
const KIND: &str = "#kind";
const PARENT: &str = "#parent";

/// Loro, as it comes or with a change of its own for each of ours.
pub(super) struct Loro {
    /// Whether who and when of each change is kept, as we keep them.
    pub(super) entries: bool,
}

impl Peer for Loro {
    fn name(&self) -> &'static str {
        if self.entries { "Loro (per change)" } else { "Loro" }
    }

    fn is_variant(&self) -> bool {
        self.entries
    }

    fn about(&self) -> String {
        let how = if self.entries {
            "a change of its own for each of ours, with time and author"
        } else {
            "changes within 1,000 s are merged, as it comes, its best for size: who and when of each is not kept"
        };
        format!("{}; a map of maps; {how}; its current flow is always in memory", loro::LORO_VERSION)
    }

    fn gives(&self) -> &'static str {
        "merging of what several people edited apart, rich text, trees, lists that move"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "durable_1" => Some("each update a frame in a file, synced"),
            "undo" => Some("its UndoManager; the update a frame in a file, synced"),
            "buffered" => Some("commit in memory, nothing written"),
            "component" | "flow" => Some("checkout of the frontier that was kept for the version"),
            "open_after_kill" => Some("import of its snapshot"),
            "replay" => Some("import of its snapshot, and all of its value"),
            "bytes_per_change" => Some("snapshot, and 4 bytes a version for its frontier"),
            _ => None,
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(path).map_err(broken)?;
        let (doc, ends) = load(path)?;
        doc.set_peer_id(WRITER).map_err(broken)?;
        if self.entries {
            doc.set_change_merge_interval(0);
            doc.set_record_timestamp(true);
        }
        let undo = (kind == Kind::Durable && !ends.is_empty()).then(|| undo_of(&doc));
        let framed = match kind {
            Kind::Durable => Some(Framed::open(&path.join("updates"))?),
            Kind::Buffered => None,
        };
        let exported = doc.oplog_vv();
        let entries = self.entries;
        Ok(Box::new(LoroStore { doc, ends, undo, framed, exported, entries, path: path.to_owned() }))
    }
}

struct LoroStore {
    doc: LoroDoc,
    /// The last operation of each version.
    ends: Vec<i32>,
    undo: Option<UndoManager>,
    framed: Option<Framed>,
    /// What is in the file of frames.
    exported: VersionVector,
    entries: bool,
    path: PathBuf,
}

/// The document of a directory, and where its versions end.
fn load(path: &Path) -> Outcome<(LoroDoc, Vec<i32>)> {
    let doc = LoroDoc::new();
    let mut ends = Vec::new();
    if let Ok(snapshot) = std::fs::read(path.join("snapshot")) {
        doc.import(&snapshot).map_err(broken)?;
        let versions = std::fs::read(path.join("versions")).map_err(broken)?;
        ends.extend(versions.chunks_exact(4).filter_map(|end| Some(i32::from_le_bytes(*end.first_chunk()?))));
    }
    let mut updates = Vec::new();
    Framed::read(&path.join("updates"), |frame| {
        let Some((end, update)) = frame.split_first_chunk() else { return Ok(()) };
        ends.push(i32::from_le_bytes(*end));
        updates.push(update.to_vec());
        Ok(())
    })?;
    if !updates.is_empty() {
        doc.import_batch(&updates).map_err(broken)?;
    }
    Ok((doc, ends))
}

fn undo_of(doc: &LoroDoc) -> UndoManager {
    let mut undo = UndoManager::new(doc);
    undo.set_merge_interval(0);
    undo
}

fn value_of(value: &PlainValue) -> LoroValue {
    match value {
        PlainValue::Text(text) => LoroValue::from(text.as_str()),
        PlainValue::Integer(number) => LoroValue::I64(*number),
    }
}

/// A component as it stands in a deep value.
fn component_of(fields: &LoroValue) -> PlainComponent {
    let mut component = PlainComponent::default();
    let LoroValue::Map(fields) = fields else { return component };
    for (name, value) in fields.iter() {
        match (name.as_str(), value) {
            (KIND, LoroValue::String(kind)) => component.kind = kind.to_string(),
            (PARENT, LoroValue::String(parent)) => component.parent = parent.to_string(),
            (name, LoroValue::String(text)) => component.put(name, PlainValue::Text(text.to_string())),
            (name, LoroValue::I64(number)) => component.put(name, PlainValue::Integer(*number)),
            _ => {}
        }
    }
    component
}

impl LoroStore {
    fn flow_map(&self) -> LoroMap {
        self.doc.get_map("flow")
    }

    fn component_map(&self, id: &str) -> Option<LoroMap> {
        match self.flow_map().get(id) {
            Some(ValueOrContainer::Container(Container::Map(map))) => Some(map),
            _ => None,
        }
    }

    fn frontiers(&self, version: u64) -> Outcome<Frontiers> {
        let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let end = at.and_then(|at| self.ends.get(at));
        let end = end.ok_or_else(|| Failure::Broke(format!("there is no version {version}")))?;
        Ok(Frontiers::from_id(ID::new(WRITER, *end)))
    }

    fn checkout(&self, version: u64) -> Outcome<()> {
        self.doc.checkout(&self.frontiers(version)?).map_err(broken)
    }

    fn attach(&self) {
        if self.doc.is_detached() {
            self.doc.checkout_to_latest();
        }
    }

    fn apply(&self, change: &PlainChange) -> Outcome<()> {
        for operation in &change.operations {
            match operation {
                PlainOperation::Add(id, component) => {
                    let map = self.flow_map().insert_container(id, LoroMap::new()).map_err(broken)?;
                    map.insert(KIND, component.kind.as_str()).map_err(broken)?;
                    if !component.parent.is_empty() {
                        map.insert(PARENT, component.parent.as_str()).map_err(broken)?;
                    }
                    for (name, value) in &component.fields {
                        map.insert(name, value_of(value)).map_err(broken)?;
                    }
                }
                PlainOperation::Set(id, field, value) => {
                    let map = self.component_map(id);
                    let map = map.ok_or_else(|| Failure::Broke(format!("{id} is not there")))?;
                    map.insert(field, value_of(value)).map_err(broken)?;
                }
                PlainOperation::Remove(id) => self.flow_map().delete(id).map_err(broken)?,
            }
        }
        if self.entries {
            self.doc.set_next_commit_message(&change.author.to_string());
            self.doc.set_next_commit_timestamp(change.millis / 1_000);
        }
        self.doc.commit();
        Ok(())
    }

    /// A version ends here; durable, what is new goes to the file.
    fn end_version(&mut self) -> Outcome<()> {
        let end = self.doc.oplog_frontiers().as_single().map_or(-1, |id| id.counter);
        self.ends.push(end);
        if let Some(framed) = &mut self.framed {
            let from = Cow::Borrowed(&self.exported);
            let update = self.doc.export(ExportMode::Updates { from }).map_err(broken)?;
            let mut frame = end.to_le_bytes().to_vec();
            frame.extend_from_slice(&update);
            framed.append(&frame)?;
            self.exported = self.doc.oplog_vv();
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Outcome<()> {
        let aside = self.path.join("aside");
        std::fs::write(&aside, bytes).map_err(broken)?;
        std::fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(broken)?;
        std::fs::rename(aside, self.path.join(name)).map_err(broken)
    }

    /// Writes all of it, and drops the frames that are in it.
    fn save(&self) -> Outcome<()> {
        self.attach();
        let ends: Vec<u8> = self.ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        self.write("versions", &ends)?;
        self.write("snapshot", &self.doc.export(ExportMode::Snapshot).map_err(broken)?)?;
        match std::fs::remove_file(self.path.join("updates")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(broken(error)),
            _ => Ok(()),
        }
    }
}

impl Store for LoroStore {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.ends.len() as u64)
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        if self.doc.is_detached() {
            self.attach();
            // What it knew to undo it forgets with a checkout.
            self.undo = self.undo.take().map(|_| undo_of(&self.doc));
        }
        self.apply(&change.plain)?;
        self.end_version()
    }

    fn component(&mut self, version: u64, id: &str) -> Outcome<bool> {
        self.checkout(version)?;
        let component = self.component_map(id).map(|map| component_of(&map.get_deep_value()));
        Ok(std::hint::black_box(component).is_some())
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        self.checkout(version)?;
        match std::hint::black_box(self.flow_map().get_deep_value()) {
            LoroValue::Map(flow) => Ok(flow.len()),
            _ => Ok(0),
        }
    }

    fn difference(&mut self, before: u64, after: u64) -> Outcome<usize> {
        let (before, after) = (self.frontiers(before)?, self.frontiers(after)?);
        let difference = self.doc.diff(&before, &after).map_err(broken)?;
        Ok(std::hint::black_box(difference).iter().count())
    }

    fn undo(&mut self) -> Outcome<()> {
        self.attach();
        let undo =
            self.undo.as_mut().ok_or_else(|| Failure::Broke("it was not opened to undo".to_owned()))?;
        if !undo.undo().map_err(broken)? {
            return Err(Failure::Broke("it says that there is nothing to undo".to_owned()));
        }
        self.doc.commit();
        self.end_version()
    }

    fn component_log(&mut self, _id: &str, _limit: usize) -> Outcome<usize> {
        Err(Failure::Cannot("it has no index of the changes of a container"))
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        if !self.entries {
            return Err(Failure::Cannot("it merges changes that lie close together"));
        }
        self.attach();
        let newest = self.doc.oplog_frontiers().to_vec();
        let mut found = Vec::new();
        self.doc
            .travel_change_ancestors(&newest, &mut |change| {
                found.push((change.timestamp, change.message().to_owned()));
                if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(broken)?;
        Ok(std::hint::black_box(found).len())
    }

    fn replay(&mut self) -> Outcome<u64> {
        let (doc, ends) = load(&self.path)?;
        std::hint::black_box(doc.get_deep_value());
        Ok(ends.len() as u64)
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        self.checkout(version)?;
        let LoroValue::Map(flow) = self.flow_map().get_deep_value() else { return Ok(PlainFlow::new()) };
        Ok(flow.iter().map(|(id, fields)| (id.clone(), component_of(fields))).collect())
    }

    fn flush(&mut self) -> Outcome<()> {
        match self.framed {
            Some(_) => Ok(()),
            None => self.save(),
        }
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.save()
    }
}
