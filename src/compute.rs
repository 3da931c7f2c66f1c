//! One invocation's life, in order: function, scheduler, executor, receipt.
//!
//! Takes requests from the doors and messages from the mesh, gives events and
//! verified results.

mod explain;
mod failure;
mod report;
mod request;

pub use explain::{Candidate, Explanation, Terms};
pub use failure::Failure;
pub use report::{Deployed, Finished, InvocationEvent, Record, abi_name, runtime_name};
pub use request::{ByteStream, Code, DeployRequest, Draft, InvokeRequest};
