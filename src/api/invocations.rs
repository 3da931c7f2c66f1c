//! `invoke`, `submit`, `schedule`, and what becomes of invocations: `ps`,
//! `result`, `wait`, `explain`, `cancel`, `dead`.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use super::{
    Backend,
    query::{Pairs, Params},
    status::Refusal,
};
use crate::{
    compute::{ByteStream, Explanation, Failure, InvocationEvent, InvokeRequest, Record},
    model::Class,
};

/// Events in one piece of a body.
const MAX_AT_ONCE: usize = 16;
/// How long an event waits for others to travel with. A short invocation is
/// over by then: its caller is written to, and wakes, once.
const RIDE_DELAY: Duration = Duration::from_millis(5);

/// `invoke?arg=FUNCTION[&arg=INPUT][&request={…}]`: the events as they happen,
/// one JSON object per line. With the input `-` the body is the input. A
/// client that goes away cancels.
pub(super) async fn invoke<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Response, Refusal> {
    let (request, input) = read(pairs, body)?;
    let events = backend.invoke(request, input).await?;
    let mut pieces = stream::unfold(Some(events), |events| async {
        let mut events = events?;
        let piece = piece(&mut events).await?;
        Some((lines_of(&piece), (!is_end(&piece)).then_some(events)))
    })
    .boxed();
    // The head goes with the first of them.
    let first = stream::iter(pieces.next().await);
    let lines = Body::from_stream(first.chain(pieces).map(Ok::<_, Infallible>));
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

/// `submit?arg=FUNCTION[&arg=INPUT][&request={…}]`: the invocation, once it is
/// on disk; it outlives this connection.
pub(super) async fn submit<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Json<Record>, Refusal> {
    let (request, input) = read(pairs, body)?;
    Ok(Json(backend.submit(request, input).await?))
}

/// `dead/ls`
pub(super) async fn dead<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<Record>>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.dead().await?))
}

/// `dead/retry?arg=INVOCATION`
pub(super) async fn dead_retry<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Record>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.dead_retry(params.only()).await?))
}

/// `dead/drop?arg=INVOCATION`
pub(super) async fn dead_drop<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Record>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.dead_drop(params.only()).await?))
}

/// `schedule?arg=FUNCTION[&arg=INPUT][&request={…}]`: the same without running.
pub(super) async fn schedule<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Json<Explanation>, Refusal> {
    let (request, input) = read(pairs, body)?;
    Ok(Json(backend.schedule(request, input).await?))
}

/// `ps[?all=true]`
pub(super) async fn list<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<Record>>, Refusal> {
    let params = Params::read(pairs, 0..=0, &["all"])?;
    Ok(Json(backend.records(params.flag("all")?).await?))
}

/// `result?arg=INVOCATION`
pub(super) async fn result<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Record>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.record(params.only()).await?))
}

/// How long `wait` waits where the request does not say.
const WAIT: Duration = Duration::from_secs(60);

/// `wait?arg=INVOCATION[&timeout_ms=30000]`
pub(super) async fn wait<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Record>, Refusal> {
    let params = Params::read(pairs, 1..=1, &["timeout_ms"])?;
    let timeout = params
        .parsed("timeout_ms")?
        .map_or(WAIT, Duration::from_millis);
    Ok(Json(backend.wait(params.only(), timeout).await?))
}

/// `explain?arg=INVOCATION`
pub(super) async fn explain<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Explanation>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    let record = backend.record(params.only()).await?;
    let explanation = record
        .explanation
        .ok_or_else(|| not_placed(&record.invocation))?;
    Ok(Json(explanation))
}

/// `cancel?arg=INVOCATION`
pub(super) async fn cancel<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Record>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.cancel(params.only()).await?))
}

fn read(pairs: Pairs, body: Body) -> Result<(InvokeRequest, Option<ByteStream>), Failure> {
    let params = Params::read(pairs, 1..=2, &["request"])?;
    let mut request: InvokeRequest = params.json("request")?;
    request.function = params.only().to_owned();
    if let Some(input) = params.arg(1) {
        request.input = Some(input.to_owned());
    }
    let streams = request.input.as_deref() == Some("-");
    let stream = || {
        body.into_data_stream()
            .map_err(std::io::Error::other)
            .boxed()
    };
    Ok((request, streams.then(stream)))
}

/// The next event, and what follows it within a moment; the last one waits for
/// nothing.
async fn piece<S>(events: &mut S) -> Option<Vec<InvocationEvent>>
where
    S: Stream<Item = InvocationEvent> + Unpin,
{
    let mut piece = vec![events.next().await?];
    let until = Instant::now() + RIDE_DELAY;
    while piece.len() < MAX_AT_ONCE && !is_end(&piece) {
        match timeout_at(until, events.next()).await {
            Ok(Some(event)) => piece.push(event),
            Ok(None) | Err(_) => break,
        }
    }
    Some(piece)
}

/// Whether nothing follows a piece.
fn is_end(piece: &[InvocationEvent]) -> bool {
    piece.last().is_some_and(InvocationEvent::is_last)
}

fn lines_of(events: &[InvocationEvent]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        text.extend(serde_json::to_vec(event).unwrap_or_default());
        text.push(b'\n');
    }
    text.into()
}

fn not_placed(invocation: &str) -> Failure {
    let message = format!("invocation {invocation} was answered without a placement");
    Failure::new(Class::Missing, "not_placed", message)
        .with_hint("Remembered results and runs that ended early have none.")
}
