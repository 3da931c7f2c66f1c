//! Small things that become large: code that is dear to compile, inputs that
//! grow when they are unpacked, layers of images.

use std::time::Duration;

use timerose::{compute::InvokeRequest, model::Class};
use tokio::time::Instant;

use super::{CONTAINER_GRACE, End, Ground, request};
use crate::support::{
    engine::{busybox, config, digest, layer},
    mesh::Mesh,
};

/// How long compiling may take here, and by what that may be overrun.
const COMPILE: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_millis(500);
/// Unpacking, with what a machine needs that does other things as well.
const UNPACKED: Duration = Duration::from_secs(30);

/// A folder, in UnixFS.
const FOLDER: [u8; 2] = [0x08, 1];

/// A module with functions of so many locals each, which cost four bytes.
fn locals(functions: u32, locals: u32) -> Vec<u8> {
    use wasm_encoder::{
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, Module,
        TypeSection, ValType,
    };
    let (mut types, mut all, mut exports, mut code) = (
        TypeSection::new(),
        FunctionSection::new(),
        ExportSection::new(),
        CodeSection::new(),
    );
    types.ty().function([], []);
    exports.export("_start", ExportKind::Func, 0);
    for _ in 0..functions {
        all.function(0);
        let mut body = Function::new([(locals, ValType::I64)]);
        body.instruction(&Instruction::End);
        code.function(&body);
    }
    let mut module = Module::new();
    module
        .section(&types)
        .section(&all)
        .section(&exports)
        .section(&code);
    module.finish()
}

/// Bytes of UnixFS for a file of such pieces.
fn file_of(pieces: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![0x08, 2, 0x18];
    let varint = |bytes: &mut Vec<u8>, number| {
        let mut buffer = unsigned_varint::encode::u64_buffer();
        bytes.extend_from_slice(unsigned_varint::encode::u64(number, &mut buffer));
    };
    varint(&mut bytes, pieces * size);
    for _ in 0..pieces {
        bytes.push(0x20);
        varint(&mut bytes, size);
    }
    bytes
}

/// A node of a graph that names `child` so often; its CID.
async fn node(mesh: &Mesh, data: &[u8], child: &str, links: u64, are_named: bool) -> String {
    let links: Vec<_> = (0..links)
        .map(|number| {
            let name = if are_named {
                format!("{number:03}")
            } else {
                String::new()
            };
            serde_json::json!({"Hash": {"/": child}, "Name": name, "Tsize": 1})
        })
        .collect();
    let data = multibase::encode(multibase::Base::Base64, data);
    let node = serde_json::json!({"Data": {"/": {"bytes": data[1..]}}, "Links": links});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), node.to_string()).unwrap();
    let put = [
        "dag",
        "put",
        "--store-codec=dag-pb",
        file.path().to_str().unwrap(),
    ];
    mesh.ipfs(0, &put).await
}

/// A folder in folders, so deep, so often at each depth.
async fn folders(mesh: &Mesh, depth: u32, often: u64) -> String {
    let mut child = node(mesh, &FOLDER, "", 0, true).await;
    for _ in 0..depth {
        child = node(mesh, &FOLDER, &child, often, true).await;
    }
    child
}

/// A file of 256 KiB, a hundred times at each depth.
async fn file(mesh: &Mesh, depth: u32) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut size = 256 << 10;
    std::fs::write(file.path(), vec![7; size as usize]).unwrap();
    let add = [
        "add",
        "-Q",
        "--cid-version=1",
        file.path().to_str().unwrap(),
    ];
    let mut child = mesh.ipfs(0, &add).await;
    for _ in 0..depth {
        child = node(mesh, &file_of(100, size), &child, 100, false).await;
        size *= 100;
    }
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_is_dear_to_compile_ends_in_time() {
    let limit = format!("{}s", COMPILE.as_secs());
    let settings = [("TIMEROSE_EXECUTOR__COMPILE_TIMEOUT", limit.as_str())];
    let ground = Ground::of(Mesh::with_settings(1, &settings).await).await;
    let function = ground.mesh.deploy(0, &locals(50_000, 50_000)).await;
    let end = ground.endures(&request(&function)).await;
    let error = end.result.unwrap_err();
    assert_eq!(error.class, Class::User, "{error:?}");
    assert!(
        error
            .message
            .contains("could not be compiled within the limits"),
        "{error:?}"
    );
    assert!(end.after < COMPILE + GRACE, "{:?}", end.after);
    ground.mesh.end().await;
}

/// Copies its input until something stops it.
const COPY: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 1024))
    (loop $again
      (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (br_if $again (i32.load (i32.const 8))))))"#;

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_grow_when_they_are_read_end_in_time() {
    let settings = [("TIMEROSE_EXECUTOR__MAX_UNPACKED", "64MiB")];
    let ground = Ground::of(Mesh::with_settings(1, &settings).await).await;
    let function = ground.mesh.deploy(0, COPY.as_bytes()).await;
    let mesh = &ground.mesh;
    let large = file(mesh, 5).await;
    let many = node(mesh, &FOLDER, &file(mesh, 1).await, 100, true).await;
    for (input, class, says) in [
        (large.clone(), Class::User, "output"),
        (folders(mesh, 4, 100).await, Class::User, "100000 entries"),
        (
            folders(mesh, 101, 1).await,
            Class::User,
            "deeper than 100 levels",
        ),
        (
            node(mesh, &FOLDER, &large, 1, true).await,
            Class::Node,
            "67108864 bytes",
        ),
        (many, Class::Node, "67108864 bytes"),
    ] {
        let began = Instant::now();
        let call = InvokeRequest {
            input: Some(input),
            ..request(&function)
        };
        let error = ground.endures(&call).await.result.unwrap_err();
        assert_eq!(error.class, class, "{error:?}");
        assert!(error.message.contains(says), "{error:?}");
        println!("{says}: ended after {:?}", began.elapsed());
        assert!(began.elapsed() < UNPACKED, "{:?}", began.elapsed());
    }
    ground.mesh.end().await;
}

/// A layer of a gibibyte in a mebibyte.
fn gzipped() -> Vec<u8> {
    let mut layer = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    layer
        .append_data(
            &mut header,
            "zeros",
            std::io::Read::take(std::io::repeat(0), 1 << 30),
        )
        .unwrap();
    layer.into_inner().unwrap().finish().unwrap()
}

/// A layer with a file of a tebibyte, all of it a hole.
fn sparse() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("hole").unwrap();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 40);
    header.set_cksum();
    let mut layer = tar::Builder::new(Vec::new());
    layer.append(&header, std::io::empty()).unwrap();
    layer.into_inner().unwrap()
}

/// Stores an image as it is, whatever its layers are; its CID.
async fn stored(mesh: &Mesh, layers: &[Vec<u8>]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let about = config(layers, &serde_json::json!({"Cmd": ["/bin/sh"]}));
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        let path = folder.path().join("blobs").join(digest.replace(':', "/"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        serde_json::json!({"digest": digest, "size": bytes.len()})
    };
    let layers: Vec<_> = layers.iter().map(|layer| put(layer)).collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "config": put(&about), "layers": layers});
    let manifest = put(manifest.to_string().as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    let add = [
        "add",
        "-Qr",
        "--cid-version=1",
        folder.path().to_str().unwrap(),
    ];
    mesh.ipfs(0, &add).await
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_that_grow_in_the_engine_never_reach_it() {
    let Some(ground) = Ground::with_engine_or_skip().await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mark = layer(&[("mark", ulid::Ulid::new().to_string().as_bytes(), 0o644)]);
    for (bomb, says) in [
        (gzipped(), "is no TAR archive"),
        (sparse(), "has a file with holes"),
    ] {
        let image = stored(&ground.mesh, &[busybox(), mark.clone(), bomb]).await;
        let description = format!("[runtime.docker]\nimage = \"{image}\"");
        std::fs::write(folder.path().join("timerose.toml"), description).unwrap();
        let function = ground.deploy(folder.path(), &[]).await.unwrap();
        let End { result, after } = ground.endures(&request(&function)).await;
        let error = result.unwrap_err();
        assert_eq!(error.class, Class::User, "{error:?}");
        assert!(error.message.contains(says), "{error:?}");
        assert!(after < CONTAINER_GRACE, "{after:?}");
    }
    ground.mesh.end().await;
}
