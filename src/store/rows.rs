//! The statements, a few per table.

use cid::Cid;
use rusqlite::{OptionalExtension, Row, params};

use super::{Error, Store};

/// A deployed function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// The manifest's CID.
    pub cid: String,
    /// A name for people.
    pub name: Option<String>,
    /// The manifest's canonical bytes.
    pub manifest: Vec<u8>,
    /// The exports that can be called, a JSON list.
    pub entries: String,
    /// Unix milliseconds of its deployment.
    pub at_ms: u64,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its CID.
    pub cid: String,
    /// The call's CID.
    pub call: String,
    /// The invocation's name.
    pub invocation: String,
    /// It may answer later calls.
    pub is_memo: bool,
    /// Unix milliseconds at which it was stored.
    pub at_ms: u64,
    /// Its canonical bytes.
    pub body: Vec<u8>,
}

/// An ended invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    /// Its name.
    pub invocation: String,
    /// Unix milliseconds of its end.
    pub at_ms: u64,
    /// Its record, JSON.
    pub body: String,
}

const RECEIPT: &str = "SELECT cid, call, invocation, is_memo, at_ms, body FROM receipts";

impl Store {
    /// Keeps a deployed function.
    ///
    /// # Errors
    /// SQLite's, or a full disk; so for all below.
    pub fn put_function(&self, row: &FunctionRow) -> Result<(), Error> {
        self.with(|db| {
            db.prepare_cached("INSERT OR REPLACE INTO functions VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    row.cid,
                    row.name,
                    row.manifest,
                    row.entries,
                    row.at_ms
                ])
        })?;
        Ok(())
    }

    /// All deployed functions, newest first.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn functions(&self) -> Result<Vec<FunctionRow>, Error> {
        self.with(|db| {
            db.prepare_cached("SELECT cid, name, manifest, entries, at_ms FROM functions ORDER BY at_ms DESC, cid")?
                .query_map([], function)?
                .collect()
        })
    }

    /// Forgets a function; gives whether it was there.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn remove_function(&self, cid: &str) -> Result<bool, Error> {
        self.with(|db| db.execute("DELETE FROM functions WHERE cid = ?1", [cid]))
            .map(|n| n > 0)
    }

    /// The oldest receipt that may answer `call`: the same call is answered
    /// by the same receipt as long as it is kept.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn memo(&self, call: &Cid) -> Result<Option<ReceiptRow>, Error> {
        self.receipt_where(
            "call = ?1 AND is_memo ORDER BY at_ms LIMIT 1",
            &call.to_string(),
        )
    }

    /// A receipt by its CID or its invocation's name.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn receipt(&self, name: &str) -> Result<Option<ReceiptRow>, Error> {
        self.receipt_where(
            "cid = ?1 OR invocation = ?1 ORDER BY at_ms DESC LIMIT 1",
            name,
        )
    }

    /// Forgets a receipt.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn remove_receipt(&self, cid: &str) -> Result<(), Error> {
        self.with_memories(|db| db.execute("DELETE FROM receipts WHERE cid = ?1", [cid]))
            .map(|_| ())
    }

    fn receipt_where(&self, condition: &str, value: &str) -> Result<Option<ReceiptRow>, Error> {
        self.with_memories(|db| {
            db.prepare_cached(&format!("{RECEIPT} WHERE {condition}"))?
                .query_row([value], receipt)
                .optional()
        })
    }

    /// A small block.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Error> {
        self.with_memories(|db| {
            db.prepare_cached("SELECT data FROM blocks WHERE cid = ?1")?
                .query_row([cid.to_string()], |row| row.get(0))
                .optional()
        })
    }

    /// The newest ended invocations.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn records(&self, count: u32) -> Result<Vec<RecordRow>, Error> {
        self.with_memories(|db| {
            db.prepare_cached(
                "SELECT invocation, at_ms, body FROM records ORDER BY at_ms DESC LIMIT ?1",
            )?
            .query_map([count], record)?
            .collect()
        })
    }

    /// Ended invocations whose name starts with `prefix`, at most two.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn records_like(&self, prefix: &str) -> Result<Vec<RecordRow>, Error> {
        self.with_memories(|db| {
            db.prepare_cached(
                // Names are digits and capital letters, all of which sort before the tilde.
                "SELECT invocation, at_ms, body FROM records WHERE invocation BETWEEN ?1 AND ?1 || '~' LIMIT 2",
            )?
            .query_map([prefix], record)?
            .collect()
        })
    }

    /// Counts and bytes of what is kept: kind, rows, bytes.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn sizes(&self) -> Result<Vec<(String, u64, u64)>, Error> {
        self.with_memories(|db| {
            let count = |kind: &str, bytes: &str| {
                db.query_row(
                    &format!("SELECT count(*), coalesce(sum(length({bytes})), 0) FROM {kind}"),
                    [],
                    |row| Ok((kind.to_owned(), row.get(0)?, row.get(1)?)),
                )
            };
            Ok(vec![
                count("functions", "manifest")?,
                count("receipts", "body")?,
                count("blocks", "data")?,
                count("records", "body")?,
            ])
        })
    }

    /// Forgets receipts, blocks, secrets, records and what executors' owners never
    /// asked for, older than `before_ms`; gives how many. What is said of dead
    /// invocations stays.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn forget_before(&self, before_ms: u64) -> Result<u64, Error> {
        self.with_memories(|db| {
            let mut forgotten = 0;
            for table in ["receipts", "blocks", "journal", "secrets"] {
                let statement = format!("DELETE FROM {table} WHERE at_ms < ?1");
                forgotten += db.execute(&statement, [before_ms])?;
            }
            let records = "DELETE FROM records WHERE at_ms < ?1
                AND invocation NOT IN (SELECT id FROM invocations)";
            forgotten += db.execute(records, [before_ms])?;
            Ok(forgotten as u64)
        })
    }

    /// Lets somebody run code here, until a Unix second or for good.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn put_allow(&self, who: &str, until_s: Option<u64>) -> Result<(), Error> {
        self.with(|db| {
            db.execute(
                "INSERT OR REPLACE INTO allow VALUES (?1, ?2)",
                params![who, until_s],
            )
        })
        .map(|_| ())
    }

    /// Takes a permission back; gives whether it was there.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn remove_allow(&self, who: &str) -> Result<bool, Error> {
        self.with(|db| db.execute("DELETE FROM allow WHERE who = ?1", [who]))
            .map(|n| n > 0)
    }

    /// All permissions: who, until.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn allowed(&self) -> Result<Vec<(String, Option<u64>)>, Error> {
        self.with(|db| {
            db.prepare_cached("SELECT who, until_s FROM allow ORDER BY who")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// Executors that did well, newest first: peer, addresses as a JSON list.
    ///
    /// # Errors
    /// As [`Self::put_function`].
    pub fn executors(&self, count: u32) -> Result<Vec<(String, String)>, Error> {
        self.with_memories(|db| {
            db.prepare_cached("SELECT peer, addresses FROM executors ORDER BY at_ms DESC LIMIT ?1")?
                .query_map([count], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }
}

fn function(row: &Row<'_>) -> rusqlite::Result<FunctionRow> {
    Ok(FunctionRow {
        cid: row.get(0)?,
        name: row.get(1)?,
        manifest: row.get(2)?,
        entries: row.get(3)?,
        at_ms: row.get(4)?,
    })
}

fn receipt(row: &Row<'_>) -> rusqlite::Result<ReceiptRow> {
    Ok(ReceiptRow {
        cid: row.get(0)?,
        call: row.get(1)?,
        invocation: row.get(2)?,
        is_memo: row.get(3)?,
        at_ms: row.get(4)?,
        body: row.get(5)?,
    })
}

fn record(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    Ok(RecordRow {
        invocation: row.get(0)?,
        at_ms: row.get(1)?,
        body: row.get(2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn the_same_call_is_answered_by_its_first_receipt() {
        let store = Store::in_memory().unwrap();
        let call: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
            .parse()
            .unwrap();
        for (cid, at_ms, is_memo) in [("none", 0, false), ("first", 1, true), ("second", 2, true)] {
            let (cid, invocation) = (cid.to_owned(), format!("i-{cid}"));
            let row = ReceiptRow {
                cid,
                call: call.to_string(),
                invocation,
                is_memo,
                at_ms,
                body: vec![1],
            };
            store.remember([Memory::Receipt(row)]);
        }
        assert_eq!(
            store.memo(&call).unwrap().map(|r| r.cid).as_deref(),
            Some("first")
        );
        assert_eq!(
            store.receipt("i-second").unwrap().map(|r| r.cid).as_deref(),
            Some("second")
        );
    }
}
