//! The files under test, parsed once, and what is wrong with them.
//!
//! Takes the repository or planted texts; gives [`Source`]s with their facts.

use std::fmt;
use std::sync::LazyLock;

use super::facts::Facts;
use super::files;

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
                sources.push(Source { path: path.clone(), text: text.clone(), facts });
            }
            texts.push(TextFile { path, text });
        }
        Self { sources, texts }
    }

    /// The files of the program itself.
    pub(super) fn program(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.path.starts_with("src/"))
    }
}

impl Source {
    /// A violation in this file.
    pub(super) fn violation(&self, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, message: message.into() }
    }

    /// The top-level module of the program that the file belongs to.
    pub(super) fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
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
