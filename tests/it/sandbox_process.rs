//! The processes behind the sandbox: warm, separate, replaced, gone.

use std::{path::PathBuf, process::Stdio, time::Duration};

use futures_util::StreamExt;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::json;
use timerose::{
    model::{Abi, Class},
    sandbox::{Attempt, Error, Sandbox},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::sandbox_room::{Room, command, for_ever, module, text};

const ONE: &str = "(module (func (export \"one\") (result i32) (i32.const 1)))";

fn children(room: &Room) -> Vec<i32> {
    room.wasm
        .idle_processes()
        .into_iter()
        .map(u32::cast_signed)
        .collect()
}

fn exists(id: i32) -> bool {
    PathBuf::from(format!("/proc/{id}")).exists()
}

/// Waits until `condition` holds; fails after ten seconds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not within 10 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn one(room: &Room, owner: &str) -> Attempt {
    room.owned(room.scalar(ONE, "one", &[]), owner)
}

#[tokio::test]
async fn the_second_run_is_warm_and_the_module_comes_from_disk_in_a_new_process() {
    let room = Room::new();
    let first = room.run(one(&room, "a")).await.unwrap().usage;
    let second = room.run(one(&room, "a")).await.unwrap().usage;
    assert!(first.cold && first.compile_us > 0);
    assert!(!second.cold && second.compile_us == 0);
    assert_eq!(children(&room).len(), 1);
    room.wasm.shutdown().await;
    assert_eq!(text(&room.run(one(&room, "a")).await.unwrap()), "1");
    room.close().await;
}

#[tokio::test]
async fn owners_never_share_a_process_and_their_number_is_bounded() {
    let room = Room::new();
    room.run(one(&room, "a")).await.unwrap();
    let of_a = children(&room);
    room.run(one(&room, "b")).await.unwrap();
    assert_eq!(children(&room).len(), 2);
    room.run(one(&room, "c")).await.unwrap();
    assert_eq!(children(&room).len(), 2);
    assert!(!exists(of_a[0]), "the one unused for longest has to go");
    room.close().await;
}

#[tokio::test]
async fn an_attempt_waits_while_all_processes_are_busy() {
    let room = Room::with(|config| config.max_processes = 1);
    let endless = room.attempt(Abi::Wasi, &command(&[], &for_ever("")));
    room.warm_up(&endless).await;
    let mut endless = endless;
    endless.limits.wall_ms = 200;
    let (first, second) = tokio::join!(room.run(endless), room.run(one(&room, "b")));
    assert!(matches!(first, Err(Error::Deadline { .. })));
    assert_eq!(text(&second.unwrap()), "1");
    room.close().await;
}

#[tokio::test]
async fn a_process_killed_from_outside_is_the_nodes_fault_and_is_replaced() {
    let room = Room::new();
    room.run(one(&room, "owner")).await.unwrap();
    let endless = room.attempt(Abi::Wasi, &command(&[], &for_ever("")));
    room.warm_up(&endless).await;
    let victim = children(&room)[0];
    let kill = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL).unwrap();
    };
    let (result, ()) = tokio::join!(room.run(endless), kill);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::ProcessDied(_)), "{error:?}");
    assert_eq!((error.class(), error.retryable()), (Class::Node, true));
    assert_eq!(text(&room.run(one(&room, "owner")).await.unwrap()), "1");
    room.close().await;
}

#[tokio::test]
async fn a_process_that_died_while_idle_is_not_noticed_by_the_next_attempt() {
    let room = Room::new();
    room.run(one(&room, "a")).await.unwrap();
    let pid = Pid::from_raw(children(&room)[0]).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    // Its leader is a zombie before its last thread has gone.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    until("the process has ended", || {
        !matches!(waitid(WaitId::Pid(pid), options), Ok(None))
    })
    .await;
    assert_eq!(text(&room.run(one(&room, "a")).await.unwrap()), "1");
    room.close().await;
}

#[tokio::test]
async fn an_idle_process_is_ended() {
    let room = Room::with(|config| config.idle_timeout = Duration::from_millis(50));
    room.run(one(&room, "a")).await.unwrap();
    let ids = children(&room);
    until("idle processes end", || ids.iter().all(|id| !exists(*id))).await;
    room.close().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_attempt_or_a_dropped_sandbox() {
    let room = Room::new();
    room.run(one(&room, "owner")).await.unwrap();
    let busy = children(&room)[0];
    let endless = room.attempt(Abi::Wasi, &command(&[], &for_ever("")));
    let run = room.wasm.run(endless, CancellationToken::new());
    assert!(
        tokio::time::timeout(Duration::from_millis(300), run)
            .await
            .is_err()
    );
    until("the attempt's process ends", || !exists(busy)).await;
    room.run(one(&room, "owner")).await.unwrap();
    let idle = children(&room)[0];
    drop(room);
    until("the idle process ends", || !exists(idle)).await;
}

/// Reads standard input to its end, 64 KiB at a time, and forgets it.
fn drain() -> String {
    command(
        &["fd_read"],
        "(loop $more
           (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 65536))
           (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
           (br_if $more (i32.load (i32.const 8))))",
    )
}

/// Anonymous memory of this process and its sandboxes, bytes.
fn anonymous(room: &Room) -> u64 {
    let mut ids = children(room);
    ids.push(std::process::id().cast_signed());
    anonymous_of(&ids)
}

fn anonymous_of(ids: &[i32]) -> u64 {
    let of = |id| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.unwrap_or(0_u64) * 1024
    };
    ids.iter().map(of).sum()
}

#[tokio::test]
async fn a_large_input_passes_through_in_little_memory() {
    let room = Room::new();
    let chunk = bytes::Bytes::from(vec![b'x'; 1 << 16]);
    let wat = drain();
    room.run(room.attempt(Abi::Wasi, &wat)).await.unwrap();
    let process = children(&room)[0];
    let before = anonymous_of(&[process]);
    let mut attempt = room.attempt(Abi::Wasi, &wat);
    let mut peak = 0;
    let input = (0..4096).map(move |_| {
        peak = peak.max(anonymous_of(&[process]));
        assert!(peak < before + (8 << 20), "{peak} bytes");
        Ok(chunk.clone())
    });
    attempt.stdin = Some(futures_util::stream::iter(input).boxed());
    room.run(attempt).await.unwrap();
    room.close().await;
}

#[tokio::test]
async fn memory_comes_back_after_a_guest_that_took_much() {
    let room = Room::new();
    let wat = "(module (memory 1) (func (export \"take\") (result i32) (local $i i32)
        (drop (memory.grow (i32.const 3000)))
        (loop $next (i32.store (local.get $i) (i32.const 1))
          (local.set $i (i32.add (local.get $i) (i32.const 4096)))
          (br_if $next (i32.lt_u (local.get $i) (i32.const 196000000))))
        (i32.const 1)))";
    room.run(one(&room, "a")).await.unwrap();
    let before = anonymous(&room);
    let attempt = room.owned(room.scalar(wat, "take", &[]), "a");
    let usage = room.run(attempt).await.unwrap().usage;
    assert_eq!(usage.memory_peak_bytes, 3001 * 65536);
    until("memory comes back", || {
        anonymous(&room) < before + (16 << 20)
    })
    .await;
    room.close().await;
}

/// What a process has open, without what it was started with itself.
fn files(id: &str, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let directory = format!("/proc/{id}/fd");
    let entries = std::fs::read_dir(directory).unwrap().filter_map(Result::ok);
    let wanted = entries.filter(|entry| is_wanted(entry.file_name().to_str().unwrap()));
    wanted
        .filter_map(|file| Some(std::fs::read_link(file.path()).ok()?.display().to_string()))
        .collect()
}

#[tokio::test]
async fn where_this_is_root_the_process_is_nobody_and_has_no_folder_but_its_places() {
    if !rustix::process::geteuid().is_root() {
        return crate::support::skip::skip("only root can start a process of another user");
    }
    let room = Room::new();
    room.run(one(&room, "a")).await.unwrap();
    let id = children(&room)[0];
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let of = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    assert_eq!(
        of("Uid:").unwrap().split_whitespace().collect::<Vec<_>>(),
        ["65534"; 4]
    );
    assert_eq!(of("CapEff:").unwrap().trim(), "0000000000000000");
    let mounts = std::fs::read_to_string(format!("/proc/{id}/mountinfo")).unwrap();
    let places = mounts.lines().map(|line| line.split(' ').nth(4).unwrap());
    let foreign: Vec<_> = places
        .filter(|place| *place != "/" && !place.starts_with(room.dir().to_str().unwrap()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    room.close().await;
}

#[tokio::test]
async fn the_process_has_neither_environment_nor_files_of_its_parent() {
    let room = Room::new();
    let _open = std::fs::File::open(env!("CARGO_BIN_EXE_timerose")).unwrap();
    room.run(one(&room, "a")).await.unwrap();
    let id = children(&room)[0];
    let environment = std::fs::read_to_string(format!("/proc/{id}/environ")).unwrap();
    assert!(
        environment
            .split('\0')
            .all(|pair| pair.is_empty() || pair.starts_with("MALLOC_"))
    );
    // Whoever started the tests may have left files open over exec.
    let survives_exec = |fd: &str| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        flags
            .and_then(|f| u32::from_str_radix(f.trim(), 8).ok())
            .is_some_and(|f| f & 0o2_000_000 == 0)
    };
    let handed_down = files("self", survives_exec);
    let is_own = |file: &String| {
        ["anon_inode:", "pipe:", "socket:", "/proc/"]
            .iter()
            .any(|kind| file.starts_with(kind))
    };
    // The cache of compiled modules is the process's own, and tidied by it.
    let cache = room.wasm.cache_dir().to_str().unwrap();
    let foreign: Vec<_> = files(&id.to_string(), |_| true)
        .into_iter()
        .filter(|file| !is_own(file) && !handed_down.contains(file))
        .filter(|file| !file.starts_with(cache))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    room.close().await;
}

/// To the user that the process has where this one is root.
fn give_away(folder: &std::path::Path) {
    if rustix::process::geteuid().is_root() {
        let mut command = std::process::Command::new("chown");
        let given = command.args(["-R", "65534:65534"]).arg(folder).status();
        assert!(given.unwrap().success());
    }
}

#[tokio::test]
async fn the_process_ends_with_its_control_pipe_even_while_a_guest_loops() {
    let room = Room::new();
    let mut attempt = room.attempt(Abi::Wasi, &command(&[], &for_ever("")));
    let code = module(&mut attempt).code.clone();
    let request = json!({
        "cache_dir": room.wasm.cache_dir().join("owner"), "code_cid": code.cid.to_string(),
        "code_path": code.path, "abi": "wasi", "entry": null, "args": [], "env": {},
        "stdin": null, "input_dir": null, "work": attempt.work, "limits": attempt.limits,
        "fuel": null, "pure": false,
    });
    let body = request.to_string().into_bytes();
    give_away(room.dir());
    let mut child = Command::new(env!("CARGO_BIN_EXE_timerose"))
        .arg("sandbox-worker")
        .arg("--read")
        .arg(room.dir())
        .arg("--write")
        .arg(room.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&u32::try_from(body.len()).unwrap().to_le_bytes())
        .await
        .unwrap();
    pipe.write_all(&body).await.unwrap();
    let mut reply = [0; 4 + "\"started\"".len()];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut reply)
        .await
        .unwrap();
    assert_eq!(&reply[4..], b"\"started\"");
    drop(pipe);
    tokio::time::timeout(Duration::from_secs(5), child.wait())
        .await
        .unwrap()
        .unwrap();
    room.close().await;
}
