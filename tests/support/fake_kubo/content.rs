//! Blocks, files, directories and DAGs of the fake.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use cid::Cid;
use futures_util::future::BoxFuture;
use ipld_core::ipld::Ipld;
use serde_json::{Value, json};
use timerose::kubo::Codec;

use super::{
    car,
    multipart::Part,
    reply,
    routes::Call,
    state::State,
    unixfs::{self, Blocks, Link, Node},
};

pub(super) async fn block_get(state: &State, call: &Call) -> Result<Response, String> {
    let mut bytes = state.block(&call.cid(), call.is("offline")).await?;
    if state.faults().corrupt_blocks {
        bytes = bytes.iter().map(|byte| byte ^ 1).collect();
    }
    Ok(reply::bytes(bytes, None, state.faults().cut))
}

pub(super) async fn block_stat(state: &State, call: &Call) -> Result<Response, String> {
    let cid = call.cid();
    let size = state.block(&cid, call.is("offline")).await?.len();
    Ok(reply::object(
        &json!({"Key": cid.to_string(), "Size": size}),
    ))
}

pub(super) fn block_put(state: &State, call: &Call) -> Response {
    let codec = match call.get("cid-codec") {
        Some("dag-cbor") => Codec::DagCbor,
        Some("dag-pb") => Codec::DagPb,
        Some("dag-json") => Codec::DagJson,
        _ => Codec::Raw,
    };
    let bytes = call.parts()[0].data.clone();
    let (cid, size) = (codec.cid(&bytes), bytes.len());
    state.put(&cid, bytes);
    state.net.provide(cid, state.peer());
    if call.is("pin") {
        state.pin(cid, String::new());
    }
    reply::lines(&[json!({"Key": cid.to_string(), "Size": size})], None)
}

/// The CID at the end of `/ipfs/<cid>/a/b`.
pub(super) async fn resolve(state: &State, path: &str, offline: bool) -> Result<Cid, String> {
    let bare = path.strip_prefix("/ipfs/").unwrap_or(path);
    let mut parts = bare.split('/').filter(|part| !part.is_empty());
    let bad = || format!("invalid path \"{path}\": path does not have enough components");
    let mut cid: Cid = parts
        .next()
        .and_then(|root| root.parse().ok())
        .ok_or_else(bad)?;
    for name in parts {
        let Node::Directory(links) = unixfs::decode(&cid, &state.block(&cid, offline).await?)?
        else {
            return Err(format!("no link named \"{name}\" under {cid}"));
        };
        let link = links.into_iter().find(|link| link.name == name);
        cid = link
            .ok_or_else(|| format!("no link named \"{name}\" under {cid}"))?
            .cid;
    }
    Ok(cid)
}

async fn read(state: &State, cid: &Cid, offline: bool) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    let mut open = vec![*cid];
    while let Some(cid) = open.pop() {
        match unixfs::decode(&cid, &state.block(&cid, offline).await?)? {
            Node::File { data, links } => {
                bytes.extend_from_slice(&data);
                open.extend(links.iter().rev().map(|link| link.cid));
            }
            Node::Directory(_) => return Err("this dag node is a directory".to_owned()),
            Node::Symlink(_) => return Err("this dag node is a symlink".to_owned()),
        }
    }
    Ok(bytes.freeze())
}

pub(super) async fn cat(state: &State, call: &Call) -> Result<Response, String> {
    let offline = call.is("offline");
    let cid = resolve(state, &call.args[0], offline).await?;
    let bytes = read(state, &cid, offline).await?;
    let number = |key| call.get(key).map(|text| text.parse::<usize>().unwrap());
    let start = number("offset").unwrap_or(0).min(bytes.len());
    let end = number("length").map_or(bytes.len(), |length| bytes.len().min(start + length));
    let faults = state.faults();
    let length = (!faults.no_length).then_some(end - start);
    Ok(reply::bytes(bytes.slice(start..end), length, faults.cut))
}

pub(super) async fn get(state: &Arc<State>, call: &Call) -> Result<Response, String> {
    let cid = call.cid();
    let mut archive = tar::Builder::new(vec![]);
    pack(
        state,
        &mut archive,
        cid,
        cid.to_string(),
        call.is("offline"),
    )
    .await?;
    let bytes = Bytes::from(archive.into_inner().unwrap());
    // Not the length of the archive: that of the files in it.
    Ok(reply::bytes(bytes, Some(1), state.faults().cut))
}

fn pack<'a>(
    state: &'a Arc<State>,
    archive: &'a mut tar::Builder<Vec<u8>>,
    cid: Cid,
    name: String,
    offline: bool,
) -> BoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match unixfs::decode(&cid, &state.block(&cid, offline).await?)? {
            Node::File { .. } => {
                let bytes = read(state, &cid, offline).await?;
                header.set_size(bytes.len() as u64);
                archive
                    .append_data(&mut header, name, bytes.as_ref())
                    .unwrap();
            }
            Node::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, target).unwrap();
            }
            Node::Directory(links) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_size(0);
                archive
                    .append_data(&mut header, &name, std::io::empty())
                    .unwrap();
                for link in links {
                    pack(
                        state,
                        archive,
                        link.cid,
                        format!("{name}/{}", link.name),
                        offline,
                    )
                    .await?;
                }
            }
        }
        Ok(())
    })
}

pub(super) async fn ls(state: &State, call: &Call) -> Result<Response, String> {
    let offline = call.is("offline");
    let cid = resolve(state, &call.args[0], offline).await?;
    let links = match unixfs::decode(&cid, &state.block(&cid, offline).await?)? {
        Node::Directory(links) | Node::File { links, .. } => links,
        Node::Symlink(_) => vec![],
    };
    let mut lines = vec![];
    for link in links {
        let (kind, size) = match unixfs::decode(&link.cid, &state.block(&link.cid, offline).await?)?
        {
            Node::File { .. } => (2, read(state, &link.cid, offline).await?.len()),
            Node::Directory(_) => (1, 0),
            Node::Symlink(_) => (4, 0),
        };
        let entry =
            json!({"Name": link.name, "Hash": link.cid.to_string(), "Size": size, "Type": kind});
        lines.push(json!({"Objects": [{"Hash": cid.to_string(), "Links": [entry]}]}));
    }
    Ok(reply::lines(&lines, None))
}

pub(super) fn add(state: &State, call: &Call) -> Response {
    let mut blocks = vec![];
    let (lines, root) = build(&call.parts(), &mut blocks);
    if call.is("only-hash") {
        return reply::lines(&lines, None);
    }
    for (cid, bytes) in blocks {
        state.put(&cid, bytes);
    }
    state.net.provide(root, state.peer());
    if call.is("pin") {
        state.pin(root, call.get("pin-name").unwrap_or_default().to_owned());
    }
    reply::lines(&lines, None)
}

/// Files first, then directories from the deepest: each needs its children.
fn build(parts: &[Part], blocks: &mut Blocks) -> (Vec<Value>, Cid) {
    let mut done: BTreeMap<String, Link> = BTreeMap::new();
    let mut lines = vec![];
    let is_directory = |part: &&Part| part.content_type == "application/x-directory";
    for part in parts.iter().filter(|part| !is_directory(part)) {
        let link = match part.content_type.as_str() {
            "application/symlink" => unixfs::symlink(&part.data, blocks),
            _ => unixfs::file(&part.data, blocks),
        };
        done.insert(part.name.clone(), link);
    }
    let mut directories: Vec<&Part> = parts.iter().filter(is_directory).collect();
    directories.sort_by_key(|part| std::cmp::Reverse(part.name.matches('/').count()));
    for part in directories {
        let below = format!("{}/", part.name);
        let children = done.iter().filter_map(|(name, link)| {
            let name = name.strip_prefix(&below)?;
            (!name.contains('/')).then(|| (name.to_owned(), link.clone()))
        });
        let link = unixfs::directory(&children.collect(), blocks);
        done.insert(part.name.clone(), link);
    }
    for (name, link) in &done {
        lines.push(json!({"Name": name, "Bytes": link.file_size}));
        let size = link.total.to_string();
        lines.push(json!({"Name": name, "Hash": link.cid.to_string(), "Size": size}));
    }
    let shortest = done.iter().min_by_key(|(name, _)| name.len()).unwrap();
    (lines, shortest.1.cid)
}

/// All blocks under `cid`, the root first, each once.
pub(super) async fn walk(
    state: &State,
    cid: &Cid,
    offline: bool,
) -> Result<Vec<(Cid, Bytes)>, String> {
    let mut found: Vec<(Cid, Bytes)> = vec![];
    let mut open = vec![*cid];
    while let Some(cid) = open.pop() {
        if found.iter().any(|(known, _)| *known == cid) {
            continue;
        }
        let bytes = state.block(&cid, offline).await?;
        open.extend(links(&cid, &bytes)?.into_iter().rev());
        found.push((cid, bytes));
    }
    Ok(found)
}

fn links(cid: &Cid, bytes: &Bytes) -> Result<Vec<Cid>, String> {
    if cid.codec() == Codec::DagCbor.code() {
        let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(|e| e.to_string())?;
        let mut cids = vec![];
        value.references(&mut cids);
        return Ok(cids);
    }
    Ok(match unixfs::decode(cid, bytes)? {
        Node::File { links, .. } | Node::Directory(links) => {
            links.into_iter().map(|link| link.cid).collect()
        }
        Node::Symlink(_) => vec![],
    })
}

pub(super) async fn dag_stat(state: &State, call: &Call) -> Result<Response, String> {
    let blocks = walk(state, &call.cid(), call.is("offline")).await?;
    let size: usize = blocks.iter().map(|(_, bytes)| bytes.len()).sum();
    Ok(reply::lines(
        &[json!({"UniqueBlocks": blocks.len(), "TotalSize": size})],
        None,
    ))
}

pub(super) async fn dag_export(state: &State, call: &Call) -> Result<Response, String> {
    let cid = call.cid();
    let car = car::encode(cid, &walk(state, &cid, call.is("offline")).await?);
    Ok(reply::bytes(car, None, state.faults().cut))
}

pub(super) async fn dag_import(state: &State, call: &Call) -> Result<Response, String> {
    let (roots, blocks) = car::decode(&call.parts()[0].data)?;
    for (cid, bytes) in &blocks {
        state.put(cid, bytes.clone());
    }
    let mut lines = vec![];
    for root in roots.into_iter().filter(|_| call.is("pin-roots")) {
        let mut error = state.faults().pin_error;
        match walk(state, &root, true).await {
            Err(missing) => error = missing,
            Ok(_) if error.is_empty() => state.pin(root, String::new()),
            Ok(_) => {}
        }
        lines.push(json!({"Root": {"Cid": {"/": root.to_string()}, "PinErrorMsg": error}}));
    }
    lines.push(json!({"Stats": {"BlockCount": blocks.len()}}));
    Ok(reply::lines(&lines, None))
}
