//! The self-test at the start: a container that tries every limit from inside.
//!
//! Takes an engine, gives nothing but the promises that it does not keep. Fails
//! closed: what cannot be looked at is not kept.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    Containers,
    archive::Part,
    images::{self, Image},
    settings::{MAX_OPEN_FILES, MAX_PROCESSES, MAX_USER_PROCESSES, TMP_BYTES, memory_of},
};
use crate::{
    model::Limits,
    sandbox::{Attempt, Container, Error, Program, error::of_io, scratch::Scratch},
    wire::{hex, oci::ARCHITECTURE},
};

/// What runs inside; empty where it could not be built.
pub(in crate::sandbox) const PROGRAM: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/container-init"));
/// Where it lies in its image.
const PLACE: &str = "/container-init";
const LIMITS: Limits = Limits {
    wall_ms: 20_000,
    memory_bytes: 32 << 20,
    output_bytes: 1 << 20,
    log_bytes: 64 << 10,
};
/// An image that an engine loads in no more than this is loaded.
const LOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Where clouds keep the secrets of their machines.
const METADATA: &str = "169.254.169.254:80";

/// Runs it.
///
/// # Errors
/// For people: what does not hold, or why that is not known.
pub(super) async fn sing(
    containers: &Containers,
    folder: &Path,
    forbidden: &[String],
) -> Result<(), String> {
    if PROGRAM.is_empty() {
        return Err("this build lacks what tests containers from inside".to_owned());
    }
    let text = |error: Error| format!("the self-test of containers failed: {error}");
    let image = image(containers).await.map_err(text)?;
    let place = Scratch::new("canary-", folder).map_err(|e| text(of_io(e)))?;
    let nonce = ulid::Ulid::new().to_string();
    let attempt = attempt(containers, place.path(), (&image, &nonce), forbidden)
        .map_err(|e| text(of_io(e)))?;
    let promises = attempt.args.len() - 1;
    let output = containers
        .run(attempt, CancellationToken::new())
        .await
        .map_err(text)?;
    let said = output.stdout.read().map_err(|e| text(of_io(e)))?;
    let said = String::from_utf8_lossy(&said);
    let broken: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("FAILED "))
        .collect();
    if !broken.is_empty() {
        return Err(format!(
            "containers are not safe here: {}",
            broken.join("; ")
        ));
    }
    match said.trim() == format!("held {promises}") {
        true => Ok(()),
        false => Err("the self-test of containers did not come to its end".to_owned()),
    }
}

/// An image with nothing in it but the program.
async fn image(containers: &Containers) -> Result<String, Error> {
    let layer = layer().map_err(of_io)?;
    let digest = hex(&Sha256::digest(&layer));
    let name = format!("timerose/canary:{digest}");
    if containers.engine.has(&name).await {
        return Ok(name);
    }
    let config = serde_json::json!({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let image = Image {
        config: Part::of(config.to_string().into()),
        layers: vec![Part::of(layer)],
    };
    let loaded = images::load(&containers.engine, &name, image);
    let late = |_| Error::Engine("it did not load an image in time".to_owned());
    tokio::time::timeout(LOAD_TIMEOUT, loaded)
        .await
        .map_err(late)??;
    Ok(name)
}

fn layer() -> std::io::Result<Bytes> {
    let mut header = tar::Header::new_gnu();
    header.set_size(PROGRAM.len() as u64);
    header.set_mode(0o755);
    let mut layer = tar::Builder::new(Vec::new());
    layer.append_data(&mut header, PLACE.trim_start_matches('/'), PROGRAM)?;
    Ok(layer.into_inner()?.into())
}

fn attempt(
    containers: &Containers,
    place: &Path,
    (image, nonce): (&str, &str),
    forbidden: &[String],
) -> std::io::Result<Attempt> {
    let input = place.join("in");
    std::fs::create_dir(&input)?;
    std::fs::create_dir(place.join("out"))?;
    std::fs::write(input.join("nonce"), nonce)?;
    let args = std::iter::once("canary".to_owned()).chain(promises(containers, nonce, forbidden));
    let container = Container {
        image: image.to_owned(),
        command: vec![PLACE.to_owned()],
        workdir: None,
        labels: BTreeMap::new(),
    };
    Ok(Attempt {
        owner: "canary".to_owned(),
        program: Program::Docker(container),
        args: args.map(serde_json::Value::from).collect(),
        env: BTreeMap::new(),
        stdin: None,
        input_dir: Some(input),
        work: place.to_owned(),
        limits: LIMITS,
    })
}

/// As `container-init` reads them.
fn promises(containers: &Containers, nonce: &str, forbidden: &[String]) -> Vec<String> {
    let common = &containers.common;
    let has_own_kernel = common.runtime.is_some();
    let shared = ["no_new_privileges", "seccomp", "devices"];
    let shared = shared.into_iter().filter(|_| !has_own_kernel);
    let bare = [
        "capabilities",
        "network",
        "engine",
        "root",
        "output",
        "processor",
        "init",
    ];
    let valued = [
        format!("user={}", common.user),
        format!("tmp={}", TMP_BYTES >> 10),
        format!("input={nonce}"),
        format!("memory={}", memory_of(&LIMITS)),
        format!("processes={MAX_PROCESSES}"),
        format!("limit=Max open files:{MAX_OPEN_FILES}"),
        format!("limit=Max processes:{MAX_USER_PROCESSES}"),
        format!("limit=Max file size:{}", LIMITS.output_bytes),
        "limit=Max core file size:0".to_owned(),
        format!("unreachable={METADATA}"),
    ];
    let places = forbidden.iter().map(|place| format!("unreachable={place}"));
    let bare = bare.into_iter().chain(shared).map(str::to_owned);
    bare.chain(valued).chain(places).collect()
}
