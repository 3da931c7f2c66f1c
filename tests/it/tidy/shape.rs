//! Sizes, headers and places of files.

use std::collections::BTreeSet;

use super::{
    catches, permits, repository_keeps,
    tree::{Tree, Violation},
};

const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 60;

fn headers(tree: &Tree) -> Vec<Violation> {
    let bare = tree.sources.iter().filter(|source| {
        source
            .header()
            .next()
            .is_none_or(|line| line.trim().is_empty())
    });
    bare.map(|source| source.violation(1, "no `//!` header saying what the file is for"))
        .collect()
}

fn parents(tree: &Tree) -> Vec<Violation> {
    let strays = tree
        .program()
        .filter(|source| source.path.ends_with("/mod.rs"));
    strays
        .map(|source| source.violation(1, "`x.rs` is the parent of `x/`"))
        .collect()
}

fn long_files(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.reason_to_be_long().is_none())
    {
        let lines = source.code_lines(1, source.text.lines().count().max(1));
        if lines > MAX_FILE {
            found.push(
                source.violation(1, format!("{lines} code lines; give a `//! Long because:`")),
            );
        }
    }
    found
}

fn long_functions(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.reason_to_be_long().is_none())
    {
        for function in &source.facts.functions {
            let lines = source.code_lines(function.first, function.last);
            if lines > MAX_FUNCTION {
                let message = format!("`{}` has {lines} code lines", function.name);
                found.push(source.violation(function.first, message));
            }
        }
    }
    found
}

/// Every file is reached by `mod` declarations from the root of its target.
fn forgotten_files(tree: &Tree) -> Vec<Violation> {
    let mut reached = BTreeSet::new();
    for root in [
        "src/lib.rs",
        "src/main.rs",
        "tests/it/main.rs",
        "tests/mesh/main.rs",
    ] {
        reach(tree, root.to_owned(), &mut reached);
    }
    let ours = ["src/", "tests/"];
    let forgotten = tree.sources.iter().filter(|source| {
        ours.iter().any(|folder| source.path.starts_with(folder)) && !reached.contains(&source.path)
    });
    forgotten
        .map(|source| source.violation(1, "no `mod` declares this file: it is never compiled"))
        .collect()
}

fn reach(tree: &Tree, path: String, reached: &mut BTreeSet<String>) {
    let Some(source) = tree.sources.iter().find(|source| source.path == path) else {
        return;
    };
    if !reached.insert(path) {
        return;
    }
    for declared in &source.facts.modules {
        for candidate in source.places_of(declared) {
            reach(tree, candidate, reached);
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    repository_keeps(headers);
}

#[test]
fn a_file_without_a_header_is_caught() {
    catches(headers, "src/mesh.rs", 1, "fn f() {}");
    catches(headers, "tests/it/x.rs", 1, "//!\nfn f() {}");
    permits(headers, "src/mesh.rs", "//! The mesh.\nfn f() {}");
}

#[test]
fn no_folder_of_the_program_has_a_mod_rs() {
    repository_keeps(parents);
}

#[test]
fn a_mod_rs_is_caught() {
    catches(parents, "src/mesh/mod.rs", 1, "//! x");
    permits(parents, "tests/support/mod.rs", "//! x");
}

#[test]
fn a_long_file_states_its_reason() {
    repository_keeps(long_files);
}

#[test]
fn a_long_file_without_a_reason_is_caught() {
    let body = "const A: u8 = 1;\n".repeat(MAX_FILE + 1);
    catches(long_files, "src/mesh.rs", 1, &format!("//! x\n{body}"));
    catches(
        long_files,
        "src/mesh.rs",
        1,
        &format!("//! Long because:\n{body}"),
    );
    permits(
        long_files,
        "src/mesh.rs",
        &format!("//! x\n//! Long because: a table.\n{body}"),
    );
}

#[test]
fn a_long_function_states_its_reason() {
    repository_keeps(long_functions);
}

#[test]
fn a_long_function_without_a_reason_is_caught() {
    let body = "    g();\n\n    // why\n".repeat(MAX_FUNCTION);
    catches(
        long_functions,
        "src/mesh.rs",
        2,
        &format!("\nfn f() {{\n{body}}}\n"),
    );
    catches(
        long_functions,
        "src/mesh.rs",
        2,
        &format!("impl A {{\nfn f() {{\n{body}}}\n}}\n"),
    );
    let short = "    g();\n\n    // why\n".repeat(MAX_FUNCTION - 2);
    permits(
        long_functions,
        "src/mesh.rs",
        &format!("fn f() {{\n{short}}}\n"),
    );
}

#[test]
fn no_file_is_forgotten() {
    repository_keeps(forgotten_files);
}

#[test]
fn a_forgotten_file_is_caught() {
    catches(forgotten_files, "tests/it/lost.rs", 1, "//! x");
    let tree = Tree::planted(&[
        (
            "tests/it/main.rs",
            "mod a; #[path = \"../support/mod.rs\"] mod support;",
        ),
        ("tests/it/a.rs", "mod b;"),
        ("tests/it/a/b.rs", "//! x"),
        ("tests/support/mod.rs", "mod c;"),
        ("tests/support/c.rs", "//! x"),
        ("tests/support/d.rs", "//! x"),
    ]);
    let lost: Vec<String> = forgotten_files(&tree).into_iter().map(|v| v.path).collect();
    assert_eq!(lost, ["tests/support/d.rs"]);
}
