//! Help, completions, and the generated reference pages.

use std::path::Path;

use crate::cli_run::run;

/// Fails when `file` is not `text`, and makes it so.
#[track_caller]
fn is_fresh(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if found != text {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        panic!("{file} was stale; it was written anew: look at the difference and commit it");
    }
}

#[test]
fn the_reference_of_the_command_line_is_fresh() {
    is_fresh("docs/cli.md", &timerose::cli::reference());
}

#[test]
fn the_reference_of_the_settings_is_fresh() {
    is_fresh("docs/config.md", &timerose::config::reference());
}

#[test]
fn every_command_has_examples_and_exit_codes_in_its_long_help() {
    let mut root = timerose::cli::command();
    root.build();
    for command in root.get_subcommands_mut() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        let help = command.render_long_help().to_string();
        assert!(help.contains("EXAMPLES"), "{}", command.get_name());
        assert!(help.contains("EXIT CODES"), "{}", command.get_name());
        let short = command.render_help().to_string();
        assert!(!short.contains("EXIT CODES") && !short.contains("--api-auth"), "{short}");
    }
}

#[tokio::test]
async fn help_is_data_and_ends_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["-h"]).await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(said.stdout, @"");
    let said = run(dir.path(), &["invoke", "-h"]).await;
    insta::assert_snapshot!(said.stdout, @"");
}

#[tokio::test]
async fn completions_name_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let said = run(dir.path(), &["completions", shell]).await;
        assert_eq!(said.code, 0);
        assert!(said.stdout.contains("invoke"), "{shell}");
    }
}
