//! Functions of the function-addressable network: ours from their sources, and
//! what a guest may do wrong.

use std::path::{Path, PathBuf};

use timerose::{
    model::{Abi, Limits},
    sandbox::{Attempt, Fault, check},
};

use crate::{
    sandbox_room::{self, Room, text},
    support::skip::skip,
};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/fan")
}

fn example(name: &str) -> Vec<u8> {
    std::fs::read(examples().join(name).with_extension("wasm")).unwrap()
}

/// An attempt at `entry` with byte strings for arguments.
fn fan(room: &Room, module: &[u8], entry: &str, args: &[&[u8]]) -> Attempt {
    let mut attempt = room.attempt_bytes(Abi::Fan, module);
    let folder = attempt.work.join("args");
    std::fs::create_dir(&folder).unwrap();
    for (number, bytes) in args.iter().enumerate() {
        std::fs::write(folder.join(number.to_string()), bytes).unwrap();
        attempt.args.push(number.to_string().into());
    }
    attempt.input_dir = Some(folder);
    sandbox_room::module(&mut attempt).entry = Some(entry.to_owned());
    attempt
}

async fn told(room: &Room, module: &[u8], entry: &str, args: &[&[u8]]) -> String {
    text(&room.run(fan(room, module, entry, args)).await.unwrap())
}

async fn fault(room: &Room, module: &[u8], entry: &str, args: &[&[u8]]) -> Fault {
    room.fault(fan(room, module, entry, args)).await
}

#[tokio::test]
async fn functions_of_the_network_give_their_results() {
    let room = Room::new();
    let words = example("wordcount");
    check(&words, Abi::Fan, Some("map"), &Limits::default()).unwrap();
    let first = told(&room, &words, "map", &[b"The rose, the ROSE"]).await;
    assert_eq!(first, r#"{"x":{"rose":2,"the":2}}"#);
    let second = told(&room, &words, "map", &["5 Röslein".as_bytes()]).await;
    assert_eq!(second, r#"{"x":{"5":1,"röslein":1}}"#);
    let both = [first.as_bytes(), second.as_bytes(), b""];
    let sum = told(&room, &words, "reduce", &both[..2]).await;
    assert_eq!(sum, r#"{"x":{"5":1,"rose":2,"röslein":1,"the":2}}"#);
    let tagged = told(&room, &example("tagger"), "fx", &["für".as_bytes()]).await;
    assert_eq!(tagged, "für (tagged by TimeRose)");
    let fib = example("fibonacci");
    assert_eq!(
        told(&room, &fib, "fx", &[b"92"]).await,
        "7540113804746346429"
    );
    assert_eq!(told(&room, &fib, "fx", &[b"0"]).await, "-1");
    room.close().await;
}

#[tokio::test]
async fn each_mistake_of_a_caller_has_its_own_fault() {
    let room = Room::new();
    let words = example("wordcount");
    let missing = fault(&room, &words, "fold", &[b"a"]).await;
    assert!(
        matches!(missing, Fault::MissingExport { .. }),
        "{missing:?}"
    );
    let arity = fault(&room, &words, "reduce", &[b"a"]).await;
    assert_eq!(
        arity.to_string(),
        "`reduce` takes 2 byte strings, 1 was given"
    );
    let alloc = fault(&room, &words, "alloc", &[]).await;
    assert!(matches!(alloc, Fault::BadEntry { .. }), "{alloc:?}");
    let trap = fault(&room, &example("tagger"), "fx", &[b"\xff"]).await;
    assert!(matches!(trap, Fault::Trap(_)), "{trap:?}");
    room.close().await;
}

/// 26 words of one letter: 51 bytes in, 163 out, and 151 in the buffer.
#[tokio::test]
async fn an_output_larger_than_its_buffer_is_refused_and_one_that_fits_is_not() {
    let room = Room::new();
    let words = example("wordcount");
    let letters = |count: u8| {
        let all: Vec<_> = (b'a'..b'a' + count)
            .map(|c| char::from(c).to_string())
            .collect();
        all.join(" ")
    };
    let fits = told(&room, &words, "map", &[letters(23).as_bytes()]).await;
    assert_eq!(fits.len(), 7 + 23 * 6 - 1 + 1);
    let fault = fault(&room, &words, "map", &[letters(26).as_bytes()]).await;
    let expected = Fault::BufferOverflow {
        left: 163,
        room: 151,
    };
    assert_eq!(fault, expected);
    room.close().await;
}

/// A module whose `alloc` gives `buffer` and whose `fx` returns `left`.
fn module(buffer: &str, left: &str) -> Vec<u8> {
    let text = format!(
        "(module (memory (export \"memory\") 1)
          (func (export \"alloc\") (param i32) (result i32) {buffer})
          (func (export \"fx\") (param i32 i32) (result i32) {left}))"
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn nothing_that_a_guest_says_of_its_memory_is_believed() {
    let room = Room::new();
    let at_the_end = "i32.const 65434";
    let cases = [
        ("i32.const 1024", "i32.const -1"),
        ("i32.const 1024", "i32.const 2147483647"),
        ("i32.const 1024", "i32.const 104"),
        ("i32.const -1", "i32.const 0"),
        ("i32.const 65536", "i32.const 0"),
        (at_the_end, "i32.const 103"),
    ];
    let mut faults = Vec::new();
    for (buffer, left) in cases {
        faults.push(fault(&room, &module(buffer, left), "fx", &[b"abc"]).await);
    }
    assert_eq!(faults[0], Fault::BadReturn(-1));
    assert!(matches!(faults[1], Fault::BufferOverflow { .. }));
    assert_eq!(
        faults[2],
        Fault::BufferOverflow {
            left: 104,
            room: 103
        }
    );
    assert!(matches!(
        faults[3],
        Fault::BadAllocation {
            at: 0xffff_ffff,
            ..
        }
    ));
    assert!(matches!(faults[4], Fault::BadAllocation { .. }));
    assert!(
        matches!(faults[5], Fault::BadAllocation { .. }),
        "{faults:?}"
    );
    let grows = "(drop (memory.grow (i32.const 1))) i32.const 65536";
    let output = told(&room, &module(grows, "i32.const 3"), "fx", &[b"abc"]).await;
    assert_eq!(output, "abc", "memory that grew in the guest is seen");
    room.close().await;
}

#[test]
fn a_module_that_is_none_of_the_network_is_refused_before_it_runs() {
    let refused = |text: &str, entry| {
        let bytes = wat::parse_str(text).unwrap();
        let refused = check(&bytes, Abi::Fan, entry, &Limits::default());
        refused.unwrap_err().to_string()
    };
    let alloc = "(func (export \"alloc\") (param i32) (result i32) i32.const 0)";
    let memory = "(memory (export \"memory\") 1)";
    let fx = "(func (export \"fx\") (param i32 i32) (result i32) i32.const 0)";
    let cases = [
        (format!("{alloc}{fx}"), None, "exports no `memory`"),
        (format!("{memory}{fx}"), None, "exports no `alloc`"),
        (format!("{memory}{alloc}"), None, "exports no `function`"),
        (
            format!("{memory}{alloc}{fx}"),
            Some("alloc"),
            "gives buffers",
        ),
        (
            format!("{memory}{alloc}{fx}"),
            Some("fy"),
            "exports no `fy`",
        ),
        (
            format!("{memory}{alloc}(func (export \"fx\") (param i64) (result i32) i32.const 0)"),
            Some("fx"),
            "(buffer: i32, length: i32, …) -> i32",
        ),
        (
            format!("(import \"env\" \"log\" (func)){memory}{alloc}{fx}"),
            None,
            "imports env.log",
        ),
        (
            format!("(memory (export \"memory\") i64 1){alloc}{fx}"),
            None,
            "64-bit memory",
        ),
    ];
    for (text, entry, expected) in cases {
        let said = refused(&format!("(module {text})"), entry);
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test]
async fn the_examples_are_what_their_sources_give() {
    let target = tempfile::tempdir().unwrap();
    let mut build = std::process::Command::new(examples().join("build"));
    let built = build.arg(target.path()).output().unwrap();
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            said.contains("not found") || said.contains("No such file"),
            "{said}"
        );
        return skip("no clang and lld here (scripts/setup gets them)");
    }
    let room = Room::new();
    let read = |name: &str| std::fs::read(target.path().join(name)).unwrap();
    let counts = told(&room, &read("wordcount.wasm"), "map", &[b"a b a"]).await;
    assert_eq!(counts, r#"{"x":{"a":2,"b":1}}"#);
    assert_eq!(
        told(&room, &read("fibonacci.wasm"), "fx", &[b"10"]).await,
        "55"
    );
    let tagged = told(&room, &read("tagger.wasm"), "fx", &[b""]).await;
    assert_eq!(tagged.len(), 21);
    room.close().await;
}
