//! One exchange with Kubo: request out, status checked, body handed on.
//!
//! Takes a [`Request`], gives checked [`Frames`] or what was read from them.
//! Repeats a call only if the connection broke before an answer and the command
//! changes nothing by running twice.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    Client, Error,
    body::{Frames, Patience},
    client::Connection,
    command::{Command, GLOBAL_KEYS},
    error::Failure,
    format_go_duration,
    ndjson::Lines,
    upload::Upload,
};

/// How much longer than Kubo's own `timeout=` this side waits, so that Kubo's
/// word arrives first.
const GRACE: Duration = Duration::from_secs(2);

/// Largest answer that is read into memory: a list of peers, a configuration.
const ANSWER_LIMIT: usize = 16 << 20;

/// Largest error body that is read.
const FAILURE_LIMIT: usize = 64 << 10;

/// A call, not yet sent.
#[derive(Debug)]
pub(super) struct Request {
    command: &'static Command,
    query: Vec<(&'static str, String)>,
    timeout: Timeout,
    stall: Option<Duration>,
    upload: Option<Upload>,
}

#[derive(Clone, Copy, Debug)]
enum Timeout {
    /// The client's default.
    Default,
    Of(Duration),
    /// The answer lasts until somebody ends it; only its beginning is awaited.
    Endless,
}

impl Request {
    pub(super) fn new(command: &'static Command) -> Self {
        Self {
            command,
            query: Vec::new(),
            timeout: Timeout::Default,
            stall: None,
            upload: None,
        }
    }

    pub(super) fn arg(mut self, value: impl ToString) -> Self {
        self.query.push(("arg", value.to_string()));
        self
    }

    pub(super) fn flag(mut self, key: &'static str, value: impl ToString) -> Self {
        let known = self.command.keys.contains(&key) || GLOBAL_KEYS.contains(&key);
        debug_assert!(
            known,
            "{key} is missing in the table of {}",
            self.command.path
        );
        self.query.push((key, value.to_string()));
        self
    }

    pub(super) fn maybe(self, key: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.flag(key, value),
            None => self,
        }
    }

    pub(super) fn offline(self, offline: bool) -> Self {
        if offline {
            self.flag("offline", true)
        } else {
            self
        }
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout::Of(timeout);
        self
    }

    pub(super) fn endless(mut self) -> Self {
        self.timeout = Timeout::Endless;
        self
    }

    pub(super) fn stall(mut self, stall: Duration) -> Self {
        self.stall = Some(stall);
        self
    }

    pub(super) fn upload(mut self, upload: Upload) -> Self {
        self.upload = Some(upload);
        self
    }

    /// Whether sending it twice is possible and harmless.
    fn is_repeatable(&self) -> bool {
        self.command.repeatable && self.upload.as_ref().is_none_or(Upload::is_repeatable)
    }

    fn url(&self, base: &str, timeout: Option<Duration>) -> Result<Url, Error> {
        let mut url = Url::parse(&format!("{base}{}", self.command.path)).map_err(|error| {
            Error::BadEndpoint {
                text: base.to_owned(),
                reason: error.to_string(),
            }
        })?;
        let timeout = timeout.map(|limit| ("timeout", format_go_duration(limit)));
        let pairs = self.query.iter().chain(&timeout);
        url.query_pairs_mut().extend_pairs(pairs);
        Ok(url)
    }
}

impl Client {
    /// Sends the call; returns once the answer has begun well.
    pub(super) async fn open(&self, mut request: Request) -> Result<Frames, Error> {
        let first = self.exchange(&mut request).await;
        let again = match &first {
            Err(Error::Unreachable { .. }) => self.refresh_endpoint()? && !request.is_spent(),
            Err(Error::Interrupted { .. }) => request.is_repeatable(),
            _ => false,
        };
        if again {
            self.exchange(&mut request).await
        } else {
            first
        }
    }

    async fn exchange(&self, request: &mut Request) -> Result<Frames, Error> {
        let (timeout, limit) = match request.timeout {
            Timeout::Default => (Some(self.timeout()), self.timeout()),
            Timeout::Of(limit) => (Some(limit), limit),
            Timeout::Endless => (None, self.timeout()),
        };
        let meter = request.upload.as_ref().map(Upload::meter);
        let mut patience = Patience::new(request.command.path, limit, request.stall, meter);
        patience.until(Instant::now().checked_add(limit + GRACE));
        let sent = self.send(request, timeout);
        let response = patience
            .wait(sent)
            .await?
            .map_err(|error| patience.blame(error))?;
        let status = response.status().as_u16();
        if status != 200 {
            let body = Frames::new(response, patience)
                .collect(FAILURE_LIMIT)
                .await?;
            return Err(Error::from_status(request.command.path, status, &body)
                .or_timeout(request.command.path, limit));
        }
        if timeout.is_none() {
            patience.until(None);
        }
        Ok(Frames::new(response, patience))
    }

    async fn send(
        &self,
        request: &mut Request,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, Error> {
        let connection = self.connection();
        let base = connection.base().ok_or_else(|| Error::Unreachable {
            endpoint: connection.endpoint.to_string(),
            reason: "there is no such api file".to_owned(),
        })?;
        let mut post = connection.http.post(request.url(&base, timeout)?);
        if let Some(upload) = &mut request.upload {
            post = post
                .header(http::header::CONTENT_TYPE, upload.content_type())
                .body(upload.body());
        }
        post.send()
            .await
            .map_err(|error| transport(request.command.path, &connection, &error))
    }

    /// Calls and reads one JSON object.
    pub(super) async fn json<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        let command = request.command.path;
        let body = self.open(request).await?.collect(ANSWER_LIMIT).await?;
        if body.trim_ascii().is_empty() {
            return Err(Error::EmptyAnswer { command });
        }
        if let Some(failure) = Failure::parse(&body) {
            return Err(failure.into_error(command));
        }
        serde_json::from_slice(&body).map_err(|error| Error::BadAnswer {
            command,
            reason: error.to_string(),
        })
    }

    /// Calls a command whose answer says nothing but that it ended well.
    pub(super) async fn finish(&self, request: Request) -> Result<(), Error> {
        let command = request.command.path;
        let body = self
            .open(request)
            .await?
            .streamed()?
            .collect(ANSWER_LIMIT)
            .await?;
        let mut lines = body.split(|byte| *byte == b'\n');
        let failure = lines.find_map(Failure::parse);
        failure.map_or(Ok(()), |failure| Err(failure.into_error(command)))
    }

    /// Calls and reads the answer line by line.
    pub(super) async fn lines<T>(&self, request: Request, limit: usize) -> Result<Lines<T>, Error> {
        Ok(Lines::new(self.open(request).await?.streamed()?, limit))
    }

    /// Calls and reads a body of bytes of at most `limit`.
    pub(super) async fn bytes(&self, request: Request, limit: usize) -> Result<Bytes, Error> {
        self.open(request).await?.streamed()?.collect(limit).await
    }
}

impl Request {
    /// Whether its upload is a stream that has been handed out.
    fn is_spent(&self) -> bool {
        self.upload
            .as_ref()
            .is_some_and(|upload| !upload.is_repeatable())
    }
}

/// Tells "nobody there" from "gone in the middle".
fn transport(command: &'static str, connection: &Connection, error: &reqwest::Error) -> Error {
    let reason = root_cause(error);
    if error.is_connect() {
        Error::Unreachable {
            endpoint: connection.endpoint.to_string(),
            reason,
        }
    } else {
        Error::Interrupted { command, reason }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
