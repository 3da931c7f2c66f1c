//! What a node can do, as the doors see it.
//!
//! `node.rs` implements it for the real node, tests for a fake one. Names of
//! invocations may be shortened to any prefix or suffix that is unique.

use std::{future::Future, time::Duration};

use futures_util::stream::BoxStream;

use super::shape::{Allowed, Freed, NodeInfo, NodeView, Output, Removed, Storage};
use crate::compute::{
    AddedFolder, AddedImage, ByteStream, DeployRequest, Deployed, Explanation, Failure,
    ImageSource, InvocationEvent, InvokeRequest, KeptImage, Record,
};

/// Events of one invocation; dropping it before its end cancels the invocation.
pub type EventStream = BoxStream<'static, InvocationEvent>;

/// A node, or what stands for one. Implementations write `async fn`.
pub trait Backend: Send + Sync + 'static {
    /// Makes a function of code; the same code and draft give the same CID.
    fn deploy(
        &self,
        request: DeployRequest,
    ) -> impl Future<Output = Result<Deployed, Failure>> + Send;

    /// Starts an invocation. `input` is there when the request's input is `-`.
    fn invoke(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> impl Future<Output = Result<EventStream, Failure>> + Send;

    /// Takes an invocation that outlives its caller and the node's restarts;
    /// answers once it is on disk.
    fn submit(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// Durable invocations that were given up, oldest first.
    fn dead(&self) -> impl Future<Output = Result<Vec<Record>, Failure>> + Send;

    /// Gives one of them its tries and its time again.
    fn dead_retry(&self, invocation: &str) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// Gives one of them up for good.
    fn dead_drop(&self, invocation: &str) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// Where an invocation would run; nothing runs.
    fn schedule(
        &self,
        request: InvokeRequest,
        input: Option<ByteStream>,
    ) -> impl Future<Output = Result<Explanation, Failure>> + Send;

    /// An invocation, running or over.
    fn record(&self, invocation: &str) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// Open invocations, newest first; with `all` also those that ended.
    fn records(&self, all: bool) -> impl Future<Output = Result<Vec<Record>, Failure>> + Send;

    /// The invocation once it ended, or as it is after `timeout`.
    fn wait(
        &self,
        invocation: &str,
        timeout: Duration,
    ) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// Ends an invocation; gives it as it is afterwards.
    fn cancel(&self, invocation: &str) -> impl Future<Output = Result<Record, Failure>> + Send;

    /// What the guest wrote to standard error; with `follow` as it writes it.
    fn logs(
        &self,
        invocation: &str,
        follow: bool,
    ) -> impl Future<Output = Result<ByteStream, Failure>> + Send;

    /// The output of an invocation, or of a CID.
    fn output(&self, name: &str) -> impl Future<Output = Result<Output, Failure>> + Send;

    /// The canonical bytes of the receipt of an invocation, or of a CID.
    fn receipt(&self, name: &str) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send;

    /// A CAR whose root is that receipt, with call, manifest and the output
    /// while it is small.
    fn receipt_car(&self, name: &str) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send;

    /// Deployed functions.
    fn functions(&self) -> impl Future<Output = Result<Vec<Deployed>, Failure>> + Send;

    /// Forgets a deployed function, by CID or name.
    fn remove_function(&self, name: &str) -> impl Future<Output = Result<Removed, Failure>> + Send;

    /// Who may run code here.
    fn allow_list(&self) -> impl Future<Output = Result<Vec<Allowed>, Failure>> + Send;

    /// Lets a peer (or `any`) run code here, at once, for a time or for good.
    fn allow_add(
        &self,
        peer: &str,
        lasts: Option<Duration>,
    ) -> impl Future<Output = Result<Allowed, Failure>> + Send;

    /// Takes that back; what runs already goes on.
    fn allow_remove(&self, peer: &str) -> impl Future<Output = Result<Allowed, Failure>> + Send;

    /// This node and everyone it knows.
    fn nodes(&self) -> impl Future<Output = Result<Vec<NodeView>, Failure>> + Send;

    /// What this node says of itself.
    fn node(&self) -> impl Future<Output = Result<NodeInfo, Failure>> + Send;

    /// Stores an image; gives its CID.
    fn add_image(
        &self,
        from: ImageSource,
    ) -> impl Future<Output = Result<AddedImage, Failure>> + Send;

    /// Stores a folder, given as a TAR archive below one top folder.
    fn add_folder(
        &self,
        archive: ByteStream,
    ) -> impl Future<Output = Result<AddedFolder, Failure>> + Send;

    /// Images that are kept.
    fn images(&self) -> impl Future<Output = Result<Vec<KeptImage>, Failure>> + Send;

    /// Lets go of an image.
    fn remove_image(&self, image: &str) -> impl Future<Output = Result<KeptImage, Failure>> + Send;

    /// What is kept.
    fn storage(&self) -> impl Future<Output = Result<Storage, Failure>> + Send;

    /// Removes what is kept beyond its time or bounds.
    fn gc(&self, dry_run: bool) -> impl Future<Output = Result<Freed, Failure>> + Send;

    /// Removes everything that TimeRose wrote, deployed functions included.
    fn purge(&self, dry_run: bool) -> impl Future<Output = Result<Freed, Failure>> + Send;

    /// Asks the node to end; answers before it does.
    fn shutdown(&self) -> impl Future<Output = ()> + Send;
}
