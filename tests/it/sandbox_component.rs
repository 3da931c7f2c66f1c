//! Components: commands of WASI preview 2 are given what commands of preview 1
//! are given, and no more.

use futures_util::StreamExt;
use timerose::{
    model::{Abi, Limits},
    sandbox::{Fault, check, check::is_component},
};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::sandbox_room::{Room, cat, command, for_ever, module, text, write_file};

/// A command of preview 1 as a component.
fn component(wat: &str) -> Vec<u8> {
    let (name, adapter) = (
        WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
        WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    );
    let module = wat::parse_str(wat).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap();
    encoder.adapter(name, adapter).unwrap().encode().unwrap()
}

#[tokio::test]
async fn a_component_reads_its_input_and_writes_its_output() {
    let room = Room::new();
    let cat = component(&cat());
    assert!(is_component(&cat));
    check(&cat, Abi::Component, None, &Limits::default()).unwrap();
    let mut attempt = room.attempt_bytes(Abi::Component, &cat);
    let bytes = "a rose".bytes().map(|byte| Ok(vec![byte].into()));
    attempt.stdin = Some(futures_util::stream::iter(bytes).boxed());
    assert_eq!(text(&room.run(attempt).await.unwrap()), "a rose");
    let writes = component(&write_file(3, "result"));
    let output = room
        .run(room.attempt_bytes(Abi::Component, &writes))
        .await
        .unwrap();
    let written = output.out_dir.unwrap().join("result");
    assert_eq!(std::fs::read_to_string(written).unwrap(), "hello, world\n");
    room.close().await;
}

#[tokio::test]
async fn a_component_reaches_no_file_but_its_own() {
    let room = Room::new();
    let input = room.folder();
    for path in ["../escaped", "/etc/escaped", "a/../../escaped"] {
        let writes = component(&write_file(3, path));
        let mut attempt = room.attempt_bytes(Abi::Component, &writes);
        attempt.input_dir = Some(input.path().to_owned());
        assert!(
            matches!(room.fault(attempt).await, Fault::Exit(_)),
            "{path}"
        );
    }
    let into_input = component(&write_file(3, "new"));
    let mut attempt = room.attempt_bytes(Abi::Component, &into_input);
    attempt.input_dir = Some(input.path().to_owned());
    assert!(matches!(room.fault(attempt).await, Fault::Exit(_)));
    assert_eq!(std::fs::read_dir(input.path()).unwrap().count(), 0);
    room.close().await;
}

#[tokio::test]
async fn a_component_is_warm_the_second_time() {
    let room = Room::new();
    let cat = component(&cat());
    let first = room
        .run(room.attempt_bytes(Abi::Component, &cat))
        .await
        .unwrap();
    let second = room
        .run(room.attempt_bytes(Abi::Component, &cat))
        .await
        .unwrap();
    assert!(first.usage.cold && !second.usage.cold);
    assert!(second.usage.memory_peak_bytes > 0);
    room.close().await;
}

#[tokio::test]
async fn the_limits_of_a_component_hold() {
    let room = Room::new();
    let endless = component(&command(&[], &for_ever("")));
    let mut first = room.attempt_bytes(Abi::Component, &endless);
    module(&mut first).entry = Some("not there".into());
    assert!(matches!(room.fault(first).await, Fault::BadEntry { .. }));
    room.must_end_at_its_deadline(room.attempt_bytes(Abi::Component, &endless))
        .await;
    let grow = component(&command(
        &[],
        &for_ever("(drop (memory.grow (i32.const 16)))"),
    ));
    let mut attempt = room.attempt_bytes(Abi::Component, &grow);
    attempt.limits.memory_bytes = 16 << 20;
    let fault = room.fault(attempt).await;
    assert!(matches!(fault, Fault::MemoryLimit { .. }), "{fault:?}");
    let deep = component(
        "(module (memory (export \"memory\") 1)
        (func $f (export \"_start\") (call $f) (call $f)))",
    );
    let fault = room.fault(room.attempt_bytes(Abi::Component, &deep)).await;
    assert_eq!(fault, Fault::StackOverflow);
    let mut fuelled = room.attempt_bytes(Abi::Component, &endless);
    module(&mut fuelled).fuel = Some(100_000);
    assert_eq!(room.fault(fuelled).await, Fault::OutOfFuel);
    let exit = component(&command(&["proc_exit"], "(call $proc_exit (i32.const 3))"));
    let fault = room.fault(room.attempt_bytes(Abi::Component, &exit)).await;
    assert_eq!(
        fault,
        Fault::Exit(1),
        "preview 2 knows success and failure alone"
    );
    room.close().await;
}

/// What of WASI a component needs that makes a socket.
const SOCKET: &str = "
package timerose:socket;
world socket {
  import wasi:sockets/tcp-create-socket@0.2.0;
  export wasi:cli/run@0.2.0;
}
package wasi:cli@0.2.0 { interface run { run: func() -> result; } }
package wasi:sockets@0.2.0 {
  interface network {
    enum error-code { unknown, access-denied, not-supported, invalid-argument, out-of-memory,
      timeout, concurrency-conflict, not-in-progress, would-block, invalid-state,
      new-socket-limit, address-not-bindable, address-in-use, remote-unreachable,
      connection-refused, connection-reset, connection-aborted, datagram-too-large,
      name-unresolvable, temporary-resolver-failure, permanent-resolver-failure }
    enum ip-address-family { ipv4, ipv6 }
  }
  interface tcp { resource tcp-socket; }
  interface tcp-create-socket {
    use network.{error-code, ip-address-family};
    use tcp.{tcp-socket};
    create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
  }
}";

/// Succeeds with a socket, fails where it is denied one, traps at anything else.
fn socket() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("socket.wit", SOCKET).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let text = r#"(module
        (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket"
          (func $socket (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "wasi:cli/run@0.2.0#run") (result i32)
          (call $socket (i32.const 0) (i32.const 8))
          (if (i32.eqz (i32.load8_u (i32.const 8))) (then (return (i32.const 0))))
          ;; access-denied
          (if (i32.ne (i32.load8_u (i32.const 12)) (i32.const 1)) (then unreachable))
          (i32.const 1)))"#;
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap();
    encoder.validate(true).encode().unwrap()
}

#[tokio::test]
async fn a_component_gets_no_socket() {
    let room = Room::new();
    let socket = socket();
    check(&socket, Abi::Component, None, &Limits::default()).unwrap();
    let fault = room
        .fault(room.attempt_bytes(Abi::Component, &socket))
        .await;
    assert_eq!(fault, Fault::Exit(1), "it was not denied");
    room.close().await;
}

#[test]
fn a_component_that_wants_more_is_refused_by_the_name_of_it() {
    let refused = |text: &str| {
        let bytes = wat::parse_str(text).unwrap();
        let refused = check(&bytes, Abi::Component, None, &Limits::default());
        refused.unwrap_err().to_string()
    };
    let http = refused(r#"(component (import "wasi:http/types@0.2.0" (instance)))"#);
    assert_eq!(
        http,
        "the module imports wasi:http.types@0.2.0, which no sandbox offers"
    );
    let newer = refused(r#"(component (import "wasi:cli/stdout@0.3.0" (instance)))"#);
    assert!(newer.contains("wasi:cli.stdout@0.3.0"), "{newer}");
    let library = refused(r#"(component)"#);
    assert!(library.contains("exports no `wasi:cli/run`"), "{library}");
    let large = refused(r#"(component (core module (memory 10000)))"#);
    assert!(large.contains("bytes of memory"), "{large}");
    let many = format!("(component {})", "(core module)".repeat(200));
    assert!(refused(&many).contains("201 parts") || refused(&many).contains("101 parts"));
}

#[tokio::test]
async fn a_component_has_one_entry() {
    let room = Room::new();
    let cat = component(&cat());
    let mut attempt = room.attempt_bytes(Abi::Component, &cat);
    module(&mut attempt).entry = Some("count".into());
    let fault = room.fault(attempt).await;
    assert!(matches!(fault, Fault::BadEntry { .. }), "{fault:?}");
    room.close().await;
}
