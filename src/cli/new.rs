//! `timerose new`.
//!
//! Takes a template's name and a folder, gives a function that is ready to be
//! built. Never writes into a folder that has something in it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use include_dir::{Dir, DirEntry, include_dir};
use serde::Serialize;

use super::{
    context::Context,
    exit::{Stop, bad, file},
    word::word,
};
use crate::compute::Failure;

/// A folder per template. In its files, `{name}` is the function's name; `.in`
/// at the end of a file's name is left out.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");

/// Files that are to be run.
const PROGRAM: &str = "build";

/// Begin a function from a template
///
/// Makes a folder with source, timerose.toml, and where something is to be built, a script that builds it
/// with the ordinary tools of the language or says which one is missing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
EXAMPLES
  timerose new rust words                     a folder `words` with a function in Rust
  cd words && ./build && timerose deploy .
  echo one two | timerose invoke words -
  timerose new lambda-python ./functions/greet")]
pub(super) struct Args {
    /// What to begin with
    template: Template,
    /// Folder to make [default: the template's name]
    folder: Option<PathBuf>,
}

/// What one can begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A WASI command in Rust
    Rust,
    /// A WASI command in C
    C,
    /// A WASI command in Go
    Go,
    /// A component in JavaScript
    Js,
    /// A component in TypeScript
    Ts,
    /// A component in Python
    Python,
    /// A module in WebAssembly's text format, numbers in and out
    Wat,
    /// An AWS Lambda function in Python
    LambdaPython,
    /// An AWS Lambda function for Node.js
    LambdaNode,
    /// A container image
    Docker,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    folder: PathBuf,
    name: String,
    files: Vec<PathBuf>,
}

impl Args {
    pub(super) fn run(self, cx: &Context) -> Result<(), Stop> {
        let template = self.template.name();
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(&template));
        let another = format!("timerose new {template} my-words");
        let name = name(&folder, &another)?;
        must_be_free(&folder, &another)?;
        let mut made = Made {
            folder,
            name,
            files: Vec::new(),
        };
        if let Some(source) = TEMPLATES.get_dir(&template) {
            made.write(source, &template)?;
        }
        cx.out
            .show(&made, |made| made.folder.display().to_string())?;
        cx.out.note(format!("Next: {}", made.next(self.template)));
        Ok(())
    }
}

impl Template {
    /// As it is called, and as its folder is.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// How a function of that name is called.
    fn call(self, name: &str) -> String {
        match self {
            Self::Wat => format!("timerose invoke {name} -- 2 3"),
            Self::LambdaPython | Self::LambdaNode => {
                format!(r#"timerose invoke {name} -- '{{"text": "one two"}}'"#)
            }
            _ => format!("echo one two | timerose invoke {name} -"),
        }
    }
}

impl Made {
    fn write(&mut self, source: &Dir<'_>, template: &str) -> Result<(), Failure> {
        for entry in source.entries() {
            match entry {
                DirEntry::Dir(dir) => self.write(dir, template)?,
                DirEntry::File(from) => {
                    let place = from.path().strip_prefix(template).unwrap_or(from.path());
                    let place = match place.extension() {
                        Some(end) if end == "in" => place.with_extension(""),
                        _ => place.to_owned(),
                    };
                    let text = from.contents_utf8().unwrap_or_default();
                    let text = text.replace("{name}", &self.name);
                    let path = self.folder.join(&place);
                    write(&path, &text).map_err(|e| file(&path, &e))?;
                    self.files.push(place);
                }
            }
        }
        Ok(())
    }

    /// What to do with it, as a line for a shell.
    fn next(&self, template: Template) -> String {
        let folder = word(&self.folder);
        let is_built = self.files.iter().any(|file| file == Path::new(PROGRAM));
        let build = match is_built {
            true => format!("{folder}/{PROGRAM} && "),
            false => String::new(),
        };
        let call = template.call(&self.name);
        format!("{build}timerose deploy {folder} && {call}")
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    if path.ends_with(PROGRAM) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The function's name: the folder's, in letters that images may have too.
fn name(folder: &Path, another: &str) -> Result<String, Failure> {
    let absolute = std::path::absolute(folder).map_err(|e| file(folder, &e))?;
    let last = absolute.file_name().unwrap_or_default().to_string_lossy();
    let name = last.to_lowercase();
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_fit) {
        return Ok(name);
    }
    Err(
        bad("bad_name", format!("{last:?} cannot name a function")).with_hint(format!(
            "A letter first, then letters, digits and hyphens: {another}"
        )),
    )
}

fn must_be_free(folder: &Path, another: &str) -> Result<(), Failure> {
    let has_something = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(file(folder, &error)),
    };
    if has_something {
        let message = format!("{} is not empty", folder.display());
        return Err(bad("exists", message).with_hint(format!("Give another folder: {another}")));
    }
    Ok(())
}
