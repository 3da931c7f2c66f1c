//! What a guest's user may do with the folders of an attempt.
//!
//! Takes an attempt, opens its `/in` for reading and its `/out` for writing.
//! Nobody else on this machine comes as far: the attempt's own folder is shut.
//! Where this program is root, guests' processes are nobody.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown},
    path::Path,
};

use rustix::process::geteuid;

use super::{Attempt, Program};

/// Nobody's ids, as the kernel has them.
pub(super) const NOBODY: u32 = 65_534;

/// What everybody may do with a file and a directory that is to be read.
const READ: u32 = 0o444;
const ENTER: u32 = 0o555;
const WRITE: u32 = 0o777;

/// Opens both folders to a container.
pub(super) fn give(attempt: &Attempt) -> io::Result<()> {
    let out = attempt.work.join("out");
    fs::set_permissions(&out, Permissions::from_mode(WRITE))?;
    open_input(attempt)
}

/// Makes the attempt's folder, and `/out` where it is there, the own ones of the
/// process in which guests run; opens what that reads.
pub(super) fn hand_over(attempt: &Attempt) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    own(&attempt.work)?;
    match own(&attempt.work.join("out")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Program::Wasm(module) = &attempt.program {
        open_file(&module.code.path)?;
    }
    open_input(attempt)
}

/// Makes `path` the own one of the process in which guests run. That stays this
/// program's user where there is no other one, and so does this then.
pub(super) fn own(path: &Path) -> io::Result<()> {
    if !geteuid().is_root() || fs::symlink_metadata(path)?.uid() == NOBODY {
        return Ok(());
    }
    match lchown(path, Some(NOBODY), Some(NOBODY)) {
        Err(error) if is_alone(&error) => Ok(()),
        owned => owned,
    }
}

/// Root without rights over others, as in a container.
fn is_alone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
    )
}

/// Opens a folder, not what is in it.
pub(super) fn enter(folder: &Path) -> io::Result<()> {
    match geteuid().is_root() && !is_open(folder)? {
        true => fs::set_permissions(folder, Permissions::from_mode(0o700 | ENTER)),
        false => Ok(()),
    }
}

fn open_input(attempt: &Attempt) -> io::Result<()> {
    match &attempt.input_dir {
        Some(folder) if !is_open(folder)? => open(folder),
        _ => Ok(()),
    }
}

/// One folder tells for all of them: they were made alike.
fn is_open(folder: &Path) -> io::Result<bool> {
    Ok(fs::metadata(folder)?.permissions().mode() & ENTER == ENTER)
}

fn open_file(file: &Path) -> io::Result<()> {
    match fs::metadata(file)?.permissions().mode() & READ {
        READ => Ok(()),
        _ => fs::set_permissions(file, Permissions::from_mode(0o600 | READ)),
    }
}

fn open(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700 | ENTER))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata()?.is_dir() {
            true => open(&entry.path())?,
            false => open_file(&entry.path())?,
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
