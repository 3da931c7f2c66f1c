//! A full disk under an owner's store: nothing is promised that cannot be
//! kept, and nothing that was promised is lost.

use std::{path::Path, process::Command};

use timerose::compute::Failure;

use crate::{
    batch::{Batch, SLOW, TENTH, slow},
    support::{mesh::Mesh, skip::skip, state::is_sound},
};

/// The size of the small disk.
const DISK_BYTES: u64 = 24 << 20;

/// Submissions that are tried before the disk counts as never full.
const MOST: u64 = 20_000;

/// A small ext4 file system mounted on a folder; unmounted when dropped.
struct SmallDisk<'a> {
    folder: &'a Path,
}

impl<'a> SmallDisk<'a> {
    /// Mounts one, with what the folder holds; false says why there is none.
    fn over(folder: &'a Path, image: &Path) -> Result<Self, String> {
        let file = std::fs::File::create(image).unwrap();
        file.set_len(DISK_BYTES).unwrap();
        let [image, at] = [image, folder].map(|path| path.to_str().unwrap());
        run("mkfs.ext4", &["-q", "-m", "0", image])?;
        let copy = tempfile::tempdir().unwrap();
        let aside = copy.path().to_str().unwrap();
        run("cp", &["-a", &format!("{at}/."), aside])?;
        run("mount", &["-o", "loop", image, at])?;
        let disk = Self { folder };
        run("cp", &["-a", &format!("{aside}/."), at])?;
        Ok(disk)
    }

    /// Leaves no room but for so many bytes.
    fn fill(&self, but: u64) {
        let free = rustix::fs::statvfs(self.folder).unwrap();
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(but);
        let path = self.folder.join("ballast");
        let ballast = std::fs::File::create(path).unwrap();
        rustix::fs::fallocate(&ballast, rustix::fs::FallocateFlags::empty(), 0, bytes).unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let at = self.folder.to_str().unwrap();
        let unmounted = run("umount", &["--lazy", at]);
        assert!(
            unmounted.is_ok() || std::thread::panicking(),
            "{unmounted:?}"
        );
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.map_err(|error| format!("{program}: {error}"))?;
    let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
    ran.status.success().then_some(()).ok_or(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_promises_nothing_and_loses_nothing() {
    let mut mesh = Mesh::start(2).await;
    let home = mesh.node(0).sidecar.home().to_owned();
    mesh.node_mut(0).sidecar.stop().await.unwrap();
    let room = tempfile::tempdir().unwrap();
    let disk = match SmallDisk::over(&home, &room.path().join("disk")) {
        Ok(disk) => disk,
        Err(why) => {
            mesh.end().await;
            return skip(&format!("no file system can be mounted: {why}"));
        }
    };
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    let function = mesh.deploy(0, SLOW.as_bytes()).await;
    disk.fill(512 << 10);
    let client = mesh.client(0);
    let (mut kept, mut refused) = (Vec::new(), None::<Failure>);
    for number in 0..MOST {
        match client
            .submit(&slow(&function, number, TENTH / 10), None)
            .await
        {
            Ok(record) => kept.push((number, record.invocation)),
            Err(failure) => {
                refused = Some(failure);
                break;
            }
        }
    }
    println!("{} were kept, then: {refused:?}", kept.len());
    let refused = refused.expect("the disk is full at last");
    assert!(refused.message.contains("full"), "{refused:?}");
    assert!(is_sound(&home), "the store is damaged");
    mesh.node_mut(0).sidecar.kill9().await.unwrap();
    assert!(is_sound(&home), "the store is damaged");
    disk.free();
    mesh.node_mut(0).sidecar.restart().await.unwrap();
    let batch = Batch::of(mesh.client(0), kept);
    batch.all_right().await;
    let request = |number| slow(&function, number, 1);
    let more = Batch::submit(mesh.client(0), MOST..MOST + 10, request).await;
    more.all_right().await;
    mesh.node_mut(0).sidecar.stop().await.unwrap();
    drop(disk);
    mesh.end().await;
}
