//! `deploy`, `functions`, `rm`.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State,
};

use super::{
    Backend, MODULE_MAX, Removed,
    query::{Pairs, Params},
    status::Refusal,
};
use crate::{
    compute::{Code, DeployRequest, Deployed, Failure},
    model::Class,
};

/// `deploy?draft={…}` with the module as the body, `deploy?arg=PATH&draft={…}`,
/// or `deploy?draft={…}` with `container={…}` or `lambda={…}`.
pub(super) async fn deploy<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
    body: Body,
) -> Result<Json<Deployed>, Refusal> {
    let params = Params::read(pairs, 0..=1, &["draft", "container", "lambda"])?;
    let draft = params.json("draft")?;
    let (container, lambda) = (params.json("container")?, params.json("lambda")?);
    let code = match (params.arg(0), container, lambda) {
        (Some(path), ..) => Code::Path(path.to_owned()),
        (None, Some(container), _) => Code::Container(container),
        (None, None, Some(lambda)) => Code::Lambda(lambda),
        (None, None, None) => {
            Code::Bytes(to_bytes(body, MODULE_MAX).await.map_err(|_| too_large())?)
        }
    };
    Ok(Json(backend.deploy(DeployRequest { draft, code }).await?))
}

/// `functions`
pub(super) async fn list<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Vec<Deployed>>, Refusal> {
    Params::read(pairs, 0..=0, &[])?;
    Ok(Json(backend.functions().await?))
}

/// `rm?arg=FUNCTION`
pub(super) async fn remove<B: Backend>(
    State(backend): State<Arc<B>>,
    pairs: Pairs,
) -> Result<Json<Removed>, Refusal> {
    let params = Params::read(pairs, 1..=1, &[])?;
    Ok(Json(backend.remove_function(params.only()).await?))
}

fn too_large() -> Failure {
    let message = format!(
        "the module did not arrive whole or exceeds {} MiB",
        MODULE_MAX >> 20
    );
    Failure::new(Class::User, "bad_module", message)
        .with_hint("Add a larger one with `ipfs add` and deploy its CID.")
}
