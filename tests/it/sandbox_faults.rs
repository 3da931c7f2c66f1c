//! Every class of failure, by the module that causes it.

use serde_json::json;
use timerose::{
    model::{Abi, Class},
    sandbox::{Error, Fault},
};

use crate::sandbox_room::{Room, command, for_ever, module, write};

#[tokio::test]
async fn a_trap_is_the_users_fault_and_says_which() {
    let room = Room::new();
    let wat = "(module (func (export \"div\") (param i32 i32) (result i32)
        (i32.div_s (local.get 0) (local.get 1))))";
    let fault = room
        .fault(room.scalar(wat, "div", &[json!(1), json!(0)]))
        .await;
    assert_eq!(
        fault.to_string(),
        "the function trapped: wasm trap: integer divide by zero"
    );
    assert_eq!(Error::from(fault).class(), Class::User);
    room.close().await;
}

#[tokio::test]
async fn an_exit_code_is_a_fault_unless_it_is_zero() {
    let room = Room::new();
    for code in [0, 7] {
        let wat = command(
            &["proc_exit"],
            &format!("(call $proc_exit (i32.const {code}))"),
        );
        let result = room.run(room.attempt(Abi::Wasi, &wat)).await;
        match code {
            0 => assert_eq!(result.unwrap().exit, 0),
            _ => assert!(
                matches!(result, Err(Error::User(Fault::Exit(7)))),
                "{result:?}"
            ),
        }
    }
    room.close().await;
}

#[tokio::test]
async fn a_failed_attempt_leaves_its_log() {
    let room = Room::new();
    let say = write("(i32.const 2)", "(i32.const 64)", "(i32.const 13)");
    let wat = command(&["fd_write"], &format!("{say} unreachable"));
    let attempt = room.attempt(Abi::Wasi, &wat);
    let work = attempt.work.clone();
    assert!(matches!(room.fault(attempt).await, Fault::Trap(_)));
    let log = std::fs::read_to_string(work.join("stderr")).unwrap();
    assert!(
        log.starts_with("hello, world\ntimerose: the function trapped: "),
        "{log}"
    );

    let wat = command(&["fd_write"], &format!("{say} {}", for_ever("")));
    let mut attempt = room.attempt(Abi::Wasi, &wat);
    attempt.limits.wall_ms = 100;
    let work = attempt.work.clone();
    assert!(matches!(
        room.run(attempt).await,
        Err(Error::Deadline { .. })
    ));
    assert_eq!(
        std::fs::read_to_string(work.join("stderr")).unwrap(),
        "hello, world\n"
    );
    room.close().await;
}

#[tokio::test]
async fn a_missing_export_is_named_with_those_there_are() {
    let room = Room::new();
    let wat = "(module (func (export \"fib\")) (memory (export \"m\") 1))";
    let fault = room.fault(room.scalar(wat, "fob", &[])).await;
    assert_eq!(
        fault.to_string(),
        "the module exports no `fob`; it has: fib"
    );
    let fault = room.fault(room.attempt(Abi::Wasi, wat)).await;
    assert!(matches!(fault, Fault::MissingExport { name, .. } if name == "_start"));
    room.close().await;
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_named() {
    let room = Room::new();
    let wat = "(module (import \"env\" \"system\" (func)) (func (export \"_start\")))";
    let expected = "the module imports env.system, which no sandbox offers";
    for abi in [Abi::Wasi, Abi::Scalar] {
        assert_eq!(
            room.fault(room.attempt(abi, wat)).await.to_string(),
            expected
        );
    }
    let wasi = command(&["proc_exit"], "");
    let fault = room.fault(room.scalar(&wasi, "_start", &[])).await;
    assert!(matches!(fault, Fault::ForbiddenImport { name, .. } if name == "proc_exit"));
    room.close().await;
}

#[tokio::test]
async fn bytes_that_are_no_module_are_the_users_fault() {
    let room = Room::new();
    for bytes in [&b"no module"[..], b"\0asm\x01\0\0\0\xff"] {
        let fault = room.fault(room.attempt_bytes(Abi::Wasi, bytes)).await;
        assert!(matches!(fault, Fault::NotWasm(_)), "{fault:?}");
    }
    room.close().await;
}

#[tokio::test]
async fn a_memory_bomb_ends_at_its_limit() {
    let room = Room::new();
    let grow = command(&[], &for_ever("(drop (memory.grow (i32.const 16)))"));
    let limit = 16 << 20;
    let mut attempt = room.attempt(Abi::Wasi, &grow);
    attempt.limits.memory_bytes = limit;
    let fault = room.fault(attempt).await;
    assert!(
        matches!(fault, Fault::MemoryLimit { limit: at, .. } if at == limit),
        "{fault:?}"
    );

    let declared = "(module (memory 1000) (func (export \"_start\")))";
    let mut attempt = room.attempt(Abi::Wasi, declared);
    attempt.limits.memory_bytes = limit;
    let fault = room.fault(attempt).await;
    assert_eq!(
        fault,
        Fault::MemoryLimit {
            wanted: 65_536_000,
            limit
        }
    );
    room.close().await;
}

#[tokio::test]
async fn a_table_bomb_ends_at_its_limit() {
    let room = Room::new();
    let wat = "(module (table $t 1 funcref) (func (export \"_start\")
        (loop $again (drop (table.grow $t (ref.null func) (i32.const 100))) (br $again))))";
    let fault = room.fault(room.attempt(Abi::Wasi, wat)).await;
    assert!(
        matches!(fault, Fault::TableLimit { limit: 10_000, .. }),
        "{fault:?}"
    );
    let declared = "(module (table 20000 funcref) (func (export \"_start\")))";
    let fault = room.fault(room.attempt(Abi::Wasi, declared)).await;
    assert!(
        matches!(fault, Fault::TableLimit { wanted: 20_000, .. }),
        "{fault:?}"
    );
    let many = "(module (table 1 funcref) (table 1 funcref) (table 1 funcref)
        (table 1 funcref) (table 1 funcref) (func (export \"_start\")))";
    let fault = room.fault(room.attempt(Abi::Wasi, many)).await;
    assert!(
        matches!(fault, Fault::TableLimit { limit: 4, .. }),
        "{fault:?}"
    );
    room.close().await;
}

#[tokio::test]
async fn recursion_without_end_overflows_the_stack() {
    let room = Room::new();
    let wat = "(module (func $f (export \"_start\") (call $f) (call $f)))";
    assert_eq!(
        room.fault(room.attempt(Abi::Wasi, wat)).await,
        Fault::StackOverflow
    );
    room.close().await;
}

#[tokio::test]
async fn spent_fuel_is_told_from_a_deadline() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &command(&[], &for_ever("")));
    module(&mut attempt).fuel = Some(1_000_000);
    assert_eq!(room.fault(attempt).await, Fault::OutOfFuel);
    room.close().await;
}

#[tokio::test]
async fn a_start_function_is_bound_by_the_same_limits() {
    let room = Room::new();
    let wat = "(module (func $s (loop $again (br $again))) (start $s) (func (export \"_start\")))";
    let mut attempt = room.attempt(Abi::Wasi, wat);
    attempt.limits.wall_ms = 100;
    assert!(matches!(
        room.run(attempt).await,
        Err(Error::Deadline { .. })
    ));
    room.close().await;
}

#[tokio::test]
async fn a_program_that_cannot_start_is_the_nodes_fault() {
    let room = Room::with(|config| config.program = "/nonexistent/timerose".into());
    let error = room
        .run(room.attempt(Abi::Wasi, "(module)"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Spawn { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Node);
    room.close().await;
}
