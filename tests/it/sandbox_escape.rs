//! A guest that got out of WebAssembly, played: its process can reach nothing
//! but its own files.

use std::process::Command;

use serde_json::Value;

/// What the process says of itself once it gave up everything.
fn probe(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_timerose"));
    let said = command
        .args(["sandbox-worker", "--probe"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(said.status.success(), "{said:?}");
    serde_json::from_slice(&said.stdout).unwrap()
}

#[test]
fn a_process_that_escaped_can_open_connect_and_run_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("api.sock");
    let _door = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let (own, socket) = (place.path().join("own"), socket.to_str().unwrap());
    std::fs::create_dir(&own).unwrap();
    let own = own.to_str().unwrap();
    let said = probe(&["--write", own, "--reach", &address, "--reach", socket]);
    let level = &said["level"];
    if ["namespaces", "files", "calls"]
        .iter()
        .any(|part| level[part] != true)
        || level["user"] == false
    {
        return crate::support::skip::skip(&format!(
            "this kernel isolates no further than {level}"
        ));
    }
    assert_eq!(said["escapes"], serde_json::json!([]));
    assert!(!std::path::Path::new("/tmp/timerose-escape").exists());
}
