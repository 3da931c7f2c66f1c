//! One word per idea; no words that say nothing; nothing of one's own machine.

use super::{
    catches, permits, repository_keeps,
    tree::{Source, Tree, Violation},
};

/// Words that name nothing, or name a thing that has a better name here.
const BANNED: &[&str] = &[
    "helper", "job", "manager", "runner", "task", "util", "worker",
];

fn words(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let stem = source.path.rsplit('/').next().unwrap_or_default();
        let file = (stem.trim_end_matches(".rs"), 1);
        let names = source
            .facts
            .names
            .iter()
            .map(|name| (name.text.as_str(), name.line));
        for (name, line) in std::iter::once(file).chain(names) {
            if let Some(word) = banned_word(source, name) {
                found.push(
                    source.violation(line, format!("`{name}`: `{word}` is not one of our words")),
                );
            }
        }
    }
    found
}

fn banned_word(source: &Source, name: &str) -> Option<String> {
    split(name).into_iter().find(|word| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        BANNED.contains(&singular) && !is_at_home(source, name, singular)
    })
}

/// `task` is its own module; the WASM sandbox has a worker process.
fn is_at_home(source: &Source, name: &str, word: &str) -> bool {
    match word {
        "task" => source.path == "src/task.rs" || source.path == "src/lib.rs",
        "worker" => source.path.contains("sandbox") || name.contains("sandbox"),
        _ => false,
    }
}

/// `TaskTracker` and `task_tracker` are both `task`, `tracker`.
fn split(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_'
            && let Some(last) = words.last_mut()
        {
            last.extend(c.to_lowercase());
        }
    }
    words
}

fn machine_paths(tree: &Tree) -> Vec<Violation> {
    // Put together here, so that this file does not break its own rule.
    let places = ["work", "root", "Users"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for file in &tree.texts {
        for (number, line) in file.text.lines().enumerate() {
            if places.iter().any(|place| starts_a_path(line, place)) {
                found.push(Violation {
                    path: file.path.clone(),
                    line: number + 1,
                    message: "a path of somebody's machine".to_owned(),
                });
            }
        }
    }
    found
}

/// `place` occurs, and not as the middle of a longer path or address.
fn starts_a_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "-_.~}*".contains(c))
    })
}

fn unfinished(tree: &Tree) -> Vec<Violation> {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|parts| parts.concat());
    let mut found = Vec::new();
    for source in &tree.sources {
        for (number, line) in source.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            if words.any(|word| marks.iter().any(|mark| mark == word)) {
                found.push(source.violation(number + 1, "work left undone"));
            }
        }
        let stubs = source.facts.macros.iter();
        for stub in stubs.filter(|used| used.text == "todo" || used.text == "unimplemented") {
            found.push(source.violation(stub.line, "a stub"));
        }
    }
    found
}

#[test]
fn names_use_the_words_of_the_design() {
    repository_keeps(words);
}

#[test]
fn a_word_that_says_nothing_is_caught() {
    catches(words, "src/mesh.rs", 1, "struct PeerManager;");
    catches(words, "src/mesh.rs", 1, "fn run_jobs() {}");
    catches(words, "src/mesh/utils.rs", 1, "//! x");
    catches(words, "src/mesh.rs", 2, "\nenum Task {}");
    catches(words, "src/compute/executor.rs", 1, "trait Worker {}");
    permits(words, "src/sandbox/wasm/worker.rs", "struct WorkerProcess;");
    permits(words, "src/mesh.rs", "fn multitasking() {}");
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    repository_keeps(machine_paths);
}

#[test]
fn a_path_of_somebodys_machine_is_caught() {
    let work = ["see /wo", "rk/main"].concat();
    catches(machine_paths, "docs/operations.md", 2, &format!("\n{work}"));
    let home = ["cd \"/ro", "ot/x\""].concat();
    catches(machine_paths, "scripts/demo", 1, &home);
    permits(
        machine_paths,
        "README.md",
        "https://example.org/work/x $dir/work/x",
    );
}

#[test]
fn no_file_leaves_work_undone() {
    repository_keeps(unfinished);
}

#[test]
fn work_left_undone_is_caught() {
    let mark = ["// TO", "DO: later"].concat();
    catches(unfinished, "src/mesh.rs", 2, &format!("\n{mark}"));
    catches(unfinished, "src/mesh.rs", 1, "fn f() { todo!() }");
}
