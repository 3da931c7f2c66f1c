//! From a request to a call with a CID: everything before placement.
//!
//! Takes what a door asked for, gives canonical values and the blocks that
//! ride along.

use std::time::Duration;

use cid::Cid;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Parts, fresh_invocation,
    input::{self, Input},
    random,
};
use crate::{
    compute::{
        ByteStream, Failure, InvokeRequest, clock,
        function::{arguments, entry_of},
    },
    model::{Block, Call, Class, InvocationId, Limits, Manifest, PeerId, Private},
    wire::{Refusal, block::DAG_CBOR, cid_of, dagcbor},
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
    /// Of a private invocation: what its executors open and seal with.
    pub(crate) private: Option<Private>,
    /// Tells a sealed input from others: the same is sealed anew each time.
    /// Stays on this node.
    pub(crate) plain_input: Option<Cid>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<Private>,
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
            private: prepared.private.clone(),
            request: prepared.request.clone(),
            submitted_ms: prepared.submitted_ms,
        }
    }

    /// The same parcel as if it were submitted now.
    pub(super) fn anew(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut parcel: Self = dagcbor::decode_kept(bytes)?;
        parcel.submitted_ms = clock::unix_ms();
        dagcbor::encode(&parcel)
    }

    /// The call in the bytes of a parcel that this node kept, if it can be read.
    pub(super) fn opened(bytes: &[u8]) -> Option<Prepared> {
        dagcbor::decode_kept::<Self>(bytes).ok()?.open().ok()
    }

    /// Unpacks it; its deadline stays where it was by this node's wall clock.
    fn open(self) -> Result<Prepared, Failure> {
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
            private: self.private,
            plain_input: None,
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
        mut request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Self, Failure> {
        let (submitted, submitted_ms) = (Instant::now(), clock::unix_ms());
        let invocation = fresh_invocation();
        let (function, manifest) = parts
            .functions
            .resolve(&request.function, request.fetch_timeout)
            .await?;
        let only = request.executor.as_deref().map(peer).transpose()?;
        let context = request.client_context.as_deref();
        let args = arguments(&manifest, &request.args, context)?;
        let private = input::private(&mut request, input.is_some())?;
        let is_unlike_any = !manifest.pure || private.is_some();
        let nonce = is_unlike_any.then(|| format!("{:032x}", random()));
        let key = private.as_ref().map(|private| &private.key);
        let input = match input {
            Some(bytes) => Input::taken(parts, bytes, invocation, key).await?,
            None => Input::named(parts, &request).await?,
        };
        let call = Call {
            function,
            entry: request.entry.clone(),
            args,
            input: input.cid,
            fuel: request.fuel,
            nonce,
        };
        entry_of(&manifest, &call)?;
        let call_block = block(&call)?;
        let call_cid = call_block.cid;
        let input_rides = input.block.is_some();
        let manifest_block = named(parts, &function, request.fetch_timeout).await?;
        let blocks: Vec<Block> = [call_block, manifest_block]
            .into_iter()
            .chain(input.block)
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
            private,
            plain_input: input.plain,
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

fn peer(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|_| {
        Failure::new(Class::User, "bad_peer", format!("{text:?} is no peer ID"))
            .with_hint("list the nodes of the mesh with: timerose node ls")
    })
}

/// A block that is somewhere already.
async fn named(parts: &Parts, cid: &Cid, wait: Duration) -> Result<Block, Failure> {
    let data = parts.content.block(cid, wait).await?.to_vec();
    Ok(Block { cid: *cid, data })
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
