//! Images in the engine: which are there, and how they come there.
//!
//! Takes an image's CID and its parts, gives the name by which the engine knows
//! it. The name is made of the CID, so what has it is what the CID names.

use std::time::Duration;

use bollard::query_parameters::ImportImageOptionsBuilder;
use cid::Cid;
use futures_util::{StreamExt, TryStreamExt};

use super::{
    archive::{Part, Pieces, archive},
    engine::{Engine, failed},
    settings::Declared,
};
use crate::sandbox::{Error, Fault, error::of_io};

/// Before the CID in a name.
const REPOSITORY: &str = "timerose/image:";
/// An image that comes more slowly than this does not come.
const LOAD_TIMEOUT: Duration = Duration::from_secs(3_600);

/// The parts of an image.
#[derive(Debug)]
pub struct Image {
    /// Its configuration, JSON.
    pub config: Part,
    /// Its layers, lowest first.
    pub layers: Vec<Part>,
}

/// The engine's name of an image.
pub(super) fn name_of(image: &Cid) -> String {
    format!("{REPOSITORY}{image}")
}

/// Loads `image` as `name`.
pub(super) async fn load(engine: &Engine, name: &str, image: Image) -> Result<(), Error> {
    let bytes = archive(name, image.config, image.layers).map_err(of_io)?;
    let docker = engine.docker.clone().with_timeout(LOAD_TIMEOUT);
    let options = ImportImageOptionsBuilder::default().quiet(true).build();
    let answers = docker.import_image_stream(options, bytes, None);
    let answers: Result<Vec<_>, _> = answers.try_collect().await;
    answers.map_err(|error| match error {
        bollard::errors::Error::DockerStreamError { error } => Fault::BadImage(error).into(),
        other => failed(other),
    })?;
    match engine.has(name).await {
        true => Ok(()),
        false => Err(Fault::BadImage("the engine does not have it afterwards".to_owned()).into()),
    }
}

/// What an image says that matters to its containers.
pub(super) async fn declared(engine: &Engine, name: &str) -> Result<Declared, Error> {
    let image = engine.docker.inspect_image(name).await.map_err(failed)?;
    let config = image.config.unwrap_or_default();
    let env = config.env.unwrap_or_default();
    Ok(Declared {
        volumes: config.volumes.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        has_home: env.iter().any(|pair| pair.starts_with("HOME=")),
    })
}

/// The bytes of an image as `docker save` writes them.
pub(super) fn export(engine: &Engine, name: &str) -> Pieces {
    let image = engine.docker.export_image(name);
    image.map_err(std::io::Error::other).boxed()
}
