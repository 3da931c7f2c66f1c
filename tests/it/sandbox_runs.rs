//! What the sandbox gives a guest, and what comes back.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;
use timerose::{
    model::Abi,
    sandbox::{Error, Fault},
};

use crate::sandbox_room::{Room, cat, command, module, text, write, write_file};

const FIB: &str = "(module (func (export \"fib\") (param $n i64) (result i64)
    (local $a i64) (local $b i64) (local $c i64)
    (local.set $b (i64.const 1))
    (loop $next (if (i64.gt_s (local.get $n) (i64.const 0)) (then
      (local.set $c (i64.add (local.get $a) (local.get $b)))
      (local.set $a (local.get $b)) (local.set $b (local.get $c))
      (local.set $n (i64.sub (local.get $n) (i64.const 1))) (br $next))))
    (local.get $a)))";

#[tokio::test]
async fn a_command_says_hello() {
    let room = Room::new();
    let hello = command(
        &["fd_write"],
        &write("(i32.const 1)", "(i32.const 64)", "(i32.const 13)"),
    );
    let output = room.run(room.attempt(Abi::Wasi, &hello)).await.unwrap();
    assert_eq!(text(&output), "hello, world\n");
    assert_eq!((output.exit, output.out_dir), (0, None));
    assert!(output.usage.cold && output.usage.compile_us > 0);
    assert_eq!(output.usage.memory_peak_bytes, 131_072);
    room.close().await;
}

#[tokio::test]
async fn arguments_and_environment_are_those_given_and_no_others() {
    let room = Room::new();
    for (get, sizes) in [
        ("args_get", "args_sizes_get"),
        ("environ_get", "environ_sizes_get"),
    ] {
        let body = format!(
            "(drop (call ${sizes} (i32.const 16) (i32.const 20)))
             (drop (call ${get} (i32.const 1024) (i32.const 4096)))
             {}",
            write(
                "(i32.const 1)",
                "(i32.const 4096)",
                "(i32.load (i32.const 20))"
            )
        );
        let mut attempt = room.attempt(Abi::Wasi, &command(&[get, sizes, "fd_write"], &body));
        attempt.args = vec![json!("one"), json!(2), json!("")];
        attempt.env = [("KEY".to_owned(), "value".to_owned())].into();
        let output = room.run(attempt).await.unwrap();
        let expected = if get == "args_get" {
            "function\0one\x002\0\0"
        } else {
            "KEY=value\0"
        };
        assert_eq!(text(&output), expected);
    }
    room.close().await;
}

#[tokio::test]
async fn input_larger_than_any_pipe_arrives_whole() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &cat());
    let chunk = Bytes::from((0..=255).cycle().take(100_003).collect::<Vec<u8>>());
    let chunks = vec![chunk.clone(); 50].into_iter().map(io::Result::Ok);
    attempt.stdin = Some(futures_util::stream::iter(chunks).boxed());
    let output = room.run(attempt).await.unwrap();
    let bytes = output.stdout.read().unwrap();
    assert!(bytes.len() == 50 * chunk.len() && bytes.chunks(chunk.len()).all(|part| part == chunk));
    room.close().await;
}

#[tokio::test]
async fn input_that_ends_before_the_process_has_started_arrives_whole() {
    for _ in 0..5 {
        let room = Room::new();
        let mut attempt = room.attempt(Abi::Wasi, &cat());
        let chunks = [Ok(Bytes::from_static(b"short"))];
        attempt.stdin = Some(futures_util::stream::iter(chunks).boxed());
        assert_eq!(text(&room.run(attempt).await.unwrap()), "short");
        room.close().await;
    }
}

#[tokio::test]
async fn no_input_is_the_end_of_input() {
    let room = Room::new();
    let output = room.run(room.attempt(Abi::Wasi, &cat())).await.unwrap();
    assert_eq!(text(&output), "");
    room.close().await;
}

#[tokio::test]
async fn input_that_breaks_off_is_never_success() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &cat());
    let chunks = vec![
        Ok(Bytes::from_static(b"half")),
        Err(io::Error::other("gone")),
    ];
    attempt.stdin = Some(futures_util::stream::iter(chunks).boxed());
    let error = room.run(attempt).await.unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error:?}");
    room.close().await;
}

#[tokio::test]
async fn the_input_directory_is_read_only() {
    let room = Room::new();
    let input = room.folder();
    std::fs::write(input.path().join("file"), "as it was").unwrap();
    for path in ["file", "new"] {
        let mut attempt = room.attempt(Abi::Wasi, &write_file(3, path));
        attempt.input_dir = Some(input.path().to_owned());
        assert!(matches!(room.fault(attempt).await, Fault::Exit(_)));
    }
    assert_eq!(
        std::fs::read_to_string(input.path().join("file")).unwrap(),
        "as it was"
    );
    assert!(!input.path().join("new").exists());
    room.close().await;
}

#[tokio::test]
async fn what_lies_in_out_is_collected() {
    let room = Room::new();
    let output = room
        .run(room.attempt(Abi::Wasi, &write_file(3, "result")))
        .await
        .unwrap();
    let out = output.out_dir.unwrap();
    assert_eq!(
        std::fs::read_to_string(out.join("result")).unwrap(),
        "hello, world\n"
    );
    room.close().await;
}

#[tokio::test]
async fn a_path_out_of_the_directory_leads_nowhere() {
    let room = Room::new();
    for path in ["../escaped", "/etc/escaped", "a/../../escaped"] {
        let attempt = room.attempt(Abi::Wasi, &write_file(3, path));
        let work = attempt.work.clone();
        assert!(matches!(room.fault(attempt).await, Fault::Exit(_)));
        assert!(!work.join("escaped").exists());
    }
    room.close().await;
}

#[tokio::test]
async fn a_link_in_the_output_is_refused_by_name() {
    let room = Room::new();
    let body = "(drop (call $path_symlink (i32.const 64) (i32.const 5) (i32.const 3)
        (i32.const 71) (i32.const 5)))";
    let attempt = room.attempt(Abi::Wasi, &command(&["path_symlink"], body));
    assert_eq!(
        room.fault(attempt).await,
        Fault::BadOutput {
            path: "world".into()
        }
    );
    room.close().await;
}

#[tokio::test]
async fn a_scalar_is_exact() {
    let room = Room::new();
    let output = room
        .run(room.scalar(FIB, "fib", &[json!(92)]))
        .await
        .unwrap();
    assert_eq!(text(&output), "7540113804746346429");
    let many = "(module (func (export \"f\") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
        (local.get 3) (local.get 2) (local.get 1) (local.get 0)))";
    let args = [
        json!(-1),
        json!(9_007_199_254_740_993_i64),
        json!(0.1),
        json!(1e300),
    ];
    let output = room.run(room.scalar(many, "f", &args)).await.unwrap();
    assert_eq!(text(&output), "[1e300,0.1,9007199254740993,-1]");
    let none = "(module (func (export \"f\")))";
    assert_eq!(
        text(&room.run(room.scalar(none, "f", &[])).await.unwrap()),
        "null"
    );
    room.close().await;
}

#[tokio::test]
async fn a_bad_argument_says_what_is_bad() {
    let room = Room::new();
    let add = "(module (func (export \"add\") (param i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 1))))";
    for (args, expected) in [
        (
            vec![json!(1)],
            "bad argument: it takes 2 numbers, 1 was given",
        ),
        (
            vec![json!("1"), json!(2)],
            "bad argument: number 1 is a string, not a number",
        ),
        (
            vec![json!(1), json!(5_000_000_000_i64)],
            "bad argument: number 2, 5000000000, is no i32",
        ),
        (
            vec![json!(1), json!(1.5)],
            "bad argument: number 2, 1.5, is no i32",
        ),
    ] {
        let fault = room.fault(room.scalar(add, "add", &args)).await;
        assert_eq!(fault.to_string(), expected);
    }
    room.close().await;
}

#[tokio::test]
async fn a_pure_guest_sees_neither_clock_nor_chance() {
    let room = Room::new();
    let body = format!(
        "(drop (call $random_get (i32.const 1024) (i32.const 32)))
         (drop (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 1056)))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 1064)))
         (drop (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 1072)))
         {}",
        write("(i32.const 1)", "(i32.const 1024)", "(i32.const 56)")
    );
    let wat = command(&["random_get", "clock_time_get", "fd_write"], &body);
    let mut outputs = Vec::new();
    for (owner, pure) in [("one", true), ("other", true), ("one", false)] {
        let mut attempt = room.owned(room.attempt(Abi::Wasi, &wat), owner);
        module(&mut attempt).pure = pure;
        outputs.push(room.run(attempt).await.unwrap().stdout.read().unwrap());
    }
    assert_eq!(outputs[0], outputs[1]);
    let times: Vec<u64> = outputs[0][32..]
        .chunks(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(times, [0, 1, 2]);
    assert_ne!(outputs[0], outputs[2]);
    room.close().await;
}

#[tokio::test]
async fn fuel_is_counted_where_it_is_asked_for() {
    let room = Room::new();
    let mut attempt = room.scalar(FIB, "fib", &[json!(10)]);
    module(&mut attempt).fuel = Some(10_000);
    let fuel = room.run(attempt).await.unwrap().usage.fuel.unwrap();
    assert!((50..1_000).contains(&fuel), "{fuel}");
    assert_eq!(
        room.run(room.scalar(FIB, "fib", &[json!(10)]))
            .await
            .unwrap()
            .usage
            .fuel,
        None
    );
    room.close().await;
}
