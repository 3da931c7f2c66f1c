//! An output as files: whole or not at all, and never outside its place.
//!
//! Takes a stream from a node that need not be trusted, gives a file or a
//! folder. Archives hold folders and files only; links, devices and names that
//! lead elsewhere are refused.

use std::{
    io::{self, Read, Write as _},
    path::{Component, Path, PathBuf},
};

use futures_util::StreamExt as _;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::exit::{Stop, bad, file};
use crate::{
    api::Output,
    compute::{ByteStream, Failure},
    model::Class,
    task::Tasks,
};

/// Whether something can be saved at `path`, before anything runs.
///
/// # Errors
/// When a folder is there, or nothing above it.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(bad(
            "bad_argument",
            format!("{} exists and is a folder", path.display()),
        )
        .with_hint("Name a file or a folder that is not there yet."));
    }
    let above = above(path);
    if above.is_dir() {
        return Ok(());
    }
    Err(file(above, &io::Error::from(io::ErrorKind::NotFound)).with_hint("Make the folder first."))
}

/// Saves the whole output at `path`, or nothing.
///
/// # Errors
/// When the bytes break off, the archive is unsafe or the disk refuses.
pub(super) async fn save(output: Output, path: &Path) -> Result<(), Stop> {
    if output.is_directory {
        return save_folder(output.bytes, path).await;
    }
    save_file(output.bytes, path).await
}

async fn save_file(mut bytes: ByteStream, path: &Path) -> Result<(), Stop> {
    if path.exists() && !path.is_file() {
        return pour(bytes, path).await;
    }
    let mut temporary = tempfile::NamedTempFile::new_in(above(path)).map_err(|e| file(path, &e))?;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|e| truncated(&e))?;
        temporary.write_all(&chunk).map_err(|e| file(path, &e))?;
    }
    widen(temporary.as_file(), 0o644).map_err(|e| file(path, &e))?;
    temporary.persist(path).map_err(|e| file(path, &e.error))?;
    Ok(())
}

/// Writes into what is no file, such as `/dev/null` or a pipe: it stays what it
/// is, where a rename would put a file in its place.
async fn pour(mut bytes: ByteStream, path: &Path) -> Result<(), Stop> {
    let opened = std::fs::OpenOptions::new().write(true).open(path);
    let mut device = opened.map_err(|e| file(path, &e))?;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(|e| truncated(&e))?;
        device.write_all(&chunk).map_err(|e| file(path, &e))?;
    }
    Ok(())
}

async fn save_folder(bytes: ByteStream, path: &Path) -> Result<(), Stop> {
    let temporary = tempfile::tempdir_in(above(path)).map_err(|e| file(path, &e))?;
    let archive = SyncIoBridge::new(StreamReader::new(bytes));
    let into = temporary.path().to_owned();
    let unpacked = Tasks::new()
        .spawn_blocking(move || unpack(archive, &into))
        .await;
    unpacked.map_err(io::Error::other)??;
    let folder = std::fs::File::open(temporary.path()).map_err(|e| file(path, &e))?;
    widen(&folder, 0o755).map_err(|e| file(path, &e))?;
    std::fs::rename(temporary.keep(), path).map_err(|e| file(path, &e))?;
    Ok(())
}

/// Temporary files are the owner's alone; results are as other files are.
fn widen(what: &std::fs::File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    what.set_permissions(std::fs::Permissions::from_mode(mode))
}

fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn unpack(archive: impl Read, into: &Path) -> Result<(), Failure> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(|e| truncated(&e))? {
        let mut entry = entry.map_err(|e| truncated(&e))?;
        let name = entry.path().map_err(|e| truncated(&e))?.into_owned();
        let place = into.join(inside(&name)?);
        match entry.header().entry_type() {
            tar::EntryType::Directory => std::fs::create_dir_all(&place),
            tar::EntryType::Regular => write_out(&mut entry, &place),
            kind => {
                return Err(unsafe_name(
                    &name,
                    &format!("{kind:?} entries are not saved"),
                ));
            }
        }
        .map_err(|e| {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                truncated(&e)
            } else {
                file(&place, &e)
            }
        })?;
    }
    Ok(())
}

fn write_out(entry: &mut impl Read, place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(place)?;
    io::copy(entry, &mut file).map(|_| ())
}

/// The name below the archive's one top folder.
fn inside(name: &Path) -> Result<PathBuf, Failure> {
    let plain = |c: &Component<'_>| matches!(c, Component::Normal(_));
    if !name.components().all(|c| plain(&c)) {
        return Err(unsafe_name(name, "the name leads out of the folder"));
    }
    Ok(name.components().skip(1).collect())
}

fn unsafe_name(name: &Path, why: &str) -> Failure {
    Failure::new(
        Class::User,
        "unsafe_output",
        format!("{}: {why}", name.display()),
    )
    .with_hint("Nothing was saved; the output's CID can be looked at with `ipfs ls`.")
}

fn truncated(error: &io::Error) -> Failure {
    Failure::new(
        Class::Lost,
        "truncated",
        format!("the output broke off: {error}"),
    )
    .with_hint("Nothing was saved; fetch it again with `timerose result -o`.")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, data) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    async fn saved(
        bytes: Vec<u8>,
        is_directory: bool,
        end: Option<io::Error>,
    ) -> (tempfile::TempDir, Result<(), Stop>) {
        let dir = tempfile::tempdir().unwrap();
        let chunks = [Some(Ok(bytes.into())), end.map(Err)].into_iter().flatten();
        let bytes = stream::iter(chunks.collect::<Vec<_>>()).boxed();
        let output = Output {
            cid: "bafy".to_owned(),
            is_directory,
            bytes,
        };
        let result = save(output, &dir.path().join("out")).await;
        (dir, result)
    }

    const FILE: tar::EntryType = tar::EntryType::Regular;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_directory_is_unpacked_below_its_name() {
        let bytes = archive(&[("bafy/a.txt", FILE, b"one"), ("bafy/b/c.txt", FILE, b"two")]);
        let (dir, result) = saved(bytes, true, None).await;
        result.unwrap();
        assert_eq!(
            std::fs::read(dir.path().join("out/b/c.txt")).unwrap(),
            b"two"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn names_that_lead_elsewhere_and_links_save_nothing() {
        for (name, kind) in [
            ("bafy/../../evil", FILE),
            ("/etc/evil", FILE),
            ("bafy/link", tar::EntryType::Symlink),
            ("bafy/link", tar::EntryType::Link),
            ("bafy/null", tar::EntryType::Char),
        ] {
            let (dir, result) = saved(archive(&[(name, kind, b"")]), true, None).await;
            assert!(result.is_err(), "{name}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{name}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_truncated_output_is_never_saved() {
        let broken = || Some(io::Error::other("reset"));
        let (dir, result) = saved(b"half".to_vec(), false, broken()).await;
        assert!(result.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut bytes = archive(&[("bafy/a.txt", FILE, &[7; 2000])]);
        bytes.truncate(1500);
        let (dir, result) = saved(bytes, true, broken()).await;
        assert!(result.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
