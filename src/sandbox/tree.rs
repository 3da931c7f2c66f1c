//! Measures what a guest wrote under `/out`, without following links.
//!
//! Takes a directory, gives its size, or the fault it shows. Used while the
//! guest runs and at its end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Error, Fault, MAX_DEPTH, MAX_ENTRIES, error::of_io};
use crate::task::Tasks;

/// How often the size of `/out` is looked at while the guest runs.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// What lies in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Sum of the files' lengths, holes counted.
    pub(super) bytes: u64,
    /// Files and directories.
    pub(super) entries: usize,
}

/// Sums up `root`. Entries that vanish meanwhile do not count; an absent root
/// is empty. Gives up early at `limit` bytes, of which `elsewhere` were written
/// elsewhere.
///
/// # Errors
/// A fault for output over the limit or of another kind than file and
/// directory, in the inner result; reading failures in the outer one.
pub(super) fn measure(root: &Path, elsewhere: u64, limit: u64) -> io::Result<Result<Size, Fault>> {
    let mut size = Size::default();
    let mut pending = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let read = fs::read_dir(&directory);
        let is_too_long = matches!(&read, Err(e) if e.kind() == io::ErrorKind::InvalidFilename);
        if is_too_long || depth > MAX_DEPTH {
            return Ok(Err(Fault::OutputTooDeep { limit: MAX_DEPTH }));
        }
        let Some(entries) = present(read)? else {
            continue;
        };
        for entry in entries {
            let Some(entry) = present(entry)? else {
                continue;
            };
            let Some(metadata) = present(entry.metadata())? else {
                continue;
            };
            size.entries += 1;
            if metadata.is_dir() {
                pending.push((entry.path(), depth + 1));
            } else if metadata.is_file() {
                size.bytes = size.bytes.saturating_add(metadata.len());
            } else {
                let path = entry.path();
                let path = path
                    .strip_prefix(root)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                return Ok(Err(Fault::BadOutput { path }));
            }
            if size.bytes.saturating_add(elsewhere) > limit || size.entries > MAX_ENTRIES {
                return Ok(Err(Fault::OutputTooLarge { limit }));
            }
        }
    }
    Ok(Ok(size))
}

/// Looks at `out` while the guest runs. Gives only an error: the kernel caps a
/// single file, this caps their sum.
pub(super) async fn watch(tasks: &Tasks, out: PathBuf, limit: u64) -> Error {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        let root = out.clone();
        match tasks.spawn_blocking(move || measure(&root, 0, limit)).await {
            Ok(Ok(Err(fault @ (Fault::OutputTooLarge { .. } | Fault::OutputTooDeep { .. })))) => {
                return Error::User(fault);
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => return of_io(error),
        }
    }
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{Mode, OFlags};

    use super::*;

    #[test]
    fn a_link_is_no_output() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("d/l")).unwrap();
        let fault = measure(root.path(), 0, 10).unwrap().unwrap_err();
        assert_eq!(fault, Fault::BadOutput { path: "d/l".into() });
    }

    #[test]
    fn folders_within_folders_have_an_end() {
        let root = tempfile::tempdir().unwrap();
        let longest = root.path().join("a/".repeat(MAX_DEPTH));
        fs::create_dir_all(&longest).unwrap();
        measure(root.path(), 0, 10).unwrap().unwrap();
        fs::create_dir(longest.join("a")).unwrap();
        let fault = measure(root.path(), 0, 10).unwrap().unwrap_err();
        assert_eq!(fault, Fault::OutputTooDeep { limit: MAX_DEPTH });
    }

    #[test]
    fn names_may_be_as_long_as_they_like() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = rustix::fs::open(root.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        let name = "x".repeat(200);
        for _ in 0..30 {
            rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
            folder = rustix::fs::openat(&folder, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let fault = measure(root.path(), 0, 10).unwrap().unwrap_err();
        assert_eq!(fault, Fault::OutputTooDeep { limit: MAX_DEPTH });
    }

    #[test]
    fn a_hole_counts_as_bytes() {
        let root = tempfile::tempdir().unwrap();
        fs::File::create(root.path().join("f"))
            .unwrap()
            .set_len(11)
            .unwrap();
        let fault = measure(root.path(), 0, 10).unwrap().unwrap_err();
        assert_eq!(fault, Fault::OutputTooLarge { limit: 10 });
        assert_eq!(
            measure(root.path(), 0, 11).unwrap().unwrap(),
            Size {
                bytes: 11,
                entries: 1
            }
        );
    }
}
