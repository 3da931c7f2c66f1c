//! `init`, `doctor`, `receipt`: what needs no daemon, or only its bytes.

use std::os::unix::fs::PermissionsExt as _;

use crate::{
    api_fake::{ID, Served},
    cli_run::run,
};

#[tokio::test]
async fn init_makes_a_home_and_never_overwrites_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["init"]).await;
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (0, "DIR/home\n"),
        "{}",
        said.stderr
    );
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("home"), mode("home/config.toml"), mode("home/token")),
        (0o700, 0o600, 0o600)
    );
    let again = run(dir.path(), &["init"]).await;
    insta::assert_snapshot!(again.stderr, @r"
    Error: DIR/home/config.toml exists
    Hint: Edit it, or give another folder with --home.
    ");
    assert_eq!(again.code, 2);
}

#[tokio::test]
async fn the_doctor_names_what_is_missing_and_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["doctor", "--enc=json"]).await;
    let checks: Vec<serde_json::Value> = serde_json::from_str(&said.stdout).unwrap();
    let state = |name: &str| {
        let check = checks.iter().find(|c| c["check"] == name).unwrap();
        check["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state("home"), state("kubo"), state("daemon")),
        ("warn".into(), "fail".into(), "warn".into())
    );
    assert_eq!(said.code, 1);
    let text = run(dir.path(), &["doctor"]).await;
    assert!(text.stdout.contains("FAIL  kubo"), "{}", text.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_asks_a_live_daemon_about_the_mesh() {
    let served = Served::start(false).await;
    let said = run(served.dir.path(), &["doctor"]).await;
    assert!(
        said.stdout.contains("ready, in mesh public"),
        "{}",
        said.stdout
    );
    assert!(
        said.stdout
            .contains("1 other nodes reachable (0 over streams), 0 not"),
        "{}",
        said.stdout
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_makes_no_sense_is_refused_with_and_without_a_daemon() {
    let served = Served::start(false).await;
    *served.fake.receipt.lock().await = b"nonsense".to_vec();
    let live = run(served.dir.path(), &["receipt", "verify", ID]).await;
    assert_eq!(live.code, 5, "{}", live.stderr);
    let exported = run(served.dir.path(), &["receipt", "export", ID, "run.car"]).await;
    assert_eq!((exported.code, exported.stdout.as_str()), (0, "run.car\n"));
    let file = run(served.dir.path(), &["receipt", "verify", "run.car"]).await;
    insta::assert_snapshot!(file.stderr, @r"
    Error: the receipt is refused: not of the wanted shape
    Hint: Do not trust it: it was changed, or is not what it claims to be.
    ");
    assert_eq!(file.code, 5);
}
