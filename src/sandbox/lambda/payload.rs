//! What Lambda's clients and runtimes expect to read: payloads of errors,
//! lines of the log, headers of an event. Pure.
//!
//! Takes ids and figures, gives text. The forms are those of AWS Lambda, as its
//! documentation and its runtime interface emulator have them.

use std::time::Duration;

use serde::Serialize;

/// Bytes of an event, and of a response.
pub(super) const MAX_PAYLOAD_BYTES: usize = 6 << 20;
/// What the emulator allows a response beyond that.
pub(super) const RESPONSE_SLACK_BYTES: usize = 100;
/// What is kept of an error that a function posts.
pub(super) const MAX_ERROR_BYTES: usize = 16 << 10;
/// The account, and the region, of functions that are in none.
pub(super) const ACCOUNT: &str = "000000000000";
pub(super) const REGION: &str = "us-east-1";
/// The version of what has no other.
pub(super) const VERSION: &str = "$LATEST";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    error_type: &'a str,
    error_message: String,
}

fn payload(error_type: &str, error_message: String) -> String {
    let payload = Payload {
        error_type,
        error_message,
    };
    serde_json::to_string(&payload).unwrap_or_default()
}

/// The runtime ended by itself.
pub(super) fn exited(id: &str, code: i64) -> String {
    let why = match code {
        0 => "Runtime exited without providing a reason".to_owned(),
        code => format!("Runtime exited with error: exit status {code}"),
    };
    payload("Runtime.ExitError", format!("RequestId: {id} Error: {why}"))
}

/// The container's memory was used up.
pub(super) fn out_of_memory(id: &str) -> String {
    let message = format!("RequestId: {id} Error: Runtime exited with error: signal: killed");
    payload("Runtime.OutOfMemory", message)
}

/// The response is too large.
pub(super) fn response_too_large(bytes: usize) -> String {
    let message = format!(
        "Response payload size ({bytes} bytes) exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
    );
    payload("Function.ResponseSizeTooLarge", message)
}

/// The event is too large.
pub(super) fn request_too_large() -> String {
    let message = format!("the event exceeds {MAX_PAYLOAD_BYTES} bytes");
    payload("RequestTooLargeException", message)
}

/// A posted error, cut where it is too large to travel.
pub(super) fn posted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let whole = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
    let Ok(mut error) = whole else {
        let message = text.chars().take(MAX_ERROR_BYTES / 4).collect();
        return payload("Runtime.Unknown", message);
    };
    if bytes.len() > MAX_ERROR_BYTES {
        error.retain(|key, _| key == "errorType" || key == "errorMessage" || key == "requestId");
        for value in error.values_mut() {
            let text = value.as_str().unwrap_or_default();
            *value = text
                .chars()
                .take(MAX_ERROR_BYTES / 8)
                .collect::<String>()
                .into();
        }
    }
    serde_json::Value::Object(error).to_string()
}

/// What the log says of a run that took too long.
pub(super) fn timed_out(id: &str, after: Duration) -> String {
    format!(
        "RequestId: {id} Error: Task timed out after {:.2} seconds\n",
        after.as_secs_f64()
    )
}

/// The log's first line.
pub(super) fn start(id: &str) -> String {
    format!("START RequestId: {id} Version: {VERSION}\n")
}

/// What one run used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) duration: Duration,
    /// Of a cold start.
    pub(super) init: Option<Duration>,
    pub(super) memory_limit: u64,
    pub(super) memory_used: u64,
}

/// The log's last lines.
pub(super) fn end(id: &str, figures: &Figures) -> String {
    let millis = figures.duration.as_secs_f64() * 1000.0;
    let (limit, used) = (
        figures.memory_limit >> 20,
        figures.memory_used.div_ceil(1 << 20),
    );
    let init = figures
        .init
        .map(|init| format!("Init Duration: {:.2} ms\t", init.as_secs_f64() * 1000.0));
    format!(
        "END RequestId: {id}\nREPORT RequestId: {id}\tDuration: {millis:.2} ms\tBilled Duration: {} ms\tMemory Size: {limit} MB\tMax Memory Used: {used} MB\t{}\n",
        millis.ceil(),
        init.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_fields_and_a_huge_one_its_first() {
        let small = r#"{"errorMessage":"no","errorType":"ValueError","stackTrace":["a"]}"#;
        assert!(posted(small.as_bytes()).contains("stackTrace"));
        let trace = "x".repeat(MAX_ERROR_BYTES);
        let large = format!(r#"{{"errorMessage":"no","errorType":"E","stackTrace":["{trace}"]}}"#);
        let kept = posted(large.as_bytes());
        assert!(
            kept.contains(r#""errorMessage":"no""#) && !kept.contains("stackTrace"),
            "{kept}"
        );
        assert!(posted(b"not json").contains("not json"));
    }

    #[test]
    fn the_report_is_what_tools_parse() {
        let figures = Figures {
            duration: Duration::from_micros(12_340),
            init: Some(Duration::from_millis(100)),
            memory_limit: 128 << 20,
            memory_used: 1,
        };
        assert_eq!(
            end("id", &figures),
            "END RequestId: id\nREPORT RequestId: id\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\tInit Duration: 100.00 ms\t\n"
        );
    }

    #[test]
    fn the_ways_to_end_have_their_own_types() {
        assert_eq!(
            exited("id", 3),
            r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: id Error: Runtime exited with error: exit status 3"}"#
        );
        assert_eq!(
            timed_out("id", Duration::from_millis(1500)),
            "RequestId: id Error: Task timed out after 1.50 seconds\n"
        );
    }
}
