//! SQLite by rusqlite: three tables, WAL, synced with fdatasync where the build was told so (`.cargo/config.toml`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::keyed::{Each, Keyed, KeyedStore, Put, Putter, adapter};
use super::{Kind, Outcome, Peer, Store, broken};

/// SQLite.
pub(super) struct Sqlite;

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn about(&self) -> String {
        let syncs = match option_env!("LIBSQLITE3_FLAGS") {
            Some(flags) if flags.contains("HAVE_FDATASYNC") => "built to sync with fdatasync",
            _ => "built to sync with fsync, as rusqlite's bundle is by itself",
        };
        format!(
            "{} bundled by rusqlite, {syncs}; WAL, FULL where durable, NORMAL where buffered; pages of 4 KiB, a cache of \
             256 MiB, 1 GiB mapped; cached statements",
            rusqlite::version()
        )
    }

    fn gives(&self) -> &'static str {
        "queries of any kind, several writing processes, changesets of other tables, every platform"
    }

    fn adapter(&self, row: &str) -> Option<&'static str> {
        adapter(row)
    }

    fn open(&self, path: &Path, kind: Kind) -> Outcome<Box<dyn Store>> {
        std::fs::create_dir_all(path).map_err(broken)?;
        let file = path.join("history.sqlite");
        let connection = connect(&file, kind)?;
        connection
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS changes (version INTEGER PRIMARY KEY, change BLOB NOT NULL);
                 CREATE TABLE IF NOT EXISTS touches (component TEXT, version INTEGER, part BLOB,
                     PRIMARY KEY (component, version))
                     WITHOUT ROWID;
                 CREATE TABLE IF NOT EXISTS checkpoints (version INTEGER PRIMARY KEY, flow BLOB NOT NULL);",
            )
            .map_err(broken)?;
        KeyedStore::open(Box::new(Tables { file, kind, connection }), kind)
    }
}

struct Tables {
    file: PathBuf,
    kind: Kind,
    connection: Connection,
}

fn connect(file: &Path, kind: Kind) -> Outcome<Connection> {
    let connection = Connection::open(file).map_err(broken)?;
    connection.busy_timeout(Duration::from_secs(30)).map_err(broken)?;
    let synchronous = match kind {
        Kind::Durable => "FULL",
        Kind::Buffered => "NORMAL",
    };
    connection
        .execute_batch(&format!(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA cache_size = -262144; PRAGMA mmap_size = 1073741824; PRAGMA wal_autocheckpoint = 1000;"
        ))
        .map_err(broken)?;
    Ok(connection)
}

/// SQLite counts with a sign.
fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

fn unsigned(version: i64) -> u64 {
    u64::try_from(version).unwrap_or_default()
}

fn put(connection: &mut Connection, first: Option<u64>, puts: Vec<Put>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let first = match first {
        Some(first) => signed(first),
        None => newest(&transaction)? + 1,
    };
    for (version, put) in (first..).zip(puts) {
        transaction
            .prepare_cached("INSERT INTO changes (version, change) VALUES (?1, ?2)")?
            .execute(params![version, put.bytes])?;
        let mut touch = transaction
            .prepare_cached("INSERT INTO touches (component, version, part) VALUES (?1, ?2, ?3)")?;
        for (id, part) in &put.touched {
            touch.execute(params![id, version, (!part.is_empty()).then_some(part)])?;
        }
        if let Some(checkpoint) = put.checkpoint {
            transaction
                .prepare_cached("INSERT INTO checkpoints (version, flow) VALUES (?1, ?2)")?
                .execute(params![version, checkpoint])?;
        }
    }
    transaction.commit()
}

fn newest(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce(max(version), 0) FROM changes")?
        .query_row([], |row| row.get(0))
}

/// Hands on rows of a version and a change while they are wanted.
fn hand_on(rows: &mut rusqlite::Rows<'_>, each: Each<'_, bool>) -> Outcome<()> {
    while let Some(row) = rows.next().map_err(broken)? {
        let version = unsigned(row.get(0).map_err(broken)?);
        let change = row.get_ref(1).map_err(broken)?.as_blob().map_err(broken)?;
        if !each(version, change)? {
            break;
        }
    }
    Ok(())
}

impl Keyed for Tables {
    fn newest(&mut self) -> Outcome<u64> {
        newest(&self.connection).map(unsigned).map_err(broken)
    }

    fn put(&mut self, first: u64, puts: Vec<Put>) -> Outcome<()> {
        put(&mut self.connection, Some(first), puts).map_err(broken)
    }

    fn putters(&mut self, count: usize) -> Outcome<Vec<Putter>> {
        (0..count)
            .map(|_| {
                let mut connection = connect(&self.file, self.kind)?;
                let putter: Putter =
                    Box::new(move |one: Put| put(&mut connection, None, vec![one]).map_err(broken));
                Ok(putter)
            })
            .collect()
    }

    fn changes(&mut self, from: u64, to: u64, each: Each<'_, ()>) -> Outcome<()> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT version, change FROM changes WHERE version BETWEEN ?1 AND ?2 ORDER BY version",
            )
            .map_err(broken)?;
        let mut rows = statement.query(params![signed(from), signed(to)]).map_err(broken)?;
        hand_on(&mut rows, &mut |version, change| each(version, change).map(|()| true))
    }

    fn newest_first(&mut self, each: Each<'_, bool>) -> Outcome<()> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT version, change FROM changes ORDER BY version DESC")
            .map_err(broken)?;
        let mut rows = statement.query([]).map_err(broken)?;
        hand_on(&mut rows, each)
    }

    fn of_component(&mut self, id: &str, to: u64, each: Each<'_, bool>) -> Outcome<()> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT version, coalesce(part, change) FROM touches JOIN changes USING (version)
                 WHERE component = ?1 AND version <= ?2 ORDER BY version DESC",
            )
            .map_err(broken)?;
        let mut rows = statement.query(params![id, signed(to)]).map_err(broken)?;
        hand_on(&mut rows, each)
    }

    fn checkpoint(&mut self, to: u64) -> Outcome<Option<(u64, Vec<u8>)>> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT version, flow FROM checkpoints WHERE version <= ?1 ORDER BY version DESC LIMIT 1",
            )
            .map_err(broken)?
            .query_row(params![signed(to)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(broken)?;
        Ok(found.map(|(version, flow)| (unsigned(version), flow)))
    }

    fn flush(&mut self) -> Outcome<()> {
        // The checkpoint syncs what NORMAL had left to the system.
        self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").map_err(broken)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM;").map_err(broken)?;
        self.connection.close().map_err(|(_, error)| broken(error))
    }
}
