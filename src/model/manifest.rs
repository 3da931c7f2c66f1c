//! The manifest: what a function is. Its CID is the function's name.

use std::collections::BTreeMap;

use cid::Cid;
use ipld_core::ipld::Ipld;
use serde::{Deserialize, Serialize};

use super::Limits;

/// The value of a manifest's `timerose` field.
pub const FUNCTION_TAG: &str = "function/1";

/// Describes a function completely. Canonical DAG-CBOR; unknown fields are
/// refused, since two readers must never see two different functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FUNCTION_TAG`].
    pub timerose: String,
    /// A name for people; not unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What runs the code.
    pub runtime: Runtime,
    /// The export that a call without an entry means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The only exports that a call may name; any where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// Caps on every attempt.
    pub limits: Limits,
    /// Equal calls give equal results: no clock, no randomness, memoized.
    pub pure: bool,
    /// The author allows repeated runs of code with effects.
    pub may_repeat: bool,
    /// The code asks for network access; refused unless policy grants it.
    pub network: bool,
    /// Environment of the guest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// JSON Schema of the arguments, for people and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Ipld>,
}

/// What runs a function's code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Runtime {
    /// A WebAssembly module.
    #[serde(rename_all = "lowercase")]
    Wasm {
        /// The module, a UnixFS file.
        code: Cid,
        /// How it is called.
        abi: Abi,
    },
    /// A container.
    #[serde(rename_all = "lowercase")]
    Docker {
        /// The image: a directory in the form of an OCI image layout.
        image: Cid,
        /// In place of the image's command.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        command: Vec<String>,
        /// In place of the image's working directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workdir: Option<String>,
    },
    /// An AWS Lambda function.
    Lambda(Lambda),
}

/// A Lambda function: code for a runtime whose image executors have, or an
/// image that has both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lambda {
    /// The code, a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cid>,
    /// What runs it: `python3.12`, `nodejs20.x`, `provided.al2023`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What of the code is called: `module.function`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
    /// An image with a runtime and code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Cid>,
}

impl Lambda {
    /// What an executor needs: the directory or the image.
    ///
    /// # Errors
    /// What is wrong with it: it is neither, or both.
    pub const fn source(&self) -> Result<&Cid, &'static str> {
        match self {
            Self {
                code: Some(code),
                runtime: Some(_),
                handler: Some(_),
                image: None,
            } => Ok(code),
            Self {
                code: None,
                runtime: None,
                image: Some(image),
                ..
            } => Ok(image),
            _ => Err("a Lambda function has code, runtime and handler, or an image"),
        }
    }
}

/// How a WebAssembly module is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Abi {
    /// A command module: args, stdin, stdout, `/in` read-only, `/out`.
    Wasi,
    /// Exports called with JSON numbers.
    Scalar,
    /// A component that is a command of WASI preview 2; given what `wasi` is
    /// given.
    Component,
    /// The function-addressable network's: exports that take byte strings and
    /// leave one in their place.
    Fan,
}

impl Abi {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Wasi, Self::Component, Self::Scalar, Self::Fan];

    /// As manifests and adverts write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wasi => "wasi",
            Self::Component => "component",
            Self::Scalar => "scalar",
            Self::Fan => "fan",
        }
    }
}

impl Manifest {
    /// The export that a call means which names `entry`, or none.
    ///
    /// # Errors
    /// The name that is not among [`Self::entries`].
    pub fn entry_of(&self, entry: Option<&str>) -> Result<Option<String>, String> {
        let entry = entry.or(self.entry.as_deref());
        let is_offered = |name: &str| {
            self.entries.is_empty() || self.entries.iter().any(|offered| offered == name)
        };
        match entry {
            Some(name) if !is_offered(name) => Err(name.to_owned()),
            entry => Ok(entry.map(str::to_owned)),
        }
    }

    /// A pure WASM function with default limits.
    #[must_use]
    pub fn wasm(code: Cid, abi: Abi) -> Self {
        Self::of(Runtime::Wasm { code, abi })
    }

    /// A pure function of `runtime` with default limits.
    #[must_use]
    pub fn of(runtime: Runtime) -> Self {
        Self {
            timerose: FUNCTION_TAG.to_owned(),
            name: None,
            description: None,
            runtime,
            entry: None,
            entries: Vec::new(),
            limits: Limits::default(),
            pure: true,
            may_repeat: false,
            network: false,
            env: BTreeMap::new(),
            schema: None,
        }
    }
}

impl Runtime {
    /// The sandbox that runs it: `wasm`.
    #[must_use]
    pub const fn sandbox(&self) -> &'static str {
        match self {
            Self::Wasm { .. } => "wasm",
            Self::Docker { .. } => "docker",
            Self::Lambda(_) => "lambda",
        }
    }

    /// The CID of the code an executor needs; none of a function that makes no
    /// sense.
    #[must_use]
    pub fn code(&self) -> Option<&Cid> {
        match self {
            Self::Wasm { code, .. } => Some(code),
            Self::Docker { image, .. } => Some(image),
            Self::Lambda(lambda) => lambda.source().ok(),
        }
    }
}
