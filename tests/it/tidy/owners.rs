//! What only one place may do: speak to Kubo, run code, serve, print, spawn.

use super::{
    catches, permits, repository_keeps,
    tree::{Source, Tree, Violation},
};

/// A file that may do what its rule refuses to all others of its kind.
struct Exception {
    path: &'static str,
    what: &'static str,
    #[expect(dead_code, reason = "written for the reader of this table")]
    because: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: "src/telemetry.rs",
        what: "std::io::stderr",
        because: "log lines go to stderr, whoever writes them",
    },
    Exception {
        path: "src/crash.rs",
        what: "std::process::abort",
        because: "a test lets the process die; a release build cannot",
    },
];

fn is_excepted(source: &Source, what: &str) -> bool {
    let mut known = EXCEPTIONS.iter();
    known.any(|exception| exception.path == source.path && what.starts_with(exception.what))
}

/// Refuses paths that begin with one of `prefixes` outside of `owners`.
fn only(tree: &Tree, owners: &[&str], prefixes: &[&str], why: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.program() {
        if owners.iter().any(|owner| source.is_within(owner)) {
            continue;
        }
        for path in source.facts.paths.iter().filter(|path| !path.in_test) {
            let hit = prefixes.iter().any(|prefix| begins(&path.text, prefix));
            if hit && !is_excepted(source, &path.text) {
                found.push(source.violation(path.line, format!("`{}`: {why}", path.text)));
            }
        }
    }
    found
}

/// `std::env` begins `std::env::var` but not `std::environment`.
fn begins(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn rpc_paths(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree.program().filter(|source| !source.is_within("kubo")) {
        for string in source.facts.strings.iter().filter(|string| !string.in_test) {
            let foreign = string.text.replace("/api/v0/compute", "");
            if foreign.contains("/api/v0") {
                found.push(source.violation(string.line, "only `kubo` names paths of Kubo's RPC"));
            }
        }
    }
    found
}

fn sandboxes(tree: &Tree) -> Vec<Violation> {
    let engines = ["wasmtime", "wasmtime_wasi", "bollard"];
    only(tree, &["sandbox"], &engines, "only `sandbox` knows engines")
}

fn servers(tree: &Tree) -> Vec<Violation> {
    only(
        tree,
        &["api", "sandbox/lambda"],
        &["axum"],
        "only `api` serves HTTP",
    )
}

fn surroundings(tree: &Tree) -> Vec<Violation> {
    let owners = ["cli", "config", "main"];
    let outside = [
        "std::env",
        "std::process::exit",
        "std::process::abort",
        "std::io::stdin",
        "std::io::stdout",
        "std::io::stderr",
        "tokio::io::stdin",
        "tokio::io::stdout",
        "tokio::io::stderr",
        "anstream",
    ];
    let why = "only `cli`, `config` and `main` touch environment, terminal and exit";
    let mut found = only(tree, &owners, &outside, why);
    for source in tree.program() {
        if owners.iter().any(|owner| source.is_within(owner)) {
            continue;
        }
        let printing = ["print", "println", "eprint", "eprintln", "dbg"];
        for used in source.facts.macros.iter().filter(|used| !used.in_test) {
            if printing.contains(&used.text.as_str()) {
                found.push(source.violation(used.line, format!("`{}!`: {why}", used.text)));
            }
        }
    }
    found
}

fn spawns(tree: &Tree) -> Vec<Violation> {
    let starters = [
        "tokio::spawn",
        "tokio::task::spawn",
        "tokio::task::spawn_blocking",
        "tokio::task::spawn_local",
        "tokio::task::JoinSet",
        "tokio_util::task::TaskTracker",
        "std::thread::spawn",
        "std::thread::Builder",
        "thread::spawn",
    ];
    only(
        tree,
        &["task"],
        &starters,
        "every spawn goes through `task`",
    )
}

#[test]
fn only_kubo_names_paths_of_its_rpc() {
    repository_keeps(rpc_paths);
}

#[test]
fn a_path_of_kubos_rpc_elsewhere_is_caught() {
    catches(
        rpc_paths,
        "src/mesh/a.rs",
        2,
        "\nconst P: &str = \"/api/v0/id\";",
    );
    catches(
        rpc_paths,
        "src/cli/a.rs",
        1,
        "fn f() { format!(\"{x}/api/v0/add\") }",
    );
    permits(
        rpc_paths,
        "src/api.rs",
        "const P: &str = \"/api/v0/compute/invoke\";",
    );
    permits(
        rpc_paths,
        "src/kubo/id.rs",
        "const P: &str = \"/api/v0/id\";",
    );
}

#[test]
fn only_the_sandbox_imports_engines() {
    repository_keeps(sandboxes);
}

#[test]
fn an_engine_elsewhere_is_caught() {
    catches(sandboxes, "src/compute/a.rs", 1, "use wasmtime::Engine;");
    catches(sandboxes, "src/node.rs", 1, "fn f() { bollard::connect() }");
    permits(sandboxes, "src/sandbox/wasm.rs", "use wasmtime::Engine;");
}

#[test]
fn only_the_api_imports_axum() {
    repository_keeps(servers);
}

#[test]
fn a_server_elsewhere_is_caught() {
    catches(servers, "src/mesh.rs", 1, "use axum::Router;");
    permits(servers, "src/api/rpc.rs", "use axum::Router;");
}

#[test]
fn only_cli_config_and_main_touch_environment_terminal_and_exit() {
    repository_keeps(surroundings);
}

#[test]
fn touching_the_surroundings_elsewhere_is_caught() {
    catches(
        surroundings,
        "src/mesh.rs",
        1,
        "fn f() { std::env::var(\"HOME\"); }",
    );
    catches(surroundings, "src/mesh.rs", 1, "use std::{env, io};");
    catches(
        surroundings,
        "src/node.rs",
        1,
        "fn f() { std::process::exit(1) }",
    );
    catches(
        surroundings,
        "src/api.rs",
        2,
        "\nfn f() { println!(\"x\") }",
    );
    permits(surroundings, "src/cli/dev.rs", "fn f() { println!(\"x\") }");
}

#[test]
fn every_spawn_is_made_in_one_module() {
    repository_keeps(spawns);
}

#[test]
fn a_spawn_elsewhere_is_caught() {
    catches(
        spawns,
        "src/mesh.rs",
        1,
        "fn f() { tokio::spawn(async {}); }",
    );
    catches(
        spawns,
        "src/mesh.rs",
        1,
        "use tokio::task::{JoinSet, yield_now};",
    );
    catches(
        spawns,
        "src/mesh.rs",
        1,
        "fn f() { std::thread::spawn(|| ()); }",
    );
    permits(spawns, "src/task.rs", "fn f() { tokio::spawn(async {}); }");
}
