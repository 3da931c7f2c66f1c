//! Answers who follows the standard error of an attempt.
//!
//! Takes a lease and what is known of its log, gives the bytes that follow;
//! waits a moment for some. Only the lease's owner is answered.

use std::{io::SeekFrom, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    time::Instant,
};

use super::Executor;
use crate::{
    mesh::Address,
    model::{Follow, LeaseId, Message, Piece},
};

/// Bytes of one piece: they fit into one frame with room for others.
const PIECE_BYTES: u64 = 32 << 10;
/// How long an answer waits for something to say.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the log is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);

impl Executor {
    /// Answers one question, once there is something to say.
    pub(super) async fn tell_more(&self, from: Address, asked: Follow) {
        let until = Instant::now() + PATIENCE;
        let (mut data, mut is_over) = (Vec::new(), false);
        while data.is_empty() && !is_over && Instant::now() < until {
            let meter = self.with_leases(|leases| leases.running_for(&from, asked.lease));
            is_over = meter.is_none();
            if let Some(path) = meter.and_then(|meter| meter.log()) {
                data = after(&path, asked.from).await.unwrap_or_default();
                // A folder serves another attempt once its own is over.
                is_over = self.runs_no_more(&from, asked.lease);
            }
            if is_over {
                data.clear();
            }
            if data.is_empty() && !is_over {
                tokio::time::sleep(LOOK).await;
            }
        }
        let piece = Piece {
            id: asked.id,
            from: asked.from,
            data,
            is_over,
        };
        self.send(from, Message::Piece(piece));
    }

    fn runs_no_more(&self, owner: &Address, lease: LeaseId) -> bool {
        self.with_leases(|leases| leases.running_for(owner, lease).is_none())
    }
}

/// Some bytes of a log that grows, from `offset` on.
async fn after(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let mut data = Vec::new();
    file.take(PIECE_BYTES).read_to_end(&mut data).await?;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_piece_begins_where_it_is_asked_for_and_has_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stderr");
        let whole: Vec<u8> = (0..=255).cycle().take(80_000).collect();
        std::fs::write(&path, &whole).unwrap();
        let mut read = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let piece = after(&path, read.len() as u64).await.unwrap();
            sizes.push(piece.len());
            if piece.is_empty() {
                break;
            }
            read.extend(piece);
        }
        assert_eq!(sizes, [32_768, 32_768, 14_464, 0]);
        assert!(read == whole);
        assert!(after(&path, 90_000).await.unwrap().is_empty());
    }
}
