//! What a plugin's file may be before it is compiled: a few bytes of a component can ask a compiler for hours.
//!
//! Only lengths and counts are read here. What is not well formed is left to the compiler, which refuses it.

use sluice_config::PluginLimits;

/// Functions of all modules together. A Python guest has about 20,000; of empty ones, 100,000 take 3 s of a core and
/// 570 MB to compile.
const MAX_FUNCTIONS: u64 = 60_000;
/// Bytes of one function. The largest of an interpreter have some hundred thousand, and compiling takes more than its
/// share where there are more: a second of a core for 260 KB of nothing but blocks.
const MAX_FUNCTION_BYTES: u64 = 512 << 10;
/// Components within components. Tools nest three deep.
const MAX_DEPTH: usize = 16;
/// Instances that come of it at most. They are made one by one while it is compiled, and a component that makes two
/// of one that makes two of one and so on has a thousand million of them in a kilobyte.
const MAX_INSTANCES: u64 = 100_000;

/// Sections of a component.
const CORE_INSTANCES: u8 = 2;
const INSTANCES: u8 = 5;
/// The section of a core module that holds its functions.
const CODE: u8 = 10;
/// Magic number and version.
const HEADER_BYTES: usize = 8;

/// Whether a file is not more than a plugin may be; if it is, what it has too much of.
pub(super) fn check(bytes: &[u8], limits: &PluginLimits) -> Result<(), String> {
    if bytes.len() > limits.file_bytes {
        let (is, most) = (bytes.len(), limits.file_bytes);
        return Err(format!("it has {is} bytes, {most} are allowed (plugin.file_bytes): strip its debugging sections"));
    }
    Measure::default().component(bytes, 0).map(drop)
}

#[derive(Default)]
struct Measure {
    functions: u64,
    /// Instances of the component that has most, of those that have ended.
    largest: u64,
}

impl Measure {
    fn component(&mut self, bytes: &[u8], depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("components are nested deeper than {MAX_DEPTH} in it"));
        }
        let (mut own, mut made) = (1_u64, 0_u64);
        for (id, mut section) in Sections::of(bytes) {
            match id {
                Sections::CORE_MODULE => self.module(section)?,
                CORE_INSTANCES => own += number(&mut section).unwrap_or(0),
                Sections::COMPONENT => self.component(section, depth + 1)?,
                INSTANCES => made += number(&mut section).unwrap_or(0),
                _ => {}
            }
        }
        // Whatever it makes instances of has ended before.
        let instances = own.saturating_add(made.saturating_mul(self.largest.max(1)));
        self.largest = self.largest.max(instances);
        if instances > MAX_INSTANCES {
            return Err(format!("more than {MAX_INSTANCES} instances could come of the components in it"));
        }
        Ok(())
    }

    fn module(&mut self, bytes: &[u8]) -> Result<(), String> {
        for (id, mut section) in Sections::of(bytes) {
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

/// The sections of a module or a component, as far as they are whole: each with its number.
pub(super) struct Sections<'a>(&'a [u8]);

impl<'a> Sections<'a> {
    pub const CUSTOM: u8 = 0;
    pub const CORE_MODULE: u8 = 1;
    pub const COMPONENT: u8 = 4;

    /// Those after the header.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(HEADER_BYTES..).unwrap_or_default())
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&id, mut rest) = self.0.split_first()?;
        let length = number(&mut rest)?;
        let (section, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some((id, section))
    }
}

/// An unsigned number of 32 bits in LEB128, taken off the front.
pub(super) fn number(bytes: &mut &[u8]) -> Option<u64> {
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
