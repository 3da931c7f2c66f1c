//! Container images as directories: the OCI image layout, its JSON.
//!
//! Takes the bytes of an index or a manifest, gives the blobs that they name;
//! and the way back, in one canonical form, so that the same image is the same
//! CID. Reads one image for Linux; believes no name, only digests. Format:
//! OCI image specification 1.1.

use serde::{Deserialize, Serialize};

use super::Refusal;

/// Bytes of the largest index, manifest or configuration.
pub const MAX_JSON_BYTES: usize = 1 << 20;
/// Most layers of one image.
pub const MAX_LAYERS: usize = 256;
/// The file that makes a directory an image layout, and what is in it.
pub const LAYOUT: (&str, &str) = ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
/// The file that names the manifest.
pub const INDEX: &str = "index.json";
/// What this machine is called in images.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
/// Where blobs lie in the layout.
pub const BLOBS: &str = "blobs/sha256";

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const DIGEST: &str = "sha256:";

/// A file of the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// 64 letters: its sha2-256 in hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// What one image is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The configuration, JSON.
    pub config: Blob,
    /// TAR archives, lowest first.
    pub layers: Vec<Blob>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    #[serde(default)]
    media_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

impl Blob {
    /// Its path in the layout.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{BLOBS}/{}", self.digest)
    }

    fn describe(&self, media_type: &str) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: format!("{DIGEST}{}", self.digest),
            size: self.size,
            platform: None,
        }
    }
}

impl Image {
    /// Bytes of all its parts.
    #[must_use]
    pub fn size(&self) -> u64 {
        let layers = self.layers.iter().map(|layer| layer.size);
        layers.fold(self.config.size, u64::saturating_add)
    }
}

/// The manifest that an index names: its only one, or that for Linux on
/// `architecture` (`amd64`).
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`].
pub fn index(bytes: &[u8], architecture: &str) -> Result<Blob, Refusal> {
    let index: Index = parse(bytes)?;
    let suits = |one: &&Descriptor| {
        let platform = one.platform.as_ref();
        platform.is_some_and(|p| p.os == "linux" && p.architecture == architecture)
    };
    match index.manifests.as_slice() {
        [only] => blob(only),
        many => blob(many.iter().find(suits).ok_or(Refusal::Malformed)?),
    }
}

/// Whether these bytes are another index, as one for several platforms is.
#[must_use]
pub fn is_index(bytes: &[u8]) -> bool {
    parse::<Index>(bytes).is_ok()
}

/// What a manifest names.
///
/// # Errors
/// [`Refusal::Oversized`], [`Refusal::Malformed`].
pub fn manifest(bytes: &[u8]) -> Result<Image, Refusal> {
    let manifest: Manifest = parse(bytes)?;
    if manifest.layers.len() > MAX_LAYERS {
        return Err(Refusal::Oversized);
    }
    Ok(Image {
        config: blob(&manifest.config)?,
        layers: manifest.layers.iter().map(blob).collect::<Result<_, _>>()?,
    })
}

/// The manifest of `image`.
///
/// # Errors
/// Never, in fact.
pub fn write_manifest(image: &Image) -> Result<Vec<u8>, Refusal> {
    let layers = image.layers.iter();
    write(&Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: image.config.describe(CONFIG_TYPE),
        layers: layers.map(|layer| layer.describe(LAYER_TYPE)).collect(),
    })
}

/// The index that names `manifest`.
///
/// # Errors
/// Never, in fact.
pub fn write_index(manifest: &Blob) -> Result<Vec<u8>, Refusal> {
    write(&Index {
        schema_version: 2,
        media_type: INDEX_TYPE.to_owned(),
        manifests: vec![manifest.describe(MANIFEST_TYPE)],
    })
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|_| Refusal::Unencodable)
}

fn parse<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Refusal> {
    if bytes.len() > MAX_JSON_BYTES {
        return Err(Refusal::Oversized);
    }
    serde_json::from_slice(bytes).map_err(|_| Refusal::Malformed)
}

fn blob(descriptor: &Descriptor) -> Result<Blob, Refusal> {
    let digest = descriptor.digest.strip_prefix(DIGEST);
    let digest = digest.filter(|digest| is_digest(digest));
    Ok(Blob {
        digest: digest.ok_or(Refusal::Malformed)?.to_owned(),
        size: descriptor.size,
    })
}

/// Anything else could be a path that leads out of the layout.
fn is_digest(text: &str) -> bool {
    let is_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.len() == 64 && text.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(letter: char, size: u64) -> Blob {
        Blob {
            digest: letter.to_string().repeat(64),
            size,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let image = Image {
            config: some('a', 1),
            layers: vec![some('b', 2), some('b', 2)],
        };
        let bytes = write_manifest(&image).unwrap();
        assert_eq!(manifest(&bytes).unwrap(), image);
        assert_eq!(image.size(), 5);
        let named = some('c', bytes.len() as u64);
        assert_eq!(
            index(&write_index(&named).unwrap(), "amd64").unwrap(),
            named
        );
    }

    #[test]
    fn of_an_image_for_several_machines_this_one_is_taken() {
        let one = |letter: char, architecture: &str| {
            let digest = some(letter, 0).digest;
            format!(
                r#"{{"digest":"sha256:{digest}","size":7,"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#
            )
        };
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
            one('a', "arm64"),
            one('b', "amd64")
        );
        assert_eq!(index(text.as_bytes(), "amd64").unwrap(), some('b', 7));
        assert_eq!(index(text.as_bytes(), "s390x"), Err(Refusal::Malformed));
    }

    #[test]
    fn a_digest_that_is_a_path_is_refused() {
        for digest in [
            "sha256:../../../etc/passwd",
            "md5:00",
            &format!("sha256:{}", "A".repeat(64)),
        ] {
            let text =
                format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"{digest}","size":1}}]}}"#);
            assert_eq!(
                index(text.as_bytes(), "amd64"),
                Err(Refusal::Malformed),
                "{digest}"
            );
        }
    }
}
