//! `pubsub/pub` and the ways in which it fails or lies.

use std::io;

use axum::{body::Body, response::Response};
use http::{HeaderValue, Request, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Shared;

/// Passes a publish on, or does not.
pub(super) async fn answer(shared: &Shared, request: Request<Incoming>) -> io::Result<Response> {
    shared.count(|counts| counts.published += 1);
    let faults = shared.faults();
    if shared.hits(faults.ignored) {
        return refuse(shared, request, "validation ignored").await;
    }
    if shared.hits(faults.failed) {
        return refuse(shared, request, "publish queue is closed").await;
    }
    if shared.hits(faults.unsent) {
        shared.count(|counts| counts.dropped += 1);
        swallow(request).await?;
        return Ok(taken());
    }
    Ok(shared.pass(request).await?.map(Body::new))
}

async fn refuse(
    shared: &Shared,
    request: Request<Incoming>,
    message: &str,
) -> io::Result<Response> {
    shared.count(|counts| counts.refused += 1);
    swallow(request).await?;
    let body = serde_json::json!({"Message": message, "Code": 0, "Type": "error"});
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

async fn swallow(request: Request<Incoming>) -> io::Result<()> {
    let all = request.into_body().collect().await;
    all.map(drop).map_err(io::Error::other)
}

/// What Kubo says once it took a message.
fn taken() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-chunked-output", HeaderValue::from_static("1"));
    response
}

/// Plain text with a status.
pub(super) fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status.try_into().unwrap();
    response
}
