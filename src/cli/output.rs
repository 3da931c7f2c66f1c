//! The one owner of the terminal: data to stdout, everything else to stderr.
//!
//! Takes values and failures, gives text or JSON. Colours and progress appear
//! on terminals only; a reader that closes its end is no error.

use std::{
    fmt::Display,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::{
    context::Enc,
    exit::{self, Stop},
    plain::Plain,
};
use crate::{
    compute::{ByteStream, Failure},
    model::Class,
};

/// The way to the terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    enc: Enc,
    quiet: bool,
}

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

impl Output {
    /// In the form that the flags ask for.
    pub(super) const fn new(enc: Enc, quiet: bool) -> Self {
        Self { enc, quiet }
    }

    /// Programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.enc == Enc::Json
    }

    /// Only names are wanted.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line of data.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Stop> {
        let mut stdout = anstream::stdout().lock();
        writeln!(stdout, "{text}")?;
        Ok(stdout.flush()?)
    }

    /// A value as JSON, or as what `text` makes of it.
    pub(crate) fn show<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Stop> {
        if self.is_json() {
            let json = serde_json::to_string(value).map_err(std::io::Error::other)?;
            return self.line(json);
        }
        let text = text(value);
        if text.is_empty() {
            Ok(())
        } else {
            self.line(text.trim_end())
        }
    }

    /// Bytes as they come. What breaks off in the middle is a failure.
    pub(crate) async fn copy(&self, mut bytes: ByteStream) -> Result<(), Stop> {
        let mut stdout = tokio::io::stdout();
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|e| incomplete(&e))?;
            stdout.write_all(&chunk).await?;
        }
        Ok(stdout.flush().await?)
    }

    /// Text of a guest, piece by piece: on a terminal it is seen, not obeyed.
    pub(crate) async fn guest(&self, mut bytes: ByteStream) -> Result<(), Stop> {
        let mut stdout = tokio::io::stdout();
        let mut plain = std::io::stdout().is_terminal().then(Plain::default);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|e| incomplete(&e))?;
            match &mut plain {
                Some(plain) => stdout.write_all(plain.text(&chunk).as_bytes()).await?,
                None => stdout.write_all(&chunk).await?,
            }
            stdout.flush().await?;
        }
        Ok(())
    }

    /// A remark, for people only.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet && !self.is_json() {
            let _nobody_reads = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// A remark that only somebody who watches needs.
    pub(crate) fn summary(&self, text: impl Display) {
        if std::io::stderr().is_terminal() {
            self.note(text.dimmed());
        }
    }

    /// Whether standard error is a terminal that may show colours.
    pub(crate) fn has_colours() -> bool {
        anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
    }

    /// A spinner, where somebody watches.
    pub(crate) fn progress(&self) -> Progress {
        if self.quiet || self.is_json() || !std::io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.set_style(ProgressStyle::default_spinner());
        bar.enable_steady_tick(TICK);
        Progress(bar)
    }

    /// Says what went wrong, if anything did, and gives the exit code.
    pub(super) fn end(&self, ended: Result<(), Stop>) -> ExitCode {
        match ended {
            Ok(()) | Err(Stop::Pipe) => ExitCode::SUCCESS,
            Err(Stop::Code(code)) => code.into(),
            Err(Stop::Failure(failure)) => {
                report(&failure);
                exit::code(&failure).into()
            }
        }
    }
}

/// `Error: …` and `Hint: …`.
fn report(failure: &Failure) {
    let mut stderr = anstream::stderr();
    let message = failure.message.replace('\n', " ");
    let _nobody_reads = writeln!(stderr, "{} {message}", "Error:".red().bold());
    if let Some(hint) = &failure.hint {
        let _nobody_reads = writeln!(stderr, "{} {hint}", "Hint:".cyan().bold());
    }
}

/// What clap has to say: help to stdout, an error in our own form.
pub(super) fn usage(error: &clap::Error, command: Option<&str>) -> ExitCode {
    if !error.use_stderr() {
        let _reader_has_enough = write!(anstream::stdout(), "{}", error.render().ansi());
        return ExitCode::SUCCESS;
    }
    report(&super::help::failure(error, command));
    exit::USAGE.into()
}

fn incomplete(error: &std::io::Error) -> Failure {
    let message = format!("the bytes broke off: {error}");
    Failure::new(Class::Lost, "truncated", message)
        .with_hint("What was written so far is incomplete; fetch it again.")
}

/// A spinner that goes away when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Says what happens now.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.0.set_message(text.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
