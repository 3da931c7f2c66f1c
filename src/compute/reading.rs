//! What the owner of an invocation reads of it: output and logs, in the clear.
//!
//! Takes names of invocations and CIDs, gives streams. Of a private invocation
//! it opens what was sealed and compares the digest in its receipt; by a bare
//! CID everybody gets what everybody may have: sealed bytes.

use std::time::Duration;

use cid::Cid;

use super::{ByteStream, Compute, Failure, Finished, function::of_store, not_found, private};
use crate::{
    model::{ContentKey, Outcome, Receipt},
    wire::{dagcbor, private::Part},
};

/// The bytes of an output.
pub(crate) struct Read {
    /// What everybody knows it by; of a private one the CID of sealed bytes.
    pub(crate) cid: Cid,
    /// The bytes are a TAR archive.
    pub(crate) is_directory: bool,
    /// The bytes.
    pub(crate) bytes: ByteStream,
}

impl Compute {
    /// The output of an invocation, or whatever a CID names.
    pub(crate) async fn output(&self, name: &str, wait: Duration) -> Result<Read, Failure> {
        if let Ok(cid) = name.parse() {
            return self.output_at(cid, wait).await;
        }
        let finished = self.finished(name)?;
        let cid = finished.output.parse();
        let cid = cid.map_err(|_| not_found(&format!("{name} has no output")))?;
        let output = self.output_at(cid, wait).await?;
        match finished.private {
            true => self.opened(&finished.receipt, output).await,
            false => Ok(output),
        }
    }

    async fn output_at(&self, cid: Cid, wait: Duration) -> Result<Read, Failure> {
        let (is_directory, bytes) = self.read(&cid, wait).await?;
        Ok(Read {
            cid,
            is_directory,
            bytes,
        })
    }

    /// What came of an invocation, or why it has no result.
    fn finished(&self, name: &str) -> Result<Finished, Failure> {
        let record = self.scheduler.record(name)?;
        let why = record.error;
        let none = || why.unwrap_or_else(|| not_found(&format!("{name} has no output yet")));
        record.result.ok_or_else(none)
    }

    async fn opened(&self, receipt: &str, sealed: Read) -> Result<Read, Failure> {
        let data = self.receipt(receipt).await?;
        let receipt: Receipt =
            dagcbor::decode(&data).map_err(|e| not_found(&format!("no receipt {receipt}: {e}")))?;
        let key = self.content_key(&receipt)?;
        let (digest, is_directory) = match receipt.outcome {
            Outcome::Ok {
                digest, archive, ..
            } => (digest, archive),
            Outcome::Err { message, .. } => return Err(not_found(&message)),
        };
        let bytes = private::opened(sealed.bytes, &key, Part::Output, Some(digest));
        Ok(Read {
            is_directory,
            bytes: private::begun(bytes).await?,
            ..sealed
        })
    }

    /// The logs that a receipt names.
    pub(super) async fn logs_of(
        &self,
        receipt: &Receipt,
        logs: &Cid,
        wait: Duration,
    ) -> Result<ByteStream, Failure> {
        let key = receipt.private.then(|| self.content_key(receipt));
        let (_, bytes) = self.read(logs, wait).await?;
        match key.transpose()? {
            Some(key) => private::begun(private::opened(bytes, &key, Part::Logs, None)).await,
            None => Ok(bytes),
        }
    }

    fn content_key(&self, receipt: &Receipt) -> Result<ContentKey, Failure> {
        let invocation = receipt.invocation.to_string();
        let key = self.store.content_key(&invocation);
        key.map_err(|e| of_store(&e))?.ok_or_else(|| {
            not_found(&format!("the key of the private invocation {invocation} is not here"))
                .with_hint("only the node that it was submitted to can read it, for as long as it keeps results (storage.keep)")
        })
    }
}
