//! `timerose result`.

use std::{path::PathBuf, time::Duration};

use super::{
    connect::live,
    context::Context,
    exit::Stop,
    save,
    table::{bytes, millis},
};
use crate::{
    api::Client,
    compute::{Failure, Finished, Record},
    model::Class,
};

/// Show what became of an invocation
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose result 01JD…
  timerose result 01JD… --wait --timeout 5m
  timerose result 01JD… -o pictures
  CID=$(timerose result -q 01JD…)")]
pub(super) struct Args {
    /// Id of the invocation, or the end of it
    invocation: String,
    /// Wait until it ended
    #[arg(short, long)]
    wait: bool,
    /// Save the output here; a directory is unpacked
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
}

/// How long one question to the node lasts; asked again until it ended.
const ROUND: Duration = Duration::from_secs(60);

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        self.output.as_deref().map(save::check).transpose()?;
        let client = live(cx).await?;
        let record = self.record(&client).await?;
        if let Some(path) = &self.output {
            let name = finished(&record)?.output_name();
            save::save(client.output(name).await?, path).await?;
        }
        if cx.out.is_quiet() && !cx.out.is_json() {
            return cx.out.line(&finished(&record)?.output);
        }
        cx.out.show(&record, text)?;
        record.error.map_or(Ok(()), |failure| Err(failure.into()))
    }

    async fn record(&self, client: &Client) -> Result<Record, Failure> {
        if !self.wait {
            return client.record(&self.invocation).await;
        }
        loop {
            let record = client.wait(&self.invocation, ROUND).await?;
            if record.result.is_some() || record.error.is_some() {
                return Ok(record);
            }
        }
    }
}

fn finished(record: &Record) -> Result<&Finished, Failure> {
    match (&record.result, &record.error) {
        (Some(finished), _) => Ok(finished),
        (None, Some(failure)) => Err(failure.clone()),
        (None, None) => {
            let message = format!("invocation {} is {}", record.invocation, record.state);
            Err(Failure::new(Class::Missing, "not_finished", message)
                .with_hint("`timerose result --wait` waits for its end."))
        }
    }
}

fn text(record: &Record) -> String {
    let mut lines = vec![
        ("invocation", record.invocation.clone()),
        ("state", record.state.clone()),
        ("function", record.function.clone()),
        ("call", record.call.clone()),
        (
            "executor",
            record
                .executor
                .clone()
                .unwrap_or_else(|| "none yet".to_owned()),
        ),
        ("attempts", record.attempts.to_string()),
        ("elapsed", millis(record.elapsed_ms)),
    ];
    if let Some(finished) = &record.result {
        lines.push(("output", finished.output.clone()));
        lines.push(("receipt", finished.receipt.clone()));
        lines.push(("cached", finished.cached.to_string()));
        lines.push(("moved", bytes(finished.bytes_moved)));
        if finished.private {
            lines.push((
                "private",
                "yes: -o saves what the output CID seals".to_owned(),
            ));
        }
    }
    super::table::record(&lines)
}
