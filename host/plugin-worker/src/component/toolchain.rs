//! Languages and tools that built a component, read from its metadata.

use std::collections::BTreeSet;

use wasm_metadata::Producers;

use crate::component::bounds::{WasmSections, number};

/// Maximum number of languages and tools.
const MAX_TOOLS: usize = 20;

/// Maximum length of a name with its version, in bytes.
const MAX_BYTES: usize = 64;

/// Maximum nesting of components that are read. No tool nests deeper.
const MAX_DEPTH: usize = 4;

/// Returns the languages and tools that built a component, with their versions, such as `Rust 1.96.0`. They come from its
/// `producers` sections and are not verified.
pub(crate) fn toolchain(bytes: &[u8]) -> Vec<String> {
    let mut tools = BTreeSet::new();
    gather(bytes, 0, &mut tools);
    tools.into_iter().take(MAX_TOOLS).collect()
}

/// Adds the tools of a component and of the components and modules in it.
fn gather(bytes: &[u8], depth: usize, tools: &mut BTreeSet<String>) {
    for (id, section) in WasmSections::of(bytes) {
        match id {
            WasmSections::CUSTOM => tools.extend(producers(section).unwrap_or_default()),
            WasmSections::CORE_MODULE | WasmSections::COMPONENT if depth < MAX_DEPTH => {
                gather(section, depth + 1, tools)
            }
            _ => {}
        }
    }
}

/// Returns the tools of a custom section, if it is a `producers` section.
fn producers(mut section: &[u8]) -> Option<Vec<String>> {
    let length = number(&mut section)? as usize;
    let (name, content) = section.split_at_checked(length)?;
    if name != b"producers" {
        return None;
    }
    let producers = Producers::from_bytes(content, 0).ok()?;
    let fields = producers.iter().flat_map(|(_, field)| field.iter().collect::<Vec<_>>());
    Some(fields.filter_map(|(tool, version)| plain(&format!("{tool} {version}"))).collect())
}

/// Returns the text if it looks like a tool and its version.
fn plain(text: &str) -> Option<String> {
    // A Rust version has its commit and date in brackets. They are left out.
    let text = text.split(" (").next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+_/@#".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
