//! A temporary Kubo daemon on loopback, or in a network namespace.
//!
//! Takes a folder and Kubo's program; gives a daemon that answers, with its
//! own repository, on ports that stay the same over a restart. Never touches a
//! repository it did not make.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    Error, Process,
    environment::{self, Place},
    process::Stopped,
};
use crate::kubo::{Client, Config, Endpoint, NodeId};

/// How long a daemon may take until it answers; a loaded machine is slow.
const START: Duration = Duration::from_secs(60);

/// How often another node is dialled before it counts as unreachable.
const DIALS: u32 = 5;

/// The pause between.
const DIAL_PAUSE: Duration = Duration::from_millis(300);

/// How long a command that needs no daemon may take.
const COMMAND: Duration = Duration::from_secs(60);

/// What a mesh on loopback needs beside `ipfs init --profile=test`, which
/// leaves out bootstrap peers, mDNS and everything that asks the internet.
/// The last one is what lets loopback peers into the routing table.
fn mesh_settings() -> Vec<(String, Value)> {
    [
        ("Pubsub.Enabled", json!(true)),
        ("Experimental.Libp2pStreamMounting", json!(true)),
        ("Routing.Type", json!("dht")),
        ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec()
}

/// In a namespace it listens on the address there; its RPC is a unix socket,
/// since we share no loopback with it.
fn place_settings(place: &Place, dir: &Path) -> Vec<(String, Value)> {
    let rpc = dir.join("kubo.sock");
    vec![
        (
            "Addresses.Swarm".to_owned(),
            json!([format!("/ip4/{}/tcp/0", place.address)]),
        ),
        (
            "Addresses.API".to_owned(),
            json!(format!("/unix{}", rpc.display())),
        ),
        ("Addresses.NoAnnounce".to_owned(), json!([])),
        ("Swarm.AddrFilters".to_owned(), json!([])),
    ]
}

/// What to start.
#[derive(Clone, Debug)]
pub struct KuboOptions {
    /// Kubo's program.
    pub program: PathBuf,
    /// A folder for the repository and the log; made if it is missing.
    pub dir: PathBuf,
    /// Further settings, keys with dots: `("Routing.Type", json!("none"))`.
    pub settings: Vec<(String, Value)>,
    /// The network namespace it runs in; none is ours.
    pub place: Option<Place>,
}

/// A Kubo daemon that answers.
#[derive(Debug)]
pub struct KuboDaemon {
    ipfs: Ipfs,
    log: PathBuf,
    process: Process,
    client: Client,
    id: NodeId,
    api: String,
}

impl KuboDaemon {
    /// Makes a repository and starts its daemon.
    ///
    /// # Errors
    /// Any of [`Error`]; nothing is left running then.
    pub async fn start(options: KuboOptions) -> Result<Self, Error> {
        let KuboOptions {
            program,
            dir,
            settings,
            place,
        } = options;
        let (repo, log) = (dir.join("repo"), dir.join("kubo.log"));
        std::fs::create_dir_all(&repo).map_err(Error::file(&repo))?;
        let place_settings = place.as_ref().map(|place| place_settings(place, &dir));
        let ipfs = Ipfs {
            program,
            repo,
            place,
        };
        ipfs.run(&["init", "--profile=test"]).await?;
        let settings = place_settings.into_iter().flatten().chain(settings);
        configure(&ipfs.repo, mesh_settings().into_iter().chain(settings))?;
        let started = ipfs.launch(&log).await?;
        configure(&ipfs.repo, addresses_to_keep(&started))?;
        let Started {
            process,
            client,
            id,
            api,
        } = started;
        Ok(Self {
            ipfs,
            log,
            process,
            client,
            id,
            api,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its peer ID.
    #[must_use]
    pub fn peer(&self) -> String {
        self.id.peer.to_string()
    }

    /// Its swarm multiaddrs, each ending in `/p2p/<peer>`.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.id.addresses
    }

    /// The multiaddr of its RPC.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// Its repository, the value of `IPFS_PATH`.
    #[must_use]
    pub fn repo(&self) -> &Path {
        &self.ipfs.repo
    }

    /// A client of its RPC; follows it over restarts.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its process, to look at.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Runs `ipfs` on its repository and gives what that wrote to stdout.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Command`].
    pub async fn ipfs(&self, arguments: &[&str]) -> Result<String, Error> {
        self.ipfs.run(arguments).await
    }

    /// Connects to `other`. Connect many nodes one pair after the other: two
    /// that dial each other at once may both give up, which happens all the
    /// same when they discover each other meanwhile; then it dials again.
    ///
    /// # Errors
    /// [`Error::Kubo`].
    pub async fn connect(&self, other: &Self) -> Result<(), Error> {
        let Some(address) = other.addresses().first() else {
            return Ok(());
        };
        for _ in 1..DIALS {
            if self.client.swarm_connect(address).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(DIAL_PAUSE).await;
        }
        Ok(self.client.swarm_connect(address).await?)
    }

    /// Ends it the polite way first.
    ///
    /// # Errors
    /// [`Error::Unstoppable`], [`Error::Kubo`].
    pub async fn stop(&mut self) -> Result<Stopped, Error> {
        self.client.close_idle()?;
        self.process.stop().await
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// [`Error::Unstoppable`].
    pub async fn kill9(&mut self) -> Result<(), Error> {
        self.process.kill9().await
    }

    /// Starts it again with the same identity, content and addresses, after
    /// stopping it if it runs. Connections to other nodes are not restored.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        let started = self.ipfs.launch(&self.log).await?;
        self.process = started.process;
        self.id = started.id;
        self.api = started.api;
        Ok(())
    }
}

/// A daemon that has just begun to answer.
struct Started {
    process: Process,
    client: Client,
    id: NodeId,
    api: String,
}

/// The program on one repository.
#[derive(Clone, Debug)]
struct Ipfs {
    program: PathBuf,
    repo: PathBuf,
    place: Option<Place>,
}

impl Ipfs {
    fn command(&self) -> Command {
        let mut command = environment::command(&self.program, self.place.as_ref());
        command
            .env("IPFS_PATH", &self.repo)
            .env("IPFS_TELEMETRY", "off");
        command
    }

    /// Runs a command of `ipfs` to its end.
    async fn run(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut command = self.command();
        command.args(arguments).kill_on_drop(true);
        let failed = |said: &str| Error::Command {
            command: format!("ipfs {}", arguments.join(" ")),
            said: said.trim().lines().last().unwrap_or("no word").to_owned(),
        };
        let output = tokio::time::timeout(COMMAND, command.output())
            .await
            .map_err(|_| failed("no end in sight"))?
            .map_err(|source| Error::Start {
                program: self.program.clone(),
                source,
            })?;
        if !output.status.success() {
            return Err(failed(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the daemon and waits until it answers. The api file of a daemon
    /// that was killed would name an address at which nobody, or somebody
    /// else, listens.
    async fn launch(&self, log: &Path) -> Result<Started, Error> {
        let file = self.repo.join("api");
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(&file)(error));
            }
            _ => {}
        }
        let mut command = self.command();
        command.arg("daemon");
        let mut process = Process::start("kubo", command, log)?;
        let (client, id, api) = process
            .until(START, async |_| answering(&self.repo, &file).await)
            .await?;
        client.require_floor(false).await?;
        Ok(Started {
            process,
            client,
            id,
            api,
        })
    }
}

async fn answering(repo: &Path, file: &Path) -> Option<(Client, NodeId, String)> {
    let api = std::fs::read_to_string(file).ok()?;
    let endpoint = Endpoint::discover(None, Some(repo), None).ok()?;
    let client = Client::new(Config::new(endpoint)).ok()?;
    let id = client.id().await.ok()?;
    (!id.addresses.is_empty()).then(|| (client, id, api.trim().to_owned()))
}

/// The ports that the system chose for the first start.
fn addresses_to_keep(started: &Started) -> Vec<(String, Value)> {
    let swarm: Vec<&str> = started
        .id
        .addresses
        .iter()
        .filter_map(|address| address.split("/p2p/").next())
        .collect();
    vec![
        ("Addresses.API".to_owned(), json!(started.api)),
        ("Addresses.Swarm".to_owned(), json!(swarm)),
    ]
}

/// Sets keys with dots in the configuration of a repository of ours.
fn configure(
    repo: &Path,
    settings: impl IntoIterator<Item = (String, Value)>,
) -> Result<(), Error> {
    let path = repo.join("config");
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let refused = |reason: String| Error::Configuration {
        path: path.clone(),
        reason,
    };
    let mut config: Value = serde_json::from_str(&text).map_err(|e| refused(e.to_string()))?;
    for (key, value) in settings {
        set(&mut config, &key, value).map_err(|()| refused(format!("no place for {key}")))?;
    }
    let text = serde_json::to_string_pretty(&config).map_err(|e| refused(e.to_string()))?;
    std::fs::write(&path, text).map_err(Error::file(&path))
}

fn set(config: &mut Value, key: &str, value: Value) -> Result<(), ()> {
    let mut place = config;
    for step in key.split('.') {
        if place.is_null() {
            *place = json!({});
        }
        place = place
            .as_object_mut()
            .ok_or(())?
            .entry(step)
            .or_insert(Value::Null);
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_put_where_its_dots_say_and_nothing_else_changes() {
        let mut config = json!({"Routing": {"Type": "auto", "X": 1}, "Swarm": null});
        set(&mut config, "Routing.Type", json!("dht")).unwrap();
        set(&mut config, "Swarm.ConnMgr.Type", json!("none")).unwrap();
        assert_eq!(
            config,
            json!({"Routing": {"Type": "dht", "X": 1}, "Swarm": {"ConnMgr": {"Type": "none"}}})
        );
        assert!(set(&mut config, "Routing.Type.Deeper", json!(1)).is_err());
    }
}
