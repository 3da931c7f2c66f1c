//! `timerose init`.

use super::context::{Context, set};
use super::exit::{Stop, bad, file};
use crate::compute::Failure;
use crate::config::{Home, commented_file};

/// Make the home of a node
///
/// Writes config.toml with every setting and its default, and the bearer token of the TCP door.
/// If Kubo answers, the home belongs to its peer ID from then on. Not needed before `daemon`,
/// which does the same.
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
            return Err(bad("bad_home", format!("{} exists", home.config().display()))
                .with_hint("Edit it, or give another folder with --home.")
                .into());
        }
        home.create().map_err(|e| file(home.path(), &e))?;
        write(&home).map_err(|e| file(home.path(), &e))?;
        cx.out.line(home.path().display())?;
        cx.out.note("Next: timerose doctor, then timerose daemon");
        Ok(())
    }
}

fn write(home: &Home) -> std::io::Result<()> {
    home.write_whole(&home.config(), &commented_file(), 0o600)?;
    home.bearer()?;
    Ok(())
}
