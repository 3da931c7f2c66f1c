//! Parameters of a request: positional `arg`s and named ones, both strict.
//!
//! Takes the query of a URL, gives values. What a path does not know is
//! refused: Kubo ignores it, and its users learn late that a flag did nothing.

use std::{collections::BTreeMap, ops::RangeInclusive, str::FromStr};

use axum::extract::Query;
use serde::de::DeserializeOwned;

use crate::{compute::Failure, model::Class};

/// The query as axum gives it.
pub(super) type Pairs = Query<Vec<(String, String)>>;

/// A request's parameters.
#[derive(Debug)]
pub(super) struct Params {
    args: Vec<String>,
    named: BTreeMap<String, String>,
}

/// A failure that the caller of the API caused.
pub(super) fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Class::User, "bad_request", message)
}

impl Params {
    /// Checks the number of `arg`s and that every name is `known` and given once.
    pub(super) fn read(
        Query(pairs): Pairs,
        count: RangeInclusive<usize>,
        known: &[&str],
    ) -> Result<Self, Failure> {
        let mut params = Self {
            args: Vec::new(),
            named: BTreeMap::new(),
        };
        for (name, value) in pairs {
            if name == "arg" {
                params.args.push(value);
            } else if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            } else if params.named.insert(name.clone(), value).is_some() {
                return Err(bad(format!("parameter `{name}` is given twice")));
            }
        }
        if !count.contains(&params.args.len()) {
            let (given, wanted) = (params.args.len(), wanted(&count));
            return Err(bad(format!("{wanted} `arg` due, {given} given")));
        }
        Ok(params)
    }

    /// The `index`th positional argument.
    pub(super) fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(String::as_str)
    }

    /// The one positional argument of a path that takes exactly one.
    pub(super) fn only(&self) -> &str {
        self.arg(0).unwrap_or_default()
    }

    /// A named value that reads from text.
    pub(super) fn parsed<T>(&self, name: &str) -> Result<Option<T>, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let parse = |text: &String| {
            text.parse()
                .map_err(|e| bad(format!("parameter `{name}`: {e}")))
        };
        self.named.get(name).map(parse).transpose()
    }

    /// A switch; absent means off.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        Ok(self.parsed(name)?.unwrap_or(false))
    }

    /// A named JSON value; absent means its default.
    pub(super) fn json<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Failure> {
        let parse = |text: &String| {
            serde_json::from_str(text).map_err(|e| bad(format!("parameter `{name}`: {e}")))
        };
        self.named
            .get(name)
            .map(parse)
            .transpose()
            .map(Option::unwrap_or_default)
    }
}

fn unknown(name: &str, known: &[&str]) -> Failure {
    let failure = bad(format!("unknown parameter `{name}`"));
    match known {
        [] => failure.with_hint("This path takes no parameters but `arg`."),
        _ => failure.with_hint(format!("There are: {}.", known.join(", "))),
    }
}

fn wanted(count: &RangeInclusive<usize>) -> String {
    match (count.start(), count.end()) {
        (0, 0) => "no".to_owned(),
        (a, b) if a == b => a.to_string(),
        (a, b) => format!("{a} to {b}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], known: &[&str]) -> Result<Params, Failure> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Params::read(Query(pairs), 1..=1, known)
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_the_known_ones_are_named() {
        let failure = read(&[("arg", "x"), ("al", "true")], &["all"]).unwrap_err();
        assert_eq!(failure.message, "unknown parameter `al`");
        assert_eq!(failure.hint.as_deref(), Some("There are: all."));
    }

    #[test]
    fn the_number_of_arguments_is_checked() {
        assert_eq!(read(&[], &[]).unwrap_err().message, "1 `arg` due, 0 given");
        assert!(read(&[("arg", "a"), ("arg", "b")], &[]).is_err());
        assert_eq!(read(&[("arg", "a")], &[]).unwrap().only(), "a");
    }

    #[test]
    fn a_switch_is_true_or_false_and_nothing_else() {
        assert!(
            read(&[("arg", "x"), ("all", "true")], &["all"])
                .unwrap()
                .flag("all")
                .unwrap()
        );
        assert!(
            read(&[("arg", "x"), ("all", "1")], &["all"])
                .unwrap()
                .flag("all")
                .is_err()
        );
    }
}
