//! `timerose storage`.

use super::{
    connect::live,
    context::Context,
    exit::Stop,
    table::{bytes, millis, table},
};
use crate::api::{Freed, Kept, Storage};

/// Show what TimeRose keeps
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose storage
  timerose storage --enc=json")]
pub(super) struct Args {}

impl Args {
    pub(super) async fn run(self, cx: &Context) -> Result<(), Stop> {
        let storage = live(cx).await?.storage().await?;
        cx.out.show(&storage, text)
    }
}

fn text(storage: &Storage) -> String {
    let bounds = format!(
        "results stay {} within {}",
        millis(storage.keep_ms),
        bytes(storage.max_bytes)
    );
    format!("{}\n{bounds}", kept(&storage.kept))
}

/// What `gc` and `purge` print.
pub(super) fn freed(freed: &Freed) -> String {
    let total = bytes(freed.removed.iter().map(|k| k.bytes).sum());
    let word = if freed.dry_run { "would free" } else { "freed" };
    match freed.removed.as_slice() {
        [] => format!("{word} nothing"),
        removed => format!("{}\n{word} {total}", kept(removed)),
    }
}

fn kept(kept: &[Kept]) -> String {
    let rows = kept
        .iter()
        .map(|k| vec![k.kind.clone(), k.count.to_string(), bytes(k.bytes)]);
    table(&["KIND", "COUNT", "SIZE"], rows)
}
