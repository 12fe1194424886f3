//! Bounds of a plugin's file, checked before it is compiled: a few bytes of a component can keep a compiler busy for hours.
//!
//! Only lengths and counts are checked. The compiler refuses malformed files.

use sluice_config::PluginLimits;

/// Maximum number of functions in all modules. A Python guest has about 20,000. Compiling 100,000 empty functions takes 3 s
/// of a core and 570 MB.
const MAX_FUNCTIONS: u64 = 60_000;
/// Maximum number of bytes in a function. The largest functions of an interpreter have some hundred thousand. Compiling
/// larger ones takes more than proportional time: a second of a core for 260 KB of blocks.
const MAX_FUNCTION_BYTES: u64 = 512 << 10;
/// Maximum nesting of components. Tools nest three deep.
const MAX_DEPTH: usize = 16;
/// Maximum number of instances. They are created one by one when the component is compiled. A component that instantiates
/// another one twice, which does the same, and so on, has a thousand million of them in a kilobyte.
const MAX_INSTANCES: u64 = 100_000;

/// Section of a component's core instances.
const CORE_INSTANCES: u8 = 2;
/// Section of a component's instances.
const INSTANCES: u8 = 5;
/// Section of a core module's functions.
const CODE: u8 = 10;
/// Bytes of the magic number and the version.
const HEADER_BYTES: usize = 8;

/// Checks that a file is within the bounds. Otherwise returns the bound that it exceeds.
pub(crate) fn check(bytes: &[u8], limits: &PluginLimits) -> Result<(), String> {
    if bytes.len() > limits.file_bytes {
        let (is, most) = (bytes.len(), limits.file_bytes);
        return Err(format!("it has {is} bytes, {most} are allowed (plugin.file_bytes): strip its debugging sections"));
    }
    ComponentMeasure::default().component(bytes, 0).map(drop)
}

/// Counters of a file.
#[derive(Default)]
struct ComponentMeasure {
    functions: u64,
    /// Largest number of instances of a component that was measured.
    largest: u64,
}

impl ComponentMeasure {
    fn component(&mut self, bytes: &[u8], depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("components are nested deeper than {MAX_DEPTH} in it"));
        }
        let (mut own, mut made) = (1_u64, 0_u64);
        for (id, mut section) in WasmSections::of(bytes) {
            match id {
                WasmSections::CORE_MODULE => self.module(section)?,
                CORE_INSTANCES => own += number(&mut section).unwrap_or(0),
                WasmSections::COMPONENT => self.component(section, depth + 1)?,
                INSTANCES => made += number(&mut section).unwrap_or(0),
                _ => {}
            }
        }
        // The components that it instantiates were measured before.
        let instances = own.saturating_add(made.saturating_mul(self.largest.max(1)));
        self.largest = self.largest.max(instances);
        if instances > MAX_INSTANCES {
            return Err(format!("more than {MAX_INSTANCES} instances could come of the components in it"));
        }
        Ok(())
    }

    fn module(&mut self, bytes: &[u8]) -> Result<(), String> {
        for (id, mut section) in WasmSections::of(bytes) {
            if id != CODE {
                continue;
            }
            self.functions += number(&mut section).unwrap_or(0);
            if self.functions > MAX_FUNCTIONS {
                return Err(format!("it has more than {MAX_FUNCTIONS} functions"));
            }
            while let Some(length) = number(&mut section) {
                if length > MAX_FUNCTION_BYTES {
                    return Err(format!("one of its functions has {length} bytes, {MAX_FUNCTION_BYTES} are allowed"));
                }
                section = section.get(length as usize..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// Iterator over the complete sections of a module or a component, each with its number.
pub(crate) struct WasmSections<'a>(&'a [u8]);

impl<'a> WasmSections<'a> {
    /// Number of a custom section.
    pub const CUSTOM: u8 = 0;
    /// Number of the section of a core module.
    pub const CORE_MODULE: u8 = 1;
    /// Number of the section of a component.
    pub const COMPONENT: u8 = 4;

    /// Iterates over the sections after the header.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(HEADER_BYTES..).unwrap_or_default())
    }
}

impl<'a> Iterator for WasmSections<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&id, mut rest) = self.0.split_first()?;
        let length = number(&mut rest)?;
        let (section, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some((id, section))
    }
}

/// Takes an unsigned number of 32 bits in LEB128 off the front.
pub(crate) fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
