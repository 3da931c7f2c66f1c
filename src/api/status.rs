//! Failures as HTTP answers, in Kubo's manner: the one place that maps them.
//!
//! The body is `{Message, Code, Type: "error", code, class, message, hint,
//! retryable}`: what Kubo's clients look for, then what TimeRose says.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::Kind;
use crate::compute::Failure;

/// A failure on its way out.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Failure);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = status(Kind::of(&self.0));
        answer(status, &self.0)
    }
}

/// `failure` under a status of its own, for what HTTP itself refuses.
pub(super) fn answer(status: StatusCode, failure: &Failure) -> Response {
    let code = kubo_code(Kind::of(failure));
    let body = Body {
        kubo_message: &failure.message,
        kubo_code: code,
        kind: "error",
        failure,
    };
    (status, Json(body)).into_response()
}

/// Browsers and proxies know no better number for "the client went away".
const CLIENT_CLOSED: u16 = 499;

fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Usage => StatusCode::BAD_REQUEST,
        Kind::Function => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Refused => StatusCode::FORBIDDEN,
        Kind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        Kind::Cancelled => {
            StatusCode::from_u16(CLIENT_CLOSED).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        Kind::Other => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Kubo's own numbers: 0 normal, 1 client, 4 forbidden.
const fn kubo_code(kind: Kind) -> u8 {
    match kind {
        Kind::Usage => 1,
        Kind::Refused => 4,
        _ => 0,
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "Message")]
    kubo_message: &'a str,
    #[serde(rename = "Code")]
    kubo_code: u8,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(flatten)]
    failure: &'a Failure,
}
