//! What the doors ask of `compute`: deploy this, invoke that.
//!
//! Plain values; paths of the caller's machine were already read by the door.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::model::{Abi, Limits};

/// What is to become a function.
#[derive(Clone, Debug)]
pub struct DeployRequest {
    /// What the author says of it.
    pub draft: Draft,
    /// Where the code is.
    pub code: Code,
}

/// Where the code of a new function is.
#[derive(Clone, Debug)]
pub enum Code {
    /// In hand: the module's bytes.
    Bytes(Bytes),
    /// On IPFS: a CID, `/ipfs/…` or `ipfs://…` of a module or of a manifest.
    Path(String),
    /// An image on IPFS, and what runs in it.
    Container(ContainerDraft),
    /// A Lambda function.
    Lambda(LambdaDraft),
}

/// A Lambda function, as an author describes it: code, runtime and handler, or
/// an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LambdaDraft {
    /// CID of a directory with the code.
    pub code: Option<String>,
    /// What runs it: `python3.12`.
    pub runtime: Option<String>,
    /// What of it is called: `module.function`.
    pub handler: Option<String>,
    /// CID of an image with a runtime and code.
    pub image: Option<String>,
}

/// A container, as an author describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerDraft {
    /// The image's CID.
    pub image: String,
    /// In place of the image's command.
    pub command: Vec<String>,
    /// In place of the image's working directory.
    pub workdir: Option<String>,
}

/// What an author says of a function; the rest is found out from the code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// A name for people.
    pub name: Option<String>,
    /// One line for people.
    pub description: Option<String>,
    /// How the module is called; told from its exports where absent.
    pub abi: Option<Abi>,
    /// The export that a call without an entry means.
    pub entry: Option<String>,
    /// Caps on every attempt.
    pub limits: Limits,
    /// The code has effects or needs clock or randomness: never memoized.
    pub impure: bool,
    /// Repeated runs of impure code are harmless.
    pub may_repeat: bool,
    /// Environment of the guest.
    pub env: BTreeMap<String, String>,
}

/// A call to be run, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InvokeRequest {
    /// CID, `/ipfs/…` or `ipfs://…` of a manifest, or a deployed function's name.
    pub function: String,
    /// The export to call.
    pub entry: Option<String>,
    /// As typed; numbers where the function's ABI wants numbers.
    pub args: Vec<String>,
    /// JSON that a Lambda function is given beside its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_context: Option<String>,
    /// CID, `/ipfs/…` or `ipfs://…` of the input. A local file comes as a
    /// stream beside the request instead.
    pub input: Option<String>,
    /// Caps that tighten the function's own.
    pub limits: Option<Limits>,
    /// Instructions the guest may spend.
    pub fuel: Option<u64>,
    /// Submit to close, retries included.
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// How long candidates are looked for.
    #[serde(with = "millis")]
    pub find_timeout: Duration,
    /// How long a fetch may wait before a CID counts as missing.
    #[serde(with = "millis")]
    pub fetch_timeout: Duration,
    /// A remembered receipt will do.
    pub cache: bool,
    /// Only where all of the input already lies.
    pub local_only: bool,
    /// Rank candidates; without it any willing one is drawn at random.
    pub placement: bool,
    /// Only on this peer.
    pub executor: Option<String>,
    /// Keep the output on this node for good.
    pub pin: bool,
    /// Of a durable submission: the same key is the same invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only this node and the executors that are asked read arguments, input,
    /// output and logs. Never remembered, never pinned for good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
}

impl Default for InvokeRequest {
    fn default() -> Self {
        Self {
            function: String::new(),
            entry: None,
            args: Vec::new(),
            client_context: None,
            input: None,
            limits: None,
            fuel: None,
            timeout: Duration::from_secs(300),
            find_timeout: Duration::from_secs(2),
            fetch_timeout: Duration::from_secs(10),
            cache: true,
            local_only: false,
            placement: true,
            executor: None,
            pin: false,
            key: None,
            private: false,
        }
    }
}

/// Bytes that arrive piece by piece.
pub type ByteStream = BoxStream<'static, std::io::Result<Bytes>>;

mod millis {
    //! Durations as whole milliseconds.
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_millis)
    }
}
