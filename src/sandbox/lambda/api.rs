//! The Runtime API of one container, as runtimes call it.
//!
//! Takes requests of the 2018-06-01 version, gives what the desk says. Never
//! closes a request for the next event because it takes long.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use super::{
    desk::{Answer, Desk, Event, Refused},
    hearing::Hearing,
    payload::{MAX_PAYLOAD_BYTES, RESPONSE_SLACK_BYTES},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const ARN: &str = "lambda-runtime-invoked-function-arn";
const TRACE: &str = "lambda-runtime-trace-id";
const CONTEXT: &str = "lambda-runtime-client-context";

/// What the handlers know.
#[derive(Clone)]
pub(super) struct Counter {
    pub(super) desk: Arc<Desk>,
    pub(super) hearing: Arc<Hearing>,
}

/// All paths.
pub(super) fn router(counter: Counter) -> Router {
    let runtime = Router::new()
        .route("/invocation/next", get(next))
        .route("/invocation/{id}/response", post(response))
        .route("/invocation/{id}/error", post(error))
        .route("/init/error", post(init_error));
    Router::new()
        .nest("/2018-06-01/runtime", runtime)
        .with_state(counter)
}

async fn next(State(counter): State<Counter>) -> Response {
    match counter.desk.next().await {
        Ok(event) => {
            given(event).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
        Err(refused) => refusal(refused),
    }
}

fn given(event: Event) -> Result<Response, axum::http::header::InvalidHeaderValue> {
    let deadline = event.deadline_ms.to_string();
    let values = [
        (REQUEST_ID, Some(event.id)),
        (DEADLINE, Some(deadline)),
        (ARN, Some(event.arn)),
        (TRACE, Some(event.trace)),
        (CONTEXT, event.client_context),
    ];
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, JSON);
    for (name, value) in values {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
        }
    }
    Ok((headers, event.body).into_response())
}

async fn response(State(counter): State<Counter>, Path(id): Path<String>, body: Body) -> Response {
    let limit = MAX_PAYLOAD_BYTES + RESPONSE_SLACK_BYTES;
    let answer = match read(body, limit).await {
        Some(bytes) if bytes.len() > limit => Answer::TooLarge(bytes.len()),
        Some(bytes) => Answer::Response(bytes),
        None => {
            return wrong(
                StatusCode::BAD_REQUEST,
                "TruncatedResponse",
                "the response broke off",
            );
        }
    };
    let is_too_large = matches!(answer, Answer::TooLarge(_));
    counter.hearing.catch_up();
    match counter.desk.answer(&id, answer) {
        Ok(()) if is_too_large => wrong(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            "the response is too large",
        ),
        answered => accepted(answered),
    }
}

async fn error(State(counter): State<Counter>, Path(id): Path<String>, body: Body) -> Response {
    match posted(&counter, body).await {
        Ok(bytes) => accepted(counter.desk.answer(&id, Answer::Error(bytes))),
        Err(refusal) => refusal,
    }
}

async fn init_error(State(counter): State<Counter>, body: Body) -> Response {
    match posted(&counter, body).await {
        Ok(bytes) => accepted(counter.desk.init_failed(bytes)),
        Err(refusal) => refusal,
    }
}

/// A posted error, once all that was said before it is heard.
async fn posted(counter: &Counter, body: Body) -> Result<bytes::Bytes, Response> {
    let bytes = read(body, MAX_PAYLOAD_BYTES).await.ok_or_else(|| {
        wrong(
            StatusCode::BAD_REQUEST,
            "TruncatedResponse",
            "the error broke off",
        )
    })?;
    counter.hearing.catch_up();
    Ok(bytes)
}

/// The body, or a byte more than `limit` of it; none where it broke off.
async fn read(body: Body, limit: usize) -> Option<bytes::Bytes> {
    use futures_util::StreamExt as _;
    let mut bytes = bytes::BytesMut::new();
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        bytes.extend_from_slice(&piece.ok()?);
        if bytes.len() > limit {
            break;
        }
    }
    Some(bytes.freeze())
}

fn accepted(done: Result<(), Refused>) -> Response {
    match done {
        Ok(()) => (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response(),
        Err(refused) => refusal(refused),
    }
}

fn refusal(refused: Refused) -> Response {
    match refused {
        Refused::WrongId => wrong(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        ),
        Refused::WrongState => wrong(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            "Transition is not allowed",
        ),
    }
}

fn wrong(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"errorType": kind, "errorMessage": message});
    (status, axum::Json(body)).into_response()
}
