//! Many detached invocations of one slow function, whose right results are
//! known.
//!
//! Takes a client of their owner, gives what became of each. Fails where one is
//! lost, or its result is not the right one.

use std::{ops::Range, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use timerose::{
    api::Client,
    compute::{InvokeRequest, Record},
};

use crate::support::mesh::{Mesh, until};

/// Counts its second argument down and gives thrice its first.
pub(crate) const SLOW: &str =
    "(module (func (export \"slow\") (param $x i64) (param $rounds i64) (result i64)
    (loop $again
      (local.set $rounds (i64.sub (local.get $rounds) (i64.const 1)))
      (br_if $again (i64.gt_s (local.get $rounds) (i64.const 0))))
    (i64.add (i64.mul (local.get $x) (i64.const 3)) (local.get $rounds))))";

/// Rounds that take a tenth of a second or so.
pub(crate) const TENTH: u64 = 150_000_000;

/// How long one may take, whatever happens to it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Requests under way at once.
const AT_ONCE: usize = 16;

/// A call of [`SLOW`].
pub(crate) fn slow(function: &str, number: u64, rounds: u64) -> InvokeRequest {
    InvokeRequest {
        function: function.to_owned(),
        args: vec![number.to_string(), rounds.to_string()],
        ..InvokeRequest::default()
    }
}

/// The same, on one executor alone and never from memory.
pub(crate) fn slow_on(function: &str, executor: &str, number: u64, rounds: u64) -> InvokeRequest {
    InvokeRequest {
        executor: Some(executor.to_owned()),
        cache: false,
        ..slow(function, number, rounds)
    }
}

/// What [`SLOW`] gives for a number.
pub(crate) fn oracle(number: u64) -> String {
    (3 * number).to_string()
}

/// Invocations that keep an owner's own slots busy.
const OWN: Range<u64> = 1_000_000..1_000_012;

/// Submits many from node 0 so that other nodes get their share: each node has
/// told how long a run takes, the owner has a queue of its own, and they come
/// one after the other.
pub(crate) async fn spread(mesh: &Mesh, function: &str, count: u64, rounds: u64) -> Batch {
    for node in 0..mesh.all().len() {
        let request = slow_on(function, &mesh.peer(node), OWN.end, rounds);
        mesh.invoke(0, &request).await.unwrap();
    }
    let (client, own) = (mesh.client(0), mesh.peer(0));
    let request = |number| slow_on(function, &own, number, rounds);
    let mut batch = Batch::submit(client.clone(), OWN, request).await;
    until("the owner has much to do", async || {
        let records = batch.records().await;
        records.iter().all(|r| r.executor.is_some())
    })
    .await;
    for number in 0..count {
        let record = client.submit(&slow(function, number, rounds), None).await;
        batch.names.push((number, record.unwrap().invocation));
    }
    batch
}

/// Invocations of one owner, by their number.
#[derive(Debug)]
pub(crate) struct Batch {
    client: Client,
    names: Vec<(u64, String)>,
}

impl Batch {
    /// Submits one for each number.
    pub(crate) async fn submit(
        client: Client,
        numbers: Range<u64>,
        request: impl Fn(u64) -> InvokeRequest,
    ) -> Self {
        let submitted = stream::iter(numbers).map(async |number| {
            let record = client.submit(&request(number), None).await.unwrap();
            (number, record.invocation)
        });
        let names = submitted.buffered(AT_ONCE).collect().await;
        Self { client, names }
    }

    /// Those that were submitted already, under these names.
    pub(crate) fn of(client: Client, names: Vec<(u64, String)>) -> Self {
        Self { client, names }
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(_, name)| name.as_str())
    }

    /// Their records as they are now.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let records = stream::iter(self.names()).map(async |name| self.client.record(name).await);
        let records = records.buffered(AT_ONCE).try_collect().await;
        records.expect("none is lost")
    }

    /// Waits for the end of each; asserts that it succeeded and that its output
    /// is the right one.
    pub(crate) async fn all_right(&self) -> Vec<Record> {
        let records = self.ended_right().await;
        for record in &records {
            assert_eq!(record.state, "succeeded", "{record:#?}");
        }
        records
    }

    /// Waits for the end of each; asserts that the output of those that
    /// succeeded is the right one.
    pub(crate) async fn ended_right(&self) -> Vec<Record> {
        let ended = stream::iter(&self.names).map(async |(number, name)| {
            let record = self.client.wait(name, PATIENCE).await;
            let record = record.expect("it is not lost");
            if record.state == "succeeded" {
                let output = self.client.output(name).await.expect("it has an output");
                let bytes: Vec<_> = output.bytes.try_collect().await.unwrap();
                assert_eq!(bytes.concat(), oracle(*number).as_bytes(), "{record:#?}");
            }
            record
        });
        ended.buffered(AT_ONCE).collect().await
    }
}
