//! The sidecar's key and its bindings' last serial, on disk.
//!
//! The key is 32 bytes, readable by its owner alone; a key that others can read
//! is refused. Files appear whole or not at all.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::Error;

const PRIVATE: u32 = 0o600;

/// Where they lie.
#[derive(Clone, Debug)]
pub(super) struct Files {
    key: PathBuf,
    serial: PathBuf,
}

impl Files {
    pub(super) fn at(key: &Path) -> Self {
        Self {
            key: key.to_owned(),
            serial: key.with_extension("serial"),
        }
    }

    /// The key; made where there is none.
    pub(super) fn key(&self) -> Result<SigningKey, Error> {
        match self.read_key() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            read => return read,
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| Error::Randomness)?;
        match write(&self.key, &*seed, false) {
            Ok(()) => Ok(SigningKey::from_bytes(&seed)),
            // Somebody else made one at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.read_key(),
            Err(error) => Err(Error::io(&self.key, error)),
        }
    }

    fn read_key(&self) -> Result<SigningKey, Error> {
        let io = |error| Error::io(&self.key, error);
        let mode = fs::metadata(&self.key).map_err(io)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::KeyMode {
                path: self.key.clone(),
                mode: mode & 0o777,
            });
        }
        let bytes = Zeroizing::new(fs::read(&self.key).map_err(io)?);
        let seed = <&[u8; 32]>::try_from(bytes.as_slice());
        let seed = seed.map_err(|_| Error::BadKey {
            path: self.key.clone(),
        })?;
        Ok(SigningKey::from_bytes(seed))
    }

    /// The next serial: above the last one, and above `floor` for the case that
    /// the file was lost.
    pub(super) fn next_serial(&self, floor: u64) -> Result<u64, Error> {
        let last = match fs::read_to_string(&self.serial) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::io(&self.serial, error)),
        };
        let next = floor.max(last + 1);
        let text = format!("{next}\n");
        write(&self.serial, text.as_bytes(), true)
            .map_err(|error| Error::io(&self.serial, error))?;
        Ok(next)
    }
}

fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".key-")
        .permissions(Permissions::from_mode(PRIVATE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let placed = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    placed.map(|_| ()).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(&folder.path().join("key"));
        (folder, files)
    }

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let (_folder, files) = files();
        let made = files.key().unwrap();
        assert_eq!(files.key().unwrap().to_bytes(), made.to_bytes());
        assert_eq!(
            fs::metadata(&files.key).unwrap().permissions().mode() & 0o777,
            PRIVATE
        );
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_folder, files) = files();
        files.key().unwrap();
        fs::set_permissions(&files.key, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            files.key(),
            Err(Error::KeyMode { mode: 0o640, .. })
        ));
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_alone() {
        let (_folder, files) = files();
        write(&files.key, b"short", false).unwrap();
        assert!(matches!(files.key(), Err(Error::BadKey { .. })));
        assert_eq!(fs::read(&files.key).unwrap(), b"short");
    }

    #[test]
    fn serials_rise_through_restarts_and_clock_steps() {
        let (_folder, files) = files();
        assert_eq!(files.next_serial(100).unwrap(), 100);
        assert_eq!(files.next_serial(50).unwrap(), 101);
        assert_eq!(files.next_serial(200).unwrap(), 200);
    }
}
