//! Address, options, identity; start, stop, death of the real Kubo.

use std::time::Duration;

use serde_json::{Value, json};
use timerose::{
    kubo::{
        Error, option_keys, verify_signature,
        watch::{self, Presence},
    },
    task::Tasks,
};
use tokio::time::{Instant, timeout};

use super::Kubos;

/// The names of a command's options in `ipfs commands --flags --enc=json`.
fn option_names(command: &Value) -> Vec<&str> {
    let options = command["Options"].as_array().into_iter().flatten();
    let names = options.filter_map(|option| option["Names"].as_array());
    names.flatten().filter_map(Value::as_str).collect()
}

fn find<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').try_fold(tree, |command, name| {
        let mut below = command["Subcommands"].as_array()?.iter();
        below.find(|command| command["Name"] == name)
    })
}

#[tokio::test]
async fn every_command_and_option_is_known_to_kubo() {
    let kubos = Kubos::start(1).await;
    let text = kubos.first().ipfs(&["commands", "--flags", "--enc=json"]);
    let tree: Value = serde_json::from_str(&text.await.unwrap()).unwrap();
    let global = option_names(&tree);
    for (path, keys) in option_keys() {
        let command = find(&tree, path).unwrap_or_else(|| panic!("no command {path}"));
        let known = option_names(command);
        for key in keys {
            let is_known = known.contains(&key) || global.contains(&key);
            assert!(is_known, "{path} has no option {key}");
        }
    }
}

#[tokio::test]
async fn the_node_tells_who_it_is_and_signs_for_it() {
    let kubos = Kubos::start(1).await;
    let client = kubos.first().client();
    client.require_floor(false).await.unwrap();
    client.healthy().await.unwrap();
    assert!(client.repo_stat().await.unwrap().max_bytes > 0);
    assert_eq!(
        client.config_show().await.unwrap()["Pubsub"]["Enabled"],
        true
    );
    let node = client.id().await.unwrap();
    let signature = client.sign(b"binding").await.unwrap();
    verify_signature(&node.peer, b"binding", &signature).unwrap();
    assert!(verify_signature(&node.peer, b"bindinG", &signature).is_err());
}

#[tokio::test]
async fn a_unix_socket_is_as_good_as_a_port() {
    let folder = timerose::cli::dev::folder().unwrap();
    let socket = format!("/unix{}/rpc.sock", folder.path().display());
    let setting = ("Addresses.API".to_owned(), json!([socket]));
    let kubos = Kubos::with(1, &[setting]).await;
    let client = kubos.first().client();
    assert!(client.endpoint().to_string().starts_with("/unix/"));
    client.id().await.unwrap();
}

#[tokio::test]
async fn a_switched_off_pubsub_is_told_by_type() {
    let setting = ("Pubsub.Enabled".to_owned(), json!(false));
    let kubos = Kubos::with(1, &[setting]).await;
    let client = kubos.first().client();
    let error = client.topics().await.unwrap_err();
    assert!(matches!(error, Error::PubsubDisabled), "{error}");
    let error = client.subscribe("t").await.map(drop).unwrap_err();
    assert!(matches!(error, Error::PubsubDisabled), "{error}");
}

#[tokio::test]
async fn a_subscription_that_is_dropped_on_down_does_not_hold_the_shutdown() {
    let mut kubos = Kubos::start(1).await;
    let (client, tasks) = (kubos.first().client().clone(), Tasks::new());
    let watch = watch::spawn(client.clone(), &tasks);
    timeout(Duration::from_secs(10), watch.up()).await.unwrap();
    let (subscription, mut presence) = (client.subscribe("t").await.unwrap(), watch.subscribe());
    tasks.spawn("hold", async move {
        let _held = subscription;
        let _down = presence.wait_for(|now| *now == Presence::Down).await;
    });
    let stopped = kubos.daemons.first_mut().unwrap().stop().await.unwrap();
    assert!(stopped.gracefully, "{stopped:?}");
    assert!(stopped.after < Duration::from_secs(2), "{stopped:?}");
}

#[tokio::test]
async fn a_killed_and_restarted_kubo_is_found_in_a_new_era() {
    let mut kubos = Kubos::start(1).await;
    let (client, tasks) = (kubos.first().client().clone(), Tasks::new());
    let watch = watch::spawn(client.clone(), &tasks);
    timeout(Duration::from_secs(10), watch.up()).await.unwrap();
    let mut subscription = client.subscribe("t").await.unwrap();
    let daemon = kubos.daemons.first_mut().unwrap();
    daemon.kill9().await.unwrap();
    let ended = timeout(Duration::from_secs(5), subscription.next()).await;
    assert!(!matches!(ended.unwrap(), Ok(Some(_))));
    assert!(matches!(
        client.id().await.unwrap_err(),
        Error::Unreachable { .. }
    ));
    daemon.restart().await.unwrap();
    let answered = Instant::now();
    let mut presence = watch.subscribe();
    let second = presence.wait_for(|now| matches!(now, Presence::Up { era: 2, .. }));
    timeout(Duration::from_secs(5), second)
        .await
        .unwrap()
        .unwrap();
    assert!(answered.elapsed() < Duration::from_secs(5));
    client.id().await.unwrap();
}
