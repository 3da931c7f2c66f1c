//! Commands against a daemon that answers from memory: what they print, and
//! what their exit codes are.

use std::sync::atomic::Ordering;

use timerose::compute::Code;

use crate::{
    api_fake::{FUNCTION, ID, OUTPUT, PEER, Served, eventually},
    cli_run::{Said, command, end, run, run_with},
};

async fn said(served: &Served, args: &[&str]) -> Said {
    run(served.dir.path(), args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_writes_the_outputs_bytes_and_nothing_else() {
    let served = Served::start(false).await;
    let said = said(&served, &["invoke", "wordcount", OUTPUT]).await;
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str(), said.code),
        ("hello", "", 0)
    );
    let request = served.fake.invoked.lock().await[0].clone();
    assert_eq!(
        (request.function.as_str(), request.input.as_deref()),
        ("wordcount", Some(OUTPUT))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_prints_a_cid_for_a_directory_or_when_quiet() {
    let served = Served::start(false).await;
    assert_eq!(
        said(&served, &["invoke", "folder"]).await.stdout,
        format!("{OUTPUT}\n")
    );
    assert_eq!(
        said(&served, &["invoke", "-q", "wordcount"]).await.stdout,
        format!("{OUTPUT}\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_sends_files_and_standard_input() {
    let served = Served::start(false).await;
    std::fs::write(served.dir.path().join("book.txt"), "from a file").unwrap();
    assert_eq!(
        said(&served, &["invoke", "wordcount", "book.txt"])
            .await
            .stdout,
        "from a file"
    );
    let piped = run_with(
        served.dir.path(),
        &["invoke", "wordcount", "-"],
        b"from a pipe",
    )
    .await;
    assert_eq!(piped.stdout, "from a pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_says_once_that_what_is_added_can_be_fetched() {
    let served = Served::start(false).await;
    std::fs::write(served.dir.path().join("big.txt"), vec![b'x'; 65 << 10]).unwrap();
    let first = said(&served, &["invoke", "wordcount", "big.txt"]).await;
    assert!(
        first
            .stderr
            .contains("anyone who has the CID can fetch them"),
        "{}",
        first.stderr
    );
    let second = said(&served, &["invoke", "wordcount", "big.txt"]).await;
    assert_eq!(second.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_module_is_deployed_on_the_way() {
    let served = Served::start(false).await;
    std::fs::write(served.dir.path().join("add.wat"), "(module)").unwrap();
    let said = said(
        &served,
        &["invoke", "add.wat", "--fuel", "9", "--", "2", "-3"],
    )
    .await;
    assert_eq!(said.code, 0, "{}", said.stderr);
    let deployed = served.fake.deployed.lock().await;
    assert!(matches!(&deployed[0].code, Code::Bytes(b) if b.starts_with(b"\0asm")));
    assert_eq!(deployed[0].draft.name.as_deref(), Some("add"));
    let request = &served.fake.invoked.lock().await[0];
    assert_eq!(request.function, FUNCTION);
    assert_eq!(
        (request.args.as_slice(), request.fuel),
        (["2".to_owned(), "-3".to_owned()].as_slice(), Some(9))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_json_is_the_designs() {
    let served = Served::start(false).await;
    insta::assert_snapshot!(said(&served, &["invoke", "wordcount", "--enc=json"]).await.stdout, @r#"{"invocation":"01JDAAAAAAAAAAAAAAAAAAAAAA","call":"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku","function":"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku","output":"bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq","receipt":"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku","executor":"12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr","cached":false,"elapsed_ms":120,"bytes_moved":2048}"#);
    let failed = said(&served, &["invoke", "fails", "--enc=json"]).await;
    insta::assert_snapshot!(failed.stdout, @r#"{"invocation":"01JDAAAAAAAAAAAAAAAAAAAAAA","call":"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku","function":"fails","output":null,"receipt":null,"executor":"12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr","cached":false,"elapsed_ms":null,"bytes_moved":null,"error":{"code":"user","class":"user","message":"wasm trap: unreachable","retryable":false}}"#);
    assert_eq!(failed.code, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_the_designs() {
    let served = Served::start(false).await;
    for (args, code) in [
        (["invoke", "fails"], 3),
        (["invoke", "exits"], 3),
        (["invoke", "refused"], 5),
        (["invoke", "late"], 62),
        (["invoke", "vanishes"], 6),
        (["invoke", "--no-such-flag"], 2),
        (["result", "nonsense"], 4),
        (["ps", "--all"], 0),
    ] {
        let said = said(&served, &args).await;
        assert_eq!(said.code, code, "{args:?}: {}", said.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_breaks_off_is_no_success_and_is_not_saved() {
    let served = Served::start(false).await;
    served.fake.breaks_off.store(true, Ordering::SeqCst);
    let shown = said(&served, &["invoke", "wordcount"]).await;
    assert_eq!(shown.code, 6, "{}", shown.stderr);
    let saved = said(&served, &["invoke", "wordcount", "-o", "out"]).await;
    assert_eq!(saved.code, 6, "{}", saved.stderr);
    assert!(!served.dir.path().join("out").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_is_saved_where_it_is_asked_for() {
    let served = Served::start(false).await;
    let said = said(&served, &["invoke", "wordcount", "-o", "out"]).await;
    assert_eq!((said.code, said.stdout.as_str()), (0, ""));
    assert_eq!(
        std::fs::read(served.dir.path().join("out")).unwrap(),
        b"hello"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_and_ends_with_125() {
    let served = Served::start(false).await;
    let child = command(served.dir.path(), &["invoke", "hangs"])
        .spawn()
        .unwrap();
    let invoked = || served.fake.invoked.try_lock().is_ok_and(|i| !i.is_empty());
    eventually("the invocation arrives", invoked).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let said = end(served.dir.path(), child).await;
    assert_eq!(said.code, 125, "{}", said.stderr);
    let cancelled = served.fake.cancelled.clone();
    eventually("the stream is closed", || {
        cancelled.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_ends_with_62() {
    let served = Served::start(false).await;
    let said = said(&served, &["result", "--wait", "--timeout", "200ms", "AAAA"]).await;
    assert_eq!(said.code, 62, "{}", said.stderr);
    assert_eq!(
        said.stderr,
        "Error: gave up after 200ms\nHint: A longer --timeout gives it more time.\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_are_shown_before_and_after() {
    let served = Served::start(false).await;
    let before = said(&served, &["invoke", "wordcount", OUTPUT, "--dry-run"]).await;
    insta::assert_snapshot!(before.stdout, @r"
       PEER       MS                                   RTT  QUEUE  FETCH  COLD  RUN  LOCAL     MISSING  FOUND BY
    →  …Hcnv7hHr  102  ·▓▓▓▓▓▓▓▓▓██████████████        2    0      0      40    60   50.0 MiB  0 B      input
       …5MD8mn6i  –    not: does not let you run code  2    0      0      40    60   50.0 MiB  0 B      input
    bar: · rtt  ░ queue  ▒ fetch  ▓ cold  █ run, milliseconds each
    ");
    assert!(served.fake.invoked.lock().await.is_empty(), "nothing ran");
    assert_eq!(
        said(&served, &["schedule", "wordcount", OUTPUT])
            .await
            .stdout,
        before.stdout
    );
    assert_eq!(said(&served, &["explain", ID]).await.stdout, before.stdout);
    assert_eq!(
        said(&served, &["schedule", "-q", "wordcount"]).await.stdout,
        format!("{PEER}\n")
    );
    insta::assert_snapshot!(said(&served, &["explain", ID, "--enc=json"]).await.stdout, @r#"{"chosen":"12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr","candidates":[{"peer":"12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr","predicted_ms":102,"terms":{"rtt":2,"queue":0,"fetch":0,"cold":40,"run":60},"bytes_local":52428800,"bytes_missing":0,"sources":["input"]},{"peer":"12D3KooWBd9zd6aBLKJfdwHpXTUZ3HyVG5BhJKsWDn2q5MD8mn6i","predicted_ms":102,"terms":{"rtt":2,"queue":0,"fetch":0,"cold":40,"run":60},"bytes_local":52428800,"bytes_missing":0,"sources":["input"],"veto":"does not let you run code"}]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_tables() {
    let served = Served::start(false).await;
    insta::assert_snapshot!(said(&served, &["ps", "--all"]).await.stdout, @r"
    INVOCATION                  STATE      FUNCTION   EXECUTOR   ATTEMPTS  ELAPSED  ERROR
    01JDAAAAAAAAAAAAAAAAAAAAAA  active     …nxquvyku  …Hcnv7hHr  1         120 ms
    01JDAAAAAAAAAAAAAAAAAAAAAA  succeeded  …nxquvyku  …Hcnv7hHr  1         120 ms
    ");
    insta::assert_snapshot!(said(&served, &["ps", "--functions"]).await.stdout, @r"
    NAME       RUNTIME    ENTRIES  FUNCTION
    wordcount  wasm/wasi  _start   bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
    ");
    insta::assert_snapshot!(said(&served, &["node", "ls"]).await.stdout, @r"
    PEER                                                  REACH           RUNTIMES    FREE  WARM  RTT     HEARD  LABELS
    12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr  this node       wasm(wasi)  3/4   1     –       –      zone=a
    12D3KooWBd9zd6aBLKJfdwHpXTUZ3HyVG5BhJKsWDn2q5MD8mn6i  direct, pubsub  wasm(wasi)  3/4   1     4.5 ms  –      zone=a
    ");
    insta::assert_snapshot!(said(&served, &["storage"]).await.stdout, @r"
    KIND    COUNT  SIZE
    output  3      2.0 MiB
    results stay 24 h within 10.0 GiB
    ");
    insta::assert_snapshot!(said(&served, &["gc", "--dry-run"]).await.stdout, @r"
    KIND    COUNT  SIZE
    output  3      2.0 MiB
    would free 2.0 MiB
    ");
    insta::assert_snapshot!(said(&served, &["allow", "ls"]).await.stdout, @r"
    PEER                                                  UNTIL     SOURCE
    12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr  for good  self
    ");
    insta::assert_snapshot!(said(&served, &["result", ID]).await.stdout, @r"
    invocation  01JDAAAAAAAAAAAAAAAAAAAAAA
    state       succeeded
    function    bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
    call        bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
    executor    12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr
    attempts    1
    elapsed     120 ms
    output      bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq
    receipt     bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku
    cached      false
    moved       2.0 KiB
    ");
    insta::assert_snapshot!(said(&served, &["node", "show"]).await.stdout, @r"
    peer     12D3KooWGRUfXEwKyUyZBHvD2SzWkNeSw5cbMShWRRKtHcnv7hHr
    version  0.1.0
    kubo     0.43.0
    mesh     public
    ready    yes
    boot     01JDAAAAAAAAAAAAAAAAAAAAAA
    api      /unix/api.sock
    address  /ip4/127.0.0.1/tcp/4001
    counter  invocations 3
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_let_in_for_a_time() {
    let served = Served::start(false).await;
    let said = said(&served, &["allow", "add", PEER, "--for", "7d"]).await;
    assert_eq!(said.stdout, format!("{PEER} until 2026-06-04T20:26:40Z\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_deploy_rm_cancel_and_shutdown_say_what_they_did() {
    let served = Served::start(false).await;
    std::fs::write(served.dir.path().join("f.wat"), "(module)").unwrap();
    assert_eq!(said(&served, &["logs", ID]).await.stdout, "a line\n");
    assert_eq!(
        said(&served, &["deploy", "-q", "f.wat"]).await.stdout,
        format!("{FUNCTION}\n")
    );
    assert_eq!(
        said(&served, &["rm", "f"]).await.stdout,
        format!("{FUNCTION}\n")
    );
    assert_eq!(
        said(&served, &["cancel", ID]).await.stdout,
        format!("{ID} cancelled\n")
    );
    assert_eq!(said(&served, &["shutdown"]).await.code, 0);
    assert!(served.fake.ended.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_an_output_is_saved_to_stays_a_device() {
    let served = Served::start(false).await;
    let link = served.dir.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let saved = said(&served, &["result", ID, "-o", link.to_str().unwrap()]).await;
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert!(link.is_symlink(), "nothing took the device's place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_is_no_error() {
    let served = Served::start(false).await;
    *served.fake.output.lock().await = vec![b'x'; 8 << 20];
    let saved = served.dir.path().join("saved");
    let mut child = command(
        served.dir.path(),
        &["result", ID, "-o", saved.to_str().unwrap()],
    )
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let _saved = end(served.dir.path(), child).await;
    let mut child = command(served.dir.path(), &["invoke", "wordcount"])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let said = end(served.dir.path(), child).await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}
