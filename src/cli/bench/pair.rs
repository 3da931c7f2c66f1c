//! Two temporary nodes, and what carries their messages.
//!
//! Takes Kubo's program and a carrier; gives nodes that wait for invocations.
//! Between carriers the sidecars start anew, the Kubos stay as they are.

use std::{path::Path, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::carrier::Carrier;
use crate::{
    api::Client,
    cli::{
        dev::{Error, Node, Nodes, NodesOptions},
        exit::Stop,
    },
    compute::Failure,
    config::Config,
    model::Class,
};

/// The setting that forces a carrier, as a key and in the environment.
const SETTING: (&str, &str) = ("carrier", "TIMEROSE_MESH__CARRIER");

/// How long two sidecars may take to hear of each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(25);

/// A node that invokes and one that runs.
#[derive(Debug)]
pub(super) struct Pair {
    nodes: Nodes,
}

impl Pair {
    /// Starts both.
    pub(super) async fn start(ipfs: &Path, carrier: Carrier) -> Result<Self, Stop> {
        let options = NodesOptions {
            ipfs: ipfs.to_owned(),
            timerose: crate::config::program()?,
            environment: environment(carrier),
            ..NodesOptions::default()
        };
        let nodes = Nodes::start(2, &options).await?;
        let pair = Self { nodes };
        pair.know_each_other().await?;
        Ok(pair)
    }

    /// Starts both sidecars anew, over another carrier.
    pub(super) async fn change_over(&mut self, carrier: Carrier) -> Result<(), Stop> {
        let restarts = self.nodes.all_mut().iter_mut().map(|node| {
            node.sidecar.set_environment(environment(carrier));
            node.sidecar.restart()
        });
        try_join_all(restarts).await?;
        self.know_each_other().await
    }

    /// The node that invokes, and the one that runs.
    pub(super) fn both(&self) -> Result<(&Node, &Node), Stop> {
        match self.nodes.all() {
            [here, there] => Ok((here, there)),
            _ => Err(bench("two nodes are due").into()),
        }
    }

    /// The API of the node that invokes.
    pub(super) fn client(&self) -> Result<Client, Stop> {
        Ok(Client::new(
            &self.both()?.0.sidecar.home().join("api.sock"),
        )?)
    }

    /// Ends and removes both.
    pub(super) async fn stop(self) -> Result<(), Error> {
        self.nodes.stop().await
    }

    async fn know_each_other(&self) -> Result<(), Stop> {
        let until = Instant::now() + PATIENCE;
        for node in self.nodes.all() {
            let client = Client::new(&node.sidecar.home().join("api.sock"))?;
            while client.nodes().await.map_or(0, |nodes| nodes.len()) < 2 {
                if Instant::now() > until {
                    let log = node.sidecar.process().log_tail();
                    return Err(bench(&format!("the two nodes did not meet; {log}")).into());
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }
}

/// Whether this version can be told what carries its messages; pubsub alone
/// does where it cannot.
pub(super) fn can_be_forced() -> bool {
    let settings = toml::Table::try_from(Config::default()).unwrap_or_default();
    let mesh = settings.get("mesh").and_then(toml::Value::as_table);
    mesh.is_some_and(|mesh| mesh.contains_key(SETTING.0))
}

fn environment(carrier: Carrier) -> Vec<(String, String)> {
    let forced = can_be_forced().then(|| (SETTING.1.to_owned(), carrier.as_str().to_owned()));
    forced.into_iter().collect()
}

/// The failure of the measurement itself.
pub(super) fn bench(message: &str) -> Failure {
    Failure::new(Class::Node, "bench", message)
}
