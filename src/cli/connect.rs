//! How a command finds its node: a live daemon, else one for its own length.
//!
//! Takes the home, gives an API client. A live daemon is always used.

use tempfile::TempDir;

use super::context::Context;
use crate::{
    api::Client,
    compute::Failure,
    model::Class,
    node::{Mode, Node},
};

/// How long an attached node may take to end.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// A node to speak to.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its API.
    pub(crate) client: Client,
    attached: Option<(Node, TempDir)>,
}

impl Connection {
    /// Ends the node, if it was there for this command only. Ctrl-C ends the
    /// patience with it.
    pub(crate) async fn close(self) {
        if let Some((node, _socket)) = self.attached {
            tokio::select! {
                _ = node.shutdown(GRACE) => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
    }
}

/// The live daemon of this home.
pub(crate) async fn live(cx: &Context) -> Result<Client, Failure> {
    let home = cx.home()?;
    match daemon(cx).await? {
        Some(client) => Ok(client),
        None => Err(Failure::new(
            Class::Node,
            "no_daemon",
            format!("no daemon runs in {}", home.path().display()),
        )
        .with_hint("Start one with `timerose daemon`.")),
    }
}

/// The live daemon, or a node attached to Kubo for the length of this command.
pub(crate) async fn connect(cx: &Context) -> Result<Connection, Failure> {
    if let Some(client) = daemon(cx).await? {
        return Ok(Connection {
            client,
            attached: None,
        });
    }
    let home = cx.home()?;
    let config = cx.config(toml::Table::new())?;
    let make = |e: std::io::Error| Failure::new(Class::Node, "io", format!("no socket: {e}"));
    home.create()
        .map_err(|e| super::exit::file(home.path(), &e))?;
    let dir = tempfile::Builder::new()
        .prefix("timerose-")
        .tempdir()
        .map_err(make)?;
    let socket = dir.path().join("api.sock");
    let node = Node::bind(config, home, Mode::Attached { socket }).await?;
    let client = Client::new(node.socket())?;
    Ok(Connection {
        client,
        attached: Some((node, dir)),
    })
}

/// The daemon of this home, if one answers.
async fn daemon(cx: &Context) -> Result<Option<Client>, Failure> {
    let socket = cx.home()?.socket();
    if !socket.exists() {
        return Ok(None);
    }
    let client = Client::new(&socket)?;
    Ok(client.is_alive().await.then_some(client))
}
