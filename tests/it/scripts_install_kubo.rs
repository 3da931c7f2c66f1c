//! `scripts/install-kubo`: what it accepts, where it looks, what it refuses.
//!
//! Programs named `ipfs` and `go` are scripts here that say a version; releases
//! come from a server of the test.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use axum::{Router, extract::Path as UrlPath, http::StatusCode, routing::get};
use tempfile::TempDir;

const NEW: &str = "0.43.0";
const OLD: &str = "0.42.9";

/// A machine on which everything that the script looks at is the test's.
struct Machine {
    root: TempDir,
    dist: String,
}

impl Machine {
    /// With an old `ipfs` and no `go` that works.
    fn new() -> Self {
        let machine = Self {
            root: TempDir::new().unwrap(),
            dist: dead_server(),
        };
        let programs = machine.programs();
        std::fs::create_dir(&programs).unwrap();
        program(&programs.join("ipfs"), &format!("echo {OLD}"));
        program(&programs.join("go"), "exit 1");
        machine
    }

    fn programs(&self) -> PathBuf {
        self.root.path().join("bin")
    }

    fn cached(&self) -> PathBuf {
        self.root.path().join("cache/kubo").join(NEW).join("ipfs")
    }

    fn install(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }

    fn command(&self, flags: &[&str]) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-kubo");
        let mut command = Command::new(script);
        command
            .args(flags)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.programs().display()),
            )
            .env("TIMEROSE_CACHE", self.root.path().join("cache"))
            .env("TIMEROSE_KUBO_DIST", &self.dist)
            .env_remove("IPFS_BIN");
        command
    }

    /// Runs the script beside the server that it asks.
    async fn install_online(&self, flags: &[&str]) -> Output {
        let mut command = self.command(flags);
        tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap()
    }
}

/// An address at which nobody listens.
fn dead_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn program(path: &Path, body: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A release archive whose `ipfs` says `version`.
fn archive(version: &str) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("kubo")).unwrap();
    program(&dir.path().join("kubo/ipfs"), &format!("echo {version}"));
    let packed = Command::new("tar")
        .args(["-czf", "-", "kubo"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    packed.stdout
}

fn sha512(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    timerose::wire::hex(&sha2::Sha512::digest(bytes))
}

/// Serves one archive and, beside it, `sum`; only under names of the release.
async fn releases(archive: Vec<u8>, sum: String) -> String {
    let serve = move |UrlPath((version, name)): UrlPath<(String, String)>| {
        let (archive, sum) = (archive.clone(), sum.clone());
        async move {
            let known = version == format!("v{NEW}") && name.starts_with(&format!("kubo_v{NEW}_"));
            match () {
                () if known && name.ends_with(".tar.gz") => Ok(archive),
                () if known && name.ends_with(".tar.gz.sha512") => {
                    Ok(format!("{sum}  {name}\n").into_bytes())
                }
                () => Err(StatusCode::NOT_FOUND),
            }
        }
    };
    let router = Router::new().route("/{version}/{name}", get(serve));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[test]
fn an_ipfs_that_is_new_enough_is_used_as_it_is() {
    let machine = Machine::new();
    let own = machine.root.path().join("my-ipfs");
    program(&own, &format!("echo {NEW}"));
    let output = machine.command(&[]).env("IPFS_BIN", &own).output().unwrap();
    assert_eq!(stdout(&output), own.display().to_string());

    let on_path = machine.programs().join("ipfs");
    program(&on_path, "echo 0.44.1");
    assert_eq!(stdout(&machine.install(&[])), on_path.display().to_string());
}

#[test]
fn an_ipfs_that_is_too_old_is_passed_over_and_named() {
    let machine = Machine::new();
    let output = machine.install(&["--print"]);
    assert_eq!(stdout(&output), "");
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("ipfs is Kubo 0.42.9, older than 0.43.0"),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
}

#[tokio::test]
async fn a_release_with_the_right_checksum_is_installed_once() {
    let archive = archive(NEW);
    let sum = sha512(&archive);
    let mut machine = Machine::new();
    machine.dist = releases(archive, sum).await;
    let output = machine.install_online(&[]).await;
    assert_eq!(
        stdout(&output),
        machine.cached().display().to_string(),
        "{}",
        stderr(&output)
    );

    machine.dist = dead_server();
    let again = machine.install_online(&[]).await;
    assert_eq!(stdout(&again), machine.cached().display().to_string());
    assert!(
        !stderr(&again).contains("downloading"),
        "{}",
        stderr(&again)
    );
}

#[tokio::test]
async fn a_release_with_a_wrong_checksum_is_refused() {
    let mut machine = Machine::new();
    machine.dist = releases(archive(NEW), sha512(b"something else")).await;
    let output = machine.install_online(&[]).await;
    assert!(!output.status.success());
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
    assert!(!machine.cached().exists());
}

#[tokio::test]
async fn a_release_that_is_too_old_is_refused() {
    let old = archive(OLD);
    let sum = sha512(&old);
    let mut machine = Machine::new();
    machine.dist = releases(old, sum).await;
    let output = machine.install_online(&[]).await;
    assert!(!output.status.success());
    assert!(!machine.cached().exists(), "{}", stderr(&output));
}

/// A `go` that has the tool chain and builds an `ipfs` of that version.
const GO: &str = r#"case "$1" in env) echo go1.26.8 ;; build)
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\necho 0.43.0\n' >"$2" ;; esac"#;

#[test]
fn with_the_server_dead_it_says_so_and_builds_from_source() {
    let machine = Machine::new();
    program(&machine.programs().join("go"), GO);
    let output = machine.install(&[]);
    assert_eq!(
        stdout(&output),
        machine.cached().display().to_string(),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("falling back to a build from source"));
}

#[test]
fn from_source_builds_although_there_is_one() {
    let machine = Machine::new();
    program(&machine.programs().join("ipfs"), &format!("echo {NEW}"));
    program(&machine.programs().join("go"), GO);
    let output = machine.install(&["--from-source"]);
    assert_eq!(
        stdout(&output),
        machine.cached().display().to_string(),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains("downloading"));
}

#[test]
fn without_go_the_error_says_which_go_is_needed() {
    let output = Machine::new().install(&[]);
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("error: Kubo cannot be built: Go 1.26"),
        "{said}"
    );
    assert!(said.contains("hint: "), "{said}");
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    let output = Machine::new().install(&["--prnt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("usage: "));
}
