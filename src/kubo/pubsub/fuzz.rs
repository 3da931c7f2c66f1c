//! What a fuzzer feeds to the reader of Kubo's streams; compiled for it and for
//! tests alone.
//!
//! Takes any bytes; fails where the pieces in which they come make a
//! difference.

use bytes::Bytes;
use futures_util::{FutureExt, stream};

use super::{Message, Subscription};
use crate::kubo::{
    body::{Frames, Patience},
    ndjson::Lines,
};

/// Short, so that a fuzzer finds what lies beyond.
const LIMIT: usize = 512;

/// A subscription: the first byte says in pieces of how many the rest comes.
pub fn ndjson(data: &[u8]) {
    let Some((size, data)) = data.split_first() else {
        return;
    };
    let whole = read(data, data.len());
    assert_eq!(read(data, usize::from(*size)), whole);
}

/// All messages, and how the stream ended.
fn read(data: &[u8], size: usize) -> (Vec<Message>, Option<String>) {
    let pieces = data.chunks(size.max(1)).map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(Ok::<_, std::io::Error>).collect();
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let response = http::Response::new(body).into();
    let frames = Frames::new(
        response,
        Patience::new("pubsub/sub", Default::default(), None, None),
    );
    let lines = Lines::new(frames, LIMIT);
    let mut subscription = Subscription { lines };
    let mut messages = Vec::new();
    loop {
        match subscription.next().now_or_never() {
            Some(Ok(Some(message))) => messages.push(message),
            Some(Ok(None)) => return (messages, None),
            Some(Err(error)) => return (messages, Some(error.to_string())),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_fuzzing_begins_with_is_understood() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ndjson");
        let data = |name| std::fs::read(seeds.join(name)).unwrap();
        let messages = data("messages");
        let (heard, ended) = read(&messages[1..], messages.len());
        assert_eq!((heard.len(), ended), (2, None));
        let (heard, ended) = read(&data("failure")[1..], 7);
        assert_eq!(heard.len(), 1);
        assert!(ended.is_some_and(|error| error.contains("validation ignored")));
        for name in ["messages", "failure", "cut"] {
            ndjson(&data(name));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_an_error_whatever_its_pieces() {
        let long = [vec![3; 1], vec![b'x'; LIMIT * 2]].concat();
        ndjson(&long);
        assert!(read(&long, 5).1.is_some());
    }
}
