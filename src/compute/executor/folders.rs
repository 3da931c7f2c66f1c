//! The folders that attempts work in: one that was left empty serves the next.
//!
//! Takes nothing but the root, gives a [`Folder`] with an empty `out` in it.
//! Making and removing folders is most of what a short attempt costs on a
//! journalling file system. A folder in which an attempt left anything is
//! removed, and one that is used again has forgotten when it was last used, so
//! that no attempt learns of another.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use tracing::debug;

use crate::sandbox::{owner_folder, scratch::Scratch};

/// Begins the name of every attempt's folder.
const PREFIX: &str = "attempt-";
/// Where a guest finds its `/out`.
const OUT: &str = "out";
/// Empty folders kept at most; as many attempts hardly ever run at once.
const MAX_KEPT: usize = 64;

/// The folders of one executor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// By owner: what one left is never another's.
    empty: Mutex<Vec<(String, Scratch)>>,
}

/// One attempt's folder; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    owner: String,
    dir: Scratch,
    shared: Arc<Shared>,
}

impl Folders {
    /// Folders below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                root,
                empty: Mutex::default(),
            }),
        }
    }

    /// An empty folder for `owner`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn enter(&self, owner: &str) -> io::Result<Folder> {
        let owner = owner_folder(owner);
        let dir = match self.shared.kept(&owner) {
            Some(dir) => dir,
            None => made(&self.shared.root.join(&owner))?,
        };
        let shared = Arc::clone(&self.shared);
        Ok(Folder { owner, dir, shared })
    }
}

impl Folder {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The attempt is over and nothing of it runs any more: the folder serves
    /// another, if it is as good as new.
    pub(crate) fn leave(self) {
        match is_as_new(self.path()) {
            Ok(true) => self.shared.keep(self.owner, self.dir),
            Ok(false) => {}
            Err(error) => debug!(%error, "a folder of an attempt is not used again"),
        }
    }
}

impl Shared {
    fn kept(&self, owner: &str) -> Option<Scratch> {
        let mut empty = self.empty.lock();
        let at = empty.iter().rposition(|(kept, _)| kept == owner)?;
        Some(empty.remove(at).1)
    }

    fn keep(&self, owner: String, dir: Scratch) {
        let mut empty = self.empty.lock();
        if empty.len() >= MAX_KEPT {
            empty.remove(0);
        }
        empty.push((owner, dir));
    }
}

fn made(root: &Path) -> io::Result<Scratch> {
    std::fs::create_dir_all(root)?;
    let dir = Scratch::new(PREFIX, root)?;
    std::fs::create_dir(dir.path().join(OUT))?;
    forget_times(dir.path())?;
    Ok(dir)
}

/// Whether nothing but an empty `out` is left; its times are set back then.
fn is_as_new(path: &Path) -> io::Result<bool> {
    let mut entries = 0;
    for entry in std::fs::read_dir(path)? {
        if entry?.file_name() != OUT {
            return Ok(false);
        }
        entries += 1;
    }
    let is_empty = entries == 1 && std::fs::read_dir(path.join(OUT))?.next().is_none();
    if is_empty {
        forget_times(path)?;
    }
    Ok(is_empty)
}

/// Guests can see and set the times of `/out`.
fn forget_times(path: &Path) -> io::Result<()> {
    let start = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: start,
        last_modification: start,
    };
    Ok(utimensat(
        CWD,
        path.join(OUT),
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folders() -> (Folders, TempDir) {
        let root = tempfile::tempdir().unwrap();
        (Folders::new(root.path().to_owned()), root)
    }

    #[test]
    fn a_folder_that_was_left_empty_serves_the_next_attempt() {
        let (folders, _root) = folders();
        let first = folders.enter("me").unwrap();
        let (path, beside) = (first.path().to_owned(), folders.enter("me").unwrap());
        assert_ne!(path, beside.path());
        first.leave();
        assert_ne!(folders.enter("another").unwrap().path(), path);
        assert_eq!(folders.enter("me").unwrap().path(), path);
    }

    #[test]
    fn what_an_attempt_leaves_goes_with_its_folder() {
        let (folders, root) = folders();
        for left in ["stderr", "out/result", "in"] {
            let folder = folders.enter("me").unwrap();
            std::fs::write(folder.path().join(left), b"x").unwrap();
            folder.leave();
            assert_eq!(
                std::fs::read_dir(root.path().join("me")).unwrap().count(),
                0,
                "{left}"
            );
        }
    }

    #[test]
    fn the_folder_of_an_attempt_that_may_still_run_is_never_used_again() {
        let (folders, root) = folders();
        drop(folders.enter("me").unwrap());
        assert_eq!(
            std::fs::read_dir(root.path().join("me")).unwrap().count(),
            0
        );
    }

    #[test]
    fn no_attempt_learns_when_the_one_before_it_ran() {
        use std::{fs::Metadata, time::SystemTime};
        let (folders, _root) = folders();
        let seen =
            |metadata: &Metadata| (metadata.modified().unwrap(), metadata.accessed().unwrap());
        for _ in 0..2 {
            let folder = folders.enter("me").unwrap();
            let out = folder.path().join(OUT);
            let times = seen(&out.metadata().unwrap());
            assert_eq!(times, (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH));
            std::fs::write(out.join("gone"), b"x").unwrap();
            std::fs::remove_file(out.join("gone")).unwrap();
            folder.leave();
        }
    }
}
