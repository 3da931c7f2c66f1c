//! Bad input: each is one line naming the cause, a hint and its exit code.

use crate::cli_run::{Said, run};

async fn alone(args: &[&str]) -> Said {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("text.wasm"), "hello").unwrap();
    let said = run(dir.path(), args).await;
    assert_eq!(said.stdout, "", "errors are not data");
    said
}

macro_rules! says {
    ($args:expr, $code:expr, @$text:literal) => {
        let said = alone(&$args).await;
        insta::assert_snapshot!(said.stderr, @$text);
        assert_eq!(said.code, $code);
    };
}

#[tokio::test]
async fn a_malformed_cid() {
    says!(["invoke", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4ye"], 2, @"");
    says!(["invoke", "wordcount", "/ipfs/nonsense"], 2, @"");
}

#[tokio::test]
async fn an_unknown_flag_and_command() {
    says!(["invoke", "f", "--no-cach"], 2, @"");
    says!(["invok", "f"], 2, @"");
    says!(["deploy"], 2, @"");
    says!([] as [&str; 0], 2, @"");
}

#[tokio::test]
async fn a_duration_without_a_unit() {
    says!(["invoke", "f", "--timeout", "30"], 2, @"");
}

#[tokio::test]
async fn no_daemon() {
    says!(["ps"], 6, @"");
}

#[tokio::test]
async fn a_missing_file() {
    says!(["deploy", "nowhere.wasm"], 4, @"");
    says!(["invoke", "nowhere.wasm"], 2, @"");
    says!(["invoke", "f", "nowhere.txt"], 2, @"");
    says!(["receipt", "verify", "nowhere.car"], 4, @"");
}

#[tokio::test]
async fn a_wasm_that_is_not_one() {
    says!(["deploy", "text.wasm"], 2, @"");
}

#[tokio::test]
async fn a_peer_that_is_none() {
    says!(["allow", "add", "everyone"], 2, @"");
}

#[tokio::test]
async fn a_setting_that_is_unknown_or_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("home")).unwrap();
    std::fs::write(dir.path().join("home/config.toml"), "[executor]\nslotz = 1\n").unwrap();
    let said = run(dir.path(), &["daemon"]).await;
    insta::assert_snapshot!(said.stderr, @"");
    assert_eq!(said.code, 2);
}
