//! What a call runs: a module on disk, an image in the engine.
//!
//! Takes a manifest and a call, gives the program, fetched if it was not here.
//! Never runs it.

use std::{collections::BTreeMap, io, sync::Arc};

use cid::Cid;
use futures_util::{FutureExt, StreamExt, TryStreamExt};

use super::{Parts, layer::checked, stage::Stage};
use crate::{
    compute::{Failure, content::fetch_failed},
    kubo,
    model::{Assignment, Call, Class, Lambda, Manifest, Runtime},
    sandbox::{
        Code, Container, Function, Module, Program,
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
            labels: labels(assignment),
        })),
        Runtime::Lambda(lambda) => {
            let function = function((parts, stage), lambda).await?;
            Ok(Program::Lambda(Function {
                name: call.function.to_string(),
                title: title(manifest, call),
                request: assignment.invocation.to_string(),
                labels: labels(assignment),
                ..function
            }))
        }
    }
}

/// What the engine shows of a container.
fn labels(assignment: &Assignment) -> BTreeMap<String, String> {
    let (invocation, lease) = (assignment.invocation, assignment.lease);
    BTreeMap::from([
        ("timerose.invocation".to_owned(), invocation.to_string()),
        ("timerose.lease".to_owned(), lease.to_string()),
    ])
}

/// A function's name for its runtime.
fn title(manifest: &Manifest, call: &Call) -> String {
    let cid = call.function.to_string();
    manifest.name.clone().unwrap_or(cid)
}

/// Code and image of a Lambda function.
async fn function(
    (parts, stage): (&Parts, &Stage<'_>),
    lambda: &Lambda,
) -> Result<Function, Failure> {
    let no_sense = |why: &str| Failure::new(Class::User, "bad_manifest", why);
    let source = lambda.source().map_err(no_sense)?;
    let (image, code) = match &lambda.runtime {
        None => (loaded(parts, stage, source).await?, None),
        Some(runtime) => {
            let image = parts.config.lambda_images.get(runtime).ok_or_else(|| {
                let why = format!("this node has no image for {runtime}");
                Failure::new(Class::Refused, "no_image", why)
            })?;
            let code = stage.folder(source, &parts.config.cache_dir).await?;
            (loaded(parts, stage, image).await?, Some(code))
        }
    };
    Ok(Function {
        name: String::new(),
        title: String::new(),
        request: String::new(),
        image,
        code,
        handler: lambda.handler.clone(),
        labels: BTreeMap::new(),
    })
}

/// Has the engine load the image, if it does not have it.
async fn loaded(parts: &Parts, stage: &Stage<'_>, image: &Cid) -> Result<String, Failure> {
    let open = async || {
        let made_of = parts.images.look(image, stage.wait).await?;
        let layer = |blob| stage.layer(image, blob);
        Ok::<_, Failure>(Image {
            config: stage.part(image, &made_of.config),
            layers: made_of.layers.iter().map(layer).collect(),
        })
    };
    let loaded = parts.sandboxes.docker().load(image, open).await;
    loaded.map_err(|failure| stage.broken.lock().take().unwrap_or(failure))
}

impl Stage<'_> {
    /// A layer, of which the engine gets what is harmless.
    fn layer(&self, image: &Cid, blob: &oci::Blob) -> Part {
        let Part { size, open } = self.part(image, blob);
        let (image, broken) = (*image, Arc::clone(&self.broken));
        let failed = move |error: io::Error| {
            let why = format!("the image {image} is refused: {error}");
            let refused = || Failure::new(Class::User, "bad_image", why);
            // What Kubo failed at came first.
            broken.lock().get_or_insert_with(refused);
            error
        };
        let open = move || async { Ok(checked(open().await?).map_err(failed).boxed()) }.boxed();
        Part {
            size,
            open: Box::new(open),
        }
    }

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
