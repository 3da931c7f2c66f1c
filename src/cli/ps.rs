//! `timerose ps`.

use super::{
    connect::live,
    context::Context,
    exit::Stop,
    table::{millis, table, tail},
};
use crate::compute::{Deployed, Record};

/// List invocations, or deployed functions
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose ps                 what is open now
  timerose ps --all           also what ended
  timerose ps --functions     what can be invoked by name")]
pub(super) struct Args {
    /// Also what ended
    #[arg(short, long)]
    all: bool,
    /// Deployed functions instead
    #[arg(short, long, conflicts_with = "all")]
    functions: bool,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let client = live(cx).await?;
        let names = cx.out.is_quiet() && !cx.out.is_json();
        if self.functions {
            let functions = client.functions().await?;
            return cx.out.show(&functions, |all| match names {
                true => lines(all.iter().map(|f| f.function.as_str())),
                false => deployed(all),
            });
        }
        let records = client.records(self.all).await?;
        cx.out.show(&records, |all| match names {
            true => lines(all.iter().map(|r| r.invocation.as_str())),
            false => invocations(all),
        })
    }
}

fn lines<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join("\n")
}

fn invocations(records: &[Record]) -> String {
    let rows = records.iter().map(|r| {
        let executor = r.executor.as_deref().map_or_else(|| "–".to_owned(), tail);
        let error = r
            .error
            .as_ref()
            .map(|e| e.message.clone())
            .unwrap_or_default();
        vec![
            r.invocation.clone(),
            r.state.clone(),
            tail(&r.function),
            executor,
            r.attempts.to_string(),
            millis(r.elapsed_ms),
            error,
        ]
    });
    table(
        &[
            "INVOCATION",
            "STATE",
            "FUNCTION",
            "EXECUTOR",
            "ATTEMPTS",
            "ELAPSED",
            "ERROR",
        ],
        rows,
    )
}

fn deployed(functions: &[Deployed]) -> String {
    let rows = functions.iter().map(|f| {
        let name = f.name.clone().unwrap_or_else(|| "–".to_owned());
        vec![
            name,
            f.runtime.clone(),
            f.entries.join(","),
            f.function.clone(),
        ]
    });
    table(&["NAME", "RUNTIME", "ENTRIES", "FUNCTION"], rows)
}
