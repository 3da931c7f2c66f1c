//! `timerose deploy`.

use std::path::Path;

use super::{
    connect::{Connection, connect},
    context::Context,
    exit::{Stop, bad, file},
    source, target,
};
use crate::{
    compute::{Code, DeployRequest, Deployed, Draft, Failure},
    config::{Size, Span},
    model::Abi,
};

/// Make a function of code
///
/// Takes a module or component (.wasm, .wat), a folder with timerose.toml, or a CID, and prints the CID that
/// names the function from then on. The same code with the same description has the same CID.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose deploy wordcount.wasm
  timerose deploy examples/wordcount
  CID=$(timerose deploy -q add.wat)
  timerose deploy bafybei… --name wordcount
  timerose deploy tagger.wasm --abi fan      bytes in, bytes out, as IPFS-FAN calls it")]
pub(super) struct Args {
    /// Module, folder with timerose.toml, CID, /ipfs/… or ipfs://…
    code: String,
    /// Name for people [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// One line for people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// How a module is called: wasi, component, scalar, fan [default: told from the code]
    #[arg(long, value_parser = abi)]
    abi: Option<Abi>,
    /// Export that a call without an entry means
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The code has effects, or needs clock or randomness: its results are not remembered
    #[arg(long)]
    impure: bool,
    /// Repeated runs of impure code are harmless
    #[arg(long)]
    may_repeat: bool,
    /// Environment of the guest
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Wall time that one attempt may take [default: 60s]
    #[arg(long, value_name = "DURATION")]
    wall: Option<Span>,
    /// Memory that one attempt may use [default: 256MiB]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let request = self.request()?;
        let progress = cx.out.progress();
        progress.say("connecting");
        let node = connect(cx).await?;
        progress.say("deploying");
        let deployed = deploy(&node, request).await;
        node.close().await;
        drop(progress);
        let deployed = deployed?;
        if cx.out.is_quiet() && !cx.out.is_json() {
            return cx.out.line(&deployed.function);
        }
        cx.out.show(&deployed, text)?;
        cx.out
            .note(format!("Run it: timerose invoke {}", deployed.function));
        Ok(())
    }

    fn request(&self) -> Result<DeployRequest, Failure> {
        let mut request = if target::is_content(&self.code)? {
            DeployRequest {
                draft: Draft::default(),
                code: Code::Path(self.code.clone()),
            }
        } else if Path::new(&self.code).exists() {
            source::read(Path::new(&self.code))?
        } else {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(file(Path::new(&self.code), &missing)
                .with_hint("Give a module, a folder with timerose.toml, or a CID."));
        };
        self.describe(&mut request.draft)?;
        Ok(request)
    }

    fn describe(&self, draft: &mut Draft) -> Result<(), Failure> {
        let or = |given: &Option<String>, had: &mut Option<String>| {
            if given.is_some() {
                had.clone_from(given);
            }
        };
        or(&self.name, &mut draft.name);
        or(&self.description, &mut draft.description);
        or(&self.entry, &mut draft.entry);
        draft.abi = self.abi.or(draft.abi);
        draft.impure |= self.impure;
        draft.may_repeat |= self.may_repeat;
        if let Some(wall) = self.wall {
            draft.limits.wall_ms = u64::try_from(wall.0.as_millis()).unwrap_or(u64::MAX);
        }
        if let Some(memory) = self.memory {
            draft.limits.memory_bytes = memory.0;
        }
        for pair in &self.env {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| bad("bad_argument", format!("--env {pair:?}: KEY=VALUE is due")))?;
            draft.env.insert(key.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

async fn deploy(node: &Connection, request: DeployRequest) -> Result<Deployed, Failure> {
    source::deploy(&node.client, request).await
}

fn abi(text: &str) -> Result<Abi, String> {
    let named = Abi::ALL.into_iter().find(|abi| abi.as_str() == text);
    named.ok_or_else(|| format!("{} is due", Abi::ALL.map(Abi::as_str).join(", ")))
}

fn text(deployed: &Deployed) -> String {
    deployed.function.clone()
}
