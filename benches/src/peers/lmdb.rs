//! LMDB by heed: three tables in one environment, as it comes.

use std::ops::Bound;
use std::path::Path;

use flow_history_benches_lmdb::heed::types::Bytes;
use flow_history_benches_lmdb::heed::{Database, Env};

use super::keyed::{Each, Keyed, KeyedStore, Put, Putter, adapter, touch_key, version_of};
use super::{Kind, Outcome, Peer, Store, broken};

/// Addresses, not bytes: the file grows with what is in it.
const MAP_BYTES: usize = 64 << 30;

/// LMDB.
pub(super) struct Lmdb;

type Table = Database<Bytes, Bytes>;

impl Peer for Lmdb {
    fn name(&self) -> &'static str {
        "LMDB"
    }

    fn about(&self) -> String {
        "heed 0.22; defaults where durable, NO_SYNC where buffered; a map of 64 GiB".to_owned()
    }

    fn gives(&self) -> &'static str {
        "several writing processes, readers without copies, twenty years of use"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(path).map_err(broken)?;
        let synced = kind == Kind::Durable;
        let env = flow_history_benches_lmdb::open(path, MAP_BYTES, 3, synced).map_err(broken)?;
        let mut transaction = env.write_txn().map_err(broken)?;
        let mut table = |name: &str| env.create_database(&mut transaction, Some(name)).map_err(broken);
        let (changes, touches, checkpoints) = (table("changes")?, table("touches")?, table("checkpoints")?);
        transaction.commit().map_err(broken)?;
        KeyedStore::open(Box::new(Tables { env, changes, touches, checkpoints }), kind)
    }
}

#[derive(Clone)]
struct Tables {
    env: Env,
    changes: Table,
    touches: Table,
    checkpoints: Table,
}

impl Tables {
    fn put_all(&self, first: Option<u64>, puts: Vec<Put>) -> Outcome<()> {
        let mut transaction = self.env.write_txn().map_err(broken)?;
        let first = match first {
            Some(first) => first,
            None => {
                self.changes.last(&transaction).map_err(broken)?.map_or(0, |(key, _)| version_of(key)) + 1
            }
        };
        for (version, put) in (first..).zip(puts) {
            let key = version.to_be_bytes();
            self.changes.put(&mut transaction, &key, &put.bytes).map_err(broken)?;
            for (id, part) in &put.touched {
                self.touches.put(&mut transaction, &touch_key(id, version), part).map_err(broken)?;
            }
            if let Some(checkpoint) = put.checkpoint {
                self.checkpoints.put(&mut transaction, &key, &checkpoint).map_err(broken)?;
            }
        }
        transaction.commit().map_err(broken)
    }
}

fn between<'k>(low: &'k [u8], high: &'k [u8]) -> (Bound<&'k [u8]>, Bound<&'k [u8]>) {
    (Bound::Included(low), Bound::Included(high))
}

impl Keyed for Tables {
    fn newest(&mut self) -> Outcome<u64> {
        let transaction = self.env.read_txn().map_err(broken)?;
        Ok(self.changes.last(&transaction).map_err(broken)?.map_or(0, |(key, _)| version_of(key)))
    }

    fn put(&mut self, first: u64, puts: Vec<Put>) -> Outcome<()> {
        self.put_all(Some(first), puts)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        let putter = |_| -> Putter {
            let tables = self.clone();
            Box::new(move |one| tables.put_all(None, vec![one]))
        };
        Ok((0..count).map(putter).collect())
    }

    fn changes(&mut self, from: u64, to: u64, each: Each<'_, ()>) -> Outcome<()> {
        if from > to {
            return Ok(());
        }
        let transaction = self.env.read_txn().map_err(broken)?;
        let (low, high) = (from.to_be_bytes(), to.to_be_bytes());
        for pair in self.changes.range(&transaction, &between(&low, &high)).map_err(broken)? {
            let (key, change) = pair.map_err(broken)?;
            each(version_of(key), change)?;
        }
        Ok(())
    }

    fn newest_first(&mut self, each: Each<'_, bool>) -> Outcome<()> {
        let transaction = self.env.read_txn().map_err(broken)?;
        for pair in self.changes.rev_iter(&transaction).map_err(broken)? {
            let (key, change) = pair.map_err(broken)?;
            if !each(version_of(key), change)? {
                break;
            }
        }
        Ok(())
    }

    fn of_component(&mut self, id: &str, to: u64, each: Each<'_, bool>) -> Outcome<()> {
        let transaction = self.env.read_txn().map_err(broken)?;
        let (low, high) = (touch_key(id, 0), touch_key(id, to));
        for pair in self.touches.rev_range(&transaction, &between(&low, &high)).map_err(broken)? {
            let (key, part) = pair.map_err(broken)?;
            let version = version_of(key);
            let wanted = if part.is_empty() {
                match self.changes.get(&transaction, &version.to_be_bytes()).map_err(broken)? {
                    Some(change) => each(version, change)?,
                    None => true,
                }
            } else {
                each(version, part)?
            };
            if !wanted {
                break;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, to: u64) -> Outcome<Option<(u64, Vec<u8>)>> {
        let transaction = self.env.read_txn().map_err(broken)?;
        let (low, high) = (0_u64.to_be_bytes(), to.to_be_bytes());
        let mut found = self.checkpoints.rev_range(&transaction, &between(&low, &high)).map_err(broken)?;
        let newest = found.next().transpose().map_err(broken)?;
        Ok(newest.map(|(key, flow)| (version_of(key), flow.to_vec())))
    }

    fn flush(&mut self) -> Outcome<()> {
        self.env.force_sync().map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.env.force_sync().map_err(broken)?;
        // Opened again by the same process, it must be gone before.
        let env = self.env.clone();
        drop(self);
        env.prepare_for_closing().wait();
        Ok(())
    }
}
