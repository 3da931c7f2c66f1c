//! An image as engines take it: a TAR archive in the form of `docker save`.
//!
//! Takes a configuration and layers, whose bytes may come as a stream, gives
//! the archive as a stream. Writes every name and the one tag itself: nothing
//! in a foreign image can name or replace another. Holds no layer in memory.

use std::{fmt, io};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt, TryFutureExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use serde::Serialize;
use tar::Header;

/// A TAR archive is made of these.
const RECORD_BYTES: u64 = 512;
/// What ends one.
const END: Bytes = Bytes::from_static(&[0; 1024]);

/// Bytes of an archive or a part of it.
pub type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// A part of an image, opened when its turn comes.
pub struct Part {
    /// How many bytes `open` gives; another number is an error.
    pub size: u64,
    /// Gives the bytes.
    pub open: Box<dyn FnOnce() -> BoxFuture<'static, io::Result<Pieces>> + Send>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part of {} bytes", self.size)
    }
}

impl Part {
    /// One that is at hand.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        let pieces = move || async { Ok(stream::iter([Ok(bytes)]).boxed()) }.boxed();
        Self {
            size,
            open: Box::new(pieces),
        }
    }
}

/// What an archive says of the one image in it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    config: String,
    repo_tags: [String; 1],
    layers: Vec<String>,
}

/// The archive of the image that is to be known as `tag`.
pub(super) fn archive(tag: &str, config: Part, layers: Vec<Part>) -> io::Result<Pieces> {
    let names: Vec<_> = (0..layers.len())
        .map(|number| format!("layer-{number}.tar"))
        .collect();
    let about = serde_json::to_vec(&[About {
        config: "config.json".to_owned(),
        repo_tags: [tag.to_owned()],
        layers: names.clone(),
    }])?;
    let first = [
        ("manifest.json".to_owned(), Part::of(about.into())),
        ("config.json".to_owned(), config),
    ];
    let files = first.into_iter().chain(names.into_iter().zip(layers));
    let files: Vec<_> = files
        .map(|(name, part)| Ok((header(&name, part.size)?, part)))
        .collect::<io::Result<_>>()?;
    let files = stream::iter(files).flat_map(|(header, part)| entry(header, part));
    Ok(files.chain(stream::iter([Ok(END)])).boxed())
}

fn header(name: &str, size: u64) -> io::Result<Bytes> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(Bytes::copy_from_slice(header.as_bytes()))
}

/// Header, content and what fills the last record.
fn entry(header: Bytes, part: Part) -> Pieces {
    let size = part.size;
    let content = (part.open)().try_flatten_stream();
    let counted = content
        .map(Some)
        .chain(stream::iter([None]))
        .scan(0, move |seen, piece| {
            let checked = match piece {
                Some(Ok(piece)) => {
                    *seen += piece.len() as u64;
                    Some(match *seen <= size {
                        true => Ok(piece),
                        false => Err(mismatch(size)),
                    })
                }
                Some(Err(error)) => Some(Err(error)),
                None if *seen == size => None,
                None => Some(Err(mismatch(size))),
            };
            std::future::ready(checked)
        });
    let filler = size.next_multiple_of(RECORD_BYTES) - size;
    let filler = END.slice(..usize::try_from(filler).unwrap_or_default());
    let before = stream::iter([Ok(header)]);
    before
        .chain(counted)
        .chain(stream::iter([Ok(filler)]))
        .boxed()
}

fn mismatch(size: u64) -> io::Error {
    let text = format!("a part of the image has not the {size} bytes that it should have");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use futures_util::TryStreamExt;

    use super::*;

    async fn written(config: Part, layers: Vec<Part>) -> io::Result<Vec<u8>> {
        let pieces: Vec<Bytes> = archive("name:tag", config, layers)?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn an_archive_has_what_it_was_given_and_one_tag() {
        let layers = vec![Part::of(vec![7; 1000].into()), Part::of(Bytes::new())];
        let bytes = written(Part::of("{}".into()), layers).await.unwrap();
        let mut files = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.push((entry.path().unwrap().display().to_string(), content));
        }
        let about = br#"[{"Config":"config.json","RepoTags":["name:tag"],"Layers":["layer-0.tar","layer-1.tar"]}]"#;
        let expected = [
            ("manifest.json", about.to_vec()),
            ("config.json", b"{}".to_vec()),
            ("layer-0.tar", vec![7; 1000]),
            ("layer-1.tar", Vec::new()),
        ];
        let expected = expected.map(|(name, content)| (name.to_owned(), content));
        assert_eq!(files, expected);
    }

    #[tokio::test]
    async fn a_part_of_another_size_breaks_the_archive() {
        for size in [3, 5] {
            let part = Part {
                size,
                ..Part::of("four".into())
            };
            let error = written(part, Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
