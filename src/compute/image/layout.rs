//! From an archive to an OCI image layout on disk.
//!
//! Takes what `docker save`, `podman save`, `skopeo copy` or `buildx` wrote,
//! gives a folder with nothing in it but one image in one canonical form. No
//! name in the archive becomes a name on disk.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::compressed;
use crate::wire::{
    Refusal, hex,
    oci::{self, Blob, Image},
};

/// The folder of the layout, below the target.
pub(super) const ROOT: &str = "layout";
/// What `docker save` says of the images in its archive.
const ABOUT: &str = "manifest.json";
/// Entries of an archive.
const MAX_ENTRIES: usize = 10_000;
/// Links that lead to links.
const MAX_LINKS: usize = 8;
const PIECE_BYTES: usize = 256 << 10;

/// Why an archive holds no image.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It has nothing that an image begins with.
    #[error(
        "the archive holds no image: it has neither {ABOUT} nor {}",
        oci::INDEX
    )]
    NoImage,
    /// Several images, and it was not said which.
    #[error("the archive holds {0} images; save them one by one")]
    Several(usize),
    /// Something that is named is not there.
    #[error("the archive lacks {0}, which it speaks of")]
    Lacks(String),
    /// More than is taken.
    #[error("the image is larger than {0} bytes, or has too many parts")]
    TooLarge(u64),
    /// JSON that is not what it should be.
    #[error("the archive's description is {0}")]
    Refused(#[from] Refusal),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// What was read: files by name, as they lie on disk, and links.
#[derive(Default)]
struct Found {
    files: HashMap<String, (PathBuf, Blob)>,
    links: HashMap<String, String>,
}

/// Writes the layout below `target`; the disk's failures are outside.
pub(super) fn write(
    archive: impl Read,
    target: &Path,
    max_bytes: u64,
) -> io::Result<Result<Image, Error>> {
    let mut found = match Found::read(archive, target, max_bytes)? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let image = match found.image() {
        Ok(image) => found.plainly(image, max_bytes)?,
        Err(error) => Err(error),
    };
    match image {
        Ok(image) => found.lay(&image, &target.join(ROOT)),
        Err(error) => Ok(Err(error)),
    }
}

impl Found {
    fn read(archive: impl Read, target: &Path, max: u64) -> io::Result<Result<Self, Error>> {
        let (mut found, mut room) = (Self::default(), max);
        for (number, entry) in Archive::new(archive).entries()?.enumerate() {
            let mut entry = entry?;
            let name = plain(&entry.path()?);
            match entry.header().entry_type() {
                EntryType::Regular => {
                    let Some(left) = room.checked_sub(entry.size()) else {
                        return Ok(Err(Error::TooLarge(max)));
                    };
                    room = left;
                    let path = target.join(number.to_string());
                    let blob = keep(&mut entry, &path)?;
                    found.files.insert(name, (path, blob));
                }
                EntryType::Symlink | EntryType::Link => {
                    let to = entry.link_name()?.unwrap_or_default().into_owned();
                    let folder = match entry.header().entry_type() {
                        EntryType::Symlink => Path::new(&name).parent(),
                        _ => None,
                    };
                    let to = plain(&folder.unwrap_or(Path::new("")).join(to));
                    found.links.insert(name, to);
                }
                _ => {}
            }
            if number >= MAX_ENTRIES {
                return Ok(Err(Error::TooLarge(max)));
            }
        }
        Ok(Ok(found))
    }

    /// The one image.
    fn image(&self) -> Result<Image, Error> {
        if self.file(ABOUT).is_ok() {
            return self.saved();
        }
        let mut manifest = match self.file(oci::INDEX) {
            Ok(_) => oci::index(&self.json(oci::INDEX)?, oci::ARCHITECTURE)?,
            Err(_) => return Err(Error::NoImage),
        };
        let inner = self.json(&manifest.path())?;
        if oci::is_index(&inner) {
            manifest = oci::index(&inner, oci::ARCHITECTURE)?;
        }
        let named = oci::manifest(&self.json(&manifest.path())?)?;
        self.exact(&named.config.path(), named.layers.iter().map(Blob::path))
    }

    /// The image of an archive that `docker save` wrote.
    fn saved(&self) -> Result<Image, Error> {
        let images: Vec<About> =
            serde_json::from_slice(&self.json(ABOUT)?).map_err(|_| Refusal::Malformed)?;
        match images.as_slice() {
            [one] => self.exact(
                &plain(Path::new(&one.config)),
                one.layers.iter().map(|layer| plain(Path::new(layer))),
            ),
            [] => Err(Error::NoImage),
            many => Err(Error::Several(many.len())),
        }
    }

    /// What these files are, whatever was said of them.
    fn exact(&self, config: &str, layers: impl Iterator<Item = String>) -> Result<Image, Error> {
        let layers: Vec<_> = layers
            .map(|name| Ok(self.file(&name)?.1.clone()))
            .collect::<Result<_, Error>>()?;
        if layers.len() > oci::MAX_LAYERS {
            return Err(Error::TooLarge(oci::MAX_LAYERS as u64));
        }
        let config = self.file(config)?.1.clone();
        Ok(Image { config, layers })
    }

    fn file(&self, name: &str) -> Result<&(PathBuf, Blob), Error> {
        let mut at = name;
        for _ in 0..MAX_LINKS {
            match (self.files.get(at), self.links.get(at)) {
                (Some(file), _) => return Ok(file),
                (None, Some(to)) => at = to,
                (None, None) => break,
            }
        }
        Err(Error::Lacks(name.to_owned()))
    }

    fn json(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (path, blob) = self.file(name)?;
        if blob.size > oci::MAX_JSON_BYTES as u64 {
            return Err(Refusal::Oversized.into());
        }
        fs::read(path).map_err(|_| Error::Lacks(name.to_owned()))
    }

    /// The same image of layers without compression, `max` bytes at most.
    fn plainly(&mut self, mut image: Image, max: u64) -> io::Result<Result<Image, Error>> {
        let mut room = max;
        for layer in &mut image.layers {
            *layer = self.plain(layer, room)?;
            room = match room.checked_sub(layer.size) {
                Some(left) => left,
                None => return Ok(Err(Error::TooLarge(max))),
            };
        }
        Ok(Ok(image))
    }

    /// A layer without compression; of more than `room` bytes, a byte more.
    fn plain(&mut self, layer: &Blob, room: u64) -> io::Result<Blob> {
        // No name in an archive begins with a slash here.
        let name = format!("/{}", layer.digest);
        if let Some((_, plain)) = self.files.get(&name) {
            return Ok(plain.clone());
        }
        let files = self.files.values();
        let mut same = files.filter(|(_, blob)| blob.digest == layer.digest);
        let Some((path, _)) = same.next() else {
            return Ok(layer.clone());
        };
        let Some(bytes) = compressed::open(path)? else {
            return Ok(layer.clone());
        };
        let path = path.with_extension("tar");
        let plain = keep(&mut bytes.take(room.saturating_add(1)), &path)?;
        self.files.insert(name, (path, plain.clone()));
        Ok(plain)
    }

    /// Moves what belongs to `image` to its place, and describes it there.
    fn lay(&self, image: &Image, root: &Path) -> io::Result<Result<Image, Error>> {
        fs::create_dir_all(root.join(oci::BLOBS))?;
        let mut paths: HashMap<_, _> = self
            .files
            .values()
            .map(|(path, blob)| (&blob.digest, path))
            .collect();
        for blob in image.layers.iter().chain([&image.config]) {
            if let Some(path) = paths.remove(&blob.digest) {
                fs::rename(path, root.join(blob.path()))?;
            }
        }
        match describe(image) {
            Ok(files) => {
                for (name, bytes) in files {
                    fs::write(root.join(name), bytes)?;
                }
                Ok(Ok(image.clone()))
            }
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }
}

/// The files that say what the blobs are; the last one lets `docker load` read
/// the folder too.
fn describe(image: &Image) -> Result<[(String, Vec<u8>); 4], Refusal> {
    let manifest = oci::write_manifest(image)?;
    let blob = Blob {
        digest: hex(&Sha256::digest(&manifest)),
        size: manifest.len() as u64,
    };
    let about = [About {
        config: image.config.path(),
        repo_tags: None,
        layers: image.layers.iter().map(Blob::path).collect(),
    }];
    let about = serde_json::to_vec(&about).map_err(|_| Refusal::Unencodable)?;
    let (layout, text) = oci::LAYOUT;
    Ok([
        (layout.to_owned(), text.into()),
        (oci::INDEX.to_owned(), oci::write_index(&blob)?),
        (blob.path(), manifest),
        (ABOUT.to_owned(), about),
    ])
}

/// Copies a file, and hashes it meanwhile.
fn keep(from: &mut impl Read, path: &Path) -> io::Result<Blob> {
    let (mut file, mut hash) = (fs::File::create_new(path)?, Sha256::new());
    let (mut piece, mut size) = (vec![0; PIECE_BYTES], 0);
    loop {
        let n = from.read(&mut piece)?;
        let read = piece.get(..n).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        hash.update(read);
        file.write_all(read)?;
        size += n as u64;
    }
    let digest = hex(&hash.finalize());
    Ok(Blob { digest, size })
}

/// A name in the archive without `.` and `..`: it names nothing on disk.
fn plain(path: &Path) -> String {
    use std::path::Component;
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
