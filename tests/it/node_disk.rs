//! A full disk under a whole node: said as such, and over once there is room.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use timerose::{compute::InvokeRequest, model::Class};

use crate::{
    node_whole::WholeNode,
    sandbox_room::{command, for_ever, write},
    support::{fake_kubo::FakeNet, mesh::invoke, skip::skip},
};

/// Room on the small disk.
const ROOM: &str = "2m";

/// A program that runs timerose with a small disk of its own at `folder`, in a
/// mount namespace that ends with it; none where that is not permitted.
fn on_a_small_disk(dir: &Path, folder: &Path) -> Option<PathBuf> {
    std::fs::create_dir_all(folder).unwrap();
    let program = dir.join("timerose-on-a-small-disk");
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount -t tmpfs -o size={ROOM} none {} && exec {} \"$@\"' sh \"$@\"\n",
        folder.display(),
        env!("CARGO_BIN_EXE_timerose"),
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let works = std::process::Command::new(&program)
        .arg("--version")
        .output();
    works.unwrap().status.success().then_some(program)
}

/// A node whose attempts have a small disk; none where that cannot be had.
pub(crate) async fn with_a_small_disk() -> Option<(WholeNode, TempDir)> {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    let program = on_a_small_disk(dir.path(), &work)?;
    let setting = "TIMEROSE_EXECUTOR__WORK_DIR".to_owned();
    let node = WholeNode::start_with(&FakeNet::new(), |options| {
        options.program = program;
        options.environment = vec![(setting, work.display().to_string())];
    })
    .await;
    Some((node, dir))
}

fn request(function: String) -> InvokeRequest {
    InvokeRequest {
        function,
        cache: false,
        ..InvokeRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_costs_only_what_needed_it() {
    let Some((node, _dir)) = with_a_small_disk().await else {
        return skip("no file system can be mounted here");
    };
    let small = write("(i32.const 1)", "(i32.const 64)", "(i32.const 13)");
    let small = node.deploy(command(&["fd_write"], &small).as_bytes()).await;
    let flood = for_ever(&write(
        "(i32.const 1)",
        "(i32.const 0)",
        "(i32.const 65536)",
    ));
    let flood = node.deploy(command(&["fd_write"], &flood).as_bytes()).await;
    invoke(&node.client(), &request(small.clone()))
        .await
        .unwrap();
    let error = invoke(&node.client(), &request(flood)).await.unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (Class::Node, "the executor's disk is full")
    );
    invoke(&node.client(), &request(small)).await.unwrap();
}
