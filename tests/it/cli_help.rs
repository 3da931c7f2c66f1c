//! Help, completions, and the generated reference pages.
//!
//! Long because: the snapshot of the whole help is one literal.

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
        assert!(
            !short.contains("EXIT CODES") && !short.contains("--api-auth"),
            "{short}"
        );
    }
}

#[tokio::test]
async fn help_is_data_and_ends_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["-h"]).await;
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(said.stdout, @r"
    Compute beside an unmodified Kubo: run code where the data lies

    Usage: timerose [OPTIONS] <COMMAND>

    Commands:
      init         Make the home of a node
      daemon       Run this node
      doctor       Look for what keeps this node from its work
      new          Begin a function from a template
      deploy       Make a function of code
      image        Store container images, and let go of them
      invoke       Run a function where its input lies
      schedule     Show where a function would run
      explain      Show why an invocation ran where it did
      logs         Print what an invocation wrote to standard error
      result       Show what became of an invocation
      receipt      Show, verify or export the signed receipt of a run
      cancel       End an invocation
      dead         See to invocations that every executor failed at
      ps           List invocations, or deployed functions
      rm           Forget a deployed function
      allow        Say who may run code on this node
      node         Show this node and the others of the mesh
      bench        Measure what an invocation costs on this machine
      dev          Start temporary nodes on this machine
      gc           Remove results that are beyond their time or bounds
      storage      Show what TimeRose keeps
      purge        Remove everything that TimeRose wrote, deployed functions included
      completions  Print completions for a shell
      shutdown     Ask the daemon to end
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help (see more with '--help')
      -V, --version  Print version
    ");
}

#[tokio::test]
async fn the_short_help_of_a_command_lists_its_own_options_alone() {
    let dir = tempfile::tempdir().unwrap();
    let said = run(dir.path(), &["invoke", "-h"]).await;
    insta::assert_snapshot!(said.stdout, @r"
    Run a function where its input lies

    Usage: timerose invoke [OPTIONS] <FUNCTION> [INPUT] [-- <ARGS>...]

    Arguments:
      <FUNCTION>  CID, /ipfs/…, ipfs://…, name of a deployed function, or a path (.wasm, .wat, folder),
                  which is deployed first
      [INPUT]     CID, /ipfs/…, ipfs://…, a file of this machine, or - for standard input
      [ARGS]...   Arguments of the function

    Options:
          --entry <NAME>              Export to call instead of the function's own
          --client-context <JSON>     JSON that a Lambda function is given beside its event
          --fuel <COUNT>              Instructions that may be spent
          --wall <DURATION>           Wall time that one attempt may take
          --memory <SIZE>             Memory that one attempt may use: 64MiB, 1GiB
          --no-cache                  Run even if the result is remembered
          --local-only                Only where all of the input already lies
          --no-placement              Draw any willing node instead of ranking them
          --on <PEER>                 Only on this peer
          --find-timeout <DURATION>   How long candidates are looked for [default: 2s]
          --fetch-timeout <DURATION>  How long a fetch waits before a CID counts as missing [default:
                                      10s]
          --pin                       Keep the output on this node for good
          --private                   Let only this node and those that are asked to run it read
                                      arguments, input, output and logs; nothing is remembered
          --dry-run                   Show where it would run; nothing runs
      -o, --output <PATH>             Save the output here; a directory is unpacked
          --detach                    Hand it to the daemon and print its id: it goes on without this
                                      command, and after restarts
          --key <KEY>                 Word that makes repeated submissions one invocation [default: a
                                      fresh one]
      -h, --help                      Print help (see more with '--help')
    ");
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

#[test]
fn the_reference_of_the_api_names_every_path() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    for path in timerose::api::PATHS {
        assert!(page.contains(&format!("\n| `{path}` |")), "{path}");
    }
}
