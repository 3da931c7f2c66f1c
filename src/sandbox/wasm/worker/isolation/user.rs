//! A user that is nobody, in a file system with nothing but its places.
//!
//! Takes the places of a process that is root, and gives up being root: only
//! then can it become another user. That user could enter none of the folders
//! in which the places lie, so they are all that its file system has.

use std::{
    fs::DirBuilder,
    io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt},
    path::Path,
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{CWD, Gid, Mode, Uid},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
        mount_change, move_mount, open_tree, unmount,
    },
    process::{chdir, geteuid, pivot_root, umask},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use super::Places;
use crate::sandbox::folders::NOBODY;

/// Becomes nobody; none where this process is not root.
pub(super) fn change(places: &Places) -> Option<bool> {
    geteuid().is_root().then(|| attempt(places).is_ok())
}

fn attempt(places: &Places) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC)?;
    move_in(places)?;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    Ok(set_thread_res_uid(user, user, user)?)
}

/// Makes a file system of the places, each where it was, and enters it.
fn move_in(places: &Places) -> io::Result<()> {
    // Whatever is mounted here is never seen elsewhere.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    let all = places.read.iter().chain(&places.write);
    let trees = all.map(|place| Ok((place.as_path(), tree(place)?)));
    let trees = trees.collect::<io::Result<Vec<_>>>()?;
    let root = places.write.first().ok_or(io::ErrorKind::NotFound)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("tmpfs", root, "tmpfs", flags, c"mode=0755,size=1m")?;
    let entered = furnish(root, trees).and_then(|()| enter(root));
    if entered.is_err() {
        unmount(root, UnmountFlags::DETACH)?;
    }
    entered
}

fn tree(place: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    Ok(open_tree(CWD, place, flags)?)
}

fn furnish(root: &Path, trees: Vec<(&Path, OwnedFd)>) -> io::Result<()> {
    let strict = umask(Mode::WGRP | Mode::WOTH);
    for (place, tree) in trees {
        let target = root.join(place.strip_prefix("/").map_err(io::Error::other)?);
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&target)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(&tree, c"", CWD, &target, flags)?;
    }
    umask(strict);
    Ok(())
}

/// The old root is found at the same place, and goes.
fn enter(root: &Path) -> io::Result<()> {
    chdir(root)?;
    pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    Ok(chdir(c"/")?)
}
