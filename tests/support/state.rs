//! What a node keeps in its `state.db`, looked at from outside.
//!
//! Takes its home, gives counts. Reads only.

use std::path::Path;

use rusqlite::Connection;

/// A number that a query of the store gives.
pub(crate) fn count(home: &Path, sql: &str) -> u64 {
    let db = Connection::open(home.join("state.db")).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Results in an executor's journal: done, and nobody took them yet.
pub(crate) fn undelivered(home: &Path) -> u64 {
    count(
        home,
        "SELECT count(*) FROM journal WHERE delivery IS NOT NULL",
    )
}

/// Leases in an executor's journal.
pub(crate) fn journalled(home: &Path) -> u64 {
    count(home, "SELECT count(*) FROM journal")
}

/// Whether SQLite finds the file sound.
pub(crate) fn is_sound(home: &Path) -> bool {
    let db = Connection::open(home.join("state.db")).unwrap();
    let said: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    said == "ok"
}
