//! What a call runs: a module on disk, an image in the engine.
//!
//! Takes a manifest and a call, gives the program, fetched if it was not here.
//! Never runs it.

use std::{collections::BTreeMap, io, sync::Arc};

use cid::Cid;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::{Parts, stage::Stage};
use crate::{
    compute::{Failure, content::fetch_failed},
    kubo,
    model::{Assignment, Call, Manifest, Runtime},
    sandbox::{
        Code, Container, Module, Program,
        docker::{Image, Part},
    },
    wire::oci,
};

/// Gets ready what `call` runs at `entry`.
pub(super) async fn program(
    (parts, stage): (&Parts, &Stage<'_>),
    assignment: &Assignment,
    (manifest, call): (&Manifest, &Call),
    entry: Option<String>,
) -> Result<Program, Failure> {
    match &manifest.runtime {
        Runtime::Wasm { code, abi } => Ok(Program::Wasm(Module {
            code: Code {
                cid: *code,
                path: stage.code(code, &parts.config.cache_dir).await?,
            },
            abi: *abi,
            entry,
            fuel: call.fuel,
            pure: manifest.pure,
        })),
        Runtime::Docker {
            image,
            command,
            workdir,
        } => Ok(Program::Docker(Container {
            image: loaded(parts, stage, image).await?,
            command: command.clone(),
            workdir: workdir.clone(),
            labels: BTreeMap::from([
                (
                    "timerose.invocation".to_owned(),
                    assignment.invocation.to_string(),
                ),
                ("timerose.lease".to_owned(), assignment.lease.to_string()),
            ]),
        })),
    }
}

/// Has the engine load the image, if it does not have it.
async fn loaded(parts: &Parts, stage: &Stage<'_>, image: &Cid) -> Result<String, Failure> {
    let open = async || {
        let made_of = parts.images.look(image, stage.wait).await?;
        let part = |blob| stage.part(image, blob);
        Ok::<_, Failure>(Image {
            config: part(&made_of.config),
            layers: made_of.layers.iter().map(part).collect(),
        })
    };
    let loaded = parts.sandboxes.docker().load(image, open).await;
    loaded.map_err(|failure| stage.broken.lock().take().unwrap_or(failure))
}

impl Stage<'_> {
    /// A part of an image, fetched when the engine takes it.
    fn part(&self, image: &Cid, blob: &oci::Blob) -> Part {
        let (kubo, path, wait) = (
            self.kubo.clone(),
            format!("{image}/{}", blob.path()),
            self.wait,
        );
        let (meter, broken) = (Arc::clone(&self.meter), Arc::clone(&self.broken));
        let open = move || {
            async move {
                let options = kubo::Cat {
                    stall: wait,
                    ..kubo::Cat::default()
                };
                let what = path.clone();
                let failed = move |error: kubo::Error| {
                    let text = io::Error::other(error.to_string());
                    *broken.lock() = Some(fetch_failed(&what, wait, error));
                    text
                };
                let bytes = kubo.cat(&path, &options).await;
                let bytes = bytes.map_err(&failed)?.map_err(failed);
                Ok(bytes
                    .inspect_ok(move |piece| meter.add_input(piece.len()))
                    .boxed())
            }
            .boxed()
        };
        Part {
            size: blob.size,
            open: Box::new(open),
        }
    }
}
