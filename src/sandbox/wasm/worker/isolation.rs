//! What is left to a guest that got out of WebAssembly: its own files.
//!
//! Takes the places that this process needs, gives up everything else, as far
//! as the kernel lets it: network and users by namespaces, files by Landlock,
//! system calls by seccomp. What is given up cannot be had again.

use std::{ffi::OsString, path::PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod escape;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod user;

/// The places of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Folders that it reads: code.
    pub read: Vec<PathBuf>,
    /// Folders that it writes to: attempts and compiled code of its owner.
    pub write: Vec<PathBuf>,
}

impl Places {
    /// As the command line of the process takes them.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let pair = |flag: &str, path: &PathBuf| [OsString::from(flag), path.clone().into()];
        let read = self.read.iter().flat_map(|path| pair("--read", path));
        let write = self.write.iter().flat_map(|path| pair("--write", path));
        read.chain(write).collect()
    }
}

/// How far a process is isolated, as `doctor` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// It is nobody, and sees no folder but its places; none where this program
    /// is not root, which alone can become another user.
    pub user: Option<bool>,
    /// It has a network namespace of its own, with nothing in it, and no rights
    /// over anything outside its user namespace.
    pub namespaces: bool,
    /// Landlock keeps it to its places.
    pub files: bool,
    /// seccomp keeps it to the system calls that it needs.
    pub calls: bool,
}

impl Level {
    /// All that can be had.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        !matches!(self.user, Some(false)) && self.namespaces && self.files && self.calls
    }

    /// For people.
    #[must_use]
    pub fn describe(&self) -> String {
        let user = self.user.map(|has| (has, "own user"));
        let parts = [
            (self.namespaces, "own namespaces"),
            (self.files, "Landlock"),
            (self.calls, "seccomp"),
        ];
        let parts: Vec<_> = user.into_iter().chain(parts).collect();
        let has = |wanted: bool| {
            let found = parts.iter().filter(|(has, _)| *has == wanted);
            let found: Vec<_> = found.map(|(_, name)| *name).collect();
            found.join(", ")
        };
        match (has(true), has(false)) {
            (all, none) if none.is_empty() => all,
            (none, all) if none.is_empty() => format!("without {all}"),
            (some, rest) => format!("{some}, without {rest}"),
        }
    }
}

/// Gives up all but `places`. Must come before any thread is started.
#[cfg(target_os = "linux")]
#[must_use]
pub fn isolate(places: &Places) -> Level {
    let user = user::change(places);
    Level {
        user,
        namespaces: user == Some(true) || namespaces(),
        files: files::restrict(places),
        calls: calls::restrict(),
    }
}

/// There is nothing of the kind here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn isolate(_places: &Places) -> Level {
    Level::default()
}

/// What an isolated process can still do that it should not, for tests and for
/// the doctor: it tries.
#[cfg(target_os = "linux")]
#[must_use]
pub fn escapes(addresses: &[String]) -> Vec<String> {
    escape::tried(addresses)
}

/// Not known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn escapes(_addresses: &[String]) -> Vec<String> {
    Vec::new()
}

/// A network without anything, and a user without rights elsewhere.
#[cfg(target_os = "linux")]
fn namespaces() -> bool {
    use nix::sched::{CloneFlags, unshare};
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC;
    unshare(flags).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_says_what_there_is_and_what_is_not() {
        let level = |namespaces, files: bool| Level {
            user: files.then_some(namespaces),
            namespaces,
            files,
            calls: true,
        };
        assert_eq!(
            level(true, true).describe(),
            "own user, own namespaces, Landlock, seccomp"
        );
        assert_eq!(
            level(false, true).describe(),
            "Landlock, seccomp, without own user, own namespaces"
        );
        assert_eq!(
            Level::default().describe(),
            "without own namespaces, Landlock, seccomp"
        );
    }
}
