//! The paths, each with its handler.
//!
//! Gives one router for every listener; who may pass the TCP door is
//! `guard`'s business.

use std::sync::Arc;

use axum::{Router, http::StatusCode, response::Response, routing::post};

use super::{Backend, content, functions, images, invocations, machine, status::answer};
use crate::{compute::Failure, model::Class};

/// What every path begins with.
pub const PREFIX: &str = "/api/v0/compute";

/// The largest module that `deploy` takes over HTTP, bytes.
pub const MODULE_MAX: usize = 32 << 20;

/// Every path below [`PREFIX`], as the reference lists them.
pub const PATHS: [&str; 33] = [
    "deploy",
    "functions",
    "rm",
    "folder/add",
    "image/add",
    "image/ls",
    "image/rm",
    "invoke",
    "submit",
    "schedule",
    "ps",
    "result",
    "wait",
    "explain",
    "cancel",
    "dead/ls",
    "dead/retry",
    "dead/drop",
    "output",
    "logs",
    "receipt",
    "receipt/car",
    "allow/ls",
    "allow/add",
    "allow/rm",
    "nodes",
    "node",
    "storage",
    "gc",
    "purge",
    "shutdown",
    "version",
    "health",
];

/// All paths over `backend`.
pub(super) fn router<B: Backend>(backend: Arc<B>) -> Router {
    let compute = Router::new()
        .route("/deploy", post(functions::deploy::<B>))
        .route("/functions", post(functions::list::<B>))
        .route("/rm", post(functions::remove::<B>))
        .route("/folder/add", post(images::add_folder::<B>))
        .route("/image/add", post(images::add::<B>))
        .route("/image/ls", post(images::list::<B>))
        .route("/image/rm", post(images::remove::<B>))
        .route("/invoke", post(invocations::invoke::<B>))
        .route("/submit", post(invocations::submit::<B>))
        .route("/schedule", post(invocations::schedule::<B>))
        .route("/ps", post(invocations::list::<B>))
        .route("/result", post(invocations::result::<B>))
        .route("/wait", post(invocations::wait::<B>))
        .route("/explain", post(invocations::explain::<B>))
        .route("/cancel", post(invocations::cancel::<B>))
        .route("/dead/ls", post(invocations::dead::<B>))
        .route("/dead/retry", post(invocations::dead_retry::<B>))
        .route("/dead/drop", post(invocations::dead_drop::<B>))
        .route("/output", post(content::output::<B>))
        .route("/logs", post(content::logs::<B>))
        .route("/receipt", post(content::receipt::<B>))
        .route("/receipt/car", post(content::receipt_car::<B>))
        .route("/allow/ls", post(machine::allow_list::<B>))
        .route("/allow/add", post(machine::allow_add::<B>))
        .route("/allow/rm", post(machine::allow_remove::<B>))
        .route("/nodes", post(machine::nodes::<B>))
        .route("/node", post(machine::node::<B>))
        .route("/storage", post(machine::storage::<B>))
        .route("/gc", post(machine::gc::<B>))
        .route("/purge", post(machine::purge::<B>))
        .route("/shutdown", post(machine::shutdown::<B>))
        .route("/version", post(machine::version))
        .route("/health", post(machine::health::<B>));
    Router::new()
        .nest(PREFIX, compute)
        .fallback(no_such_path)
        .method_not_allowed_fallback(only_post)
        .with_state(backend)
}

async fn no_such_path() -> Response {
    let failure = Failure::new(Class::User, "bad_path", "there is no such path")
        .with_hint(format!("The paths are {PREFIX}/…: see docs/api.md."));
    answer(StatusCode::NOT_FOUND, &failure)
}

async fn only_post() -> Response {
    let failure = Failure::new(Class::User, "bad_method", "only POST is allowed here")
        .with_hint("A browser's address bar must not be able to cause anything.");
    answer(StatusCode::METHOD_NOT_ALLOWED, &failure)
}
