//! A guest that got out, played: what of this machine can it still reach?
//!
//! Tries what such a guest would try, gives what worked, for people.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal, getppid, kill_process, test_kill_process};

/// How long a connection that must fail may take to do so.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// What worked of all that was tried.
pub(super) fn tried(addresses: &[String]) -> Vec<String> {
    let mut worked = Vec::new();
    let mut note = |what: String, did: bool| {
        if did {
            worked.push(what);
        }
    };
    for path in [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/1/maps",
        "/dev/null",
    ] {
        note(format!("open {path}"), File::open(path).is_ok());
    }
    note("list /".to_owned(), fs::read_dir("/").is_ok());
    note(
        "write /tmp".to_owned(),
        File::create("/tmp/timerose-escape").is_ok(),
    );
    for address in addresses {
        let parsed = address.parse::<SocketAddr>().ok();
        let reached =
            parsed.is_some_and(|it| TcpStream::connect_timeout(&it, CONNECT_TIMEOUT).is_ok());
        let is_socket = address.starts_with('/') && UnixStream::connect(address).is_ok();
        note(format!("connect {address}"), reached || is_socket);
    }
    note(
        "make a socket".to_owned(),
        UdpSocket::bind("127.0.0.1:0").is_ok(),
    );
    for program in ["/bin/true", "/bin/sh", "/proc/self/exe"] {
        note(
            format!("run {program}"),
            Command::new(program).status().is_ok(),
        );
    }
    note(
        "signal its parent".to_owned(),
        getppid().is_some_and(can_signal),
    );
    note(
        "signal others".to_owned(),
        Pid::from_raw(1).is_some_and(can_signal),
    );
    worked
}

fn can_signal(pid: Pid) -> bool {
    test_kill_process(pid).is_ok() || kill_process(pid, Signal::WINCH).is_ok()
}
