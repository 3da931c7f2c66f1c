//! Answers in Kubo's shapes: headers, lines, trailers, cuts.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;

use super::faults::Cut;

type Piece = Result<Frame<Bytes>, std::io::Error>;

fn with_headers(body: Body, extra: &[(&str, String)]) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert("server", HeaderValue::from_static("kubo/0.43.0"));
    headers.insert("trailer", HeaderValue::from_static("X-Stream-Error"));
    for (name, value) in extra {
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
    }
    response
}

/// One object.
pub(super) fn object(value: &Value) -> Response {
    let kind = [("content-type", "application/json".to_owned())];
    with_headers(Body::from(format!("{value}\n")), &kind)
}

/// Objects, one a line; `last` is a failure that only the trailer tells.
pub(super) fn lines(values: &[Value], last: Option<String>) -> Response {
    let text: String = values.iter().map(|value| format!("{value}\n")).collect();
    let pieces = vec![Ok(Frame::data(Bytes::from(text)))];
    chunked(stream::iter(pieces.into_iter().chain(last.map(trailer))))
}

/// A stream in lines.
pub(super) fn chunked(pieces: impl Stream<Item = Piece> + Send + 'static) -> Response {
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-chunked-output", "1".to_owned()),
    ];
    with_headers(Body::new(StreamBody::new(pieces)), &headers)
}

/// `{"Message","Code","Type"}` with 500.
pub(super) fn failure(message: impl Into<String>) -> Response {
    let message = message.into();
    let value = serde_json::json!({"Message": message, "Code": 0, "Type": "error"});
    let mut response = object(&value);
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Plain text with a status.
pub(super) fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// Bytes in pieces, cut if a fault says so.
pub(super) fn bytes(data: Bytes, length: Option<usize>, cut: Option<(usize, Cut)>) -> Response {
    const PIECE: usize = 32 << 10;
    let (at, how) = cut.map_or((data.len(), None), |(at, how)| {
        (at.min(data.len()), Some(how))
    });
    let sent = data.slice(..at);
    let count = sent.len().div_ceil(PIECE);
    let pieces = (0..count).map(move |i| {
        let end = sent.len().min((i + 1) * PIECE);
        Ok(Frame::data(sent.slice(i * PIECE..end)))
    });
    let end = match how {
        None | Some(Cut::Silent) => stream::empty().boxed(),
        Some(Cut::Trailer) => stream::iter([trailer("a block went missing".to_owned())]).boxed(),
        Some(Cut::Reset) => stream::once(cut_soon()).boxed(),
        Some(Cut::Stall) => stream::pending().boxed(),
    };
    let body = stream::iter(pieces).chain(end);
    let mut headers = vec![
        ("content-type", "text/plain".to_owned()),
        ("x-stream-output", "1".to_owned()),
    ];
    headers.extend(length.map(|length| ("x-content-length", length.to_string())));
    with_headers(Body::new(StreamBody::new(body)), &headers)
}

/// An error that comes after what was sent before it has left the buffers.
async fn cut_soon() -> Piece {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    Err(std::io::Error::other("cut"))
}

fn trailer(message: String) -> Piece {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-stream-error", message.parse().unwrap());
    Ok(Frame::trailers(trailers))
}
