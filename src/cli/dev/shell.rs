//! A shell among temporary nodes.

use std::{ffi::OsString, path::PathBuf};

use super::{Error, Nodes, Signals, environment, say};

/// Where no `$SHELL` is set.
const DEFAULT_SHELL: &str = "/bin/sh";

/// Runs `words`, or `$SHELL` where there are none, to its end and gives its
/// exit code. `N1…` are the nodes' homes, `P1…` their peer IDs, `K1…` their
/// Kubo repositories, `S1…` the process ids of their sidecars; `timerose` and
/// `ipfs` speak to the first node, `timerose` is this very program.
pub(super) async fn run(
    nodes: &Nodes,
    words: &[OsString],
    signals: &mut Signals,
) -> Result<u8, Error> {
    let (program, arguments) = match words.split_first() {
        Some((program, arguments)) => (PathBuf::from(program), arguments),
        None => (shell(), &[][..]),
    };
    let mut command = environment::command(&program, None);
    command.args(arguments);
    if let Some(path) = path() {
        command.env("PATH", path);
    }
    for (index, node) in nodes.all().iter().enumerate() {
        let number = index + 1;
        command.env(format!("N{number}"), node.sidecar.home());
        command.env(format!("P{number}"), node.kubo.peer());
        command.env(format!("K{number}"), node.kubo.repo());
        command.env(
            format!("S{number}"),
            node.sidecar.process().pid().to_string(),
        );
    }
    if let Some(first) = nodes.all().first() {
        command.env("TIMEROSE_PATH", first.sidecar.home());
        command.env("IPFS_PATH", first.kubo.repo());
    }
    if words.is_empty() {
        say("A shell on node 1; $N1… are homes, $P1… peer IDs. Leave it to remove the nodes.");
    }
    let failed = |source| Error::Start {
        program: program.clone(),
        source,
    };
    let mut shell = command.kill_on_drop(true).spawn().map_err(failed)?;
    let status = tokio::select! {
        status = shell.wait() => status.map_err(failed)?,
        () = signals.but_ctrl_c() => return Ok(crate::cli::exit::CANCELLED),
    };
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}

/// The search path with this very program first.
fn path() -> Option<OsString> {
    let program = std::env::current_exe().ok()?;
    let before = std::env::vars_os().find(|(name, _)| name == "PATH");
    let before = before.map(|(_, value)| value).unwrap_or_default();
    let own = program.parent().map(PathBuf::from);
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&before))).ok()
}

/// The person's own shell.
fn shell() -> PathBuf {
    let named = std::env::vars_os().find(|(name, _)| name == "SHELL");
    named.map_or_else(|| DEFAULT_SHELL.into(), |(_, value)| PathBuf::from(value))
}
