//! How many of an input's bytes lie on this node, proved or looked at.
//!
//! Takes a root CID, gives a [`Presence`]: a recursive pin or a whole walk
//! proves completeness, a walk cut short gives a share and leaves the rest
//! unknown. Asks only this node's own Kubo, offline; fetches nothing. Sizes of
//! subtrees are what links claim: good enough to rank by, never to trust.

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use cid::Cid;
use futures_util::future::join_all;
use ipld_dagpb::PbNode;
use tokio::time::Instant;

use crate::{compute::content::is_missing, kubo, model::Presence, wire::block::DAG_PB};

/// Blocks looked at before the rest counts as unknown.
const MAX_BLOCKS: usize = 2_000;
/// Time spent before the rest counts as unknown.
const MAX_TIME: Duration = Duration::from_millis(200);
/// Blocks asked for at once: Kubo answers about 1,000 a second each way.
const AT_ONCE: usize = 16;

/// A block still to be looked at, with the bytes that hang below it.
#[derive(Clone, Copy, Debug)]
struct Pending {
    cid: Cid,
    bytes: u64,
}

/// What is known of one block.
enum Found {
    Absent,
    Leaf(u64),
    Node { own_bytes: u64, links: Vec<Pending> },
}

/// Looks at what of `root` is here.
///
/// # Errors
/// Kubo's, when it did not answer at all.
pub(crate) async fn look(kubo: &kubo::Client, root: &Cid) -> Result<Presence, kubo::Error> {
    let Some(total) = claimed_bytes(kubo, root).await? else {
        return Ok(Presence::default());
    };
    if kubo.is_pinned_recursive(root).await? {
        return Ok(Presence {
            local_bytes: total,
            is_complete: true,
            ..Presence::default()
        });
    }
    walk(
        kubo,
        Pending {
            cid: *root,
            bytes: total,
        },
    )
    .await
}

/// The size that the root block claims; none where the root is not here.
///
/// # Errors
/// Kubo's, when it did not answer.
pub(crate) async fn claimed_bytes(
    kubo: &kubo::Client,
    root: &Cid,
) -> Result<Option<u64>, kubo::Error> {
    Ok(match find(kubo, root).await? {
        Found::Absent => None,
        Found::Leaf(bytes) => Some(bytes),
        Found::Node { own_bytes, links } => Some(
            links
                .iter()
                .fold(own_bytes, |sum, link| sum.saturating_add(link.bytes)),
        ),
    })
}

async fn walk(kubo: &kubo::Client, root: Pending) -> Result<Presence, kubo::Error> {
    let until = Instant::now() + MAX_TIME;
    let mut seen = HashSet::from([root.cid]);
    let mut pending = VecDeque::from([root]);
    let mut presence = Presence::default();
    while !pending.is_empty() && seen.len() < MAX_BLOCKS && Instant::now() < until {
        let batch: Vec<Pending> = pending.drain(..pending.len().min(AT_ONCE)).collect();
        let found = join_all(batch.iter().map(|p| find(kubo, &p.cid))).await;
        for (asked, found) in batch.into_iter().zip(found) {
            let links = count(&mut presence, asked, found?);
            pending.extend(links.into_iter().filter(|link| seen.insert(link.cid)));
        }
    }
    presence.unknown_bytes = pending.iter().fold(0, |sum, p| p.bytes.saturating_add(sum));
    presence.is_complete = pending.is_empty() && presence.missing_bytes == 0;
    Ok(presence)
}

/// Adds one block to the account and gives what hangs below it.
fn count(presence: &mut Presence, asked: Pending, found: Found) -> Vec<Pending> {
    match found {
        Found::Absent => {
            presence.missing_bytes = presence.missing_bytes.saturating_add(asked.bytes.max(1));
            Vec::new()
        }
        Found::Leaf(bytes) => {
            presence.local_bytes = presence.local_bytes.saturating_add(bytes);
            Vec::new()
        }
        Found::Node { own_bytes, links } => {
            presence.local_bytes = presence.local_bytes.saturating_add(own_bytes);
            links
        }
    }
}

async fn find(kubo: &kubo::Client, cid: &Cid) -> Result<Found, kubo::Error> {
    if cid.codec() != DAG_PB {
        let size = kubo.block_stat(cid, kubo::Fetch::local()).await?;
        return Ok(size.map_or(Found::Absent, Found::Leaf));
    }
    match kubo.block_get(cid, kubo::Fetch::local()).await {
        Ok(data) => Ok(node(&data)),
        Err(error) if is_missing(&error) => Ok(Found::Absent),
        Err(error) => Err(error),
    }
}

fn node(data: &[u8]) -> Found {
    let own_bytes = data.len() as u64;
    let links =
        PbNode::from_bytes(data.to_vec().into()).map_or_else(|_| Vec::new(), |node| node.links);
    let links = links
        .into_iter()
        .map(|l| Pending {
            cid: l.cid,
            bytes: l.size.unwrap_or(0),
        })
        .collect();
    Found::Node { own_bytes, links }
}
