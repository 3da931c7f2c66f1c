//! The durable class: what was promised, on both of its sides.
//!
//! The owner's side: keys, open invocations, their attempts, the one accepted
//! result. The executor's side: the journal of leases and receipts. Changes
//! are commits of a [`Ledger`]; reading is the store's.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Error, Ledger, RecordRow, Store};

/// What makes two submissions one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The caller's own word.
    pub key: String,
    /// Tells whether the same was asked for.
    pub digest: Vec<u8>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is kept.
    New,
    /// This invocation was submitted with the same key before.
    Known(String),
    /// This one was, and asked for something else.
    Conflict(String),
}

/// An invocation without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvocationRow {
    /// Its name.
    pub id: String,
    /// What was asked for, ready to be placed.
    pub body: Vec<u8>,
    /// Unix milliseconds of its submission.
    pub at_ms: u64,
    /// Its end was asked for.
    pub is_cancelled: bool,
    /// It was given up and waits for its operator.
    pub is_dead: bool,
}

/// One try of an open invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its lease.
    pub lease: String,
    /// Of which invocation.
    pub invocation: String,
    /// On which peer.
    pub executor: String,
    /// Which try, from 1.
    pub number: u32,
    /// It may still bring a result.
    pub is_open: bool,
}

/// A lease that this node took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Which.
    pub lease: String,
    /// Whose: an address of the mesh.
    pub owner: String,
    /// What it came to; none while it runs.
    pub delivery: Option<Vec<u8>>,
}

impl Ledger {
    /// Keeps a new invocation, unless its key is known.
    ///
    /// # Errors
    /// SQLite's, or a full disk; so for all below.
    pub async fn submit(&self, row: InvocationRow, key: Option<Key>) -> Result<Submitted, Error> {
        self.commit(move |db| {
            if let Some(key) = &key
                && let Some(known) = known(db, key)?
            {
                return Ok(known);
            }
            if let Some(Key { key, digest }) = key {
                db.prepare_cached("INSERT INTO keys VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![key, row.id, digest, row.at_ms])?;
            }
            db.prepare_cached("INSERT INTO invocations VALUES (?1, ?2, ?3, 0, 0)")?
                .execute(params![row.id, row.body, row.at_ms])?;
            Ok(Submitted::New)
        })
        .await
    }

    /// Keeps an attempt before it is offered, or what became of it.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn attempt(&self, row: AttemptRow) -> Result<(), Error> {
        self.commit(move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![
                    row.lease,
                    row.invocation,
                    row.executor,
                    row.number,
                    row.is_open
                ])
                .map(|_| ())
        })
        .await
    }

    /// Notes that the end of an invocation was asked for.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn cancel(&self, invocation: String) -> Result<(), Error> {
        self.commit(move |db| {
            db.prepare_cached("UPDATE invocations SET is_cancelled = 1 WHERE id = ?1")?
                .execute([invocation])
                .map(|_| ())
        })
        .await
    }

    /// Ends an invocation with its record and, if it has one, the receipt of
    /// its one result. Gives whether this was the first end.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn end(&self, record: RecordRow, receipt: Option<String>) -> Result<bool, Error> {
        self.commit(move |db| {
            let id = &record.invocation;
            let open = db
                .prepare_cached("DELETE FROM invocations WHERE id = ?1")?
                .execute([id])?;
            if open == 0 {
                return Ok(false);
            }
            if let Some(receipt) = receipt {
                db.prepare_cached("INSERT INTO accepted VALUES (?1, ?2, ?3)")?
                    .execute(params![id, receipt, record.at_ms])?;
            }
            db.prepare_cached("DELETE FROM attempts WHERE invocation = ?1")?
                .execute([id])?;
            put_record(db, &record)?;
            Ok(true)
        })
        .await
    }

    /// Sets an invocation aside for its operator, with the record that says
    /// why.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn bury(&self, record: RecordRow) -> Result<(), Error> {
        self.commit(move |db| {
            db.prepare_cached("UPDATE invocations SET is_dead = 1 WHERE id = ?1")?
                .execute([&record.invocation])?;
            put_record(db, &record)
        })
        .await
    }

    /// Takes a dead invocation back to the open ones with a new body, or
    /// forgets it; gives whether there was one.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn unbury(&self, invocation: String, body: Option<Vec<u8>>) -> Result<bool, Error> {
        self.commit(move |db| {
            let changed = match &body {
                Some(body) => db
                    .prepare_cached("UPDATE invocations SET is_dead = 0, is_cancelled = 0, body = ?2 WHERE id = ?1 AND is_dead")?
                    .execute(params![invocation, body])?,
                None => db
                    .prepare_cached("DELETE FROM invocations WHERE id = ?1 AND is_dead")?
                    .execute([&invocation])?,
            };
            if changed == 0 {
                return Ok(false);
            }
            db.prepare_cached("DELETE FROM attempts WHERE invocation = ?1")?
                .execute([&invocation])?;
            if body.is_some() {
                db.prepare_cached("DELETE FROM records WHERE invocation = ?1")?
                    .execute([&invocation])?;
            }
            Ok(true)
        })
        .await
    }

    /// Keeps a lease before it is accepted, or its result before it is sent.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn journal(&self, row: JournalRow, at_ms: u64) -> Result<(), Error> {
        self.commit(move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO journal VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![row.lease, row.owner, row.delivery, at_ms])
                .map(|_| ())
        })
        .await
    }

    /// Forgets a lease whose owner knows how it ended.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn settled(&self, lease: String) -> Result<(), Error> {
        self.commit(move |db| {
            db.prepare_cached("DELETE FROM journal WHERE lease = ?1")?
                .execute([lease])
                .map(|_| ())
        })
        .await
    }
}

impl Store {
    /// Invocations without an end, dead ones among them, oldest first.
    ///
    /// # Errors
    /// SQLite's; so for all below.
    pub fn open_invocations(&self) -> Result<Vec<InvocationRow>, Error> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT id, body, at_ms, is_cancelled, is_dead FROM invocations ORDER BY at_ms, id",
            )?
            .query_map([], invocation)?
            .collect()
        })
    }

    /// An invocation without an end that is not dead.
    ///
    /// # Errors
    /// As [`Self::open_invocations`].
    pub fn open_invocation(&self, id: &str) -> Result<Option<InvocationRow>, Error> {
        self.with(|db| {
            db.prepare_cached("SELECT id, body, at_ms, is_cancelled, is_dead FROM invocations WHERE id = ?1 AND NOT is_dead")?
                .query_row([id], invocation)
                .optional()
        })
    }

    /// The invocations that have an open attempt.
    ///
    /// # Errors
    /// As [`Self::open_invocations`].
    pub fn attempted(&self) -> Result<Vec<String>, Error> {
        self.with(|db| {
            db.prepare_cached("SELECT DISTINCT invocation FROM attempts WHERE is_open")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// The attempts of an open invocation, oldest first.
    ///
    /// # Errors
    /// As [`Self::open_invocations`].
    pub fn attempts(&self, invocation: &str) -> Result<Vec<AttemptRow>, Error> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT lease, invocation, executor, number, is_open FROM attempts WHERE invocation = ?1 ORDER BY number",
            )?
            .query_map([invocation], attempt)?
            .collect()
        })
    }

    /// Every lease that is not settled.
    ///
    /// # Errors
    /// As [`Self::open_invocations`].
    pub fn journalled(&self) -> Result<Vec<JournalRow>, Error> {
        self.with(|db| {
            db.prepare_cached("SELECT lease, owner, delivery FROM journal ORDER BY at_ms")?
                .query_map([], journalled)?
                .collect()
        })
    }

    /// Forgets keys older than `before_ms`, and which results were accepted
    /// before that.
    ///
    /// # Errors
    /// As [`Self::open_invocations`].
    pub fn forget_keys_before(&self, before_ms: u64) -> Result<(), Error> {
        self.with(|db| {
            db.execute("DELETE FROM keys WHERE at_ms < ?1", [before_ms])?;
            db.execute("DELETE FROM accepted WHERE at_ms < ?1", [before_ms])
        })
        .map(|_| ())
    }
}

fn known(db: &Connection, key: &Key) -> rusqlite::Result<Option<Submitted>> {
    let row: Option<(String, Vec<u8>)> = db
        .prepare_cached("SELECT invocation, digest FROM keys WHERE key = ?1")?
        .query_row([&key.key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map(|(invocation, digest)| match digest == key.digest {
        true => Submitted::Known(invocation),
        false => Submitted::Conflict(invocation),
    }))
}

fn put_record(db: &Connection, record: &RecordRow) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3)")?
        .execute(params![record.invocation, record.at_ms, record.body])
        .map(|_| ())
}

fn invocation(row: &Row<'_>) -> rusqlite::Result<InvocationRow> {
    Ok(InvocationRow {
        id: row.get(0)?,
        body: row.get(1)?,
        at_ms: row.get(2)?,
        is_cancelled: row.get(3)?,
        is_dead: row.get(4)?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        lease: row.get(0)?,
        invocation: row.get(1)?,
        executor: row.get(2)?,
        number: row.get(3)?,
        is_open: row.get(4)?,
    })
}

fn journalled(row: &Row<'_>) -> rusqlite::Result<JournalRow> {
    Ok(JournalRow {
        lease: row.get(0)?,
        owner: row.get(1)?,
        delivery: row.get(2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Tasks;

    struct Disk {
        store: Store,
        ledger: Ledger,
        _folder: tempfile::TempDir,
    }

    fn disk() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db"), "peer").unwrap();
        let ledger = store.ledger(&Tasks::new()).unwrap();
        Disk {
            store,
            ledger,
            _folder: folder,
        }
    }

    fn row(id: &str) -> InvocationRow {
        InvocationRow {
            id: id.to_owned(),
            body: vec![1],
            at_ms: 1,
            is_cancelled: false,
            is_dead: false,
        }
    }

    fn key(digest: u8) -> Option<Key> {
        Some(Key {
            key: "key".to_owned(),
            digest: vec![digest],
        })
    }

    fn record(id: &str) -> RecordRow {
        RecordRow {
            invocation: id.to_owned(),
            at_ms: 2,
            body: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_same_key_gives_the_same_invocation_also_after_its_end() {
        let Disk { ledger, .. } = &disk();
        assert_eq!(
            ledger.submit(row("a"), key(1)).await.unwrap(),
            Submitted::New
        );
        let known = Submitted::Known("a".to_owned());
        assert_eq!(ledger.submit(row("b"), key(1)).await.unwrap(), known);
        assert!(
            ledger
                .end(record("a"), Some("receipt".to_owned()))
                .await
                .unwrap()
        );
        assert_eq!(ledger.submit(row("b"), key(1)).await.unwrap(), known);
        let conflict = Submitted::Conflict("a".to_owned());
        assert_eq!(ledger.submit(row("b"), key(2)).await.unwrap(), conflict);
    }

    #[tokio::test]
    async fn an_invocation_ends_once() {
        let Disk { store, ledger, .. } = &disk();
        ledger.submit(row("a"), None).await.unwrap();
        assert!(
            ledger
                .end(record("a"), Some("one".to_owned()))
                .await
                .unwrap()
        );
        assert!(
            !ledger
                .end(record("a"), Some("two".to_owned()))
                .await
                .unwrap()
        );
        assert_eq!(store.open_invocations().unwrap(), []);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_submissions_at_once_are_all_kept_and_a_failed_one_undoes_itself_alone() {
        let Disk { store, ledger, .. } = &disk();
        ledger.submit(row("7"), None).await.unwrap();
        let all = (0..200).map(|n| {
            let ledger = ledger.clone();
            async move { ledger.submit(row(&n.to_string()), None).await.is_ok() }
        });
        let kept = futures_util::future::join_all(all).await;
        assert_eq!(kept.iter().filter(|is_kept| !**is_kept).count(), 1);
        assert_eq!(store.open_invocations().unwrap().len(), 200);
    }

    #[tokio::test]
    async fn a_dead_invocation_is_retried_or_dropped_once() {
        let Disk { store, ledger, .. } = &disk();
        ledger.submit(row("a"), None).await.unwrap();
        assert!(!ledger.unbury("a".to_owned(), Some(vec![2])).await.unwrap());
        ledger.bury(record("a")).await.unwrap();
        assert!(store.open_invocations().unwrap()[0].is_dead);
        store.forget_before(u64::MAX >> 1).unwrap();
        assert_eq!(store.records(1).unwrap(), [record("a")], "it says why");
        assert!(ledger.unbury("a".to_owned(), Some(vec![2])).await.unwrap());
        assert_eq!(store.open_invocations().unwrap()[0].body, [2]);
        ledger.bury(record("a")).await.unwrap();
        assert!(ledger.unbury("a".to_owned(), None).await.unwrap());
        assert_eq!(store.open_invocations().unwrap(), []);
    }
}
