//! The files under test, parsed once, and what is wrong with them.
//!
//! Takes the repository or planted texts; gives [`Source`]s with their facts.

use std::{collections::BTreeSet, fmt, sync::LazyLock};

use super::{
    facts::{Declared, Facts},
    files,
};

/// One thing that breaks a rule.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A Rust file.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) facts: Facts,
}

/// Any tracked text file.
pub(super) struct TextFile {
    pub(super) path: String,
    pub(super) text: String,
}

/// All files that rules look at.
pub(super) struct Tree {
    pub(super) sources: Vec<Source>,
    pub(super) texts: Vec<TextFile>,
    /// Files that exist under `#[cfg(test)]` only.
    tests: BTreeSet<String>,
}

impl Tree {
    /// The repository this test was built from, read once per process.
    pub(super) fn repository() -> &'static Self {
        static TREE: LazyLock<Tree> = LazyLock::new(|| {
            let read = |path: String| {
                let text = std::fs::read_to_string(files::root().join(&path)).ok()?;
                Some((path, text))
            };
            Tree::of(files::listed().into_iter().filter_map(read))
        });
        &TREE
    }

    /// A tree made of the given files alone.
    pub(super) fn planted(files: &[(&str, &str)]) -> Self {
        Self::of(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned())),
        )
    }

    fn of(files: impl Iterator<Item = (String, String)>) -> Self {
        let (mut sources, mut texts) = (Vec::new(), Vec::new());
        for (path, text) in files {
            if path.ends_with(".rs") {
                let facts = Facts::of(&path, &text);
                sources.push(Source {
                    path: path.clone(),
                    text: text.clone(),
                    facts,
                });
            }
            texts.push(TextFile { path, text });
        }
        let tests = test_files(&sources);
        Self {
            sources,
            texts,
            tests,
        }
    }

    /// The files of the program itself, without its unit tests.
    pub(super) fn program(&self) -> impl Iterator<Item = &Source> {
        let program = self
            .sources
            .iter()
            .filter(|source| source.path.starts_with("src/"));
        program.filter(|source| !self.tests.contains(&source.path))
    }
}

/// The files of `#[cfg(test)] mod name;`.
fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let declared = sources.iter().flat_map(|source| {
        source
            .facts
            .modules
            .iter()
            .map(move |module| (source, module))
    });
    declared
        .filter(|(_, module)| module.in_test)
        .flat_map(|(source, module)| source.places_of(module))
        .collect()
}

/// Takes `a/b/../c` for `a/c`.
fn normalised(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

impl Source {
    /// Where the file of a `mod name;` in this file may lie.
    pub(super) fn places_of(&self, declared: &Declared) -> Vec<String> {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        if let Some(path) = &declared.path {
            return vec![normalised(&format!("{folder}/{path}"))];
        }
        let stem = file.trim_end_matches(".rs");
        let base = match stem {
            "lib" | "main" | "mod" => folder.to_owned(),
            _ => format!("{folder}/{stem}"),
        };
        let name = &declared.name;
        vec![format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")]
    }

    /// A violation in this file.
    pub(super) fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation {
            path: self.path.clone(),
            line,
            message: message.into(),
        }
    }

    /// The top-level module of the program that the file belongs to.
    pub(super) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside
            .split('/')
            .next()
            .unwrap_or(inside)
            .trim_end_matches(".rs")
    }

    /// Whether the file is `module` or lies below it (`compute/scheduler`).
    pub(super) fn is_within(&self, module: &str) -> bool {
        self.path
            .strip_prefix("src/")
            .and_then(|rest| rest.strip_prefix(module))
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The file's leading `//!` lines.
    pub(super) fn header(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map_while(|line| line.strip_prefix("//!"))
    }

    /// The reason the header gives for being longer than a file should be.
    pub(super) fn reason_to_be_long(&self) -> Option<&str> {
        self.header()
            .find_map(|line| line.trim().strip_prefix("Long because:"))
            .map(str::trim)
            .filter(|reason| !reason.is_empty())
    }

    /// Lines from `first` to `last` (1-based) that hold code.
    pub(super) fn code_lines(&self, first: usize, last: usize) -> usize {
        let lines = self.text.lines().skip(first - 1).take(last + 1 - first);
        lines
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count()
    }
}
