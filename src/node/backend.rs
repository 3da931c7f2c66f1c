//! What the doors may do with a real node.
//!
//! Takes the roles, gives them as [`Backend`]. Translates; decides nothing.

use std::{collections::BTreeMap, time::Duration};

use futures_util::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::error;
use crate::{
    api::{
        Allowed, Backend, EventStream, Freed, Health, Kept, NodeInfo, NodeView, Output, Reach,
        Removed, Storage,
    },
    compute::{
        AddedFolder, AddedImage, ByteStream, Compute, DeployRequest, Deployed, Explanation,
        Failure, ImageSource, InvocationEvent, InvokeRequest, KeptImage, Record,
        allow::{Allow, Who},
        clock,
        forwarded::explained,
        storage,
    },
    config::Config,
    kubo,
    mesh::{self, Identity, Mesh},
    model::{Cid, Class},
    store::Store,
    wire::car,
};

/// How long the code of a function may be waited for.
const DEPLOY_WAIT: Duration = Duration::from_secs(10);

/// The node behind the doors.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) compute: Compute,
    pub(super) mesh: Mesh,
    pub(super) identity: Identity,
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) version: kubo::Version,
    pub(super) addresses: Vec<String>,
    pub(super) ended: CancellationToken,
}

impl Doors {
    fn allowed(&self) -> Result<Vec<Allowed>, Failure> {
        let own = Allowed {
            peer: self.identity.peer().to_string(),
            until: None,
            source: "self".to_owned(),
        };
        let configured = self.config.executor.allow.iter().map(|peer| Allowed {
            peer: peer.clone(),
            until: None,
            source: "config".to_owned(),
        });
        let stored = self.store.allowed().map_err(|e| error::store(&e))?;
        let stored = stored.into_iter().map(|(peer, until)| Allowed {
            peer,
            until: until.map(|s| s.saturating_mul(1_000)),
            source: "command".to_owned(),
        });
        Ok([own].into_iter().chain(configured).chain(stored).collect())
    }

    /// Makes the stored rules the executor's.
    fn apply_allow(&self) -> Result<(), Failure> {
        let rules = super::rules(&self.config, &self.store)?;
        self.compute
            .set_allow(Allow::new(self.identity.peer(), rules));
        Ok(())
    }

    fn removed(dry_run: bool, gone: Vec<storage::Kept>) -> Freed {
        let mut removed: Vec<Kept> = Vec::new();
        for one in gone {
            match removed.iter_mut().find(|k| k.kind == one.kind) {
                Some(sum) => {
                    sum.count += 1;
                    sum.bytes = sum.bytes.saturating_add(one.bytes);
                }
                None => removed.push(Kept {
                    kind: one.kind,
                    count: 1,
                    bytes: one.bytes,
                }),
            }
        }
        Freed { dry_run, removed }
    }

    fn counters(&self, health: &mesh::Health) -> BTreeMap<String, u64> {
        let runs = ("executor.runs".to_owned(), self.compute.executor().runs());
        counters(health).into_iter().chain([runs]).collect()
    }

    fn this(&self) -> NodeView {
        let offers = self.compute.executor().offers(Duration::ZERO);
        NodeView {
            peer: self.identity.peer().to_string(),
            reach: Reach::This,
            roles: offers.roles,
            runtimes: offers.runtimes,
            slots: offers.slots,
            free: offers.free,
            warm: u32::try_from(offers.warm.len()).unwrap_or(u32::MAX),
            carrier: None,
            via: None,
            rtt_ms: None,
            heard: None,
            labels: offers.labels,
            agent: offers.agent,
        }
    }

    fn other(&self, entry: mesh::Known) -> NodeView {
        let via = self.mesh.via(&entry.peer);
        let reach = match (entry.is_linked, via) {
            (false, _) => Reach::Unreachable,
            (true, None) => Reach::Direct,
            (true, Some(_)) => Reach::Forwarded,
        };
        NodeView {
            peer: entry.peer.to_string(),
            reach,
            roles: entry.advert.roles,
            runtimes: entry.advert.runtimes,
            slots: entry.advert.slots,
            free: entry.advert.free,
            warm: u32::try_from(entry.advert.warm.len()).unwrap_or(u32::MAX),
            carrier: (reach == Reach::Direct).then(|| {
                let is_streaming = self.mesh.is_streaming(&entry.peer);
                if is_streaming { "stream" } else { "pubsub" }.to_owned()
            }),
            via: via.map(|relay| relay.to_string()),
            rtt_ms: self
                .mesh
                .rtt(&entry.peer)
                .map(|rtt| rtt.as_secs_f64() * 1_000.0),
            heard: Some(clock::unix_ms().saturating_sub(millis(entry.heard_ago))),
            labels: entry.advert.labels,
            agent: entry.advert.agent,
        }
    }
}

/// Why nothing is tried elsewhere for a while.
const SUSPECTS_SELF: &str = "suspect_self: most executors fell silent at once, so this node may be cut off; it waits one lease before it tries their work elsewhere";

/// What keeps a node from its work, a sentence each.
fn unmet(health: &mesh::Health, me: &str) -> Vec<String> {
    let conditions = [
        (health.is_kubo_up, "Kubo does not answer".to_owned()),
        (
            health.is_subscribed,
            "the inbox is not subscribed to".to_owned(),
        ),
        (
            health.is_probe_back,
            "the node's own message did not come back over pubsub".to_owned(),
        ),
    ];
    let muted = health.muted_by.iter().map(|peer| {
        format!(
            "{peer} hears nothing of this node: fix this node's clock, or run `ipfs pubsub reset --peer {me}` there"
        )
    });
    conditions
        .into_iter()
        .filter(|(is_met, _)| !is_met)
        .map(|(_, text)| text)
        .chain(health.obstacles.iter().cloned())
        .chain(muted)
        .collect()
}

fn counters(health: &mesh::Health) -> BTreeMap<String, u64> {
    let counted = &health.counters;
    let plain = [
        ("mesh.published", counted.published),
        ("mesh.publish_retries", counted.publish_retries),
        ("mesh.publish_failures", counted.publish_failures),
        ("mesh.received", counted.received),
        ("mesh.overflowed", counted.overflowed),
        ("mesh.delivered", counted.delivered),
        ("mesh.retransmitted", counted.retransmitted),
        ("mesh.resubscribed", counted.resubscribed),
        ("mesh.streamed", counted.streamed),
        ("mesh.streams", health.streams as u64),
        ("mesh.streams_broken", counted.streams_broken),
        ("mesh.relayed", counted.relayed),
        ("mesh.forwarded", counted.forwarded),
        ("mesh.sessions_begun", counted.sessions_begun),
        ("mesh.sessions_ended", counted.sessions_ended),
        ("mesh.sessions", health.sessions as u64),
        ("mesh.listed", health.listed as u64),
    ];
    let plain = plain
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count));
    let refused = counted
        .refused
        .iter()
        .map(|(reason, count)| (format!("mesh.refused.{reason}"), *count));
    let not_forwarded = counted
        .forward_refused
        .iter()
        .map(|(reason, count)| (format!("mesh.forward_refused.{reason}"), *count));
    plain.chain(refused).chain(not_forwarded).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn who(peer: &str) -> Result<Who, Failure> {
    peer.parse()
        .map_err(|e: crate::compute::allow::ParseWhoError| {
            Failure::new(Class::User, "bad_peer", e.to_string())
                .with_hint("a peer ID looks like 12D3Koo…; `ipfs id -f '<id>'` prints a node's own")
        })
}

impl Backend for Doors {
    async fn deploy(&self, request: DeployRequest) -> Result<Deployed, Failure> {
        self.compute.functions().deploy(request, DEPLOY_WAIT).await
    }

    async fn invoke(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<EventStream, Failure> {
        let events: tokio::sync::mpsc::Receiver<InvocationEvent> =
            self.compute.scheduler().submit(request, input).await?;
        Ok(ReceiverStream::new(events).boxed())
    }

    async fn submit(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Record, Failure> {
        let scheduler = self.compute.scheduler();
        scheduler.submit_durable(request, input).await
    }

    async fn dead(&self) -> Result<Vec<Record>, Failure> {
        self.compute.scheduler().dead()
    }

    async fn dead_retry(&self, invocation: &str) -> Result<Record, Failure> {
        self.compute.scheduler().retry_dead(invocation).await
    }

    async fn dead_drop(&self, invocation: &str) -> Result<Record, Failure> {
        self.compute.scheduler().drop_dead(invocation).await
    }

    async fn schedule(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Explanation, Failure> {
        self.compute.scheduler().explain_now(request, input).await
    }

    async fn record(&self, invocation: &str) -> Result<Record, Failure> {
        self.compute.scheduler().record(invocation)
    }

    async fn records(&self, all: bool) -> Result<Vec<Record>, Failure> {
        Ok(self.compute.scheduler().records(all))
    }

    async fn wait(&self, invocation: &str, timeout: Duration) -> Result<Record, Failure> {
        self.compute.scheduler().wait(invocation, timeout).await
    }

    async fn cancel(&self, invocation: &str) -> Result<Record, Failure> {
        self.compute.scheduler().cancel(invocation).await
    }

    async fn logs(&self, invocation: &str, follow: bool) -> Result<ByteStream, Failure> {
        match follow {
            true => self.compute.follow(invocation),
            false => self.compute.logs(invocation).await,
        }
    }

    async fn output(&self, name: &str) -> Result<Output, Failure> {
        let read = self.compute.output(name, DEPLOY_WAIT).await;
        let read = read.map_err(|failure| match self.compute.executor_of(name) {
            Some(executor) => explained(failure, &executor, &self.mesh),
            None => failure,
        })?;
        Ok(Output {
            cid: read.cid.to_string(),
            is_directory: read.is_directory,
            bytes: read.bytes,
        })
    }

    async fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.compute.receipt(name).await
    }

    async fn receipt_car(&self, name: &str) -> Result<Vec<u8>, Failure> {
        let blocks = self.compute.receipt_blocks(name).await?;
        let root: Vec<Cid> = blocks.first().map(|b| b.cid).into_iter().collect();
        car::write(&root, blocks.iter().map(|b| (&b.cid, b.data.as_slice())))
            .map_err(|e| Failure::new(Class::Node, "internal", e.to_string()))
    }

    async fn functions(&self) -> Result<Vec<Deployed>, Failure> {
        self.compute.functions().list()
    }

    async fn remove_function(&self, name: &str) -> Result<Removed, Failure> {
        let gone = self.compute.functions().remove(name).await?;
        Ok(Removed {
            function: gone.function,
            name: gone.name,
        })
    }

    async fn allow_list(&self) -> Result<Vec<Allowed>, Failure> {
        self.allowed()
    }

    async fn allow_add(&self, peer: &str, lasts: Option<Duration>) -> Result<Allowed, Failure> {
        let who = who(peer)?.to_string();
        let until = lasts.map(|lasts| clock::unix_s().saturating_add(lasts.as_secs()));
        self.store
            .put_allow(&who, until)
            .map_err(|e| error::store(&e))?;
        self.apply_allow()?;
        Ok(Allowed {
            peer: who,
            until: until.map(|s| s.saturating_mul(1_000)),
            source: "command".to_owned(),
        })
    }

    async fn allow_remove(&self, peer: &str) -> Result<Allowed, Failure> {
        let who = who(peer)?.to_string();
        let known = self.allowed()?.into_iter().find(|a| a.peer == who);
        let gone = known.ok_or_else(|| {
            Failure::new(
                Class::User,
                "not_found",
                format!("{who} is not allowed to run code here anyway"),
            )
        })?;
        if gone.source != "command" {
            return Err(Failure::new(
                Class::Refused,
                "fixed",
                format!("{who} is allowed by the {}", gone.source),
            )
            .with_hint("change executor.allow, or the daemon's --allow, and restart the daemon"));
        }
        self.store
            .remove_allow(&who)
            .map_err(|e| error::store(&e))?;
        self.apply_allow()?;
        Ok(gone)
    }

    async fn nodes(&self) -> Result<Vec<NodeView>, Failure> {
        let known = self.mesh.directory();
        Ok([self.this()]
            .into_iter()
            .chain(known.into_iter().map(|entry| self.other(entry)))
            .collect())
    }

    async fn node(&self) -> Result<NodeInfo, Failure> {
        let health = self.mesh.health();
        let me = self.identity.peer().to_string();
        let mut unmet = unmet(&health, &me);
        if self.compute.scheduler().suspects_self() {
            unmet.push(SUSPECTS_SELF.to_owned());
        }
        Ok(NodeInfo {
            peer: me,
            addresses: self.mesh.own_addresses(),
            api: self.addresses.clone(),
            boot: self.identity.boot().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kubo: self.version.to_string(),
            mesh: self.config.mesh.name.clone(),
            health: Health {
                ready: unmet.is_empty(),
                unmet,
            },
            lacking: self.compute.lacking(),
            counters: self.counters(&health),
        })
    }

    async fn add_image(&self, from: ImageSource) -> Result<AddedImage, Failure> {
        self.compute.add_image(from).await
    }

    async fn add_folder(&self, archive: ByteStream) -> Result<AddedFolder, Failure> {
        self.compute.add_folder(archive).await
    }

    async fn images(&self) -> Result<Vec<KeptImage>, Failure> {
        self.compute.images().await
    }

    async fn remove_image(&self, image: &str) -> Result<KeptImage, Failure> {
        self.compute.remove_image(image).await
    }

    async fn storage(&self) -> Result<Storage, Failure> {
        let sums = self.compute.storage().sums().await?;
        Ok(Storage {
            kept: sums
                .into_iter()
                .map(|s| Kept {
                    kind: s.kind,
                    count: s.count,
                    bytes: s.bytes,
                })
                .collect(),
            keep_ms: u64::try_from(self.config.storage.keep.0.as_millis()).unwrap_or(u64::MAX),
            max_bytes: self.config.storage.max.0,
        })
    }

    async fn gc(&self, dry_run: bool) -> Result<Freed, Failure> {
        let gone = self.compute.storage().gc(dry_run).await?;
        Ok(Self::removed(dry_run, gone))
    }

    async fn purge(&self, dry_run: bool) -> Result<Freed, Failure> {
        let gone = self.compute.storage().purge(dry_run).await?;
        Ok(Self::removed(dry_run, gone))
    }

    async fn shutdown(&self) {
        self.ended.cancel();
    }
}
