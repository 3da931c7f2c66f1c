//! Memories: written a moment later, many in one transaction.
//!
//! Takes rows that no promise rests on, so that whoever has a result waits for
//! no disk. Who reads such rows writes first what waits, so nobody reads an
//! older state. What cannot be written is forgotten, with a warning.

use std::{collections::HashSet, time::Duration};

use cid::Cid;
use rusqlite::{Connection, params};
use tokio::time::sleep;
use tracing::warn;

use super::{ReceiptRow, RecordRow, Store};
use crate::{model::ContentKey, task::Tasks};

/// How long a memory waits at most.
const DELAY: Duration = Duration::from_millis(50);
/// So many are written at once, by whoever brings the next.
const MAX_WAITING: usize = 4_096;

/// What is remembered.
#[derive(Clone, Debug)]
pub enum Memory {
    /// A receipt.
    Receipt(ReceiptRow),
    /// A small block and when it came, Unix milliseconds.
    Block(Cid, Vec<u8>, u64),
    /// An ended invocation.
    Record(RecordRow),
    /// An executor that did well, its addresses as a JSON list, and when.
    Executor(String, String, u64),
    /// What opens a private invocation's content, and when it came.
    Secret(String, ContentKey, u64),
}

impl Store {
    /// Remembers something soon.
    pub fn remember(&self, memories: impl IntoIterator<Item = Memory>) {
        let mut waiting = self.inner.waiting.lock();
        waiting.extend(memories);
        let is_full = waiting.len() >= MAX_WAITING;
        drop(waiting);
        if is_full {
            self.write_memories();
        }
    }

    /// Writes what waits, again and again, for as long as `tasks` live.
    pub fn write_behind(&self, tasks: &Tasks) {
        let (store, blocking) = (self.clone(), tasks.clone());
        tasks.spawn("store.memories", async move {
            loop {
                sleep(DELAY).await;
                if store.inner.waiting.lock().is_empty() {
                    continue;
                }
                let store = store.clone();
                let written = blocking.spawn_blocking(move || store.write_memories());
                let _panicked = written.await;
            }
        });
    }

    fn write_memories(&self) {
        self.inner.write_memories(&self.inner.connection.lock());
    }
}

impl super::Inner {
    pub(super) fn write_memories(&self, db: &Connection) {
        let memories = std::mem::take(&mut *self.waiting.lock());
        if memories.is_empty() {
            return;
        }
        if let Err(error) = write_all(db, &memories) {
            let path = self.path.display();
            warn!(%path, memories = memories.len(), %error, "results are not remembered");
        }
    }
}

/// What a row replaces.
#[derive(PartialEq, Eq, Hash)]
enum Name<'a> {
    Receipt(&'a str),
    Block(&'a Cid),
    Record(&'a str),
    Executor(&'a str),
    Secret(&'a str),
}

impl Memory {
    fn name(&self) -> Name<'_> {
        match self {
            Self::Receipt(row) => Name::Receipt(&row.cid),
            Self::Block(cid, ..) => Name::Block(cid),
            Self::Record(row) => Name::Record(&row.invocation),
            Self::Executor(peer, ..) => Name::Executor(peer),
            Self::Secret(of, ..) => Name::Secret(of),
        }
    }
}

/// Of rows that replace each other only the newest is written.
fn write_all(db: &Connection, memories: &[Memory]) -> rusqlite::Result<()> {
    let transaction = db.unchecked_transaction()?;
    let mut written = HashSet::new();
    for memory in memories.iter().rev() {
        if written.insert(memory.name()) {
            write(&transaction, memory)?;
        }
    }
    transaction.commit()
}

pub(super) fn write(db: &Connection, memory: &Memory) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(match memory {
        Memory::Receipt(_) => "INSERT OR REPLACE INTO receipts VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        Memory::Block(..) => "INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3)",
        Memory::Record(_) => "INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3)",
        Memory::Executor(..) => "INSERT OR REPLACE INTO executors VALUES (?1, ?2, ?3)",
        Memory::Secret(..) => "INSERT OR REPLACE INTO secrets VALUES (?1, ?2, ?3)",
    })?;
    let written = match memory {
        Memory::Receipt(row) => statement.execute(params![
            row.cid,
            row.call,
            row.invocation,
            row.is_memo,
            row.at_ms,
            row.body
        ]),
        Memory::Block(cid, data, at_ms) => statement.execute(params![cid.to_string(), at_ms, data]),
        Memory::Record(row) => statement.execute(params![row.invocation, row.at_ms, row.body]),
        Memory::Executor(peer, addresses, at_ms) => {
            statement.execute(params![peer, addresses, at_ms])
        }
        Memory::Secret(invocation, key, at_ms) => {
            statement.execute(params![invocation, key.bits(), at_ms])
        }
    };
    written.map(|_rows| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: usize) -> Memory {
        Memory::Record(RecordRow {
            invocation: format!("I{number}"),
            at_ms: 1,
            body: "{}".to_owned(),
        })
    }

    #[test]
    fn what_was_remembered_is_read_at_once() {
        let store = Store::in_memory().unwrap();
        store.remember([record(1)]);
        assert_eq!(store.records_like("I1").unwrap().len(), 1);
    }

    #[test]
    fn of_what_is_remembered_twice_the_newer_counts() {
        let store = Store::in_memory().unwrap();
        let executor =
            |addresses: &str, at| Memory::Executor("peer".to_owned(), addresses.to_owned(), at);
        store.remember([executor("[1]", 1), record(1), executor("[2]", 2)]);
        let known = store.executors(9).unwrap();
        assert_eq!(known, [("peer".to_owned(), "[2]".to_owned())]);
    }

    #[test]
    fn what_waits_is_bounded_and_written_when_the_store_closes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path, "peer").unwrap();
        store.remember((0..MAX_WAITING).map(record));
        assert!(store.inner.waiting.lock().is_empty());
        store.remember([record(MAX_WAITING)]);
        drop(store);
        let store = Store::open(&path, "peer").unwrap();
        assert_eq!(store.records(10_000).unwrap().len(), MAX_WAITING + 1);
    }
}
