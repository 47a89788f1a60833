//! Automerge: a map of maps in memory; a version is the heads after a change. It keeps nothing on a disk itself: durable,
//! what is new after each change is a synced frame; buffered, it is saved when that is asked for.

use std::path::{Path, PathBuf};

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{
    ActorId, AutoCommit, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value, hydrate,
};

use super::framed::Framed;
use super::{Failure, Kind, Outcome, Peer, Store, broken};
use crate::plain::{Change, PlainChange, PlainComponent, PlainFlow, PlainOperation, PlainValue};

const KIND: &str = "#kind";
const PARENT: &str = "#parent";

/// Automerge.
pub(super) struct Automerge;

impl Peer for Automerge {
    fn name(&self) -> &'static str {
        "Automerge"
    }

    fn about(&self) -> String {
        "0.12; a map of maps, a change of its own for each of ours, with time and author; all of it always in memory".to_owned()
    }

    fn gives(&self) -> &'static str {
        "merging of what several people edited apart, rich text, a protocol to sync"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        match row {
            "durable_1" => Some("save_incremental after each change, a frame in a file, synced"),
            "undo" => Some("inverse by the component before; what is new a frame in a file, synced"),
            "buffered" => Some("commit in memory, nothing written"),
            "open_after_kill" => Some("load of what was saved"),
            "replay" => Some("load of what was saved, and all of its value"),
            _ => None,
        }
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(path).map_err(broken)?;
        let mut doc = load(path)?;
        doc.set_actor(ActorId::from(&b"writer"[..]));
        let framed = match kind {
            Kind::Durable => Some(Framed::open(&path.join("updates"))?),
            Kind::Buffered => None,
        };
        // What is new counts from here.
        doc.save_incremental();
        Ok(Box::new(AutomergeStore { doc, heads: None, last: None, framed, path: path.to_owned() }))
    }
}

struct AutomergeStore {
    doc: AutoCommit,
    /// The change of each version, looked up once they are asked for.
    heads: Option<Vec<ChangeHash>>,
    last: Option<PlainChange>,
    framed: Option<Framed>,
    path: PathBuf,
}

fn load(path: &Path) -> Outcome<AutoCommit> {
    let mut doc = match std::fs::read(path.join("document")) {
        Ok(bytes) => AutoCommit::load(&bytes).map_err(broken)?,
        Err(_) => AutoCommit::new(),
    };
    Framed::read(&path.join("updates"), |frame| doc.load_incremental(frame).map(|_| ()).map_err(broken))?;
    Ok(doc)
}

fn scalar_of(value: &PlainValue) -> ScalarValue {
    match value {
        PlainValue::Text(text) => ScalarValue::from(text.as_str()),
        PlainValue::Integer(number) => ScalarValue::Int(*number),
    }
}

fn component_of(value: &hydrate::Value) -> PlainComponent {
    let mut component = PlainComponent::default();
    let hydrate::Value::Map(fields) = value else { return component };
    for (name, value) in fields.iter() {
        match (name.as_str(), &value.value) {
            (KIND, hydrate::Value::Scalar(ScalarValue::Str(kind))) => component.kind = kind.to_string(),
            (PARENT, hydrate::Value::Scalar(ScalarValue::Str(parent))) => {
                component.parent = parent.to_string();
            }
            (name, hydrate::Value::Scalar(ScalarValue::Str(text))) => {
                component.put(name, PlainValue::Text(text.to_string()));
            }
            (name, hydrate::Value::Scalar(ScalarValue::Int(number))) => {
                component.put(name, PlainValue::Integer(*number));
            }
            _ => {}
        }
    }
    component
}

impl AutomergeStore {
    fn all_heads(&mut self) -> &mut Vec<ChangeHash> {
        let doc = &mut self.doc;
        self.heads.get_or_insert_with(|| doc.get_changes(&[]).iter().map(automerge::Change::hash).collect())
    }

    fn heads_of(&mut self, version: u64) -> Outcome<[ChangeHash; 1]> {
        let at = usize::try_from(version).ok().and_then(|version| version.checked_sub(1));
        let head = at.and_then(|at| self.all_heads().get(at).copied());
        Ok([head.ok_or_else(|| Failure::Broke(format!("there is no version {version}")))?])
    }

    fn object(&self, id: &str) -> Outcome<ObjId> {
        match self.doc.get(ROOT, id).map_err(broken)? {
            Some((Value::Object(ObjType::Map), object)) => Ok(object),
            _ => Err(Failure::Broke(format!("{id} is not there"))),
        }
    }

    fn component_at(&mut self, version: u64, id: &str) -> Outcome<Option<PlainComponent>> {
        let heads = self.heads_of(version)?;
        let Some((_, object)) = self.doc.get_at(ROOT, id, &heads).map_err(broken)? else { return Ok(None) };
        let value = self.doc.hydrate(&object, Some(&heads)).map_err(broken)?;
        Ok(Some(component_of(&value)))
    }

    fn put(&mut self, change: &PlainChange) -> Outcome<()> {
        for operation in &change.operations {
            match operation {
                PlainOperation::Add(id, component) => {
                    let object = self.doc.put_object(ROOT, id, ObjType::Map).map_err(broken)?;
                    self.doc.put(&object, KIND, component.kind.as_str()).map_err(broken)?;
                    if !component.parent.is_empty() {
                        self.doc.put(&object, PARENT, component.parent.as_str()).map_err(broken)?;
                    }
                    for (name, value) in &component.fields {
                        self.doc.put(&object, name, scalar_of(value)).map_err(broken)?;
                    }
                }
                PlainOperation::Set(id, field, value) => {
                    let object = self.object(id)?;
                    self.doc.put(&object, field, scalar_of(value)).map_err(broken)?;
                }
                PlainOperation::Remove(id) => self.doc.delete(ROOT, id.as_str()).map_err(broken)?,
            }
        }
        let options =
            CommitOptions::default().with_message(change.author.to_string()).with_time(change.millis / 1_000);
        let head = self.doc.commit_with(options);
        let head = head.ok_or_else(|| Failure::Broke("a change changed nothing".to_owned()))?;
        if let Some(heads) = &mut self.heads {
            heads.push(head);
        }
        if let Some(framed) = &mut self.framed {
            framed.append(&self.doc.save_incremental())?;
        }
        self.last = Some(change.clone());
        Ok(())
    }

    fn save(&mut self) -> Outcome<()> {
        let aside = self.path.join("aside");
        std::fs::write(&aside, self.doc.save()).map_err(broken)?;
        std::fs::File::open(&aside).and_then(|file| file.sync_all()).map_err(broken)?;
        std::fs::rename(aside, self.path.join("document")).map_err(broken)?;
        match std::fs::remove_file(self.path.join("updates")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(broken(error)),
            _ => Ok(()),
        }
    }
}

impl Store for AutomergeStore {
    fn newest(&mut self) -> Outcome<u64> {
        Ok(self.all_heads().len() as u64)
    }

    fn append(&mut self, change: Change) -> Outcome<()> {
        self.put(&change.plain)
    }

    fn component(&mut self, version: u64, id: &str) -> Outcome<bool> {
        Ok(std::hint::black_box(self.component_at(version, id)?).is_some())
    }

    fn flow(&mut self, version: u64) -> Outcome<usize> {
        let heads = self.heads_of(version)?;
        match std::hint::black_box(self.doc.hydrate(ROOT, Some(&heads)).map_err(broken)?) {
            hydrate::Value::Map(flow) => Ok(flow.iter().count()),
            _ => Ok(0),
        }
    }

    fn difference(&mut self, before: u64, after: u64) -> Outcome<usize> {
        let (before, after) = (self.heads_of(before)?, self.heads_of(after)?);
        Ok(std::hint::black_box(self.doc.diff(&before, &after)).len())
    }

    fn undo(&mut self) -> Outcome<()> {
        let last = self.last.clone();
        let last = last.ok_or_else(|| Failure::Broke("there is nothing to undo".to_owned()))?;
        let before = self.newest()? - 1;
        let mut components = PlainFlow::new();
        for id in last.touched() {
            if let Some(component) = self.component_at(before, id)? {
                components.insert(id.to_owned(), component);
            }
        }
        self.put(&last.inverse(|id| components.get(id).cloned()))
    }

    fn component_log(&mut self, _id: &str, _limit: usize) -> Outcome<usize> {
        Err(Failure::Cannot("it has no index of the changes of an object"))
    }

    fn log_page(&mut self, limit: usize) -> Outcome<usize> {
        let newest: Vec<ChangeHash> = self.all_heads().iter().rev().take(limit).copied().collect();
        let changes: Vec<_> = newest.iter().filter_map(|hash| self.doc.get_change_by_hash(hash)).collect();
        Ok(std::hint::black_box(changes).len())
    }

    fn replay(&mut self) -> Outcome<u64> {
        let mut doc = load(&self.path)?;
        std::hint::black_box(doc.hydrate(ROOT, None).map_err(broken)?);
        Ok(doc.get_changes_meta(&[]).len() as u64)
    }

    fn contents(&mut self, version: u64) -> Outcome<PlainFlow> {
        let heads = self.heads_of(version)?;
        let hydrate::Value::Map(flow) = self.doc.hydrate(ROOT, Some(&heads)).map_err(broken)? else {
            return Ok(PlainFlow::new());
        };
        Ok(flow.iter().map(|(id, value)| (id.clone(), component_of(&value.value))).collect())
    }

    fn flush(&mut self) -> Outcome<()> {
        match self.framed {
            Some(_) => Ok(()),
            None => self.save(),
        }
    }

    fn close(mut self: Box<Self>) -> Outcome<()> {
        self.save()
    }
}
