//! Runs code that nobody trusts: a trait, and what implements it.
//!
//! Takes an [`Attempt`] (code, input, limits), gives an [`Output`] on disk or
//! an [`Error`] that says whose fault it was. Never runs guest code in its own
//! process, never fetches anything, never decides whether to try again.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use bytes::Bytes;
use cid::Cid;
use futures_util::{future::BoxFuture, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use crate::model::{Abi, Limits};

mod capped;
pub mod check;
pub mod docker;
mod error;
mod folders;
pub mod lambda;
mod offers;
pub(crate) mod scratch;
mod tree;
pub mod wasm;

pub use check::{Report, check};
pub use docker::Docker;
pub use error::{Error, Fault};
pub use lambda::Lambda;
pub use offers::Sandboxes;
pub use wasm::Wasm;

/// What runs code.
pub trait Sandbox: Send + Sync + fmt::Debug {
    /// The runtime's name as in manifests and adverts: `wasm`.
    fn runtime(&self) -> &'static str;

    /// The kinds of code that it runs now, as adverts list them.
    ///
    /// # Errors
    /// Why it runs none at present, for people.
    fn offers(&self) -> Result<Vec<String>, String>;

    /// Runs `attempt` to its end, its limits or `cancel`, whichever is first;
    /// returns within 500 ms of the latter two, containers within 5 s. Dropping
    /// the future ends the guest too. Waits for a free process as long as
    /// `cancel` allows.
    fn run(
        &self,
        attempt: Attempt,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Output, Error>>;
}

/// Input that arrives while the guest reads it.
pub type Input = BoxStream<'static, std::io::Result<Bytes>>;

/// One run of one piece of code.
pub struct Attempt {
    /// Whose code it is: processes are never shared between owners.
    pub owner: String,
    /// What is run.
    pub program: Program,
    /// `wasi` and containers: strings, or scalars taken by their JSON text;
    /// `scalar`: numbers; `fan`: names of files in `input_dir`, whose bytes the
    /// arguments are.
    pub args: Vec<serde_json::Value>,
    /// The whole environment of the guest.
    pub env: BTreeMap<String, String>,
    /// Standard input, streamed. An error in it fails the attempt.
    pub stdin: Option<Input>,
    /// A directory that the guest sees as `/in`, read-only.
    pub input_dir: Option<PathBuf>,
    /// A directory of this attempt alone, made and removed by the caller, with
    /// nothing in it but perhaps an empty `out/`. What the guest writes appears
    /// in it, also when the attempt fails: `out/`, `stderr` with its first
    /// byte, `stdout` where it is large.
    pub work: PathBuf,
    /// Caps; wall time counts from the start of the guest, not of its compiler.
    pub limits: Limits,
}

/// What a sandbox runs; each knows one kind.
#[derive(Clone, Debug)]
pub enum Program {
    /// A WebAssembly module or component.
    Wasm(Module),
    /// A container.
    Docker(Container),
    /// A Lambda function.
    Lambda(Function),
}

/// A WebAssembly module or component, and how it is called.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its bytes.
    pub code: Code,
    /// How it is called.
    pub abi: Abi,
    /// The export to call; `_start` where it is absent and the ABI has one.
    pub entry: Option<String>,
    /// Deterministic instruction budget, where the call asks for one.
    pub fuel: Option<u64>,
    /// Fixed clocks, deterministic randomness and NaNs.
    pub pure: bool,
}

/// A container, and what it runs.
#[derive(Clone, Debug)]
pub struct Container {
    /// The image, as the engine knows it.
    pub image: String,
    /// In place of the image's command; the image's own where it is empty.
    /// Arguments follow it.
    pub command: Vec<String>,
    /// In place of the image's working directory.
    pub workdir: Option<String>,
    /// What the engine shows of it: `timerose.invocation`, `timerose.lease`.
    pub labels: BTreeMap<String, String>,
}

/// A Lambda function, and the request that it is to answer.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its manifest's CID: containers of one are never used for another.
    pub name: String,
    /// What its runtime is told that it is called.
    pub title: String,
    /// The request's id.
    pub request: String,
    /// The image, as the engine knows it.
    pub image: String,
    /// A folder with its code, where the image does not hold it.
    pub code: Option<PathBuf>,
    /// What of the code is called, as its runtime writes it.
    pub handler: Option<String>,
    /// What the engine shows of its containers.
    pub labels: BTreeMap<String, String>,
}

/// Verified module bytes on disk.
#[derive(Clone, Debug)]
pub struct Code {
    /// Names the bytes; the caller has verified them.
    pub cid: Cid,
    /// Where they are.
    pub path: PathBuf,
}

/// What a finished guest left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// Standard output, at most `output_bytes`.
    pub stdout: Stdout,
    /// `/out` where it is not empty: regular files and directories only.
    pub out_dir: Option<PathBuf>,
    /// Standard error, at most `log_bytes`, with a mark where it was cut; no
    /// file where nothing was written.
    pub logs: PathBuf,
    /// The guest's exit code: 0, any other is [`Fault::Exit`].
    pub exit: i32,
    /// What it cost.
    pub usage: Usage,
}

/// What a guest wrote to its standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Little enough to be handed over, at most [`SMALL_BYTES`].
    Small(Bytes),
    /// A file.
    File(PathBuf),
}

/// The name of the folders that are an owner's alone.
#[must_use]
pub fn owner_folder(owner: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    match (1..=64).contains(&owner.len()) && owner.chars().all(is_plain) {
        true => owner.to_owned(),
        false => {
            use sha2::{Digest as _, Sha256};
            crate::wire::hex(&Sha256::digest(owner))
        }
    }
}

/// Files and folders of an input or output, whatever their size.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// Folders within folders that an input or output may have: more than any project
/// has, and less than any tool takes.
pub(crate) const MAX_DEPTH: usize = 100;

/// Input and output up to this size never touch a disk.
pub const SMALL_BYTES: usize = 64 << 10;

impl Stdout {
    /// All of it.
    ///
    /// # Errors
    /// The file's.
    pub fn read(&self) -> std::io::Result<Bytes> {
        match self {
            Self::Small(bytes) => Ok(bytes.clone()),
            Self::File(path) => std::fs::read(path).map(Bytes::from),
        }
    }
}

/// What one attempt used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Time of the guest itself, microseconds.
    pub run_us: u64,
    /// Fuel spent, where it was counted.
    pub fuel: Option<u64>,
    /// Largest linear memory, or memory of a container, bytes; 0 where it is
    /// not known.
    pub memory_peak_bytes: u64,
    /// Time to compile the module or to load it from the cache, microseconds;
    /// 0 when it was still in the process.
    pub compile_us: u64,
    /// Whether a process or container had to be started or a module loaded.
    pub cold: bool,
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("owner", &self.owner)
            .field("program", &self.program)
            .field("work", &self.work)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
