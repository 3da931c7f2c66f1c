//! What a guest writes to its two outputs, each never over its limit.
//!
//! [`Log`] keeps the first bytes and a mark where it cut, on disk at once;
//! [`Out`] keeps all or fails, in memory while that is little. Neither makes a
//! file for a guest that says nothing.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use bytes::Bytes;

use super::{Error, Fault, SMALL_BYTES, Stdout, error::of_io};

/// Standard error. A full disk silences it: logs are no reason to fail.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    left: u64,
    mark: Option<String>,
}

impl Log {
    /// A log in `path` of at most `limit` bytes, mark included.
    pub(super) fn at(path: PathBuf, limit: u64) -> Self {
        let mark = format!("\n[log cut at {limit} bytes]\n");
        let (left, mark) = match limit.checked_sub(mark.len() as u64) {
            Some(left) => (left, Some(mark)),
            None => (limit, None),
        };
        Self {
            path,
            file: None,
            left,
            mark,
        }
    }

    /// Adds what there is room for.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let fits = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (kept, cut) = bytes.split_at(fits);
        self.left -= kept.len() as u64;
        let _full_disk = self.write(kept);
        if !cut.is_empty()
            && let Some(mark) = self.mark.take()
        {
            self.left = 0;
            let _full_disk = self.write(mark.as_bytes());
        }
    }

    /// Adds why the guest failed, for whoever reads the log.
    pub(super) fn explain(&mut self, fault: &Fault) {
        self.append(format!("timerose: {fault}\n").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        file.write_all(bytes)
    }
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Out {
    path: PathBuf,
    /// What is not in the file.
    buffer: Vec<u8>,
    file: Option<File>,
    written: u64,
    limit: u64,
}

/// Why bytes were not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// They are too many.
    Fault(Fault),
    /// The disk's fault.
    Io(io::Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Fault(fault) => fault.into(),
            Refused::Io(error) => of_io(error),
        }
    }
}

impl Out {
    /// At most `limit` bytes, in `path` where they are many.
    pub(super) const fn at(path: PathBuf, limit: u64) -> Self {
        Self {
            path,
            buffer: Vec::new(),
            file: None,
            written: 0,
            limit,
        }
    }

    /// Appends `bytes`, all or none.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.limit {
            let limit = self.limit;
            return Err(Refused::Fault(Fault::OutputTooLarge { limit }));
        }
        self.written = written;
        self.keep(bytes).map_err(Refused::Io)
    }

    /// The length of the whole, and the whole where it is in no file.
    pub(super) fn finish(&mut self) -> io::Result<(u64, Option<Bytes>)> {
        if self.file.is_none() {
            let small = std::mem::take(&mut self.buffer);
            return Ok((self.written, Some(small.into())));
        }
        self.flush()?;
        Ok((self.written, None))
    }

    /// The length of the whole, and the whole as it is handed over.
    pub(super) fn into_stdout(mut self) -> io::Result<(u64, Stdout)> {
        let (written, small) = self.finish()?;
        Ok((
            written,
            small.map_or(Stdout::File(self.path), Stdout::Small),
        ))
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() + bytes.len() > SMALL_BYTES {
            self.flush()?;
        }
        if bytes.len() > SMALL_BYTES {
            return self.file()?.write_all(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Moves what is buffered to the file, made where there is none.
    fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.file()?.write_all(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(File::create(&self.path)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_over_its_limit_ends_with_the_mark_and_within_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = Log::at(file.path().to_owned(), 40);
        log.append(&[b'x'; 100]);
        log.append(b"more");
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            text.len() <= 40 && text.ends_with("\n[log cut at 40 bytes]\n"),
            "{text}"
        );
    }

    #[test]
    fn output_is_taken_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut out = Out::at(folder.path().join("stdout"), 10);
        out.append(b"0123456789").unwrap();
        assert!(matches!(out.append(b"x"), Err(Refused::Fault(_))));
        let (length, small) = out.finish().unwrap();
        assert_eq!((length, &small.unwrap()[..]), (10, &b"0123456789"[..]));
    }
}
