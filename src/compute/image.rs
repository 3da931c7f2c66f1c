//! Container images on IPFS: from an engine's archive to a CID, and what
//! such a CID is made of.
//!
//! Takes `docker save` or OCI archives, gives the CID of a directory in the
//! form of an OCI image layout, in which a layer that two images share is the
//! same file and so the same blocks. Never runs anything, never asks a
//! registry.

mod compressed;
mod layout;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cid::Cid;
use serde::{Deserialize, Serialize};

use super::{
    ByteStream, Failure,
    content::{fetch_failed, unreachable_kubo},
    executor::unpack,
    piped::piped,
};
use crate::{
    kubo,
    model::Class,
    sandbox::scratch::Scratch,
    wire::{Refusal, oci},
};

/// How the pins of images are called.
pub(crate) const KIND: &str = "image";

/// Images on this node's Kubo. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    kubo: kubo::Client,
    work_dir: PathBuf,
    max_bytes: u64,
}

/// Where an image is now.
pub enum ImageSource {
    /// In this node's engine, by its name there.
    Engine(String),
    /// In an archive, as `docker save` and `skopeo` write it.
    Archive(ByteStream),
}

impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(name) => f.debug_tuple("Engine").field(name).finish(),
            Self::Archive(_) => f.write_str("Archive"),
        }
    }
}

/// An image that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedImage {
    /// The CID by which executors load it.
    pub image: String,
    /// Its configuration's sha2-256: what an engine calls the image's id.
    pub id: String,
    /// How many layers it has.
    pub layers: usize,
    /// Bytes of configuration and layers.
    pub bytes: u64,
}

/// A folder that was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedFolder {
    /// Its CID.
    pub folder: String,
}

/// An image that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptImage {
    /// Its CID.
    pub image: String,
    /// Bytes of its blocks.
    pub bytes: u64,
}

impl Images {
    /// Over `kubo`; archives are taken apart below `work_dir`, and images of
    /// more than `max_bytes` refused.
    pub(crate) const fn new(kubo: kubo::Client, work_dir: PathBuf, max_bytes: u64) -> Self {
        Self {
            kubo,
            work_dir,
            max_bytes,
        }
    }

    /// Stores the image in `archive`, pinned.
    ///
    /// # Errors
    /// `user` when it holds no image, `node` when Kubo or the disk failed.
    pub(crate) async fn add(&self, archive: ByteStream) -> Result<AddedImage, Failure> {
        let failed = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::Other | std::io::ErrorKind::UnexpectedEof => {
                bad("this is no TAR archive, or it is cut off")
                    .with_hint("Give what docker save, podman save or skopeo copy wrote.")
            }
            _ => bad(&format!("the archive could not be read: {e}")),
        };
        let folder = Scratch::new("image-", &self.work_dir).map_err(failed)?;
        let (target, max_bytes) = (folder.path().to_owned(), self.max_bytes);
        let read = piped(archive, move |pieces| {
            layout::write(pieces, &target, max_bytes)
        });
        let image = read
            .await
            .map_err(failed)?
            .map_err(failed)?
            .map_err(failed)?;
        let image = image.map_err(|error| bad(&error.to_string()))?;
        let cid = self
            .directory(&folder.path().join(layout::ROOT), KIND)
            .await?;
        Ok(AddedImage {
            image: cid.to_string(),
            id: format!("sha256:{}", image.config.digest),
            layers: image.layers.len(),
            bytes: image.size(),
        })
    }

    /// Stores the folder in `archive`, pinned as code.
    ///
    /// # Errors
    /// `user` when it cannot be unpacked, `node` when Kubo or the disk failed.
    pub(crate) async fn add_folder(&self, archive: ByteStream) -> Result<AddedFolder, Failure> {
        let failed = |e: std::io::Error| bad_folder(&e);
        let folder = Scratch::new("code-", &self.work_dir).map_err(failed)?;
        let (target, max) = (folder.path().to_owned(), self.max_bytes);
        let read = piped(archive, move |pieces| unpack::write(pieces, &target, max));
        let unpacked = read.await.map_err(failed)?.map_err(failed)?;
        unpacked.map_err(|error| bad_folder(&error))?;
        let cid = self.directory(folder.path(), "code").await?;
        Ok(AddedFolder {
            folder: cid.to_string(),
        })
    }

    /// Adds a directory of this machine, pinned as `kind`.
    async fn directory(&self, path: &Path, kind: &str) -> Result<Cid, Failure> {
        let tree = kubo::Tree {
            max_bytes: u64::MAX,
            ..kubo::Tree::default()
        };
        let options = kubo::Add {
            pin: true,
            pin_name: Some(format!("timerose/{kind}")),
            ..kubo::Add::default()
        };
        let added = self.kubo.add_directory(path, &tree, &options).await;
        let added = added.map_err(|e| unreachable_kubo(&e, &format!("storing the {kind}")))?;
        Ok(added.cid)
    }

    /// Lets go of the image `cid`.
    pub(crate) async fn remove(&self, cid: &Cid) -> Result<(), Failure> {
        let unpinned = self.kubo.pin_rm(cid).await;
        unpinned.map_err(|e| unreachable_kubo(&e, &format!("unpinning {cid}")))?;
        Ok(())
    }

    /// What the image `cid` is made of.
    ///
    /// # Errors
    /// `user` when it is no image or too large, `missing` when it is not to be
    /// had.
    pub(crate) async fn look(&self, cid: &Cid, wait: Duration) -> Result<oci::Image, Failure> {
        let no_image = |refusal: Refusal| not_an_image(cid, &refusal);
        let index = self.small(cid, oci::INDEX, wait).await?;
        let manifest = oci::index(&index, oci::ARCHITECTURE).map_err(no_image)?;
        let manifest = self.small(cid, &manifest.path(), wait).await?;
        let image = oci::manifest(&manifest).map_err(no_image)?;
        match image.size() <= self.max_bytes {
            true => Ok(image),
            false => Err(bad(&format!(
                "the image {cid} has {} bytes, this node takes {} at most",
                image.size(),
                self.max_bytes
            ))),
        }
    }

    /// A file of JSON.
    async fn small(&self, cid: &Cid, path: &str, wait: Duration) -> Result<Bytes, Failure> {
        let failed = |error: kubo::Error| match error {
            kubo::Error::Rpc { .. } => not_an_image(cid, &error),
            other => fetch_failed(cid, wait, other),
        };
        let options = kubo::Cat {
            stall: wait,
            length: Some(oci::MAX_JSON_BYTES as u64 + 1),
            ..kubo::Cat::default()
        };
        let file = self.kubo.cat(&format!("{cid}/{path}"), &options).await;
        let mut file = file.map_err(failed)?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = file.next().await.map_err(failed)? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

/// The CID of an image as a person wrote it.
///
/// # Errors
/// `user`, with what to do, where it is a reference to a registry.
pub(crate) fn parse(text: &str) -> Result<Cid, Failure> {
    if let Ok(cid) = super::function::parse_cid(text.trim_start_matches("/ipfs/")) {
        return Ok(cid);
    }
    let what = match text.contains("@sha256:") {
        true => "is a name in a registry",
        false => "is a mutable tag",
    };
    let message = format!("{text:?} {what}, and a function names its image by CID");
    Err(
        Failure::new(Class::User, "bad_image", message).with_hint(format!(
            "Store it and use the CID that is printed: timerose image add {text}"
        )),
    )
}

fn not_an_image(cid: &Cid, why: &dyn std::fmt::Display) -> Failure {
    bad(&format!("{cid} is no container image: {why}"))
        .with_hint("Store one with: timerose image add NAME")
}

fn bad_folder(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Class::User,
        "bad_code",
        format!("the folder could not be stored: {why}"),
    )
}

fn bad(why: &str) -> Failure {
    Failure::new(Class::User, "bad_image", why)
}
