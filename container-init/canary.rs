//! The self-test: every limit of a container, seen from inside.
//!
//! Takes what was promised as `KEY=VALUE`, prints what does not hold as
//! `FAILED name: what was found`. A promise that it does not know is one that
//! does not hold.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// How long a connection that must fail may take to do so.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// All that may lie in `/dev`.
const DEVICES: [&str; 16] = [
    "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr",
    "stdin", "stdout", "tty", "urandom", "zero",
];
/// A connection to these would reach the engine itself.
const ENGINES: [&str; 3] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
];

/// What was found where a promise is broken.
type Held = Result<(), String>;

/// Checks every promise.
pub fn run(promises: impl Iterator<Item = String>) -> ExitCode {
    let mut held = 0;
    for promise in promises {
        let (key, value) = promise.split_once('=').unwrap_or((&promise, ""));
        match check(key, value) {
            Ok(()) => held += 1,
            Err(found) => println!("FAILED {key}: {found}"),
        }
    }
    println!("held {held}");
    ExitCode::SUCCESS
}

fn check(key: &str, value: &str) -> Held {
    match key {
        "user" => user(value),
        "capabilities" => capabilities(),
        "no_new_privileges" => is(&status("NoNewPrivs")?, "1"),
        "seccomp" => is(&status("Seccomp")?, "2"),
        "network" => network(),
        "unreachable" => unreachable_address(value),
        "engine" => engine(),
        "root" => mounted("/", &["ro"]),
        "tmp" => tmp(value),
        "input" => input(value),
        "output" => fs::write("/out/canary", "out").map_err(|e| format!("/out: {e}")),
        "memory" => memory(value),
        "processes" => cgroup(&["pids/pids.max", "pids.max"], value),
        "processor" => processor(),
        "limit" => limit(value),
        "devices" => devices(),
        "init" => init(),
        _ => Err("this promise is unknown".to_owned()),
    }
}

fn is(found: &str, wanted: &str) -> Held {
    match found == wanted {
        true => Ok(()),
        false => Err(format!("{found} instead of {wanted}")),
    }
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))
}

/// A line of this process's status.
fn status(key: &str) -> Result<String, String> {
    let text = read("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|rest| rest.strip_prefix(':'));
    value
        .map(|value| value.trim().to_owned())
        .ok_or_else(|| format!("no {key} in /proc/self/status"))
}

/// Real, effective, saved and file system ids are all this one.
fn user(wanted: &str) -> Held {
    let (uid, gid) = wanted.split_once(':').unwrap_or((wanted, wanted));
    for (key, id) in [("Uid", uid), ("Gid", gid)] {
        let found = status(key)?;
        if found.split_whitespace().any(|one| one != id) {
            return Err(format!("{key} {found} instead of {id}"));
        }
    }
    Ok(())
}

fn capabilities() -> Held {
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let found = status(set)?;
        if found.chars().any(|digit| digit != '0') {
            return Err(format!("{set} is {found}"));
        }
    }
    Ok(())
}

fn network() -> Held {
    let table = read("/proc/net/dev")?;
    let names = table.lines().skip(2).filter_map(|line| line.split(':').next());
    let others: Vec<_> = names.map(str::trim).filter(|name| *name != "lo").collect();
    match others.is_empty() {
        true => Ok(()),
        false => Err(format!("there is {}", others.join(", "))),
    }
}

fn unreachable_address(address: &str) -> Held {
    let address: SocketAddr = address.parse().map_err(|e| format!("{address}: {e}"))?;
    match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
        Ok(_) => Err(format!("{address} answers")),
        Err(_) => Ok(()),
    }
}

fn engine() -> Held {
    match ENGINES.into_iter().find(|path| Path::new(path).exists()) {
        Some(path) => Err(format!("{path} is there")),
        None => Ok(()),
    }
}

/// The options of what is mounted at `place`.
fn options(place: &str) -> Result<Vec<String>, String> {
    let table = read("/proc/self/mountinfo")?;
    let mounted = table.lines().rev().find_map(|line| {
        let mut fields = line.split(' ');
        (fields.nth(4) == Some(place)).then(|| fields.next().unwrap_or("").to_owned())
    });
    let options = mounted.ok_or_else(|| format!("nothing is mounted at {place}"))?;
    Ok(options.split(',').map(str::to_owned).collect())
}

fn mounted(place: &str, wanted: &[&str]) -> Held {
    let has = options(place)?;
    match wanted.iter().find(|one| !has.iter().any(|has| has == *one)) {
        Some(lacking) => Err(format!("{place} is {}, not {lacking}", has.join(","))),
        None => Ok(()),
    }
}

/// It can be written to, not run from, and holds no more than promised.
fn tmp(kibibytes: &str) -> Held {
    mounted("/tmp", &["rw", "noexec", "nosuid", "nodev"])?;
    let table = read("/proc/self/mountinfo")?;
    let line = table.lines().find(|line| line.split(' ').nth(4) == Some("/tmp"));
    let wanted = format!("size={kibibytes}k");
    if !line.is_some_and(|line| line.contains(&wanted)) {
        return Err(format!("/tmp is not of {wanted}"));
    }
    fs::write("/tmp/canary", "tmp").map_err(|e| format!("/tmp: {e}"))
}

/// The very folder that was given, and it cannot be changed.
fn input(nonce: &str) -> Held {
    is(&read("/in/nonce")?, nonce)?;
    mounted("/in", &["ro"])
}

/// The first of `files` below the cgroup file systems that is there.
fn cgroup_value(files: &[&str]) -> Result<String, String> {
    let found = files.iter().find_map(|file| read(&format!("/sys/fs/cgroup/{file}")).ok());
    let found = found.ok_or_else(|| format!("no {} in /sys/fs/cgroup", files.join(" or ")))?;
    Ok(found.trim().to_owned())
}

fn cgroup(files: &[&str], wanted: &str) -> Held {
    is(&cgroup_value(files)?, wanted)
}

/// Memory is bounded, and so is swap, where there is any.
fn memory(bytes: &str) -> Held {
    cgroup(&["memory/memory.limit_in_bytes", "memory.max"], bytes)?;
    if let Ok(both) = cgroup_value(&["memory/memory.memsw.limit_in_bytes"]) {
        return is(&both, bytes);
    }
    if let Ok(swap) = cgroup_value(&["memory.swap.max"]) {
        return is(&swap, "0");
    }
    let machine = read("/proc/meminfo")?;
    let total = machine.lines().find_map(|line| line.strip_prefix("SwapTotal:"));
    match total.map(str::trim) {
        Some("0 kB") | None => Ok(()),
        Some(_) => Err("swap is not bounded".to_owned()),
    }
}

fn processor() -> Held {
    match cgroup_value(&["cpu/cpu.cfs_quota_us", "cpu,cpuacct/cpu.cfs_quota_us", "cpu.max"])? {
        found if found == "-1" || found.starts_with("max") => Err("it has no quota".to_owned()),
        _ => Ok(()),
    }
}

/// `NAME:SOFT` as in `/proc/self/limits`.
fn limit(wanted: &str) -> Held {
    let (name, value) = wanted.split_once(':').unwrap_or((wanted, ""));
    let table = read("/proc/self/limits")?;
    let line = table.lines().find_map(|line| line.strip_prefix(name));
    let found = line.and_then(|rest| rest.split_whitespace().next());
    is(found.unwrap_or("nothing"), value).map_err(|found| format!("{name}: {found}"))
}

fn devices() -> Held {
    let there = fs::read_dir("/dev").map_err(|e| format!("/dev: {e}"))?;
    for entry in there.flatten() {
        let name = entry.file_name();
        if !DEVICES.iter().any(|known| name == *known) {
            return Err(format!("/dev/{} is there", name.display()));
        }
    }
    Ok(())
}

/// Something else is process 1, and reaps.
fn init() -> Held {
    match std::process::id() {
        1 => Err("this is process 1".to_owned()),
        _ => Ok(()),
    }
}
