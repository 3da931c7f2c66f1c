//! Request bodies: `multipart/form-data` as Kubo reads it.
//!
//! Takes bytes, streams and directory entries, gives one body that is sent
//! while it is read. Never holds a whole file in memory, and never lets a
//! failing source look like its end.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use ulid::Ulid;

use super::Error;

/// A file to add: its bytes as they come.
pub struct AddBody {
    pub(super) name: String,
    pub(super) bytes: BoxStream<'static, io::Result<Bytes>>,
}

impl AddBody {
    /// A stream of bytes; an error in it fails the call, nothing is added.
    /// `name` is told in errors only.
    pub fn stream<S>(name: impl Into<String>, bytes: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self {
            name: name.into(),
            bytes: bytes.boxed(),
        }
    }

    /// Bytes that are in memory.
    #[must_use]
    pub fn bytes(bytes: Bytes) -> Self {
        Self::stream("bytes", stream::once(async { Ok(bytes) }))
    }
}

impl std::fmt::Debug for AddBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddBody")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// How far an upload is, and what its source failed of.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sent: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Meter {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The source's failure, once.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn count(&self, bytes: &Bytes) {
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn fail(&self, path: PathBuf, source: io::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Error::Local { path, source });
    }
}

/// What one part is to Kubo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    File,
    Directory,
    Symlink,
}

/// One part of an upload.
pub(super) struct Part {
    pub kind: PartKind,
    /// Percent-encoded path below the root.
    pub name: String,
    /// Where the bytes come from, for errors.
    pub source: PathBuf,
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
}

/// A body, not yet sent.
pub(super) struct Upload {
    boundary: String,
    body: Body,
    meter: Arc<Meter>,
}

enum Body {
    Bytes(Bytes),
    Stream(Option<BoxStream<'static, io::Result<Bytes>>>),
}

impl Upload {
    /// One part that is in memory; may be sent twice.
    pub(super) fn bytes(payload: &[u8]) -> Self {
        let boundary = new_boundary();
        let head = part_head(&boundary, PartKind::File, "data");
        let body = [
            head.as_bytes(),
            payload,
            b"\r\n",
            part_end(&boundary).as_bytes(),
        ]
        .concat();
        Self {
            boundary,
            body: Body::Bytes(body.into()),
            meter: Arc::default(),
        }
    }

    /// Parts one after the other; each is opened when its turn comes.
    pub(super) fn parts<S>(parts: S) -> Self
    where
        S: Stream<Item = Part> + Send + 'static,
    {
        let (boundary, meter) = (new_boundary(), Arc::<Meter>::default());
        let end = stream::once(std::future::ready(Ok(Bytes::from(part_end(&boundary)))));
        let (mark, watch) = (boundary.clone(), Arc::clone(&meter));
        let encoded = parts.flat_map(move |part| encode(&mark, part, Arc::clone(&watch)));
        let body = Body::Stream(Some(encoded.chain(end).boxed()));
        Self {
            boundary,
            body,
            meter,
        }
    }

    /// A single file.
    pub(super) fn file(body: AddBody) -> Self {
        let source = PathBuf::from(&body.name);
        let part = Part {
            kind: PartKind::File,
            name: "data".into(),
            source,
            bytes: body.bytes,
        };
        Self::parts(stream::once(std::future::ready(part)))
    }

    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self.body, Body::Bytes(_))
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// The body to send. A stream is handed out once, afterwards it is empty.
    pub(super) fn body(&mut self) -> reqwest::Body {
        match &mut self.body {
            Body::Bytes(bytes) => bytes.clone().into(),
            Body::Stream(stream) => {
                reqwest::Body::wrap_stream(stream.take().unwrap_or_else(|| stream::empty().boxed()))
            }
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}

/// Random, so that no content can contain it on purpose.
fn new_boundary() -> String {
    format!("timerose-{}", Ulid::new())
}

fn encode(
    boundary: &str,
    part: Part,
    meter: Arc<Meter>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let head = Bytes::from(part_head(boundary, part.kind, &part.name));
    let source = part.source;
    let bytes = part.bytes.map(move |item| match item {
        Ok(bytes) => {
            meter.count(&bytes);
            Ok(bytes)
        }
        Err(error) => {
            let copy = io::Error::new(error.kind(), error.to_string());
            meter.fail(source.clone(), error);
            Err(copy)
        }
    });
    let once = |bytes| stream::once(std::future::ready(Ok(bytes)));
    once(head)
        .chain(bytes)
        .chain(once(Bytes::from_static(b"\r\n")))
}

fn part_head(boundary: &str, kind: PartKind, name: &str) -> String {
    let content_type = match kind {
        PartKind::File => "application/octet-stream",
        PartKind::Directory => "application/x-directory",
        PartKind::Symlink => "application/symlink",
    };
    format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"{name}\"\r\nContent-Type: {content_type}\r\n\r\n"
    )
}

fn part_end(boundary: &str) -> String {
    format!("--{boundary}--\r\n")
}

/// Percent-encodes all but the unreserved characters, as Kubo's
/// `url.QueryUnescape` reads it back.
pub(super) fn percent_encode(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_header() {
        assert_eq!(
            percent_encode("a b/ü\"+\r\n".as_bytes()),
            "a%20b%2F%C3%BC%22%2B%0D%0A"
        );
    }

    #[tokio::test]
    async fn a_failing_source_is_told_by_its_name() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(io::Error::other("disk"))]);
        let mut upload = Upload::file(AddBody::stream("the-file", broken));
        let meter = upload.meter();
        let body = http_body_util::BodyExt::collect(upload.body()).await;
        assert!(body.is_err());
        assert_eq!(meter.sent(), 1);
        assert_eq!(meter.failure().unwrap().to_string(), "the-file: disk");
    }
}
