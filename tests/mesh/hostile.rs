//! The corpus in `tests/hostile/` on a real node with containers: each guest
//! ends in time as it should, and nothing of it is left.

mod bombs;
mod left;

use std::{path::Path, time::Duration};

use timerose::{
    compute::{Failure, Finished, InvocationEvent, InvokeRequest},
    model::Limits,
};
use tokio::time::Instant;
use tokio_stream::StreamExt;

use self::left::Left;
use crate::{
    containers::{add_image, nodes_or_skip},
    support::{engine::busybox, mesh::Mesh},
};

const WALL: Duration = Duration::from_secs(1);
/// What the limit may be overrun by, of modules and of containers.
const MODULE_GRACE: Duration = Duration::from_millis(500);
const CONTAINER_GRACE: Duration = Duration::from_secs(5);
/// Within what the node runs the next invocation.
const NEXT: Duration = Duration::from_secs(2);

/// A guest of the corpus.
struct Guest {
    name: String,
    code: String,
}

/// How one ended.
#[derive(Debug)]
struct End {
    result: Result<Finished, Failure>,
    after: Duration,
}

impl Guest {
    /// All in a folder of the corpus.
    fn all(folder: &str) -> Vec<Self> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
        let files = std::fs::read_dir(corpus.join(folder)).unwrap();
        let guest = |path: &Path| Self {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            code: std::fs::read_to_string(path).unwrap(),
        };
        let mut all: Vec<_> = files.map(|file| guest(&file.unwrap().path())).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What a comment says, or is all right when there is none.
    fn comment(&self, key: &str) -> Vec<&str> {
        let mut lines = self.code.lines();
        let found = lines.find_map(|line| {
            let text = line.trim_start_matches([';', '#', ' ']);
            text.strip_prefix(key)?.strip_prefix(": ")
        });
        found.map_or_else(Vec::new, |text| text.split(", ").collect())
    }

    /// What is wrong with how it ended, when that is not what it announces.
    fn judges(&self, ends: &str, said: &str) -> Option<String> {
        let (may_end, may_say) = (self.comment("ends"), self.comment("says"));
        let is_said = may_say.is_empty() || may_say.iter().any(|text| said.contains(text));
        let is_right = may_end.contains(&ends) && is_said;
        (!is_right).then(|| format!("{} ended as {ends}: {said}", self.name))
    }
}

/// A node, an invocation that it always can run, and what was there before.
struct Ground {
    mesh: Mesh,
    harmless: InvokeRequest,
    before: Left,
}

impl Ground {
    /// One with containers, if there is an engine.
    async fn with_engine_or_skip() -> Option<Self> {
        Some(Self::of(nodes_or_skip(1).await?).await)
    }

    async fn of(mesh: Mesh) -> Self {
        let nothing = b"(module (memory (export \"memory\") 1) (func (export \"_start\")))";
        let function = mesh.deploy(0, nothing).await;
        let harmless = request(&function);
        mesh.invoke(0, &harmless).await.unwrap();
        let before = Left::on(&mesh).await;
        Self {
            mesh,
            harmless,
            before,
        }
    }

    /// Runs a hostile call, then a harmless one, and sees what is left.
    async fn endures(&self, request: &InvokeRequest) -> End {
        let end = end(&self.mesh, request).await;
        let next = Instant::now();
        self.mesh.invoke(0, &self.harmless).await.unwrap();
        assert!(next.elapsed() < NEXT, "{:?} after {end:?}", next.elapsed());
        self.before.is_all_that_is_left(&self.mesh).await;
        end
    }

    /// Runs a function of the corpus.
    async fn judges(&self, guest: &Guest, function: &str, grace: Duration) -> Option<String> {
        let End { result, after } = self.endures(&request(function)).await;
        assert!(after < WALL + grace, "{} ended after {after:?}", guest.name);
        match result {
            Ok(finished) => {
                let output = match finished.is_directory {
                    true => String::new(),
                    false => self.mesh.saved(0, &finished.invocation).await,
                };
                guest.judges("done", &output)
            }
            Err(error) => {
                let class = format!("{:?}", error.class).to_lowercase();
                guest.judges(&class, &error.message)
            }
        }
    }

    /// Deploys a file or folder on the command line.
    async fn deploy(&self, path: &Path, flags: &[&str]) -> Result<String, String> {
        let command = [&["deploy", "-q", path.to_str().unwrap()], flags].concat();
        let said = self.mesh.timerose(0, &command).await;
        match said.status.success() {
            true => Ok(String::from_utf8(said.stdout).unwrap().trim().to_owned()),
            false => Err(String::from_utf8(said.stderr).unwrap()),
        }
    }
}

fn request(function: &str) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        limits: Some(Limits {
            wall_ms: u64::try_from(WALL.as_millis()).unwrap(),
            memory_bytes: 64 << 20,
            output_bytes: 4 << 20,
            log_bytes: 10_000,
        }),
        cache: false,
        ..InvokeRequest::default()
    }
}

/// How a call ends, and how long after an executor took it.
async fn end(mesh: &Mesh, request: &InvokeRequest) -> End {
    let (mut placed, client) = (Instant::now(), mesh.client(0));
    let mut events = client.invoke(request, None).await.unwrap();
    while let Some(event) = events.next().await {
        let result = match event.unwrap() {
            InvocationEvent::Placed { .. } => {
                placed = Instant::now();
                continue;
            }
            InvocationEvent::Done(finished) => Ok(*finished),
            InvocationEvent::Failed { error, .. } => Err(error),
            _ => continue,
        };
        let after = placed.elapsed();
        return End { result, after };
    }
    panic!("the events ended without an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_modules_end_in_time_and_leave_nothing() {
    let ground = Ground::of(Mesh::start(1).await).await;
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for guest in Guest::all("wasm") {
        let path = folder.path().join(&guest.name);
        std::fs::write(&path, &guest.code).unwrap();
        let abi = guest.comment("abi");
        let flags: &[&str] = match abi.first() {
            Some(abi) => &["--abi", abi],
            None => &[],
        };
        wrong.extend(match ground.deploy(&path, flags).await {
            Ok(function) => ground.judges(&guest, &function, MODULE_GRACE).await,
            Err(why) => guest.judges("refused", &why),
        });
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    ground.mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_containers_end_in_time_and_leave_nothing() {
    let Some(ground) = Ground::with_engine_or_skip().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = add_image(&ground.mesh, &[busybox()], &serde_json::json!({})).await;
    let mut wrong = Vec::new();
    for guest in Guest::all("containers") {
        let description = serde_json::json!({
            "env": {"TARGETS": targets(&ground.mesh)},
            "runtime": {"docker": {"image": image, "command": ["/bin/sh", "-c", guest.code]}},
        });
        let description = toml::to_string(&description).unwrap();
        std::fs::write(folder.path().join("timerose.toml"), description).unwrap();
        let function = ground.deploy(folder.path(), &[]).await.unwrap();
        wrong.extend(ground.judges(&guest, &function, CONTAINER_GRACE).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    ground.mesh.end().await;
}

/// Where Kubo's RPC and this machine's other services listen, by every address
/// that the machine has.
fn targets(mesh: &Mesh) -> String {
    let api = mesh.node(0).kubo.api();
    let port = api.trim_end_matches('/').rsplit([':', '/']).next().unwrap();
    let listening = std::process::Command::new("hostname").arg("-I").output();
    let own = String::from_utf8(listening.unwrap().stdout).unwrap();
    let addresses = own
        .split_whitespace()
        .filter(|address| !address.contains(':'));
    let targets: Vec<_> = ["127.0.0.1"]
        .into_iter()
        .chain(addresses)
        .map(|address| format!("{address}:{port}"))
        .collect();
    targets.join(" ")
}
