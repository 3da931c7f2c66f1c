//! Adding files.
//!
//! Takes a stream or a directory, gives the root's CID. The source is read
//! while it is sent.

use std::path::Path;

use cid::Cid;
use serde::Deserialize;

use super::{
    Add, AddBody, Client, Error,
    block::parse_cid,
    command,
    directory::{self, Tree},
    ndjson::LINE_LIMIT,
    upload::Upload,
};

/// What was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The root.
    pub cid: Cid,
    /// Bytes of all its blocks, structure included.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default)]
    name: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    size: String,
}

impl Client {
    /// Adds one file.
    ///
    /// # Errors
    /// [`Error::Local`] if the source fails, [`Error::Stalled`] if neither it
    /// nor Kubo moves, else any of [`Error`].
    pub async fn add(&self, body: AddBody, options: &Add) -> Result<Added, Error> {
        self.upload(Upload::file(body), options, None).await
    }

    /// Adds the directory at `path` with everything below it, symbolic links as
    /// links, as `ipfs add -r` does.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over the caps of `tree`, before anything is sent;
    /// [`Error::Local`] for what cannot be read; else as [`Client::add`].
    pub async fn add_directory(
        &self,
        path: &Path,
        tree: &Tree,
        options: &Add,
    ) -> Result<Added, Error> {
        let found = directory::walk(path, tree).await?;
        let upload = Upload::parts(directory::parts(found));
        self.upload(upload, options, Some(directory::ROOT)).await
    }

    /// Uploads and gives the entry called `root`, or the last one.
    async fn upload(
        &self,
        upload: Upload,
        options: &Add,
        root: Option<&str>,
    ) -> Result<Added, Error> {
        let path = command::ADD.path;
        let request = options.request().upload(upload);
        let mut events = self.lines::<Event>(request, LINE_LIMIT).await?;
        let mut last = None;
        while let Some(event) = events.next().await? {
            let wanted = root.is_none_or(|root| event.name == root);
            if wanted && !event.hash.is_empty() {
                last = Some(event);
            }
        }
        let event = last.ok_or(Error::EmptyAnswer { command: path })?;
        let size = event.size.parse().unwrap_or(0);
        Ok(Added {
            cid: parse_cid(path, &event.hash)?,
            size,
        })
    }
}
