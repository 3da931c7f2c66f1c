//! The nouns: values that travel, are stored and are signed.
//!
//! Takes nothing from the rest of the crate, gives plain types with their
//! canonical serde form. No I/O, no async, no clock.

mod advert;
mod binding;
mod call;
mod ids;
mod limits;
mod manifest;
mod message;
mod receipt;
mod secret;

pub use advert::{Advert, Roles};
pub use binding::{Binding, BindingBody};
pub use call::Call;
pub use cid::Cid;
pub use ids::{BootId, InvocationId, LeaseId, ParseIdError};
pub use libp2p_identity::PeerId;
pub use limits::Limits;
pub use manifest::{Abi, FUNCTION_TAG, Lambda, Manifest, Runtime};
pub use message::{
    Assignment, Block, CandidateReport, Delivery, Follow, Lease, Message, Phase, Piece, Presence,
    Probe, Progress, Verdict,
};
pub use receipt::{Class, Outcome, RECEIPT_TAG, Receipt, Usage};
pub use secret::{ContentKey, Private};
