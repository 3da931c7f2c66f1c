//! Pubsub at its worst, one fault at a time: nothing is lost, double or wrong.
//!
//! The faults are made by a proxy between each sidecar and its Kubo, or by real
//! Kubos; what callers saw is judged by a history against an oracle.

mod messages;
mod muted;
mod publishing;
mod streams;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use timerose::{
    api::Client,
    compute::{InvocationEvent, InvokeRequest},
};
use tokio::time::Instant;

use crate::support::{
    history::{Event, History},
    mesh::Mesh,
};

/// Another number for every number.
const MIX: &str = "(module (func (export \"mix\") (param $x i64) (result i64)
    (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
    (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
    (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17)))))";

/// Invocations that are open at once.
const CALLERS: usize = 8;
/// Numbers that no test counts with.
const WARM_UP: Range<u64> = 1_000_000..1_000_008;
/// The executor is known; it is waited for through any fault.
const FOUND_WITHIN: Duration = Duration::from_secs(30);
/// Submit to close.
const WITHIN: Duration = Duration::from_secs(60);

/// What `mix` gives.
fn oracle(input: &str) -> Vec<u8> {
    let x: u64 = input.parse().unwrap();
    let x = x ^ (x << 13);
    let x = x ^ (x >> 7);
    let x = x ^ (x << 17);
    x.cast_signed().to_string().into_bytes()
}

/// Calls from the first node to the second, and what came of them.
struct Load {
    client: Client,
    executor: Client,
    function: String,
    peer: String,
    history: History,
    asked: std::sync::atomic::AtomicU64,
}

impl Load {
    /// Deploys, and calls once, so that all is warm.
    async fn between(mesh: &Mesh) -> Self {
        let load = Self {
            client: mesh.client(0),
            executor: mesh.client(1),
            function: mesh.deploy(0, MIX.as_bytes()).await,
            peer: mesh.peer(1),
            history: History::begin(),
            asked: 0.into(),
        };
        load.run(WARM_UP).await;
        load
    }

    /// Calls with each number; gives how long each took, the shortest first.
    async fn run(&self, numbers: Range<u64>) -> Vec<Duration> {
        let calls = stream::iter(numbers).map(|number| self.call(number));
        let mut times: Vec<_> = calls.buffer_unordered(CALLERS).collect().await;
        times.sort_unstable();
        times
    }

    /// Calls until the faults have shown: how many messages carry the calls, and
    /// which of them are hit, is chance.
    async fn run_until(&self, have_shown: impl Fn() -> bool) {
        for _ in 0..10 {
            let next = self.asked();
            self.run(next..next + 200).await;
            if have_shown() {
                return;
            }
        }
        panic!("the faults never showed");
    }

    async fn call(&self, number: u64) -> Duration {
        self.asked
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let began = Instant::now();
        let invocation = self.watched(number.to_string()).await;
        let took = began.elapsed();
        let output = match self.client.output(&invocation).await {
            Ok(output) => output.bytes.try_collect::<Vec<_>>().await.ok(),
            Err(_) => None,
        };
        let output = output.map(|pieces| pieces.concat());
        self.history.note(Event::Fetched { invocation, output });
        took
    }

    /// Notes one call's life; gives its name.
    async fn watched(&self, input: String) -> String {
        let key = input.clone();
        let request = self.request(&input);
        self.history.note(Event::Asked {
            key: key.clone(),
            input,
            within: WITHIN,
        });
        let mut events = self.client.invoke(&request, None).await.unwrap();
        let mut name = String::new();
        while let Some(event) = events.next().await {
            let noted = match event.unwrap() {
                InvocationEvent::Accepted { invocation, .. } => {
                    name.clone_from(&invocation);
                    let key = key.clone();
                    Event::Acknowledged { key, invocation }
                }
                InvocationEvent::Done(finished) => Event::Succeeded {
                    invocation: finished.invocation,
                    receipt: finished.receipt,
                },
                InvocationEvent::Failed {
                    invocation, error, ..
                } => Event::Failed {
                    invocation,
                    class: error.to_string(),
                },
                _ => continue,
            };
            self.history.note(noted);
        }
        name
    }

    fn request(&self, input: &str) -> InvokeRequest {
        InvokeRequest {
            function: self.function.clone(),
            entry: Some("mix".to_owned()),
            args: vec![input.to_owned()],
            executor: Some(self.peer.clone()),
            timeout: WITHIN,
            find_timeout: FOUND_WITHIN,
            cache: false,
            ..InvokeRequest::default()
        }
    }

    /// Runs on the executor so far, wanted or not.
    async fn runs(&self) -> u64 {
        counters(&self.executor).await["executor.runs"]
    }

    /// Every call so far has its one right result, and no call ran twice.
    async fn is_right_and_ran_once(&self) {
        self.is_right();
        assert_eq!(self.runs().await, self.asked());
        for record in self.client.records(true).await.unwrap() {
            assert_eq!(record.attempts, 1, "{record:?}");
        }
    }

    /// Every call so far has its one right result.
    fn is_right(&self) {
        self.history.all_succeeded(self.asked(), oracle);
    }

    fn asked(&self) -> u64 {
        self.asked.load(std::sync::atomic::Ordering::Relaxed)
    }
}

async fn counters(client: &Client) -> BTreeMap<String, u64> {
    client.node().await.unwrap().counters
}

/// The time within which 99 % are done.
fn p99(times: &[Duration]) -> Duration {
    times[(times.len() * 99).div_ceil(100) - 1]
}
