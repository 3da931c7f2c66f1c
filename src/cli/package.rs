//! Code that is more than one file, on its way to the node: a folder or a zip.
//!
//! Takes a path of this machine, gives the CID of the directory that the node
//! made of it. Symbolic links are left out: UnixFS could keep them, but nothing
//! that runs code follows them.

use std::path::{Path, PathBuf};

use super::exit::{bad, file};
use crate::{
    api::Client,
    compute::{
        Failure,
        archive::{Others, archive},
    },
};

/// As AWS Lambda bounds code, unpacked.
const MAX_BYTES: u64 = 250 << 20;

/// Has the node store the code at `path`.
pub(super) async fn upload(client: &Client, path: &Path) -> Result<String, Failure> {
    let unpacked = match path.is_dir() {
        true => None,
        false => Some(unzip(path)?),
    };
    let folder = unpacked.as_ref().map_or(path, |folder| folder.path());
    let bytes = archive(PathBuf::from(folder), MAX_BYTES, Others::LeftOut);
    Ok(client.add_folder(bytes).await?.folder)
}

/// What is in a zip, in a folder of its own.
fn unzip(path: &Path) -> Result<tempfile::TempDir, Failure> {
    let zip = std::fs::File::open(path).map_err(|e| file(path, &e))?;
    let no_zip = |e: zip::result::ZipError| {
        let message = format!("{} is neither a folder nor a zip: {e}", path.display());
        bad("bad_code", message)
    };
    let mut zip = zip::ZipArchive::new(zip).map_err(no_zip)?;
    let size = zip.decompressed_size().unwrap_or_default();
    if size > u128::from(MAX_BYTES) {
        let message = format!(
            "{} has {size} bytes, {MAX_BYTES} are the most",
            path.display()
        );
        return Err(bad("bad_code", message));
    }
    let folder = tempfile::tempdir().map_err(|e| file(path, &e))?;
    zip.extract(folder.path()).map_err(no_zip)?;
    Ok(folder)
}
