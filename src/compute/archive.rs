//! A folder as a TAR archive, written while it is read.
//!
//! Takes a folder, gives a stream. The same files give the same bytes: names in
//! order, no times, no owners. Never follows a link.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::StreamExt;
use tar::{Builder, EntryType, Header, HeaderMode};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::ByteStream;
use crate::task::Tasks;

/// Bytes of one piece of the stream.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that may wait for whoever reads them.
const PIECES_AHEAD: usize = 4;
/// Names in the archive begin with this folder, as in archives that Kubo makes.
const ROOT: &str = "output";

/// What is done with what is neither file nor folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// It makes the archive fail.
    Refused,
    /// It is left out.
    LeftOut,
}

/// The archive of `folder`, of at most `max_bytes` of files. A stream that
/// fails ends with an error.
pub(crate) fn archive(folder: PathBuf, max_bytes: u64, others: Others) -> ByteStream {
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let failed = pieces.clone();
    let _told_by_the_stream = Tasks::new().spawn_blocking(move || {
        let pieces = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
        if let Err(error) = write(&folder, max_bytes, others, pieces) {
            let _nobody_reads = failed.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver).boxed()
}

/// Blocking bytes as the stream's pieces.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(folder: &Path, max_bytes: u64, others: Others, into: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(into);
    let mut room = max_bytes;
    let mut waiting = vec![(folder.to_owned(), PathBuf::from(ROOT))];
    while let Some((path, name)) = waiting.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let mut header = Header::new_gnu();
        header.set_metadata_in_mode(&meta, HeaderMode::Deterministic);
        header.set_mtime(0);
        if meta.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_size(0);
            archive.append_data(&mut header, &name, io::empty())?;
            waiting.extend(below(&path, &name)?);
        } else if meta.is_file() {
            room = room.checked_sub(meta.len()).ok_or_else(too_large)?;
            let file = fs::File::open(&path)?.take(meta.len());
            archive.append_data(&mut header, &name, file)?;
        } else if others == Others::Refused {
            let what = format!("{}: neither a file nor a folder", name.display());
            return Err(io::Error::other(what));
        }
    }
    archive.into_inner()?.flush()
}

/// What is in a folder, last name first: the first leaves the stack first.
fn below(folder: &Path, name: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.path(), name.join(entry.file_name())))
    });
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| b.cmp(a));
    Ok(entries)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "more than its limit")
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn whole(folder: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = archive(folder.to_owned(), max_bytes, Others::Refused)
            .try_collect()
            .await?;
        Ok(pieces.concat())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("b"), "two").unwrap();
        fs::write(folder.path().join("sub/a"), vec![7; 200_000]).unwrap();
        folder
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_same_files_give_the_same_archive_whenever_they_were_written() {
        let (one, other) = (folder(), folder());
        let bytes = whole(one.path(), 1 << 20).await.unwrap();
        assert!(bytes == whole(other.path(), 1 << 20).await.unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names = archive.entries().unwrap().map(|entry| {
            let name = entry.unwrap().path().unwrap().into_owned();
            name.to_string_lossy().trim_end_matches('/').to_owned()
        });
        let names: Vec<String> = names.collect();
        assert_eq!(names, ["output", "output/b", "output/sub", "output/sub/a"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_link_is_not_followed_and_a_cap_holds() {
        let folder = folder();
        assert!(whole(folder.path(), 200_002).await.is_err());
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("link")).unwrap();
        assert!(whole(folder.path(), 1 << 20).await.is_err());
        let without = archive(folder.path().to_owned(), 1 << 20, Others::LeftOut);
        let pieces: Vec<Bytes> = without.try_collect().await.unwrap();
        assert!(!pieces.concat().windows(4).any(|four| four == b"link"));
    }
}
