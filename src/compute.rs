//! One invocation's life, in order: function, scheduler, executor, receipt.
//!
//! Takes requests from the doors and messages from the mesh, gives events and
//! verified results.

pub mod allow;
pub mod clock;
mod content;
pub mod executor;
mod explain;
mod failure;
mod function;
mod keeper;
mod memo;
mod report;
mod request;
pub mod scheduler;
pub mod storage;

pub use explain::{Candidate, Explanation, Terms};
pub use failure::Failure;
pub use report::{Deployed, Finished, InvocationEvent, Record, abi_name, runtime_name};
pub use request::{ByteStream, Code, DeployRequest, Draft, InvokeRequest};
