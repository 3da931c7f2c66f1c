//! A node that dies between what is on disk and who is told of it: nothing
//! that was promised is lost, and nothing is done twice that was done.

use std::{path::Path, time::Duration};

use futures_util::TryStreamExt;
use rusqlite::Connection;
use timerose::compute::{InvokeRequest, Record};

use crate::{
    node_whole::WholeNode,
    support::{
        eventually,
        fake_kubo::FakeNet,
        state::{count, journalled},
    },
};

/// The variable that names the point of death, in builds for tests.
const POINT: &str = "TIMEROSE_CRASH_AT";

const DOUBLE: &str = "(module (func (export \"double\") (param i64) (result i64)
    (i64.mul (local.get 0) (i64.const 2))))";

/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node, a call of it under a key, and what it gives.
struct Crashed {
    node: WholeNode,
    request: InvokeRequest,
}

impl Crashed {
    /// Submits a call to a node that dies at `point`, and starts the node again.
    async fn at(point: &str) -> Self {
        let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
        let request = InvokeRequest {
            function: node.deploy(DOUBLE.as_bytes()).await,
            args: vec!["21".to_owned()],
            key: Some("once".to_owned()),
            ..InvokeRequest::default()
        };
        node.sidecar.set_variable(POINT, point.to_owned());
        node.sidecar.restart().await.unwrap();
        let _it_may_die_before_it_answers = node.client().submit(&request, None).await;
        eventually("the node died", || node.sidecar.has_ended()).await;
        node.sidecar.set_variable(POINT, String::new());
        Self { node, request }
    }

    fn home(&self) -> &Path {
        self.node.sidecar.home()
    }

    /// Starts the node again and asks for the same once more; gives its end.
    async fn ended(&mut self) -> Record {
        self.node.sidecar.restart().await.unwrap();
        let client = self.node.client();
        let known = client.submit(&self.request, None).await.unwrap();
        let ended = client.wait(&known.invocation, PATIENCE).await.unwrap();
        assert_eq!(ended.state, "succeeded", "{ended:?}");
        let output = client.output(&known.invocation).await.unwrap().bytes;
        let output: Vec<_> = output.try_collect().await.unwrap();
        assert_eq!(output.concat(), b"42");
        let of = |table: &str| count(self.home(), &format!("SELECT count(*) FROM {table}"));
        assert_eq!([of("accepted"), of("records"), of("keys")], [1; 3]);
        eventually("no lease is left", || journalled(self.home()) == 0).await;
        ended
    }

    /// Runs of code since the last start.
    async fn runs(&self) -> u64 {
        let node = self.node.client().node().await.unwrap();
        node.counters["executor.runs"]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_was_kept_is_found_although_its_answer_was_lost() {
    let mut crashed = Crashed::at("SubmissionKept").await;
    assert_eq!(count(crashed.home(), "SELECT count(*) FROM invocations"), 1);
    let ended = crashed.ended().await;
    assert_eq!((ended.attempts, crashed.runs().await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_journalled_and_not_accepted_is_tried_anew() {
    let mut crashed = Crashed::at("LeaseJournalled").await;
    assert_eq!(journalled(crashed.home()), 1);
    let ended = crashed.ended().await;
    assert_eq!((ended.attempts, crashed.runs().await), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_journalled_and_not_sent_is_used_and_its_code_not_run_again() {
    let mut crashed = Crashed::at("ReceiptJournalled").await;
    assert_eq!(journalled(crashed.home()), 1);
    let ended = crashed.ended().await;
    assert_eq!((ended.attempts, crashed.runs().await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_accepted_stays_although_its_executor_was_not_told() {
    let mut crashed = Crashed::at("ResultAccepted").await;
    assert_eq!(count(crashed.home(), "SELECT count(*) FROM accepted"), 1);
    let ended = crashed.ended().await;
    assert_eq!((ended.attempts, crashed.runs().await), (1, 0));
}

/// Takes a store back to the schema before the durable class.
fn first_schema(home: &Path) {
    let db = Connection::open(home.join("state.db")).unwrap();
    for table in [
        "secrets",
        "keys",
        "invocations",
        "attempts",
        "accepted",
        "journal",
    ] {
        db.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    db.pragma_update(None, "user_version", 1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_schema_that_was_cut_short_begins_anew() {
    let mut node = WholeNode::start(&FakeNet::new(), &[]).await;
    let function = node.deploy(DOUBLE.as_bytes()).await;
    node.sidecar.stop().await.unwrap();
    let home = node.sidecar.home().to_owned();
    first_schema(&home);
    node.sidecar
        .set_variable(POINT, "SchemaHalfMade".to_owned());
    node.sidecar.restart().await.unwrap_err();
    assert_eq!(count(&home, "PRAGMA user_version"), 1);
    let tables = "SELECT count(*) FROM sqlite_master WHERE name = 'invocations'";
    assert_eq!(count(&home, tables), 0, "half an upgrade stayed");
    node.sidecar.set_variable(POINT, String::new());
    node.sidecar.restart().await.unwrap();
    let functions = node.client().functions().await.unwrap();
    assert!(functions.iter().any(|known| known.function == function));
    let request = InvokeRequest {
        function,
        args: vec!["21".to_owned()],
        ..InvokeRequest::default()
    };
    let submitted = node.client().submit(&request, None).await.unwrap();
    let ended = node.client().wait(&submitted.invocation, PATIENCE).await;
    assert_eq!(ended.unwrap().state, "succeeded");
}
