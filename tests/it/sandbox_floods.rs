//! Guests that do not stop by themselves: each ends within its limit + 500 ms.

use std::time::Duration;

use futures_util::StreamExt;
use timerose::{
    model::Abi,
    sandbox::{Error, Fault, Sandbox},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::sandbox_room::{GRACE, Room, command, for_ever, sleep, write};

const MIB: u64 = 1 << 20;
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    let room = Room::new();
    room.must_reach_its_deadline(room.attempt(Abi::Wasi, &command(&[], &for_ever(""))))
        .await;
    room.close().await;
}

#[tokio::test]
async fn an_endless_host_call_ends_at_its_deadline() {
    let room = Room::new();
    let random = for_ever("(drop (call $random_get (i32.const 1024) (i32.const 100000)))");
    let log = for_ever(&write(
        "(i32.const 2)",
        "(i32.const 0)",
        "(i32.const 131072)",
    ));
    for wat in [
        command(&["poll_oneoff"], &sleep(HOUR)),
        command(&["random_get"], &random),
        command(&["fd_write"], &log),
    ] {
        room.must_reach_its_deadline(room.attempt(Abi::Wasi, &wat))
            .await;
    }
    room.close().await;
}

/// Reads standard input once.
fn reader() -> String {
    let read = "(drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))";
    command(
        &["fd_read"],
        &format!("(i32.store (i32.const 4) (i32.const 16)) {read}"),
    )
}

#[tokio::test]
async fn a_read_of_input_that_never_comes_ends_at_its_deadline() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &reader());
    attempt.stdin = Some(futures_util::stream::pending().boxed());
    room.must_reach_its_deadline(attempt).await;
    room.close().await;
}

#[tokio::test]
async fn a_guest_that_reads_nothing_ends_while_its_input_goes_on() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &command(&[], ""));
    let chunk = bytes::Bytes::from(vec![0; 1 << 16]);
    attempt.stdin = Some(futures_util::stream::repeat_with(move || Ok(chunk.clone())).boxed());
    assert!(room.run(attempt).await.is_ok());
    room.close().await;
}

#[tokio::test]
async fn a_cancelled_attempt_ends_at_once() {
    let room = Room::new();
    let sleeper = command(&["poll_oneoff"], &sleep(HOUR));
    for wat in [command(&[], &for_ever("")), sleeper] {
        let attempt = room.attempt(Abi::Wasi, &wat);
        room.warm_up(&attempt).await;
        let cancel = CancellationToken::new();
        let run = room.wasm.run(attempt, cancel.clone());
        let stop = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
            Instant::now()
        };
        let (result, asked) = tokio::join!(run, stop);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert!(asked.elapsed() < GRACE);
    }
    room.close().await;
}

#[tokio::test]
async fn a_flood_of_output_ends_at_its_limit() {
    let room = Room::new();
    let flood = for_ever(&write(
        "(i32.const 1)",
        "(i32.const 0)",
        "(i32.const 131072)",
    ));
    let mut attempt = room.attempt(Abi::Wasi, &command(&["fd_write"], &flood));
    attempt.limits.output_bytes = 3 * MIB;
    let stdout = attempt.work.join("stdout");
    assert_eq!(
        room.fault(attempt).await,
        Fault::OutputTooLarge { limit: 3 * MIB }
    );
    assert!(std::fs::metadata(stdout).unwrap().len() <= 3 * MIB);
    room.close().await;
}

#[tokio::test]
async fn a_flood_of_logs_is_cut_with_a_mark_and_no_failure() {
    let room = Room::new();
    let say = write("(i32.const 2)", "(i32.const 64)", "(i32.const 13)");
    let body = format!(
        "(loop $again {say} (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))"
    );
    let mut attempt = room.attempt(Abi::Wasi, &command(&["fd_write"], &body));
    attempt.limits.log_bytes = 1000;
    let log = std::fs::read_to_string(room.run(attempt).await.unwrap().logs).unwrap();
    assert!(
        log.len() <= 1000 && log.ends_with("[log cut at 1000 bytes]\n"),
        "{log}"
    );
    room.close().await;
}

/// Makes files `a`, `b`, … in `/out`, each of `size` bytes without writing one.
fn sparse_files(size: u64) -> String {
    let body = format!(
        "(i32.store8 (i32.const 256) (i32.const 97))
         (loop $again
           (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 1)
             (i32.const 1) (i64.const 0x400040) (i64.const 0) (i32.const 0) (i32.const 16))
             (then unreachable))
           (drop (call $fd_filestat_set_size (i32.load (i32.const 16)) (i64.const {size})))
           (i32.store8 (i32.const 256) (i32.add (i32.load8_u (i32.const 256)) (i32.const 1)))
           (br_if $again (i32.lt_u (i32.load8_u (i32.const 256)) (i32.const 107))))
         {}",
        for_ever("")
    );
    command(&["path_open", "fd_filestat_set_size"], &body)
}

#[tokio::test]
async fn a_flood_of_files_ends_at_its_limit() {
    let room = Room::new();
    for size in [MIB, 100 * MIB] {
        let mut attempt = room.attempt(Abi::Wasi, &sparse_files(size));
        room.warm_up(&attempt).await;
        attempt.limits.output_bytes = 4 * MIB;
        let start = Instant::now();
        assert_eq!(
            room.fault(attempt).await,
            Fault::OutputTooLarge { limit: 4 * MIB }
        );
        assert!(start.elapsed() < GRACE, "ended after {:?}", start.elapsed());
    }
    room.close().await;
}
