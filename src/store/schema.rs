//! The tables, their number, and whose they are.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::Error;
use crate::crash::{self, Point};

/// So much of the file is mapped.
const MAPPED_BYTES: u32 = 256 << 20;
/// Rises with every change of the tables.
const SCHEMA: u32 = 3;

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE functions (
    cid TEXT PRIMARY KEY, name TEXT, manifest BLOB NOT NULL, entries TEXT NOT NULL, at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE receipts (
    cid TEXT PRIMARY KEY, call TEXT NOT NULL, invocation TEXT NOT NULL, is_memo INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX receipts_by_call ON receipts (call) WHERE is_memo;
CREATE INDEX receipts_by_invocation ON receipts (invocation);
CREATE TABLE blocks (cid TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE records (invocation TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX records_by_time ON records (at_ms);
CREATE TABLE allow (who TEXT PRIMARY KEY, until_s INTEGER) STRICT;
CREATE TABLE executors (peer TEXT PRIMARY KEY, addresses TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
";

/// What schema 2 added: the durable class on both of its sides.
const DURABLE_TABLES: &str = "
CREATE TABLE keys (key TEXT PRIMARY KEY, invocation TEXT NOT NULL, digest BLOB NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE invocations (
    id TEXT PRIMARY KEY, body BLOB NOT NULL, at_ms INTEGER NOT NULL, is_cancelled INTEGER NOT NULL, is_dead INTEGER NOT NULL
) STRICT;
CREATE TABLE attempts (
    lease TEXT PRIMARY KEY, invocation TEXT NOT NULL, executor TEXT NOT NULL, number INTEGER NOT NULL, is_open INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_by_invocation ON attempts (invocation);
CREATE TABLE accepted (invocation TEXT PRIMARY KEY, receipt TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
CREATE TABLE journal (lease TEXT PRIMARY KEY, owner TEXT NOT NULL, delivery BLOB, at_ms INTEGER NOT NULL) STRICT;
";

/// What schema 3 added: the content keys of private invocations.
const PRIVATE_TABLES: &str = "
CREATE TABLE secrets (invocation TEXT PRIMARY KEY, key BLOB NOT NULL, at_ms INTEGER NOT NULL) STRICT;
";

/// Makes the tables, or refuses those of a later program.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let of = |source| sqlite(path, source);
    let found: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(of)?;
    if found > SCHEMA {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        });
    }
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(of)?;
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .map_err(of)?;
    // Two connections write one file, so that each finds its cache void again
    // and again: mapped pages are cheap to come back to.
    connection
        .pragma_update(None, "mmap_size", MAPPED_BYTES)
        .map_err(of)?;
    if found < SCHEMA {
        let make = connection.transaction().map_err(of)?;
        for (since, tables) in [(1, TABLES), (2, DURABLE_TABLES), (3, PRIVATE_TABLES)] {
            if found < since {
                make.execute_batch(tables).map_err(of)?;
                crash::at(Point::SchemaHalfMade);
            }
        }
        make.pragma_update(None, "user_version", SCHEMA)
            .map_err(of)?;
        make.commit().map_err(of)?;
    }
    Ok(())
}

/// Notes whose file this is, or refuses another's.
pub(super) fn claim(connection: &Connection, path: &Path, own: &str) -> Result<(), Error> {
    let of = |source| sqlite(path, source);
    let found: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE key = 'peer'", [], |row| {
            row.get(0)
        })
        .optional()
        .map_err(of)?;
    match found {
        Some(found) if found != own => Err(Error::OtherNode {
            path: path.to_owned(),
            found,
            own: own.to_owned(),
        }),
        Some(_) => Ok(()),
        None => connection
            .execute("INSERT INTO meta (key, value) VALUES ('peer', ?1)", [own])
            .map(|_| ())
            .map_err(of),
    }
}

/// SQLite's error with the file's name; a full disk is told apart.
pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full {
            path: path.to_owned(),
        },
        _ => Error::Sqlite {
            path: path.to_owned(),
            source,
        },
    }
}
