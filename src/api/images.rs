//! `image/add`, `image/ls`, `image/rm`, and `folder/add` for code that is no file.

use std::sync::Arc;

use axum::{Json, body::Body, extract::State};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{
    Backend,
    query::{Pairs, Params},
    status::Refusal,
};
use crate::compute::{AddedFolder, AddedImage, ImageSource, KeptImage};

/// `image/add?arg=NAME` of an image in the node's engine, or with an archive
/// as the body.
pub(super) async fn add<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Json<AddedImage>, Refusal> {
    let params = Params::read(pairs, 0..=1, &[])?;
    let from = match params.arg(0) {
        Some(name) => ImageSource::Engine(name.to_owned()),
        None => {
            let bytes = body.into_data_stream().map_err(std::io::Error::other);
            ImageSource::Archive(bytes.boxed())
        }
    };
    Ok(Json(backend.add_image(from).await?))
}

/// `folder/add`, with a TAR archive of the folder as the body.
pub(super) async fn add_folder<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Json<AddedFolder>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    Ok(Json(backend.add_folder(bytes.boxed()).await?))
}

/// `image/ls`
pub(super) async fn list<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<KeptImage>>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.images().await?))
}

/// `image/rm?arg=CID`
pub(super) async fn remove<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<KeptImage>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.remove_image(params.only()).await?))
}
