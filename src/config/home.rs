//! The home of one node: where its files lie.
//!
//! Takes a folder, gives the paths in it and makes it (mode 0700). Never reads
//! or writes what the files contain, the bearer token excepted.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// `$TIMEROSE_PATH`, by default `~/.timerose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home at `path`, whether it exists or not.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The sidecar's own secret key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.0.join("key")
    }

    /// The durable state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// The bearer token of the TCP door.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// Says where a ready daemon listens; there only while it does.
    #[must_use]
    pub fn api(&self) -> PathBuf {
        self.0.join("api")
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// Makes the folder, readable by its owner alone. An existing one stays as
    /// it is.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create(&self) -> io::Result<()> {
        if self.0.is_dir() {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
    }

    /// The permission bits of the folder.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn mode(&self) -> io::Result<u32> {
        Ok(fs::metadata(&self.0)?.permissions().mode() & 0o777)
    }

    /// The bearer token; made at its first use, readable by the owner alone.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn bearer(&self) -> io::Result<String> {
        match read(&self.token()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.make_bearer(),
            other => other,
        }
    }

    fn make_bearer(&self) -> io::Result<String> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let token = multibase::encode(multibase::Base::Base64Url, secret);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.token())?;
        file.write_all(token.as_bytes())?;
        file.sync_all()?;
        Ok(token)
    }

    /// Writes `contents` so that a reader sees all of it or the old file.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_whole(&self, path: &Path, contents: &str, mode: u32) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(contents.as_bytes())?;
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        file.persist(path)?;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_and_token_are_readable_by_their_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        home.create().unwrap();
        let token = home.bearer().unwrap();
        assert_eq!(home.mode().unwrap(), 0o700);
        assert_eq!(
            fs::metadata(home.token()).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(home.bearer().unwrap(), token, "the token stays");
        assert!(token.len() > 40);
    }
}
