//! What a caller may ask of a call, in types.
//!
//! Takes option structs, gives [`Request`]s: the one place where an option
//! becomes a query key.

use std::time::Duration;

use cid::Cid;

use super::{command, rpc::Request};

/// How long a transfer may stand still before it counts as failed.
pub const STALL: Duration = Duration::from_secs(10);

/// Limit of a whole transfer unless the caller knows better. Generous, because
/// [`STALL`] finds a dead transfer long before.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// Options of reading a file or a stream of blocks.
#[derive(Clone, Debug)]
pub struct Cat {
    /// First byte to read. Ignored where the whole is read.
    pub offset: u64,
    /// How many bytes at most; all of them if absent.
    pub length: Option<u64>,
    /// Limit of the whole transfer.
    pub timeout: Duration,
    /// How long nothing may come, before the first byte too.
    pub stall: Duration,
    /// Read from this node alone.
    pub offline: bool,
}

impl Default for Cat {
    fn default() -> Self {
        Self {
            offset: 0,
            length: None,
            timeout: TRANSFER_TIMEOUT,
            stall: STALL,
            offline: false,
        }
    }
}

impl Cat {
    pub(super) fn cat(&self, path: &str) -> Request {
        let request = self.transfer(&command::CAT, path).flag("progress", false);
        let request = if self.offset > 0 {
            request.flag("offset", self.offset)
        } else {
            request
        };
        request.maybe("length", self.length)
    }

    pub(super) fn archive(&self, path: &str) -> Request {
        self.transfer(&command::GET, path)
            .flag("archive", true)
            .flag("progress", false)
    }

    pub(super) fn export(&self, cid: &Cid) -> Request {
        self.transfer(&command::DAG_EXPORT, cid)
            .flag("progress", false)
    }

    fn transfer(&self, command: &'static command::Command, path: impl ToString) -> Request {
        let request = Request::new(command)
            .arg(path)
            .timeout(self.timeout)
            .stall(self.stall);
        request.offline(self.offline)
    }
}

/// Options of fetching one small object: a block, a listing, a name.
#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    /// Limit of the call.
    pub timeout: Duration,
    /// Look at this node alone.
    pub offline: bool,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            timeout: STALL,
            offline: false,
        }
    }
}

impl Fetch {
    /// This node alone; absent at once.
    #[must_use]
    pub fn local() -> Self {
        Self {
            offline: true,
            ..Self::default()
        }
    }

    pub(super) fn request(self, command: &'static command::Command, arg: impl ToString) -> Request {
        Request::new(command)
            .arg(arg)
            .timeout(self.timeout)
            .offline(self.offline)
    }
}

/// Options of a look-up of providers.
#[derive(Clone, Copy, Debug)]
pub struct FindProviders {
    /// How many providers at most.
    pub max: u32,
    /// When the search ends, whatever it has found.
    pub timeout: Duration,
}

impl Default for FindProviders {
    fn default() -> Self {
        Self {
            max: 20,
            timeout: Duration::from_secs(5),
        }
    }
}

impl FindProviders {
    pub(super) fn request(self, cid: &Cid) -> Request {
        let request = Request::new(&command::FIND_PROVIDERS).arg(cid);
        request
            .flag("num-providers", self.max)
            .timeout(self.timeout)
    }
}

/// Options of adding files. The CID recipe is sent in full, so that a CID never
/// depends on a node's `Import.*`: it is that of `ipfs add --cid-version=1`
/// with Kubo's defaults.
#[derive(Clone, Debug)]
pub struct Add {
    /// Pin the root recursively.
    pub pin: bool,
    /// Name of the pin, `timerose/<kind>/<id>`.
    pub pin_name: Option<String>,
    /// Compute the CID, store nothing.
    pub only_hash: bool,
    /// Tell the routing system at once that this node has the root. Whether
    /// Kubo does so later is its operator's setting (`Provide.Strategy`).
    pub is_announced: bool,
    /// How files are cut: `size-262144`.
    pub chunker: String,
    /// Leaves are the bytes themselves, without a UnixFS node around them.
    pub raw_leaves: bool,
    /// Most links in a node of a file.
    pub max_file_links: u32,
    /// Limit of the whole transfer.
    pub timeout: Duration,
    /// How long neither the source nor Kubo may move.
    pub stall: Duration,
}

impl Default for Add {
    fn default() -> Self {
        Self {
            pin: true,
            pin_name: None,
            only_hash: false,
            is_announced: true,
            chunker: "size-262144".to_owned(),
            raw_leaves: true,
            max_file_links: 174,
            timeout: TRANSFER_TIMEOUT,
            stall: STALL,
        }
    }
}

impl Add {
    pub(super) fn request(&self) -> Request {
        // Kubo refuses a pin name without a pin.
        let pin = self.pin && !self.only_hash;
        let request = Request::new(&command::ADD)
            .flag("cid-version", 1)
            .flag("hash", "sha2-256")
            .flag("raw-leaves", self.raw_leaves)
            .flag("chunker", &self.chunker)
            .flag("trickle", false)
            .flag("inline", false)
            .flag("max-file-links", self.max_file_links)
            .flag("max-hamt-fanout", 256)
            .flag("progress", true)
            .flag("only-hash", self.only_hash)
            .flag("pin", pin)
            .timeout(self.timeout)
            .stall(self.stall);
        let unannounced = (!self.is_announced).then_some(false);
        request
            .maybe("fast-provide-root", unannounced)
            .maybe("pin-name", self.pin_name.as_ref().filter(|_| pin))
    }
}

/// Options of pinning what may still have to be fetched.
#[derive(Clone, Debug)]
pub struct PinAdd {
    /// Name of the pin, `timerose/<kind>/<id>`.
    pub name: Option<String>,
    /// Pin everything below the root as well.
    pub recursive: bool,
    /// Tell the routing system at once that this node has the root.
    pub is_announced: bool,
    /// Limit of the whole transfer.
    pub timeout: Duration,
    /// How long no further block may arrive.
    pub stall: Duration,
}

impl Default for PinAdd {
    fn default() -> Self {
        Self {
            name: None,
            recursive: true,
            is_announced: true,
            timeout: TRANSFER_TIMEOUT,
            stall: STALL,
        }
    }
}

impl PinAdd {
    pub(super) fn request(&self, cid: &Cid) -> Request {
        let request = Request::new(&command::PIN_ADD)
            .arg(cid)
            .flag("recursive", self.recursive)
            .flag("progress", true)
            .timeout(self.timeout)
            .stall(self.stall);
        let unannounced = (!self.is_announced).then_some(false);
        request
            .maybe("fast-provide-root", unannounced)
            .maybe("name", self.name.as_ref())
    }
}
