//! `timerose node`: this node and the others.

use std::time::SystemTime;

use super::{
    connect::live,
    context::Context,
    exit::Stop,
    table::{millis, pairs, record, table, tail},
};
use crate::{
    api::{NodeInfo, NodeView, Reach},
    compute::Failure,
    model::Class,
};

/// Show this node and the others of the mesh
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose node ls
  timerose node show
  timerose node show 12D3KooW…")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List every node that is known
    Ls,
    /// Show one node
    Show {
        /// Peer ID, or the end of it [default: this node]
        peer: Option<String>,
    },
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let client = live(cx).await?;
        match self.command {
            Command::Ls => {
                let nodes = client.nodes().await?;
                if cx.out.is_quiet() && !cx.out.is_json() {
                    let peers: Vec<_> = nodes.iter().map(|n| n.peer.as_str()).collect();
                    return cx.out.line(peers.join("\n"));
                }
                cx.out.show(&nodes, |all| list(all))
            }
            Command::Show { peer: None } => cx.out.show(&client.node().await?, this),
            Command::Show { peer: Some(peer) } => {
                let nodes = client.nodes().await?;
                let found = nodes.iter().find(|n| n.peer.ends_with(&peer));
                let node = found.ok_or_else(|| unknown(&peer))?;
                cx.out.show(node, other)
            }
        }
    }
}

fn unknown(peer: &str) -> Failure {
    Failure::new(
        Class::Missing,
        "unknown_peer",
        format!("no node {peer:?} is known"),
    )
    .with_hint("`timerose node ls` lists those that are.")
}

fn list(nodes: &[NodeView]) -> String {
    let rows = nodes.iter().map(|n| {
        vec![
            n.peer.clone(),
            reach(n),
            runtimes(n),
            format!("{}/{}", n.free, n.slots),
            n.warm.to_string(),
            rtt(n),
            heard(n),
            pairs(&n.labels),
        ]
    });
    table(
        &[
            "PEER", "REACH", "RUNTIMES", "FREE", "WARM", "RTT", "HEARD", "LABELS",
        ],
        rows,
    )
}

fn other(node: &NodeView) -> String {
    record(&[
        ("peer", node.peer.clone()),
        ("reach", reach(node)),
        ("executor", node.roles.executor.to_string()),
        ("scheduler", node.roles.scheduler.to_string()),
        ("runtimes", runtimes(node)),
        ("free", format!("{} of {}", node.free, node.slots)),
        ("warm", format!("{} functions", node.warm)),
        ("rtt", rtt(node)),
        ("heard", heard(node)),
        ("labels", pairs(&node.labels)),
        ("agent", node.agent.clone()),
    ])
}

fn this(node: &NodeInfo) -> String {
    let ready = if node.health.ready {
        "yes".to_owned()
    } else {
        node.health.unmet.join("; ")
    };
    let mut lines = vec![
        ("peer", node.peer.clone()),
        ("version", node.version.clone()),
        ("kubo", node.kubo.clone()),
        ("mesh", node.mesh.clone()),
        ("ready", ready),
        ("boot", node.boot.clone()),
    ];
    lines.extend(node.api.iter().map(|address| ("api", address.clone())));
    lines.extend(
        node.addresses
            .iter()
            .map(|address| ("address", address.clone())),
    );
    lines.extend(
        node.counters
            .iter()
            .map(|(name, n)| ("counter", format!("{name} {n}"))),
    );
    record(&lines)
}

fn reach(node: &NodeView) -> String {
    let reach = match node.reach {
        Reach::This => "this node",
        Reach::Direct => "direct",
        Reach::Forwarded => "forwarded",
        Reach::Unreachable => "unreachable",
    };
    match (&node.carrier, &node.via) {
        (Some(carrier), _) => format!("{reach}, {carrier}"),
        (None, Some(relay)) => format!("{reach} via {}", tail(relay)),
        (None, None) => reach.to_owned(),
    }
}

fn runtimes(node: &NodeView) -> String {
    let all = node
        .runtimes
        .iter()
        .map(|(name, abis)| format!("{name}({})", abis.join(",")));
    all.collect::<Vec<_>>().join(" ")
}

fn rtt(node: &NodeView) -> String {
    node.rtt_ms
        .map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn heard(node: &NodeView) -> String {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_millis();
    let ago = |at: u64| u64::try_from(now.saturating_sub(u128::from(at))).unwrap_or(u64::MAX);
    node.heard
        .map_or_else(|| "–".to_owned(), |at| format!("{} ago", millis(ago(at))))
}
