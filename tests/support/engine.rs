//! A container engine for tests, and images without a registry.
//!
//! Gives the socket of an engine that answers, or skips; makes archives of
//! images as `docker save` writes them, of a static BusyBox.

use std::path::{Path, PathBuf};

use bollard::query_parameters::ListContainersOptionsBuilder;
use sha2::{Digest as _, Sha256};

use super::skip::skip;

/// Where `scripts/docker-up` and Docker itself listen.
const DEFAULT: &str = "/var/run/docker.sock";
/// Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// An engine's socket, if there is one.
pub(crate) fn socket() -> Option<PathBuf> {
    let socket = named();
    let answers = std::os::unix::net::UnixStream::connect(&socket).is_ok();
    answers.then_some(socket)
}

fn named() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").unwrap_or_default();
    PathBuf::from(named.strip_prefix("unix://").unwrap_or(DEFAULT))
}

/// An engine's socket, or a note that there is none.
pub(crate) fn engine_or_skip() -> Option<PathBuf> {
    let Some(socket) = socket() else {
        skip(&format!("no container engine at {}", named().display()));
        return None;
    };
    if !Path::new(BUSYBOX).exists() {
        skip("there is no static BusyBox: apt install busybox-static");
        return None;
    }
    Some(socket)
}

/// The engine at `socket`, by the oldest version of its interface in use.
pub(crate) fn engine(socket: &Path) -> bollard::Docker {
    let version = bollard::ClientVersion {
        major_version: 1,
        minor_version: 41,
    };
    bollard::Docker::connect_with_unix(socket.to_str().unwrap(), 30, &version).unwrap()
}

/// How many containers an engine has with `label`, running or not.
pub(crate) async fn containers(socket: &Path, label: &str) -> usize {
    let filters = std::collections::HashMap::from([("label", vec![label])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let listed = engine(socket).list_containers(Some(options)).await;
    listed.unwrap().len()
}

/// A layer of an image: a TAR archive of files with their modes.
pub(crate) fn layer(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        layer.append_data(&mut header, name, *content).unwrap();
    }
    layer.into_inner().unwrap()
}

/// The layer with BusyBox as `/bin/sh` and whatever else it is.
pub(crate) fn busybox() -> Vec<u8> {
    let program = std::fs::read(BUSYBOX).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    layer
        .append_data(&mut header, "bin/busybox", &program[..])
        .unwrap();
    let applets = std::process::Command::new(BUSYBOX).arg("--list").output();
    let applets = String::from_utf8(applets.unwrap().stdout).unwrap();
    for name in applets.lines().filter(|name| *name != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        layer
            .append_link(&mut header, format!("bin/{name}"), "busybox")
            .unwrap();
    }
    layer.into_inner().unwrap()
}

/// The configuration of an image of these layers; `config` is its part of that
/// name, as JSON.
pub(crate) fn config(layers: &[Vec<u8>], config: &serde_json::Value) -> Vec<u8> {
    let digests: Vec<_> = layers.iter().map(|layer| digest(layer)).collect();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
    });
    config.to_string().into_bytes()
}

/// The same as `docker save` writes it.
pub(crate) fn archive(layers: &[Vec<u8>], about: &serde_json::Value) -> Vec<u8> {
    let names: Vec<_> = (0..layers.len())
        .map(|number| format!("{number}/layer.tar"))
        .collect();
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": null, "Layers": names}]);
    let (manifest, config) = (manifest.to_string().into_bytes(), config(layers, about));
    let mut files: Vec<(&str, &[u8], u32)> = vec![
        ("config.json", &config, 0o644),
        ("manifest.json", &manifest, 0o644),
    ];
    files.extend(
        names
            .iter()
            .zip(layers)
            .map(|(name, bytes)| (name.as_str(), &bytes[..], 0o644)),
    );
    layer(&files)
}

/// How images name bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", timerose::wire::hex(&Sha256::digest(bytes)))
}
