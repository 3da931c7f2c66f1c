//! Provider records: who says that it has a block.
//!
//! Takes CIDs, gives hints. A record proves nothing: it may be two days old or
//! a lie, and may name no address.

use cid::Cid;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use libp2p_identity::PeerId;
use serde::Deserialize;

use super::{
    Client, Error, FindProviders, command,
    ndjson::{LINE_LIMIT, Lines},
    node::parse_peer,
    rpc::Request,
};

/// One found provider. Can be the asking node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its peer ID.
    pub id: PeerId,
    /// Known addresses, without `/p2p/<peer>`; often none.
    pub addrs: Vec<String>,
}

/// A step of the query. Only type 4 carries providers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    r#type: u32,
    #[serde(default)]
    responses: Option<Vec<Response>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    addrs: Option<Vec<String>>,
}

const PROVIDER: u32 = 4;

impl Client {
    /// Looks for providers of `cid`, in the order in which they are found.
    /// Nobody found is an empty stream; the time limit ends it without error.
    ///
    /// # Errors
    /// Any of [`Error`] but its own timeout, at the beginning or in the stream.
    pub async fn find_providers(
        &self,
        cid: &Cid,
        options: FindProviders,
    ) -> Result<BoxStream<'static, Result<Provider, Error>>, Error> {
        let lines = match self.lines::<Event>(options.request(cid), LINE_LIMIT).await {
            Ok(lines) => lines,
            Err(Error::Timeout { .. }) => return Ok(stream::empty().boxed()),
            Err(error) => return Err(error),
        };
        let events = stream::try_unfold(lines, next_event);
        let found = events.flat_map(|event| match event {
            Ok(event) => stream::iter(providers(event)).left_stream(),
            Err(error) => stream::once(std::future::ready(Err(error))).right_stream(),
        });
        Ok(found.boxed())
    }

    /// Announces `cid`; returns once that is done.
    ///
    /// # Errors
    /// [`Error::Rpc`] if the block is not here, else any of [`Error`].
    pub async fn provide(&self, cid: &Cid) -> Result<(), Error> {
        self.finish(Request::new(&command::PROVIDE).arg(cid)).await
    }
}

async fn next_event(mut lines: Lines<Event>) -> Result<Option<(Event, Lines<Event>)>, Error> {
    match lines.next().await {
        Ok(event) => Ok(event.map(|event| (event, lines))),
        Err(Error::Timeout { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn providers(event: Event) -> Vec<Result<Provider, Error>> {
    let responses = event.responses.unwrap_or_default().into_iter();
    let found = responses.filter(|_| event.r#type == PROVIDER);
    let provider = |response: Response| {
        let id = parse_peer(command::FIND_PROVIDERS.path, &response.id)?;
        Ok(Provider {
            id,
            addrs: response.addrs.unwrap_or_default(),
        })
    };
    found.map(provider).collect()
}
