//! AWS Lambda functions, unchanged, in containers without a network.
//!
//! Takes attempts whose input is an event, gives the runtime's answer. Runtimes
//! find the real Runtime API on loopback; containers stay warm for the next
//! event of the same function and owner, one event at a time each.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Attempt, Docker, Error, Fault, Function, Output, Program, Sandbox, Usage,
    capped::{Log, Out},
    docker::{Bind, Containers, PROGRAM, Spec},
    error::of_io,
};
use crate::task::Tasks;

mod api;
mod desk;
mod hearing;
mod instance;
mod payload;
mod pool;

use desk::{Answer, Ended, Event};
use instance::Instance;
use payload::Figures;
use pool::{Key, Pool};

/// Room in `/tmp`, as functions expect it.
const TMP_BYTES: u64 = 512 << 20;
/// How often idle containers are looked at.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(1);
/// Where the code lies.
const TASK_ROOT: &str = "/var/task";

/// How [`Lambda`] works.
#[derive(Clone, Debug)]
pub struct Config {
    /// A folder that the engine sees under the same name; for sockets, so its
    /// path should be short.
    pub work_dir: PathBuf,
    /// Runtimes that have an image here: `python3.12`.
    pub runtimes: Vec<String>,
    /// Containers that stay warm, over all functions.
    pub max_warm: usize,
    /// For how long one does that nobody asks for.
    pub idle_timeout: Duration,
}

/// The Lambda sandbox. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lambda {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    docker: Docker,
    pool: Pool,
    tasks: Tasks,
}

impl Lambda {
    /// Runs functions on the engine that `docker` finds; a task of `tasks`
    /// ends idle containers, and all of them with the family.
    #[must_use]
    pub fn start(config: Config, docker: Docker, tasks: &Tasks) -> Self {
        let pool = Pool::new(config.max_warm, config.idle_timeout);
        let inner = Arc::new(Inner {
            config,
            docker,
            pool,
            tasks: tasks.clone(),
        });
        let (kept, ended) = (Arc::clone(&inner), tasks.cancelled());
        tasks.spawn_to_end("lambda.expire", async move {
            let expire = async {
                loop {
                    tokio::time::sleep(EXPIRE_INTERVAL).await;
                    kept.pool.expire();
                }
            };
            let _ended: Option<()> = ended.run_until_cancelled(expire).await;
            kept.pool.clear();
        });
        Self { inner }
    }

    /// Containers that are warm now.
    #[must_use]
    pub fn warm(&self) -> usize {
        self.inner.pool.len()
    }

    async fn attempt(
        &self,
        mut attempt: Attempt,
        cancel: CancellationToken,
    ) -> Result<Output, Error> {
        let Program::Lambda(function) = attempt.program.clone() else {
            return Err(Error::Unavailable(
                "it runs Lambda functions only".to_owned(),
            ));
        };
        let containers = self.inner.docker.containers().map_err(Error::Unavailable)?;
        let body = event(attempt.stdin.take(), &attempt.args).await?;
        let run = Run {
            inner: &self.inner,
            containers: &containers,
            function: &function,
            key: Key {
                owner: attempt.owner.clone(),
                function: function.name.clone(),
                memory_bytes: attempt.limits.memory_bytes,
            },
            env: attempt.env.clone(),
            limits: attempt.limits,
            work: attempt.work.clone(),
        };
        let context = client_context(&attempt.args);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            output = run.whole(body, context) => {
                if matches!(output, Err(Error::Engine(_))) {
                    self.inner.docker.doubt(&containers).await;
                }
                output
            }
        }
    }
}

impl Sandbox for Lambda {
    fn runtime(&self) -> &'static str {
        "lambda"
    }

    fn offers(&self) -> Result<Vec<String>, String> {
        self.inner.docker.containers()?;
        let image = std::iter::once("image".to_owned());
        Ok(image.chain(self.inner.config.runtimes.clone()).collect())
    }

    fn run(
        &self,
        attempt: Attempt,
        cancel: CancellationToken,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        self.attempt(attempt, cancel).boxed()
    }
}

/// The event: the input, else the first argument that is text, else nothing.
async fn event(stdin: Option<super::Input>, args: &[serde_json::Value]) -> Result<Bytes, Error> {
    let Some(mut stdin) = stdin else {
        let text = args.iter().find_map(|arg| arg.as_str());
        return Ok(Bytes::from(text.unwrap_or("{}").to_owned()));
    };
    let mut bytes = BytesMut::new();
    while let Some(piece) = stdin.next().await {
        bytes.extend_from_slice(&piece.map_err(Error::Input)?);
        if bytes.len() > payload::MAX_PAYLOAD_BYTES {
            return Err(Fault::Function(payload::request_too_large()).into());
        }
    }
    Ok(bytes.freeze())
}

/// What the caller sent beside the event.
fn client_context(args: &[serde_json::Value]) -> Option<String> {
    let named = args.iter().find_map(|arg| arg.get("client_context"));
    Some(named?.as_str()?.to_owned())
}

/// One event in one container.
struct Run<'a> {
    inner: &'a Arc<Inner>,
    containers: &'a Containers,
    function: &'a Function,
    key: Key,
    env: BTreeMap<String, String>,
    limits: crate::model::Limits,
    work: PathBuf,
}

impl Run<'_> {
    /// From the start of a container, where none is warm, to the answer.
    async fn whole(self, body: Bytes, client_context: Option<String>) -> Result<Output, Error> {
        let id = self.function.request.clone();
        let wall = Duration::from_millis(self.limits.wall_ms);
        let warm = self.warm(wall).await;
        let is_cold = warm.is_none();
        let instance = match warm {
            Some(instance) => instance,
            None => self.start().await?,
        };
        let mut log = Log::at(self.work.join("stderr"), self.limits.log_bytes);
        log.append(payload::start(&id).as_bytes());
        instance.listen(log);
        let began = Instant::now();
        let ended =
            tokio::time::timeout(wall, self.run(&instance, &id, (body, client_context))).await;
        let figures = Figures {
            duration: began.elapsed(),
            init: is_cold.then(|| began.duration_since(instance.began)),
            memory_limit: self.limits.memory_bytes,
            memory_used: instance.memory_peak(),
        };
        let mut log = instance.heard();
        let result = match ended {
            Ok(ended) => verdict(&id, ended, &instance).await,
            Err(_) => Err(Error::Deadline { after: wall }),
        };
        if let Some(log) = &mut log {
            if matches!(result, Err(Error::Deadline { .. })) {
                log.append(payload::timed_out(&id, wall).as_bytes());
            }
            log.append(payload::end(&id, &figures).as_bytes());
        }
        let response = result?;
        if instance.is_alive() {
            self.inner.pool.keep(self.key.clone(), instance);
        }
        self.output(response?, &figures, is_cold)
    }

    async fn run(
        &self,
        instance: &Instance,
        id: &str,
        (body, client_context): (Bytes, Option<String>),
    ) -> Ended {
        if let Err(ended) = instance.ready().await {
            return ended;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let deadline = now + Duration::from_millis(self.limits.wall_ms);
        let event = Event {
            id: id.to_owned(),
            body,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            arn: self.function.arn(),
            trace: trace(now, id),
            client_context,
        };
        instance.run(event).await
    }

    /// A container that waits for an event. One that ended since its last, or
    /// does not come back from it, is let go of.
    async fn warm(&self, patience: Duration) -> Option<Instance> {
        while let Some(instance) = self.inner.pool.take(&self.key) {
            let ready = tokio::time::timeout(patience, instance.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(instance);
            }
        }
        None
    }

    async fn start(&self) -> Result<Instance, Error> {
        let config = &self.inner.config;
        let init = config.work_dir.join("container-init");
        place(&init).map_err(of_io)?;
        let spec = self.spec();
        let places = (config.work_dir.as_path(), init.as_path());
        Instance::start(self.containers, places, spec, &self.inner.tasks).await
    }

    fn spec(&self) -> Spec {
        let function = self.function;
        let task = function.code.clone().map(|source| Bind {
            source,
            target: TASK_ROOT,
            is_writable: false,
        });
        let has_code = task.is_some();
        Spec {
            image: function.image.clone(),
            // Code that came by itself is begun by a bootstrap, whatever its image begins.
            entrypoint: has_code.then(Vec::new),
            command: Vec::new(),
            workdir: has_code.then(|| TASK_ROOT.to_owned()),
            env: self.environment(),
            labels: function.labels.clone(),
            owner: self.key.owner.clone(),
            limits: self.limits,
            binds: task.into_iter().collect(),
            tmp_bytes: TMP_BYTES,
            has_stdin: false,
        }
    }

    /// The function's own, under what the contract reserves.
    fn environment(&self) -> BTreeMap<String, String> {
        let name = &self.function.title;
        let memory = (self.limits.memory_bytes >> 20).to_string();
        let reserved = [
            (
                "_HANDLER",
                self.function.handler.clone().unwrap_or_default(),
            ),
            ("LAMBDA_TASK_ROOT", TASK_ROOT.to_owned()),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", payload::VERSION.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", self.function.request.clone()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_REGION", payload::REGION.to_owned()),
            ("AWS_DEFAULT_REGION", payload::REGION.to_owned()),
            ("TZ", ":UTC".to_owned()),
        ];
        let reserved = reserved.map(|(key, value)| (key.to_owned(), value));
        let mut env = self.env.clone();
        env.extend(reserved);
        env
    }

    fn output(&self, response: Bytes, figures: &Figures, is_cold: bool) -> Result<Output, Error> {
        let mut out = Out::at(self.work.join("stdout"), self.limits.output_bytes);
        out.append(&response)?;
        let (_, stdout) = out.into_stdout().map_err(of_io)?;
        Ok(Output {
            stdout,
            out_dir: None,
            logs: self.work.join("stderr"),
            exit: 0,
            usage: Usage {
                run_us: u64::try_from(figures.duration.as_micros()).unwrap_or(u64::MAX),
                memory_peak_bytes: figures.memory_used,
                cold: is_cold,
                ..Usage::default()
            },
        })
    }
}

impl Function {
    fn arn(&self) -> String {
        let (region, account) = (payload::REGION, payload::ACCOUNT);
        format!("arn:aws:lambda:{region}:{account}:function:{}", self.title)
    }
}

/// The response, or the function's own error, after either of which the
/// container is as good as before; the outer error is one after which it is not.
async fn verdict(
    id: &str,
    ended: Ended,
    instance: &Instance,
) -> Result<Result<Bytes, Error>, Error> {
    let fault = |payload: String| Error::from(Fault::Function(payload));
    match ended {
        Ended::Answered(Answer::Response(bytes)) => Ok(Ok(bytes)),
        Ended::Answered(Answer::Error(error)) => Ok(Err(fault(payload::posted(&error)))),
        Ended::Answered(Answer::TooLarge(bytes)) => {
            Ok(Err(fault(payload::response_too_large(bytes))))
        }
        Ended::InitFailed(error) => Err(fault(payload::posted(&error))),
        Ended::Exited(_) if instance.was_out_of_memory().await => {
            Err(fault(payload::out_of_memory(id)))
        }
        Ended::Exited(code) => Err(fault(payload::exited(id, code))),
    }
}

/// As tracing systems write it; the ids are taken from the request's.
fn trace(now: Duration, id: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut hex = crate::wire::hex(&Sha256::digest(id));
    hex.truncate(24);
    format!("Root=1-{:08x}-{hex};Sampled=0", now.as_secs())
}

/// Writes what runs first in a container to where the engine finds it.
fn place(init: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_there = std::fs::metadata(init).is_ok_and(|file| file.len() == PROGRAM.len() as u64);
    if is_there {
        return Ok(());
    }
    let folder = init.parent().unwrap_or(std::path::Path::new("/"));
    let partial = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(partial.path(), PROGRAM)?;
    std::fs::set_permissions(partial.path(), std::fs::Permissions::from_mode(0o755))?;
    partial.persist(init).map(drop).map_err(|error| error.error)
}
