//! Looks at a component: its size in all its parts, what it takes and gives.

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

use super::{
    Fault, MAX_BODY_BYTES, MAX_FUNCTIONS, MAX_LISTED, PAGE_BYTES, Report, cap, features, malformed,
};

/// The interface by which a command is entered.
pub(in crate::sandbox) const RUN: &str = "wasi:cli/run";
/// The packages that the host offers, of version 0.2.
const PACKAGES: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
const VERSION: &str = "@0.2.";
/// Modules and components in it, itself among them.
const MAX_PARTS: u32 = 100;

/// Whether the bytes start like a component.
#[must_use]
pub fn is_component(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\0', b'a', b's', b'm', _, 0, 1, 0, ..])
}

/// What was seen so far.
#[derive(Default)]
struct Survey {
    /// Parts that are open: 1 at the top.
    depth: u32,
    parts: u32,
    has_run: bool,
    report: Report,
}

/// Checks a component for being run as a command.
pub(super) fn check(bytes: &[u8], memory_limit: u64) -> Result<Report, Fault> {
    let mut survey = Survey::default();
    for payload in Parser::new(0).parse_all(bytes) {
        survey.visit(&payload.map_err(|error| malformed(&error))?)?;
    }
    Validator::new_with_features(features() | WasmFeatures::COMPONENT_MODEL)
        .validate_all(bytes)
        .map_err(|error| malformed(&error))?;
    let (wanted, limit) = (survey.report.memory_bytes, memory_limit);
    if wanted > limit {
        return Err(Fault::MemoryLimit { wanted, limit });
    }
    if !survey.has_run {
        let have = survey.report.exports.into_iter().take(MAX_LISTED);
        return Err(Fault::MissingExport {
            name: RUN.to_owned(),
            have: have.collect(),
        });
    }
    survey.report.exports = vec![RUN.to_owned()];
    Ok(survey.report)
}

impl Survey {
    fn visit(&mut self, payload: &Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::Version { encoding, .. } => self.open(*encoding)?,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section.clone() {
                    self.import(import.map_err(|error| malformed(&error))?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section.clone() {
                    let name = export.map_err(|error| malformed(&error))?.name.name;
                    self.has_run |= name.starts_with(&format!("{RUN}{VERSION}"));
                    self.report.exports.push(name.to_owned());
                }
            }
            other => self.count(other)?,
        }
        Ok(())
    }

    fn open(&mut self, encoding: Encoding) -> Result<(), Fault> {
        if self.parts == 0 && encoding != Encoding::Component {
            return Err(Fault::NotWasm("it is a core module".to_owned()));
        }
        self.depth += 1;
        self.parts += 1;
        cap("parts", self.parts.into(), MAX_PARTS.into())
    }

    /// Types and the like may be imported; an interface must be offered.
    fn import(&mut self, name: &str) -> Result<(), Fault> {
        let is_offered = PACKAGES.iter().any(|package| name.starts_with(package));
        if is_offered && name.contains(VERSION) {
            self.report.imports.push(name.to_owned());
            return Ok(());
        }
        let (module, name) = name.rsplit_once('/').unwrap_or(("", name));
        Err(Fault::ForbiddenImport {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    fn count(&mut self, payload: &Payload<'_>) -> Result<(), Fault> {
        match payload {
            Payload::FunctionSection(section) => {
                self.report.functions = self.report.functions.saturating_add(section.count());
                let count = self.report.functions.into();
                cap("functions", count, MAX_FUNCTIONS.into())
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len() as u64;
                cap("bytes in one function", bytes, MAX_BODY_BYTES as u64)
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    let memory = memory.map_err(|error| malformed(&error))?;
                    let bytes = memory.initial.saturating_mul(PAGE_BYTES);
                    self.report.memory_bytes = self.report.memory_bytes.saturating_add(bytes);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
