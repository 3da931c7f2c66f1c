//! From the settings to a client of Kubo.

use super::Kubo;
use crate::kubo::{Client, Config, Endpoint, Error};

impl Kubo {
    /// A client of the Kubo that the settings name, found as `ipfs` finds it.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When address or secret make no sense.
    pub fn client(&self) -> Result<Client, Error> {
        let home = std::env::home_dir();
        let endpoint = Endpoint::discover(
            self.api.as_deref(),
            self.ipfs_path.as_deref(),
            home.as_deref(),
        )?;
        let auth = self.auth.as_deref().map(str::parse).transpose()?;
        Client::new(Config {
            auth,
            timeout: self.timeout.0,
            ..Config::new(endpoint)
        })
    }
}
