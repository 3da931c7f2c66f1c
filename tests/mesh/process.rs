//! Processes that die or freeze at bad moments: callers amid a submission,
//! Kubo under work that is under way.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use timerose::{api::PREFIX, compute::InvokeRequest};
use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    time::{Instant, sleep},
};

use crate::{
    batch::{Batch, SLOW, TENTH, slow, slow_on},
    support::{
        mesh::{Mesh, until},
        state::count,
    },
};

/// From Kubo's answer to a sidecar that is whole again.
const WHOLE_AGAIN: Duration = Duration::from_secs(5);

/// How long a killed Kubo is missing.
const DOWN: Duration = Duration::from_secs(5);

/// Callers that die amid a submission.
const CALLERS: u64 = 200;

/// Waits until the sidecar of a node is ready; gives how long it took.
async fn whole_again(mesh: &Mesh, node: usize) -> Duration {
    let (client, began) = (mesh.client(node), Instant::now());
    until("the sidecar is whole again", async || {
        client.node().await.is_ok_and(|node| node.health.ready)
    })
    .await;
    began.elapsed()
}

fn keyed(function: &str, number: u64) -> InvokeRequest {
    InvokeRequest {
        key: Some(format!("caller-{number}")),
        ..slow(function, number, 1)
    }
}

/// Sends a submission and goes away after so long, whatever was answered.
async fn submit_and_die(socket: &Path, request: &InvokeRequest, after: Duration) {
    let json = serde_json::to_string(request).unwrap();
    let query = [("arg", request.function.as_str()), ("request", &json)];
    let query = serde_urlencoded::to_string(query).unwrap();
    let head = format!(
        "POST {PREFIX}/submit?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    );
    let mut caller = UnixStream::connect(socket).await.unwrap();
    caller.write_all(head.as_bytes()).await.unwrap();
    sleep(after).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_died_finds_its_invocation_under_its_key() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let home = mesh.node(0).sidecar.home();
    let socket = home.join("api.sock");
    for number in 0..CALLERS {
        let after = Duration::from_micros(number * 50);
        submit_and_die(&socket, &keyed(&function, number), after).await;
    }
    let heard = count(home, "SELECT count(*) FROM keys");
    println!("{heard} of {CALLERS} submissions of dead callers are kept");
    assert!(heard > 0, "none arrived");
    let request = |number| keyed(&function, number);
    let batch = Batch::submit(mesh.client(0), 0..CALLERS, request).await;
    batch.all_right().await;
    let names: BTreeSet<_> = batch.names().collect();
    let of = |table: &str| count(home, &format!("SELECT count(*) FROM {table}"));
    assert_eq!(names.len() as u64, CALLERS);
    assert_eq!([of("keys"), of("accepted"), of("records")], [CALLERS; 3]);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_callers_with_one_key_at_the_same_time_get_the_same_invocation() {
    let mesh = Mesh::start(1).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let request = |number| keyed(&function, number);
    let submit = || Batch::submit(mesh.client(0), 0..CALLERS, request);
    let (one, other) = tokio::join!(submit(), submit());
    assert!(one.names().eq(other.names()));
    one.all_right().await;
    let home = mesh.node(0).sidecar.home();
    assert_eq!(count(home, "SELECT count(*) FROM records"), CALLERS);
    mesh.end().await;
}

/// Kills a Kubo under work of node 0 that runs on node 1.
async fn kubo_dies_under_work(of: usize) {
    let mut mesh = Mesh::with_short_leases(2).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    let executor = mesh.peer(1);
    let request = |number| slow_on(&function, &executor, number, 2 * TENTH);
    let batch = Batch::submit(mesh.client(0), 0..20, request).await;
    until("some run", async || {
        batch.records().await.iter().any(|r| r.executor.is_some())
    })
    .await;
    mesh.node_mut(of).kubo.kill9().await.unwrap();
    sleep(DOWN).await;
    mesh.node_mut(of).kubo.restart().await.unwrap();
    let took = whole_again(&mesh, of).await;
    let records = batch.all_right().await;
    let again = records.iter().filter(|r| r.attempts > 1).count();
    eprintln!("whole again {took:?} after Kubo's answer, {again} of 20 ran again");
    assert!(took < WHOLE_AGAIN, "{took:?}");
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_survives_the_death_of_its_owners_kubo() {
    kubo_dies_under_work(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_survives_the_death_of_its_executors_kubo() {
    kubo_dies_under_work(1).await;
}

/// How long Kubo is frozen.
const FROZEN: Duration = Duration::from_secs(15);

/// Connections to a frozen Kubo, each with a request in it: one for each of the
/// invocations that are driven at once, and some beside.
const MAX_PENDING: usize = 128 + 32;

/// What a sidecar may grow meanwhile.
const MAX_GROWTH: u64 = 32 << 20;

/// Connections to a port of this machine that are open at their near end.
fn connections_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (remote, open) = (format!(":{port:04X}"), ["01", "02"]);
    let rows = table.lines().skip(1);
    rows.filter(|row| {
        let mut fields = row.split_whitespace().skip(2);
        let ends_there = fields.next().is_some_and(|to| to.ends_with(&remote));
        ends_there && fields.next().is_some_and(|state| open.contains(&state))
    })
    .count()
}

/// Memory of a process that no file backs.
pub(crate) fn anonymous_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    let kib = field.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_kubo_piles_nothing_up_and_work_goes_on_after_it() {
    let mesh = Mesh::with_short_leases(2).await;
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    assert_eq!(mesh.deploy(1, SLOW.as_bytes()).await, function);
    let (kubo, pid) = (&mesh.node(1).kubo, mesh.node(1).sidecar.process().pid());
    let port = kubo.api().rsplit('/').next().unwrap().parse().unwrap();
    let (client, executor) = (mesh.client(0), mesh.peer(1));
    let there = slow_on(&function, &executor, 0, 1);
    mesh.invoke(0, &there).await.unwrap();
    let before = anonymous_bytes(pid);
    let kubo = Pid::from_raw(kubo.pid().cast_signed()).unwrap();
    kill_process(kubo, Signal::STOP).unwrap();
    let frozen = Instant::now();
    let far = |number| slow_on(&function, &executor, number, TENTH / 10);
    let near = |number| slow(&function, number, TENTH / 10);
    let submitted = async {
        tokio::join!(
            Batch::submit(client, 100..150, far),
            Batch::submit(mesh.client(1), 200..500, near),
        )
    };
    let watched = async {
        let (mut pending, mut memory) = (0, before);
        while frozen.elapsed() < FROZEN {
            pending = pending.max(connections_to(port));
            memory = memory.max(anonymous_bytes(pid));
            sleep(Duration::from_millis(50)).await;
        }
        kill_process(kubo, Signal::CONT).unwrap();
        (pending, memory - before, whole_again(&mesh, 1).await)
    };
    let ((far, near), (pending, grown, took)) = tokio::join!(submitted, watched);
    far.all_right().await;
    near.all_right().await;
    println!("{pending} connections at most, {grown} bytes more, whole again after {took:?}");
    assert!(pending <= MAX_PENDING, "{pending} requests were pending");
    assert!(grown < MAX_GROWTH, "{grown} bytes more");
    assert!(took < WHOLE_AGAIN, "{took:?}");
    mesh.end().await;
}
