//! `timerose completions`.

use clap_complete::Shell;

use super::{context::Context, exit::Stop};

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose completions bash > ~/.local/share/bash-completion/completions/timerose
  timerose completions zsh > ~/.zfunc/_timerose
  timerose completions fish > ~/.config/fish/completions/timerose.fish")]
pub(super) struct Args {
    /// Shell to complete in
    shell: Shell,
}

impl Args {
    pub(super) fn run(self, cx: &Context) -> Result<(), Stop> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "timerose", &mut script);
        cx.out.line(String::from_utf8_lossy(&script).trim_end())
    }
}
