//! A function as it lies in files: a module, or a folder with `timerose.toml`.
//!
//! Takes a path, gives what is to be deployed. Text (`.wat`) becomes a module
//! here, so that its errors can point into the file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    exit::{bad, file},
    package,
};
use crate::{
    api::Client,
    compute::{Code, ContainerDraft, DeployRequest, Deployed, Draft, Failure, LambdaDraft},
    config::{Size, Span},
    model::{Abi, Limits},
};

/// `timerose.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: Option<String>,
    description: Option<String>,
    runtime: Runtime,
    entry: Option<String>,
    /// Modules are pure unless they say otherwise, containers are not.
    pure: Option<bool>,
    #[serde(default)]
    may_repeat: bool,
    #[serde(default)]
    limits: Caps,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Runtime {
    Wasm(Wasm),
    Docker(ContainerDraft),
    Lambda(Function),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    runtime: Option<String>,
    handler: Option<String>,
    code: Option<PathBuf>,
    image: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wasm {
    code: PathBuf,
    abi: Option<Abi>,
}

/// Limits as people write them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Caps {
    wall: Option<Span>,
    memory: Option<Size>,
    output: Option<Size>,
    log: Option<Size>,
}

/// What lies at `path`.
///
/// # Errors
/// When it is no module, or its description makes no sense.
pub(crate) fn read(path: &Path) -> Result<DeployRequest, Failure> {
    if path.is_dir() {
        return folder(path);
    }
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    Ok(DeployRequest {
        draft: Draft {
            name,
            ..Draft::default()
        },
        code: module(path)?,
    })
}

/// Has the node store what of `request` lies in files here.
///
/// # Errors
/// When that cannot be read, or the node's.
pub(crate) async fn deploy(client: &Client, request: DeployRequest) -> Result<Deployed, Failure> {
    let DeployRequest { draft, code } = request;
    let code = match code {
        Code::Lambda(LambdaDraft {
            code: Some(path),
            runtime,
            handler,
            image,
        }) if Path::new(&path).exists() => Code::Lambda(LambdaDraft {
            code: Some(package::upload(client, Path::new(&path)).await?),
            runtime,
            handler,
            image,
        }),
        other => other,
    };
    client.deploy(DeployRequest { draft, code }).await
}

fn folder(path: &Path) -> Result<DeployRequest, Failure> {
    let manifest = path.join("timerose.toml");
    let text = std::fs::read_to_string(&manifest).map_err(|e| {
        file(&manifest, &e)
            .with_hint("A folder with a function has a timerose.toml: see examples/.")
    })?;
    let about: Description = toml::from_str(&text).map_err(|e| {
        let line = e.message().lines().next().unwrap_or_default();
        bad("bad_manifest", format!("{}: {line}", manifest.display()))
    })?;
    let code = match &about.runtime {
        Runtime::Wasm(wasm) => module(&path.join(&wasm.code))?,
        Runtime::Docker(container) => Code::Container(container.clone()),
        Runtime::Lambda(function) => Code::Lambda(LambdaDraft {
            // Where it lies, until it is uploaded.
            code: function
                .code
                .as_ref()
                .map(|code| path.join(code).display().to_string()),
            runtime: function.runtime.clone(),
            handler: function.handler.clone(),
            image: function.image.clone(),
        }),
    };
    Ok(DeployRequest {
        draft: about.draft(),
        code,
    })
}

impl Description {
    fn draft(self) -> Draft {
        let (abi, is_pure) = match self.runtime {
            Runtime::Wasm(wasm) => (wasm.abi, true),
            Runtime::Docker(_) | Runtime::Lambda(_) => (None, false),
        };
        Draft {
            name: self.name,
            description: self.description,
            abi,
            entry: self.entry,
            limits: self.limits.over(Limits::default()),
            impure: !self.pure.unwrap_or(is_pure),
            may_repeat: self.may_repeat,
            env: self.env,
        }
    }
}

impl Caps {
    fn over(&self, limits: Limits) -> Limits {
        let wall = self
            .wall
            .map(|span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX));
        let size = |cap: Option<Size>, default| cap.map_or(default, |size| size.0);
        Limits {
            wall_ms: wall.unwrap_or(limits.wall_ms),
            memory_bytes: size(self.memory, limits.memory_bytes),
            output_bytes: size(self.output, limits.output_bytes),
            log_bytes: size(self.log, limits.log_bytes),
        }
    }
}

/// What every module begins with.
const MAGIC: &[u8] = b"\0asm";

fn module(path: &Path) -> Result<Code, Failure> {
    let bytes = std::fs::read(path).map_err(|e| file(path, &e))?;
    let text = path.extension().is_some_and(|end| end == "wat");
    let bytes = if text { assemble(path, &bytes)? } else { bytes };
    if !bytes.starts_with(MAGIC) {
        let message = format!("{} is no WebAssembly module", path.display());
        return Err(bad("bad_module", message)
            .with_hint("Compile the source first: a module begins with the bytes 00 61 73 6d."));
    }
    Ok(Code::Bytes(bytes.into()))
}

fn assemble(path: &Path, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let module = wat::parse_bytes(text).map_err(|mut e| {
        e.set_path(path);
        let text = e.to_string();
        let place = text
            .lines()
            .find_map(|l| l.trim().strip_prefix("--> "))
            .unwrap_or_default();
        let what = text.lines().next().unwrap_or_default();
        bad(
            "bad_module",
            format!(
                "{what} ({})",
                if place.is_empty() {
                    path.display().to_string()
                } else {
                    place.to_owned()
                }
            ),
        )
    })?;
    Ok(module.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(manifest: &str) -> Result<DeployRequest, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("timerose.toml"), manifest).unwrap();
        std::fs::write(dir.path().join("f.wat"), "(module)").unwrap();
        let place = dir.path().display().to_string();
        read(dir.path()).map_err(|f| f.message.replace(&place, "DIR"))
    }

    #[test]
    fn a_folder_says_what_its_module_is() {
        let request = folder_with(
            "name = \"f\"\npure = false\n[runtime.wasm]\ncode = \"f.wat\"\nabi = \"scalar\"\n\
             [limits]\nwall = \"5s\"\nmemory = \"64MiB\"",
        )
        .unwrap();
        assert_eq!(request.draft.name.as_deref(), Some("f"));
        assert_eq!(request.draft.limits.wall_ms, 5_000);
        assert_eq!(request.draft.limits.memory_bytes, 64 << 20);
        assert!(request.draft.impure);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = folder_with("nam = \"f\"\n[runtime.wasm]\ncode = \"f.wat\"").unwrap_err();
        assert!(
            error.starts_with("DIR/timerose.toml: unknown field `nam`"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_module_is_refused_before_it_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.wasm");
        std::fs::write(&path, "hello").unwrap();
        assert_eq!(read(&path).unwrap_err().code, "bad_module");
        let path = dir.path().join("f.wat");
        std::fs::write(&path, "(modul)").unwrap();
        let failure = read(&path).unwrap_err();
        assert!(failure.message.contains("f.wat:1:2"), "{}", failure.message);
    }
}
