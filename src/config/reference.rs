//! The settings as text: the commented file `init` writes, and `docs/config.md`.
//!
//! Takes nothing but the definitions in `settings.rs`; never reads a file.

use std::fmt::Write as _;

use super::{
    Api, Config, Docker, Executor, Kubo, Lambda, Log, Mesh, Scheduler, Storage, section::Field,
};

/// A section as the reference shows it.
struct Section {
    name: &'static str,
    about: &'static [&'static str],
    fields: &'static [Field],
}

const SECTIONS: [Section; 9] = [
    Section {
        name: "kubo",
        about: Kubo::ABOUT,
        fields: Kubo::FIELDS,
    },
    Section {
        name: "mesh",
        about: Mesh::ABOUT,
        fields: Mesh::FIELDS,
    },
    Section {
        name: "executor",
        about: Executor::ABOUT,
        fields: Executor::FIELDS,
    },
    Section {
        name: "docker",
        about: Docker::ABOUT,
        fields: Docker::FIELDS,
    },
    Section {
        name: "lambda",
        about: Lambda::ABOUT,
        fields: Lambda::FIELDS,
    },
    Section {
        name: "scheduler",
        about: Scheduler::ABOUT,
        fields: Scheduler::FIELDS,
    },
    Section {
        name: "storage",
        about: Storage::ABOUT,
        fields: Storage::FIELDS,
    },
    Section {
        name: "api",
        about: Api::ABOUT,
        fields: Api::FIELDS,
    },
    Section {
        name: "log",
        about: Log::ABOUT,
        fields: Log::FIELDS,
    },
];

/// A configuration file in which every setting is a comment with its default.
#[must_use]
pub fn commented_file() -> String {
    let defaults = defaults();
    let mut text =
        String::from("# Settings of this TimeRose node; what is commented out is the default.\n");
    for section in &SECTIONS {
        write(
            &mut text,
            format_args!("\n# {}\n[{}]\n", joined(section.about), section.name),
        );
        for field in section.fields {
            for line in field.docs {
                write(&mut text, format_args!("# {}\n", line.trim()));
            }
            let value = default_of(&defaults, section.name, field.name);
            let value = value.unwrap_or_else(|| "…".to_owned());
            write(&mut text, format_args!("#{} = {value}\n", field.name));
        }
    }
    text
}

/// `docs/config.md`.
#[must_use]
pub fn reference() -> String {
    let defaults = defaults();
    let mut text = String::from(INTRODUCTION);
    for section in &SECTIONS {
        write(
            &mut text,
            format_args!("\n## `[{}]`\n\n{}\n\n", section.name, joined(section.about)),
        );
        text.push_str("| key | default | meaning |\n|---|---|---|\n");
        for field in section.fields {
            let value = default_of(&defaults, section.name, field.name);
            let value = value.map_or_else(|| "unset".to_owned(), |v| format!("`{v}`"));
            let meaning = joined(field.docs);
            write(
                &mut text,
                format_args!("| `{}` | {value} | {meaning} |\n", field.name),
            );
        }
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Generated from src/config/settings.rs; `cargo test` says when it is stale. -->
# Configuration

A node reads, each layer over the one before: the defaults, `config.toml` in its home
(`$TIMEROSE_PATH`, by default `~/.timerose`), environment variables, flags. A key `[section] key`
is `TIMEROSE_SECTION__KEY` in the environment, so `TIMEROSE_EXECUTOR__SLOTS=4`; lists are written
as in `TIMEROSE_EXECUTOR__ALLOW='[\"any\"]'`. Unknown keys are errors. Durations are in Go's form
(`500ms`, `1m30s`, `24h`), sizes carry a suffix (`512MiB`, `10GiB`) or are bytes.
";

fn write(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _infallible = text.write_fmt(line);
}

fn joined(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

fn defaults() -> toml::Table {
    toml::Table::try_from(Config::default()).unwrap_or_default()
}

/// The default as TOML; none where the setting is unset.
fn default_of(defaults: &toml::Table, section: &str, field: &str) -> Option<String> {
    let value = defaults.get(section)?.get(field)?;
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commented_file_is_the_defaults_also_when_uncommented() {
        let uncommented: String = commented_file()
            .lines()
            .filter(|line| !line.starts_with("# ") && !line.ends_with('…'))
            .map(|line| line.trim_start_matches('#').to_owned() + "\n")
            .collect();
        assert_eq!(
            toml::from_str::<Config>(&uncommented).unwrap(),
            Config::default()
        );
        assert_eq!(
            toml::from_str::<Config>(&commented_file()).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn every_section_is_in_the_reference() {
        let mut named: Vec<_> = SECTIONS.iter().map(|s| s.name).collect();
        let defaults = defaults();
        let mut there: Vec<_> = defaults.keys().map(String::as_str).collect();
        named.sort_unstable();
        there.sort_unstable();
        assert_eq!(named, there);
    }
}
