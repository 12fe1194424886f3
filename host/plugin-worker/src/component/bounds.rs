//! Bounds of a plugin's file, checked before it is compiled: a few bytes of a component can keep a compiler busy for hours.
//!
//! Only lengths and counts are checked. The compiler refuses malformed files.

use wasmparser::{ConstExpr, DataKind, Element, ElementItems, ElementKind, Operator, Parser, Payload};

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
/// Maximum number of core modules. A Python guest has about a hundred.
const MAX_MODULES: u64 = 1_000;
/// Maximum number of types in all modules. A Python guest has some thousands.
const MAX_TYPES: u64 = 100_000;
/// Maximum number of imports, exports and memories in all modules. A Python guest has about 20,000.
const MAX_NAMES: u64 = 200_000;
/// Maximum number of globals in all modules. A Python guest has some thousands.
const MAX_GLOBALS: u64 = 100_000;
/// Maximum number of globals that all core instances have together: those of the largest module for each. Each takes 16
/// bytes of the host for each batch.
const MAX_GLOBALS_OF_INSTANCES: u64 = 2_000_000;
/// Maximum number of segments of elements in all modules. A Python guest has some hundred. Compiling copies the table that they
/// fill for each of them: a second of a core for 5,000 in a large table.
const MAX_ELEMENT_SEGMENTS: u64 = 5_000;
/// Maximum number of segments of data in all modules. A JavaScript guest has 10,000.
const MAX_DATA_SEGMENTS: u64 = 100_000;
/// Maximum number of elements that segments fill, counted from the beginning of their table. A Python guest has about 20,000
/// functions.
const MAX_ELEMENTS: u64 = 1_000_000;
/// Maximum sum of the memory images of all modules in bytes, from the first byte that a segment fills to the last. The
/// compiled code has all bytes between them. A JavaScript guest has about 10 MiB.
const MAX_IMAGE_BYTES: u64 = 128 << 20;

/// Section of a component's core instances.
const CORE_INSTANCES: u8 = 2;
/// Section of a component's instances.
const INSTANCES: u8 = 5;
/// Bytes of the magic number and the version.
const HEADER_BYTES: usize = 8;

/// Checks that a file is within the bounds. Otherwise returns the bound that it exceeds.
pub(crate) fn check(bytes: &[u8]) -> Result<(), String> {
    ComponentMeasure::default().component(bytes, 0).map(drop)
}

/// Counters of a file.
#[derive(Default)]
struct ComponentMeasure {
    counts: [u64; Count::ALL.len()],
    /// Largest number of instances of a component that was measured.
    largest: u64,
    /// Number of core instances of all components.
    core_instances: u64,
    /// Largest number of globals of a module.
    most_globals: u64,
}

/// A number of things in a file.
#[derive(Clone, Copy)]
enum Count {
    Modules,
    Functions,
    Types,
    Names,
    Globals,
    ElementSegments,
    DataSegments,
    Elements,
    ImageBytes,
}

impl Count {
    /// Each count with its name in a message, and its maximum.
    const ALL: [(&str, u64); 9] = [
        ("core modules", MAX_MODULES),
        ("functions", MAX_FUNCTIONS),
        ("types", MAX_TYPES),
        ("imports, exports and memories", MAX_NAMES),
        ("globals", MAX_GLOBALS),
        ("segments of elements", MAX_ELEMENT_SEGMENTS),
        ("segments of data", MAX_DATA_SEGMENTS),
        ("elements in segments", MAX_ELEMENTS),
        ("bytes in memory images", MAX_IMAGE_BYTES),
    ];
}

impl ComponentMeasure {
    /// Adds to a count. Fails if it exceeds its maximum.
    fn add(&mut self, count: Count, more: u64) -> Result<(), String> {
        let (name, most) = Count::ALL[count as usize];
        let sum = &mut self.counts[count as usize];
        *sum = sum.saturating_add(more);
        if *sum > most { Err(format!("it has more than {most} {name}")) } else { Ok(()) }
    }

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
        self.core_instances = self.core_instances.saturating_add(own);
        // The components that it instantiates were measured before.
        let instances = own.saturating_add(made.saturating_mul(self.largest.max(1)));
        self.largest = self.largest.max(instances);
        if instances > MAX_INSTANCES {
            return Err(format!("more than {MAX_INSTANCES} instances could come of the components in it"));
        }
        let instances = self.largest.max(self.core_instances);
        if instances.saturating_mul(self.most_globals) > MAX_GLOBALS_OF_INSTANCES {
            return Err(format!("its instances could have more than {MAX_GLOBALS_OF_INSTANCES} globals together"));
        }
        Ok(())
    }

    fn module(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.add(Count::Modules, 1)?;
        let mut image: Option<(u64, u64)> = None;
        for payload in Parser::new(0).parse_all(bytes) {
            // The compiler refuses what cannot be read.
            let Ok(payload) = payload else { break };
            match payload {
                Payload::TypeSection(types) => self.add(Count::Types, types.count().into())?,
                Payload::ImportSection(imports) => self.add(Count::Names, imports.count().into())?,
                Payload::ExportSection(exports) => self.add(Count::Names, exports.count().into())?,
                Payload::MemorySection(memories) => self.add(Count::Names, memories.count().into())?,
                Payload::GlobalSection(globals) => {
                    self.add(Count::Globals, globals.count().into())?;
                    self.most_globals = self.most_globals.max(globals.count().into());
                }
                Payload::ElementSection(segments) => {
                    self.add(Count::ElementSegments, segments.count().into())?;
                    for segment in segments.into_iter().map_while(Result::ok) {
                        self.elements(&segment)?;
                    }
                }
                Payload::DataSection(segments) => {
                    self.add(Count::DataSegments, segments.count().into())?;
                    for segment in segments.into_iter().map_while(Result::ok) {
                        if let DataKind::Active { offset_expr, .. } = &segment.kind {
                            let start = constant(offset_expr).unwrap_or(0);
                            let end = start.saturating_add(segment.data.len() as u64);
                            image = Some(image.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
                        }
                    }
                }
                Payload::CodeSectionStart { count, .. } => self.add(Count::Functions, count.into())?,
                Payload::CodeSectionEntry(function) => {
                    let length = function.range().len() as u64;
                    if length > MAX_FUNCTION_BYTES {
                        return Err(format!(
                            "one of its functions has {length} bytes, {MAX_FUNCTION_BYTES} are allowed"
                        ));
                    }
                }
                _ => {}
            }
        }
        self.add(Count::ImageBytes, image.map_or(0, |(first, last)| last - first))
    }

    /// Counts the elements of a segment, from the beginning of its table on.
    fn elements(&mut self, segment: &Element<'_>) -> Result<(), String> {
        let count = match &segment.items {
            ElementItems::Functions(functions) => functions.count(),
            ElementItems::Expressions(_, expressions) => expressions.count(),
        };
        self.add(Count::Elements, count.into())?;
        let ElementKind::Active { offset_expr, .. } = &segment.kind else { return Ok(()) };
        let end = constant(offset_expr).unwrap_or(0).saturating_add(count.into());
        if end > MAX_ELEMENTS {
            return Err(format!("it fills more than {MAX_ELEMENTS} elements of a table"));
        }
        Ok(())
    }
}

/// Returns the value of an expression that is a constant.
fn constant(expression: &ConstExpr<'_>) -> Option<u64> {
    match expression.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(value.cast_unsigned().into()),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
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
