//! Failures as HTTP answers, in Kubo's manner: the one place that maps them.
//!
//! The body is `{Message, Code, Type: "error", code, class, message, hint,
//! retryable}`: what Kubo's clients look for, then what TimeRose says. What is
//! only busy says when to ask again: 503 with `Retry-After`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
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
        let Some(wait_ms) = self.0.retry_after_ms else {
            return answer(status(Kind::of(&self.0)), &self.0);
        };
        let seconds = HeaderValue::from(wait_ms.div_ceil(1_000));
        let busy = answer(StatusCode::SERVICE_UNAVAILABLE, &self.0);
        ([(RETRY_AFTER, seconds)], busy).into_response()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Class;

    #[test]
    fn who_is_refused_for_want_of_room_hears_when_to_come_again() {
        let busy = Failure::new(Class::Refused, "busy", "10 are open already");
        let busy = busy.with_retry_after(Duration::from_millis(1_200));
        assert!(busy.retryable);
        let json = serde_json::to_value(&busy).unwrap();
        assert_eq!(json["retry_after_ms"], 1_200);
        let response = Refusal(busy).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }
}
