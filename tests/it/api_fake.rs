//! A node that answers from memory, behind the real API server.
//!
//! Gives a [`Fake`] whose answers tests choose by the function's name, and a
//! [`Served`] that holds its home, its socket and its tasks.
//!
//! Long because: it answers every call of the API in one place.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::stream::{self, StreamExt as _};
use timerose::{
    api::{
        Allowed, Backend, Client, EventStream, Freed, Health, Kept, NodeInfo, NodeView, Output,
        Reach, Removed, Server, Storage,
    },
    compute::{
        AddedFolder, AddedImage, ByteStream, Candidate, Code, DeployRequest, Deployed, Explanation,
        Failure, Finished, ImageSource, InvocationEvent, InvokeRequest, KeptImage, Record, Terms,
    },
    config::Home,
    model::{Class, Limits, Phase, Roles, Usage},
    task::Tasks,
};
use tokio::sync::{Mutex, Notify};

pub(crate) const FUNCTION: &str = "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
pub(crate) const OUTPUT: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
pub(crate) const ID: &str = "01JDAAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const PEER: &str = "12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr";
pub(crate) const OTHER: &str = "12D3KooWBd9zd6aBLKJfdwHpXTUZ3HyVG5BhJKsWDn2q5MD8mn6i";

/// A node made of answers. What `invoke` does depends on the function's name:
/// `fails`, `exits`, `hangs`, `refused`, `vanishes`, else it succeeds with the
/// input, or `hello`, as its output.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) deployed: Mutex<Vec<DeployRequest>>,
    pub(crate) invoked: Mutex<Vec<InvokeRequest>>,
    pub(crate) cancelled: Arc<AtomicUsize>,
    pub(crate) cancel_asked: AtomicUsize,
    pub(crate) told: Notify,
    pub(crate) ended: AtomicBool,
    pub(crate) output: Mutex<Vec<u8>>,
    pub(crate) receipt: Mutex<Vec<u8>>,
    pub(crate) breaks_off: AtomicBool,
}

fn finished(request: &InvokeRequest) -> Finished {
    Finished {
        invocation: ID.to_owned(),
        call: FUNCTION.to_owned(),
        function: FUNCTION.to_owned(),
        output: OUTPUT.to_owned(),
        is_directory: request.function == "folder",
        receipt: FUNCTION.to_owned(),
        executor: PEER.to_owned(),
        cached: false,
        elapsed_ms: 120,
        bytes_moved: 2_048,
        bytes_local: 50 << 20,
        exit: i32::from(request.function == "exits"),
        usage: Usage::default(),
        logs: None,
        private: false,
    }
}

pub(crate) fn explanation() -> Explanation {
    let terms = Terms {
        rtt: 2,
        queue: 0,
        fetch: 0,
        cold: 40,
        run: 60,
    };
    let candidate = |peer: &str, veto: Option<&str>| Candidate {
        peer: peer.to_owned(),
        predicted_ms: terms.sum(),
        terms,
        bytes_local: 50 << 20,
        bytes_missing: 0,
        sources: vec!["input".into()],
        via: None,
        veto: veto.map(str::to_owned),
    };
    let candidates = vec![
        candidate(PEER, None),
        candidate(OTHER, Some("does not let you run code")),
    ];
    Explanation {
        chosen: Some(PEER.to_owned()),
        candidates,
    }
}

fn record(state: &str) -> Record {
    Record {
        invocation: ID.to_owned(),
        state: state.to_owned(),
        call: FUNCTION.to_owned(),
        function: FUNCTION.to_owned(),
        executor: Some(PEER.to_owned()),
        attempts: 1,
        submitted: 1_780_000_000_000,
        elapsed_ms: 120,
        result: (state == "succeeded").then(|| finished(&InvokeRequest::default())),
        error: None,
        explanation: Some(explanation()),
    }
}

fn known(name: &str) -> Result<(), Failure> {
    if ID.ends_with(name) || name == OUTPUT || name == FUNCTION {
        return Ok(());
    }
    Err(Failure::new(
        Class::Missing,
        "not_found",
        format!("no invocation {name:?} is known"),
    )
    .with_hint("`timerose ps --all` lists them."))
}

fn failed(class: Class, code: &str, message: &str) -> InvocationEvent {
    InvocationEvent::Failed {
        invocation: ID.to_owned(),
        error: Failure::new(class, code, message),
        receipt: None,
        executor: Some(PEER.to_owned()),
    }
}

/// Counts when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Fake {
    /// Ends never; counts when nobody listens any more.
    fn hanging(&self) -> EventStream {
        let guard = Dropped(self.cancelled.clone());
        stream::pending::<InvocationEvent>()
            .map(move |event| {
                let _held = &guard;
                event
            })
            .boxed()
    }
}

impl Backend for Fake {
    async fn deploy(&self, request: DeployRequest) -> Result<Deployed, Failure> {
        let name = request.draft.name.clone();
        if matches!(&request.code, Code::Path(path) if path.contains("nobody")) {
            return Err(Failure::new(Class::Missing, "missing", "nobody has it"));
        }
        self.deployed.lock().await.push(request);
        Ok(Deployed {
            function: FUNCTION.to_owned(),
            code: OUTPUT.to_owned(),
            name,
            runtime: "wasm/wasi".to_owned(),
            entries: vec!["_start".to_owned()],
            limits: Limits::default(),
            pure: true,
        })
    }

    async fn invoke(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<EventStream, Failure> {
        self.invoked.lock().await.push(request.clone());
        if let Some(input) = input {
            let bytes: Vec<_> = input.map(|chunk| chunk.unwrap()).collect().await;
            *self.output.lock().await = bytes.concat();
        }
        let accepted = InvocationEvent::Accepted {
            invocation: ID.to_owned(),
            call: FUNCTION.to_owned(),
        };
        let start = [
            accepted,
            InvocationEvent::Finding,
            InvocationEvent::Placed {
                executor: PEER.to_owned(),
                attempt: 1,
                predicted_ms: 100,
            },
            InvocationEvent::Progress {
                phase: Phase::Running,
                input_bytes: 7,
            },
        ];
        let start = stream::iter(start);
        let end = match request.function.as_str() {
            "refused" => return Err(Failure::new(Class::Refused, "policy", "not you")),
            "hangs" => return Ok(start.chain(self.hanging()).boxed()),
            "vanishes" => return Ok(start.boxed()),
            "fails" => failed(Class::User, "user", "wasm trap: unreachable"),
            "late" => failed(Class::Deadline, "deadline", "out of time"),
            _ => InvocationEvent::Done(Box::new(finished(&request))),
        };
        Ok(start.chain(stream::iter([end])).boxed())
    }

    async fn schedule(
        &self,
        _request: InvokeRequest,
        _input: Option<ByteStream>,
    ) -> Result<Explanation, Failure> {
        Ok(explanation())
    }

    async fn record(&self, invocation: &str) -> Result<Record, Failure> {
        known(invocation).map(|()| record("succeeded"))
    }

    async fn submit(
        &self,
        request: InvokeRequest,
        _input: Option<ByteStream>,
    ) -> Result<Record, Failure> {
        self.invoked.lock().await.push(request);
        Ok(record("accepted"))
    }

    async fn dead(&self) -> Result<Vec<Record>, Failure> {
        Ok(vec![record("dead")])
    }

    async fn dead_retry(&self, invocation: &str) -> Result<Record, Failure> {
        known(invocation).map(|()| record("accepted"))
    }

    async fn dead_drop(&self, invocation: &str) -> Result<Record, Failure> {
        known(invocation).map(|()| record("dead"))
    }

    async fn records(&self, all: bool) -> Result<Vec<Record>, Failure> {
        let mut records = vec![record("active")];
        if all {
            records.push(record("succeeded"));
        }
        Ok(records)
    }

    /// For ever where the id is shortened to `AAAA`.
    async fn wait(&self, invocation: &str, _timeout: Duration) -> Result<Record, Failure> {
        if invocation == "AAAA" {
            std::future::pending::<()>().await;
        }
        known(invocation).map(|()| record("succeeded"))
    }

    async fn cancel(&self, invocation: &str) -> Result<Record, Failure> {
        self.cancel_asked.fetch_add(1, Ordering::SeqCst);
        self.told.notify_one();
        known(invocation).map(|()| record("cancelled"))
    }

    async fn logs(&self, invocation: &str, _follow: bool) -> Result<ByteStream, Failure> {
        known(invocation)?;
        Ok(stream::iter([Ok("a line\n".into())]).boxed())
    }

    async fn output(&self, name: &str) -> Result<Output, Failure> {
        known(name)?;
        let held = self.output.lock().await.clone();
        let bytes = if held.is_empty() {
            b"hello".to_vec()
        } else {
            held
        };
        let end = self.breaks_off.load(Ordering::SeqCst);
        let end = end.then(|| Err(std::io::Error::other("kubo went away")));
        let bytes = stream::iter([Some(Ok(bytes.into())), end].into_iter().flatten()).boxed();
        Ok(Output {
            cid: OUTPUT.to_owned(),
            is_directory: false,
            bytes,
        })
    }

    async fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        known(name)?;
        Ok(self.receipt.lock().await.clone())
    }

    async fn receipt_car(&self, name: &str) -> Result<Vec<u8>, Failure> {
        known(name)?;
        let receipt = self.receipt.lock().await.clone();
        let cid = timerose::wire::cid_of(timerose::wire::block::DAG_CBOR, &receipt);
        Ok(timerose::wire::car::write(&[cid], [(&cid, receipt.as_slice())]).unwrap())
    }

    async fn functions(&self) -> Result<Vec<Deployed>, Failure> {
        let code = Code::Path(OUTPUT.to_owned());
        let draft = timerose::compute::Draft {
            name: Some("wordcount".to_owned()),
            ..Default::default()
        };
        Ok(vec![self.deploy(DeployRequest { draft, code }).await?])
    }

    async fn remove_function(&self, name: &str) -> Result<Removed, Failure> {
        Ok(Removed {
            function: FUNCTION.to_owned(),
            name: Some(name.to_owned()),
        })
    }

    async fn allow_list(&self) -> Result<Vec<Allowed>, Failure> {
        Ok(vec![Allowed {
            peer: PEER.to_owned(),
            until: None,
            source: "self".to_owned(),
        }])
    }

    async fn allow_add(&self, peer: &str, lasts: Option<Duration>) -> Result<Allowed, Failure> {
        let until = lasts.map(|d| 1_780_000_000_000 + u64::try_from(d.as_millis()).unwrap());
        Ok(Allowed {
            peer: peer.to_owned(),
            until,
            source: "command".to_owned(),
        })
    }

    async fn allow_remove(&self, peer: &str) -> Result<Allowed, Failure> {
        self.allow_add(peer, None).await
    }

    async fn nodes(&self) -> Result<Vec<NodeView>, Failure> {
        let node = |peer: &str, reach| NodeView {
            peer: peer.to_owned(),
            reach,
            roles: Roles {
                executor: true,
                scheduler: true,
            },
            runtimes: [("wasm".to_owned(), vec!["wasi".to_owned()])].into(),
            slots: 4,
            free: 3,
            warm: 1,
            carrier: (reach == Reach::Direct).then(|| "pubsub".to_owned()),
            via: (reach == Reach::Forwarded).then(|| OTHER.to_owned()),
            rtt_ms: (reach == Reach::Direct).then_some(4.5),
            heard: None,
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            agent: "timerose/0.1.0".to_owned(),
        };
        Ok(vec![node(PEER, Reach::This), node(OTHER, Reach::Direct)])
    }

    async fn node(&self) -> Result<NodeInfo, Failure> {
        Ok(NodeInfo {
            peer: PEER.to_owned(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".to_owned()],
            api: vec!["/unix/api.sock".to_owned()],
            boot: ID.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kubo: "0.43.0".to_owned(),
            mesh: "public".to_owned(),
            health: Health {
                ready: true,
                unmet: Vec::new(),
            },
            lacking: std::collections::BTreeMap::new(),
            counters: [("invocations".to_owned(), 3)].into(),
        })
    }

    async fn add_image(&self, from: ImageSource) -> Result<AddedImage, Failure> {
        let bytes = match from {
            ImageSource::Engine(name) => return Err(Failure::new(Class::User, "user", name)),
            ImageSource::Archive(archive) => {
                archive
                    .map(|piece| piece.unwrap())
                    .collect::<Vec<_>>()
                    .await
            }
        };
        Ok(AddedImage {
            image: OUTPUT.to_owned(),
            id: "sha256:00".to_owned(),
            layers: 1,
            bytes: bytes.concat().len() as u64,
        })
    }

    async fn add_folder(&self, archive: ByteStream) -> Result<AddedFolder, Failure> {
        let _all: Vec<_> = archive.collect().await;
        Ok(AddedFolder {
            folder: OUTPUT.to_owned(),
        })
    }

    async fn images(&self) -> Result<Vec<KeptImage>, Failure> {
        Ok(vec![KeptImage {
            image: OUTPUT.to_owned(),
            bytes: 7,
        }])
    }

    async fn remove_image(&self, image: &str) -> Result<KeptImage, Failure> {
        Ok(KeptImage {
            image: image.to_owned(),
            bytes: 7,
        })
    }

    async fn storage(&self) -> Result<Storage, Failure> {
        Ok(Storage {
            kept: kept(),
            keep_ms: 86_400_000,
            max_bytes: 10 << 30,
        })
    }

    async fn gc(&self, dry_run: bool) -> Result<Freed, Failure> {
        Ok(Freed {
            dry_run,
            removed: kept(),
        })
    }

    async fn purge(&self, dry_run: bool) -> Result<Freed, Failure> {
        Ok(Freed {
            dry_run,
            removed: Vec::new(),
        })
    }

    async fn shutdown(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

fn kept() -> Vec<Kept> {
    vec![Kept {
        kind: "output".to_owned(),
        count: 3,
        bytes: 2 << 20,
    }]
}

/// A fake node that is being served, and a home in which it looks like a
/// daemon. Ends with the value.
pub(crate) struct Served {
    pub(crate) fake: Arc<Fake>,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) home: Home,
    pub(crate) addresses: Vec<String>,
    pub(crate) tasks: Tasks,
}

/// The bearer token of the TCP door in tests.
pub(crate) const TOKEN: &str = "token-of-the-test";

impl Served {
    /// On a unix socket, and on TCP if `tcp`.
    pub(crate) async fn start(tcp: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        home.create().unwrap();
        let fake = Arc::new(Fake::default());
        let mut server = Server::bind(&home.socket()).await.unwrap();
        if tcp {
            server = server.listen("127.0.0.1:0", TOKEN).await.unwrap();
        }
        let addresses = server.addresses();
        let tasks = Tasks::new();
        server.serve(fake.clone(), &tasks);
        Self {
            fake,
            dir,
            home,
            addresses,
            tasks,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.home.socket()).unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// `http://127.0.0.1:port`.
    pub(crate) fn tcp(&self) -> &str {
        self.addresses.last().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.cancel();
    }
}

/// Waits until `met`, at most five seconds.
pub(crate) async fn eventually(what: &str, met: impl Fn() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(5);
    while !met() {
        assert!(tokio::time::Instant::now() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
