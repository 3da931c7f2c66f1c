//! `timerose bench`: what an invocation costs here, beside what it cannot cost
//! less than.
//!
//! Takes Kubo's program, or a peer of the running daemon; gives warm latency,
//! throughput and the raw floors of the same run. Each run of a figure stands
//! beside a run of its floor, so that a machine whose speed changes changes
//! both; what one caller waits for is measured before many call. Judges nothing
//! but that no invocation was lost.

mod carrier;
mod floors;
mod load;
mod pair;
mod plan;
mod report;
mod series;

use std::path::{Path, PathBuf};

use carrier::Carrier;
use floors::{Echo, PubsubEcho, StreamEcho};
use load::Load;
use pair::{Pair, bench};
use plan::Plan;
use report::Measured;

use super::{
    connect::live,
    context::Context,
    dev::Signals,
    exit::{CANCELLED, Stop},
    output::Progress,
};
use crate::{task::Tasks, telemetry::Format};

/// Measure what an invocation costs on this machine
///
/// Starts two temporary nodes on loopback. One invokes, on the other, a function that reads its 128
/// bytes of input and exits: one at a time, from 64 callers, and durably, over pubsub and over a
/// stream. In the same minutes it measures what no invocation can beat: an echo between the two
/// Kubos over either, and appends to a file that reach the disk; and what a sealed message and its
/// acknowledgement take between the two nodes (`link`). Takes about two minutes; leaves nothing
/// behind. Ends with 1 if any invocation was lost.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose bench
  timerose bench --quick --enc=json | jq '.warm.pubsub_p50_ms / .floor.pubsub_echo_p50_ms'
  timerose bench --executor 12D3KooW…        from the running daemon to that peer

JSON
  floor.pubsub_echo_p50_ms floor.stream_echo_p50_ms floor.fsync_per_s
  link.pubsub_rtt_ms link.stream_rtt_ms
  warm.pubsub_p50_ms warm.stream_p50_ms held_per_s.pubsub held_per_s.stream durable_per_s lost
  are paths into nested objects. Each figure is the median of its runs, which are below `runs`;
  `ratio` has the figures that stand on a floor. What could not be measured is null, with its
  reason in `missing`.")]
pub(super) struct Args {
    /// End within 30 seconds: shorter runs, rougher figures
    #[arg(long)]
    quick: bool,
    /// Measure from the running daemon to this peer, which must allow it; nothing is started
    #[arg(long, value_name = "PEER")]
    executor: Option<String>,
    /// Kubo's program, for the temporary nodes
    #[arg(long, value_name = "PROGRAM", env = "IPFS_BIN", default_value = "ipfs")]
    #[arg(hide_env_values = true)]
    ipfs: PathBuf,
}

impl Args {
    /// Handles the signals itself: what was started goes with the measurement.
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        cx.start_logs("warn", Format::Text)?;
        let mut signals = Signals::new()?;
        tokio::select! {
            ended = cx.bounded(self.measure(cx)) => ended,
            () = signals.any() => Err(Stop::Code(CANCELLED)),
        }
    }

    async fn measure(&self, cx: &Context) -> Result<(), Stop> {
        let progress = cx.out.progress();
        let plan = if self.quick { Plan::QUICK } else { Plan::FULL };
        let bench = Bench {
            plan,
            progress,
            tasks: Tasks::new(),
            measured: Measured::default(),
        };
        let measured = match &self.executor {
            Some(peer) => bench.against(cx, peer).await?,
            None => bench.on_temporary_nodes(&self.ipfs).await?,
        };
        for (key, why) in &measured.missing {
            cx.out.note(format_args!("{key}: {why}"));
        }
        cx.out.show(&measured.json(), |_| measured.table())?;
        nothing_lost(measured)
    }
}

/// A measurement under way.
struct Bench {
    plan: Plan,
    progress: Progress,
    tasks: Tasks,
    measured: Measured,
}

impl Bench {
    async fn on_temporary_nodes(mut self, ipfs: &Path) -> Result<Measured, Stop> {
        self.progress.say("starting two nodes");
        let mut pair = Pair::start(ipfs, Carrier::Pubsub).await?;
        self.over(&pair, Carrier::Pubsub, false).await?;
        self.progress.say("changing over to a stream");
        pair.change_over(Carrier::Stream).await?;
        self.over(&pair, Carrier::Stream, true).await?;
        self.progress.say("removing the nodes");
        pair.stop().await?;
        Ok(self.measured)
    }

    /// Everything over one carrier, which must be what carried it in the end;
    /// what does not depend on it once.
    async fn over(&mut self, pair: &Pair, carrier: Carrier, durably: bool) -> Result<(), Stop> {
        let (here, there) = pair.both()?;
        let echo = match carrier {
            Carrier::Pubsub => {
                Echo::Pubsub(Box::new(PubsubEcho::open(&here.kubo, &there.kubo).await?))
            }
            Carrier::Stream => {
                Echo::Stream(StreamEcho::open(&here.kubo, &there.kubo, &self.tasks).await?)
            }
        };
        let (client, peer) = (pair.client()?, there.kubo.peer());
        self.measured.kubo = client.node().await?.kubo;
        let load = Load::deploy(client, &peer).await?;
        self.progress.say("warming up");
        load.warm_up(self.plan.warm_up).await?;
        // Who is not listed yet has no round trip to tell of.
        load.carrier().await?;
        let home = durably.then(|| here.sidecar.home());
        self.runs(carrier, Some(echo), &load, home).await?;
        let used = load.carrier().await?;
        if used != carrier {
            let (wanted, used) = (carrier.as_str(), used.as_str());
            return Err(bench(&format!("{used} carried what {wanted} should have")).into());
        }
        self.measured.tally.add(load.into_tally());
        Ok(())
    }

    /// From the live daemon, over whatever carries its messages.
    async fn against(mut self, cx: &Context, peer: &str) -> Result<Measured, Stop> {
        let client = live(cx).await?;
        self.measured.kubo = client.node().await?.kubo;
        let load = Load::deploy(client.clone(), peer).await?;
        self.progress.say("warming up");
        load.warm_up(self.plan.warm_up).await?;
        let carrier = load.carrier().await?;
        for echo in [Carrier::Pubsub, Carrier::Stream] {
            let why = "needs both Kubos; without --executor they are there";
            self.measured.misses_echo(echo, why);
        }
        let why = "is not what carries messages between these two nodes";
        self.measured.misses(carrier.other(), why);
        let home = cx.home()?;
        let ended = self.runs(carrier, None, &load, Some(home.path())).await;
        client.remove_function(load.function()).await?;
        ended?;
        self.measured.tally.add(load.into_tally());
        Ok(self.measured)
    }

    /// All runs over one carrier; those of durable invocations where `home`,
    /// the folder on whose disk they are kept, is given.
    async fn runs(
        &mut self,
        carrier: Carrier,
        echo: Option<Echo>,
        load: &Load,
        home: Option<&Path>,
    ) -> Result<(), Stop> {
        // What many callers leave behind would slow down a single one.
        self.one_caller(carrier, echo, load).await?;
        self.many_callers(carrier, load, home).await
    }

    async fn one_caller(
        &mut self,
        carrier: Carrier,
        mut echo: Option<Echo>,
        load: &Load,
    ) -> Result<(), Stop> {
        let (budget, pass) = (self.plan.latency, self.measured.pass(carrier));
        for run in 1..=self.plan.runs {
            let (over, runs) = (carrier.as_str(), self.plan.runs);
            self.progress
                .say(format!("one caller over {over}, run {run} of {runs}"));
            if let Some(echo) = &mut echo {
                pass.echo.add_latencies(&echo.run(budget).await?);
            }
            pass.warm.add_latencies(&load.one_by_one(budget).await);
            pass.link.add_latencies(load.rtt().await?.as_slice());
        }
        Ok(())
    }

    async fn many_callers(
        &mut self,
        carrier: Carrier,
        load: &Load,
        home: Option<&Path>,
    ) -> Result<(), Stop> {
        let plan = self.plan;
        let mut rate = match home {
            Some(_) => Some(load.durable(None, plan.durable).await),
            None => None,
        };
        for run in 1..=plan.runs {
            let (over, runs) = (carrier.as_str(), plan.runs);
            self.progress
                .say(format!("many callers over {over}, run {run} of {runs}"));
            let pass = self.measured.pass(carrier);
            pass.held.add_rate(load.held(plan.held).await);
            let Some(home) = home else { continue };
            let appends = floors::appends(home, plan.fsync, &self.tasks).await?;
            self.measured.fsync.add_rate(appends);
            let durable = load.durable(rate, plan.durable).await;
            self.measured.durable.add_rate(durable);
            self.measured.durable_over = Some(carrier);
            rate = Some(durable);
        }
        Ok(())
    }
}

/// The bench succeeded when every invocation did.
fn nothing_lost(measured: Measured) -> Result<(), Stop> {
    let tally = measured.tally;
    if tally.lost == 0 {
        return Ok(());
    }
    let reason = tally.first.map(|failure| failure.message);
    let message = format!(
        "{} of {} invocations were lost; the first: {}",
        tally.lost,
        tally.done + tally.lost,
        reason.unwrap_or_default()
    );
    Err(bench(&message).into())
}
