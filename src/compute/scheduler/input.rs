//! The input of a call: taken from its caller, or named by its CID.
//!
//! Takes a stream or a path on IPFS, gives a CID and, of a small one, the block
//! that rides along and is not added to Kubo; a larger one is streamed into
//! Kubo, pinned by name. Of a private invocation only sealed bytes leave here.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cid::Cid;
use futures_util::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::Parts;
use crate::{
    compute::{
        ByteStream, Failure, InvokeRequest,
        content::{RIDE_ALONG_BYTES, unreachable_kubo},
        private,
    },
    kubo,
    model::{Block, Class, ContentKey, InvocationId, Private},
    wire::{block::RAW, cid_of, private::Part},
};

/// What a call reads.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Its name.
    pub(super) cid: Option<Cid>,
    /// Its bytes, where they ride along.
    pub(super) block: Option<Block>,
    /// Tells a sealed one from others: the same is sealed anew each time.
    pub(super) plain: Option<Cid>,
}

/// What makes the invocation private, where that was asked for. A private one
/// is never answered from memory.
pub(super) fn private(
    request: &mut InvokeRequest,
    is_input_sealed: bool,
) -> Result<Option<Private>, Failure> {
    if !request.private {
        return Ok(None);
    }
    if request.pin {
        let message = "a private output is not pinned for good";
        return Err(Failure::new(Class::User, "bad_request", message)
            .with_hint("save it: timerose invoke --private … -o PATH"));
    }
    request.cache = false;
    Ok(Some(Private {
        key: private::fresh_key()?,
        is_input_sealed,
    }))
}

impl Input {
    /// What the request names, if it names anything.
    pub(super) async fn named(parts: &Parts, request: &InvokeRequest) -> Result<Self, Failure> {
        let Some(path) = &request.input else {
            return Ok(Self::default());
        };
        let cid = parts.functions.resolve_path(path, request.fetch_timeout);
        Ok(Self {
            cid: Some(cid.await?),
            ..Self::default()
        })
    }

    /// What the caller sends; sealed where there is a key.
    pub(super) async fn taken(
        parts: &Parts,
        bytes: ByteStream,
        invocation: InvocationId,
        key: Option<&ContentKey>,
    ) -> Result<Self, Failure> {
        let Some(key) = key else {
            return stored(parts, bytes, invocation, true).await;
        };
        let hash = Arc::new(Mutex::new(Sha256::new()));
        let seen = Arc::clone(&hash);
        let bytes = bytes.inspect_ok(move |piece: &Bytes| seen.lock().update(piece));
        let sealed = private::sealed(bytes.boxed(), key, Part::Input)?;
        let stored = stored(parts, sealed, invocation, false).await?;
        let digest = hash.lock().clone().finalize();
        Ok(Self {
            plain: Some(cid_of(RAW, &digest)),
            ..stored
        })
    }
}

/// Reads a stream: a small one into a block, a large one into Kubo, which says
/// at once that it has it where that is wanted.
async fn stored(
    parts: &Parts,
    mut bytes: ByteStream,
    invocation: InvocationId,
    is_announced: bool,
) -> Result<Input, Failure> {
    let mut head = BytesMut::new();
    while head.len() <= RIDE_ALONG_BYTES {
        match bytes.next().await {
            Some(piece) => head.extend_from_slice(&piece.map_err(|e| broken(&e))?),
            None => return Ok(Input::of(head.to_vec())),
        }
    }
    let whole = stream::iter([Ok::<Bytes, std::io::Error>(head.freeze())])
        .chain(bytes)
        .boxed();
    let options = kubo::Add {
        pin: true,
        pin_name: Some(format!("timerose/input/{invocation}")),
        is_announced,
        ..kubo::Add::default()
    };
    let added = parts
        .kubo
        .add(kubo::AddBody::stream("input", whole), &options)
        .await
        .map_err(|e| unreachable_kubo(&e, "adding the input"))?;
    Ok(Input {
        cid: Some(added.cid),
        ..Input::default()
    })
}

impl Input {
    /// A small one.
    fn of(data: Vec<u8>) -> Self {
        let cid = cid_of(RAW, &data);
        Self {
            cid: Some(cid),
            block: Some(Block { cid, data }),
            plain: None,
        }
    }
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(
        Class::User,
        "input_broken",
        format!("the input broke off: {error}"),
    )
}
