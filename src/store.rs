//! What survives a restart: one SQLite file, `state.db`.
//!
//! Takes and gives plain values; knows no meaning of them. Statements take
//! tens of microseconds and wait for no fsync (WAL, `synchronous=NORMAL`):
//! what is lost in a power cut is a [`Memory`], never a promise. Promises, the
//! durable class, go through a [`Ledger`], whose commits are on disk before
//! they are answered. A file with a newer schema, or of another node, is
//! refused untouched.

mod behind;
mod durable;
mod ledger;
mod rows;
mod schema;
mod secrets;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub use behind::Memory;
pub use durable::{AttemptRow, InvocationRow, JournalRow, Key, Submitted};
pub use ledger::Ledger;
use parking_lot::Mutex;
pub use rows::{FunctionRow, ReceiptRow, RecordRow};
use rusqlite::Connection;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is of a later program.
    #[error(
        "{path} has schema {found}, this program knows up to {known}: it was written by a newer timerose"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The file belongs to another node.
    #[error("{path} belongs to the node {found}, not to {own}")]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Its peer ID.
        found: String,
        /// The peer ID of the Kubo at hand.
        own: String,
    },
    /// The disk is full.
    #[error("the disk that holds {path} is full")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// What was to be kept could not be written.
    #[error("{path}: not committed: {reason}")]
    Commit {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The file cannot be kept from other users.
    #[error("{path}: {source}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// SQLite's own.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

impl Error {
    /// Whether the same may succeed later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Newer { .. } => Some("use that newer timerose, or another home: --home DIR"),
            Self::OtherNode { .. } => {
                Some("one home belongs to one node: use another with --home DIR or $TIMEROSE_PATH")
            }
            Self::Full { .. } => Some("free some space; nothing was lost"),
            Self::Mode { .. } | Self::Commit { .. } | Self::Sqlite { .. } => None,
        }
    }
}

/// The open store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
    waiting: Mutex<Vec<Memory>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.write_memories(&self.connection.lock());
    }
}

impl Store {
    /// Opens `path`, making it where it is not, for the node `own`.
    ///
    /// # Errors
    /// A newer schema, another node's file, the disk.
    pub fn open(path: &Path, own: &str) -> Result<Self, Error> {
        let of = |source| schema::sqlite(path, source);
        secrets::claim(path)?;
        let mut connection = Connection::open(path).map_err(of)?;
        schema::prepare(&mut connection, path)?;
        schema::claim(&connection, path, own)?;
        Ok(Self::over(path, connection))
    }

    /// A store that ends with the process: for attached commands.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn in_memory() -> Result<Self, Error> {
        let path = Path::new(":memory:");
        let mut connection = Connection::open_in_memory().map_err(|e| schema::sqlite(path, e))?;
        schema::prepare(&mut connection, path)?;
        Ok(Self::over(path, connection))
    }

    fn over(path: &Path, connection: Connection) -> Self {
        Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                connection: Mutex::new(connection),
                waiting: Mutex::default(),
            }),
        }
    }

    /// The same over what may still wait to be written.
    fn with_memories<T>(
        &self,
        act: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.with(|connection| {
            self.inner.write_memories(connection);
            act(connection)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        act(&self.inner.connection.lock())
            .map_err(|source| schema::sqlite(&self.inner.path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_schema_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(Store::open(&path, "peer").unwrap());
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        assert!(matches!(
            Store::open(&path, "peer"),
            Err(Error::Newer { found: 99, .. })
        ));
        let version: u32 = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA user_version", [], |r| r.get(0))
            .unwrap();
        assert_eq!(version, 99);
    }

    #[test]
    fn a_file_of_the_first_schema_is_brought_up_to_date_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path, "peer").unwrap();
        store.put_allow("somebody", None).unwrap();
        drop(store);
        let added = [
            "keys",
            "invocations",
            "attempts",
            "accepted",
            "journal",
            "secrets",
        ];
        let before = Connection::open(&path).unwrap();
        for table in added {
            before
                .execute_batch(&format!("DROP TABLE {table}"))
                .unwrap();
        }
        before.pragma_update(None, "user_version", 1).unwrap();
        drop(before);
        let store = Store::open(&path, "peer").unwrap();
        assert_eq!(store.open_invocations().unwrap(), []);
        assert_eq!(store.allowed().unwrap(), [("somebody".to_owned(), None)]);
    }

    #[test]
    fn a_home_belongs_to_one_node() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(Store::open(&path, "one").unwrap());
        assert!(matches!(
            Store::open(&path, "other"),
            Err(Error::OtherNode { .. })
        ));
        assert!(Store::open(&path, "one").is_ok());
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error_not_a_fresh_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, [b'x'; 4096]).unwrap();
        assert!(matches!(
            Store::open(&path, "peer"),
            Err(Error::Sqlite { .. })
        ));
    }
}
