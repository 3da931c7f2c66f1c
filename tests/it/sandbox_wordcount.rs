//! The word count example: the committed module, and one built from its source.

use std::{path::Path, process::Command};

use bytes::Bytes;
use futures_util::StreamExt;
use timerose::{
    model::{Abi, Limits},
    sandbox::check,
};

use crate::{
    sandbox_room::{Room, text},
    support::skip::skip,
};

const TEXT: &str = "The rose,\nthe ROSE and the time-rose: it's 5 roses.\n";
const COUNTS: &str = "files 1\nbytes 52\nlines 2\nwords 12\ndistinct 8\n
         3 rose\n         3 the\n         1 5\n         1 and\n         1 it\n         1 roses
         1 s\n         1 time\n";

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/wordcount")
}

async fn counts_of_stdin(room: &Room, module: &[u8]) -> String {
    let mut attempt = room.attempt_bytes(Abi::Wasi, module);
    // One byte at a time: words and lines cross every border between reads.
    let bytes = TEXT.bytes().map(|byte| Ok(Bytes::from(vec![byte])));
    attempt.stdin = Some(futures_util::stream::iter(bytes).boxed());
    text(&room.run(attempt).await.unwrap())
}

#[tokio::test]
async fn wordcount_counts_a_file() {
    let room = Room::new();
    let module = std::fs::read(example().join("wordcount.wasm")).unwrap();
    assert!(module.len() < 100_000);
    check(&module, Abi::Wasi, None, &Limits::default()).unwrap();
    assert_eq!(counts_of_stdin(&room, &module).await, COUNTS);
    room.close().await;
}

#[tokio::test]
async fn wordcount_counts_a_directory() {
    let room = Room::new();
    let module = std::fs::read(example().join("wordcount.wasm")).unwrap();
    let input = room.folder();
    let deep = input.path().join("a/b/c");
    std::fs::create_dir_all(&deep).unwrap();
    for (path, words) in [
        (input.path().join("one"), "one"),
        (deep.join("two"), "two two"),
    ] {
        std::fs::write(path, words).unwrap();
    }
    let mut attempt = room.attempt_bytes(Abi::Wasi, &module);
    attempt.input_dir = Some(input.path().to_owned());
    let counts = text(&room.run(attempt).await.unwrap());
    let expected = "files 2\nbytes 10\nlines 0\nwords 3\ndistinct 2\n
         2 two\n         1 one\n";
    assert_eq!(counts, expected);
    room.close().await;
}

/// Whether a C program can be made a WASI module here.
fn can_compile() -> bool {
    let target = tempfile::tempdir().unwrap();
    let source = target.path().join("empty.c");
    std::fs::write(&source, "int main(void) { return 0; }").unwrap();
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    Command::new(clang)
        .args(["--target=wasm32-wasi", "-flto", "-o"])
        .args([&target.path().join("empty.wasm"), &source])
        .output()
        .is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn wordcount_is_what_its_source_gives() {
    let room = Room::new();
    let target = tempfile::tempdir().unwrap();
    let built = target.path().join("wordcount.wasm");
    let build = Command::new(example().join("build"))
        .arg(&built)
        .output()
        .unwrap();
    if !build.status.success() {
        let said = String::from_utf8_lossy(&build.stderr);
        assert!(!can_compile(), "{said}");
        skip("no clang, lld and wasi-libc here (scripts/setup gets them)");
        return room.close().await;
    }
    assert_eq!(
        counts_of_stdin(&room, &std::fs::read(built).unwrap()).await,
        COUNTS
    );
    room.close().await;
}
