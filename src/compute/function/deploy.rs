//! From code to a function: checked, stored, named.
//!
//! Takes what an author wrote and says of it, gives a deployed function. Never
//! runs code.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;

use super::{Functions, canonical, named_pin, typed::no_entries};
use crate::{
    compute::{
        Code, ContainerDraft, DeployRequest, Deployed, Draft, Failure, LambdaDraft,
        content::unreachable_kubo, image,
    },
    kubo,
    model::{Abi, Class, Lambda, Limits, Manifest, Runtime},
    sandbox,
    wire::{block::DAG_CBOR, cid_of, fan},
};

impl Functions {
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
}

fn bad_manifest(why: &str) -> Failure {
    Failure::new(Class::User, "bad_manifest", why)
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
