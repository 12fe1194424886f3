//! Reads the toolchain of a component from its `producers` sections and those of the modules in it.

use std::collections::BTreeSet;

use wasm_metadata::Producers;

use super::bounds::{Sections, number};

/// Maximum number of languages and tools that are returned.
const MOST: usize = 20;

/// Maximum length of a name with its version, in bytes.
const MAX_BYTES: usize = 64;

/// Maximum depth of components within components that are read. No tool nests them deeper.
const MAX_DEPTH: usize = 4;

/// Returns the languages and tools that made a component, with their versions, such as `Rust 1.96.0`. The source is the
/// `producers` sections, which are not verified.
pub(super) fn toolchain(bytes: &[u8]) -> Vec<String> {
    let mut tools = BTreeSet::new();
    gather(bytes, 0, &mut tools);
    tools.into_iter().take(MOST).collect()
}

/// Adds the producers of a component or module, and of those within it, to `tools`.
fn gather(bytes: &[u8], depth: usize, tools: &mut BTreeSet<String>) {
    for (id, section) in Sections::of(bytes) {
        match id {
            Sections::CUSTOM => tools.extend(named(section).unwrap_or_default()),
            Sections::CORE_MODULE | Sections::COMPONENT if depth < MAX_DEPTH => gather(section, depth + 1, tools),
            _ => {}
        }
    }
}

/// Returns the producers of a custom section, or none if it is another section.
fn named(mut section: &[u8]) -> Option<Vec<String>> {
    let length = number(&mut section)? as usize;
    let (name, content) = section.split_at_checked(length)?;
    if name != b"producers" {
        return None;
    }
    let producers = Producers::from_bytes(content, 0).ok()?;
    let fields = producers.iter().flat_map(|(_, field)| field.iter().collect::<Vec<_>>());
    Some(fields.filter_map(|(tool, version)| plain(&format!("{tool} {version}"))).collect())
}

/// Returns the text if it looks like the name and version of a tool.
fn plain(text: &str) -> Option<String> {
    // A Rust version ends in its commit and date in brackets. Most readers do not need them.
    let text = text.split(" (").next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+_/@#".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
