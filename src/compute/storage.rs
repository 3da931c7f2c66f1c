//! What TimeRose keeps in Kubo and the store, and how it lets go of it.
//!
//! Takes the node's pins named `timerose/<kind>/…`, gives lists and sums.
//! Results go when they are older than `keep`, or oldest first while they are
//! more than `max`; deployed functions and kept outputs stay until asked for.
//! Never touches a pin of another name.

use std::{collections::HashSet, time::Duration};

use cid::Cid;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{
    Failure, clock, content::unreachable_kubo, executor::claimed_bytes, function::of_store,
};
use crate::{kubo, model::InvocationId, store::Store};

/// Every name of ours starts so.
const PREFIX: &str = "timerose/";
/// How long a key stands for its invocation.
const KEEP_KEYS: Duration = Duration::from_hours(7 * 24);
/// Pins whose size is asked for at once.
const AT_ONCE: usize = 16;
/// Kinds that expire; all others stay.
const EXPIRING: [&str; 4] = ["output", "logs", "input", "batch"];

/// How long and how much is kept.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Age at which results go.
    pub keep: Duration,
    /// Bytes of results above which the oldest go.
    pub max_bytes: u64,
}

/// One pin of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// `output`, `logs`, `input`, `batch`, `kept`, `code`, `function`.
    pub kind: String,
    /// Its root.
    pub cid: String,
    /// Unix milliseconds at which it was made; 0 where its name does not tell.
    pub at_ms: u64,
    /// Its size, as its root claims.
    pub bytes: u64,
    /// The invocation it was made for, where its name tells.
    #[serde(skip)]
    pub invocation: Option<InvocationId>,
}

/// Sums of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The kind of pin, or `store: <table>`.
    pub kind: String,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Looks after what is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    kubo: kubo::Client,
    store: Store,
    quota: Quota,
}

impl Storage {
    /// Over the node's Kubo and store.
    pub(crate) const fn new(kubo: kubo::Client, store: Store, quota: Quota) -> Self {
        Self { kubo, store, quota }
    }

    /// Sums by kind.
    pub(crate) async fn sums(&self) -> Result<Vec<Sum>, Failure> {
        let mut sums: Vec<Sum> = Vec::new();
        for kept in self.list().await? {
            match sums.iter_mut().find(|sum| sum.kind == kept.kind) {
                Some(sum) => {
                    sum.count += 1;
                    sum.bytes = sum.bytes.saturating_add(kept.bytes);
                }
                None => sums.push(Sum {
                    kind: kept.kind,
                    count: 1,
                    bytes: kept.bytes,
                }),
            }
        }
        let tables = self.store.sizes().map_err(|e| of_store(&e))?;
        sums.extend(tables.into_iter().map(|(t, count, bytes)| Sum {
            kind: format!("store: {t}"),
            count,
            bytes,
        }));
        Ok(sums)
    }

    /// Lets go of what is expired; with `dry_run` only says what would go.
    pub(crate) async fn gc(&self, dry_run: bool) -> Result<Vec<Kept>, Failure> {
        let now = clock::unix_ms();
        let mut kept = self.list().await?;
        let needed = self.open()?;
        kept.retain(|kept| kept.invocation.is_none_or(|id| !needed.contains(&id)));
        let gone = expired(kept, now, self.quota);
        if !dry_run {
            self.release(&gone).await?;
            self.forget(before(now, self.quota.keep), before(now, KEEP_KEYS))?;
        }
        Ok(gone)
    }

    /// Durable invocations without an end: what was made for them is needed.
    fn open(&self) -> Result<HashSet<InvocationId>, Failure> {
        let rows = self.store.open_invocations().map_err(|e| of_store(&e))?;
        Ok(rows.iter().filter_map(|row| row.id.parse().ok()).collect())
    }

    fn forget(&self, results_before: u64, keys_before: u64) -> Result<(), Failure> {
        let forgotten = self.store.forget_before(results_before);
        let forgotten = forgotten.and_then(|_| self.store.forget_keys_before(keys_before));
        forgotten.map_err(|e| of_store(&e))
    }

    /// Lets go of everything of ours; with `dry_run` only says what it is.
    pub(crate) async fn purge(&self, dry_run: bool) -> Result<Vec<Kept>, Failure> {
        let gone = self.list().await?;
        if !dry_run {
            self.release(&gone).await?;
            self.forget(u64::MAX >> 1, u64::MAX >> 1)?;
            for row in self.store.functions().map_err(|e| of_store(&e))? {
                self.store
                    .remove_function(&row.cid)
                    .map_err(|e| of_store(&e))?;
            }
        }
        Ok(gone)
    }

    pub(super) async fn list(&self) -> Result<Vec<Kept>, Failure> {
        let pins = self
            .kubo
            .pin_ls(Some(PREFIX))
            .await
            .map_err(|e| unreachable_kubo(&e, "listing pins"))?;
        let sized = futures_util::stream::iter(pins).map(|pin| self.sized(pin));
        let kept = sized.buffered(AT_ONCE);
        Ok(kept.filter_map(std::future::ready).collect().await)
    }

    /// What a pin is; none if it is not ours.
    async fn sized(&self, pin: kubo::Pin) -> Option<Kept> {
        let told = told_by_name(&pin.name)?;
        let bytes = claimed_bytes(&self.kubo, &pin.cid).await.ok().flatten();
        Some(Kept {
            kind: told.kind,
            cid: pin.cid.to_string(),
            at_ms: told.at_ms,
            bytes: bytes.unwrap_or(0),
            invocation: told.invocation,
        })
    }

    async fn release(&self, gone: &[Kept]) -> Result<(), Failure> {
        for cid in gone.iter().filter_map(|kept| kept.cid.parse::<Cid>().ok()) {
            self.kubo
                .pin_rm(&cid)
                .await
                .map_err(|e| unreachable_kubo(&e, "unpinning"))?;
        }
        Ok(())
    }
}

/// What a pin's name says.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    kind: String,
    at_ms: u64,
    invocation: Option<InvocationId>,
}

/// Reads `timerose/<kind>[/<invocation or milliseconds>…]`.
fn told_by_name(name: &str) -> Option<Told> {
    let mut parts = name.strip_prefix(PREFIX)?.split('/');
    let kind = parts.next()?.to_owned();
    let at = parts.next().unwrap_or_default();
    let invocation = at.parse::<InvocationId>().ok();
    let millis = at.split('-').next().and_then(|digits| digits.parse().ok());
    let at_ms = invocation.map(|id| id.unix_ms()).or(millis);
    Some(Told {
        kind,
        at_ms: at_ms.unwrap_or(0),
        invocation,
    })
}

/// The time that lies `keep` before `now`, Unix milliseconds.
fn before(now: u64, keep: Duration) -> u64 {
    now.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX))
}

/// What goes: older than `keep`, then the oldest while more than `max`.
fn expired(kept: Vec<Kept>, now: u64, quota: Quota) -> Vec<Kept> {
    let before = before(now, quota.keep);
    let mut results: Vec<Kept> = kept
        .into_iter()
        .filter(|k| EXPIRING.contains(&k.kind.as_str()))
        .collect();
    results.sort_by_key(|k| std::cmp::Reverse(k.at_ms));
    let mut sum = 0u64;
    results.retain(|k| {
        sum = sum.saturating_add(k.bytes);
        k.at_ms < before || sum > quota.max_bytes
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(kind: &str, at_ms: u64, bytes: u64) -> Kept {
        Kept {
            kind: kind.to_owned(),
            cid: format!("{kind}{at_ms}"),
            at_ms,
            bytes,
            invocation: None,
        }
    }

    fn told(name: &str) -> Option<(String, u64)> {
        told_by_name(name).map(|told| (told.kind, told.at_ms))
    }

    #[test]
    fn results_go_by_age_and_then_oldest_first_but_functions_stay() {
        let all = vec![
            kept("output", 100, 6),
            kept("output", 900, 6),
            kept("output", 950, 6),
            kept("code", 1, 99),
        ];
        let quota = Quota {
            keep: Duration::from_millis(500),
            max_bytes: 10,
        };
        let gone: Vec<u64> = expired(all, 1_000, quota).iter().map(|k| k.at_ms).collect();
        assert_eq!(gone, [900, 100]);
    }

    #[test]
    fn a_name_tells_kind_and_time() {
        let id = InvocationId::new(1_700_000_000_000, 7);
        assert_eq!(
            told(&format!("timerose/output/{id}")),
            Some(("output".into(), 1_700_000_000_000))
        );
        assert_eq!(
            told("timerose/batch/1700-12"),
            Some(("batch".into(), 1_700))
        );
        assert_eq!(told("timerose/code"), Some(("code".into(), 0)));
        assert_eq!(told("somebody/else"), None);
    }
}
