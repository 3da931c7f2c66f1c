//! Reading UnixFS: files, listings, names, archives.
//!
//! Takes `/ipfs/…` paths and bare CIDs, gives checked streams and entries.
//! CIDs verify what Kubo stored, not how large or sensible it is: read with a
//! cap.

use cid::Cid;
use serde::Deserialize;

use super::{Cat, Client, Content, Error, Fetch, block::parse_cid, command, ndjson::LINE_LIMIT};

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory, sharded or not.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without any slash.
    pub name: String,
    /// Its root.
    pub cid: Cid,
    /// A file's size in bytes; 0 for the others.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "Objects", default)]
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(rename = "Links", default)]
    links: Option<Vec<Link>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Link {
    name: String,
    hash: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    r#type: i32,
}

#[derive(Deserialize)]
struct Resolved {
    #[serde(rename = "Path")]
    path: String,
}

impl Client {
    /// A file's bytes, checked against their announced length and the trailer.
    ///
    /// # Errors
    /// [`Error::NotLocal`] offline and absent, [`Error::Stalled`] if the first
    /// byte does not come, else any of [`Error`]; also in the stream.
    pub async fn cat(&self, path: &str, options: &Cat) -> Result<Content, Error> {
        Content::file(self.open(options.cat(path)).await?)
    }

    /// A file or directory as a tar, in which everything lies below the name of
    /// its CID.
    ///
    /// # Errors
    /// As for [`Client::cat`].
    pub async fn archive(&self, cid: &Cid, options: &Cat) -> Result<Content, Error> {
        Content::tar(self.open(options.archive(&cid.to_string())).await?)
    }

    /// The entries of a directory. A file has none with a name: its chunks are
    /// left out.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn ls(&self, path: &str, fetch: Fetch) -> Result<Vec<Entry>, Error> {
        let request = fetch.request(&command::LS, path);
        let request = request
            .flag("resolve-type", true)
            .flag("size", true)
            .flag("stream", true);
        let mut lines = self.lines::<Listing>(request, LINE_LIMIT).await?;
        let mut entries = Vec::new();
        while let Some(listing) = lines.next().await? {
            let links = listing
                .objects
                .into_iter()
                .filter_map(|object| object.links)
                .flatten();
            for link in links.filter(|link| !link.name.is_empty()) {
                entries.push(entry(link)?);
            }
        }
        Ok(entries)
    }

    /// The CID that a path or name ends at: `/ipfs/…/file`, `/ipns/…`.
    ///
    /// # Errors
    /// [`Error::Rpc`] for a link that is not there, else any of [`Error`].
    pub async fn resolve(&self, path: &str, fetch: Fetch) -> Result<Cid, Error> {
        let request = fetch
            .request(&command::RESOLVE, path)
            .flag("recursive", true);
        let answer: Resolved = self.json(request).await?;
        let text = answer.path.strip_prefix("/ipfs/").unwrap_or(&answer.path);
        parse_cid(command::RESOLVE.path, text)
    }
}

fn entry(link: Link) -> Result<Entry, Error> {
    let kind = match link.r#type {
        1 | 5 => Kind::Directory,
        4 => Kind::Symlink,
        // 0 is a raw leaf, which is a file as well.
        _ => Kind::File,
    };
    let cid = parse_cid(command::LS.path, &link.hash)?;
    Ok(Entry {
        name: link.name,
        cid,
        size: link.size,
        kind,
    })
}
