//! What a guest is given: arguments, standard input, a folder.
//!
//! Takes a call and its input, gives both as the function's ABI wants them. The
//! arguments of `fan` are byte strings, laid out as a file each: the input
//! first, then text as its UTF-8 bytes and links as the files that they name.
//! Never takes more of these than the function may hold in memory.

use std::path::PathBuf;

use futures_util::StreamExt;
use ipld_core::ipld::Ipld;
use tokio::{fs::File, io::AsyncWriteExt};

use super::stage::{Input, Stage, disk};
use crate::{
    compute::{ByteStream, Failure},
    model::{Abi, Call, Class, Limits, Manifest, Runtime},
};

/// What a guest is given.
pub(super) struct Given {
    /// As the sandbox takes them.
    pub(super) args: Vec<serde_json::Value>,
    /// Standard input.
    pub(super) stdin: Option<ByteStream>,
    /// A folder that the guest may read.
    pub(super) input_dir: Option<PathBuf>,
}

impl Given {
    /// Gets ready what `call` gives to the code of `manifest`.
    pub(super) async fn of(
        stage: &Stage<'_>,
        manifest: &Manifest,
        call: &Call,
        input: Input,
        limits: Limits,
    ) -> Result<Self, Failure> {
        if matches!(&manifest.runtime, Runtime::Wasm { abi: Abi::Fan, .. }) {
            let laid = stage.lay(&call.args, input, limits.memory_bytes).await?;
            return Ok(Self {
                args: laid.names,
                stdin: None,
                input_dir: Some(laid.folder),
            });
        }
        let (stdin, input_dir) = match input {
            Input::None => (None, None),
            Input::File(bytes) => (Some(bytes), None),
            Input::Directory(path) => (None, Some(path)),
        };
        Ok(Self {
            args: call.args.iter().map(json).collect(),
            stdin,
            input_dir,
        })
    }
}

/// Arguments on disk.
struct Laid {
    /// Where.
    folder: PathBuf,
    /// Names of the files, in order.
    names: Vec<serde_json::Value>,
    /// Bytes that may still come, of so many.
    room: u64,
    limit: u64,
}

impl Stage<'_> {
    /// Lays out `args` after `input`, at most `limit` bytes together.
    async fn lay(&self, args: &[Ipld], input: Input, limit: u64) -> Result<Laid, Failure> {
        let mut laid = Laid {
            folder: self.work.join("args"),
            names: Vec::new(),
            room: limit,
            limit,
        };
        tokio::fs::create_dir(&laid.folder)
            .await
            .map_err(|e| disk(&e))?;
        self.lay_file(&mut laid, input).await?;
        for arg in args {
            match arg {
                Ipld::String(text) => laid.bytes(text.as_bytes()).await?,
                Ipld::Link(cid) => {
                    let file = self.input(Some(cid)).await?;
                    self.lay_file(&mut laid, file).await?;
                }
                _ => return Err(bad("an argument is neither text nor a link")),
            }
        }
        Ok(laid)
    }

    async fn lay_file(&self, laid: &mut Laid, file: Input) -> Result<(), Failure> {
        match file {
            Input::None => Ok(()),
            Input::Directory(_) => Err(bad("a directory is given where a file is due")),
            Input::File(bytes) => laid.stream(bytes).await.map_err(|failure| {
                let cause = self.broken.lock().take();
                cause.unwrap_or(failure)
            }),
        }
    }
}

impl Laid {
    async fn stream(&mut self, mut bytes: ByteStream) -> Result<(), Failure> {
        let mut file = self.next().await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|e| disk(&e))?;
            self.take(piece.len())?;
            file.write_all(&piece).await.map_err(|e| disk(&e))?;
        }
        file.flush().await.map_err(|e| disk(&e))
    }

    async fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.take(bytes.len())?;
        let mut file = self.next().await?;
        file.write_all(bytes).await.map_err(|e| disk(&e))?;
        file.flush().await.map_err(|e| disk(&e))
    }

    async fn next(&mut self) -> Result<File, Failure> {
        let name = self.names.len().to_string();
        let file = File::create(self.folder.join(&name)).await;
        self.names.push(name.into());
        file.map_err(|e| disk(&e))
    }

    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        let rest = self.room.checked_sub(bytes as u64);
        let limit = self.limit;
        self.room = rest.ok_or_else(|| {
            bad(&format!(
                "the arguments are larger than the function's memory of {limit} bytes"
            ))
        })?;
        Ok(())
    }
}

/// An argument as the sandbox takes it; floats stay floats, integers stay
/// exact.
fn json(arg: &Ipld) -> serde_json::Value {
    match arg {
        Ipld::Integer(n) => i64::try_from(*n).map_or_else(
            |_| u64::try_from(*n).map_or(serde_json::Value::Null, serde_json::Value::from),
            serde_json::Value::from,
        ),
        Ipld::Float(x) => serde_json::Value::from(*x),
        Ipld::Bool(b) => serde_json::Value::from(*b),
        Ipld::String(s) => serde_json::Value::from(s.as_str()),
        Ipld::Map(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), json(value)))
            .collect(),
        _ => serde_json::Value::Null,
    }
}

fn bad(why: &str) -> Failure {
    Failure::new(Class::User, "bad_argument", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_width_stay_exact() {
        assert_eq!(
            json(&Ipld::Integer(i128::from(i64::MAX))).to_string(),
            "9223372036854775807"
        );
        assert_eq!(
            json(&Ipld::Integer(i128::from(u64::MAX))).to_string(),
            "18446744073709551615"
        );
    }
}
