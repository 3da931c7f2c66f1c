//! `timerose receipt`: what was signed, and whether it holds.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    connect::live,
    context::Context,
    exit::{Stop, file},
    table::{bytes, millis, record},
};
use crate::{
    compute::Failure,
    model::{Class, Outcome, Receipt},
    wire::{
        Refusal, block, car, cid_of, dagjson,
        receipt::{Verified, open},
    },
};

/// Show, verify or export the signed receipt of a run
///
/// A receipt says which call ran where and what came of it, signed by the executor's node. It
/// holds without a network and after the signing key expired.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose receipt show 01JD…
  timerose receipt verify bafy…
  timerose receipt export 01JD… run.car
  timerose receipt verify run.car           needs neither Kubo nor a daemon")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print what a receipt says
    Show {
        /// CAR file, id of an invocation, or the receipt's CID
        name: String,
    },
    /// Check who signed a receipt, and that nothing in it was changed
    Verify {
        /// CAR file, id of an invocation, or the receipt's CID
        name: String,
    },
    /// Write a receipt, with what belongs to it, into a CAR file
    Export {
        /// Id of an invocation, or the receipt's CID
        name: String,
        /// File to write
        file: PathBuf,
    },
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        match self.command {
            Command::Show { name } => show(cx, &name).await,
            Command::Verify { name } => verify(cx, &name).await,
            Command::Export { name, file: path } => {
                let car = live(cx).await?.receipt_car(&name).await?;
                std::fs::write(&path, car).map_err(|e| file(&path, &e))?;
                cx.out.line(path.display())
            }
        }
    }
}

async fn show(cx: &Context, name: &str) -> Result<(), Stop> {
    let bytes = receipt_bytes(cx, name).await?;
    let (receipt, _) = open(&bytes).map_err(refused)?;
    if cx.out.is_json() {
        let json = dagjson::encode(&receipt).map_err(refused)?;
        return cx.out.line(String::from_utf8_lossy(&json));
    }
    cx.out.line(text(&receipt))
}

async fn verify(cx: &Context, name: &str) -> Result<(), Stop> {
    let bytes = receipt_bytes(cx, name).await?;
    let (receipt, verified) = open(&bytes).map_err(refused)?;
    let verdict = Verdict::of(&bytes, &receipt, &verified);
    cx.out.show(&verdict, |v| {
        let started = v.started.as_str();
        let private = if v.private { PRIVATE } else { "" };
        format!(
            "valid: {} signed receipt {}\nIt ran call {} at {started}, by its own clock.{private}",
            v.executor, v.receipt, v.call
        )
    })
}

/// What a private receipt proves less.
const PRIVATE: &str =
    "\nIt is private: output and logs are sealed, and only their owner can compare the digest.";

/// What `verify` says of a receipt that holds.
#[derive(Debug, Serialize)]
struct Verdict {
    valid: bool,
    receipt: String,
    executor: String,
    key: String,
    call: String,
    invocation: String,
    /// The executor's own word; only that its key was bound then is checked.
    started: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private: bool,
}

impl Verdict {
    fn of(bytes: &[u8], receipt: &Receipt, verified: &Verified) -> Self {
        Self {
            valid: true,
            receipt: cid_of(block::DAG_CBOR, bytes).to_string(),
            executor: verified.executor.to_string(),
            key: verified.kid.to_string(),
            call: receipt.call.to_string(),
            invocation: receipt.invocation.to_string(),
            started: time(receipt.started),
            private: receipt.private,
        }
    }
}

/// From the file of that name, else from the daemon.
async fn receipt_bytes(cx: &Context, name: &str) -> Result<Vec<u8>, Failure> {
    if !Path::new(name).is_file() {
        if name.ends_with(".car") {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(file(Path::new(name), &missing)
                .with_hint("`timerose receipt export` writes such a file."));
        }
        return live(cx).await?.receipt(name).await;
    }
    let bytes = std::fs::read(name).map_err(|e| file(Path::new(name), &e))?;
    root_of(&bytes).map_err(refused)
}

/// Blocks that an exported receipt has at most.
const BLOCKS_MAX: usize = 1_024;

fn root_of(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let car = car::read(bytes, BLOCKS_MAX)?;
    let root = car.roots.first().ok_or(Refusal::Malformed)?;
    let found = car.blocks.into_iter().find(|(cid, _)| cid == root);
    found.map(|(_, data)| data).ok_or(Refusal::Malformed)
}

fn refused(refusal: Refusal) -> Failure {
    Failure::new(
        Class::Refused,
        "bad_receipt",
        format!("the receipt is refused: {refusal}"),
    )
    .with_hint("Do not trust it: it was changed, or is not what it claims to be.")
}

fn text(receipt: &Receipt) -> String {
    let mut lines = vec![
        ("call", receipt.call.to_string()),
        ("invocation", receipt.invocation.to_string()),
        ("executor", receipt.executor.clone()),
        (
            "attempt",
            format!("{} of replica {}", receipt.attempt, receipt.replica),
        ),
        ("runtime", receipt.runtime.clone()),
        ("started", time(receipt.started)),
        ("elapsed", millis(receipt.elapsed_ms)),
        ("memory", bytes(receipt.usage.memory_bytes)),
        (
            "input",
            format!(
                "{} lay there, {} fetched",
                bytes(receipt.usage.local_bytes),
                bytes(receipt.usage.fetched_bytes)
            ),
        ),
    ];
    match &receipt.outcome {
        Outcome::Ok { output, exit, .. } => {
            lines.push(("output", output.to_string()));
            lines.push(("exit", exit.to_string()));
        }
        Outcome::Err { class, message, .. } => {
            lines.push(("error", format!("{}: {message}", class.as_str())));
        }
    }
    if receipt.private {
        lines.push(("private", "yes: output and logs are sealed".to_owned()));
    }
    lines.push(("signature", "verified".to_owned()));
    record(&lines)
}

fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{unix_ms} ms"), |t| t.to_string())
}
