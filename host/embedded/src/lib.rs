//! Components and project templates that are part of the binary. The build script compiles and collects them.

use sluice_model::World;

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
include!(concat!(env!("OUT_DIR"), "/templates.rs"));
include!(concat!(env!("OUT_DIR"), "/schemas.rs"));

/// Iterates over the embedded mappers and domain plugins: world, name and component.
pub fn plugins() -> impl Iterator<Item = (World, &'static str, &'static [u8])> {
    let of = |world| move |(name, bytes): &(&'static str, &'static [u8])| (world, *name, *bytes);
    EMBEDDED_MAPPERS.iter().map(of(World::Mapper)).chain(EMBEDDED_DOMAINS.iter().map(of(World::Domain)))
}

/// Returns the embedded platform plugin with this name, or `None`.
pub fn platform_plugin(name: &str) -> Option<&'static [u8]> {
    EMBEDDED_PLATFORMS.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}
