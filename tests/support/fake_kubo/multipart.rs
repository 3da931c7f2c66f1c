//! Reads `multipart/form-data` that is wholly in memory.

use bytes::Bytes;

pub(super) struct Part {
    /// Unescaped file name.
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) data: Bytes,
}

/// The parts of `body`; the boundary is in `content_type`.
pub(super) fn parse(content_type: &str, body: &Bytes) -> Vec<Part> {
    let boundary = content_type.split("boundary=").nth(1).unwrap();
    let mark = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut at = find(body, mark.as_bytes(), 0).unwrap() + mark.len();
    while !body[at..].starts_with(b"--") {
        let head = at + 2;
        let head_end = find(body, b"\r\n\r\n", head).unwrap();
        let data_end = find(body, format!("\r\n{mark}").as_bytes(), head_end).unwrap();
        let headers = std::str::from_utf8(&body[head..head_end]).unwrap();
        parts.push(part(headers, body.slice(head_end + 4..data_end)));
        at = data_end + 2 + mark.len();
    }
    parts
}

fn part(headers: &str, data: Bytes) -> Part {
    let between = |start: &str, end: &str| {
        let rest = headers.split(start).nth(1).unwrap_or_default();
        rest.split(end).next().unwrap().to_owned()
    };
    let escaped = format!("name={}", between("filename=\"", "\""));
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(&escaped).unwrap();
    let name = pairs[0].1.clone();
    Part {
        name,
        content_type: between("Content-Type: ", "\r"),
        data,
    }
}

fn find(body: &Bytes, text: &[u8], from: usize) -> Option<usize> {
    body[from..]
        .windows(text.len())
        .position(|window| window == text)
        .map(|at| at + from)
}
