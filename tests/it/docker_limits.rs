//! What a container cannot do, and how it ends when it tries.

use std::time::Duration;

use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use timerose::{
    sandbox::{Error, Fault, Sandbox as _},
    task::Tasks,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::docker_room::Room;

/// What a limit may be overrun by.
const GRACE: Duration = Duration::from_secs(5);

/// Writes for ever.
const FLOOD: &str =
    "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";

/// Runs a line to its end, then something ordinary, and sees that nothing of
/// the first is left.
async fn ends(room: &Room, line: &str, wall_ms: u64) -> Error {
    let mut attempt = room.shell(line);
    attempt.limits.wall_ms = wall_ms;
    attempt.limits.output_bytes = 1 << 20;
    attempt.limits.log_bytes = 10_000;
    let start = Instant::now();
    let error = room.run(attempt).await.unwrap_err();
    let took = start.elapsed();
    assert!(
        took < Duration::from_millis(wall_ms) + GRACE,
        "{line}: {took:?}"
    );
    let next = Instant::now();
    assert_eq!(room.said("echo next").await, "next\n");
    assert!(
        next.elapsed() < Duration::from_secs(4),
        "{:?}",
        next.elapsed()
    );
    room.is_clean().await;
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_ends_at_its_deadline_also_when_it_ignores_the_request() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    for line in [
        "sleep 100",
        "trap '' TERM; while :; do sleep 1; done",
        "while :; do :; done",
    ] {
        let error = ends(&room, line, 1_000).await;
        assert!(matches!(error, Error::Deadline { .. }), "{line}: {error:?}");
    }
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_stays_within_its_processes() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let error = ends(&room, "b() { b | b & }; b; sleep 100", 2_000).await;
    assert!(
        matches!(error, Error::Deadline { .. } | Error::User(Fault::Exit(_))),
        "{error:?}"
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_files_and_what_is_said_have_an_end() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let hog = "x=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; while :; do x=$x$x; done";
    let error = ends(&room, hog, 15_000).await;
    assert!(
        matches!(error, Error::User(Fault::OutOfMemory { .. })),
        "{error:?}"
    );
    let error = ends(&room, FLOOD, 15_000).await;
    assert!(
        matches!(
            error,
            Error::User(Fault::OutputTooLarge { limit: 0x10_0000 })
        ),
        "{error:?}"
    );
    let many =
        "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=/out/$i bs=100k count=1 2>/dev/null; done";
    let error = ends(&room, many, 15_000).await;
    assert!(
        matches!(error, Error::User(Fault::OutputTooLarge { .. })),
        "{error:?}"
    );
    let one = "dd if=/dev/zero of=/out/one bs=1M count=5";
    let error = ends(&room, one, 15_000).await;
    assert!(
        matches!(
            error,
            Error::User(Fault::OutputTooLarge { .. } | Fault::Exit(_))
        ),
        "{error:?}"
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_flood_is_cut_and_does_no_harm() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let mut attempt = room.shell(&format!("({FLOOD}) >&2 & sleep 1; kill $!; echo done"));
    attempt.limits.log_bytes = 10_000;
    let output = room.run(attempt).await.unwrap();
    assert_eq!(crate::docker_room::text(&output), "done\n");
    let log = std::fs::read_to_string(output.logs).unwrap();
    assert!(
        log.len() <= 10_000 && log.ends_with("[log cut at 10000 bytes]\n"),
        "{}",
        log.len()
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_is_no_file_is_refused() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    for line in ["ln -s /etc/passwd /out/link", "mknod /out/pipe p"] {
        let fault = room.fault(room.shell(line)).await;
        assert!(
            matches!(&fault, Fault::BadOutput { .. }),
            "{line}: {fault:?}"
        );
    }
    let fault = room.fault(room.shell("mknod /out/device c 1 3")).await;
    assert_eq!(fault, Fault::Exit(1), "no device can be made");
    let mut sparse = room.shell("dd if=/dev/zero of=/out/hole bs=1 count=0 seek=100G");
    sparse.limits.output_bytes = 1 << 20;
    let fault = room.fault(sparse).await;
    assert!(
        matches!(fault, Fault::OutputTooLarge { .. } | Fault::Exit(_)),
        "{fault:?}"
    );
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_or_dropped_is_gone() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let cancel = CancellationToken::new();
    let running = room.docker.run(room.shell("sleep 100"), cancel.clone());
    let ended = async {
        while room.containers().await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(running, ended);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    for wait in [20, 200, 1_000] {
        let run = room.run(room.shell("sleep 100"));
        let _dropped = tokio::time::timeout(Duration::from_millis(wait), run).await;
        room.is_clean().await;
    }
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_a_start_that_died_are_removed_by_the_next() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let orphan = ContainerCreateBody {
        image: Some(room.image().to_owned()),
        cmd: Some(vec!["/bin/sleep".to_owned(), "1000".to_owned()]),
        labels: Some([("timerose.home".to_owned(), room.home().to_owned())].into()),
        ..ContainerCreateBody::default()
    };
    let engine = room.engine();
    let made = engine
        .create_container(None::<CreateContainerOptions>, orphan)
        .await
        .unwrap();
    engine
        .start_container(&made.id, None::<StartContainerOptions>)
        .await
        .unwrap();
    assert_eq!(room.containers().await, 1);
    let tasks = Tasks::new();
    let next = room.restarted(&tasks).await;
    next.offers().unwrap();
    room.is_clean().await;
    tasks.cancel();
    room.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_engine_the_reason_is_said() {
    let Some(room) = Room::or_skip().await else {
        return;
    };
    let nowhere = timerose::sandbox::docker::Config {
        sockets: vec!["/nowhere/docker.sock".into()],
        home: "x".into(),
        work_dir: room.dir.path().to_owned(),
        processors: 1.0,
        forbidden: Vec::new(),
    };
    let tasks = Tasks::new();
    let docker = timerose::sandbox::Docker::start(nowhere.clone(), &tasks);
    docker.settled().await;
    assert_eq!(
        docker.offers().unwrap_err(),
        "there is no engine at /nowhere/docker.sock"
    );
    let error = docker
        .run(room.shell("true"), CancellationToken::new())
        .await;
    assert!(matches!(error, Err(Error::Unavailable(_))), "{error:?}");
    let unseen = timerose::sandbox::docker::Config {
        sockets: vec![room.socket.clone()],
        forbidden: vec!["127.0.0.1:0".into(), "no address".into()],
        ..nowhere
    };
    let docker = timerose::sandbox::Docker::start(unseen, &tasks);
    docker.settled().await;
    let why = docker.offers().unwrap_err();
    assert!(
        why.starts_with("containers are not safe here: FAILED unreachable"),
        "{why}"
    );
    tasks.cancel();
    room.close().await;
}
