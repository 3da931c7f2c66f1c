//! Functions: from code to a manifest's CID, and from a reference back.
//!
//! Takes code and an author's draft, gives a deployed function; takes what a
//! caller typed, gives the manifest and arguments in their canonical form.
//! Never runs code.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cid::Cid;
use ipld_core::ipld::Ipld;

use super::{
    Code, ContainerDraft, DeployRequest, Deployed, Draft, Failure, LambdaDraft, clock,
    content::{Content, fetch_failed, unreachable_kubo},
    image::{self, Images},
    runtime_name,
};
use crate::{
    kubo,
    model::{Abi, Call, Class, Lambda, Limits, Manifest, Runtime},
    sandbox,
    store::{FunctionRow, Store},
    wire::{block::DAG_CBOR, cid_of, dagcbor, fan},
};

/// Bytes of the largest module that is accepted.
const MAX_CODE_BYTES: usize = 32 << 20;

/// As AWS Lambda has it.
const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;
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

    /// Checks and stores code, gives the function.
    ///
    /// # Errors
    /// `user` when the code cannot be a function, `missing` when it is not to
    /// be had, `node` when Kubo or the disk failed.
    pub(crate) async fn deploy(
        &self,
        request: DeployRequest,
        wait: Duration,
    ) -> Result<Deployed, Failure> {
        match request.code {
            Code::Bytes(code) => self.deploy_code(request.draft, code).await,
            Code::Container(container) => {
                self.deploy_container(request.draft, container, wait).await
            }
            Code::Lambda(lambda) => self.deploy_lambda(request.draft, lambda, wait).await,
            Code::Path(path) => {
                let cid = self.resolve_path(&path, wait).await?;
                if cid.codec() == DAG_CBOR {
                    let manifest = self.content.manifest(&cid, wait).await?;
                    return self.adopt(cid, manifest, wait).await;
                }
                let code = self.read(&cid, wait).await?;
                if let Ok(manifest) = fan::parse(&code) {
                    return self.adopt(cid, manifest, wait).await;
                }
                self.deploy_code(request.draft, code).await
            }
        }
    }

    /// Takes over a function that somebody else deployed.
    async fn adopt(
        &self,
        function: Cid,
        manifest: Manifest,
        wait: Duration,
    ) -> Result<Deployed, Failure> {
        let (cid, kind, exports) = match &manifest.runtime {
            Runtime::Wasm { code: cid, abi } => {
                let code = self.read(cid, wait).await?;
                let entry = manifest.entry.as_deref();
                let checked = check(&code, Some(*abi), entry, manifest.limits)?;
                (cid, "code", checked.entries)
            }
            Runtime::Docker { image, .. } => {
                self.images.look(image, wait).await?;
                (image, image::KIND, Vec::new())
            }
            Runtime::Lambda(lambda) => {
                let source = lambda.source().map_err(bad_manifest)?;
                match lambda.image {
                    Some(_) => self.images.look(source, wait).await.map(drop)?,
                    None => self.content.block(source, wait).await.map(drop)?,
                }
                let kind = lambda.image.map_or("code", |_| image::KIND);
                (source, kind, Vec::new())
            }
        };
        self.kubo
            .pin_add(cid, &named_pin(kind))
            .await
            .map_err(|e| unreachable_kubo(&e, &format!("pinning the {kind}")))?;
        let entries = match manifest.entries.is_empty() {
            true => exports,
            false => manifest.entries.clone(),
        };
        self.keep(function, &manifest, entries).await
    }

    /// Makes a function of an image that is on IPFS.
    async fn deploy_container(
        &self,
        draft: Draft,
        container: ContainerDraft,
        wait: Duration,
    ) -> Result<Deployed, Failure> {
        if draft.abi.is_some() || draft.entry.is_some() {
            return Err(no_entries());
        }
        let image = image::parse(&container.image)?;
        let manifest = draft.described(Manifest::of(Runtime::Docker {
            image,
            command: container.command,
            workdir: container.workdir,
        }));
        let function = self.store_manifest(&manifest).await?;
        self.adopt(function, manifest, wait).await
    }

    /// Makes a Lambda function of code or an image that is on IPFS.
    async fn deploy_lambda(
        &self,
        draft: Draft,
        lambda: LambdaDraft,
        wait: Duration,
    ) -> Result<Deployed, Failure> {
        if draft.abi.is_some() || draft.entry.is_some() {
            return Err(no_entries());
        }
        let code = match &lambda.code {
            Some(path) => Some(self.resolve_path(path, wait).await?),
            None => None,
        };
        let lambda = Lambda {
            code,
            runtime: lambda.runtime,
            handler: lambda.handler,
            image: lambda.image.as_deref().map(image::parse).transpose()?,
        };
        lambda.source().map_err(bad_manifest)?;
        let manifest = draft.described(Manifest::of(Runtime::Lambda(lambda)));
        let function = self.store_manifest(&manifest).await?;
        self.adopt(function, manifest, wait).await
    }

    async fn deploy_code(&self, draft: Draft, code: Bytes) -> Result<Deployed, Failure> {
        let checked = check(&code, draft.abi, draft.entry.as_deref(), draft.limits)?;
        let options = kubo::Add {
            pin: true,
            pin_name: Some("timerose/code".to_owned()),
            ..kubo::Add::default()
        };
        let added = self
            .kubo
            .add(kubo::AddBody::bytes(code), &options)
            .await
            .map_err(|e| unreachable_kubo(&e, "storing the code"))?;
        let entry = draft.entry.clone().or_else(|| checked.only_entry());
        let manifest = Manifest {
            entry,
            ..draft.described(Manifest::wasm(added.cid, checked.abi))
        };
        let function = self.store_manifest(&manifest).await?;
        self.keep(function, &manifest, checked.entries).await
    }

    /// Stores the manifest; gives the function's name.
    async fn store_manifest(&self, manifest: &Manifest) -> Result<Cid, Failure> {
        let bytes = canonical(manifest)?;
        let function = cid_of(DAG_CBOR, &bytes);
        self.kubo
            .block_put(&bytes, kubo::Codec::DagCbor, false)
            .await
            .map_err(|e| unreachable_kubo(&e, "storing the manifest"))?;
        self.content
            .insert(function, Bytes::copy_from_slice(&bytes));
        Ok(function)
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

/// Arguments in their canonical form: strings for `wasi`, numbers for `scalar`,
/// strings and links for `fan`.
///
/// # Errors
/// `user` when a number was due and something else came.
pub(crate) fn arguments(
    manifest: &Manifest,
    typed: &[String],
    client_context: Option<&str>,
) -> Result<Vec<Ipld>, Failure> {
    if let Some(context) = client_context {
        let mut args = arguments(manifest, typed, None)?;
        args.push(beside_the_event(manifest, context)?);
        return Ok(args);
    }
    let abi = match &manifest.runtime {
        Runtime::Wasm { abi, .. } => *abi,
        Runtime::Docker { .. } | Runtime::Lambda(_) => Abi::Wasi,
    };
    match abi {
        Abi::Wasi | Abi::Component => Ok(typed.iter().cloned().map(Ipld::String).collect()),
        Abi::Scalar => typed.iter().map(|text| number(text)).collect(),
        Abi::Fan => typed.iter().map(|text| byte_string(text)).collect(),
    }
}

/// What a Lambda function is given beside its event.
fn beside_the_event(manifest: &Manifest, context: &str) -> Result<Ipld, Failure> {
    let refused = |why: &str| Failure::new(Class::User, "bad_client_context", why);
    if !matches!(manifest.runtime, Runtime::Lambda(_)) {
        return Err(refused("only Lambda functions are given a client context"));
    }
    let is_json = serde_json::from_str::<serde_json::Value>(context).is_ok();
    if !is_json || context.len() > MAX_CLIENT_CONTEXT_BYTES {
        return Err(refused(
            "the client context is no JSON, or exceeds 3,583 bytes",
        ));
    }
    let context = Ipld::String(context.to_owned());
    Ok(Ipld::Map([("client_context".to_owned(), context)].into()))
}

/// Text stands for its bytes, `ipfs://CID` and `/ipfs/CID` for a file's.
fn byte_string(text: &str) -> Result<Ipld, Failure> {
    let path = text
        .strip_prefix("ipfs://")
        .or_else(|| text.strip_prefix("/ipfs/"));
    match path {
        Some(cid) => parse_cid(cid).map(Ipld::Link),
        None => Ok(Ipld::String(text.to_owned())),
    }
}

fn number(text: &str) -> Result<Ipld, Failure> {
    let integer = text
        .parse::<i128>()
        .ok()
        .filter(|n| i64::try_from(*n).is_ok() || u64::try_from(*n).is_ok());
    let float = || {
        text.parse::<f64>()
            .ok()
            .filter(|x| x.is_finite())
            .map(Ipld::Float)
    };
    integer.map(Ipld::Integer).or_else(float).ok_or_else(|| {
        Failure::new(
            Class::User,
            "bad_argument",
            format!("the argument {text:?} is no number, and this function takes numbers"),
        )
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

impl Draft {
    /// `manifest` with what the author says.
    fn described(self, manifest: Manifest) -> Manifest {
        Manifest {
            name: self.name,
            description: self.description,
            limits: self.limits,
            pure: !self.impure,
            may_repeat: self.may_repeat,
            env: self.env,
            ..manifest
        }
    }
}

/// What a check found out of code.
struct Checked {
    abi: Abi,
    entries: Vec<String>,
}

impl Checked {
    /// The export that a call without an entry can only mean.
    fn only_entry(&self) -> Option<String> {
        match (self.abi, self.entries.as_slice()) {
            (Abi::Scalar | Abi::Fan, [only]) => Some(only.clone()),
            _ => None,
        }
    }
}

/// Checks code; without an ABI, a module that cannot start as a command is
/// taken for scalar exports.
fn check(
    code: &[u8],
    abi: Option<Abi>,
    entry: Option<&str>,
    limits: Limits,
) -> Result<Checked, Failure> {
    let try_as = |abi| sandbox::check(code, abi, entry, &limits).map(|report| (abi, report));
    let checked = match abi {
        Some(abi) => try_as(abi),
        None if sandbox::check::is_component(code) => try_as(Abi::Component),
        None => match try_as(Abi::Wasi) {
            Err(sandbox::Error::User(sandbox::Fault::MissingExport { name, have })) => {
                try_as(Abi::Scalar)
                    .map_err(|_| sandbox::Error::User(sandbox::Fault::MissingExport { name, have }))
            }
            other => other,
        },
    };
    let (abi, report) =
        checked.map_err(|fault| Failure::new(Class::User, "bad_code", fault.to_string()))?;
    Ok(Checked {
        abi,
        entries: report.exports,
    })
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

/// The export that `call` means.
///
/// # Errors
/// `user`, where the function does not offer it.
pub(crate) fn entry_of(manifest: &Manifest, call: &Call) -> Result<Option<String>, Failure> {
    if !matches!(manifest.runtime, Runtime::Wasm { .. }) {
        return match (&call.entry, call.fuel) {
            (None, None) => Ok(None),
            (Some(_), _) => Err(no_entries()),
            (None, Some(_)) => Err(no_fuel()),
        };
    }
    manifest.entry_of(call.entry.as_deref()).map_err(|name| {
        let offered = manifest.entries.join(", ");
        let message = format!("the function offers no `{name}`; it offers: {offered}");
        Failure::new(Class::User, "no_entry", message)
    })
}

fn bad_manifest(why: &str) -> Failure {
    Failure::new(Class::User, "bad_manifest", why)
}

fn no_entries() -> Failure {
    let message = "a container has one command or handler, and no entries or ABI to choose from";
    Failure::new(Class::User, "bad_entry", message)
}

fn no_fuel() -> Failure {
    let message = "fuel counts instructions of WebAssembly, a container has none";
    Failure::new(Class::User, "bad_fuel", message)
        .with_hint("Bound its wall time instead: --wall 10s")
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

    #[test]
    fn numbers_stay_exact_and_words_are_refused() {
        assert_eq!(
            number("9223372036854775807").unwrap(),
            Ipld::Integer(9_223_372_036_854_775_807)
        );
        assert_eq!(number("0.5").unwrap(), Ipld::Float(0.5));
        assert_eq!(number("ten").unwrap_err().code, "bad_argument");
    }
}
