//! One invocation's life, in order: function, scheduler, executor, receipt.
//!
//! Takes requests from the doors and messages from the mesh, gives events and
//! verified results. [`Compute`] holds the roles of one node together; the
//! scheduler and the executor in it still meet only as messages.

pub mod allow;
pub(crate) mod archive;
pub mod clock;
mod content;
pub mod executor;
mod explain;
mod failure;
pub(crate) mod forwarded;
mod function;
mod image;
mod keeper;
mod memo;
mod piped;
mod private;
mod reading;
mod report;
mod request;
pub mod scheduler;
#[cfg(test)]
mod simulation;
pub mod storage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::Notify;

use self::{
    allow::Allow,
    content::{Content, fetch_failed},
    executor::Executor,
    function::Functions,
    image::Images,
    keeper::Keeper,
    memo::Memo,
    scheduler::{Following, Scheduler},
    storage::{Quota, Storage},
};
pub use self::{
    explain::{Candidate, Explanation, Terms},
    failure::Failure,
    image::{AddedFolder, AddedImage, ImageSource, KeptImage},
    report::{Deployed, Finished, InvocationEvent, Record, runtime_name},
    request::{ByteStream, Code, ContainerDraft, DeployRequest, Draft, InvokeRequest, LambdaDraft},
};
use crate::{
    kubo,
    mesh::{DownReason, Event, Identity, Interruption, Mesh},
    model::{Advert, Block, Call, Cid, Receipt},
    sandbox::Sandboxes,
    store::{Ledger, Store},
    task::Tasks,
    wire::{dagcbor, unixfs},
};

/// How long parts of a receipt's archive are looked for.
const ARCHIVE_WAIT: Duration = Duration::from_secs(10);

/// What a node's compute is made of.
#[derive(Debug)]
pub struct ComputeParts {
    /// Settings of the executor.
    pub executor: executor::Config,
    /// Settings of the scheduler.
    pub scheduler: scheduler::Config,
    /// How long and how much is kept.
    pub quota: Quota,
    /// The node's Kubo.
    pub kubo: kubo::Client,
    /// The mesh.
    pub mesh: Mesh,
    /// Who signs.
    pub identity: Identity,
    /// What runs code.
    pub sandboxes: Sandboxes,
    /// Bytes of the largest image that is taken.
    pub max_image_bytes: u64,
    /// What survives a restart.
    pub store: Store,
    /// Where promises are kept; none where nothing outlives the process.
    pub ledger: Option<Ledger>,
    /// Who may run code here.
    pub allow: Allow,
}

/// The roles of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Compute {
    executor: Executor,
    scheduler: Scheduler,
    functions: Functions,
    memo: Memo,
    content: Content,
    images: Images,
    sandboxes: Sandboxes,
    kubo: kubo::Client,
    store: Store,
    storage: Storage,
    allow_changed: Arc<Notify>,
}

impl Compute {
    /// Starts the roles; they end with `tasks`.
    #[must_use]
    pub fn start(parts: ComputeParts, tasks: &Tasks) -> Self {
        let ComputeParts {
            kubo,
            mesh,
            identity,
            store,
            ..
        } = parts;
        let content = Content::new(kubo.clone());
        let keeper = Keeper::start(kubo.clone(), tasks);
        let memo = Memo::new(store.clone(), kubo.clone(), content.clone(), keeper);
        let images = Images::new(
            kubo.clone(),
            parts.executor.work_dir.clone(),
            parts.max_image_bytes,
        );
        let functions =
            Functions::new(kubo.clone(), content.clone(), images.clone(), store.clone());
        let executor = executor::Parts::new(
            parts.executor,
            kubo.clone(),
            mesh.clone(),
            identity,
            (parts.sandboxes.clone(), images.clone()),
            content.clone(),
            memo.clone(),
        );
        let journal = parts.ledger.clone();
        let journal = journal.map(|ledger| executor::Journal::new(ledger, store.clone()));
        let executor = executor.with_journal(journal);
        let scheduler = scheduler::Parts {
            config: parts.scheduler,
            kubo: kubo.clone(),
            mesh,
            content: content.clone(),
            functions: functions.clone(),
            memo: memo.clone(),
            store: store.clone(),
            ledger: parts.ledger,
        };
        let scheduler = Scheduler::start(scheduler, tasks);
        scheduler.resume();
        Self {
            executor: Executor::start(executor, parts.allow, tasks),
            scheduler,
            functions,
            memo,
            content,
            images,
            sandboxes: parts.sandboxes,
            storage: Storage::new(kubo.clone(), store.clone(), parts.quota),
            kubo,
            store,
            allow_changed: Arc::default(),
        }
    }

    /// Hears the mesh.
    pub fn hear(&self, event: Event) {
        match event {
            Event::Message { from, message } if message.is_for_executor() => {
                self.executor.hear(from, message);
            }
            Event::Message { from, message } => self.scheduler.hear(from, message),
            Event::Up(peer) => {
                self.executor.linked();
                self.scheduler.linked(&peer);
            }
            Event::Interrupted(peer, Interruption::Ended)
            | Event::Down(peer, DownReason::Left | DownReason::Restarted) => {
                self.scheduler.unlinked(&peer);
            }
            Event::Interrupted(peer, Interruption::Silent) | Event::Down(peer, _) => {
                self.scheduler.fell_silent(&peer);
            }
        }
    }

    /// What to say to the mesh now.
    #[must_use]
    pub fn advert(&self, period: Duration) -> Option<Advert> {
        self.executor.advert(period)
    }

    /// Replaces the rules of who may run code here, at once.
    pub fn set_allow(&self, allow: Allow) {
        self.executor.set_allow(allow);
        self.allow_changed.notify_one();
    }

    /// Waits until the rules change, up to `at_most`.
    pub async fn allow_changed(&self, at_most: Duration) {
        let _unchanged = tokio::time::timeout(at_most, self.allow_changed.notified()).await;
    }

    /// The executor role.
    #[must_use]
    pub const fn executor(&self) -> &Executor {
        &self.executor
    }

    /// The scheduler role.
    pub(crate) const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Deployed functions.
    pub(crate) const fn functions(&self) -> &Functions {
        &self.functions
    }

    /// What is kept.
    pub(crate) const fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Stores an image of this node's engine, or one in an archive.
    pub(crate) async fn add_image(&self, from: ImageSource) -> Result<AddedImage, Failure> {
        let archive = match from {
            ImageSource::Archive(archive) => archive,
            ImageSource::Engine(name) => {
                let docker = self.sandboxes.docker();
                docker.settled().await;
                docker.export(&name).await?.ok_or_else(|| {
                    let missing = format!("this machine's engine has no image {name}");
                    not_found(&missing).with_hint(format!(
                        "docker pull {name}, or give an archive: docker save … | timerose image add -"
                    ))
                })?
            }
        };
        self.images.add(archive).await
    }

    /// Stores a folder, given as a TAR archive below one top folder, pinned as
    /// code; gives its CID.
    pub(crate) async fn add_folder(&self, archive: ByteStream) -> Result<AddedFolder, Failure> {
        self.images.add_folder(archive).await
    }

    /// Images that are kept.
    pub(crate) async fn images(&self) -> Result<Vec<KeptImage>, Failure> {
        let kept = self.storage.list().await?.into_iter();
        let images = kept.filter(|kept| kept.kind == image::KIND);
        let shown = images.map(|kept| KeptImage {
            image: kept.cid,
            bytes: kept.bytes,
        });
        Ok(shown.collect())
    }

    /// Lets go of an image; what the engine has of it stays there.
    pub(crate) async fn remove_image(&self, name: &str) -> Result<KeptImage, Failure> {
        let cid = image::parse(name)?;
        let kept = self.images().await?.into_iter();
        let known = kept.into_iter().find(|kept| kept.image == cid.to_string());
        let known = known.ok_or_else(|| {
            not_found(&format!("no image {cid} is kept here")).with_hint("timerose image ls")
        })?;
        self.images.remove(&cid).await?;
        Ok(known)
    }

    /// Runtimes that this node does not offer now, and why.
    pub(crate) fn lacking(&self) -> BTreeMap<String, String> {
        self.sandboxes.lacking()
    }

    /// The bytes behind `cid`: a file, or a directory as a TAR archive; and
    /// which of both it is.
    async fn read(&self, cid: &Cid, wait: Duration) -> Result<(bool, ByteStream), Failure> {
        use futures_util::{StreamExt, TryStreamExt};
        let is_raw = cid.codec() == crate::wire::block::RAW;
        let whole = |data| Ok((false, futures_util::stream::iter([Ok(data)]).boxed()));
        let at_hand = self.memo.block(cid);
        let is_directory = match (is_raw, at_hand) {
            (true, Some(data)) => return whole(data),
            (true, None) => false,
            (false, at_hand) => {
                let root = match at_hand {
                    Some(root) => root,
                    None => self.content.block(cid, wait).await?,
                };
                if let Some(data) = unixfs::content(root.clone()) {
                    return whole(data);
                }
                unixfs::is_directory(root).unwrap_or(false)
            }
        };
        let options = kubo::Cat {
            stall: wait,
            ..kubo::Cat::default()
        };
        let bytes = match is_directory {
            true => self.kubo.archive(cid, &options).await,
            false => self.kubo.cat(&cid.to_string(), &options).await,
        };
        let bytes = bytes.map_err(|e| fetch_failed(cid, wait, e))?;
        Ok((is_directory, bytes.map_err(std::io::Error::other).boxed()))
    }

    /// The same while it runs, as it comes, and whatever is left at its end.
    pub(crate) fn follow(&self, name: &str) -> Result<ByteStream, Failure> {
        use futures_util::StreamExt;
        let invocation = self.scheduler.record(name)?.invocation;
        let state = Some((self.clone(), Following::new(invocation)));
        let bytes = futures_util::stream::unfold(state, |state| async {
            let (this, mut following) = state?;
            let next = this.scheduler.follow(&mut following).await;
            match next {
                Some(bytes) => {
                    let piece = futures_util::stream::iter([Ok(bytes)]).boxed();
                    Some((piece, Some((this, following))))
                }
                None => Some((this.rest(following).await, None)),
            }
        });
        Ok(bytes.flatten().boxed())
    }

    /// What a follower was not given before the invocation ended.
    async fn rest(&self, mut following: Following) -> ByteStream {
        use futures_util::StreamExt;
        let name = following.invocation.clone();
        let receipt = self.receipt(&name).await.ok();
        let receipt = receipt.and_then(|data| dagcbor::decode::<Receipt>(&data).ok());
        let (Some(receipt), Ok(bytes)) = (receipt, self.logs(&name).await) else {
            return futures_util::stream::empty().boxed();
        };
        let is_pure = self.is_pure(&receipt.call).await;
        following.turn_to(receipt.lease, is_pure);
        after(bytes, following.given)
    }

    /// Whether every try of a call says the same.
    async fn is_pure(&self, call: &Cid) -> bool {
        let Some(call) = self.found(call).await else {
            return false;
        };
        let Ok(call) = dagcbor::decode::<Call>(&call.data) else {
            return false;
        };
        let manifest = self.content.manifest(&call.function, ARCHIVE_WAIT).await;
        manifest.is_ok_and(|manifest| manifest.pure)
    }

    /// What an invocation's guest wrote to its standard error.
    pub(crate) async fn logs(&self, name: &str) -> Result<ByteStream, Failure> {
        use futures_util::StreamExt;
        let receipt: Receipt = match self.receipt(name).await {
            Ok(data) => dagcbor::decode(&data)
                .map_err(|e| not_found(&format!("{name} has no logs: {e}")))?,
            Err(_) if self.scheduler.record(name)?.error.is_none() => {
                return Err(not_found("the invocation is not over yet")
                    .with_hint("its logs are there once it ended"));
            }
            Err(failure) => return Err(failure),
        };
        match receipt.outcome.logs() {
            Some(logs) => self.logs_of(&receipt, logs, ARCHIVE_WAIT).await,
            None => Ok(futures_util::stream::empty().boxed()),
        }
    }

    /// Where an invocation ran, if it is known.
    pub(crate) fn executor_of(&self, name: &str) -> Option<String> {
        self.scheduler.record(name).ok()?.executor
    }

    /// The canonical bytes of a receipt, by its CID or its invocation's name.
    pub(crate) async fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let known = self
            .store
            .receipt(name)
            .map_err(|e| function::of_store(&e))?;
        if let Some(row) = known {
            return Ok(row.body);
        }
        if let Ok(cid) = name.parse::<Cid>() {
            return Ok(self.content.block(&cid, ARCHIVE_WAIT).await?.to_vec());
        }
        let receipt = self
            .scheduler
            .record(name)?
            .result
            .map(|finished| finished.receipt);
        let receipt = receipt.and_then(|cid| self.store.receipt(&cid).ok().flatten());
        receipt
            .map(|row| row.body)
            .ok_or_else(|| not_found(&format!("the invocation {name} has no receipt")))
    }

    /// A receipt with what it speaks of: call, manifest, small output. A
    /// private call stays here, arguments and all: whoever may see the receipt
    /// may not see them.
    pub(crate) async fn receipt_blocks(&self, name: &str) -> Result<Vec<Block>, Failure> {
        let data = self.receipt(name).await?;
        let receipt: Receipt = dagcbor::decode(&data).map_err(|error| {
            Failure::new(
                crate::model::Class::User,
                "not_a_receipt",
                format!("{name} is no receipt: {error}"),
            )
        })?;
        let cid = crate::wire::cid_of(crate::wire::block::DAG_CBOR, &data);
        let mut blocks = vec![Block { cid, data }];
        if !receipt.private
            && let Some(call) = self.found(&receipt.call).await
        {
            if let Ok(value) = dagcbor::decode::<crate::model::Call>(&call.data) {
                blocks.extend(self.found(&value.function).await);
            }
            blocks.push(call);
        }
        let output = receipt
            .outcome
            .output()
            .and_then(|cid| Some((cid, self.memo.block(cid)?)));
        blocks.extend(output.map(|(cid, data)| Block {
            cid: *cid,
            data: data.to_vec(),
        }));
        Ok(blocks)
    }

    async fn found(&self, cid: &Cid) -> Option<Block> {
        let stored = self.memo.block(cid);
        let data = match stored {
            Some(data) => data,
            None => self.content.block(cid, ARCHIVE_WAIT).await.ok()?,
        };
        Some(Block {
            cid: *cid,
            data: data.to_vec(),
        })
    }
}

/// A stream without its first bytes.
fn after(bytes: ByteStream, skipped: u64) -> ByteStream {
    use futures_util::StreamExt;
    let rest = bytes.scan(skipped, |left, piece| {
        let piece = piece.map(|mut piece: Bytes| {
            let skip = usize::try_from(*left)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            *left -= skip as u64;
            piece.split_off(skip)
        });
        std::future::ready(Some(piece))
    });
    rest.boxed()
}

fn not_found(message: &str) -> Failure {
    Failure::new(crate::model::Class::User, "not_found", message)
}
