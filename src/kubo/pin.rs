//! Pins: what Kubo must not collect.
//!
//! Takes CIDs and names, gives what is pinned. A recursive pin is also the
//! proof that a node holds a whole DAG.

use cid::Cid;
use serde::{Deserialize, de::IgnoredAny};
use tokio::time::Instant;

use super::{
    Client, Error, PinAdd, STALL, block::parse_cid, command, ndjson::LINE_LIMIT, rpc::Request,
};

/// A recursive pin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The root.
    pub cid: Cid,
    /// Its name; empty if it has none.
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AddEvent {
    pins: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    progress: u64,
    #[serde(default)]
    bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    cid: String,
    #[serde(default)]
    name: String,
}

impl Client {
    /// Pins `cid`, fetching what is missing. Kubo reports twice a second how
    /// many blocks it has; the same count for `options.stall` is a failure.
    ///
    /// # Errors
    /// [`Error::Stalled`], else any of [`Error`].
    pub async fn pin_add(&self, cid: &Cid, options: &PinAdd) -> Result<(), Error> {
        let path = command::PIN_ADD.path;
        let mut events = self
            .lines::<AddEvent>(options.request(cid), LINE_LIMIT)
            .await?;
        let (mut last, mut moved) = ((0, 0), Instant::now());
        while let Some(event) = events.next().await? {
            if event.pins.is_some() {
                return Ok(());
            }
            let now = Instant::now();
            if (event.progress, event.bytes) != last {
                (last, moved) = ((event.progress, event.bytes), now);
            } else if now.duration_since(moved) >= options.stall {
                return Err(Error::Stalled {
                    command: path,
                    after: options.stall,
                });
            }
        }
        Err(Error::EmptyAnswer { command: path })
    }

    /// Removes a recursive pin; gives whether there was one.
    ///
    /// # Errors
    /// Any of [`Error`] but an absent pin.
    pub async fn pin_rm(&self, cid: &Cid) -> Result<bool, Error> {
        let request = Request::new(&command::PIN_RM)
            .arg(cid)
            .flag("recursive", true);
        pinned(self.json::<IgnoredAny>(request).await)
    }

    /// The recursive pins whose names begin with `prefix`, or all of them.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn pin_ls(&self, prefix: Option<&str>) -> Result<Vec<Pin>, Error> {
        let request = Request::new(&command::PIN_LS)
            .flag("type", "recursive")
            .flag("names", true)
            .flag("stream", true)
            .maybe("name", prefix)
            .stall(STALL);
        let mut lines = self.lines::<Listed>(request, LINE_LIMIT).await?;
        let mut pins = Vec::new();
        while let Some(Listed { cid, name }) = lines.next().await? {
            // Kubo looks for the text anywhere in the name.
            if prefix.is_none_or(|prefix| name.starts_with(prefix)) {
                pins.push(Pin {
                    cid: parse_cid(command::PIN_LS.path, &cid)?,
                    name,
                });
            }
        }
        Ok(pins)
    }

    /// Whether `cid` itself is pinned recursively: this node then holds all of
    /// its DAG.
    ///
    /// # Errors
    /// Any of [`Error`] but an absent pin.
    pub async fn is_pinned_recursive(&self, cid: &Cid) -> Result<bool, Error> {
        let request = Request::new(&command::PIN_LS)
            .arg(cid)
            .flag("type", "recursive");
        pinned(self.json::<IgnoredAny>(request).await)
    }
}

fn pinned(answer: Result<IgnoredAny, Error>) -> Result<bool, Error> {
    match answer {
        Ok(IgnoredAny) => Ok(true),
        Err(error) if error.is_not_pinned() => Ok(false),
        Err(error) => Err(error),
    }
}
