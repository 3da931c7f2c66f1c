//! What the sandbox and its process say to each other: frames of a four-byte
//! little-endian length and JSON, one request and two replies per attempt; one,
//! where the module is at hand already.
//!
//! Both ends are this binary, so the format has no version. Guests never see
//! these pipes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    model::{Abi, Limits},
    sandbox::{Fault, Usage},
};

/// No frame is longer: arguments and environment are bounded well below.
const MAX_FRAME_BYTES: usize = 16 << 20;

/// One attempt, as the process needs it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) cache_dir: PathBuf,
    pub(super) code_cid: String,
    /// The process ran this module before: nothing is to be said when the guest
    /// starts, unless the module is not at hand any more or input waits for it.
    #[serde(default)]
    pub(super) is_at_hand: bool,
    pub(super) code_path: PathBuf,
    pub(super) abi: Abi,
    pub(super) entry: Option<String>,
    pub(super) args: Vec<serde_json::Value>,
    pub(super) env: BTreeMap<String, String>,
    /// Standard input where it is small.
    #[serde(default)]
    pub(super) small: Option<Blob>,
    /// Or a FIFO that is removed once it is open.
    pub(super) stdin: Option<PathBuf>,
    pub(super) input_dir: Option<PathBuf>,
    pub(super) work: PathBuf,
    pub(super) limits: Limits,
    pub(super) fuel: Option<u64>,
    pub(super) pure: bool,
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The module is ready: the guest's wall time starts.
    Started,
    /// The guest has ended.
    Done(Done),
}

/// The end of an attempt.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) outcome: Result<Success, Failure>,
    /// The process holds more memory than a fresh one: end it.
    pub(super) is_swollen: bool,
}

/// What a finished guest left.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Success {
    /// Standard output where it is small; else it is in its file.
    pub(super) stdout: Option<Blob>,
    pub(super) has_out: bool,
    pub(super) usage: Usage,
}

/// A few bytes, base64 in the frame.
#[derive(Debug)]
pub(super) struct Blob(pub(super) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        let bytes = BASE64.decode(text.as_bytes());
        bytes
            .map(|bytes| Self(bytes.into()))
            .map_err(de::Error::custom)
    }
}

/// Why there is nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Failure {
    /// The guest's doing.
    Fault(Fault),
    /// This node's disk is full.
    DiskFull,
    /// Anything else of this node.
    Node(String),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match crate::sandbox::error::of_io(error) {
            crate::sandbox::Error::DiskFull => Self::DiskFull,
            other => Self::Node(other.to_string()),
        }
    }
}

/// Writes one frame, asynchronously.
pub(super) async fn send<W: AsyncWrite + Unpin>(to: &mut W, value: &Request) -> io::Result<()> {
    to.write_all(&framed(value)?).await?;
    to.flush().await
}

/// Reads one frame, asynchronously.
pub(super) async fn receive<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Reply> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let mut body = vec![0; body_length(length)?];
    from.read_exact(&mut body).await?;
    decoded(&body)
}

/// Writes one frame, blocking.
pub(super) fn write(to: &mut impl Write, value: &Reply) -> io::Result<()> {
    to.write_all(&framed(value)?)?;
    to.flush()
}

/// Reads one frame, blocking.
pub(super) fn read(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut body = vec![0; body_length(length)?];
    from.read_exact(&mut body)?;
    decoded(&body)
}

fn framed(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| invalid("arguments too large"))?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend_from_slice(&body);
    Ok(frame)
}

fn body_length(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME_BYTES {
        Err(invalid("frame too long"))
    } else {
        Ok(length)
    }
}

fn decoded<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(body)?)
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
