//! Nouns and decisions: no waiting, no clock, no input or output.

use super::{
    catches, permits, repository_keeps,
    tree::{Source, Tree, Violation},
};

/// Whole modules, and files by the name of what they decide.
const PURE_MODULES: &[&str] = &["model"];
const DECISIONS: &[&str] = &[
    "breaker",
    "hedge",
    "lifecycle",
    "policy",
    "quorum",
    "ranking",
];

/// The type of a time that is given; `Instant::now` is refused all the same.
const TIME_OF_DECISIONS: &str = "tokio::time::Instant";

/// What has to do with waiting, the clock, or the world outside.
const IMPURE: &[&str] = &[
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "reqwest",
    "rusqlite",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];
const CLOCKS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
];

fn purity(tree: &Tree) -> Vec<Violation> {
    let pure = tree.program().filter(|source| is_pure(source));
    pure.flat_map(violations).collect()
}

fn is_pure(source: &Source) -> bool {
    let stem = source.path.rsplit('/').next().unwrap_or_default();
    is_noun(source) || DECISIONS.contains(&stem.trim_end_matches(".rs"))
}

fn is_noun(source: &Source) -> bool {
    PURE_MODULES.iter().any(|module| source.is_within(module))
}

fn violations(source: &Source) -> Vec<Violation> {
    let mut found = Vec::new();
    for used in source.facts.asyncs.iter().filter(|used| !used.in_test) {
        found.push(source.violation(used.line, format!("`{}` in a pure file", used.text)));
    }
    for path in source.facts.paths.iter().filter(|path| !path.in_test) {
        let given = path.text == TIME_OF_DECISIONS && !is_noun(source);
        let impure = IMPURE.iter().any(|prefix| path.text.starts_with(prefix)) && !given
            || CLOCKS.iter().any(|clock| path.text.ends_with(clock));
        if impure {
            found.push(source.violation(path.line, format!("`{}` in a pure file", path.text)));
        }
    }
    found
}

#[test]
fn nouns_and_decisions_neither_wait_nor_look_at_the_world() {
    repository_keeps(purity);
}

#[test]
fn impurity_is_caught() {
    catches(purity, "src/model/call.rs", 1, "async fn f() {}");
    catches(
        purity,
        "src/model/call.rs",
        2,
        "\nuse std::time::{Duration, SystemTime};",
    );
    catches(purity, "src/model.rs", 1, "use tokio::time::Instant;");
    catches(purity, "src/model.rs", 1, "fn f() { let x = async { 1 }; }");
    catches(purity, "src/model.rs", 1, "fn f() { std::fs::read(p) }");
    catches(
        purity,
        "src/compute/scheduler/ranking.rs",
        1,
        "use tokio::time::sleep;",
    );
    let now = "use tokio::time::Instant;\nfn f() { Instant::now() }";
    catches(purity, "src/compute/scheduler/ranking.rs", 2, now);
    catches(
        purity,
        "src/compute/scheduler/ranking.rs",
        1,
        "fn f() { jiff::Timestamp::now() }",
    );
}

#[test]
fn time_as_an_argument_is_permitted() {
    let text = "use tokio::time::Instant; fn f(now: Instant, t: jiff::Timestamp) {}";
    permits(purity, "src/compute/scheduler/ranking.rs", text);
    permits(
        purity,
        "src/model.rs",
        "#[cfg(test)] mod tests { use std::fs; }",
    );
    permits(purity, "src/mesh.rs", "async fn f() {}");
}
