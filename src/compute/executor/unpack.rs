//! Unpacks the archive Kubo makes of a directory, safely and bounded.
//!
//! Takes a tar stream, gives files and folders below one target. Refuses
//! everything but plain files and directories, every name that could leave
//! the target, and too many entries. The first path component, which Kubo
//! names after the CID, is dropped.

use std::{
    fs,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use bytes::Bytes;
use futures_util::Stream;
use tar::{Archive, EntryType};

use crate::{
    compute::piped::piped,
    kubo,
    sandbox::{MAX_DEPTH, MAX_ENTRIES},
};

/// Why a directory was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The stream itself failed.
    #[error(transparent)]
    Source(kubo::Error),
    /// A name leads out of the target.
    #[error("the name {0:?} leads out of the directory")]
    BadName(PathBuf),
    /// Neither file nor directory.
    #[error("{0:?} is neither a file nor a directory")]
    BadKind(PathBuf),
    /// Too many bytes.
    #[error("it has more than {0} bytes, which is all that may be taken here")]
    TooLarge(u64),
    /// Too many entries.
    #[error("it has more than {MAX_ENTRIES} entries")]
    TooMany,
    /// Folders within folders without end.
    #[error("it has folders deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The disk or the archive's form.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Unpacks `source` into `target`, which exists and is empty; at most
/// `max_bytes` of files.
pub(crate) async fn unpack<S>(source: S, target: PathBuf, max_bytes: u64) -> Result<(), Error>
where
    S: Stream<Item = Result<Bytes, kubo::Error>> + Send,
{
    let written = piped(source, move |pieces| write(pieces, &target, max_bytes)).await;
    written.map_err(Error::Source)??
}

/// The same of a blocking source.
pub(crate) fn write(source: impl Read, target: &Path, max_bytes: u64) -> Result<(), Error> {
    let mut archive = Archive::new(source);
    let mut room = max_bytes;
    for (count, entry) in archive.entries()?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(Error::TooMany);
        }
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let Some(below) = below(&name)? else { continue };
        let path = target.join(below);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&path)?,
            EntryType::Regular => {
                let left = room.checked_sub(entry.size());
                room = left.ok_or(Error::TooLarge(max_bytes))?;
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                io::copy(&mut entry, &mut fs::File::create_new(&path)?)?;
            }
            _ => return Err(Error::BadKind(name)),
        }
    }
    Ok(())
}

/// The name without its first component; none for the root itself.
fn below(name: &Path) -> Result<Option<PathBuf>, Error> {
    let is_plain = name.components().all(|c| matches!(c, Component::Normal(_)));
    if !is_plain {
        return Err(Error::BadName(name.to_owned()));
    }
    let rest: PathBuf = name.components().skip(1).collect();
    if rest.components().count() > MAX_DEPTH {
        return Err(Error::TooDeep);
    }
    Ok((!rest.as_os_str().is_empty()).then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[(&str, EntryType)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind) in names {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o644);
            let bytes = header.as_ustar_mut().unwrap();
            bytes.name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, io::empty()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(names: &[(&str, EntryType)]) -> Result<Vec<String>, Error> {
        let target = tempfile::tempdir().unwrap();
        write(archive(names).as_slice(), target.path(), 0)?;
        let mut found: Vec<String> = fs::read_dir(target.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        Ok(found)
    }

    #[test]
    fn folders_within_folders_have_an_end() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        let path = format!("cid/{}file", "a/".repeat(MAX_DEPTH));
        builder.append_data(&mut header, path, io::empty()).unwrap();
        let target = tempfile::tempdir().unwrap();
        let archive = builder.into_inner().unwrap();
        let refused = write(archive.as_slice(), target.path(), 0);
        assert!(matches!(refused, Err(Error::TooDeep)), "{refused:?}");
    }

    #[test]
    fn the_root_folder_is_dropped_and_its_content_kept() {
        let names = [
            ("cid", EntryType::Directory),
            ("cid/a", EntryType::Regular),
            ("cid/b/c", EntryType::Regular),
        ];
        assert_eq!(unpacked(&names).unwrap(), ["a", "b"]);
    }

    #[test]
    fn no_name_leaves_the_target() {
        for name in ["cid/../../x", "/etc/x", "../x"] {
            assert!(
                matches!(
                    unpacked(&[(name, EntryType::Regular)]),
                    Err(Error::BadName(_))
                ),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_larger_than_allowed_is_not_written() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(11);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "cid/large", &[0; 11][..])
            .unwrap();
        let (bytes, target) = (builder.into_inner().unwrap(), tempfile::tempdir().unwrap());
        let refused = write(&bytes[..], target.path(), 10);
        assert!(matches!(refused, Err(Error::TooLarge(10))));
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }

    #[test]
    fn links_and_devices_are_refused() {
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Char,
            EntryType::Fifo,
        ] {
            assert!(
                matches!(unpacked(&[("cid/x", kind)]), Err(Error::BadKind(_))),
                "{kind:?}"
            );
        }
    }
}
