//! What nobody else may read: the file itself, and keys of private content.
//!
//! Takes and gives content keys by the invocation's name. A key that a durable
//! result needs is on disk before that result is told.

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rusqlite::OptionalExtension;

use super::{Error, Ledger, Memory, Store, behind};
use crate::model::ContentKey;

/// Its owner reads and writes it.
const OWNER_ONLY: u32 = 0o600;

/// Makes the file its owner's alone before anything is in it; SQLite gives the
/// files beside it the same mode.
pub(super) fn claim(path: &Path) -> Result<(), Error> {
    let of = |source| Error::Mode {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = options.mode(OWNER_ONLY).open(path).map_err(of)?;
    let found = file.metadata().map_err(of)?.permissions().mode();
    if found & 0o077 == 0 {
        return Ok(());
    }
    let own = Permissions::from_mode(OWNER_ONLY);
    file.set_permissions(own).map_err(of)
}

impl Store {
    /// What opens a private invocation's content.
    ///
    /// # Errors
    /// SQLite's.
    pub fn content_key(&self, invocation: &str) -> Result<Option<ContentKey>, Error> {
        self.with_memories(|db| {
            db.prepare_cached("SELECT key FROM secrets WHERE invocation = ?1")?
                .query_row([invocation], |row| row.get(0).map(ContentKey::of))
                .optional()
        })
    }
}

impl Ledger {
    /// Remembers what a promise rests on: it is on disk once this returns.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn remember(&self, memories: Vec<Memory>) -> Result<(), Error> {
        self.commit(move |db| {
            let mut each = memories.iter();
            each.try_for_each(|memory| behind::write(db, memory))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Tasks;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_key_is_kept_until_results_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path, "peer").unwrap();
        let ledger = store.ledger(&Tasks::new()).unwrap();
        let key = ContentKey::of([7; 32]);
        store.remember([Memory::Secret("a".to_owned(), key.clone(), 5)]);
        let durable = vec![Memory::Secret("b".to_owned(), key.clone(), 6)];
        ledger.remember(durable).await.unwrap();
        assert_eq!(store.content_key("a").unwrap(), Some(key.clone()));
        assert_eq!(store.content_key("b").unwrap(), Some(key));
        store.forget_before(6).unwrap();
        assert_eq!(store.content_key("a").unwrap(), None);
        assert!(store.content_key("b").unwrap().is_some());
    }

    #[test]
    fn the_file_and_those_beside_it_are_their_owners_alone_also_if_they_were_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(Store::open(&path, "peer").unwrap());
        assert_eq!(mode(&path), OWNER_ONLY);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let store = Store::open(&path, "peer").unwrap();
        store.put_allow("somebody", None).unwrap();
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            assert_eq!(mode(&folder.path().join(name)), OWNER_ONLY, "{name}");
        }
    }
}
