//! Help as people read it: exit codes under every long help, usage errors in
//! one line with a hint, and the reference in `docs/cli.md`.

use std::fmt::Write as _;

use clap::{
    Command, CommandFactory as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::exit::{self, bad};
use crate::compute::Failure;

/// The whole command line, as help and completions see it.
#[must_use]
pub fn command() -> Command {
    dress(super::Cli::command())
}

/// Adds the exit codes to the long help of a command and all below it.
fn dress(command: Command) -> Command {
    let help = match command.get_after_long_help() {
        Some(examples) => format!("{examples}\n\n{}", exit::TABLE),
        None => exit::TABLE.to_owned(),
    };
    command.after_long_help(help).mut_subcommands(dress)
}

/// A usage error in our own form; `word` is what stands where a command does.
pub(super) fn failure(error: &clap::Error, word: Option<&str>) -> Failure {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or("wrong usage");
    let message = first.trim_start_matches("error: ").trim_end_matches(':');
    let message = match error.kind() {
        ErrorKind::MissingRequiredArgument => format!("{message}: {}", listed(error)),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is due".to_owned(),
        _ => message.to_owned(),
    };
    let tip = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: ").map(sentence));
    bad("bad_usage", message).with_hint(tip.unwrap_or_else(|| see_help(word)))
}

fn sentence(tip: &str) -> String {
    let mut letters = tip.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What is missing, as clap lists it.
fn listed(error: &clap::Error) -> String {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.join(", "),
        Some(ContextValue::String(name)) => name.clone(),
        _ => String::new(),
    }
}

/// Where help for `word` is, if there is such a command.
fn see_help(word: Option<&str>) -> String {
    let root = super::Cli::command();
    match word.and_then(|word| root.find_subcommand(word)) {
        Some(known) => format!("`timerose {} --help` shows how.", known.get_name()),
        None => "`timerose --help` lists the commands.".to_owned(),
    }
}

/// Columns of the reference.
const WIDTH: usize = 100;

/// `docs/cli.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "<!-- Generated from src/cli; `cargo test` says when it is stale. -->\n# Command line\n",
    );
    let mut root = command().term_width(WIDTH);
    root.build();
    page(&mut text, &mut root);
    text
}

fn page(text: &mut String, command: &mut Command) {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _infallible = write!(
        text,
        "\n## {name}\n\n```text\n{}\n```\n",
        help.join("\n").trim_end()
    );
    for below in command.get_subcommands_mut() {
        if !below.is_hide_set() && below.get_name() != "help" {
            page(text, below);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }
}
