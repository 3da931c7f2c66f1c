//! Help as people read it: exit codes under every long help, usage errors in
//! one line with a hint, and the reference in `docs/cli.md`.

use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _};

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

/// A usage error in our own form.
pub(super) fn failure(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or("wrong usage");
    let message = first.trim_start_matches("error: ").trim_end_matches(':');
    let message = match error.kind() {
        ErrorKind::MissingRequiredArgument => format!("{message}: {}", listed(error)),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is due".to_owned(),
        _ => message.to_owned(),
    };
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ").map(sentence));
    bad("bad_usage", message).with_hint(tip.unwrap_or_else(|| see_help(&text)))
}

fn sentence(tip: &str) -> String {
    let mut letters = tip.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
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

/// `timerose invoke --help` out of clap's usage line.
fn see_help(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: "));
    let words = usage.unwrap_or("timerose").split(' ');
    let command: Vec<&str> =
        words.take_while(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
    format!("`{} --help` shows how.", command.join(" "))
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
    let _infallible = write!(text, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
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
