//! The HTTP door: paths, methods, parameters, streams, who may pass.

use std::{os::unix::fs::PermissionsExt as _, sync::atomic::Ordering};

use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use timerose::{
    api::{PATHS, PREFIX, Server, ServerError},
    compute::{Code, DeployRequest, Draft, InvocationEvent, InvokeRequest},
    model::Class,
};

use crate::api_fake::{OUTPUT, Served, TOKEN, eventually};

fn http(served: &Served) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .unix_socket(served.socket())
        .build()
        .unwrap()
}

fn url(rest: &str) -> String {
    format!("http://localhost{PREFIX}/{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_post_and_nothing_else() {
    let served = Served::start(false).await;
    for path in PATHS {
        let get = http(&served).get(url(path)).send().await.unwrap();
        assert_eq!(get.status(), 405, "{path}");
        let post = http(&served).post(url(path)).send().await.unwrap();
        assert_ne!(post.status(), 404, "{path}");
        assert_ne!(post.status(), 405, "{path}");
    }
    let other = http(&served).post(url("nonsense")).send().await.unwrap();
    assert_eq!(other.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_stated_as_kubo_states_it_and_as_timerose_does() {
    let served = Served::start(false).await;
    let answer = http(&served)
        .post(url("result?arg=nonsense"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    let body: Value = answer.json().await.unwrap();
    insta::assert_snapshot!(body, @r#"{"Code":0,"Message":"no invocation \"nonsense\" is known","Type":"error","class":"missing","code":"not_found","hint":"`timerose ps --all` lists them.","message":"no invocation \"nonsense\" is known","retryable":true}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_parameters_are_refused() {
    let served = Served::start(false).await;
    let answer = http(&served).post(url("ps?al=true")).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let answer = http(&served)
        .post(url("invoke?arg=f&request={\"no_such_field\":1}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_larger_than_the_cap_is_refused() {
    let served = Served::start(false).await;
    let body = vec![0_u8; (32 << 20) + 1];
    let answer = http(&served)
        .post(url("deploy"))
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    assert!(served.fake.deployed.lock().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_asks_is_what_the_node_hears() {
    let served = Served::start(false).await;
    let draft = Draft {
        name: Some("Zählen & more".to_owned()),
        ..Draft::default()
    };
    let code = Code::Bytes(b"\0asm".as_slice().into());
    served
        .client()
        .deploy(DeployRequest {
            draft: draft.clone(),
            code,
        })
        .await
        .unwrap();
    assert_eq!(served.fake.deployed.lock().await[0].draft, draft);
    let request = InvokeRequest {
        function: "wordcount".to_owned(),
        args: vec!["a b".to_owned(), "&=%".to_owned()],
        local_only: true,
        ..InvokeRequest::default()
    };
    let events: Vec<_> = served
        .client()
        .invoke(&request, None)
        .await
        .unwrap()
        .collect()
        .await;
    assert!(matches!(events.last(), Some(Ok(InvocationEvent::Done(_)))));
    assert_eq!(served.fake.invoked.lock().await[0], request);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_streams_through_piece_by_piece() {
    let served = Served::start(false).await;
    let pieces = (0_u8..64).map(|n| Ok(vec![n; 64 << 10].into()));
    let request = InvokeRequest {
        function: "wordcount".to_owned(),
        input: Some("-".to_owned()),
        ..InvokeRequest::default()
    };
    let input = stream::iter(pieces.collect::<Vec<_>>()).boxed();
    let mut events = served.client().invoke(&request, Some(input)).await.unwrap();
    while let Some(event) = events.next().await {
        event.unwrap();
    }
    assert_eq!(served.fake.output.lock().await.len(), 4 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_before_the_end_and_a_client_that_goes_away_cancels() {
    let served = Served::start(false).await;
    let request = InvokeRequest {
        function: "hangs".to_owned(),
        ..InvokeRequest::default()
    };
    let mut events = served.client().invoke(&request, None).await.unwrap();
    let first = events.next().await.unwrap().unwrap();
    assert!(matches!(first, InvocationEvent::Accepted { .. }));
    drop(events);
    let cancelled = served.fake.cancelled.clone();
    eventually("the backend's stream is dropped", || {
        cancelled.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_end_without_an_end_are_a_loss() {
    let served = Served::start(false).await;
    let request = InvokeRequest {
        function: "vanishes".to_owned(),
        ..InvokeRequest::default()
    };
    let events: Vec<_> = served
        .client()
        .invoke(&request, None)
        .await
        .unwrap()
        .collect()
        .await;
    let last = events.last().unwrap().as_ref().unwrap_err();
    assert_eq!(last.class, Class::Lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_body_is_never_success() {
    let served = Served::start(false).await;
    served.fake.breaks_off.store(true, Ordering::SeqCst);
    // More than one write's worth, so that some of it arrives.
    *served.fake.output.lock().await = vec![b'x'; 8 << 20];
    let output = served.client().output(OUTPUT).await.unwrap();
    let chunks: Vec<_> = output.bytes.collect().await;
    assert!(chunks.iter().any(Result::is_err));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let served = Served::start(false).await;
    let mode = std::fs::metadata(served.socket())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Server::bind(&served.socket()).await;
    assert!(matches!(second, Err(ServerError::Taken(_))));
    assert!(
        served
            .tasks
            .shutdown(std::time::Duration::from_secs(5))
            .await
    );
    assert!(!served.socket().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_a_killed_daemon_left_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert!(Server::bind(&path).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tcp_door_asks_for_token_host_and_origin() {
    let served = Served::start(true).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{PREFIX}/version", served.tcp());
    let bearer = format!("Bearer {TOKEN}");
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[], 401),
        (&[("authorization", "Bearer wrong")], 401),
        (&[("authorization", &bearer)], 200),
        (
            &[
                ("authorization", &bearer),
                ("origin", "http://evil.example"),
            ],
            403,
        ),
        (&[("authorization", &bearer), ("origin", served.tcp())], 200),
        (&[("authorization", &bearer), ("host", "evil.example")], 403),
    ];
    for (headers, wanted) in cases {
        let request = headers
            .iter()
            .fold(http.post(&url), |r, (name, value)| r.header(*name, *value));
        assert_eq!(
            request.send().await.unwrap().status(),
            wanted,
            "{headers:?}"
        );
    }
    let unix = self::http(&served)
        .post(self::url("version"))
        .send()
        .await
        .unwrap();
    assert_eq!(unix.status(), 200, "the socket's mode is guard enough");
}
