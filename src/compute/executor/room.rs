//! How much runs at once: slots and memory.
//!
//! Takes what an attempt asks for, gives a place once there is one. Counts what
//! attempts may use, not what they do.

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// Bytes that are given out together.
const MEMORY_UNIT: u64 = 1 << 20;
/// What a semaphore can count on every platform.
const MAX_UNITS: u32 = 1 << 28;

/// The room of one executor.
#[derive(Debug)]
pub(super) struct Room {
    slots: Semaphore,
    /// In units of [`MEMORY_UNIT`].
    memory: Semaphore,
    max_memory_bytes: u64,
}

/// A place; leaving it is dropping it.
#[derive(Debug)]
pub(super) struct Place<'a> {
    _slot: SemaphorePermit<'a>,
    _memory: SemaphorePermit<'a>,
}

impl Room {
    /// Room for so many attempts with so much memory together.
    pub(super) fn new(slots: u32, max_memory_bytes: u64) -> Self {
        Self {
            slots: Semaphore::new(slots as usize),
            memory: Semaphore::new(units(max_memory_bytes) as usize),
            max_memory_bytes,
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// Never, while the executor lives.
    pub(super) async fn enter(&self, memory_bytes: u64) -> Result<Place<'_>, AcquireError> {
        Ok(Place {
            _slot: self.slots.acquire().await?,
            _memory: self.memory.acquire_many(units(memory_bytes)).await?,
        })
    }

    /// Slots that are free.
    pub(super) fn free(&self) -> u32 {
        u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX)
    }

    /// Why so much memory is never given.
    pub(super) fn refusal(&self, memory_bytes: u64) -> Option<String> {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let (has, asked) = (mib(self.max_memory_bytes), mib(memory_bytes));
        (memory_bytes > self.max_memory_bytes)
            .then(|| format!("gives {has} MiB, not {asked} MiB, of memory"))
    }
}

/// Bytes as units of memory, at least one.
fn units(bytes: u64) -> u32 {
    let units = u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX);
    units.clamp(1, MAX_UNITS)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn memory_bounds_what_runs_at_once_as_slots_do() {
        let room = Room::new(3, 100 << 20);
        let first = room.enter(60 << 20).await.unwrap();
        assert!(room.enter(60 << 20).now_or_never().is_none());
        let second = room.enter(40 << 20).await.unwrap();
        drop((first, second));
        assert!(room.enter(100 << 20).now_or_never().is_some());
        assert_eq!(room.free(), 3);
        assert!(room.refusal(100 << 20).is_none());
        assert!(room.refusal(101 << 20).is_some());
    }
}
