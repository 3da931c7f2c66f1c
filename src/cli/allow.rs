//! `timerose allow`: who may run code on this node.

use super::{
    connect::live,
    context::Context,
    exit::{Stop, bad},
    table::table,
};
use crate::{api::Allowed, compute::Failure, config::Span, model::PeerId};

/// Say who may run code on this node
///
/// At first that is this node alone, and then it advertises nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose allow add 12D3KooW…              until it is taken back
  timerose allow add 12D3KooW… --for 168h   for a week
  timerose allow add any                    everybody in the mesh
  timerose allow rm any
  timerose allow ls")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Let a peer run code here, at once
    Add {
        /// Peer ID, or any
        peer: String,
        /// For how long: 30m, 24h, 7d
        #[arg(long = "for", value_name = "DURATION", value_parser = lasting)]
        lasts: Option<Span>,
    },
    /// Take that back; what runs already goes on
    Rm {
        /// Peer ID, or any
        peer: String,
    },
    /// List who may
    Ls,
}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        match self.command {
            Command::Add { peer, lasts } => {
                check(&peer)?;
                let lasts = lasts.map(|span| span.0);
                let allowed = live(cx).await?.allow_add(&peer, lasts).await?;
                cx.out.show(&allowed, line)
            }
            Command::Rm { peer } => {
                check(&peer)?;
                let allowed = live(cx).await?.allow_remove(&peer).await?;
                cx.out.show(&allowed, |a| a.peer.clone())
            }
            Command::Ls => {
                let allowed = live(cx).await?.allow_list().await?;
                cx.out.show(&allowed, |all| {
                    let rows = all
                        .iter()
                        .map(|a| vec![a.peer.clone(), until(a), a.source.clone()]);
                    table(&["PEER", "UNTIL", "SOURCE"], rows)
                })
            }
        }
    }
}

/// A duration that may also count whole days, which Go's form cannot.
fn lasting(text: &str) -> Result<Span, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u64>().ok());
    let hours = days
        .and_then(|days| days.checked_mul(24))
        .map(|hours| format!("{hours}h"));
    hours
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|e: crate::config::UnitError| e.to_string())
}

fn check(peer: &str) -> Result<(), Failure> {
    if peer == "any" || peer.parse::<PeerId>().is_ok() {
        return Ok(());
    }
    Err(bad("bad_peer", format!("{peer:?} is no peer ID"))
        .with_hint("`timerose node ls` lists them; `any` means everybody."))
}

fn line(allowed: &Allowed) -> String {
    format!("{} {}", allowed.peer, until(allowed))
}

fn until(allowed: &Allowed) -> String {
    let time = allowed.until.and_then(|ms| i64::try_from(ms).ok());
    let time = time.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "for good".to_owned(), |t| format!("until {t:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_understood_where_people_think_in_them() {
        assert_eq!(lasting("7d"), Ok(Span::secs(7 * 86_400)));
        assert_eq!(lasting("90m"), Ok(Span::secs(5_400)));
        assert!(lasting("7").is_err());
    }
}
