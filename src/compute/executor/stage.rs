//! Gets ready what an attempt needs: code on disk, input as stream or folder.
//!
//! Takes CIDs, gives a path and a stream. Streams what is large; never holds
//! a whole input in memory and never runs anything.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cid::Cid;
use futures_util::{Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

use super::{meter::Meter, unpack};
use crate::{
    compute::{
        ByteStream, Failure,
        content::{Content, fetch_failed},
    },
    kubo,
    model::Class,
    sandbox::scratch::Scratch,
    wire::{block::RAW, unixfs::is_directory},
};

/// Largest module an executor loads, bytes; the sandbox refuses larger ones.
const MAX_CODE_BYTES: u64 = 32 << 20;
/// How long one source may take to be dialled.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The input as the sandbox wants it.
pub(crate) enum Input {
    /// There is none.
    None,
    /// A file: its bytes, streamed.
    File(ByteStream),
    /// A directory: a folder on disk.
    Directory(PathBuf),
}

/// Fetches for one attempt.
pub(crate) struct Stage<'a> {
    /// Where blocks come from.
    pub(crate) content: &'a Content,
    /// The node's Kubo.
    pub(crate) kubo: &'a kubo::Client,
    /// The attempt's own folder.
    pub(crate) work: &'a Path,
    /// How long a fetch may stand still.
    pub(crate) wait: Duration,
    /// Bytes of the largest directory that is unpacked.
    pub(crate) max_bytes: u64,
    /// Counts what the guest is given.
    pub(crate) meter: Arc<Meter>,
    /// Why the input stream broke, if it did.
    pub(crate) broken: Arc<Mutex<Option<Failure>>>,
}

impl Stage<'_> {
    /// Dials those who have what is not here.
    pub(crate) async fn connect(&self, sources: &[String]) {
        let dial = |address: &String| {
            let address = address.clone();
            async move {
                let dialled = self.kubo.swarm_connect(&address);
                let _late_or_refused = tokio::time::timeout(CONNECT_TIMEOUT, dialled).await;
            }
        };
        futures_util::future::join_all(sources.iter().map(dial)).await;
    }

    /// The module's bytes in `cache`, fetched once; there only when whole.
    pub(crate) async fn code(&self, code: &Cid, cache: &Path) -> Result<PathBuf, Failure> {
        let path = cache.join(code.to_string());
        // A look at a name costs less than asking another thread to look.
        if path.exists() {
            return Ok(path);
        }
        let partial = tempfile::Builder::new()
            .prefix("partial-")
            .tempfile_in(cache)
            .map_err(|e| disk(&e))?;
        self.save(code, partial.path(), MAX_CODE_BYTES).await?;
        partial.persist(&path).map_err(|e| disk(&e.error))?;
        Ok(path)
    }

    /// The input, as file or directory.
    pub(crate) async fn input(&self, input: Option<&Cid>) -> Result<Input, Failure> {
        let Some(cid) = input else {
            return Ok(Input::None);
        };
        if let Some(data) = self.content.in_memory(cid).filter(|_| cid.codec() == RAW) {
            return Ok(Input::File(
                self.metered(futures_util::stream::iter([Ok(data)])),
            ));
        }
        if self.is_directory(cid).await? {
            return self.directory(cid).await.map(Input::Directory);
        }
        let bytes = self.cat(cid, None).await?;
        let (broken, cid, wait) = (Arc::clone(&self.broken), *cid, self.wait);
        let bytes = bytes.map_err(move |error| {
            let text = error.to_string();
            *broken.lock() = Some(fetch_failed(&cid, wait, error));
            std::io::Error::other(text)
        });
        Ok(Input::File(self.metered(bytes)))
    }

    async fn is_directory(&self, cid: &Cid) -> Result<bool, Failure> {
        if cid.codec() == RAW {
            return Ok(false);
        }
        let root = self.content.block(cid, self.wait).await?;
        is_directory(root).ok_or_else(|| {
            Failure::new(
                Class::User,
                "bad_input",
                format!("{cid} is neither a file nor a directory"),
            )
        })
    }

    /// A directory with code, in `cache`, fetched once; there only when whole.
    pub(crate) async fn folder(&self, code: &Cid, cache: &Path) -> Result<PathBuf, Failure> {
        let path = cache.join(code.to_string());
        if path.exists() {
            return Ok(path);
        }
        if !self.is_directory(code).await? {
            let message = format!("{code} is a file, and a directory with code is due");
            return Err(Failure::new(Class::User, "bad_code", message)
                .with_hint("deploy the archive itself: timerose deploy FILE.zip"));
        }
        let partial = Scratch::new("partial-", cache).map_err(|e| disk(&e))?;
        let target = partial.path().join("code");
        self.unpacked(code, &target).await?;
        make_runnable(&target).map_err(|e| disk(&e))?;
        match std::fs::rename(&target, &path) {
            // Another attempt was quicker.
            Err(_) if path.exists() => Ok(path),
            renamed => renamed.map(|()| path).map_err(|e| disk(&e)),
        }
    }

    /// Unpacks the directory below the attempt's folder.
    async fn directory(&self, cid: &Cid) -> Result<PathBuf, Failure> {
        let target = self.work.join("in");
        self.unpacked(cid, &target).await?;
        Ok(target)
    }

    /// Unpacks a directory into `target`; no more than allowed, nor than half of
    /// what the disk has left.
    async fn unpacked(&self, cid: &Cid, target: &Path) -> Result<(), Failure> {
        tokio::fs::create_dir(target).await.map_err(|e| disk(&e))?;
        let room = rustix::fs::statvfs(target).map_err(|e| disk(&e.into()))?;
        let half = room.f_bavail.saturating_mul(room.f_frsize) / 2;
        let options = kubo::Cat {
            stall: self.wait,
            ..kubo::Cat::default()
        };
        let archive = self
            .kubo
            .archive(cid, &options)
            .await
            .map_err(|e| fetch_failed(cid, self.wait, e))?;
        let meter = Arc::clone(&self.meter);
        let archive = archive.inspect_ok(move |piece| meter.add_input(piece.len()));
        let unpacked = unpack::unpack(archive, target.to_owned(), self.max_bytes.min(half)).await;
        unpacked.map_err(|error| self.not_unpacked(cid, error))
    }

    /// Why a directory is not there: its own fault, or this node's.
    fn not_unpacked(&self, cid: &Cid, error: unpack::Error) -> Failure {
        use unpack::Error;
        match error {
            Error::Source(error) => fetch_failed(cid, self.wait, error),
            Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => disk(&error),
            Error::BadName(_) | Error::BadKind(_) | Error::TooMany | Error::TooDeep => {
                bad_directory(cid, &error)
            }
            Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidFilename => {
                bad_directory(cid, &error)
            }
            Error::Io(_) | Error::TooLarge(_) => {
                let why = format!("the directory {cid} was not unpacked here: {error}");
                Failure::new(Class::Node, "stage", why)
            }
        }
    }

    async fn save(&self, cid: &Cid, path: &Path, max: u64) -> Result<(), Failure> {
        let mut bytes = Box::pin(self.cat(cid, Some(max)).await?);
        let mut file = tokio::fs::File::create(path).await.map_err(|e| disk(&e))?;
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|e| fetch_failed(cid, self.wait, e))?;
            file.write_all(&piece).await.map_err(|e| disk(&e))?;
        }
        file.flush().await.map_err(|e| disk(&e))
    }

    async fn cat(
        &self,
        cid: &Cid,
        max: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, kubo::Error>> + Send + 'static, Failure> {
        if let Some(data) = self.content.in_memory(cid).filter(|_| cid.codec() == RAW) {
            return Ok(futures_util::stream::iter([Ok(data)]).left_stream());
        }
        let options = kubo::Cat {
            stall: self.wait,
            length: max,
            ..kubo::Cat::default()
        };
        let content = self
            .kubo
            .cat(&cid.to_string(), &options)
            .await
            .map_err(|e| fetch_failed(cid, self.wait, e))?;
        Ok(content.right_stream())
    }

    fn metered<S>(&self, bytes: S) -> ByteStream
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let meter = Arc::clone(&self.meter);
        bytes
            .inspect_ok(move |piece| meter.add_input(piece.len()))
            .boxed()
    }
}

/// UnixFS does not say which files of a directory are programs.
fn make_runnable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata()?.is_dir() {
            true => make_runnable(&entry.path())?,
            false => {
                let program = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(entry.path(), program)?;
            }
        }
    }
    Ok(())
}

fn bad_directory(cid: &Cid, error: &dyn std::error::Error) -> Failure {
    let why = format!("the directory {cid} cannot be unpacked: {error}");
    Failure::new(Class::User, "bad_input", why)
}

/// What a failed write means: a full disk is told apart.
pub(crate) fn disk(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Failure::new(Class::Node, "disk_full", "the executor's disk is full");
    }
    Failure::new(Class::Node, "disk", format!("the executor's disk: {error}"))
}
