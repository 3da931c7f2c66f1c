//! The daemon and the mesh behind it.

use std::collections::BTreeMap;

use super::check::Check;
use crate::{
    api::{Client, NodeInfo, NodeView, Reach},
    cli::{connect::live, context::Context, table::tail},
};

pub(super) async fn checks(cx: &Context) -> Vec<Check> {
    let client = match live(cx).await {
        Ok(client) => client,
        Err(failure) => return vec![Check::warn("daemon", failure.message, "timerose daemon")],
    };
    let mut lacking = BTreeMap::new();
    let mut checks = vec![match client.node().await {
        Ok(node) => {
            lacking = node.lacking.clone();
            daemon(&node)
        }
        Err(failure) => Check::fail(
            "daemon",
            failure.message,
            "timerose shutdown, then timerose daemon",
        ),
    }];
    if let Ok(nodes) = client.nodes().await {
        checks.extend([members(&nodes), runtimes(&nodes, &lacking)]);
    }
    checks.extend(allowed(&client).await);
    checks
}

fn daemon(node: &NodeInfo) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    if node.version != ours {
        let finding = format!("it is {}, this command is {ours}", node.version);
        return Check::warn("daemon", finding, "Restart it with this version.");
    }
    if !node.health.ready {
        return Check::fail("daemon", node.health.unmet.join("; "), "Its log says more.");
    }
    Check::ok("daemon", format!("ready, in mesh {}", node.mesh))
}

fn members(nodes: &[NodeView]) -> Check {
    let direct = nodes.iter().filter(|n| n.reach == Reach::Direct).count();
    let forwarded: Vec<_> = nodes.iter().filter_map(forwarded).collect();
    let deaf = nodes
        .iter()
        .filter(|n| n.reach == Reach::Unreachable)
        .count();
    let streams = nodes
        .iter()
        .filter(|n| n.carrier.as_deref() == Some("stream"));
    let streams = streams.count();
    let mut finding =
        format!("{direct} other nodes reachable ({streams} over streams), {deaf} not");
    if !forwarded.is_empty() {
        let each = forwarded.join(", ");
        finding = format!("{finding}; {} through others: {each}", forwarded.len());
    }
    if direct == 0 {
        let fix = "Name one: timerose daemon --peer ADDR, of its `ipfs id`.";
        return Check::warn("mesh", finding, fix);
    }
    Check::ok("mesh", finding)
}

/// A node that another one forwards to, and which.
fn forwarded(node: &NodeView) -> Option<String> {
    let relay = node.via.as_ref()?;
    Some(format!("{} via {}", tail(&node.peer), tail(relay)))
}

/// What runs here, and why the rest does not.
fn runtimes(nodes: &[NodeView], lacking: &BTreeMap<String, String>) -> Check {
    let this = nodes.iter().find(|n| n.reach == Reach::This);
    let names: Vec<_> = this
        .iter()
        .flat_map(|n| n.runtimes.keys().cloned())
        .collect();
    if names.is_empty() {
        return Check::warn("runtimes", "none here", "Its log says why.");
    }
    let lacking = lacking
        .iter()
        .map(|(name, why)| format!("; no {name}: {why}"));
    Check::ok("runtimes", names.join(", ") + &lacking.collect::<String>())
}

async fn allowed(client: &Client) -> Option<Check> {
    let others = client
        .allow_list()
        .await
        .ok()?
        .iter()
        .filter(|a| a.source != "self")
        .count();
    Some(match others {
        0 => Check::ok("allow", "this node alone; nothing is advertised"),
        1 => Check::ok("allow", "this node and 1 entry"),
        n => Check::ok("allow", format!("this node and {n} entries")),
    })
}
