//! `timerose invoke`.

use std::{path::PathBuf, time::Duration};

use futures_util::StreamExt as _;
use serde::Serialize;

use super::{
    call::Call,
    candidates,
    connect::{Connection, connect},
    context::{Context, out_of_time},
    exit::{self, Stop},
    output::Progress,
    save,
    table::{bytes, millis, tail},
};
use crate::{
    api::Events,
    compute::{ByteStream, Failure, Finished, InvocationEvent, InvokeRequest},
    model::{Class, Phase},
    telemetry::Format,
};

/// Run a function where its input lies
///
/// Finds the nodes that hold the input, ranks everyone who may run the function by predicted
/// time, runs it on the best and checks the signed receipt. A file that comes out is written to
/// standard output, of a directory its CID. Ctrl-C cancels.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose invoke wordcount bafy…             a deployed function over data on IPFS
  timerose invoke wordcount.wasm book.txt     deploy it first, over a file of this machine
  timerose invoke add.wat -- 2 3              arguments come after --
  cat book.txt | timerose invoke wordcount -
  timerose invoke thumbs bafy… -o pictures    save what comes out
  timerose invoke wordcount bafy… --dry-run   where would it run, and why?
  ID=$(timerose invoke wordcount bafy… --detach) && timerose result --wait $ID
  timerose invoke --private payroll - < pay.csv    whoever runs it reads it, and nobody else")]
pub(super) struct Args {
    #[command(flatten)]
    call: Call,
    /// Keep the output on this node for good
    #[arg(long)]
    pin: bool,
    /// Let only this node and those that are asked to run it read arguments, input, output and
    /// logs; nothing is remembered
    #[arg(long, conflicts_with = "pin")]
    private: bool,
    /// Show where it would run; nothing runs
    #[arg(long)]
    dry_run: bool,
    /// Save the output here; a directory is unpacked
    #[arg(short, long, value_name = "PATH", conflicts_with = "dry_run")]
    output: Option<PathBuf>,
    /// Hand it to the daemon and print its id: it goes on without this command, and after restarts
    #[arg(long, conflicts_with_all = ["dry_run", "output"])]
    detach: bool,
    /// Word that makes repeated submissions one invocation [default: a fresh one]
    #[arg(long, value_name = "KEY", requires = "detach")]
    key: Option<String>,
}

/// How long a cancelled invocation may take to confirm it.
const CONFIRM: Duration = Duration::from_secs(2);

/// How much later than the node the command itself gives up.
const SLACK: Duration = Duration::from_secs(5);

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        cx.start_logs("warn", Format::Text)?;
        self.call.check()?;
        self.output.as_deref().map(save::check).transpose()?;
        let progress = cx.out.progress();
        progress.say("connecting");
        let node = tokio::select! {
            node = connect(cx) => node?,
            _ = tokio::signal::ctrl_c() => return Err(Stop::Code(exit::CANCELLED)),
        };
        let ended = self.invoke(cx, &node, progress).await;
        node.close().await;
        ended
    }

    async fn invoke(
        &self,
        cx: &Context,
        node: &Connection,
        progress: Progress,
    ) -> Result<(), Stop> {
        let (mut request, input) = self.call.request(cx, node, self.private).await?;
        request.pin = self.pin;
        if self.detach {
            request.key = self.key.clone();
            return cx.bounded(detach(cx, node, request, input, progress)).await;
        }
        if self.dry_run {
            return cx.bounded(plan(cx, node, &request, input, progress)).await;
        }
        let patience = request.timeout + SLACK;
        let mut run = Run {
            node,
            progress,
            accepted: None,
            patience,
        };
        let ended = run
            .until_ended(cx, node.client.invoke(&request, input))
            .await?;
        let Run {
            progress, accepted, ..
        } = run;
        drop(progress);
        match ended {
            InvocationEvent::Done(finished) => self.deliver(cx, node, &finished).await,
            other => failed(cx, &request, accepted, other),
        }
    }

    async fn deliver(&self, cx: &Context, node: &Connection, f: &Finished) -> Result<(), Stop> {
        if let Some(path) = &self.output {
            save::save(node.client.output(f.output_name()).await?, path).await?;
        }
        if cx.out.is_json() {
            cx.out.show(&Answer::of(f), |_| String::new())?;
        } else if cx.out.is_quiet() || (f.is_directory && self.output.is_none()) {
            cx.out.line(&f.output)?;
        } else if self.output.is_none() {
            cx.out
                .copy(node.client.output(f.output_name()).await?.bytes)
                .await?;
        }
        cx.out.summary(summary(f));
        if f.exit == 0 {
            Ok(())
        } else {
            Err(exit_code(f.exit).into())
        }
    }
}

/// Submits it and prints its name. An answer that was lost is asked for again
/// under the same key, where the input can be sent again.
async fn detach(
    cx: &Context,
    node: &Connection,
    mut request: InvokeRequest,
    input: Option<ByteStream>,
    progress: Progress,
) -> Result<(), Stop> {
    request
        .key
        .get_or_insert_with(|| ulid::Ulid::new().to_string());
    let is_repeatable = input.is_none();
    let submitted = match node.client.submit(&request, input).await {
        Err(failure) if failure.class == Class::Lost && is_repeatable => {
            node.client.submit(&request, None).await
        }
        other => other,
    };
    let record = submitted?;
    drop(progress);
    cx.out.show(&record, |record| record.invocation.clone())
}

/// Shows where it would run.
async fn plan(
    cx: &Context,
    node: &Connection,
    request: &InvokeRequest,
    input: Option<ByteStream>,
    progress: Progress,
) -> Result<(), Stop> {
    let explanation = node.client.schedule(request, input).await?;
    drop(progress);
    cx.out.show(&explanation, candidates::show)
}

/// A run that is being watched.
struct Run<'a> {
    node: &'a Connection,
    progress: Progress,
    accepted: Option<Accepted>,
    patience: Duration,
}

/// What an invocation and its call are called.
struct Accepted {
    invocation: String,
    call: String,
}

impl Run<'_> {
    /// The last event, or the failure that came instead. The first Ctrl-C
    /// cancels and waits for the confirmation, the second ends at once.
    async fn until_ended(
        &mut self,
        cx: &Context,
        start: impl Future<Output = Result<Events, Failure>>,
    ) -> Result<InvocationEvent, Stop> {
        let deadline = tokio::time::sleep(self.patience);
        tokio::pin!(deadline);
        tokio::select! {
            ended = self.watch(start) => return Ok(ended?),
            () = &mut deadline => {
                self.cancel().await;
                return Err(out_of_time(cx.globals.timeout).into());
            }
            _ = tokio::signal::ctrl_c() => {}
        }
        self.progress.say("cancelling");
        tokio::select! {
            () = self.cancel() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Err(Stop::Code(exit::CANCELLED))
    }

    async fn watch(
        &mut self,
        start: impl Future<Output = Result<Events, Failure>>,
    ) -> Result<InvocationEvent, Failure> {
        let mut events = start.await?;
        while let Some(event) = events.next().await {
            match event? {
                end @ (InvocationEvent::Done(_) | InvocationEvent::Failed { .. }) => {
                    return Ok(end);
                }
                InvocationEvent::Accepted { invocation, call } => {
                    self.accepted = Some(Accepted { invocation, call });
                }
                other => self.progress.say(progress(&other)),
            }
        }
        Err(Failure::new(
            Class::Lost,
            "lost",
            "the invocation's events ended without its end",
        ))
    }

    /// Its stream is closed already, which cancels; this waits for the word.
    async fn cancel(&self) {
        if let Some(Accepted { invocation, .. }) = &self.accepted {
            let cancelled = self.node.client.cancel(invocation);
            let _unconfirmed = tokio::time::timeout(CONFIRM, cancelled).await;
        }
    }
}

fn progress(event: &InvocationEvent) -> String {
    match event {
        InvocationEvent::Placed {
            executor,
            attempt,
            predicted_ms,
        } => {
            let again = if *attempt > 1 {
                format!(" (attempt {attempt})")
            } else {
                String::new()
            };
            format!(
                "on {}{again}, {} predicted",
                tail(executor),
                millis(*predicted_ms)
            )
        }
        InvocationEvent::Progress { phase, input_bytes } => {
            let phase = match phase {
                Phase::Queued => "waits for a slot",
                Phase::Fetching => "fetches code and input",
                Phase::Running => "runs",
                Phase::Storing => "stores the output",
            };
            format!("{phase}, {} read", bytes(*input_bytes))
        }
        InvocationEvent::Retry { executor, reason } => {
            format!("{} gave up ({reason}); trying another", tail(executor))
        }
        _ => "looking for nodes that hold the input".to_owned(),
    }
}

/// The design's JSON of an invocation.
#[derive(Debug, Default, Serialize)]
struct Answer<'a> {
    invocation: Option<&'a str>,
    call: Option<&'a str>,
    function: Option<&'a str>,
    output: Option<&'a str>,
    receipt: Option<&'a str>,
    executor: Option<&'a str>,
    cached: bool,
    elapsed_ms: Option<u64>,
    bytes_moved: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

impl<'a> Answer<'a> {
    fn of(f: &'a Finished) -> Self {
        Self {
            invocation: Some(&f.invocation),
            call: Some(&f.call),
            function: Some(&f.function),
            output: Some(&f.output),
            receipt: Some(&f.receipt),
            executor: Some(&f.executor),
            cached: f.cached,
            elapsed_ms: Some(f.elapsed_ms),
            bytes_moved: Some(f.bytes_moved),
            private: f.private,
            error: (f.exit != 0).then(|| exit_code(f.exit)),
        }
    }
}

fn failed(
    cx: &Context,
    request: &InvokeRequest,
    accepted: Option<Accepted>,
    end: InvocationEvent,
) -> Result<(), Stop> {
    let InvocationEvent::Failed {
        invocation,
        error,
        receipt,
        executor,
    } = end
    else {
        return Ok(());
    };
    if cx.out.is_json() {
        let answer = Answer {
            invocation: Some(&invocation),
            call: accepted.as_ref().map(|a| a.call.as_str()),
            function: Some(&request.function),
            receipt: receipt.as_deref(),
            executor: executor.as_deref(),
            private: request.private,
            error: Some(error.clone()),
            ..Answer::default()
        };
        cx.out.show(&answer, |_| String::new())?;
    }
    if error.hint.is_some() {
        return Err(error.into());
    }
    let more =
        format!("`timerose logs {invocation}` and `timerose explain {invocation}` say more.");
    Err(error.with_hint(more).into())
}

fn exit_code(code: i32) -> Failure {
    Failure::new(
        Class::User,
        "exit",
        format!("the function ended with exit code {code}"),
    )
    .with_hint("`timerose logs` shows what it wrote to standard error.")
}

/// Where it ran, how much of the input lay there, time, bytes moved, receipt.
fn summary(f: &Finished) -> String {
    let took = millis(f.elapsed_ms);
    let ran = if f.cached {
        "remembered from"
    } else {
        "ran on"
    };
    let (lay, moved) = (bytes(f.bytes_local), bytes(f.bytes_moved));
    let private = if f.private { "private " } else { "" };
    format!(
        "{ran} {} in {took}; {lay} of the input lay there, {moved} moved; {private}receipt {} verified",
        tail(&f.executor),
        f.receipt
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Usage;

    #[test]
    fn the_json_and_the_summary_are_those_of_the_design() {
        let finished = Finished {
            invocation: "01J".to_owned(),
            call: "bafycall".to_owned(),
            function: "bafyfunction".to_owned(),
            output: "bafkoutput".to_owned(),
            is_directory: false,
            receipt: "bafyreceipt".to_owned(),
            executor: "12D3KooWnear0001".to_owned(),
            cached: false,
            elapsed_ms: 1_234,
            bytes_moved: 2_048,
            bytes_local: 50 << 20,
            exit: 0,
            usage: Usage::default(),
            logs: None,
            private: false,
        };
        insta::assert_snapshot!(serde_json::to_string(&Answer::of(&finished)).unwrap(), @r#"{"invocation":"01J","call":"bafycall","function":"bafyfunction","output":"bafkoutput","receipt":"bafyreceipt","executor":"12D3KooWnear0001","cached":false,"elapsed_ms":1234,"bytes_moved":2048}"#);
        insta::assert_snapshot!(summary(&finished), @"ran on …near0001 in 1.2 s; 50.0 MiB of the input lay there, 2.0 KiB moved; receipt bafyreceipt verified");
    }
}
