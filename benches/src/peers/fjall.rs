//! fjall: three keyspaces, a batch for each change.

use std::path::Path;

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::keyed::{Each, Keyed, KeyedStore, Put, Putter, adapter, touch_key, version_of};
use super::{Kind, Outcome, Peer, Store, broken};

const CACHE_BYTES: u64 = 256 << 20;

/// fjall.
pub(super) struct Fjall;

impl Peer for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn about(&self) -> String {
        "3.1; journal without compression, SyncData where durable, Buffer where buffered; a cache of 256 MiB; versions are \
         given out under a lock, since it has no transaction here that could"
            .to_owned()
    }

    fn gives(&self) -> &'static str {
        "more data than memory at the same rate of writing, blobs apart, snapshots"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        let database = Database::builder(path)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .open()
            .map_err(broken)?;
        let keyspace = |name: &str| database.keyspace(name, KeyspaceCreateOptions::default).map_err(broken);
        let tables = Keyspaces {
            changes: keyspace("changes")?,
            touches: keyspace("touches")?,
            checkpoints: keyspace("checkpoints")?,
            database: database.clone(),
            kind,
        };
        KeyedStore::open(Box::new(tables), kind)
    }
}

#[derive(Clone)]
struct Keyspaces {
    database: Database,
    changes: Keyspace,
    touches: Keyspace,
    checkpoints: Keyspace,
    kind: Kind,
}

impl Keyspaces {
    fn newest_version(&self) -> Outcome<u64> {
        match self.changes.last_key_value() {
            None => Ok(0),
            Some(guard) => Ok(version_of(&guard.key().map_err(broken)?)),
        }
    }

    fn put_all(&self, first: u64, puts: Vec<Put>) -> Outcome<()> {
        let mode = match self.kind {
            Kind::Durable => PersistMode::SyncData,
            Kind::Buffered => PersistMode::Buffer,
        };
        let mut batch = self.database.batch().durability(Some(mode));
        for (version, put) in (first..).zip(puts) {
            batch.insert(&self.changes, version.to_be_bytes(), put.bytes);
            for (id, part) in put.touched {
                batch.insert(&self.touches, touch_key(&id, version), part);
            }
            if let Some(checkpoint) = put.checkpoint {
                batch.insert(&self.checkpoints, version.to_be_bytes(), checkpoint);
            }
        }
        batch.commit().map_err(broken)
    }
}

impl Keyed for Keyspaces {
    fn newest(&mut self) -> Outcome<u64> {
        self.newest_version()
    }

    fn put(&mut self, first: u64, puts: Vec<Put>) -> Outcome<()> {
        self.put_all(first, puts)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let turn = std::sync::Arc::new(std::sync::Mutex::new(self.newest_version()?));
        let putter = |_| -> Putter {
            let (tables, turn) = (self.clone(), std::sync::Arc::clone(&turn));
            Box::new(move |one| {
                let mut newest = turn.lock().map_err(broken)?;
                *newest += 1;
                tables.put_all(*newest, vec![one])
            })
        };
        Ok((0..count).map(putter).collect())
    }

    fn changes(&mut self, from: u64, to: u64, each: Each<'_, ()>) -> Outcome<()> {
        if from > to {
            return Ok(());
        }
        for guard in self.changes.range(from.to_be_bytes()..=to.to_be_bytes()) {
            let (version, change) = guard.into_inner().map_err(broken)?;
            each(version_of(&version), &change)?;
        }
        Ok(())
    }

    fn newest_first(&mut self, each: Each<'_, bool>) -> Outcome<()> {
        for guard in self.changes.iter().rev() {
            let (version, change) = guard.into_inner().map_err(broken)?;
            if !each(version_of(&version), &change)? {
                break;
            }
        }
        Ok(())
    }

    fn of_component(&mut self, id: &str, to: u64, each: Each<'_, bool>) -> Outcome<()> {
        for guard in self.touches.range(touch_key(id, 0)..=touch_key(id, to)).rev() {
            let (key, part) = guard.into_inner().map_err(broken)?;
            let version = version_of(&key);
            let wanted = if part.is_empty() {
                match self.changes.get(version.to_be_bytes()).map_err(broken)? {
                    Some(change) => each(version, &change)?,
                    None => true,
                }
            } else {
                each(version, &part)?
            };
            if !wanted {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, to: u64) -> Outcome<Option<(u64, Vec<u8>)>> {
        let Some(guard) = self.checkpoints.range(..=to.to_be_bytes()).next_back() else { return Ok(None) };
        let (version, flow) = guard.into_inner().map_err(broken)?;
        Ok(Some((version_of(&version), flow.to_vec())))
    }

    fn flush(&mut self) -> Outcome<()> {
        self.database.persist(PersistMode::SyncAll).map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        for keyspace in [&self.changes, &self.touches, &self.checkpoints] {
            keyspace.rotate_memtable_and_wait().map_err(broken)?;
            keyspace.major_compact().map_err(broken)?;
        }
        self.database.persist(PersistMode::SyncAll).map_err(broken)
    }
}
