//! Which RPC commands are called, and which query keys each may carry.
//!
//! Gives one constant per command. Kubo ignores unknown keys, so a misspelt one
//! switches a feature off in silence: nothing outside this table is ever sent,
//! and a contract test holds the table against `commands?flags=true`.

/// One RPC command.
#[derive(Debug)]
pub(super) struct Command {
    /// Path below `/api/v0/`.
    pub path: &'static str,
    /// Query keys besides `arg` and [`GLOBAL_KEYS`].
    pub keys: &'static [&'static str],
    /// Whether a second try after a broken connection changes nothing.
    pub repeatable: bool,
}

/// Keys that every command takes.
pub(super) const GLOBAL_KEYS: [&str; 2] = ["timeout", "offline"];

const fn read(path: &'static str, keys: &'static [&'static str]) -> Command {
    Command {
        path,
        keys,
        repeatable: true,
    }
}

const fn write(path: &'static str, keys: &'static [&'static str]) -> Command {
    Command {
        path,
        keys,
        repeatable: false,
    }
}

pub(super) static ID: Command = read("id", &[]);
pub(super) static VERSION: Command = read("version", &[]);
pub(super) static CONFIG_SHOW: Command = read("config/show", &[]);
pub(super) static REPO_STAT: Command = read("repo/stat", &["size-only"]);
pub(super) static HEALTHY: Command = read("diag/healthy", &[]);
pub(super) static KEY_SIGN: Command = read("key/sign", &[]);
pub(super) static PUB: Command = write("pubsub/pub", &[]);
pub(super) static SUB: Command = read("pubsub/sub", &[]);
pub(super) static TOPIC_PEERS: Command = read("pubsub/peers", &[]);
pub(super) static TOPICS: Command = read("pubsub/ls", &[]);
pub(super) static CONNECT: Command = read("swarm/connect", &[]);
pub(super) static PEERING_ADD: Command = read("swarm/peering/add", &[]);
pub(super) static PEERS: Command = read("swarm/peers", &["latency"]);
pub(super) static FIND_PROVIDERS: Command = read("routing/findprovs", &["num-providers"]);
pub(super) static PROVIDE: Command = read("routing/provide", &[]);
pub(super) static STREAM_LISTEN: Command = write("p2p/listen", &[]);
pub(super) static STREAM_FORWARD: Command = write("p2p/forward", &[]);
pub(super) static STREAM_LISTENERS: Command = read("p2p/ls", &[]);
pub(super) static STREAM_CLOSE: Command = read("p2p/close", &["protocol", "target-address"]);
pub(super) static CAT: Command = read("cat", &["offset", "length", "progress"]);
pub(super) static GET: Command = read("get", &["archive", "progress"]);
pub(super) static LS: Command = read("ls", &["resolve-type", "size", "stream"]);
pub(super) static RESOLVE: Command = read("resolve", &["recursive"]);
pub(super) static ADD: Command = write(
    "add",
    &[
        "pin",
        "pin-name",
        "only-hash",
        "cid-version",
        "hash",
        "raw-leaves",
        "chunker",
        "trickle",
        "inline",
        "max-file-links",
        "max-hamt-fanout",
        "progress",
        "fast-provide-root",
    ],
);
pub(super) static BLOCK_GET: Command = read("block/get", &[]);
pub(super) static BLOCK_PUT: Command = read("block/put", &["cid-codec", "mhtype", "pin"]);
pub(super) static BLOCK_STAT: Command = read("block/stat", &[]);
pub(super) static DAG_STAT: Command = read("dag/stat", &["progress"]);
pub(super) static DAG_IMPORT: Command = write("dag/import", &["pin-roots", "stats"]);
pub(super) static DAG_EXPORT: Command = read("dag/export", &["progress"]);
pub(super) static PIN_ADD: Command = read(
    "pin/add",
    &["name", "recursive", "progress", "fast-provide-root"],
);
pub(super) static PIN_RM: Command = read("pin/rm", &["recursive"]);
pub(super) static PIN_LS: Command = read("pin/ls", &["type", "names", "name", "stream"]);

static ALL: [&Command; 33] = [
    &ID,
    &VERSION,
    &CONFIG_SHOW,
    &REPO_STAT,
    &HEALTHY,
    &KEY_SIGN,
    &PUB,
    &SUB,
    &TOPIC_PEERS,
    &TOPICS,
    &CONNECT,
    &PEERING_ADD,
    &PEERS,
    &FIND_PROVIDERS,
    &PROVIDE,
    &STREAM_LISTEN,
    &STREAM_FORWARD,
    &STREAM_LISTENERS,
    &STREAM_CLOSE,
    &CAT,
    &GET,
    &LS,
    &RESOLVE,
    &ADD,
    &BLOCK_GET,
    &BLOCK_PUT,
    &BLOCK_STAT,
    &DAG_STAT,
    &DAG_IMPORT,
    &DAG_EXPORT,
    &PIN_ADD,
    &PIN_RM,
    &PIN_LS,
];

/// Every command this client calls with all query keys it may send, the global
/// ones included.
pub fn option_keys() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    ALL.iter().map(|command| {
        (
            command.path,
            command.keys.iter().chain(&GLOBAL_KEYS).copied().collect(),
        )
    })
}
