//! Checks of a plugin's file before it is compiled. A component of a few bytes can keep a compiler busy for hours.
//!
//! The checks read lengths and counts only. The compiler refuses a file that is not well formed.

use sluice_config::PluginLimits;

/// Maximum number of functions in all modules together. A Python guest has about 20,000. Compiling 100,000 empty
/// functions takes 3 s of a core and 570 MB.
const MAX_FUNCTIONS: u64 = 60_000;
/// Maximum size of one function in bytes. The largest functions of an interpreter have some hundred thousand bytes. The
/// compile time grows faster than the size: 260 KB of blocks alone take a second of a core.
const MAX_FUNCTION_BYTES: u64 = 512 << 10;
/// Maximum depth of components within components. Tools nest them three deep.
const MAX_DEPTH: usize = 16;
/// Maximum number of instances that a component creates. The compiler creates them one by one. A component that creates
/// two instances of a component that creates two instances of another, and so on, has a thousand million instances in a
/// kilobyte.
const MAX_INSTANCES: u64 = 100_000;

/// Id of a component's section of core instances.
const CORE_INSTANCES: u8 = 2;
/// Id of a component's section of instances.
const INSTANCES: u8 = 5;
/// Id of a core module's section of functions.
const CODE: u8 = 10;
/// Length of the magic number and the version, in bytes.
const HEADER_BYTES: usize = 8;

/// Checks that a file is within the limits of a plugin. Returns a message that names the exceeded limit if it is not.
pub(super) fn check(bytes: &[u8], limits: &PluginLimits) -> Result<(), String> {
    if bytes.len() > limits.file_bytes {
        let (is, most) = (bytes.len(), limits.file_bytes);
        return Err(format!("it has {is} bytes, {most} are allowed (plugin.file_bytes): strip its debugging sections"));
    }
    Measure::default().component(bytes, 0).map(drop)
}

/// Counts of a component that is being read.
#[derive(Default)]
struct Measure {
    /// Functions so far.
    functions: u64,
    /// Largest number of instances that one of the components read so far creates.
    largest: u64,
}

impl Measure {
    /// Adds a component and the modules and components in it. Returns a message if a limit is exceeded.
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
        // A component stands in the file before its instances, so `largest` covers each component that is instantiated.
        let instances = own.saturating_add(made.saturating_mul(self.largest.max(1)));
        self.largest = self.largest.max(instances);
        if instances > MAX_INSTANCES {
            return Err(format!("more than {MAX_INSTANCES} instances could come of the components in it"));
        }
        Ok(())
    }

    /// Adds the functions of a core module. Returns a message if a limit is exceeded.
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

/// An iterator over the complete sections of a module or a component. Each item is the section's id and content.
pub(super) struct Sections<'a>(&'a [u8]);

impl<'a> Sections<'a> {
    /// Id of a custom section.
    pub const CUSTOM: u8 = 0;
    /// Id of a core module within a component.
    pub const CORE_MODULE: u8 = 1;
    /// Id of a component within a component.
    pub const COMPONENT: u8 = 4;

    /// Returns the sections after the header.
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

/// Reads an unsigned 32-bit number in LEB128 from the front of `bytes` and removes it. Returns none if it is
/// incomplete.
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
