//! What `invoke` and `schedule` have in common: the call and how it is placed.
//!
//! Takes flags, gives an [`InvokeRequest`] and the input's bytes.

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::io::ReaderStream;

use super::{
    connect::Connection,
    context::Context,
    exit, source,
    target::{self, Function, Input},
};
use crate::{
    compute::{ByteStream, Failure, InvokeRequest},
    config::{Size, Span},
    model::Limits,
};

/// A call, and how it is placed.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// CID, /ipfs/…, ipfs://…, name of a deployed function, or a path (.wasm, .wat, folder),
    /// which is deployed first
    function: String,
    /// CID, /ipfs/…, ipfs://…, a file of this machine, or - for standard input
    input: Option<String>,
    /// Arguments of the function
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    /// Export to call instead of the function's own
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// JSON that a Lambda function is given beside its event
    #[arg(long, value_name = "JSON")]
    client_context: Option<String>,
    /// Instructions that may be spent
    #[arg(long, value_name = "COUNT")]
    fuel: Option<u64>,
    /// Wall time that one attempt may take
    #[arg(long, value_name = "DURATION")]
    wall: Option<Span>,
    /// Memory that one attempt may use: 64MiB, 1GiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Run even if the result is remembered
    #[arg(long)]
    no_cache: bool,
    /// Only where all of the input already lies
    #[arg(long)]
    local_only: bool,
    /// Draw any willing node instead of ranking them
    #[arg(long)]
    no_placement: bool,
    /// Only on this peer
    #[arg(long, value_name = "PEER")]
    on: Option<String>,
    /// How long candidates are looked for [default: 2s]
    #[arg(long, value_name = "DURATION")]
    find_timeout: Option<Span>,
    /// How long a fetch waits before a CID counts as missing [default: 10s]
    #[arg(long, value_name = "DURATION")]
    fetch_timeout: Option<Span>,
}

/// Bytes of the pieces in which a file is sent.
const PIECE: usize = 256 << 10;

/// Bytes of input that ride along with a message; more is added to IPFS.
const RIDES_ALONG: u64 = 64 << 10;

impl Call {
    /// What is asked of the node. A local function is deployed on the way.
    pub(crate) async fn request(
        &self,
        cx: &Context,
        node: &Connection,
        private: bool,
    ) -> Result<(InvokeRequest, Option<ByteStream>), Failure> {
        let scheduler = cx.config(toml::Table::new())?.scheduler;
        let (input, stream) = self.open(cx, private).await?;
        let request = InvokeRequest {
            function: self.function(node).await?,
            entry: self.entry.clone(),
            args: self.args.clone(),
            client_context: self.client_context.clone(),
            input,
            limits: self.limits(),
            fuel: self.fuel,
            timeout: cx.globals.timeout.unwrap_or(scheduler.timeout).0,
            find_timeout: self.find_timeout.unwrap_or(scheduler.find_timeout).0,
            fetch_timeout: self.fetch_timeout.unwrap_or(scheduler.fetch_timeout).0,
            cache: !self.no_cache,
            local_only: self.local_only,
            placement: !self.no_placement,
            executor: self.on.clone(),
            pin: false,
            key: None,
            private,
        };
        Ok((request, stream))
    }

    /// Says what is wrong with the call before a node is asked for.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        target::function(&self.function)?;
        self.input.as_deref().map(target::input).transpose()?;
        Ok(())
    }

    async fn function(&self, node: &Connection) -> Result<String, Failure> {
        match target::function(&self.function)? {
            Function::Named(name) => Ok(name),
            Function::Local(path) => {
                let deployed = source::deploy(&node.client, source::read(&path)?).await?;
                Ok(deployed.function)
            }
        }
    }

    /// Only what was asked for; everything else stays the function's.
    fn limits(&self) -> Option<Limits> {
        if self.wall.is_none() && self.memory.is_none() {
            return None;
        }
        let wall = self
            .wall
            .map(|w| u64::try_from(w.0.as_millis()).unwrap_or(u64::MAX));
        Some(Limits {
            wall_ms: wall.unwrap_or(u64::MAX),
            memory_bytes: self.memory.map_or(u64::MAX, |m| m.0),
            output_bytes: u64::MAX,
            log_bytes: u64::MAX,
        })
    }

    async fn open(
        &self,
        cx: &Context,
        private: bool,
    ) -> Result<(Option<String>, Option<ByteStream>), Failure> {
        let Some(input) = self.input.as_deref().map(target::input).transpose()? else {
            return Ok((None, None));
        };
        let stream = match input {
            Input::Named(name) => {
                if private {
                    tell_once(cx, "told-named", NAMED)?;
                }
                return Ok((Some(name), None));
            }
            Input::Stdin => pieces(tokio::io::stdin()),
            Input::File(path) => {
                let failed = |e| exit::file(&path, &e);
                let file = tokio::fs::File::open(&path).await.map_err(failed)?;
                if !private && file.metadata().await.map_err(failed)?.len() > RIDES_ALONG {
                    tell_once(cx, "told-public", PUBLIC)?;
                }
                pieces(file)
            }
        };
        Ok((Some("-".to_owned()), Some(stream)))
    }
}

fn pieces(source: impl tokio::io::AsyncRead + Send + 'static) -> ByteStream {
    ReaderStream::with_capacity(source, PIECE)
        .map_err(std::io::Error::from)
        .boxed()
}

/// Said before the first file that is added.
const PUBLIC: &str = "Note: files over 64 KiB are added to IPFS; anyone who has the CID can fetch \
    them. With --private they are sealed first. This is said once.";

/// Said before the first input of a private invocation that is not sealed.
const NAMED: &str = "Note: an input that is named by its CID stays as it is; anyone who has the CID \
    can fetch it. Give the file itself to have it sealed. This is said once.";

/// Says it once per home.
fn tell_once(cx: &Context, marker: &str, what: &str) -> Result<(), Failure> {
    let home = cx.home()?;
    let told = home.path().join(marker);
    if told.exists() {
        return Ok(());
    }
    cx.out.note(what);
    let marked = home
        .create()
        .and_then(|()| home.write_whole(&told, "", 0o600));
    marked.map_err(|e| exit::file(&told, &e))
}
