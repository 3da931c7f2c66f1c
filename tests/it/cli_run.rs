//! Runs the real binary, in a home of its own and an empty environment.

use std::{path::Path, process::Stdio};

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// What a run said, with its home's path replaced.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timerose"));
    command.args(args).current_dir(dir).env_clear();
    command
        .env("HOME", dir)
        .env("TIMEROSE_PATH", dir.join("home"));
    command
        .env("TMPDIR", dir)
        .env("IPFS_PATH", dir.join("no-ipfs"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Runs `timerose args…` in `dir`.
pub(crate) async fn run(dir: &Path, args: &[&str]) -> Said {
    end(dir, command(dir, args).spawn().unwrap()).await
}

/// The same with `input` on standard input.
pub(crate) async fn run_with(dir: &Path, args: &[&str], input: &[u8]) -> Said {
    let mut child = command(dir, args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).await.unwrap();
    drop(stdin);
    end(dir, child).await
}

pub(crate) async fn end(dir: &Path, child: Child) -> Said {
    let ended = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait_with_output());
    let output = ended.await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.replace(&dir.display().to_string(), "DIR")
    };
    Said {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code().unwrap_or(-1),
    }
}
