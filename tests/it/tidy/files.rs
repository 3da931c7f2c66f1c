//! Which files belong to the repository.
//!
//! Gives paths relative to the root, sorted. Asks git, so that build output
//! and what a developer has lying around are left out; an unpacked source
//! archive without git is walked instead.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
pub(super) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Tracked files and new ones that are not ignored.
pub(super) fn listed() -> Vec<String> {
    let mut files = from_git().unwrap_or_else(|| {
        let mut found = Vec::new();
        walk(&root(), &mut found);
        found
    });
    files.sort();
    files.dedup();
    files.retain(|file| root().join(file).is_file());
    files
}

fn from_git() -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !names.is_empty())
        .then(|| names.lines().map(str::to_owned).collect())
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in folder.read_dir().unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() {
            walk(&path, found);
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.display().to_string());
        }
    }
}
