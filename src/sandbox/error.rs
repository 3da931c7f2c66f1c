//! Why an attempt gave no output, and whose fault that is.
//!
//! [`Fault`] is the guest's and travels from the sandbox's process; [`Error`]
//! is the whole. Neither holds an error type of a library.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::model::Class;

/// What the code, its arguments or its output did wrong. Running it elsewhere
/// would give the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The guest trapped.
    #[error("the function trapped: {0}")]
    Trap(String),
    /// The guest ended with this code, which is not 0.
    #[error("the function exited with code {0}")]
    Exit(i32),
    /// The entry is not there.
    #[error("{}", missing(.name, .have))]
    MissingExport {
        /// What was asked for; empty where nothing was and it could not be
        /// told.
        name: String,
        /// Functions that are there, at most 20.
        have: Vec<String>,
    },
    /// The entry is there but cannot be called.
    #[error("`{name}` cannot be called: {reason}")]
    BadEntry {
        /// The export.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An argument does not fit the entry.
    #[error("bad argument: {0}")]
    BadArgument(String),
    /// The entry takes another number of byte strings.
    #[error("`{name}` takes {takes} byte strings, {given} {} given", if *.given == 1 { "was" } else { "were" })]
    Arity {
        /// The export.
        name: String,
        /// How many it takes.
        takes: usize,
        /// How many there were.
        given: usize,
    },
    /// A function of the `fan` ABI named a buffer outside its memory.
    #[error("the function named {length} bytes at {at}, its memory has {has}")]
    BadAllocation {
        /// Where the bytes begin.
        at: u64,
        /// How many they are.
        length: u64,
        /// Bytes of memory.
        has: u64,
    },
    /// A function of the `fan` ABI returned no length.
    #[error("the function returned {0}, which is no length")]
    BadReturn(i64),
    /// A function of the `fan` ABI left more than its buffer holds.
    #[error(
        "the output of {left} bytes is larger than its buffer of {room}: the arguments and 100 bytes"
    )]
    BufferOverflow {
        /// Bytes it left.
        left: u64,
        /// Bytes of the buffer.
        room: u64,
    },
    /// The result is no JSON number.
    #[error("the result {0} is no JSON number")]
    BadResult(String),
    /// The module wants something of the host that is not given.
    #[error("the module imports {module}.{name}, which no sandbox offers")]
    ForbiddenImport {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// The bytes are not a module that this sandbox runs.
    #[error("not a WebAssembly module: {0}")]
    NotWasm(String),
    /// The module uses what the sandbox does not have.
    #[error("the module needs {0}, which no sandbox offers")]
    Unsupported(String),
    /// The module is too large in one respect.
    #[error("the module has {count} {what}, at most {limit} are allowed")]
    CodeTooLarge {
        /// What was counted.
        what: String,
        /// How many there are.
        count: u64,
        /// How many may be.
        limit: u64,
    },
    /// Compiling took too long or too much memory.
    #[error("the module could not be compiled within the limits: {0}")]
    CompileLimit(String),
    /// Output over its limit.
    #[error("the output is larger than its limit of {limit} bytes")]
    OutputTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Folders within folders under `/out` without end.
    #[error("the output has folders deeper than {limit} levels, or than any path reaches")]
    OutputTooDeep {
        /// Levels that are allowed.
        limit: usize,
    },
    /// Something under `/out` is neither file nor directory.
    #[error("the output holds `{path}`, which is neither a file nor a directory")]
    BadOutput {
        /// Relative to `/out`.
        path: String,
    },
    /// Linear memory over its limit.
    #[error("the function asked for {wanted} bytes of memory, its limit is {limit}")]
    MemoryLimit {
        /// What it asked for.
        wanted: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Too many tables or table elements.
    #[error("the function asked for {wanted} {what}, its limit is {limit}")]
    TableLimit {
        /// `tables` or `table elements`.
        what: String,
        /// What it asked for.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// A container's processes needed more memory than there was for them.
    #[error("the function used up its {limit} bytes of memory")]
    OutOfMemory {
        /// The limit in bytes.
        limit: u64,
    },
    /// A Lambda function failed; JSON with `errorType` and `errorMessage`, as
    /// its runtime posted it.
    #[error("{0}")]
    Function(String),
    /// An image that cannot be loaded anywhere.
    #[error("the image cannot be loaded: {0}")]
    BadImage(String),
    /// Recursion without end.
    #[error("the function overflowed its stack")]
    StackOverflow,
    /// The instruction budget is spent.
    #[error("the function ran out of fuel")]
    OutOfFuel,
}

/// Why an attempt gave no output.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The code's own doing.
    #[error(transparent)]
    User(#[from] Fault),
    /// The wall time ran out.
    #[error("not finished within {}", humantime::format_duration(*.after))]
    Deadline {
        /// The limit that was reached.
        after: Duration,
    },
    /// The caller asked for the end.
    #[error("cancelled")]
    Cancelled,
    /// The input stream failed; the guest saw no end of it.
    #[error("the input broke off: {0}")]
    Input(#[source] io::Error),
    /// The disk of this node is full.
    #[error("the executor's disk is full")]
    DiskFull,
    /// Reading or writing files of the attempt failed.
    #[error("sandbox input and output: {0}")]
    Io(#[from] io::Error),
    /// The runtime is not to be had here now.
    #[error("this node cannot run it: {0}")]
    Unavailable(String),
    /// The container engine failed.
    #[error("the container engine: {0}")]
    Engine(String),
    /// The sandbox's process ended by itself or was killed.
    #[error("the sandbox process died: {0}")]
    ProcessDied(String),
    /// The sandbox's process did not start.
    #[error("cannot start the sandbox process {program}: {source}")]
    Spawn {
        /// What was to be started.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
}

impl Error {
    /// Whose fault it is, as receipts say it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::User(_) => Class::User,
            Self::Deadline { .. } => Class::Deadline,
            Self::Cancelled => Class::Cancelled,
            Self::Input(_)
            | Self::DiskFull
            | Self::Io(_)
            | Self::Unavailable(_)
            | Self::Engine(_)
            | Self::ProcessDied(_)
            | Self::Spawn { .. } => Class::Node,
        }
    }

    /// Whether the same attempt may succeed later or on another node.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        self.class().is_worth_another_executor()
    }
}

/// A full disk is told apart from other failures.
pub(super) fn of_io(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull,
        _ => Error::Io(error),
    }
}

fn missing(name: &str, have: &[String]) -> String {
    let have = listed(have);
    if name.is_empty() {
        format!("it was not said which export to call; there are: {have}")
    } else {
        format!("the module exports no `{name}`; it has: {have}")
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "no function".to_owned()
    } else {
        names.join(", ")
    }
}
