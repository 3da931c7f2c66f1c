//! Folders that go when they are dropped, whatever guests left in them.
//!
//! Takes where, gives a [`Scratch`]. Never follows a link and never leaves the
//! folder, even while a guest still moves things in it. Needs neither a
//! descriptor nor a stack frame for every level: whatever lies deep is moved up
//! before it is removed, so that a tree deeper than any path goes like another.

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
    path::Arg,
};
use tracing::warn;

use super::MAX_DEPTH;
use crate::task;

/// A folder of its own. Removed aside, not where it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// An empty folder below `root` whose name begins with `prefix`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn new(prefix: &str, root: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(root)?;
        let path = folder.keep();
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        task::aside(move || {
            if let Err(error) = remove(&path) {
                warn!(path = %path.display(), %error, "a folder of an attempt stays behind");
            }
        });
    }
}

/// Removes whatever is in `folder`, which an earlier process may have used.
///
/// # Errors
/// The disk's.
pub(crate) fn clear(folder: &Path) -> io::Result<()> {
    let names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let gone = Scratch::new("gone-", folder)?;
    for name in names {
        fs::rename(folder.join(&name), gone.path().join(&name))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let mut removal = Removal {
        root: open(CWD, path)?,
        moved: 0,
        pending: Vec::new(),
    };
    removal.empty(open(CWD, path)?, 0)?;
    while let Some(name) = removal.pending.pop() {
        let folder = open(&removal.root, &name)?;
        removal.empty(folder, 0)?;
        unlinkat(&removal.root, &name, AtFlags::REMOVEDIR)?;
    }
    fs::remove_dir(path)
}

struct Removal {
    root: OwnedFd,
    /// Folders that were moved up so far, which names them.
    moved: u64,
    /// Those of them that are still there.
    pending: Vec<CString>,
}

impl Removal {
    /// Removes what is in `folder`; moves up what is too deep.
    fn empty(&mut self, folder: OwnedFd, depth: usize) -> io::Result<()> {
        let mut entries = Dir::new(folder)?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let (name, folder) = (entry.file_name(), entries.fd()?);
            if name == c"." || name == c".." {
                continue;
            }
            match unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                // What systems say of a folder.
                Err(Errno::ISDIR | Errno::PERM) if depth < MAX_DEPTH => {
                    self.empty(open(folder, name)?, depth + 1)?;
                    unlinkat(folder, name, AtFlags::REMOVEDIR)?;
                }
                Err(Errno::ISDIR | Errno::PERM) => self.move_up(folder, name)?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn move_up(&mut self, folder: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let up = CString::new(format!("gone-{}", self.moved))?;
        renameat(folder, name, &self.root, &up)?;
        self.moved += 1;
        self.pending.push(up);
        Ok(())
    }
}

fn open(at: impl AsFd, name: impl Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(at, name, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of folders with a file at its end.
    fn chain(root: &Path, depth: usize) {
        let mut folder = open(CWD, root).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&folder, c"a", Mode::RWXU).unwrap();
            folder = open(&folder, c"a").unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        openat(&folder, c"file", flags, Mode::RUSR).unwrap();
    }

    #[test]
    fn a_tree_goes_that_is_deeper_than_paths_and_descriptors_reach() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::new("attempt-", root.path()).unwrap();
        fs::create_dir(scratch.path().join("out")).unwrap();
        chain(&scratch.path().join("out"), 21_000);
        drop(scratch);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_goes_that_a_link_leads_to() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("kept"), b"x").unwrap();
        let scratch = Scratch::new("attempt-", root.path()).unwrap();
        std::os::unix::fs::symlink(other.path(), scratch.path().join("link")).unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(other.path().join("kept").exists());
    }

    #[test]
    fn what_an_earlier_process_left_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        clear(root.path()).unwrap();
        chain(root.path(), 3);
        fs::write(root.path().join("file"), b"x").unwrap();
        clear(root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
