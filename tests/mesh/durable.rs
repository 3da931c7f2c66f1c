//! Detached invocations between real nodes: whatever dies, they end with their
//! one result.

use std::time::Duration;

use futures_util::TryStreamExt;
use timerose::{
    api::Client,
    compute::{InvokeRequest, Record},
};

use crate::support::mesh::{Mesh, until};

/// Computes for a fifth of a second or so and gives its argument back.
const SLOW: &str = "(module (func (export \"slow\") (param i64) (result i64) (local $n i64)
    (local.set $n (i64.const 300000000))
    (loop $again
      (local.set $n (i64.sub (local.get $n) (i64.const 1)))
      (br_if $again (i64.ne (local.get $n) (i64.const 0))))
    (i64.add (local.get 0) (local.get $n))))";

fn on(function: &str, executor: Option<&str>, number: usize) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        args: vec![number.to_string()],
        executor: executor.map(str::to_owned),
        ..InvokeRequest::default()
    }
}

async fn submit(client: &Client, requests: &[InvokeRequest]) -> Vec<String> {
    let mut names = Vec::new();
    for request in requests {
        let record = client.submit(request, None).await;
        names.push(record.unwrap().invocation);
    }
    names
}

async fn all_ended(client: &Client, names: &[String]) -> Vec<Record> {
    let mut records = Vec::new();
    for name in names {
        let record = client.wait(name, Duration::from_secs(60)).await;
        records.push(record.unwrap());
    }
    for record in &records {
        assert_eq!(record.state, "succeeded", "{record:?}");
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn results_in_flight_survive_the_death_of_their_owner() {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let executor = mesh.peer(1);
    let requests: Vec<_> = (0..20).map(|n| on(&function, Some(&executor), n)).collect();
    let names = submit(&mesh.client(0), &requests).await;
    let client = mesh.client(0);
    until("some run and some are done", async || {
        let open = client.records(false).await.unwrap().len();
        open < 20 && open > 4
    })
    .await;
    mesh.node_mut(0).sidecar.kill9().await.unwrap();
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    let records = all_ended(&mesh.client(0), &names).await;
    let again = records.iter().filter(|record| record.attempts > 1).count();
    assert!(again <= 1, "{again} of 20 were run again: {records:#?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_invocations_survive_the_death_of_their_executor_private_ones_too() {
    let mut mesh = Mesh::with_short_leases(3).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let requests = (0..30).map(|n| InvokeRequest {
        private: n % 2 == 0,
        ..on(&function, None, n)
    });
    let requests: Vec<_> = requests.collect();
    let names = submit(&mesh.client(0), &requests).await;
    let (client, victim) = (mesh.client(0), mesh.peer(1));
    until("the victim runs one", async || {
        let open = client.records(false).await.unwrap();
        open.is_empty() || open.iter().any(|r| r.executor.as_ref() == Some(&victim))
    })
    .await;
    mesh.node_mut(1).sidecar.kill9().await.unwrap();
    all_ended(&client, &names).await;
    for (number, name) in names.iter().enumerate() {
        let bytes = client.output(name).await.unwrap().bytes;
        let text = bytes.try_fold(String::new(), async |text, piece| {
            Ok(text + &String::from_utf8_lossy(&piece))
        });
        assert_eq!(text.await.unwrap(), number.to_string());
    }
    mesh.node_mut(1).sidecar.restart().await.unwrap();
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_nobody_took_waits_in_the_journal() {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let executor = mesh.peer(1);
    let names = submit(&mesh.client(0), &[on(&function, Some(&executor), 7)]).await;
    let client = mesh.client(0);
    until("it runs", async || {
        let open = client.records(false).await.unwrap();
        open.iter().any(|record| record.state == "active")
    })
    .await;
    mesh.node_mut(0).sidecar.kill9().await.unwrap();
    let home = mesh.node(1).sidecar.home().to_owned();
    until("it is done and journalled", async || journalled(&home)).await;
    mesh.node_mut(1).sidecar.kill9().await.unwrap();
    mesh.node_mut(1).sidecar.restart().await.unwrap();
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    let records = all_ended(&mesh.client(0), &names).await;
    assert_eq!(records[0].attempts, 1, "{records:?}");
    until("the journal is empty", async || is_empty(&home)).await;
    mesh.end().await;
}

fn count(home: &std::path::Path, condition: &str) -> u32 {
    let db = rusqlite::Connection::open(home.join("state.db")).unwrap();
    let sql = format!("SELECT count(*) FROM journal WHERE {condition}");
    db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn journalled(home: &std::path::Path) -> bool {
    count(home, "delivery IS NOT NULL") == 1
}

fn is_empty(home: &std::path::Path) -> bool {
    count(home, "true") == 0
}
