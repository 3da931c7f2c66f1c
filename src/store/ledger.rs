//! Commits that are on disk before they are answered, many in one.
//!
//! Takes changes, gives their outcome after an fsync (`synchronous=FULL`).
//! What waits while one commit is written goes into the next together (group
//! commit). A change that fails undoes itself alone. Knows no table.

use std::{path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::{Error, Store, schema};
use crate::task::Tasks;

/// How long another writer of the same file is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a commit did not happen, for everyone in it.
#[derive(Clone, Debug)]
enum Refused {
    Full,
    Other(String),
}

/// A change, and later whom to tell of it.
type Change = Box<dyn FnOnce(&Connection) -> (bool, Tell) + Send>;
type Tell = Box<dyn FnOnce(Result<(), Refused>) + Send>;

/// Writes what must not be lost. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    path: PathBuf,
    waiting: Mutex<Vec<Change>>,
    connection: Mutex<Connection>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A ledger on the same file, with a connection of its own; threads of
    /// `tasks` write it.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn ledger(&self, tasks: &Tasks) -> Result<Ledger, Error> {
        let path = &self.inner.path;
        let of = |source| schema::sqlite(path, source);
        let connection = Connection::open(path).map_err(of)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(of)?;
        let full = connection.pragma_update(None, "synchronous", "FULL");
        full.map_err(of)?;
        let shared = Shared {
            path: path.clone(),
            waiting: Mutex::default(),
            connection: Mutex::new(connection),
        };
        Ok(Ledger {
            shared: Arc::new(shared),
            tasks: tasks.clone(),
        })
    }
}

impl Ledger {
    /// Makes `change` and gives what it gave, once that is on disk.
    ///
    /// # Errors
    /// SQLite's, or a full disk: nothing of it was kept then.
    pub(super) async fn commit<T, C>(&self, change: C) -> Result<T, Error>
    where
        T: Send + 'static,
        C: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        let path = self.shared.path.clone();
        let change = move |connection: &Connection| {
            let made = change(connection);
            let is_made = made.is_ok();
            let tell = move |committed: Result<(), Refused>| {
                let outcome = match (committed, made) {
                    (Ok(()), made) => made.map_err(|source| schema::sqlite(&path, source)),
                    (Err(Refused::Full), _) => Err(Error::Full { path }),
                    (Err(Refused::Other(reason)), _) => Err(Error::Commit { path, reason }),
                };
                let _nobody_waits = answer.send(outcome);
            };
            (is_made, Box::new(tell) as Tell)
        };
        self.shared.waiting.lock().push(Box::new(change));
        let shared = Arc::clone(&self.shared);
        let _told_by_the_answer = self.tasks.spawn_blocking(move || shared.flush());
        outcome.await.unwrap_or_else(|_| {
            Err(Error::Commit {
                path: self.shared.path.clone(),
                reason: "the store is closing".to_owned(),
            })
        })
    }
}

impl Shared {
    /// Commits all that waits; what another thread took already is its own.
    fn flush(&self) {
        let connection = self.connection.lock();
        let changes = std::mem::take(&mut *self.waiting.lock());
        if changes.is_empty() {
            return;
        }
        let mut told = Vec::with_capacity(changes.len());
        let committed = write(&connection, changes, &mut told);
        if committed.is_err() {
            let _nothing_was_begun = connection.execute_batch("ROLLBACK");
        }
        drop(connection);
        let committed = committed.map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Refused::Full,
            _ => Refused::Other(error.to_string()),
        });
        for tell in told {
            tell(committed.clone());
        }
    }
}

fn write(
    connection: &Connection,
    changes: Vec<Change>,
    told: &mut Vec<Tell>,
) -> rusqlite::Result<()> {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    for change in changes {
        let savepoint = connection.execute_batch("SAVEPOINT change");
        let (is_made, tell) = change(connection);
        told.push(tell);
        savepoint?;
        if !is_made {
            connection.execute_batch("ROLLBACK TO change")?;
        }
        connection.execute_batch("RELEASE change")?;
    }
    begun?;
    connection.execute_batch("COMMIT")
}
