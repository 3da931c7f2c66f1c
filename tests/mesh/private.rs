//! Private invocations on real Kubos: what nobody else gets to see, and that
//! all else is as for public ones.

mod ear;

use bytes::Bytes;
use timerose::compute::{ByteStream, Failure, Finished, InvokeRequest};
use tokio_stream::StreamExt;

use self::ear::{Ear, fetched, files, found};
use crate::{
    calls::Exported,
    support::mesh::{Mesh, invoke_over, until},
};

/// Gives its input with every byte one higher; what else, says the file.
const SHIFT: &[u8] = include_bytes!("shift.wat");

/// Text that is nowhere else.
fn marker(number: u32) -> String {
    format!("Marker-{number:02}-Qzv")
}

/// What the function makes of a text.
fn shifted(text: &str, by: u8) -> String {
    text.bytes().map(|byte| char::from(byte + by)).collect()
}

/// Much text between two markers.
fn large(first: u32, last: u32) -> String {
    marker(first) + &"a".repeat(1_500_000) + &marker(last)
}

/// A call, and every text that it would show if it were public.
struct Told {
    args: Vec<String>,
    input: Option<String>,
    shown: Vec<String>,
}

/// Markers in a small and a large call and in one that gives a folder.
fn told() -> Vec<Told> {
    let of = |args: &[&str], input: Option<String>, shown: &[(u32, u8)]| Told {
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        input,
        shown: shown
            .iter()
            .map(|(n, by)| shifted(&marker(*n), *by))
            .collect(),
    };
    let [small_arg, large_arg, folder_arg] = [1, 4, 7].map(marker);
    vec![
        // The argument, in standard error; the output.
        of(&[&small_arg], Some(marker(2)), &[(1, 0), (1, 1), (2, 1)]),
        // The same, both ends of a large input and output, and a large log.
        of(
            &[&large_arg, "log"],
            Some(large(5, 6)),
            &[(4, 0), (4, 1), (5, 0), (6, 0), (5, 1), (6, 1), (5, 2)],
        ),
        // The argument, in standard error and in a file.
        of(&[&folder_arg, "log", "file"], None, &[(7, 0), (7, 1)]),
    ]
}

/// The call of the function on node 1.
fn request(mesh: &Mesh, function: &str, told: &Told, private: bool) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        args: told.args.clone(),
        input: told.input.as_ref().map(|_| "-".to_owned()),
        executor: Some(mesh.peer(1)),
        private,
        ..InvokeRequest::default()
    }
}

/// Calls the function on node 1, from node 0.
async fn run(mesh: &Mesh, function: &str, told: &Told, private: bool) -> Result<Finished, Failure> {
    ended(mesh, &request(mesh, function, told, private), told).await
}

async fn ended(mesh: &Mesh, request: &InvokeRequest, told: &Told) -> Result<Finished, Failure> {
    let input = told.input.clone().map(stream);
    invoke_over(&mesh.client(0), request, input).await
}

fn stream(text: String) -> ByteStream {
    Box::pin(tokio_stream::once(Ok(Bytes::from(text))))
}

async fn text(mut bytes: ByteStream) -> std::io::Result<String> {
    let mut all = Vec::new();
    while let Some(piece) = bytes.next().await {
        all.extend(piece?);
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

async fn output(mesh: &Mesh, name: &str) -> String {
    let output = mesh.client(0).output(name).await.unwrap();
    text(output.bytes).await.unwrap()
}

/// The CIDs that go with a result.
fn names(finished: &Finished) -> Vec<String> {
    let all = [&finished.call, &finished.output, &finished.receipt];
    all.into_iter().chain(&finished.logs).cloned().collect()
}

/// Waits until what was kept before is in Kubo: batches keep their order.
async fn batches_are_in(mesh: &Mesh, function: &str) {
    let plain = Told {
        args: vec!["nothing".to_owned()],
        input: Some("nothing".to_owned()),
        shown: Vec::new(),
    };
    let last = run(mesh, function, &plain, false).await.unwrap();
    until("the batch is in Kubo", async || {
        let stat = ["block", "stat", "--offline", &last.receipt];
        mesh.node(0).kubo.ipfs(&stat).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_not_chosen_sees_nothing_of_a_private_invocation_and_all_of_a_public_one() {
    let mesh = Mesh::with_carrier(3, "pubsub").await;
    let function = mesh.deploy(0, SHIFT).await;
    let mut markers: Vec<String> = told().into_iter().flat_map(|told| told.shown).collect();
    let ear = Ear::of(&mesh).await;
    let mut learnt = Vec::new();
    for told in told() {
        let finished = run(&mesh, &function, &told, true).await.unwrap();
        assert!(finished.private);
        learnt.extend(names(&finished));
        if told.input.as_ref().is_none_or(|input| input.len() < 1_000) {
            assert_eq!(fetched(&mesh, &finished.call).await, None);
        }
    }
    batches_are_in(&mesh, &function).await;
    let seen = ear.everything(&mesh, &learnt).await;
    // A small public input rides along, so that only a private one counts.
    markers.push(marker(2));
    assert!(seen.len() > 3_000_000, "the sealed blocks were not fetched");
    assert_eq!(found(&markers, &seen), [""; 0], "somebody else sees");
    for index in [0, 1] {
        let repository = files(mesh.node(index).kubo.repo());
        assert_eq!(found(&markers, &repository), [""; 0], "Kubo {index} has");
    }
    let home = mesh.node(1).sidecar.home().to_owned();
    until("the attempts' folders are gone", async || {
        let owners = std::fs::read_dir(home.join("work")).unwrap();
        let attempts = owners.map(|owner| std::fs::read_dir(owner.unwrap().path()).unwrap());
        attempts.map(Iterator::count).sum::<usize>() == 0
    })
    .await;
    assert_eq!(
        found(&markers, &files(&home)),
        [""; 0],
        "the executor keeps"
    );
    for index in [0, 1] {
        let log = mesh.node(index).sidecar.process().log();
        assert_eq!(found(&markers, log.as_bytes()), [""; 0], "log {index} says");
    }
    markers.pop();
    let ear = Ear::of(&mesh).await;
    let mut learnt = Vec::new();
    for told in told() {
        learnt.extend(names(&run(&mesh, &function, &told, false).await.unwrap()));
    }
    batches_are_in(&mesh, &function).await;
    let seen = ear.everything(&mesh, &learnt).await;
    assert_eq!(found(&markers, &seen), markers, "the ear is deaf");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_owner_reads_a_private_invocation_and_its_cids_name_sealed_bytes() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SHIFT).await;
    let client = mesh.client(0);
    for told in told().iter().take(2) {
        let finished = run(&mesh, &function, told, true).await.unwrap();
        let input = told.input.as_deref().unwrap();
        let expected = shifted(input, 1);
        assert!(output(&mesh, &finished.invocation).await == expected);
        let sealed = output(&mesh, &finished.output).await;
        assert!(sealed.len() > input.len() && !sealed.contains(&told.shown[2]));
        let logs = client.logs(&finished.invocation, false).await.unwrap();
        assert!(text(logs).await.unwrap().contains(&told.shown[1]));
    }
    let spent = InvokeRequest {
        fuel: Some(100_000),
        ..request(&mesh, &function, &told()[1], true)
    };
    ended(&mesh, &spent, &told()[1]).await.unwrap_err();
    let failed = client.records(true).await.unwrap().swap_remove(0);
    assert!(failed.error.is_some(), "{failed:?}");
    let logs = client.logs(&failed.invocation, false).await.unwrap();
    assert!(text(logs).await.unwrap().contains(&told()[1].shown[1]));
    let folder = &told()[2];
    let finished = run(&mesh, &function, folder, true).await.unwrap();
    assert!(finished.is_directory);
    let place = tempfile::tempdir().unwrap();
    let saved = place.path().join("saved");
    let path = saved.to_str().unwrap();
    let result = ["result", &finished.invocation, "-o", path];
    let result = mesh.timerose(0, &result).await;
    assert!(result.status.success(), "{result:?}");
    let file = std::fs::read_to_string(saved.join("result")).unwrap();
    assert!(file.contains(&folder.shown[1]), "{file:?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_what_is_private_and_names_what_is_sealed() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, SHIFT).await;
    let place = tempfile::tempdir().unwrap();
    let input = place.path().join("input");
    std::fs::write(&input, marker(2)).unwrap();
    let path = input.to_str().unwrap();
    let invoke = async |flag: &str| {
        let invoke = ["invoke", "--private", flag, &function, path];
        let ended = mesh.timerose(0, &invoke).await;
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(invoke("--local-only").await, shifted(&marker(2), 1));
    let json: serde_json::Value = serde_json::from_str(&invoke("--enc=json").await).unwrap();
    assert_eq!(json["private"], true);
    let sealed = output(&mesh, json["output"].as_str().unwrap()).await;
    assert!(!sealed.contains(&shifted(&marker(2), 1)) && sealed.len() > 1_000);
    assert!(invoke("--quiet").await.starts_with("bafkrei"));
    let pinned = ["invoke", "--private", "--pin", &function];
    let pinned = mesh.timerose(0, &pinned).await;
    assert_eq!(pinned.status.code(), Some(2), "{pinned:?}");
    let pinned = InvokeRequest {
        function: function.clone(),
        private: true,
        pin: true,
        ..InvokeRequest::default()
    };
    let refused = mesh.invoke(0, &pinned).await.unwrap_err();
    assert_eq!(refused.code, "bad_request");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_call_runs_each_time_and_is_never_the_same() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SHIFT).await;
    let small = &told()[0];
    let first = run(&mesh, &function, small, true).await.unwrap();
    let second = run(&mesh, &function, small, true).await.unwrap();
    assert!(!first.cached && !second.cached);
    for (one, other) in names(&first).iter().zip(&names(&second)) {
        assert_ne!(one, other);
    }
    let node = mesh.client(1).node().await.unwrap();
    assert_eq!(node.counters["executor.runs"], 2);
    let both = [&first, &second].map(|finished| output(&mesh, &finished.invocation));
    let [one, other] = futures_util::future::join_all(both)
        .await
        .try_into()
        .unwrap();
    assert_eq!(one, other);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_receipt_verifies_without_kubo_and_tells_nothing_it_was_made_of() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SHIFT).await;
    let small = &told()[0];
    let finished = run(&mesh, &function, small, true).await.unwrap();
    let exported = Exported::from(&mesh, &finished.receipt).await;
    mesh.end().await;
    let archive = std::fs::read(exported.file()).unwrap();
    assert_eq!(found(&small.shown, &archive), [""; 0]);
    let verified = exported.verify();
    assert!(verified.status.success(), "{verified:?}");
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("private"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_reads_nothing() {
    let mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SHIFT).await;
    let finished = run(&mesh, &function, &told()[0], true).await.unwrap();
    let state = mesh.node(0).sidecar.home().join("state.db");
    let db = rusqlite::Connection::open(state).unwrap();
    let of_one = "UPDATE secrets SET key = zeroblob(32) WHERE invocation = ?1";
    until("the key is another", async || {
        db.execute(of_one, [&finished.invocation]).unwrap() == 1
    })
    .await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("saved");
    let result = ["result", &finished.invocation, "-o", path.to_str().unwrap()];
    let result = mesh.timerose(0, &result).await;
    assert!(!result.status.success() && !path.exists(), "{result:?}");
    let logs = mesh.client(0).logs(&finished.invocation, false).await;
    assert_eq!(logs.err().unwrap().code, "unsealable");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_detached_invocation_survives_the_death_of_its_owner_and_keeps_its_key_there() {
    let mut mesh = Mesh::start(2).await;
    let function = mesh.deploy(0, SHIFT).await;
    mesh.node_mut(1).sidecar.kill9().await.unwrap();
    let mut submitted = Vec::new();
    for told in told().into_iter().take(2) {
        let request = InvokeRequest {
            key: Some(told.args[0].clone()),
            ..request(&mesh, &function, &told, true)
        };
        let input = told.input.clone().map(stream);
        let record = mesh.client(0).submit(&request, input).await.unwrap();
        let again = told.input.clone().map(stream);
        let again = mesh.client(0).submit(&request, again).await.unwrap();
        assert_eq!(
            again.invocation, record.invocation,
            "one key, one invocation"
        );
        submitted.push((record.invocation, told));
    }
    mesh.node_mut(0).sidecar.kill9().await.unwrap();
    mesh.node_mut(1).sidecar.restart().await.unwrap();
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    for (invocation, _) in &submitted {
        let patience = std::time::Duration::from_secs(60);
        let record = mesh.client(0).wait(invocation, patience).await.unwrap();
        assert_eq!(record.state, "succeeded", "{record:?}");
    }
    mesh.node_mut(0).sidecar.kill9().await.unwrap();
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    for (invocation, told) in &submitted {
        let expected = shifted(told.input.as_deref().unwrap(), 1);
        assert!(output(&mesh, invocation).await == expected);
        let logs = mesh.client(0).logs(invocation, false).await.unwrap();
        assert!(text(logs).await.unwrap().contains(&told.shown[1]));
    }
    let state = mesh.node(0).sidecar.home().join("state.db");
    let db = rusqlite::Connection::open(state).unwrap();
    let mut keys = db.prepare("SELECT key FROM secrets").unwrap();
    let keys = keys.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    let keys: Vec<Vec<u8>> = keys.map(Result::unwrap).collect();
    assert_eq!(keys.len(), 2);
    let executors = files(mesh.node(1).sidecar.home());
    for key in keys {
        let is_there = executors.windows(key.len()).any(|part| part == key);
        assert!(!is_there, "the executor keeps a key");
    }
    mesh.end().await;
}
