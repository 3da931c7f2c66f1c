//! Why a node did not come up, in the one shape that the doors show.

use std::fmt::Display;

use crate::{
    api::ServerError, compute::Failure, kubo as kubo_room, mesh as mesh_room, model::Class,
    sandbox as sandbox_room, store as store_room,
};

pub(super) fn kubo(error: &kubo_room::Error) -> Failure {
    use kubo_room::Error as E;
    let code = match error {
        E::Unreachable { .. } | E::Interrupted { .. } | E::Timeout { .. } => "kubo_unreachable",
        E::OldKubo { .. } => "kubo_too_old",
        E::PubsubDisabled => "kubo_without_pubsub",
        E::Forbidden { .. } => "kubo_forbidden",
        _ => "kubo",
    };
    let class = match error {
        E::OldKubo { .. } => Class::Refused,
        _ => Class::Node,
    };
    hinted(Failure::new(class, code, error.to_string()), error.hint())
}

pub(super) fn identity(error: &mesh_room::identity::Error) -> Failure {
    match error {
        mesh_room::identity::Error::Kubo(error) => kubo(error),
        other => Failure::new(Class::Node, "identity", other.to_string()),
    }
}

pub(super) fn store(error: &store_room::Error) -> Failure {
    hinted(
        Failure::new(Class::Node, "store", error.to_string()),
        error.hint(),
    )
}

pub(super) fn sandbox(error: &sandbox_room::Error) -> Failure {
    Failure::new(Class::Node, "sandbox", error.to_string())
}

pub(super) fn server(error: &ServerError) -> Failure {
    let failure = Failure::new(Class::Node, "listen", error.to_string());
    match error {
        ServerError::Taken(_) => {
            failure.with_hint("one daemon runs for this home already; another home: --home DIR")
        }
        _ => failure,
    }
}

pub(super) fn io(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Class::Node, "io", format!("{what}: {error}"))
}

pub(super) fn setting(key: &str, problem: &dyn Display) -> Failure {
    Failure::new(Class::User, "bad_setting", format!("{key}: {problem}"))
}

fn hinted(failure: Failure, hint: Option<impl Into<String>>) -> Failure {
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
