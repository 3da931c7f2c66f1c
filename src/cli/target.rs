//! What a word on the command line means: a CID, a file, a name.
//!
//! Takes text and looks whether such a file is there; a CID always wins.

use std::path::{Path, PathBuf};

use super::exit::bad;
use crate::{compute::Failure, model::Cid};

/// What FUNCTION means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// A CID, `/ipfs/…`, `ipfs://…` or a deployed function's name.
    Named(String),
    /// A module or a folder here, deployed first.
    Local(PathBuf),
}

/// What INPUT means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A CID, `/ipfs/…` or `ipfs://…`.
    Named(String),
    /// A file here.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// Reads FUNCTION.
pub(crate) fn function(text: &str) -> Result<Function, Failure> {
    if is_content(text)? {
        return Ok(Function::Named(text.to_owned()));
    }
    let path = Path::new(text);
    if path.exists() {
        return Ok(Function::Local(path.to_owned()));
    }
    let is_name = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let is_file_name = [".wasm", ".wat"].iter().any(|end| text.ends_with(end));
    if is_name && !is_file_name && !text.is_empty() {
        return Ok(Function::Named(text.to_owned()));
    }
    Err(neither(text, "a function's name, a CID")
        .with_hint("`timerose ps --functions` lists what is deployed."))
}

/// Reads INPUT.
pub(crate) fn input(text: &str) -> Result<Input, Failure> {
    if text == "-" {
        return Ok(Input::Stdin);
    }
    if is_content(text)? {
        return Ok(Input::Named(text.to_owned()));
    }
    let path = Path::new(text);
    if path.is_dir() {
        return Err(bad(
            "bad_input",
            format!("{text} is a directory of this machine"),
        )
        .with_hint(format!(
            "Add it for everybody: timerose invoke … $(ipfs add -Qr {text}), or keep it to yourself: tar -cf - {text} | timerose invoke --private … -"
        )));
    }
    if path.exists() {
        return Ok(Input::File(path.to_owned()));
    }
    Err(neither(text, "a CID")
        .with_hint("Arguments of the function come after `--`: timerose invoke FUNCTION -- 2 3"))
}

fn neither(text: &str, what: &str) -> Failure {
    bad(
        "bad_input",
        format!("{text:?} is neither {what} nor a file here"),
    )
}

/// Whether the text names content on IPFS; what only looks like it is refused.
pub(crate) fn is_content(text: &str) -> Result<bool, Failure> {
    let explicit = text
        .strip_prefix("ipfs://")
        .or_else(|| text.strip_prefix("/ipfs/"));
    let root = explicit
        .unwrap_or(text)
        .split('/')
        .next()
        .unwrap_or_default();
    match root.parse::<Cid>() {
        Ok(_) => Ok(true),
        Err(error) if explicit.is_some() || looks_like_cid(root) => Err(bad(
            "bad_cid",
            format!("{root:?} is a malformed CID: {error}"),
        )
        .with_hint("Copy it again: a CID is longer than it looks, and every letter counts.")),
        Err(_) => Ok(false),
    }
}

/// The beginnings of CIDs that Kubo prints, and their least length.
fn looks_like_cid(text: &str) -> bool {
    let begins = ["Qm", "baf", "k51", "zdj"]
        .iter()
        .any(|start| text.starts_with(start));
    begins && text.len() >= 40 && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";

    #[test]
    fn every_way_to_write_a_cid_is_read() {
        for text in [
            CID.to_owned(),
            format!("/ipfs/{CID}"),
            format!("ipfs://{CID}/a/b"),
        ] {
            assert_eq!(input(&text).unwrap(), Input::Named(text.clone()));
            assert_eq!(function(&text).unwrap(), Function::Named(text));
        }
    }

    #[test]
    fn a_cid_with_a_letter_missing_is_malformed_and_no_name() {
        let failure = function(&CID[..CID.len() - 1]).unwrap_err();
        assert_eq!(failure.code, "bad_cid");
        assert_eq!(input("/ipfs/nonsense").unwrap_err().code, "bad_cid");
    }

    #[test]
    fn what_is_neither_is_said_to_be_neither() {
        let failure = input("nowhere.txt").unwrap_err();
        assert_eq!(
            failure.message,
            "\"nowhere.txt\" is neither a CID nor a file here"
        );
        assert!(function("nowhere.wasm").is_err());
        assert_eq!(
            function("wordcount").unwrap(),
            Function::Named("wordcount".to_owned())
        );
    }
}
