//! Functions: from code to a manifest's CID, and from a reference back.
//!
//! Takes references, gives manifests; lists and forgets what is deployed here.
//! Never runs code.

mod deploy;
mod typed;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cid::Cid;

pub(crate) use self::typed::{arguments, entry_of};
use super::{
    Deployed, Failure, clock,
    content::{Content, fetch_failed, unreachable_kubo},
    image::Images,
    runtime_name,
};
use crate::{
    kubo,
    model::{Class, Manifest},
    store::{FunctionRow, Store},
    wire::dagcbor,
};

/// Bytes of the largest module that is accepted.
const MAX_CODE_BYTES: usize = 32 << 20;

/// Letters of a version 0 CID; other CIDs of a sha2-256 are longer.
const SHORTEST_SHA256_CID: usize = 46;

/// Of functions whose code is an image: `image rm` lets go of that.
const DOCKER: &str = "docker";
const LAMBDA_IMAGE: &str = "lambda/image";

/// Deploys and finds functions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Functions {
    kubo: kubo::Client,
    content: Content,
    images: Images,
    store: Store,
}

impl Functions {
    /// Over the node's Kubo and store.
    pub(crate) const fn new(
        kubo: kubo::Client,
        content: Content,
        images: Images,
        store: Store,
    ) -> Self {
        Self {
            kubo,
            content,
            images,
            store,
        }
    }

    /// Remembers a function whose manifest is stored already.
    async fn keep(
        &self,
        function: Cid,
        manifest: &Manifest,
        entries: Vec<String>,
    ) -> Result<Deployed, Failure> {
        self.kubo
            .pin_add(&function, &named_pin("function"))
            .await
            .map_err(|e| unreachable_kubo(&e, "pinning the manifest"))?;
        let row = FunctionRow {
            cid: function.to_string(),
            name: manifest.name.clone(),
            manifest: canonical(manifest)?,
            entries: serde_json::to_string(&entries).unwrap_or_default(),
            at_ms: clock::unix_ms(),
        };
        self.store.put_function(&row).map_err(|e| of_store(&e))?;
        Ok(deployed(&function, manifest, entries))
    }

    /// All functions deployed here.
    pub(crate) fn list(&self) -> Result<Vec<Deployed>, Failure> {
        let rows = self.store.functions().map_err(|e| of_store(&e))?;
        Ok(rows.iter().filter_map(of_row).collect())
    }

    /// Forgets a function and lets Kubo collect its blocks.
    pub(crate) async fn remove(&self, reference: &str) -> Result<Deployed, Failure> {
        let known = self.named(reference)?.ok_or_else(|| unknown(reference))?;
        self.store
            .remove_function(&known.function)
            .map_err(|e| of_store(&e))?;
        let is_image = [DOCKER, LAMBDA_IMAGE].contains(&known.runtime.as_str());
        let still_used = is_image || self.list()?.iter().any(|other| other.code == known.code);
        for cid in [Some(&known.function), (!still_used).then_some(&known.code)]
            .into_iter()
            .flatten()
        {
            if let Ok(cid) = cid.parse::<Cid>() {
                self.kubo
                    .pin_rm(&cid)
                    .await
                    .map_err(|e| unreachable_kubo(&e, &format!("unpinning {cid}")))?;
            }
        }
        Ok(known)
    }

    /// The function that `reference` names: a name given at deployment, a CID
    /// or a path.
    pub(crate) async fn resolve(
        &self,
        reference: &str,
        wait: Duration,
    ) -> Result<(Cid, Manifest), Failure> {
        let cid = match is_name(reference) {
            true => match self.named(reference)? {
                Some(known) => parse_cid(&known.function)?,
                None => return Err(unknown(reference)),
            },
            false => self.resolve_path(reference, wait).await?,
        };
        Ok((cid, self.content.manifest(&cid, wait).await?))
    }

    /// The CID at the end of a CID, `/ipfs/…` or `ipfs://…`, as version 1.
    pub(crate) async fn resolve_path(&self, path: &str, wait: Duration) -> Result<Cid, Failure> {
        let bare = path
            .strip_prefix("ipfs://")
            .or_else(|| path.strip_prefix("/ipfs/"))
            .unwrap_or(path);
        if !bare.trim_end_matches('/').contains('/') {
            return parse_cid(bare.trim_end_matches('/'));
        }
        parse_cid(bare.split('/').next().unwrap_or_default())?;
        let full = format!("/ipfs/{bare}");
        let fetch = kubo::Fetch {
            timeout: wait,
            offline: false,
        };
        self.kubo
            .resolve(&full, fetch)
            .await
            .map(version_1)
            .map_err(|e| fetch_failed(&full, wait, e))
    }

    fn named(&self, reference: &str) -> Result<Option<Deployed>, Failure> {
        Ok(self
            .list()?
            .into_iter()
            .find(|f| f.function == reference || f.name.as_deref() == Some(reference)))
    }

    async fn read(&self, cid: &Cid, wait: Duration) -> Result<Bytes, Failure> {
        let options = kubo::Cat {
            stall: wait,
            length: Some(MAX_CODE_BYTES as u64 + 1),
            ..kubo::Cat::default()
        };
        let failed = |e| fetch_failed(cid, wait, e);
        let mut body = self
            .kubo
            .cat(&cid.to_string(), &options)
            .await
            .map_err(failed)?;
        let mut code = BytesMut::new();
        while let Some(piece) = body.next().await.map_err(failed)? {
            code.extend_from_slice(&piece);
        }
        Ok(code.freeze())
    }
}

fn canonical(manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    dagcbor::encode(manifest).map_err(|e| {
        let message = format!("the manifest has no canonical form: {e}");
        Failure::new(Class::User, "bad_manifest", message)
    })
}

/// Reads a CID as version 1, so that a call has one CID however its input was
/// written.
///
/// # Errors
/// `user`, naming what is wrong with the text.
pub(crate) fn parse_cid(text: &str) -> Result<Cid, Failure> {
    text.parse().map(version_1).map_err(|error| {
        Failure::new(Class::User, "bad_cid", format!("{text:?} is no CID: {error}"))
            .with_hint("a CID looks like bafkrei… or Qm…; list deployed functions with: timerose ps --functions")
    })
}

fn version_1(cid: Cid) -> Cid {
    Cid::new_v1(cid.codec(), *cid.hash())
}

fn named_pin(kind: &str) -> kubo::PinAdd {
    kubo::PinAdd {
        name: Some(format!("timerose/{kind}")),
        ..kubo::PinAdd::default()
    }
}

fn deployed(function: &Cid, manifest: &Manifest, entries: Vec<String>) -> Deployed {
    Deployed {
        function: function.to_string(),
        code: manifest
            .runtime
            .code()
            .map(Cid::to_string)
            .unwrap_or_default(),
        name: manifest.name.clone(),
        runtime: runtime_name(&manifest.runtime),
        entries,
        limits: manifest.limits,
        pure: manifest.pure,
    }
}

fn of_row(row: &FunctionRow) -> Option<Deployed> {
    let manifest: Manifest = dagcbor::decode(&row.manifest).ok()?;
    let entries = serde_json::from_str(&row.entries).ok()?;
    Some(deployed(&row.cid.parse().ok()?, &manifest, entries))
}

/// Whether the text can only mean a function's name: no path, no CID, and too
/// short for one that was mistyped.
fn is_name(reference: &str) -> bool {
    let is_long = reference.len() >= SHORTEST_SHA256_CID;
    !is_long && !reference.contains('/') && reference.parse::<Cid>().is_err()
}

fn unknown(reference: &str) -> Failure {
    Failure::new(
        Class::User,
        "not_found",
        format!("no function {reference:?} is deployed here"),
    )
    .with_hint("list them with: timerose ps --functions")
}

/// What a failed store means to the caller.
pub(crate) fn of_store(error: &crate::store::Error) -> Failure {
    let failure = Failure::new(Class::Node, "store", error.to_string());
    match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_a_cid_name_one_input() {
        let v0 = parse_cid("QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n").unwrap();
        let v1 = parse_cid("bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").unwrap();
        assert_eq!(v0, v1);
    }
}
