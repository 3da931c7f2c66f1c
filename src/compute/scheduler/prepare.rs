//! From a request to a call with a CID: everything before placement.
//!
//! Takes what a door asked for, gives canonical values and the blocks that
//! ride along. A small input stays in hand and is not added to Kubo; a larger
//! one is streamed into it, pinned by name.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cid::Cid;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Parts, fresh_invocation, random};
use crate::{
    compute::{
        ByteStream, Failure, InvokeRequest, clock,
        content::{RIDE_ALONG_BYTES, unreachable_kubo},
        function::arguments,
    },
    kubo,
    model::{Block, Call, Class, InvocationId, Limits, Manifest, PeerId},
    wire::{
        Refusal,
        block::{DAG_CBOR, RAW},
        cid_of, dagcbor,
    },
};

/// A call that is ready to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Its invocation's name.
    pub(crate) invocation: InvocationId,
    /// The call.
    pub(crate) call: Call,
    /// Its CID.
    pub(crate) call_cid: Cid,
    /// The function's manifest.
    pub(crate) manifest: Manifest,
    /// Caps: the function's, tightened by the caller's.
    pub(crate) limits: Limits,
    /// Call, manifest and a small input.
    pub(crate) blocks: Vec<Block>,
    /// The input rides along, so nobody need hold it.
    pub(crate) input_rides: bool,
    /// The one peer that may run it, where one was named.
    pub(crate) only: Option<PeerId>,
    /// How it was asked for.
    pub(crate) request: InvokeRequest,
    /// When it came.
    pub(crate) submitted: Instant,
    /// When it came, Unix milliseconds.
    pub(crate) submitted_ms: u64,
}

/// A prepared call as it is kept over a restart.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parcel {
    invocation: InvocationId,
    call: Call,
    manifest: Manifest,
    limits: Limits,
    blocks: Vec<Block>,
    input_rides: bool,
    request: InvokeRequest,
    submitted_ms: u64,
}

impl Parcel {
    /// Packs a call.
    pub(super) fn of(prepared: &Prepared) -> Self {
        Self {
            invocation: prepared.invocation,
            call: prepared.call.clone(),
            manifest: prepared.manifest.clone(),
            limits: prepared.limits,
            blocks: prepared.blocks.clone(),
            input_rides: prepared.input_rides,
            request: prepared.request.clone(),
            submitted_ms: prepared.submitted_ms,
        }
    }

    /// The same parcel as if it were submitted now.
    pub(super) fn anew(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut parcel: Self = dagcbor::decode(bytes)?;
        parcel.submitted_ms = clock::unix_ms();
        dagcbor::encode(&parcel)
    }

    /// Unpacks it; its deadline stays where it was by this node's wall clock.
    pub(super) fn open(self) -> Result<Prepared, Failure> {
        let age = Duration::from_millis(clock::unix_ms().saturating_sub(self.submitted_ms));
        let now = Instant::now();
        Ok(Prepared {
            invocation: self.invocation,
            call_cid: block(&self.call)?.cid,
            call: self.call,
            manifest: self.manifest,
            limits: self.limits,
            blocks: self.blocks,
            input_rides: self.input_rides,
            only: self.request.executor.as_deref().map(peer).transpose()?,
            request: self.request,
            submitted: now.checked_sub(age).unwrap_or(now),
            submitted_ms: self.submitted_ms,
        })
    }
}

impl Prepared {
    /// Prepares `request`.
    pub(crate) async fn make(
        parts: &Parts,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Self, Failure> {
        let (submitted, submitted_ms) = (Instant::now(), clock::unix_ms());
        let invocation = fresh_invocation();
        let (function, manifest) = parts
            .functions
            .resolve(&request.function, request.fetch_timeout)
            .await?;
        let only = request.executor.as_deref().map(peer).transpose()?;
        let args = arguments(&manifest, &request.args)?;
        let (input, input_block) = match input {
            Some(bytes) => taken(parts, bytes, invocation).await?,
            None => (named(parts, &request).await?, None),
        };
        let nonce = (!manifest.pure).then(|| format!("{:032x}", random()));
        let call = Call {
            function,
            entry: request.entry.clone(),
            args,
            input,
            fuel: request.fuel,
            nonce,
        };
        let call_block = block(&call)?;
        let call_cid = call_block.cid;
        let input_rides = input_block.is_some();
        let blocks: Vec<Block> = [call_block, block(&manifest)?]
            .into_iter()
            .chain(input_block)
            .collect();
        parts.content.remember(blocks.iter().cloned())?;
        let limits = request.limits.map_or(manifest.limits, |limits| {
            manifest.limits.tightened_by(limits)
        });
        Ok(Self {
            invocation,
            call,
            call_cid,
            manifest,
            limits,
            blocks,
            input_rides,
            only,
            request,
            submitted,
            submitted_ms,
        })
    }

    /// When the invocation ends, whatever happens.
    pub(crate) fn deadline(&self) -> Instant {
        self.submitted + self.request.timeout
    }

    /// The input that an executor has to find, if it has to find any.
    pub(crate) fn sought_input(&self) -> Option<Cid> {
        self.call.input.filter(|_| !self.input_rides)
    }

    /// What is left of the wait for bytes that nobody seems to have.
    pub(crate) fn fetch_left(&self, now: Instant) -> Duration {
        let spent = now.duration_since(self.submitted);
        self.request
            .fetch_timeout
            .saturating_sub(spent)
            .max(Duration::from_secs(1))
    }
}

async fn named(parts: &Parts, request: &InvokeRequest) -> Result<Option<Cid>, Failure> {
    match &request.input {
        None => Ok(None),
        Some(path) => parts
            .functions
            .resolve_path(path, request.fetch_timeout)
            .await
            .map(Some),
    }
}

/// Reads a stream: a small one into a block, a large one into Kubo.
async fn taken(
    parts: &Parts,
    mut bytes: ByteStream,
    invocation: InvocationId,
) -> Result<(Option<Cid>, Option<Block>), Failure> {
    let mut head = BytesMut::new();
    while head.len() <= RIDE_ALONG_BYTES {
        match bytes.next().await {
            Some(piece) => head.extend_from_slice(&piece.map_err(|e| broken(&e))?),
            None => {
                let data = head.to_vec();
                let cid = cid_of(RAW, &data);
                return Ok((Some(cid), Some(Block { cid, data })));
            }
        }
    }
    let whole = stream::iter([Ok::<Bytes, std::io::Error>(head.freeze())])
        .chain(bytes)
        .boxed();
    let pin_name = Some(format!("timerose/input/{invocation}"));
    let options = kubo::Add {
        pin: true,
        pin_name,
        ..kubo::Add::default()
    };
    let added = parts
        .kubo
        .add(kubo::AddBody::stream("input", whole), &options)
        .await
        .map_err(|e| unreachable_kubo(&e, "adding the input"))?;
    Ok((Some(added.cid), None))
}

fn peer(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|_| {
        Failure::new(Class::User, "bad_peer", format!("{text:?} is no peer ID"))
            .with_hint("list the nodes of the mesh with: timerose node ls")
    })
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::new(
        Class::User,
        "input_broken",
        format!("the input broke off: {error}"),
    )
}

fn block<T: serde::Serialize>(value: &T) -> Result<Block, Failure> {
    let data = dagcbor::encode(value).map_err(|error| {
        Failure::new(
            Class::User,
            "bad_request",
            format!("no canonical form: {error}"),
        )
    })?;
    Ok(Block {
        cid: cid_of(DAG_CBOR, &data),
        data,
    })
}
