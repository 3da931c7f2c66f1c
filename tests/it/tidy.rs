//! The module rules of the design, checked on the source itself.
//!
//! Each rule is a function from the tree of files to its violations, one test
//! that the repository keeps it, and one that it catches a planted violation:
//! a rule that cannot fail is no rule. Reads files only.

mod facts;
mod files;
mod layers;
mod names;
mod owners;
mod purity;
mod shape;
mod tree;

use tree::{Tree, Violation};

/// What every rule looks like.
type Rule = fn(&Tree) -> Vec<Violation>;

/// Fails with `file:line: message` for each violation in the repository.
#[track_caller]
fn repository_keeps(rule: Rule) {
    let found: Vec<String> = rule(Tree::repository())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// A tree with only `path` in it, holding `text`, breaks `rule` on `line`.
#[track_caller]
fn catches(rule: Rule, path: &str, line: usize, text: &str) {
    let found = rule(&Tree::planted(&[(path, text)]));
    assert!(
        found.iter().any(|v| v.path == path && v.line == line),
        "not caught in {path}:{line}\n{text}\nfound: {found:?}"
    );
}

/// A tree with only `path` in it, holding `text`, keeps `rule`.
#[track_caller]
fn permits(rule: Rule, path: &str, text: &str) {
    let found = rule(&Tree::planted(&[(path, text)]));
    assert!(found.is_empty(), "wrongly refused: {found:?}");
}
