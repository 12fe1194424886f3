//! What a component was made with, as it and the modules in it say themselves.

use std::collections::BTreeSet;

use wasm_metadata::Producers;

use super::bounds::{Sections, number};

/// Languages and tools that are shown.
const MOST: usize = 20;

/// Longest name with its version.
const MAX_BYTES: usize = 64;

/// Components within components that are looked into: no tool nests deeper.
const MAX_DEPTH: usize = 4;

/// Languages and tools that worked on a component, with their versions, such as `Rust 1.96.0`: what its `producers`
/// sections say, which nobody checks.
pub(super) fn toolchain(bytes: &[u8]) -> Vec<String> {
    let mut tools = BTreeSet::new();
    gather(bytes, 0, &mut tools);
    tools.into_iter().take(MOST).collect()
}

fn gather(bytes: &[u8], depth: usize, tools: &mut BTreeSet<String>) {
    for (id, section) in Sections::of(bytes) {
        match id {
            Sections::CUSTOM => tools.extend(named(section).unwrap_or_default()),
            Sections::CORE_MODULE | Sections::COMPONENT if depth < MAX_DEPTH => gather(section, depth + 1, tools),
            _ => {}
        }
    }
}

/// What a custom section names, if it is one of producers.
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

/// The text, where it looks like a tool and its version.
fn plain(text: &str) -> Option<String> {
    // A Rust version has its commit and date in brackets, which say nothing to most.
    let text = text.split(" (").next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+_/@#".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
