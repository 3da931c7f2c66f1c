//! Looks at a module before it is deployed: is it one, and could it run here.
//!
//! Takes bytes and how they would be called, gives a [`Report`] or the fault
//! that names what is wrong. Never compiles, never runs anything.

use wasmparser::{
    ExternalKind, FuncType, MemoryType, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

use super::{Error, Fault};
use crate::model::{Abi, Limits};

pub(in crate::sandbox) mod component;
pub(in crate::sandbox) mod fan;
mod imports;
mod kind;

pub use component::is_component;
pub use imports::WASI_FUNCTIONS;

/// Largest module in bytes.
pub const MAX_MODULE_BYTES: u64 = 32 << 20;
/// Most functions, globals, exports and data or element segments.
const MAX_FUNCTIONS: u32 = 100_000;
const MAX_GLOBALS: u32 = 10_000;
const MAX_EXPORTS: u32 = 10_000;
const MAX_SEGMENTS: u32 = 100_000;
const MAX_TYPES: u32 = 100_000;
const MAX_TABLES: u32 = 4;
/// Largest body of one function in bytes: compilers are superlinear in it.
const MAX_BODY_BYTES: usize = 4 << 20;
/// Names listed beside a missing one.
const MAX_LISTED: usize = 20;
const PAGE_BYTES: u64 = 64 << 10;

/// What a module that passed is like.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Functions it takes from the host, `module.name`.
    pub imports: Vec<String>,
    /// Functions it offers.
    pub exports: Vec<String>,
    /// Functions it holds itself.
    pub functions: u32,
    /// Linear memory at its start, bytes.
    pub memory_bytes: u64,
}

/// Checks `bytes` for being called by `abi` at `entry` within `limits`.
///
/// # Errors
/// [`Error::User`] with the first fault found.
pub fn check(
    bytes: &[u8],
    abi: Abi,
    entry: Option<&str>,
    limits: &Limits,
) -> Result<Report, Error> {
    cap("bytes", bytes.len() as u64, MAX_MODULE_BYTES)?;
    if abi == Abi::Component {
        return Ok(component::check(bytes, limits.memory_bytes)?);
    }
    kind::module(bytes)?;
    let mut survey = Survey {
        abi,
        memory_limit: limits.memory_bytes,
        ..Survey::default()
    };
    for payload in Parser::new(0).parse_all(bytes) {
        survey.visit(&payload.map_err(|error| malformed(&error))?)?;
    }
    Validator::new_with_features(features())
        .validate_all(bytes)
        .map_err(|error| malformed(&error))?;
    survey.entry(entry)?;
    Ok(survey.report)
}

/// What the sandbox's engines accept.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::RELAXED_SIMD
}

/// What was seen so far.
struct Survey {
    abi: Abi,
    memory_limit: u64,
    types: Vec<Option<FuncType>>,
    /// Type of each function, imported ones first.
    signatures: Vec<u32>,
    exported: Vec<(String, ExternalKind, u32)>,
    has_memory: bool,
    tables: u32,
    report: Report,
}

impl Default for Survey {
    fn default() -> Self {
        Self {
            abi: Abi::Wasi,
            memory_limit: 0,
            types: Vec::new(),
            signatures: Vec::new(),
            exported: Vec::new(),
            has_memory: false,
            tables: 0,
            report: Report::default(),
        }
    }
}

impl Survey {
    fn visit(&mut self, payload: &Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::TypeSection(section) => {
                cap("types", section.count().into(), MAX_TYPES.into())?;
                for group in section.clone() {
                    for ty in group.map_err(|error| malformed(&error))?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(function) => Some(function),
                            _ => None,
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    self.import(&import.map_err(|error| malformed(&error))?)?;
                }
            }
            Payload::FunctionSection(section) => {
                cap("functions", section.count().into(), MAX_FUNCTIONS.into())?;
                self.report.functions = section.count();
                for ty in section.clone() {
                    self.signatures.push(ty.map_err(|error| malformed(&error))?);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    self.memory(&memory.map_err(|error| malformed(&error))?)?;
                }
            }
            Payload::ExportSection(section) => {
                cap("exports", section.count().into(), MAX_EXPORTS.into())?;
                for export in section.clone() {
                    let export = export.map_err(|error| malformed(&error))?;
                    self.exported
                        .push((export.name.to_owned(), export.kind, export.index));
                }
            }
            other => self.count(other)?,
        }
        Ok(())
    }

    fn count(&mut self, payload: &Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::TableSection(section) => {
                self.tables = section.count();
                cap("tables", self.tables.into(), MAX_TABLES.into())
            }
            Payload::GlobalSection(section) => {
                cap("globals", section.count().into(), MAX_GLOBALS.into())
            }
            Payload::DataSection(section) => {
                cap("data segments", section.count().into(), MAX_SEGMENTS.into())
            }
            Payload::ElementSection(section) => cap(
                "element segments",
                section.count().into(),
                MAX_SEGMENTS.into(),
            ),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len() as u64;
                cap("bytes in one function", bytes, MAX_BODY_BYTES as u64)
            }
            _ => Ok(()),
        }
    }

    fn import(&mut self, import: &wasmparser::Import<'_>) -> Result<(), Fault> {
        let forbidden = || Fault::ForbiddenImport {
            module: import.module.to_owned(),
            name: import.name.to_owned(),
        };
        let TypeRef::Func(ty) = import.ty else {
            return Err(forbidden());
        };
        let is_offered = self.abi == Abi::Wasi
            && import.module == imports::WASI_MODULE
            && WASI_FUNCTIONS.contains(&import.name);
        if !is_offered {
            return Err(forbidden());
        }
        self.signatures.push(ty);
        self.report
            .imports
            .push(format!("{}.{}", import.module, import.name));
        Ok(())
    }

    fn memory(&mut self, memory: &MemoryType) -> Result<(), Fault> {
        let unsupported = |what: &str| Err(Fault::Unsupported(what.to_owned()));
        if self.has_memory {
            return unsupported("more than one memory");
        }
        if memory.shared {
            return unsupported("a shared memory");
        }
        if memory.memory64 {
            return unsupported("a 64-bit memory");
        }
        if memory.page_size_log2.is_some() {
            return unsupported("memory pages of another size");
        }
        self.has_memory = true;
        let wanted = memory.initial.saturating_mul(PAGE_BYTES);
        self.report.memory_bytes = wanted;
        let limit = self.memory_limit;
        if wanted > limit {
            Err(Fault::MemoryLimit { wanted, limit })
        } else {
            Ok(())
        }
    }

    /// Whether the entry is there and can be called.
    fn entry(&mut self, entry: Option<&str>) -> Result<(), Fault> {
        let is_function = |kind: ExternalKind| kind == ExternalKind::Func;
        let functions = self
            .exported
            .iter()
            .filter(|(_, kind, _)| is_function(*kind));
        self.report.exports = functions.map(|(name, ..)| name.clone()).collect();
        let name = match (self.abi, entry) {
            (_, Some(name)) => name,
            (Abi::Wasi | Abi::Component, None) => "_start",
            // Any export may be the entry of a call.
            (Abi::Scalar, None) => return self.any_scalar(),
            (Abi::Fan, None) => return self.fan(),
        };
        let signature = self.function(name)?;
        match self.abi {
            Abi::Fan => {
                fan::entry(name, signature)?;
                self.fan()
            }
            Abi::Wasi | Abi::Component => self.command(name, signature),
            Abi::Scalar if is_scalar(signature) => Ok(()),
            Abi::Scalar => Err(bad_entry(
                name,
                "it takes or gives other things than numbers",
            )),
        }
    }

    /// The exported function `name`.
    fn function(&self, name: &str) -> Result<&FuncType, Fault> {
        let found = self.exported.iter().find(|(exported, ..)| exported == name);
        let (_, kind, index) = found.ok_or_else(|| self.missing(name))?;
        if *kind != ExternalKind::Func {
            return Err(bad_entry(name, "it is no function"));
        }
        self.signature(*index)
            .ok_or_else(|| bad_entry(name, "it has no type"))
    }

    fn missing(&self, name: &str) -> Fault {
        let have = self.report.exports.iter().take(MAX_LISTED);
        Fault::MissingExport {
            name: name.to_owned(),
            have: have.cloned().collect(),
        }
    }

    fn any_scalar(&self) -> Result<(), Fault> {
        if self.report.exports.is_empty() {
            return Err(self.missing("function"));
        }
        Ok(())
    }

    fn command(&self, name: &str, signature: &FuncType) -> Result<(), Fault> {
        if !signature.params().is_empty() || !signature.results().is_empty() {
            return Err(bad_entry(
                name,
                "it takes or gives values; a command's entry has none",
            ));
        }
        let is_memory = |(name, kind, _): &(String, ExternalKind, u32)| {
            *kind == ExternalKind::Memory && name == "memory"
        };
        if !self.report.imports.is_empty() && !self.exported.iter().any(is_memory) {
            return Err(self.missing("memory"));
        }
        Ok(())
    }

    fn signature(&self, function: u32) -> Option<&FuncType> {
        let ty = self.signatures.get(function as usize)?;
        self.types.get(*ty as usize)?.as_ref()
    }
}

fn is_scalar(signature: &FuncType) -> bool {
    use wasmparser::ValType::{F32, F64, I32, I64};
    let mut all = signature.params().iter().chain(signature.results());
    all.all(|ty| matches!(ty, I32 | I64 | F32 | F64))
}

fn bad_entry(name: &str, reason: &str) -> Fault {
    Fault::BadEntry {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

fn cap(what: &str, count: u64, limit: u64) -> Result<(), Fault> {
    if count > limit {
        return Err(Fault::CodeTooLarge {
            what: what.to_owned(),
            count,
            limit,
        });
    }
    Ok(())
}

fn malformed(error: &wasmparser::BinaryReaderError) -> Fault {
    Fault::NotWasm(format!("{} at byte {}", error.message(), error.offset()))
}

#[cfg(test)]
mod tests;
