//! How containers end that nobody waits for, and what becomes of what they say.

use std::time::Duration;

use bollard::{
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptions, StartContainerOptions},
};
use timerose::{
    sandbox::{Error, Sandbox as _},
    task::Tasks,
};
use tokio_util::sync::CancellationToken;

use crate::docker_room::Room;

/// Writes for ever.
const FLOOD: &str =
    "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done";

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
