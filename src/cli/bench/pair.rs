//! Two temporary nodes, and what carries their messages.
//!
//! Takes Kubo's program and a carrier; gives nodes that find each other with
//! the first invocation, which is sooner than they would hear of each other.
//! Between carriers the sidecars start anew, the Kubos stay as they are.

use std::path::Path;

use futures_util::future::try_join_all;

use super::carrier::Carrier;
use crate::{
    api::Client,
    cli::{
        dev::{Error, Node, Nodes, NodesOptions},
        exit::Stop,
    },
    compute::Failure,
    model::Class,
};

/// The setting that forces a carrier.
const SETTING: &str = "TIMEROSE_MESH__CARRIER";

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
        Ok(Self { nodes })
    }

    /// Starts both sidecars anew, over another carrier.
    pub(super) async fn change_over(&mut self, carrier: Carrier) -> Result<(), Error> {
        let restarts = self.nodes.all_mut().iter_mut().map(|node| {
            node.sidecar.set_environment(environment(carrier));
            node.sidecar.restart()
        });
        try_join_all(restarts).await.map(|_restarted| ())
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
}

fn environment(carrier: Carrier) -> Vec<(String, String)> {
    vec![(SETTING.to_owned(), carrier.as_str().to_owned())]
}

/// The failure of the measurement itself.
pub(super) fn bench(message: &str) -> Failure {
    Failure::new(Class::Node, "bench", message)
}
