//! What a warm Lambda invocation over a stream costs beside its container: the
//! same container is driven by a bare Runtime API server in the same run.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use bollard::{
    models::{ContainerCreateBody, HostConfig},
    query_parameters::{
        CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use tokio::{
    net::UnixListener,
    sync::{Mutex, Semaphore},
    time::Instant,
};

use crate::{
    lambda::{call, deployed, nodes_or_skip},
    support::{
        engine::{engine, engine_or_skip},
        mesh::until,
    },
};

/// Calls of each kind, after some to warm up.
const CALLS: usize = 100;
const WARM_UP: usize = 20;
/// What an invocation may add at the median; a program that was not optimised
/// may add more.
const MAX_ADDED: Duration = Duration::from_millis(if cfg!(debug_assertions) { 20 } else { 3 });

/// A Runtime API that does nothing else: an event a time, its answer counted.
#[derive(Clone)]
struct Bare {
    asked: Arc<Semaphore>,
    answered: Arc<Semaphore>,
}

impl Bare {
    async fn serve(folder: &Path) -> Self {
        let bare = Self {
            asked: Arc::new(Semaphore::new(0)),
            answered: Arc::new(Semaphore::new(0)),
        };
        let next = async |State(bare): State<Self>| {
            bare.asked.acquire().await.unwrap().forget();
            let headers = [
                ("lambda-runtime-aws-request-id", "id"),
                ("lambda-runtime-deadline-ms", "99999999999999"),
                ("lambda-runtime-invoked-function-arn", "arn"),
                ("content-type", "application/json"),
            ];
            (headers, r#"{"n": 21}"#)
        };
        let response = async |State(bare): State<Self>| {
            bare.answered.add_permits(1);
            (StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .with_state(bare.clone());
        let (api, logs) = (
            bind(&folder.join("api.sock")),
            bind(&folder.join("logs.sock")),
        );
        tokio::spawn(async move { axum::serve(api, router).await });
        tokio::spawn(async move {
            let mut stream = logs.accept().await.unwrap().0;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        });
        bare
    }

    async fn call(&self) {
        self.asked.add_permits(1);
        self.answered.acquire().await.unwrap().forget();
    }
}

fn bind(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    listener
}

/// The container that the sandbox makes, as far as it matters here.
fn container(image: &str, place: &Path, work: &Path, folder: &Path) -> ContainerCreateBody {
    let bind = |source: &Path, target: &str| format!("{}:{target}:ro", source.display());
    ContainerCreateBody {
        image: Some(format!("timerose/image:{image}")),
        entrypoint: Some(vec!["/container-init".to_owned(), "lambda".to_owned()]),
        env: Some(vec!["_HANDLER=app.handler".to_owned()]),
        user: Some("65534:65534".to_owned()),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            binds: Some(vec![
                bind(place, "/run/timerose"),
                bind(&work.join("container-init"), "/container-init"),
                bind(folder, "/var/task"),
            ]),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

async fn median(mut call: impl AsyncFnMut()) -> Duration {
    let mut took = Vec::new();
    for number in 0..WARM_UP + CALLS {
        let began = Instant::now();
        call().await;
        if number >= WARM_UP {
            took.push(began.elapsed());
        }
    }
    took.sort();
    took[CALLS / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_invocation_over_a_stream_adds_little_to_its_container() {
    let (Some(mesh), Some(socket)) = (nodes_or_skip().await, engine_or_skip()) else {
        return;
    };
    let (function, folder) = deployed(&mesh).await;
    call(&mesh, &function, r#"{"n": 21}"#, None).await.unwrap();
    until("the link is a stream", async || {
        let nodes = mesh.client(0).nodes().await.unwrap();
        nodes
            .iter()
            .any(|node| node.carrier.as_deref() == Some("stream"))
    })
    .await;
    let ours = Mutex::new(());
    let invoked = median(async || {
        let _one_at_a_time = ours.lock().await;
        call(&mesh, &function, r#"{"n": 21}"#, None).await.unwrap();
    })
    .await;
    let work = mesh.node(1).sidecar.home().join("work");
    let place = tempfile::tempdir_in(&work).unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let bare = Bare::serve(place.path()).await;
    let image = mesh.client(0).images().await.unwrap()[0].image.clone();
    let body = container(&image, place.path(), &work, folder.path());
    let engine = engine(&socket);
    let made = engine
        .create_container(None::<CreateContainerOptions>, body)
        .await
        .unwrap();
    engine
        .start_container(&made.id, None::<StartContainerOptions>)
        .await
        .unwrap();
    let driven = median(async || bare.call().await).await;
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    engine
        .remove_container(&made.id, Some(force))
        .await
        .unwrap();
    drop(place);
    println!(
        "p50 of a warm Python call: {invoked:?} invoked over a stream, {driven:?} in its container alone"
    );
    assert!(invoked < driven + MAX_ADDED, "{invoked:?}, {driven:?}");
    mesh.end().await;
}
