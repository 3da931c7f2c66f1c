//! What the `fan` ABI asks of a module beside its entry.

use wasmparser::{ExternalKind, FuncType, ValType};

use super::{Fault, Survey, bad_entry};

/// Gives a buffer: `(size: i32) -> i32`.
pub(in crate::sandbox) const ALLOC: &str = "alloc";
/// Why it is no entry.
pub(in crate::sandbox) const NOT_ALLOC: &str = "it gives buffers to other functions";
/// Why something else is none.
pub(in crate::sandbox) const NOT_LENGTHS: &str = "it is not (buffer: i32, length: i32, …) -> i32";
/// Where arguments and results lie.
pub(in crate::sandbox) const MEMORY: &str = "memory";

impl Survey {
    /// Whether memory and `alloc` are there, and something to call.
    pub(super) fn fan(&mut self) -> Result<(), Fault> {
        let is_memory = |(name, kind, _): &(String, ExternalKind, u32)| {
            *kind == ExternalKind::Memory && name == MEMORY
        };
        if !self.exported.iter().any(is_memory) {
            return Err(self.missing(MEMORY));
        }
        let alloc = self.function(ALLOC)?;
        let is_size = matches!(
            (alloc.params(), alloc.results()),
            ([ValType::I32], [ValType::I32])
        );
        if !is_size {
            return Err(bad_entry(ALLOC, "it is not (size: i32) -> i32"));
        }
        self.report.exports.retain(|name| name != ALLOC);
        if self.report.exports.is_empty() {
            return Err(self.missing("function"));
        }
        Ok(())
    }
}

/// Whether a function can be an entry: buffer and lengths in, a length out.
pub(super) fn entry(name: &str, signature: &FuncType) -> Result<(), Fault> {
    let are_i32 = |types: &[ValType]| types.iter().all(|ty| *ty == ValType::I32);
    match (signature.params(), signature.results()) {
        _ if name == ALLOC => Err(bad_entry(name, NOT_ALLOC)),
        ([_, ..], [ValType::I32]) if are_i32(signature.params()) => Ok(()),
        _ => Err(bad_entry(name, NOT_LENGTHS)),
    }
}
