//! Names in Kubo's pubsub, streams and DHT. The mesh name is part of each, so that
//! meshes do not hear one another.

use cid::Cid;

use super::{
    Address,
    block::{RAW, cid_of},
};

/// The topic on which a sidecar listens.
#[must_use]
pub fn inbox(mesh: &str, owner: &Address) -> String {
    format!("timerose/1/{mesh}/inbox/{owner}")
}

/// The topic of adverts.
#[must_use]
pub fn adverts(mesh: &str) -> String {
    format!("timerose/1/{mesh}/adverts")
}

/// The libp2p protocol of streams between sidecars.
#[must_use]
pub fn stream(mesh: &str) -> String {
    format!("/x/timerose/1/{mesh}")
}

/// The raw block whose providers are the mesh's executors of a runtime
/// (`wasm/wasi`).
#[must_use]
pub fn rendezvous_block(mesh: &str, runtime: &str) -> Vec<u8> {
    format!("timerose/1/{mesh}/executor/{runtime}").into_bytes()
}

/// The CID of [`rendezvous_block`].
#[must_use]
pub fn rendezvous(mesh: &str, runtime: &str) -> Cid {
    cid_of(RAW, &rendezvous_block(mesh, runtime))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_meshes_share_no_name() {
        assert_ne!(adverts("public"), adverts("lab"));
        assert_ne!(
            rendezvous("public", "wasm/wasi"),
            rendezvous("lab", "wasm/wasi")
        );
        assert_eq!(
            rendezvous_block("public", "wasm/wasi"),
            b"timerose/1/public/executor/wasm/wasi"
        );
    }
}
