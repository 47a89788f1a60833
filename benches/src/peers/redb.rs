//! redb: three tables; one phase and one sync a transaction, as it comes.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::keyed::{Each, Keyed, KeyedStore, Put, Putter, adapter, touch_key, version_of};
use super::{Kind, Outcome, Peer, Store, broken};

const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
const TOUCHES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("touches");
const CHECKPOINTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("checkpoints");
const CACHE_BYTES: usize = 256 << 20;
/// A buffered transaction in so many is durable, so that what the others wrote can be given back.
const DURABLE_EVERY: u64 = 10_000;

/// redb.
pub(super) struct Redb;

impl Peer for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn about(&self) -> String {
        "4.5; Immediate in one phase where durable; None with one Immediate in 10,000 where buffered; a cache of 256 MiB"
            .to_owned()
    }

    fn gives(&self) -> &'static str {
        "transactions over tables of any kind, typed keys"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(path).map_err(broken)?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = Arc::new(builder.create(path.join("history.redb")).map_err(broken)?);
        let transaction = database.begin_write().map_err(broken)?;
        transaction.open_table(CHANGES).map_err(broken)?;
        transaction.open_table(TOUCHES).map_err(broken)?;
        transaction.open_table(CHECKPOINTS).map_err(broken)?;
        transaction.commit().map_err(broken)?;
        KeyedStore::open(Box::new(Tables { database, kind }), kind)
    }
}

struct Tables {
    database: Arc<Database>,
    kind: Kind,
}

fn put(database: &Database, kind: Kind, first: Option<u64>, puts: Vec<Put>) -> Outcome<()> {
    let mut transaction = database.begin_write().map_err(broken)?;
    let mut next = first.unwrap_or_default();
    if kind == Kind::Buffered && !next.is_multiple_of(DURABLE_EVERY) {
        transaction.set_durability(Durability::None).map_err(broken)?;
    }
    {
        let mut changes = transaction.open_table(CHANGES).map_err(broken)?;
        let mut touches = transaction.open_table(TOUCHES).map_err(broken)?;
        let mut checkpoints = transaction.open_table(CHECKPOINTS).map_err(broken)?;
        if first.is_none() {
            next = changes.last().map_err(broken)?.map_or(0, |(version, _)| version.value()) + 1;
        }
        for put in puts {
            changes.insert(next, put.bytes.as_slice()).map_err(broken)?;
            for (id, part) in &put.touched {
                touches.insert(touch_key(id, next).as_slice(), part.as_slice()).map_err(broken)?;
            }
            if let Some(checkpoint) = put.checkpoint {
                checkpoints.insert(next, checkpoint.as_slice()).map_err(broken)?;
            }
            next += 1;
        }
    }
    transaction.commit().map_err(broken)
}

impl Keyed for Tables {
    fn newest(&mut self) -> Outcome<u64> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let changes = transaction.open_table(CHANGES).map_err(broken)?;
        Ok(changes.last().map_err(broken)?.map_or(0, |(version, _)| version.value()))
    }

    fn put(&mut self, first: u64, puts: Vec<Put>) -> Outcome<()> {
        put(&self.database, self.kind, Some(first), puts)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let (database, kind) = (Arc::clone(&self.database), self.kind);
            Box::new(move |one| put(&database, kind, None, vec![one]))
        };
        Ok((0..count).map(putter).collect())
    }

    fn changes(&mut self, from: u64, to: u64, each: Each<'_, ()>) -> Outcome<()> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let changes = transaction.open_table(CHANGES).map_err(broken)?;
        if from > to {
            return Ok(());
        }
        for pair in changes.range(from..=to).map_err(broken)? {
            let (version, change) = pair.map_err(broken)?;
            each(version.value(), change.value())?;
        }
        Ok(())
    }

    fn newest_first(&mut self, each: Each<'_, bool>) -> Outcome<()> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let changes = transaction.open_table(CHANGES).map_err(broken)?;
        for pair in changes.iter().map_err(broken)?.rev() {
            let (version, change) = pair.map_err(broken)?;
            if !each(version.value(), change.value())? {
                break;
            }
        }
        Ok(())
    }

    fn of_component(&mut self, id: &str, to: u64, each: Each<'_, bool>) -> Outcome<()> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let changes = transaction.open_table(CHANGES).map_err(broken)?;
        let touches = transaction.open_table(TOUCHES).map_err(broken)?;
        let (low, high) = (touch_key(id, 0), touch_key(id, to));
        for pair in touches.range(low.as_slice()..=high.as_slice()).map_err(broken)?.rev() {
            let (key, part) = pair.map_err(broken)?;
            let version = version_of(key.value());
            let wanted = match part.value() {
                [] => match changes.get(version).map_err(broken)? {
                    Some(change) => each(version, change.value())?,
                    None => true,
                },
                part => each(version, part)?,
            };
            if !wanted {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, to: u64) -> Outcome<Option<(u64, Vec<u8>)>> {
        let transaction = self.database.begin_read().map_err(broken)?;
        let checkpoints = transaction.open_table(CHECKPOINTS).map_err(broken)?;
        let found = checkpoints.range(..=to).map_err(broken)?.next_back().transpose().map_err(broken)?;
        Ok(found.map(|(version, flow)| (version.value(), flow.value().to_vec())))
    }

    fn flush(&mut self) -> Outcome<()> {
        self.database.begin_write().map_err(broken)?.commit().map_err(broken)
    }

    fn close(mut self: Box<Self>) -> Outcome<()> {
        if let Some(database) = Arc::get_mut(&mut self.database) {
            database.compact().map_err(broken)?;
        }
        Ok(())
    }
}
