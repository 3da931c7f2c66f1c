//! What a container's user may do with the folders of an attempt.
//!
//! Takes an attempt, opens its `/in` for reading and its `/out` for writing.
//! Nobody else on this machine comes as far: the attempt's own folder is shut.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::sandbox::Attempt;

/// What everybody may do with a file and a directory that is to be read.
const READ: u32 = 0o444;
const ENTER: u32 = 0o555;
const WRITE: u32 = 0o777;

/// Opens both folders.
pub(super) fn give(attempt: &Attempt) -> io::Result<()> {
    let out = attempt.work.join("out");
    fs::set_permissions(&out, Permissions::from_mode(WRITE))?;
    match &attempt.input_dir {
        Some(folder) if !is_open(folder)? => open(folder),
        _ => Ok(()),
    }
}

/// One folder tells for all of them: they were made alike.
fn is_open(folder: &Path) -> io::Result<bool> {
    Ok(fs::metadata(folder)?.permissions().mode() & ENTER == ENTER)
}

fn open(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700 | ENTER))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata()?.is_dir() {
            true => open(&entry.path())?,
            false => fs::set_permissions(entry.path(), Permissions::from_mode(0o600 | READ))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_strict_umask_shut_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in/deep/file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        for (path, mode) in [("in", 0o700), ("in/deep", 0o700), ("in/deep/file", 0o600)] {
            fs::set_permissions(folder.path().join(path), Permissions::from_mode(mode)).unwrap();
        }
        open(&folder.path().join("in")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o644, 0o755));
    }
}
