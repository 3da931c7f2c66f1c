//! Everything at once: sidecars and Kubos die and freeze while detached
//! invocations are submitted; each ends with its one right result.
//!
//! Takes `TIMEROSE_TORTURE_MINUTES` (default: a third of a minute) and, with
//! it, five nodes and 10,000 invocations instead of three and 120.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rustix::process::{Pid, Signal, kill_process};
use timerose::{api::Client, compute::InvokeRequest};
use tokio::time::{Instant, sleep};

use crate::support::{
    history::{Event, History},
    mesh::Mesh,
};

/// Draws new numbers from its argument for a millisecond or so.
const DRAW: &str = "(module (func (export \"draw\") (param $x i64) (result i64) (local $n i64)
    (local.set $n (i64.const 500000))
    (loop $again
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (local.set $n (i64.sub (local.get $n) (i64.const 1)))
      (br_if $again (i64.ne (local.get $n) (i64.const 0))))
    (local.get $x)))";

/// What `draw` gives.
fn oracle(number: u64) -> String {
    let draw = |x: u64, _| {
        let x = x ^ (x << 13);
        let x = x ^ (x >> 7);
        x ^ (x << 17)
    };
    (0..500_000).fold(number, draw).cast_signed().to_string()
}

/// Invocations that are waited for, or for whose time is waited, at once.
const AT_ONCE: usize = 4_096;
/// How long one may take until its end is seen.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// How long one question may take.
const ASKED: Duration = Duration::from_secs(20);

/// How long it lasts, and over how much.
struct Scale {
    nodes: usize,
    invocations: u64,
    lasts: Duration,
}

impl Scale {
    fn asked() -> Self {
        let minutes = std::env::var("TIMEROSE_TORTURE_MINUTES").ok();
        match minutes.and_then(|minutes| minutes.parse::<u64>().ok()) {
            Some(minutes) => Self {
                nodes: 5,
                invocations: 10_000,
                lasts: Duration::from_secs(60 * minutes),
            },
            None => Self {
                nodes: 3,
                invocations: 120,
                lasts: Duration::from_secs(20),
            },
        }
    }
}

/// A number below `bound`, drawn from `state`.
fn below(state: &mut u64, bound: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) % bound
}

fn request(function: &str, number: u64) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        args: vec![number.to_string()],
        key: Some(format!("torture-{number}")),
        timeout: Duration::from_secs(1_200),
        ..InvokeRequest::default()
    }
}

/// Submits until it is answered; the key makes it one invocation.
async fn submitted(client: &Client, history: &History, number: u64, function: &str) -> String {
    let request = request(function, number);
    let key = format!("torture-{number}");
    history.note(Event::Asked {
        key: key.clone(),
        input: number.to_string(),
        within: request.timeout,
    });
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        match client.submit(&request, None).await {
            Ok(record) => {
                let invocation = record.invocation;
                history.note(Event::Acknowledged {
                    key,
                    invocation: invocation.clone(),
                });
                return invocation;
            }
            Err(failure) => assert!(Instant::now() < patience, "{failure:?}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Submits evenly over the time there is, and sees each to its end.
async fn submit_all(clients: &[Client], history: &History, function: &str, scale: &Scale) {
    let began = Instant::now();
    let every = scale.lasts / u32::try_from(scale.invocations).unwrap();
    let all = stream::iter(0..scale.invocations).map(async |number| {
        sleep_until(began, every, number).await;
        let client = &clients[owner(number)];
        let name = submitted(client, history, number, function).await;
        conclude(client, history, name).await;
    });
    all.buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn sleep_until(began: Instant, every: Duration, number: u64) {
    tokio::time::sleep_until(began + every * u32::try_from(number).unwrap()).await;
}

/// The first two nodes own invocations.
const fn owner(number: u64) -> usize {
    (number % 2) as usize
}

/// One fault after another for as long as it lasts.
async fn torment(mesh: &mut Mesh, lasts: Duration) {
    let mut chance = u64::from(std::process::id()) | 1 << 40;
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        sleep(Duration::from_millis(2_000 + below(&mut chance, 3_000))).await;
        let which = usize::try_from(below(&mut chance, mesh.all().len() as u64)).unwrap();
        let down = Duration::from_millis(200 + below(&mut chance, 2_000));
        let node = mesh.node_mut(which);
        let fault = below(&mut chance, 3);
        eprintln!("node {which}: fault {fault} for {down:?}");
        match fault {
            0 => {
                node.sidecar.kill9().await.unwrap();
                sleep(down).await;
                node.sidecar.restart().await.unwrap();
            }
            1 => {
                node.kubo.kill9().await.unwrap();
                sleep(down).await;
                node.kubo.restart().await.unwrap();
            }
            _ => {
                let pid = Pid::from_raw(node.sidecar.process().pid().cast_signed()).unwrap();
                kill_process(pid, Signal::STOP).unwrap();
                sleep(down).await;
                kill_process(pid, Signal::CONT).unwrap();
            }
        }
    }
}

/// Notes what became of one invocation, when it does. Whoever is asked may be
/// dead for a moment.
async fn conclude(client: &Client, history: &History, invocation: String) {
    let until = Instant::now() + PATIENCE;
    let ended = again(until, async || client.wait(&invocation, ASKED).await.ok());
    let Some(record) = ended.await else {
        return eprintln!("{invocation} has no end");
    };
    let Some(result) = record.result.as_ref() else {
        eprintln!("{record:#?}");
        let class = record.state;
        return history.note(Event::Failed { invocation, class });
    };
    history.note(Event::Succeeded {
        invocation: invocation.clone(),
        receipt: result.receipt.clone(),
    });
    let output = again(until, async || {
        let output = client.output(&invocation).await.ok()?;
        output.bytes.try_collect::<Vec<_>>().await.ok()
    });
    let output = output.await.map(|pieces| pieces.concat());
    history.note(Event::Fetched { invocation, output });
}

/// Asks until there is an answer.
async fn again<T>(until: Instant, ask: impl AsyncFn() -> Option<T>) -> Option<T> {
    while Instant::now() < until {
        let answer = ask().await;
        if answer.is_some() {
            return answer;
        }
        sleep(Duration::from_millis(200)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_every_detached_invocation_ends_with_its_right_result() {
    let scale = Scale::asked();
    let mut mesh = Mesh::with_short_leases(scale.nodes).await;
    let function = mesh.deploy(0, DRAW.as_bytes()).await;
    assert_eq!(mesh.deploy(1, DRAW.as_bytes()).await, function);
    let clients = [mesh.client(0), mesh.client(1)];
    let history = History::begin();
    let submitting = submit_all(&clients, &history, &function, &scale);
    let tormenting = async {
        torment(&mut mesh, scale.lasts).await;
        Instant::now()
    };
    let ((), over) = tokio::join!(submitting, tormenting);
    println!("the last {:?} after the faults", over.elapsed());
    history.all_succeeded(scale.invocations, |number| {
        oracle(number.parse().unwrap()).into_bytes()
    });
    mesh.end().await;
}
