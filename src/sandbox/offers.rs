//! All sandboxes of a node, and which of them there are now.
//!
//! Takes attempts, gives them to the sandbox that runs their kind of program;
//! says what is offered, and of what is not, why.

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{Attempt, Docker, Error, Lambda, Output, Program, Sandbox};

/// The sandboxes of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    wasm: Arc<dyn Sandbox>,
    docker: Docker,
    lambda: Lambda,
}

impl Sandboxes {
    /// Of these.
    #[must_use]
    pub fn new(wasm: Arc<dyn Sandbox>, docker: Docker, lambda: Lambda) -> Self {
        Self {
            wasm,
            docker,
            lambda,
        }
    }

    /// Runs `attempt`, as [`Sandbox::run`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn run(&self, attempt: Attempt, cancel: CancellationToken) -> Result<Output, Error> {
        match &attempt.program {
            Program::Wasm(_) => self.wasm.run(attempt, cancel).await,
            Program::Docker(_) => self.docker.run(attempt, cancel).await,
            Program::Lambda(_) => self.lambda.run(attempt, cancel).await,
        }
    }

    /// What runs here now, by runtime.
    #[must_use]
    pub fn offers(&self) -> BTreeMap<String, Vec<String>> {
        let offered = |sandbox: &dyn Sandbox| {
            let kinds = sandbox.offers().ok()?;
            Some((sandbox.runtime().to_owned(), kinds))
        };
        self.all().filter_map(offered).collect()
    }

    /// What does not run here now, and why.
    #[must_use]
    pub fn lacking(&self) -> BTreeMap<String, String> {
        let lacked = |sandbox: &dyn Sandbox| {
            let why = sandbox.offers().err()?;
            Some((sandbox.runtime().to_owned(), why))
        };
        self.all().filter_map(lacked).collect()
    }

    /// Why `runtime` (`wasm/wasi`, `docker`) does not run here now.
    #[must_use]
    pub fn lacks(&self, runtime: &str) -> Option<String> {
        let (name, kind) = runtime.split_once('/').unwrap_or((runtime, ""));
        let Some(sandbox) = self.all().find(|sandbox| sandbox.runtime() == name) else {
            return Some(format!("does not know {runtime}"));
        };
        match sandbox.offers() {
            Err(why) => Some(format!("does not offer {name}: {why}")),
            Ok(kinds) if kind.is_empty() || kinds.iter().any(|offered| offered == kind) => None,
            Ok(_) => Some(format!("does not offer {runtime}")),
        }
    }

    /// What runs the code of `runtime` here, as receipts name it.
    #[must_use]
    pub fn engine(&self, runtime: &str) -> String {
        match runtime == self.wasm.runtime() {
            true => super::wasm::ENGINE.to_owned(),
            false => self.docker.engine().unwrap_or_default(),
        }
    }

    /// What runs containers, and keeps their images.
    #[must_use]
    pub const fn docker(&self) -> &Docker {
        &self.docker
    }

    fn all(&self) -> impl Iterator<Item = &dyn Sandbox> {
        let all: [&dyn Sandbox; 3] = [&*self.wasm, &self.docker, &self.lambda];
        all.into_iter()
    }
}
