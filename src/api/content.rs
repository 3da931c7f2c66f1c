//! `output`, `logs`, `receipt`, `receipt/car`: bytes, streamed.
//!
//! A stream that breaks ends the connection in the middle of the body, so that
//! no client takes a part for the whole.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderName, HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use super::{
    Backend, Output,
    query::{Pairs, Params},
    status::Refusal,
};
use crate::{compute::Failure, model::Class};

/// Names the output's CID beside its bytes.
pub(super) const CID_HEADER: HeaderName = HeaderName::from_static("x-timerose-cid");

/// The type of a directory's bytes.
pub(super) const TAR: &str = "application/x-tar";

const BYTES: &str = "application/octet-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const CBOR: &str = "application/vnd.ipld.dag-cbor";
const CAR: &str = "application/vnd.ipld.car; version=1";

/// `output?arg=INVOCATION|CID`: a file's bytes, or a directory's TAR archive.
pub(super) async fn output<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    let Output {
        cid,
        is_directory,
        bytes,
    } = backend.output(params.only()).await?;
    let cid = HeaderValue::try_from(cid)
        .map_err(|_| Failure::new(Class::Node, "internal", "the output's CID is no text"))?;
    let kind = HeaderValue::from_static(if is_directory { TAR } else { BYTES });
    Ok((
        [(CID_HEADER, cid), (CONTENT_TYPE, kind)],
        Body::from_stream(bytes),
    )
        .into_response())
}

/// `logs?arg=INVOCATION[&follow=true]`
pub(super) async fn logs<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let params = Params::read(pairs, 1..=1, &["follow"])?;
    let bytes = backend.logs(params.only(), params.flag("follow")?).await?;
    Ok(([(CONTENT_TYPE, TEXT)], Body::from_stream(bytes)).into_response())
}

/// `receipt?arg=INVOCATION|CID`: the receipt's canonical bytes.
pub(super) async fn receipt<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    let bytes = backend.receipt(params.only()).await?;
    Ok(([(CONTENT_TYPE, CBOR)], bytes).into_response())
}

/// `receipt/car?arg=INVOCATION|CID`: the receipt with what belongs to it.
pub(super) async fn receipt_car<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Response, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    let bytes = backend.receipt_car(params.only()).await?;
    Ok(([(CONTENT_TYPE, CAR)], bytes).into_response())
}
