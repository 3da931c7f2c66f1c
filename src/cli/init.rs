//! `timerose init`.

use super::{
    context::Context,
    exit::{Stop, bad, file},
};
use crate::config::{Config, Home, commented_file};

/// Make the home of a node
///
/// Writes config.toml with every setting and its default, and the bearer token of the TCP door.
/// If Kubo answers, the home belongs to its peer ID from then on. Not needed before daemon, which
/// makes what it misses.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose init
  timerose init --home /var/lib/timerose --api /ip4/127.0.0.1/tcp/5001")]
pub(super) struct Args {}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let home = cx.home()?;
        if home.config().exists() {
            return Err(
                bad("bad_home", format!("{} exists", home.config().display()))
                    .with_hint("Edit it, or give another folder with --home.")
                    .into(),
            );
        }
        let peer = peer(&cx.config(toml::Table::new())?).await;
        if peer.is_none() {
            cx.out.note(
                "Note: Kubo does not answer; the daemon's first start binds this home to it.",
            );
        }
        home.create().map_err(|e| file(home.path(), &e))?;
        write(&home, peer.as_deref()).map_err(|e| file(home.path(), &e))?;
        cx.out.line(home.path().display())?;
        cx.out.note("Next: timerose doctor, then timerose daemon");
        Ok(())
    }
}

/// Whose home it will be, if Kubo answers.
async fn peer(config: &Config) -> Option<String> {
    let id = config.kubo.client().ok()?.id().await.ok()?;
    Some(id.peer.to_string())
}

fn write(home: &Home, peer: Option<&str>) -> std::io::Result<()> {
    let mut text = commented_file();
    if let Some(peer) = peer {
        text = text.replace("#peer = …", &format!("peer = \"{peer}\""));
    }
    home.write_whole(&home.config(), &text, 0o600)?;
    home.bearer()?;
    Ok(())
}
