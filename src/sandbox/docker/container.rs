//! One container, from its creation to its removal.
//!
//! Takes a body of `create`, gives how it ended. It is gone some moments after
//! this value is, whoever drops it and whenever: also while the engine is still
//! making it.

use std::{convert::Infallible, pin::Pin, time::Duration};

use bollard::{
    Docker,
    container::LogOutput,
    errors::Error as Engine,
    models::ContainerCreateBody,
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, InspectContainerOptions,
        RemoveContainerOptionsBuilder, StartContainerOptions, StatsOptionsBuilder,
        StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
    },
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tracing::warn;

use super::{engine::failed, settings::STOP_SECONDS};
use crate::{
    model::Limits,
    sandbox::{
        Error, Fault, Input,
        capped::{Log, Out},
    },
    task::Tasks,
};

/// Tries to remove a container, and the time between two.
const REMOVALS: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(250);
/// A write over the size that a file may have ends a process so.
const FILE_LIMIT_EXIT: i64 = 128 + 25;
/// The engine's answers about a container that is not there, or is going.
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

/// A container, alive or not.
#[derive(Debug)]
pub(in crate::sandbox) struct Container {
    docker: Docker,
    name: String,
    tasks: Tasks,
    /// The engine said that there is none.
    is_refused: bool,
}

/// The two ends of what it says.
pub(super) type Said<'a> = (&'a mut Out, &'a mut Log);

/// Its streams, before it starts.
pub(super) struct Attached {
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Engine>> + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Container {
    /// Makes it; nothing runs yet.
    pub(super) async fn create(
        docker: Docker,
        body: ContainerCreateBody,
        tasks: Tasks,
    ) -> Result<Self, Error> {
        let name = format!("timerose-{}", ulid::Ulid::new().to_string().to_lowercase());
        let options = CreateContainerOptionsBuilder::default().name(&name).build();
        let mut container = Self {
            docker,
            name,
            tasks,
            is_refused: false,
        };
        let created = container.docker.create_container(Some(options), body).await;
        container.is_refused = matches!(created, Err(Engine::DockerResponseServerError { .. }));
        created.map_err(failed)?;
        Ok(container)
    }

    /// Takes hold of its streams.
    pub(super) async fn attach(&self, has_stdin: bool) -> Result<Attached, Error> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(has_stdin)
            .stdout(true)
            .stderr(true)
            .build();
        let attached = self
            .docker
            .attach_container(&self.name, Some(options))
            .await;
        let attached = attached.map_err(failed)?;
        Ok(Attached {
            output: attached.output,
            input: attached.input,
        })
    }

    /// Starts it.
    pub(in crate::sandbox) async fn start(&self) -> Result<(), Error> {
        let options = None::<StartContainerOptions>;
        let started = self.docker.start_container(&self.name, options).await;
        started.map_err(failed)
    }

    /// Gives it `stdin`, takes what it says, until it ends; gives its exit code.
    pub(super) async fn converse(
        &self,
        attached: Attached,
        stdin: Option<Input>,
        said: Said<'_>,
    ) -> Result<i64, Error> {
        let Attached { output, input } = attached;
        let listened = listen(output, said);
        tokio::pin!(listened);
        tokio::select! {
            error = feed(input, stdin) => return Err(error),
            listened = &mut listened => listened?,
        }
        self.exit_code().await
    }

    /// Waits for its end.
    pub(in crate::sandbox) async fn exit_code(&self) -> Result<i64, Error> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut ended = Box::pin(self.docker.wait_container(&self.name, Some(options)));
        match ended.next().await {
            Some(Ok(ended)) => Ok(ended.status_code),
            Some(Err(Engine::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(failed(error)),
            None => Err(Error::Engine(
                "it did not say how the container ended".to_owned(),
            )),
        }
    }

    /// What its end with `code` means.
    pub(super) async fn verdict(&self, code: i64, limits: &Limits) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        if self.was_out_of_memory().await? {
            return Err(Fault::OutOfMemory {
                limit: limits.memory_bytes,
            }
            .into());
        }
        if code == FILE_LIMIT_EXIT {
            return Err(Fault::OutputTooLarge {
                limit: limits.output_bytes,
            }
            .into());
        }
        Err(Fault::Exit(i32::try_from(code).unwrap_or(i32::MAX)).into())
    }

    /// Whether the kernel ended something in it for its memory.
    pub(in crate::sandbox) async fn was_out_of_memory(&self) -> Result<bool, Error> {
        let options = None::<InspectContainerOptions>;
        let looked = self.docker.inspect_container(&self.name, options).await;
        let state = looked.map_err(failed)?.state.unwrap_or_default();
        Ok(state.oom_killed == Some(true))
    }

    /// Tells what memory it is seen to use, for ever.
    pub(in crate::sandbox) async fn weigh(&self, mut seen: impl FnMut(u64)) -> Infallible {
        let options = StatsOptionsBuilder::default().stream(true).build();
        let mut stats = Box::pin(self.docker.stats(&self.name, Some(options)));
        while let Some(Ok(one)) = stats.next().await {
            let memory = one.memory_stats.unwrap_or_default();
            seen(memory.max_usage.max(memory.usage).unwrap_or_default());
        }
        std::future::pending().await
    }

    /// Asks it to end, and ends it where it does not.
    pub(super) async fn stop(&self) {
        let options = StopContainerOptionsBuilder::default()
            .t(STOP_SECONDS)
            .build();
        if let Err(error) = self.docker.stop_container(&self.name, Some(options)).await {
            warn!(container = self.name, %error, "a container did not stop");
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.is_refused {
            return;
        }
        let (docker, name) = (self.docker.clone(), std::mem::take(&mut self.name));
        self.tasks.spawn_to_end("container.remove", async move {
            if let Err(error) = remove(&docker, &name).await {
                warn!(container = name, %error, "a container could not be removed");
            }
        });
    }
}

/// Ends and removes a container. One that the engine is still making is not
/// there yet: it is looked for again.
pub(super) async fn remove(docker: &Docker, name: &str) -> Result<(), Engine> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    let mut was_there = false;
    let mut last = Ok(());
    for _ in 0..REMOVALS {
        match docker.remove_container(name, Some(options.clone())).await {
            Ok(()) => return Ok(()),
            Err(Engine::DockerResponseServerError {
                status_code: NOT_FOUND,
                ..
            }) if was_there => return Ok(()),
            Err(Engine::DockerResponseServerError {
                status_code: NOT_FOUND,
                ..
            }) => last = Ok(()),
            Err(Engine::DockerResponseServerError {
                status_code: CONFLICT,
                ..
            }) => was_there = true,
            Err(error) => last = Err(error),
        }
        tokio::time::sleep(REMOVAL_PAUSE).await;
    }
    last
}

/// Until it has said everything.
async fn listen(
    mut output: impl Stream<Item = Result<LogOutput, Engine>> + Unpin,
    (out, log): Said<'_>,
) -> Result<(), Error> {
    while let Some(piece) = output.try_next().await.map_err(failed)? {
        match piece {
            LogOutput::StdErr { message } => log.append(&message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                out.append(&message)?;
            }
            LogOutput::StdIn { .. } => {}
        }
    }
    Ok(())
}

/// Gives only an error of the input itself; a guest need not read it.
async fn feed(mut to: impl AsyncWrite + Unpin, stdin: Option<Input>) -> Error {
    if let Some(mut stdin) = stdin {
        while let Some(piece) = stdin.next().await {
            match piece {
                Err(error) => return Error::Input(error),
                Ok(piece) if to.write_all(&piece).await.is_err() => break,
                Ok(_) => {}
            }
        }
        let _gone_already = to.shutdown().await;
    }
    // The stream stays open: closing all of it would end what is heard too.
    let _keep = to;
    std::future::pending().await
}
