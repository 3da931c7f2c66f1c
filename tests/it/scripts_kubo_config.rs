//! `kubo-config/apply` on a repository that a real `ipfs` made. No daemon.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::support::skip::ipfs_or_skip;

/// A fresh repository.
struct Repo {
    dir: TempDir,
    ipfs: PathBuf,
}

impl Repo {
    /// Nothing, and a note, where there is no Kubo.
    fn new() -> Option<Self> {
        let ipfs = ipfs_or_skip()?;
        let repo = Self {
            dir: TempDir::new().unwrap(),
            ipfs,
        };
        let made = repo.ipfs(&["init"]);
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Some(repo)
    }

    fn ipfs(&self, arguments: &[&str]) -> Output {
        self.run(&self.ipfs, arguments)
    }

    fn apply(&self, flags: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubo-config/apply");
        let output = self.run(&script, flags);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("IPFS_PATH", self.dir.path())
            .env("IPFS_BIN", &self.ipfs)
            .env("IPFS_TELEMETRY", "off")
            .output()
            .unwrap()
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("config")).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = self.dir.path().read_dir().unwrap().map(Result::unwrap);
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn key(&self, path: &str) -> serde_json::Value {
        let config: serde_json::Value = serde_json::from_str(&self.config()).unwrap();
        config.pointer(path).cloned().unwrap_or_default()
    }
}

#[test]
fn a_dry_run_says_every_change_and_touches_nothing() {
    let Some(repo) = Repo::new() else { return };
    let (config, files) = (repo.config(), repo.files());
    let said = repo.apply(&["--dry-run", "--private", "--auth"]);
    assert!(said.contains("Pubsub.Enabled: absent -> true"), "{said}");
    assert!(said.contains("API.Authorizations.timerose"), "{said}");
    assert_eq!((repo.config(), repo.files()), (config, files));
}

#[test]
fn applying_twice_is_applying_once() {
    let Some(repo) = Repo::new() else { return };
    let said = repo.apply(&["--private", "--auth"]);
    assert!(said.contains("Restart Kubo"), "{said}");
    assert_eq!(repo.key("/Pubsub/Enabled"), true);
    assert_eq!(repo.key("/Routing/Type"), "dht");
    let config = repo.config();
    let said = repo.apply(&["--private", "--auth"]);
    assert!(said.contains("nothing to change"), "{said}");
    assert_eq!(repo.config(), config);
}

#[test]
fn undo_restores_the_configuration_byte_for_byte() {
    let Some(repo) = Repo::new() else { return };
    let (config, files) = (repo.config(), repo.files());
    repo.apply(&[]);
    repo.apply(&["--private", "--auth"]);
    assert_ne!(repo.config(), config);
    repo.apply(&["--undo"]);
    assert_eq!(repo.config(), config);
    assert_eq!(repo.files(), files, "something is left");
    assert!(repo.apply(&["--undo"]).contains("nothing to undo"));
}

#[test]
fn undo_leaves_what_others_changed_since() {
    let Some(repo) = Repo::new() else { return };
    repo.apply(&["--private"]);
    repo.ipfs(&["config", "Datastore.StorageMax", "77GB"]);
    repo.apply(&["--auth"]);
    repo.apply(&["--undo"]);
    assert_eq!(repo.key("/Datastore/StorageMax"), "77GB");
    assert_eq!(repo.key("/Bootstrap"), serde_json::json!(["auto"]));
    assert!(repo.key("/Pubsub/Enabled").is_null());
    assert!(repo.key("/API/Authorizations/timerose").is_null());
}

#[test]
fn nothing_but_the_listed_keys_changes() {
    let Some(repo) = Repo::new() else { return };
    let mut before: serde_json::Value = serde_json::from_str(&repo.config()).unwrap();
    repo.apply(&[]);
    before["Pubsub"]["Enabled"] = true.into();
    before["Experimental"]["Libp2pStreamMounting"] = true.into();
    let after: serde_json::Value = serde_json::from_str(&repo.config()).unwrap();
    assert_eq!(after, before);
}

#[test]
fn the_private_key_is_not_copied() {
    let Some(repo) = Repo::new() else { return };
    let key = repo.key("/Identity/PrivKey").as_str().unwrap().to_owned();
    repo.apply(&[]);
    let copy = std::fs::read_to_string(repo.dir.path().join("timerose-undo.json")).unwrap();
    assert!(!copy.contains(&key));
}

#[test]
fn without_a_repository_the_error_says_what_to_do() {
    let Some(ipfs) = ipfs_or_skip() else { return };
    let repo = Repo {
        dir: TempDir::new().unwrap(),
        ipfs,
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubo-config/apply");
    let output = repo.run(&script, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("hint: set IPFS_PATH"), "{said}");
}
