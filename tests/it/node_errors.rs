//! Bad input and bad surroundings, seen from the command line of a whole node:
//! each is one line naming the cause, a hint, its exit code, and nothing is
//! left open.

use std::{path::Path, time::Duration};

use tokio::time::Instant;

use crate::{
    cli_run::{Said, end, run},
    node_whole::WholeNode,
    support::fake_kubo::{FakeKubo, FakeNet},
};

const NOBODY_HAS: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const ADD: &str = "(module (func (export \"add\") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))";

async fn node() -> WholeNode {
    WholeNode::start(&FakeNet::new(), &[]).await
}

/// What `timerose ARGS…` says on `node`, and that nothing stays open.
async fn says(node: &WholeNode, args: &[&str], code: i32) -> String {
    let home = node.sidecar.home().parent().unwrap();
    std::fs::write(home.join("add.wat"), ADD).unwrap();
    let mut command = node.sidecar.command(args);
    command.current_dir(home).kill_on_drop(true);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let Said {
        stderr, code: was, ..
    } = end(home, command.spawn().unwrap()).await;
    assert_eq!(was, code, "{args:?}: {stderr}");
    assert_eq!(node.client().records(false).await.unwrap(), []);
    without_names(&stderr)
}

/// The text with the names of invocations replaced.
fn without_names(text: &str) -> String {
    let is_name = |word: &&str| word.len() == 26 && word.starts_with("01");
    let names = text.split([' ', '`', '\n']).filter(is_name);
    names.fold(text.trim_end().to_owned(), |text, name| {
        text.replace(name, "INVOCATION")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cid_that_nobody_has_is_named_in_time() {
    let node = node().await;
    let began = Instant::now();
    let args = ["invoke", "add.wat", NOBODY_HAS, "--fetch-timeout", "1s"];
    insta::assert_snapshot!(says(&node, &args, 4).await, @r"
    Error: bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi is not to be had: nobody gave it within 1s
    Hint: connect to a node that has it (ipfs swarm connect ADDRESS), or wait longer with --fetch-timeout
    ");
    insta::assert_snapshot!(says(&node, &["invoke", NOBODY_HAS, "--fetch-timeout", "1s"], 4).await, @r"
    Error: bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi is not to be had: nobody gave it within 1s
    Hint: connect to a node that has it (ipfs swarm connect ADDRESS), or wait longer with --fetch-timeout
    ");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_export_and_wrong_arguments() {
    let node = node().await;
    let invoke = async |args: &[&str], code| {
        says(&node, &[&["invoke", "add.wat"], args].concat(), code).await
    };
    insta::assert_snapshot!(invoke(&["--entry", "sub"], 3).await, @r"
    Error: the module exports no `sub`; it has: add
    Hint: what the function wrote to its standard error: timerose logs INVOCATION
    ");
    insta::assert_snapshot!(invoke(&["--", "1"], 3).await, @r"
    Error: bad argument: it takes 2 numbers, 1 was given
    Hint: what the function wrote to its standard error: timerose logs INVOCATION
    ");
    insta::assert_snapshot!(invoke(&["--", "1", "99999999999"], 3).await, @r"
    Error: bad argument: number 2, 99999999999, is no i32
    Hint: what the function wrote to its standard error: timerose logs INVOCATION
    ");
    insta::assert_snapshot!(invoke(&["--", "one", "2"], 2).await, @r#"Error: the argument "one" is no number, and this function takes numbers"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_memory_than_the_node_gives() {
    let node = WholeNode::start_with(&FakeNet::new(), |options| {
        let setting = ("TIMEROSE_EXECUTOR__MAX_MEMORY", "128MiB");
        options.environment = vec![(setting.0.to_owned(), setting.1.to_owned())];
    })
    .await;
    let own = node.kubo.peer().to_string();
    let said = says(&node, &["invoke", "add.wat", "--", "1", "2"], 6).await;
    insta::assert_snapshot!(said.replace(&own, "PEER"), @r"
    Error: no executor finished it: PEER: gives 128 MiB, not 256 MiB, of memory
    Hint: `timerose logs INVOCATION` and `timerose explain INVOCATION` say more.
    ");
    says(
        &node,
        &["invoke", "add.wat", "--memory", "64MiB", "--", "1", "2"],
        0,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_not_deployed() {
    let node = node().await;
    insta::assert_snapshot!(says(&node, &["invoke", "subtract"], 4).await, @r#"
    Error: no function "subtract" is deployed here
    Hint: list them with: timerose ps --functions
    "#);
}

/// `timerose ARGS…` beside a Kubo of the repository `ipfs`.
async fn beside(ipfs: &Path, args: &[&str]) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let mut command = crate::cli_run::command(dir.path(), args);
    command.env("IPFS_PATH", ipfs);
    let said = end(dir.path(), command.spawn().unwrap()).await;
    Said {
        stderr: said.stderr.replace(&ipfs.display().to_string(), "IPFS"),
        ..said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubo_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("add.wat"), ADD).unwrap();
    for args in [&["daemon"][..], &["invoke", "add.wat", "--", "1", "2"]] {
        let said = run(dir.path(), args).await;
        insta::allow_duplicates! { insta::assert_snapshot!(said.stderr, @r"
    Error: kubo does not answer at DIR/no-ipfs/api: there is no such api file
    Hint: start Kubo with `ipfs daemon`, or say where it listens with --api
    ") };
        assert_eq!(said.code, 6, "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubo_that_died() {
    let mut kubo = FakeKubo::alone().await;
    kubo.kill().await;
    let said = beside(kubo.repo(), &["daemon"]).await;
    let port = regex_port(&said.stderr);
    insta::assert_snapshot!(said.stderr.replace(&port, "PORT"), @r"
    Error: kubo does not answer at http://127.0.0.1:PORT: Connection refused (os error 111)
    Hint: start Kubo with `ipfs daemon`, or say where it listens with --api
    ");
    assert_eq!(said.code, 6, "{said:?}");
}

/// The digits behind `127.0.0.1`, as a URL or an address has them.
fn regex_port(text: &str) -> String {
    let from = text
        .find("127.0.0.1")
        .map_or(0, |at| at + "127.0.0.1".len());
    let digits = text[from..].chars().skip_while(|c| !c.is_ascii_digit());
    digits.take_while(char::is_ascii_digit).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubo_without_pubsub() {
    let kubo = FakeKubo::alone().await;
    kubo.set(|faults| faults.no_pubsub = true);
    let said = beside(kubo.repo(), &["daemon"]).await;
    insta::assert_snapshot!(said.stderr, @r"
    Error: pubsub is switched off in kubo
    Hint: run `ipfs config --json Pubsub.Enabled true`, then restart `ipfs daemon`
    ");
    assert_eq!(said.code, 6, "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubo_that_is_too_old() {
    let kubo = FakeKubo::alone().await;
    kubo.set(|faults| faults.version = Some("0.40.1".to_owned()));
    let said = beside(kubo.repo(), &["daemon"]).await;
    insta::assert_snapshot!(said.stderr, @r"
    Error: kubo 0.40.1 is older than 0.43.0
    Hint: install a newer one with `scripts/install-kubo`, or accept it with `timerose daemon --allow-old-kubo`
    ");
    assert_eq!(said.code, 5, "{said:?}");
}
