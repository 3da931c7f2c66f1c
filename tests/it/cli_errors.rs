//! Bad input: each is one line naming the cause, a hint and its exit code.

use crate::cli_run::{Said, run};

async fn alone(args: &[&str]) -> Said {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text.wasm"), "hello").unwrap();
    let said = run(dir.path(), args).await;
    assert_eq!(said.stdout, "", "errors are not data");
    said
}

/// What it says, once its exit code is `code`.
async fn says(args: &[&str], code: i32) -> String {
    let said = alone(args).await;
    assert_eq!(said.code, code, "{}", said.stderr);
    said.stderr
}

#[tokio::test]
async fn a_malformed_cid() {
    insta::assert_snapshot!(says(&["invoke", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4ye"], 2).await, @r#"
    Error: "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4ye" is a malformed CID: Failed to parse multihash
    Hint: Copy it again: a CID is longer than it looks, and every letter counts.
    "#);
    insta::assert_snapshot!(says(&["invoke", "wordcount", "/ipfs/nonsense"], 2).await, @r#"
    Error: "nonsense" is a malformed CID: Failed to parse multihash
    Hint: Copy it again: a CID is longer than it looks, and every letter counts.
    "#);
}

#[tokio::test]
async fn an_unknown_flag_and_command() {
    insta::assert_snapshot!(says(&["invoke", "f", "--no-cach"], 2).await, @r"
    Error: unexpected argument '--no-cach' found
    Hint: A similar argument exists: '--no-cache'.
    ");
    insta::assert_snapshot!(says(&["invok", "f"], 2).await, @r"
    Error: unrecognized subcommand 'invok'
    Hint: A similar subcommand exists: 'invoke'.
    ");
    insta::assert_snapshot!(says(&["deploy"], 2).await, @r"
    Error: the following required arguments were not provided: <CODE>
    Hint: `timerose deploy --help` shows how.
    ");
    insta::assert_snapshot!(says(&[], 2).await, @r"
    Error: 'timerose' requires a subcommand but one was not provided
    Hint: `timerose --help` lists the commands.
    ");
}

#[tokio::test]
async fn a_duration_without_a_unit() {
    insta::assert_snapshot!(says(&["invoke", "f", "--timeout", "30"], 2).await, @r"
    Error: invalid value '30' for '--timeout <DURATION>': `30` is no duration; write `30s`
    Hint: `timerose invoke --help` shows how.
    ");
}

#[tokio::test]
async fn no_daemon() {
    insta::assert_snapshot!(says(&["ps"], 6).await, @r"
    Error: no daemon runs in DIR/home
    Hint: Start one with `timerose daemon`.
    ");
}

#[tokio::test]
async fn a_missing_file() {
    insta::assert_snapshot!(says(&["deploy", "nowhere.wasm"], 4).await, @r"
    Error: nowhere.wasm: no such file or folder
    Hint: Give a module, a folder with timerose.toml, or a CID.
    ");
    insta::assert_snapshot!(says(&["invoke", "nowhere.wasm"], 2).await, @r#"
    Error: "nowhere.wasm" is neither a function's name, a CID nor a file here
    Hint: `timerose ps --functions` lists what is deployed.
    "#);
    insta::assert_snapshot!(says(&["invoke", "f", "nowhere.txt"], 2).await, @r#"
    Error: "nowhere.txt" is neither a CID nor a file here
    Hint: Arguments of the function come after `--`: timerose invoke FUNCTION -- 2 3
    "#);
    insta::assert_snapshot!(says(&["receipt", "verify", "nowhere.car"], 4).await, @r"
    Error: nowhere.car: no such file or folder
    Hint: `timerose receipt export` writes such a file.
    ");
}

#[tokio::test]
async fn a_wasm_that_is_not_one() {
    insta::assert_snapshot!(says(&["deploy", "text.wasm"], 2).await, @r"
    Error: text.wasm is no WebAssembly module
    Hint: Compile the source first: a module begins with the bytes 00 61 73 6d.
    ");
}

#[tokio::test]
async fn a_peer_that_is_none() {
    insta::assert_snapshot!(says(&["allow", "add", "everyone"], 2).await, @r#"
    Error: "everyone" is no peer ID
    Hint: `timerose node ls` lists them; `any` means everybody.
    "#);
}

#[tokio::test]
async fn a_setting_that_is_unknown_or_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("home")).unwrap();
    std::fs::write(
        dir.path().join("home/config.toml"),
        "[executor]\nslotz = 1\n",
    )
    .unwrap();
    let said = run(dir.path(), &["daemon"]).await;
    insta::assert_snapshot!(said.stderr, @r"
    Error: unknown setting `executor.slotz`; [executor] takes slots, allow, labels, max_memory, max_unpacked, compile_timeout, work_dir (DIR/home/config.toml)
    Hint: docs/config.md lists every setting.
    ");
    assert_eq!(said.code, 2);
}
