//! Each kind of bad module and the words it is refused with.

use super::*;

fn refusal(wat: &str, abi: Abi, entry: Option<&str>) -> String {
    let bytes = wat::parse_str(wat).unwrap();
    check(&bytes, abi, entry, &Limits::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_no_module_is_called_what_it_is() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is empty"),
        (b"hello", "it is text"),
        (b"(module)", "it is WAT text"),
        (b"\x7fELF\x02", "ELF"),
        (b"\0asm\x0d\0\x01\0", "component"),
        (b"\0asm", "cut off"),
        (b"\xff\xfe\x01", "unknown"),
    ];
    for (bytes, expected) in cases {
        let message = check(bytes, Abi::Wasi, None, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_cut_module_is_refused_where_it_ends() {
    let bytes = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 1))").unwrap();
    for end in 9..bytes.len() {
        let result = check(&bytes[..end], Abi::Scalar, Some("f"), &Limits::default());
        assert!(result.is_err(), "{end} of {} bytes passed", bytes.len());
    }
}

#[test]
fn a_foreign_import_is_named() {
    let message = refusal(
        "(module (import \"env\" \"system\" (func)))",
        Abi::Wasi,
        None,
    );
    assert_eq!(
        message,
        "the module imports env.system, which no sandbox offers"
    );
    let wasi = "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))))";
    assert!(refusal(wasi, Abi::Scalar, None).contains("sched_yield"));
    let memory = "(module (import \"env\" \"memory\" (memory 1)))";
    assert!(refusal(memory, Abi::Wasi, None).contains("env.memory"));
}

#[test]
fn a_missing_export_comes_with_those_there_are() {
    let wat = "(module (func (export \"fib\")) (func (export \"fac\")))";
    assert_eq!(
        refusal(wat, Abi::Scalar, Some("fob")),
        "the module exports no `fob`; it has: fib, fac"
    );
    assert!(refusal(wat, Abi::Wasi, None).contains("`_start`"));
}

#[test]
fn an_entry_must_fit_its_abi() {
    let wat = "(module (memory (export \"m\") 1) (func (export \"_start\") (param i32))
        (func (export \"v\") (param v128)))";
    assert!(refusal(wat, Abi::Scalar, Some("m")).contains("no function"));
    assert!(refusal(wat, Abi::Scalar, Some("v")).contains("numbers"));
    assert!(refusal(wat, Abi::Wasi, None).contains("takes or gives values"));
}

#[test]
fn memories_that_no_engine_here_has_are_refused() {
    for (wat, expected) in [
        ("(module (memory 1 2 shared))", "a shared memory"),
        ("(module (memory i64 1))", "a 64-bit memory"),
        ("(module (memory 1) (memory 1))", "more than one memory"),
        ("(module (memory 5000))", "327680000 bytes of memory"),
    ] {
        let message = refusal(wat, Abi::Wasi, None);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn sizes_and_counts_are_capped() {
    let large = vec![0; 32 * 1024 * 1024 + 1];
    let message = check(&large, Abi::Wasi, None, &Limits::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("33554433 bytes"), "{message}");
    let tables = "(module (table 1 funcref) (table 1 funcref) (table 1 funcref)
        (table 1 funcref) (table 1 funcref))";
    assert!(refusal(tables, Abi::Wasi, None).contains("5 tables"));
}

#[test]
fn a_good_module_is_described() {
    let wat = "(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))
        (memory (export \"memory\") 2) (func (export \"_start\")))";
    let bytes = wat::parse_str(wat).unwrap();
    let report = check(&bytes, Abi::Wasi, None, &Limits::default()).unwrap();
    assert_eq!(report.imports, ["wasi_snapshot_preview1.sched_yield"]);
    assert_eq!(report.exports, ["_start"]);
    assert_eq!((report.functions, report.memory_bytes), (1, 131_072));
}
