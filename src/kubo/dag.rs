//! Whole DAGs as CAR files, and their size.
//!
//! Takes and gives CARs as streams. An exported CAR may be incomplete in ways
//! that only its reader can see: verify every block and that none is missing.

use std::io;

use bytes::Bytes;
use cid::Cid;
use futures_util::Stream;
use serde::Deserialize;

use super::{
    AddBody, Cat, Client, Content, Error, Fetch, block::parse_cid, command, ndjson::LINE_LIMIT,
    rpc::Request, upload::Upload,
};

/// The size of a DAG, as Kubo counted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DagStat {
    /// Different blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatAnswer {
    #[serde(default)]
    unique_blocks: u64,
    #[serde(default)]
    total_size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImportEvent {
    root: Option<Root>,
    stats: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Root {
    cid: Link,
    #[serde(default)]
    pin_error_msg: String,
}

#[derive(Deserialize)]
struct Link {
    #[serde(rename = "/")]
    cid: String,
}

impl Client {
    /// Counts a DAG by walking it: offline it fails at the first missing block.
    ///
    /// # Errors
    /// [`Error::NotLocal`] offline and incomplete, else any of [`Error`].
    pub async fn dag_stat(&self, cid: &Cid, fetch: Fetch) -> Result<DagStat, Error> {
        let request = fetch
            .request(&command::DAG_STAT, cid)
            .flag("progress", false);
        let answer: StatAnswer = self.json(request).await?;
        Ok(DagStat {
            blocks: answer.unique_blocks,
            bytes: answer.total_size,
        })
    }

    /// Imports a CAR; with `pin_roots` every root is pinned recursively. Gives
    /// the pinned roots. Limits as in [`Cat`], of which only the times count.
    ///
    /// # Errors
    /// [`Error::PinFailed`] for the first root that could not be pinned (its
    /// blocks are stored nevertheless), else any of [`Error`].
    pub async fn dag_import<S>(
        &self,
        car: S,
        pin_roots: bool,
        limits: &Cat,
    ) -> Result<Vec<Cid>, Error>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let path = command::DAG_IMPORT.path;
        let request = Request::new(&command::DAG_IMPORT)
            .flag("pin-roots", pin_roots)
            .flag("stats", true)
            .timeout(limits.timeout)
            .stall(limits.stall)
            .upload(Upload::file(AddBody::stream("the CAR", car)));
        let mut events = self.lines::<ImportEvent>(request, LINE_LIMIT).await?;
        let (mut roots, mut done) = (Vec::new(), false);
        while let Some(event) = events.next().await? {
            done |= event.stats.is_some();
            let Some(root) = event.root else { continue };
            let cid = parse_cid(path, &root.cid.cid)?;
            if !root.pin_error_msg.is_empty() {
                return Err(Error::PinFailed {
                    cid,
                    message: root.pin_error_msg,
                });
            }
            roots.push(cid);
        }
        if done {
            Ok(roots)
        } else {
            Err(Error::EmptyAnswer { command: path })
        }
    }

    /// The DAG under `cid` as a CAR.
    ///
    /// # Errors
    /// Any of [`Error`], at the beginning or in the stream.
    pub async fn dag_export(&self, cid: &Cid, options: &Cat) -> Result<Content, Error> {
        Content::car(self.open(options.export(cid)).await?)
    }
}
