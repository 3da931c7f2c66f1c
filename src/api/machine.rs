//! `allow/*`, `nodes`, `node`, `storage`, `gc`, `purge`, `shutdown`, `version`,
//! `health`: the node itself.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};

use super::{
    Allowed, Backend, Freed, Health, NodeInfo, NodeView, Storage, Version,
    query::{Pairs, Params},
    status::Refusal,
};

/// `allow/ls`
pub(super) async fn allow_list<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<Allowed>>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.allow_list().await?))
}

/// `allow/add?arg=PEER[&for_ms=3600000]`
pub(super) async fn allow_add<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Allowed>, Refusal> {
    let params = Params::read(pairs, 1..=1, &["for_ms"])?;
    let lasts = params.parsed("for_ms")?.map(Duration::from_millis);
    Ok(Json(backend.allow_add(params.only(), lasts).await?))
}

/// `allow/rm?arg=PEER`
pub(super) async fn allow_remove<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Allowed>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.allow_remove(params.only()).await?))
}

/// `nodes`
pub(super) async fn nodes<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<NodeView>>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.nodes().await?))
}

/// `node`
pub(super) async fn node<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<NodeInfo>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.node().await?))
}

/// `storage`
pub(super) async fn storage<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Storage>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.storage().await?))
}

/// `gc[?dry-run=true]`
pub(super) async fn gc<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Freed>, Refusal> {
    let params = Params::read(pairs, 0..=0, &["dry-run"])?;
    Ok(Json(backend.gc(params.flag("dry-run")?).await?))
}

/// `purge[?dry-run=true]`
pub(super) async fn purge<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Freed>, Refusal> {
    let params = Params::read(pairs, 0..=0, &["dry-run"])?;
    Ok(Json(backend.purge(params.flag("dry-run")?).await?))
}

/// `shutdown`
pub(super) async fn shutdown<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Version>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    backend.shutdown().await;
    Ok(Json(this_version()))
}

/// `version`
pub(super) async fn version(pairs: Pairs) -> Result<Json<Version>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(this_version()))
}

/// `health`
pub(super) async fn health<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Health>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.node().await?.health))
}

fn this_version() -> Version {
    Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: "v0".to_owned(),
    }
}
