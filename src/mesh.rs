//! x
pub(crate) mod session;
