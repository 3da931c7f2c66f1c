//! Invocations of the function that does nothing, as a client makes them: over
//! the API socket of one node, for one executor.
//!
//! Takes a budget of time, gives latencies and rates; whatever did not end
//! well is lost, and the first reason is kept.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    carrier::Carrier,
    plan::{CALLERS, INPUT_BYTES},
    series::{millis, per_second},
};
use crate::{
    api::{Client, NodeView},
    compute::{
        ByteStream, Code, DeployRequest, Draft, Failure, Finished, InvocationEvent, InvokeRequest,
        Record,
    },
    model::Class,
};

/// What is invoked.
const FUNCTION: &str = include_str!("noop.wat");

/// What it is given.
static INPUT: [u8; INPUT_BYTES] = [0x5a; INPUT_BYTES];

/// How long one invocation may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Durable invocations of one run: enough for a rate, and fewer than a node
/// lets be open.
const DURABLE: (usize, usize) = (CALLERS, 8_000);

/// How long two nodes may take until the first goes well.
const ACQUAINTANCE: Duration = Duration::from_secs(20);

/// The pause before something is tried again while the nodes get to know each
/// other.
const PAUSE: Duration = Duration::from_millis(100);

/// A node that invokes on another.
#[derive(Debug)]
pub(super) struct Load {
    client: Client,
    request: InvokeRequest,
    tally: Mutex<Tally>,
}

/// How invocations ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// With success.
    pub(super) done: u64,
    /// Otherwise.
    pub(super) lost: u64,
    /// Why the first of them did.
    pub(super) first: Option<Failure>,
}

impl Tally {
    /// Counts one.
    fn count<T>(&mut self, ended: Result<T, Failure>) -> Option<T> {
        match ended {
            Ok(value) => {
                self.done += 1;
                Some(value)
            }
            Err(failure) => {
                self.lost += 1;
                self.first.get_or_insert(failure);
                None
            }
        }
    }

    /// Counts those of `other` too.
    pub(super) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.lost += other.lost;
        self.first = self.first.take().or(other.first);
    }
}

impl Load {
    /// Deploys the function on the node of `client`.
    pub(super) async fn deploy(client: Client, executor: &str) -> Result<Self, Failure> {
        let module = wat::parse_str(FUNCTION)
            .map_err(|e| Failure::new(Class::Node, "bench", e.to_string()))?;
        let request = DeployRequest {
            draft: Draft::default(),
            code: Code::Bytes(module.into()),
        };
        let request = InvokeRequest {
            function: client.deploy(request).await?.function,
            input: Some("-".to_owned()),
            timeout: PATIENCE,
            cache: false,
            executor: Some(executor.to_owned()),
            ..InvokeRequest::default()
        };
        Ok(Self {
            client,
            request,
            tally: Mutex::default(),
        })
    }

    /// The function's CID.
    pub(super) fn function(&self) -> &str {
        &self.request.function
    }

    /// What was counted so far.
    pub(super) fn into_tally(self) -> Tally {
        self.tally.into_inner()
    }

    /// The executor as the node sees it.
    async fn seen(&self) -> Result<Option<NodeView>, Failure> {
        let nodes = self.client.nodes().await?;
        let mut nodes = nodes.into_iter();
        Ok(nodes.find(|node| self.request.executor.as_ref() == Some(&node.peer)))
    }

    /// The link's round trip to the executor in milliseconds, smoothed.
    pub(super) async fn rtt(&self) -> Result<Option<f64>, Failure> {
        Ok(self.seen().await?.and_then(|node| node.rtt_ms))
    }

    /// What carries messages to the executor now; waits until it is listed,
    /// which may take it until its next advert.
    pub(super) async fn carrier(&self) -> Result<Carrier, Failure> {
        let until = Instant::now() + ACQUAINTANCE;
        while Instant::now() < until {
            let seen = self.seen().await?;
            let carrier = seen.and_then(|node| Carrier::of(node.carrier.as_deref()?));
            if let Some(carrier) = carrier {
                return Ok(carrier);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let message = "nobody says what carries messages to the executor";
        Err(Failure::new(Class::Node, "bench", message))
    }

    /// Invokes until `count` went well. Those that do not, while the nodes get
    /// to know each other, are forgiven.
    pub(super) async fn warm_up(&self, count: usize) -> Result<(), Failure> {
        let until = Instant::now() + ACQUAINTANCE;
        let mut done = 0;
        while done < count {
            match self.invoke().await {
                Ok(_) => done += 1,
                Err(failure) if Instant::now() > until => return Err(failure),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        Ok(())
    }

    /// One after the other for `budget`; the milliseconds of each.
    pub(super) async fn one_by_one(&self, budget: Duration) -> Vec<f64> {
        let until = Instant::now() + budget;
        let mut samples = Vec::new();
        while Instant::now() < until {
            samples.extend(self.counted().await.map(millis));
        }
        samples
    }

    /// From many callers at once, each of which starts another one until
    /// `budget` is over; how many ended per second until the last of them did.
    pub(super) async fn held(&self, budget: Duration) -> f64 {
        let began = Instant::now();
        let callers = (0..CALLERS).map(|_| async {
            let mut done = 0;
            while began.elapsed() < budget {
                done += usize::from(self.counted().await.is_some());
            }
            done
        });
        let done = join_all(callers).await.into_iter().sum();
        per_second(done, began.elapsed())
    }

    /// Submits about as many from many callers at once as `rate` needs
    /// `budget` for, then waits for all; how many succeeded per second from the
    /// first submission to the last success, by the owner's own records.
    pub(super) async fn durable(&self, rate: Option<f64>, budget: Duration) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count within bounds"
        )]
        let wanted = (rate.unwrap_or_default() * budget.as_secs_f64()) as usize;
        let each = wanted.clamp(DURABLE.0, DURABLE.1).div_ceil(CALLERS);
        let submitted = join_all((0..CALLERS).map(|_| self.submit(each))).await;
        let mut records = Vec::new();
        // Backwards: the last is over when nearly all are, so that asking for
        // the others takes nothing away from them.
        for invocation in submitted.iter().flatten().rev() {
            let ended = self.client.wait(invocation, PATIENCE).await;
            let counted = self.tally.lock().count(ended.and_then(succeeded));
            records.extend(counted);
        }
        rate_of(&records)
    }

    async fn submit(&self, count: usize) -> Vec<String> {
        let mut submitted = Vec::new();
        for _ in 0..count {
            match self.client.submit(&self.request, Some(input())).await {
                Ok(record) => submitted.push(record.invocation),
                Err(failure) => {
                    let _lost = self.tally.lock().count::<()>(Err(failure));
                }
            }
        }
        submitted
    }

    /// One invocation that counts.
    async fn counted(&self) -> Option<Duration> {
        let ended = self.invoke().await;
        self.tally.lock().count(ended)
    }

    /// One invocation, and how long it took.
    async fn invoke(&self) -> Result<Duration, Failure> {
        let began = Instant::now();
        let mut events = self.client.invoke(&self.request, Some(input())).await?;
        while let Some(event) = events.next().await {
            match event? {
                InvocationEvent::Done(finished) => {
                    well(&finished)?;
                    let took = began.elapsed();
                    let _leaves_the_connection_to_the_next = events.next().await;
                    return Ok(took);
                }
                InvocationEvent::Failed { error, .. } => return Err(error),
                _ => {}
            }
        }
        Err(Failure::new(Class::Lost, "lost", "its events broke off"))
    }
}

fn input() -> ByteStream {
    stream::iter([Ok(Bytes::from_static(&INPUT))]).boxed()
}

/// It really ran, and had its input.
fn well(finished: &Finished) -> Result<(), Failure> {
    if finished.exit == 0 && !finished.cached {
        return Ok(());
    }
    let message = format!("exit code {}, cached: {}", finished.exit, finished.cached);
    Err(Failure::new(Class::Node, "bench", message))
}

fn succeeded(record: Record) -> Result<Record, Failure> {
    match &record.result {
        Some(finished) if record.state == "succeeded" => well(finished).map(|()| record),
        _ => Err(record.error.unwrap_or_else(|| {
            Failure::new(Class::Lost, "lost", format!("it is {}", record.state))
        })),
    }
}

/// From the first submission to the last success.
fn rate_of(records: &[Record]) -> f64 {
    let first = records.iter().map(|record| record.submitted).min();
    let last = records
        .iter()
        .map(|record| record.submitted + record.elapsed_ms)
        .max();
    let took = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
    per_second(records.len(), Duration::from_millis(took.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(submitted: u64, elapsed_ms: u64) -> Record {
        Record {
            invocation: "01J".to_owned(),
            state: "succeeded".to_owned(),
            call: String::new(),
            function: String::new(),
            executor: None,
            attempts: 1,
            submitted,
            elapsed_ms,
            result: None,
            error: None,
            explanation: None,
        }
    }

    #[test]
    fn a_durable_rate_runs_from_the_first_submission_to_the_last_success() {
        let records = [record(1_000, 900), record(1_100, 100), record(1_200, 800)];
        assert!((rate_of(&records) - 3.0).abs() < 1e-9);
        assert!(rate_of(&[]).abs() < 1e-9);
    }

    #[test]
    fn what_did_not_end_well_is_lost_and_its_first_reason_kept() {
        let mut tally = Tally::default();
        assert_eq!(tally.count(Ok(7)), Some(7));
        for why in ["one", "two"] {
            let ended: Result<u8, _> = Err(Failure::new(Class::Node, "x", why));
            assert_eq!(tally.count(ended), None);
        }
        let mut all = Tally::default();
        all.add(tally);
        let first = all.first.map(|failure| failure.message);
        assert_eq!((all.done, all.lost, first.as_deref()), (1, 2, Some("one")));
        assert!(succeeded(record(0, 1)).is_err(), "no result is no success");
    }

    #[test]
    fn the_function_is_a_module() {
        assert!(wat::parse_str(FUNCTION).is_ok());
        assert!(FUNCTION.contains(&format!("i32.const {INPUT_BYTES}")));
    }
}
