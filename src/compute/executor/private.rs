//! The executor's side of a private invocation: opens the input on its way to
//! the guest, seals what the guest left.
//!
//! Takes what `stage` and [`Keep`] have and gives the same, opened or sealed.
//! The key is in the assignment alone: it goes when the attempt ends.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio_util::io::ReaderStream;

use super::{
    output::{Keep, PIECE_BYTES, Stored, size, small},
    stage::{Input, disk},
};
use crate::{
    compute::{
        ByteStream, Failure,
        archive::{Others, archive},
        content::{RIDE_ALONG_BYTES, unreachable_kubo},
        private,
    },
    kubo,
    model::{Class, ContentKey, Private},
    sandbox::{self, Stdout},
    wire::{
        Refusal,
        private::{KeyedDigest, Part, sealed_len},
    },
};

/// Why the input stream broke, if it did.
pub(super) type Broken = Arc<Mutex<Option<Failure>>>;

/// The input as the guest reads it. That it cannot be opened is noted in
/// `broken`.
pub(super) fn opened(input: Input, private: Option<&Private>, broken: &Broken) -> Input {
    match (input, private) {
        (Input::File(sealed), Some(private)) if private.is_input_sealed => {
            let opened = private::opened(sealed, &private.key, Part::Input, None);
            let broken = Arc::clone(broken);
            let noted = opened.inspect_err(move |error| {
                broken.lock().get_or_insert_with(|| unreadable(error));
            });
            Input::File(noted.boxed())
        }
        (input, _) => input,
    }
}

impl Keep<'_> {
    /// The output, sealed; a directory as an archive.
    pub(super) async fn sealed_output(
        &self,
        output: &sandbox::Output,
        key: &ContentKey,
    ) -> Result<Stored, Failure> {
        if let Some(folder) = &output.out_dir {
            self.place(output, folder).await?;
            let bytes = archive(folder.clone(), self.limits.output_bytes, Others::Refused);
            let content = Content::of(bytes, None, "output");
            let stored = self.seal(content, key, Part::Output, 0).await?;
            return Ok(Stored {
                is_archive: true,
                ..stored
            });
        }
        let content = match &output.stdout {
            Stdout::Small(bytes) => {
                let piece = stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
                Content::of(piece.boxed(), Some(bytes.len() as u64), "output")
            }
            Stdout::File(path) => Content::file(path, "output").await?,
        };
        self.seal(content, key, Part::Output, RIDE_ALONG_BYTES)
            .await
    }

    /// Standard error, sealed; rides along within `room` bytes.
    pub(super) async fn sealed_logs(
        &self,
        path: &Path,
        key: &ContentKey,
        room: usize,
    ) -> Result<Stored, Failure> {
        let content = Content::file(path, "logs").await?;
        self.seal(content, key, Part::Logs, room).await
    }

    async fn seal(
        &self,
        content: Content,
        key: &ContentKey,
        part: Part,
        room: usize,
    ) -> Result<Stored, Failure> {
        let digest = KeyedDigest::new(key).map_err(|e| unsealed(&e))?;
        let digest = Arc::new(Mutex::new(digest));
        let seen = Arc::clone(&digest);
        let bytes = content.bytes;
        let bytes = bytes.inspect_ok(move |piece: &Bytes| seen.lock().push(piece));
        let sealed = private::sealed(bytes.boxed(), key, part)?;
        let is_small = content
            .bytes_long
            .is_some_and(|length| sealed_len(length) <= room as u64);
        let stored = match is_small {
            true => whole(sealed).await.map(small)?,
            false => self.add(sealed, content.kind).await?,
        };
        let digest = digest.lock().clone().end();
        Ok(Stored { digest, ..stored })
    }

    async fn add(&self, sealed: ByteStream, kind: &'static str) -> Result<Stored, Failure> {
        let options = kubo::Add {
            is_announced: false,
            ..self.named(kind)
        };
        let body = kubo::AddBody::stream(kind, sealed);
        let added = self.kubo.add(body, &options).await;
        let added = added.map_err(|e| unreachable_kubo(&e, "storing the output"))?;
        Ok(Stored {
            cid: added.cid,
            digest: Vec::new(),
            block: None,
            is_archive: false,
        })
    }
}

/// Something to be sealed.
struct Content {
    bytes: ByteStream,
    /// How many bytes, where that is known before the end.
    bytes_long: Option<u64>,
    kind: &'static str,
}

impl Content {
    fn of(bytes: ByteStream, bytes_long: Option<u64>, kind: &'static str) -> Self {
        Self {
            bytes,
            bytes_long,
            kind,
        }
    }

    async fn file(path: &Path, kind: &'static str) -> Result<Self, Failure> {
        let length = size(path).await?;
        let file = tokio::fs::File::open(path).await.map_err(|e| disk(&e))?;
        let bytes = ReaderStream::with_capacity(file, PIECE_BYTES).boxed();
        Ok(Self::of(bytes, Some(length), kind))
    }
}

async fn whole(bytes: ByteStream) -> Result<Vec<u8>, Failure> {
    let pieces: Vec<Bytes> = bytes.try_collect().await.map_err(|e| disk(&e))?;
    Ok(pieces.concat())
}

fn unreadable(error: &std::io::Error) -> Failure {
    let message = format!("the input cannot be opened: {error}");
    Failure::new(Class::User, "bad_input", message)
}

fn unsealed(refusal: &Refusal) -> Failure {
    let message = format!("the output cannot be sealed: {refusal}");
    Failure::new(Class::Node, "unsealable", message)
}
