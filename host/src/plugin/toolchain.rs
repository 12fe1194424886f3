//! What a component was made with, as it says itself.

use std::collections::BTreeSet;

use wasm_metadata::Producers;

/// Languages and tools that are shown.
const MOST: usize = 20;

/// Longest name with its version.
const MAX_BYTES: usize = 64;

/// Languages and tools that worked on a component, with their versions, such as `Rust 1.96.0`: what its `producers`
/// section says, which nobody checks.
pub(super) fn toolchain(bytes: &[u8]) -> Vec<String> {
    let Ok(Some(producers)) = Producers::from_wasm(bytes) else { return vec![] };
    let mut tools = BTreeSet::new();
    for (_, field) in producers.iter() {
        tools.extend(field.iter().filter_map(|(tool, version)| plain(&format!("{tool} {version}"))));
    }
    tools.into_iter().take(MOST).collect()
}

/// The text, where it looks like a tool and its version.
fn plain(text: &str) -> Option<String> {
    // A Rust version has its commit and date in brackets, which say nothing to most.
    let text = text.split(" (").next().unwrap_or_default().trim();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" .-+_/@#".contains(&byte);
    ((1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(fits)).then(|| text.to_owned())
}
