//! Settings: defaults, then the file, then the environment, then flags.
//!
//! Takes a [`Home`], the environment and what the command line said, gives a
//! checked [`Config`]. An unknown key is an error that names it and where it
//! stands. Nothing else in the crate reads the environment, the CLI excepted.

mod endpoint;
mod engine;
mod home;
mod reference;
mod section;
mod settings;
mod units;

use figment::{
    Figment, Source,
    providers::{Env, Format as _, Serialized, Toml},
};
pub use home::Home;
pub use reference::{commented_file, reference};
pub use section::Field;
use serde::{Deserialize, Serialize};
pub use settings::{Api, Docker, Executor, Kubo, Lambda, Log, Mesh, Scheduler, Storage};
pub use units::{Error as UnitError, Size, Span};

/// This very program, for processes that are started anew.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> std::io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

/// Every setting of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How Kubo is reached.
    pub kubo: Kubo,
    /// Which mesh this node belongs to.
    pub mesh: Mesh,
    /// What this node runs for others.
    pub executor: Executor,
    /// Containers.
    pub docker: Docker,
    /// Lambda functions.
    pub lambda: Lambda,
    /// How invocations are placed.
    pub scheduler: Scheduler,
    /// What is kept.
    pub storage: Storage,
    /// The door for programs.
    pub api: Api,
    /// What is logged.
    pub log: Log,
}

/// A setting is unknown or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} ({place})")]
pub struct Error {
    problem: String,
    place: String,
}

impl Error {
    /// Never: the same settings stay wrong.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        false
    }

    fn new(problem: String, place: impl Into<String>) -> Self {
        Self {
            problem,
            place: place.into(),
        }
    }
}

/// The name under which flags appear as the source of a value.
const FLAGS: &str = "the command line";

impl Config {
    /// The settings of `home`, with `flags` (a nested table of the same
    /// shape; what is absent in it changes nothing) on top.
    ///
    /// # Errors
    /// When a key is unknown, a value does not fit or does not make sense.
    pub fn load(home: &Home, flags: &toml::Table) -> Result<Self, Error> {
        let environment = Env::prefixed("TIMEROSE_")
            .filter(|key| key.as_str().contains("__"))
            .split("__");
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if home.config().exists() {
            layers = layers.merge(Toml::file_exact(home.config()));
        }
        let config: Self = layers
            .merge(environment)
            .merge(Toml::string(&flags.to_string()))
            .extract()
            .map_err(|e| explain(&e))?;
        config.validate()?;
        Ok(config)
    }

    /// What no single value shows to be wrong.
    fn validate(&self) -> Result<(), Error> {
        let name = &self.mesh.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let problem = format!("{name:?} is no mesh name: 1 to 64 of a-z A-Z 0-9 - _ . are due");
            return Err(Error::new(problem, "mesh.name"));
        }
        let positive = [
            ("kubo.timeout", self.kubo.timeout),
            ("mesh.advert_interval", self.mesh.advert_interval),
            ("scheduler.find_timeout", self.scheduler.find_timeout),
            ("scheduler.fetch_timeout", self.scheduler.fetch_timeout),
            ("scheduler.timeout", self.scheduler.timeout),
            ("scheduler.lease_ttl", self.scheduler.lease_ttl),
        ];
        let processors = self.docker.processors;
        if !(0.01..=1024.0).contains(&processors) {
            let problem = format!("{processors} processors: 0.01 to 1024 are due");
            return Err(Error::new(problem, "docker.processors"));
        }
        match positive.iter().find(|(_, span)| span.0.is_zero()) {
            Some((key, _)) => Err(Error::new("a duration above zero is due".to_owned(), *key)),
            None => Ok(()),
        }
    }
}

/// One line out of figment's error: the key, what is wrong, where it stands.
fn explain(error: &figment::Error) -> Error {
    let key = error.path.join(".");
    let problem = match &error.kind {
        figment::error::Kind::UnknownField(name, known) => {
            let known = known.join(", ");
            match key.rsplit_once('.') {
                Some((section, _)) => {
                    format!("unknown setting `{key}`; [{section}] takes {known}")
                }
                None => format!("unknown setting `{name}`; there are {known}"),
            }
        }
        other => format!("`{key}`: {other}"),
    };
    let place = match error.metadata.as_ref() {
        Some(m) => match &m.source {
            Some(Source::File(path)) => path.display().to_string(),
            _ if m.name.contains("environment") => {
                format!(
                    "environment variable TIMEROSE_{}",
                    key.replace('.', "__").to_uppercase()
                )
            }
            _ => FLAGS.to_owned(),
        },
        None => "settings".to_owned(),
    };
    Error::new(problem, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, flags: &str) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        std::fs::write(home.config(), file).unwrap();
        let place = dir.path().display().to_string();
        Config::load(&home, &flags.parse().unwrap())
            .map_err(|e| e.to_string().replace(&place, "HOME"))
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = load(
            "[mesh]\nname = \"a\"\n[executor]\nslots = 3",
            "[mesh]\nname = \"b\"",
        );
        let config = config.unwrap();
        assert_eq!((config.mesh.name.as_str(), config.executor.slots), ("b", 3));
        assert_eq!(config.storage.max, Size(10 << 30));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = load("[executor]\nslotz = 3", "").unwrap_err();
        insta::assert_snapshot!(error, @"unknown setting `executor.slotz`; [executor] takes slots, allow, labels, max_memory, max_unpacked, compile_timeout, work_dir (HOME/config.toml)");
        let error = load("[exekutor]\nslots = 3", "").unwrap_err();
        insta::assert_snapshot!(error, @"unknown setting `exekutor`; there are kubo, mesh, executor, docker, lambda, scheduler, storage, api, log (HOME/config.toml)");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_place() {
        insta::assert_snapshot!(load("[scheduler]\ntimeout = \"30\"", "").unwrap_err(), @"`scheduler.timeout`: `30` is no duration; write `30s` (HOME/config.toml)");
        insta::assert_snapshot!(load("[executor]\nslots = \"many\"", "").unwrap_err(), @r#"`executor.slots`: invalid type: found string "many", expected u32 (HOME/config.toml)"#);
        insta::assert_snapshot!(load("[mesh]\nname = \"a b\"", "").unwrap_err(), @r#""a b" is no mesh name: 1 to 64 of a-z A-Z 0-9 - _ . are due (mesh.name)"#);
    }
}
