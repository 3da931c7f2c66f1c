//! A local directory, made ready to be added.
//!
//! Takes a path and caps, gives the parts of an upload in an order that Kubo
//! reads: a directory before what is in it. Never follows a symbolic link,
//! opens a file only when its turn comes.

use std::{
    ffi::OsStr,
    fs::Metadata,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::fs;
use tokio_util::io::ReaderStream;

use super::{
    Error,
    upload::{Part, PartKind, percent_encode},
};

/// Name of the root in the upload; it does not change the CID.
pub(super) const ROOT: &str = "root";

/// How much of a file is read at a time.
const READ_BYTES: usize = 64 << 10;

/// How much of a directory may be added.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Most files, directories and links.
    pub max_entries: u64,
    /// Most bytes of all files.
    pub max_bytes: u64,
    /// Whether names that begin with a dot are added too.
    pub hidden: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            max_entries: 1_000_000,
            max_bytes: 1 << 40,
            hidden: true,
        }
    }
}

/// One thing found below the root.
#[derive(Debug)]
pub(super) struct Found {
    name: String,
    path: PathBuf,
    kind: PartKind,
    /// Bytes to send at most.
    size: u64,
}

/// Lists `root` and everything below it.
pub(super) async fn walk(root: &Path, tree: &Tree) -> Result<Vec<Found>, Error> {
    let meta = fs::metadata(root).await.map_err(local(root))?;
    if !meta.is_dir() {
        return Err(local(root)(io::ErrorKind::NotADirectory.into()));
    }
    let start = Found {
        name: ROOT.to_owned(),
        path: root.to_owned(),
        kind: PartKind::Directory,
        size: 0,
    };
    let (mut found, mut stack, mut bytes) = (Vec::new(), vec![start], 0);
    while let Some(next) = stack.pop() {
        if next.kind == PartKind::Directory {
            let known = 1 + found.len() + stack.len();
            let room = tree.max_entries.saturating_sub(known as u64);
            stack.extend(read_directory(&next, tree, room).await?);
        }
        bytes += next.size;
        if bytes > tree.max_bytes {
            return Err(Error::TooLarge {
                what: "bytes of the directory",
                size: bytes,
                limit: tree.max_bytes,
            });
        }
        found.push(next);
    }
    Ok(found)
}

/// The entries of one directory, last name first: they leave a stack in order.
async fn read_directory(parent: &Found, tree: &Tree, room: u64) -> Result<Vec<Found>, Error> {
    let failed = local(&parent.path);
    let mut entries = fs::read_dir(&parent.path).await.map_err(&failed)?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(&failed)? {
        let name = entry.file_name();
        if !tree.hidden && name.as_bytes().starts_with(b".") {
            continue;
        }
        if found.len() as u64 >= room {
            let limit = tree.max_entries;
            return Err(Error::TooLarge {
                what: "entries of the directory",
                size: limit + 1,
                limit,
            });
        }
        let path = entry.path();
        // Not the target's: `DirEntry::metadata` does not follow links.
        let meta = entry.metadata().await.map_err(local(&path))?;
        found.push(classify(parent, &name, path, &meta)?);
    }
    found.sort_by(|a, b| b.path.cmp(&a.path));
    Ok(found)
}

fn classify(parent: &Found, name: &OsStr, path: PathBuf, meta: &Metadata) -> Result<Found, Error> {
    let kind = match meta.file_type() {
        kind if kind.is_dir() => PartKind::Directory,
        kind if kind.is_file() => PartKind::File,
        kind if kind.is_symlink() => PartKind::Symlink,
        _ => {
            let source = io::Error::other("neither a file nor a directory nor a link");
            return Err(Error::Local { path, source });
        }
    };
    let size = if kind == PartKind::File {
        meta.len()
    } else {
        0
    };
    let name = format!("{}%2F{}", parent.name, percent_encode(name.as_bytes()));
    Ok(Found {
        name,
        path,
        kind,
        size,
    })
}

fn local(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Local {
        path: path.clone(),
        source,
    }
}

/// The parts of an upload, opened one after the other.
pub(super) fn parts(found: Vec<Found>) -> impl Stream<Item = Part> + Send {
    stream::iter(found).map(|found| {
        let bytes = match found.kind {
            PartKind::Directory => stream::empty().boxed(),
            PartKind::Symlink => stream::once(read_link(found.path.clone())).boxed(),
            PartKind::File => read_file(found.path.clone(), found.size),
        };
        Part {
            kind: found.kind,
            name: found.name,
            source: found.path,
            bytes,
        }
    })
}

async fn read_link(path: PathBuf) -> io::Result<Bytes> {
    let target = fs::read_link(path).await?;
    Ok(Bytes::copy_from_slice(target.as_os_str().as_bytes()))
}

/// The file's bytes as they were counted: one that grew meanwhile would slip
/// past the cap, one that shrank would be added cut.
fn read_file(path: PathBuf, size: u64) -> BoxStream<'static, io::Result<Bytes>> {
    let opened = async move {
        let file = fs::File::open(path).await?;
        Ok::<_, io::Error>(counted(ReaderStream::with_capacity(file, READ_BYTES), size))
    };
    stream::once(opened).try_flatten().boxed()
}

fn counted<S>(bytes: S, size: u64) -> impl Stream<Item = io::Result<Bytes>> + Send
where
    S: Stream<Item = io::Result<Bytes>> + Send,
{
    let changed = || io::Error::other("the file changed while it was read");
    let checked = bytes
        .map(Some)
        .chain(stream::once(std::future::ready(None)));
    checked.scan(size, move |left, item| {
        let next = match item {
            Some(Ok(bytes)) => match left.checked_sub(bytes.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    Some(Ok(bytes))
                }
                None => Some(Err(changed())),
            },
            Some(Err(error)) => Some(Err(error)),
            None => (*left > 0).then(|| Err(changed())),
        };
        std::future::ready(next)
    })
}
