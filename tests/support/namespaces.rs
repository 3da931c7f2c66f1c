//! Network namespaces on one bridge: a network of our own, whose links can be
//! cut, made to lose packets, or made slow.
//!
//! Takes a number of nodes, gives a place for each; faults are rules of
//! iptables in the namespace of one node. Needs root, `ip` and `iptables`.
//! Everything is removed when it is dropped; end the nodes in it before that.

pub(crate) mod delay;

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use timerose::cli::dev::{Place, Process};

use super::skip::skip;

/// The interface of a node in its namespace.
const LINK: &str = "eth0";

/// The chains of packets that arrive and that leave.
const CHAINS: [&str; 2] = ["INPUT", "OUTPUT"];

/// Packets of one direction, as one node sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// They arrive at it.
    In,
    /// They leave it.
    Out,
}

/// A network of namespaces.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    count: usize,
}

impl Network {
    /// A network for `count` nodes; none, said loudly, where it cannot be had.
    pub(crate) fn of(count: usize) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("timerose-{}-{number}", std::process::id());
        let network = Self { name, count };
        match network.make() {
            Ok(()) => Some(network),
            Err(why) => {
                skip(&format!("no network namespaces can be had: {why}"));
                None
            }
        }
    }

    fn make(&self) -> Result<(), String> {
        let bridge = self.bridge();
        ip(&["netns", "add", &bridge])?;
        ip(&["-n", &bridge, "link", "add", "hub", "type", "bridge"])?;
        ip(&["-n", &bridge, "link", "set", "hub", "up"])?;
        for index in 0..self.count {
            let (node, port) = (self.namespace(index), format!("port{index}"));
            let address = format!("{}/24", address(index));
            ip(&["netns", "add", &node])?;
            ip(&["-n", &node, "link", "set", "lo", "up"])?;
            ip(&[
                "-n", &bridge, "link", "add", &port, "type", "veth", "peer", "name", LINK, "netns",
                &node,
            ])?;
            ip(&["-n", &bridge, "link", "set", &port, "master", "hub", "up"])?;
            ip(&["-n", &node, "address", "add", &address, "dev", LINK])?;
            ip(&["-n", &node, "link", "set", LINK, "up"])?;
            self.iptables(index, &["--list-rules"])?;
        }
        Ok(())
    }

    /// Where each node is to be.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |index| Place {
            namespace: self.namespace(index),
            address: address(index),
        };
        (0..self.count).map(place).collect()
    }

    /// Nothing reaches this node and nothing leaves it.
    pub(crate) fn cut(&self, node: usize) {
        self.cut_one_way(node, Way::In);
        self.cut_one_way(node, Way::Out);
    }

    /// Nothing passes this node's link one way.
    pub(crate) fn cut_one_way(&self, node: usize, way: Way) {
        let rule = match way {
            Way::In => ["-A", "INPUT", "-i", LINK, "-j", "DROP"],
            Way::Out => ["-A", "OUTPUT", "-o", LINK, "-j", "DROP"],
        };
        self.iptables(node, &rule).unwrap();
    }

    /// Nothing passes between two nodes.
    pub(crate) fn part(&self, one: usize, other: usize) {
        for (node, from) in [(one, other), (other, one)] {
            let from = address(from).to_string();
            self.iptables(node, &["-A", "INPUT", "-s", &from, "-j", "DROP"])
                .unwrap();
        }
    }

    /// Of all packets, so many of a hundred are lost, each way.
    pub(crate) fn lose(&self, percent: u32) {
        let share = format!("{}", f64::from(percent) / 100.0);
        let rule = [
            "-A",
            "INPUT",
            "-i",
            LINK,
            "-m",
            "statistic",
            "--mode",
            "random",
            "--probability",
            &share,
            "-j",
            "DROP",
        ];
        for node in 0..self.count {
            self.iptables(node, &rule).unwrap();
        }
    }

    /// Each node sends so much in a second at most, as `tc` writes rates.
    pub(crate) fn slow_down(&self, rate: &str) -> Result<(), String> {
        for node in 0..self.count {
            let namespace = self.namespace(node);
            let shaped = [
                "-n", &namespace, "qdisc", "add", "dev", LINK, "root", "tbf", "rate", rate,
                "burst", "16kb", "latency", "400ms",
            ];
            said("tc", &shaped)?;
        }
        Ok(())
    }

    /// Packets wait at this node, each way, for as long as the process lives;
    /// `waits` is the name of the ignored test that calls [`delay::delay`].
    pub(crate) async fn delay(
        &self,
        node: usize,
        waits: &str,
        log: &Path,
    ) -> Result<Process, String> {
        let program = std::env::current_exe().unwrap();
        let mut command = tokio::process::Command::new("ip");
        let namespace = self.namespace(node);
        command.args(["netns", "exec", &namespace]).arg(program);
        command.args(["--exact", waits, "--ignored", "--nocapture"]);
        command.env(delay::LEAVE, "1");
        let process = Process::start("delay", command, log).unwrap();
        super::eventually("packets can wait", || process.log().contains(delay::READY)).await;
        let number = delay::QUEUE.to_string();
        for (chain, link) in [("INPUT", "-i"), ("OUTPUT", "-o")] {
            let queue = ["-j", "NFQUEUE", "--queue-num", &number];
            let rule = [&["-A", chain, link, LINK][..], &queue].concat();
            self.iptables(node, &rule)?;
        }
        Ok(process)
    }

    /// Undoes whatever was cut or lost at this node.
    pub(crate) fn heal(&self, node: usize) {
        for chain in CHAINS {
            self.iptables(node, &["--flush", chain]).unwrap();
        }
    }

    /// Undoes it at every node.
    pub(crate) fn heal_all(&self) {
        (0..self.count).for_each(|node| self.heal(node));
    }

    /// The namespaces that are left of a network.
    pub(crate) fn left_of(name: &str) -> Vec<String> {
        let listed = said("ip", &["netns", "list"]).unwrap_or_default();
        let names = listed.lines().filter_map(|l| l.split_whitespace().next());
        names
            .filter(|listed| listed.starts_with(&format!("{name}-")))
            .map(str::to_owned)
            .collect()
    }

    /// Its name, unlike that of any other.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn iptables(&self, node: usize, rule: &[&str]) -> Result<String, String> {
        let namespace = self.namespace(node);
        let mut arguments = vec!["netns", "exec", &namespace, "iptables", "--wait"];
        arguments.extend(rule);
        said("ip", &arguments)
    }

    fn bridge(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn namespace(&self, index: usize) -> String {
        format!("{}-n{}", self.name, index + 1)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in Self::left_of(&self.name) {
            let removed = ip(&["netns", "delete", &namespace]);
            assert!(
                removed.is_ok() || std::thread::panicking(),
                "{namespace} is left: {removed:?}"
            );
        }
    }
}

fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(index + 1).unwrap())
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    said("ip", arguments)
}

/// What a program said; its complaint where it failed.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new(program).args(arguments).output();
    let output = ran.map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!(
            "{program} {}: {}",
            arguments.join(" "),
            text(&output.stderr)
        )),
    }
}
