//! The tables, their number, and whose they are.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::Error;

/// Rises with every change of the tables.
const SCHEMA: u32 = 1;

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
    if found == 0 {
        let make = connection.transaction().map_err(of)?;
        make.execute_batch(TABLES).map_err(of)?;
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
