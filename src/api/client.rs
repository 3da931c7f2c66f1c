//! The calling end: what the CLI says to a node, over its unix socket.
//!
//! Takes the shapes of `compute`, gives them back, with every failure as the
//! node stated it. A body that ends early is an error, never a short answer.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use reqwest::{Body, Response, Url, header::CONTENT_TYPE};
use serde::de::DeserializeOwned;
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};

use super::{
    MODULE_MAX, PREFIX,
    content::{CID_HEADER, TAR},
    shape::{Allowed, Freed, NodeInfo, NodeView, Output, Removed, Storage, Version},
};
use crate::{
    compute::{
        AddedFolder, AddedImage, ByteStream, Code, DeployRequest, Deployed, Explanation, Failure,
        ImageSource, InvocationEvent, InvokeRequest, KeptImage, Record,
    },
    model::Class,
};

/// Events as they arrive; an error is the last item. Dropping it cancels.
pub type Events = BoxStream<'static, Result<InvocationEvent, Failure>>;

/// Bytes of an event beyond which the other end is not believed.
const EVENT_MAX: usize = 1 << 20;

/// How long the end of a body may take that has nothing more to say.
const BODY_END: Duration = Duration::from_millis(5);

/// Bytes of a URL that servers take, with room for the path.
const QUERY_MAX: usize = 60_000;

/// A node's API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

type Query<'a> = &'a [(&'a str, &'a str)];

impl Client {
    /// The node that listens on `socket`; nothing is sent yet.
    ///
    /// # Errors
    /// When no client can be made at all.
    pub fn new(socket: &Path) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder().no_proxy().unix_socket(socket);
        let http = builder.build().map_err(|e| lost(&chain(&e)))?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
        })
    }

    /// Whether somebody answers.
    pub async fn is_alive(&self) -> bool {
        self.version().await.is_ok()
    }

    /// Makes a function of code.
    ///
    /// # Errors
    /// The node's.
    pub async fn deploy(&self, request: DeployRequest) -> Result<Deployed, Failure> {
        let draft = to_json(&request.draft)?;
        match request.code {
            Code::Path(path) => {
                self.json("deploy", &[("arg", &path), ("draft", &draft)], None)
                    .await
            }
            Code::Container(container) => {
                let container = to_json(&container)?;
                let query = [("draft", draft.as_str()), ("container", &container)];
                self.json("deploy", &query, None).await
            }
            Code::Lambda(lambda) => {
                let lambda = to_json(&lambda)?;
                let query = [("draft", draft.as_str()), ("lambda", &lambda)];
                self.json("deploy", &query, None).await
            }
            Code::Bytes(bytes) if bytes.len() > MODULE_MAX => {
                let message = format!(
                    "the module has {} bytes; {MODULE_MAX} is the most",
                    bytes.len()
                );
                Err(Failure::new(Class::User, "bad_module", message)
                    .with_hint("Add it with `ipfs add` and deploy its CID."))
            }
            Code::Bytes(bytes) => {
                self.json("deploy", &[("draft", &draft)], Some(bytes.into()))
                    .await
            }
        }
    }

    /// Stores an image; gives its CID.
    ///
    /// # Errors
    /// The node's.
    pub async fn add_image(&self, from: ImageSource) -> Result<AddedImage, Failure> {
        match from {
            ImageSource::Engine(name) => self.json("image/add", &[("arg", &name)], None).await,
            ImageSource::Archive(bytes) => {
                let body = Body::wrap_stream(bytes);
                self.json("image/add", &[], Some(body)).await
            }
        }
    }

    /// Stores a folder, given as a TAR archive below one top folder.
    ///
    /// # Errors
    /// The node's.
    pub async fn add_folder(&self, archive: ByteStream) -> Result<AddedFolder, Failure> {
        let body = Body::wrap_stream(archive);
        self.json("folder/add", &[], Some(body)).await
    }

    /// Images that are kept.
    ///
    /// # Errors
    /// The node's.
    pub async fn images(&self) -> Result<Vec<KeptImage>, Failure> {
        self.json("image/ls", &[], None).await
    }

    /// Lets go of an image.
    ///
    /// # Errors
    /// The node's.
    pub async fn remove_image(&self, image: &str) -> Result<KeptImage, Failure> {
        self.json("image/rm", &[("arg", image)], None).await
    }

    /// Starts an invocation; `input` goes along where the request says `-`.
    ///
    /// # Errors
    /// The node's, before there is an invocation.
    pub async fn invoke(
        &self,
        request: &InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Events, Failure> {
        let response = self.call("invoke", request, input).await?;
        Ok(events(response))
    }

    /// Where an invocation would run.
    ///
    /// # Errors
    /// The node's.
    pub async fn schedule(
        &self,
        request: &InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Explanation, Failure> {
        let response = self.call("schedule", request, input).await?;
        decode(response).await
    }

    /// Submits an invocation that outlives this client: its record once it is
    /// on disk there.
    ///
    /// # Errors
    /// The node's.
    pub async fn submit(
        &self,
        request: &InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Record, Failure> {
        let response = self.call("submit", request, input).await?;
        decode(response).await
    }

    /// Durable invocations that were given up.
    ///
    /// # Errors
    /// The node's.
    pub async fn dead(&self) -> Result<Vec<Record>, Failure> {
        self.json("dead/ls", &[], None).await
    }

    /// Gives one of them its tries and time again.
    ///
    /// # Errors
    /// The node's.
    pub async fn dead_retry(&self, invocation: &str) -> Result<Record, Failure> {
        self.json("dead/retry", &[("arg", invocation)], None).await
    }

    /// Gives one of them up for good.
    ///
    /// # Errors
    /// The node's.
    pub async fn dead_drop(&self, invocation: &str) -> Result<Record, Failure> {
        self.json("dead/drop", &[("arg", invocation)], None).await
    }

    async fn call(
        &self,
        command: &str,
        request: &InvokeRequest,
        input: Option<ByteStream>,
    ) -> Result<Response, Failure> {
        let json = to_json(request)?;
        let query = [
            ("arg", request.function.as_str()),
            ("request", json.as_str()),
        ];
        self.send(command, &query, input.map(Body::wrap_stream))
            .await
    }

    /// An invocation.
    ///
    /// # Errors
    /// The node's.
    pub async fn record(&self, invocation: &str) -> Result<Record, Failure> {
        self.json("result", &[("arg", invocation)], None).await
    }

    /// Open invocations, or all.
    ///
    /// # Errors
    /// The node's.
    pub async fn records(&self, all: bool) -> Result<Vec<Record>, Failure> {
        self.json("ps", &[("all", flag(all))], None).await
    }

    /// An invocation once it ended, or as it is after `timeout`.
    ///
    /// # Errors
    /// The node's.
    pub async fn wait(&self, invocation: &str, timeout: Duration) -> Result<Record, Failure> {
        let timeout = timeout.as_millis().to_string();
        self.json(
            "wait",
            &[("arg", invocation), ("timeout_ms", &timeout)],
            None,
        )
        .await
    }

    /// Why an invocation ran where it did.
    ///
    /// # Errors
    /// The node's.
    pub async fn explain(&self, invocation: &str) -> Result<Explanation, Failure> {
        self.json("explain", &[("arg", invocation)], None).await
    }

    /// Ends an invocation.
    ///
    /// # Errors
    /// The node's.
    pub async fn cancel(&self, invocation: &str) -> Result<Record, Failure> {
        self.json("cancel", &[("arg", invocation)], None).await
    }

    /// The output of an invocation or a CID.
    ///
    /// # Errors
    /// The node's.
    pub async fn output(&self, name: &str) -> Result<Output, Failure> {
        let response = self.send("output", &[("arg", name)], None).await?;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let cid = header(CID_HEADER).unwrap_or_default().to_owned();
        let is_directory = header(CONTENT_TYPE) == Some(TAR);
        Ok(Output {
            cid,
            is_directory,
            bytes: bytes(response),
        })
    }

    /// What the guest of an invocation wrote to standard error; with `follow`
    /// as it writes it, up to its end.
    ///
    /// # Errors
    /// The node's.
    pub async fn logs(&self, invocation: &str, follow: bool) -> Result<ByteStream, Failure> {
        let query = [("arg", invocation), ("follow", flag(follow))];
        Ok(bytes(self.send("logs", &query, None).await?))
    }

    /// The canonical bytes of a receipt.
    ///
    /// # Errors
    /// The node's.
    pub async fn receipt(&self, name: &str) -> Result<Vec<u8>, Failure> {
        whole(self.send("receipt", &[("arg", name)], None).await?).await
    }

    /// A CAR of a receipt and what belongs to it.
    ///
    /// # Errors
    /// The node's.
    pub async fn receipt_car(&self, name: &str) -> Result<Vec<u8>, Failure> {
        whole(self.send("receipt/car", &[("arg", name)], None).await?).await
    }

    /// Deployed functions.
    ///
    /// # Errors
    /// The node's.
    pub async fn functions(&self) -> Result<Vec<Deployed>, Failure> {
        self.json("functions", &[], None).await
    }

    /// Forgets a function.
    ///
    /// # Errors
    /// The node's.
    pub async fn remove_function(&self, name: &str) -> Result<Removed, Failure> {
        self.json("rm", &[("arg", name)], None).await
    }

    /// Who may run code there.
    ///
    /// # Errors
    /// The node's.
    pub async fn allow_list(&self) -> Result<Vec<Allowed>, Failure> {
        self.json("allow/ls", &[], None).await
    }

    /// Lets a peer run code there.
    ///
    /// # Errors
    /// The node's.
    pub async fn allow_add(&self, peer: &str, lasts: Option<Duration>) -> Result<Allowed, Failure> {
        let lasts = lasts.map(|d| d.as_millis().to_string());
        let mut query = vec![("arg", peer)];
        query.extend(lasts.as_deref().map(|d| ("for_ms", d)));
        self.json("allow/add", &query, None).await
    }

    /// Takes that back.
    ///
    /// # Errors
    /// The node's.
    pub async fn allow_remove(&self, peer: &str) -> Result<Allowed, Failure> {
        self.json("allow/rm", &[("arg", peer)], None).await
    }

    /// The node and everyone it knows.
    ///
    /// # Errors
    /// The node's.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, Failure> {
        self.json("nodes", &[], None).await
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// The node's.
    pub async fn node(&self) -> Result<NodeInfo, Failure> {
        self.json("node", &[], None).await
    }

    /// What the node keeps.
    ///
    /// # Errors
    /// The node's.
    pub async fn storage(&self) -> Result<Storage, Failure> {
        self.json("storage", &[], None).await
    }

    /// Removes what is beyond its time or bounds.
    ///
    /// # Errors
    /// The node's.
    pub async fn gc(&self, dry_run: bool) -> Result<Freed, Failure> {
        self.json("gc", &[("dry-run", flag(dry_run))], None).await
    }

    /// Removes everything.
    ///
    /// # Errors
    /// The node's.
    pub async fn purge(&self, dry_run: bool) -> Result<Freed, Failure> {
        self.json("purge", &[("dry-run", flag(dry_run))], None)
            .await
    }

    /// Asks the node to end.
    ///
    /// # Errors
    /// The node's.
    pub async fn shutdown(&self) -> Result<Version, Failure> {
        self.json("shutdown", &[], None).await
    }

    /// What the node is.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn version(&self) -> Result<Version, Failure> {
        self.json("version", &[], None).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        command: &str,
        query: Query<'_>,
        body: Option<Body>,
    ) -> Result<T, Failure> {
        decode(self.send(command, query, body).await?).await
    }

    async fn send(
        &self,
        command: &str,
        query: Query<'_>,
        body: Option<Body>,
    ) -> Result<Response, Failure> {
        let url = Url::parse_with_params(&format!("http://localhost{PREFIX}/{command}"), query)
            .map_err(|e| lost(&chain(&e)))?;
        if url.as_str().len() > QUERY_MAX {
            let message = format!("the arguments are longer than {QUERY_MAX} bytes together");
            return Err(Failure::new(Class::User, "bad_argument", message)
                .with_hint("Put them into a file and give it as the input."));
        }
        let request = self.http.post(url).body(body.unwrap_or_default());
        let response = request.send().await.map_err(|e| self.unanswered(&e))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refused(response).await)
        }
    }

    fn unanswered(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() {
            let message = format!("no daemon answers on {}", self.socket.display());
            return Failure::new(Class::Node, "no_daemon", message)
                .with_hint("Start one with `timerose daemon`.");
        }
        lost(&chain(error))
    }
}

const fn flag(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|e| Failure::new(Class::User, "bad_argument", e.to_string()))
}

/// An error with what caused it: the cause is what helps.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn lost(why: &str) -> Failure {
    Failure::new(
        Class::Lost,
        "no_daemon",
        format!("the daemon went away: {why}"),
    )
    .with_hint("Its log says why; start it again with `timerose daemon`.")
}

async fn whole(response: Response) -> Result<Vec<u8>, Failure> {
    Ok(response.bytes().await.map_err(|e| lost(&chain(&e)))?.into())
}

async fn decode<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let bytes = whole(response).await?;
    serde_json::from_slice(&bytes).map_err(|e| foreign(&e.to_string()))
}

/// The failure that the node stated, or one about its answer.
async fn refused(response: Response) -> Failure {
    let status = response.status();
    match whole(response).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| foreign(&format!("status {status} without a reason"))),
        Err(failure) => failure,
    }
}

fn foreign(why: &str) -> Failure {
    Failure::new(
        Class::Node,
        "foreign_answer",
        format!("the daemon's answer makes no sense: {why}"),
    )
    .with_hint("Daemon and command may differ in version: see `timerose doctor`.")
}

fn bytes(response: Response) -> ByteStream {
    response
        .bytes_stream()
        .map_err(std::io::Error::other)
        .boxed()
}

type Lines = FramedRead<StreamReader<ByteStream, bytes::Bytes>, LinesCodec>;

/// How far a body of events was read.
enum Reading {
    Events(Lines),
    /// The last event came; the body may say that it is over.
    End(Lines),
    Over,
}

fn events(response: Response) -> Events {
    let lines = FramedRead::new(
        StreamReader::new(bytes(response)),
        LinesCodec::new_with_max_length(EVENT_MAX),
    );
    stream::unfold(Reading::Events(lines), next_event).boxed()
}

async fn next_event(reading: Reading) -> Option<(Result<InvocationEvent, Failure>, Reading)> {
    let mut lines = match reading {
        Reading::Events(lines) => lines,
        Reading::End(mut lines) => {
            // A body that was read to its end leaves its connection to the next call.
            let _not_at_once = tokio::time::timeout(BODY_END, lines.next()).await;
            return None;
        }
        Reading::Over => return None,
    };
    let event: Result<InvocationEvent, _> = match lines.next().await {
        None => Err(lost("it ended before the invocation did")),
        Some(Err(e)) => Err(lost(&chain(&e))),
        Some(Ok(line)) => serde_json::from_str(&line).map_err(|e| foreign(&e.to_string())),
    };
    let reading = match &event {
        Err(_) => Reading::Over,
        Ok(event) if event.is_last() => Reading::End(lines),
        Ok(_) => Reading::Events(lines),
    };
    Some((event, reading))
}
