//! A path as a word of a line that people paste into their shell.
//!
//! Takes a path, gives it quoted where a shell would read it as more than one
//! word. Pure.

use std::path::Path;

/// `path` as one word. A name that no shell's word can hold (it has a NUL) is
/// given as it is.
pub(super) fn word(path: &Path) -> String {
    let path = path.to_string_lossy();
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell_whatever_is_in_it() {
        assert_eq!(word(Path::new("./words")), "./words");
        for path in ["my words/it's", "$HOME", "a;b", ""] {
            let line = format!("deploy {}", word(Path::new(path)));
            assert_eq!(shlex::split(&line).unwrap(), ["deploy", path]);
        }
    }
}
