//! What a file is before anything in it runs: a component of which world, wanting what.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::component::Component;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::failure::PluginError;
use super::mapper::MapperPlugin;
use super::remedy::remedy;
use crate::model::{Code, Digest, Name, Version};

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A customer's mapper.
    Mapper,
    /// The platform's plugin for one domain.
    Domain,
}

/// What is known of a plugin's file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Which world it is made for.
    pub world: World,
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file.
    pub bytes: usize,
    /// The sources that a mapper takes, each with its key.
    pub sources: Vec<String>,
    /// The entity types that it produces, or judges.
    pub entity_types: Vec<Name>,
    /// The codes of its own that it may show.
    pub codes: Vec<Code>,
    /// What it imports, and what that lets it do.
    pub imports: Vec<(String, &'static str)>,
}

/// Reads what a plugin's file is, and asks it to describe itself.
pub fn inspect(engine: &Arc<Engine>, name: &str, bytes: &[u8]) -> Result<Inspection, PluginError> {
    let refused = |reason: &str| PluginError::Refused { name: name.into(), reason: reason.into() };
    if !bytes.starts_with(b"\0asm") {
        return Err(refused("it is not WebAssembly"));
    }
    if bytes.get(4..8) == Some(&[1, 0, 0, 0]) {
        return Err(refused(
            "it is a core module, not a component: wrap it, for instance with `wasm-tools component new`",
        ));
    }
    let digest = Digest::of(bytes);
    let component = engine.compile(name, digest, bytes)?;
    let imports = imports(engine, &component);
    let world = world(engine, &component).ok_or_else(|| {
        refused(
            "it exports neither sluice:plugin/mapping@0.1 (a mapper) nor sluice:plugin/validation@0.1 and \
             importing@0.1 (a domain plugin): build it against the contract in wit/",
        )
    })?;
    let (described, sources, entity_types, codes) = match world {
        World::Mapper => {
            let plugin = MapperPlugin::new(engine, name, digest, bytes)?;
            let of = &plugin.description;
            let sources = of.sources.iter().map(|source| format!("{} ({})", source.name, source.key.join("+")));
            ((of.name.clone(), of.version.clone()), sources.collect(), of.entity_types.clone(), plugin.codes())
        }
        World::Domain => {
            let plugin = DomainPlugin::new(engine, name, digest, bytes)?;
            let of = &plugin.description;
            let entity_types = of.entity_types.iter().map(|entity_type| entity_type.name.clone());
            ((of.name.clone(), of.version.clone()), vec![], entity_types.collect(), plugin.codes())
        }
    };
    let (name, version) = described;
    Ok(Inspection { world, name, version, digest, bytes: bytes.len(), sources, entity_types, codes, imports })
}

fn world(engine: &Engine, component: &Component) -> Option<World> {
    let exports: Vec<String> =
        component.component_type().exports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
    let has = |name: &str| exports.iter().any(|export| export.starts_with(name));
    if has("sluice:plugin/mapping@0.1") {
        Some(World::Mapper)
    } else if has("sluice:plugin/validation@0.1") && has("sluice:plugin/importing@0.1") {
        Some(World::Domain)
    } else {
        None
    }
}

fn imports(engine: &Engine, component: &Component) -> Vec<(String, &'static str)> {
    let ty = component.component_type();
    let names: Vec<String> = ty.imports(&engine.wasmtime).map(|(name, _)| name.to_owned()).collect();
    names
        .into_iter()
        .map(|name| {
            let may = meaning(&name);
            (name, may)
        })
        .collect()
}

/// What an import lets a plugin do, in words.
fn meaning(import: &str) -> &'static str {
    const MEANINGS: &[(&str, &str)] = &[
        ("sluice:plugin/source-lookup", "read this migration's loaded source records, by key"),
        ("sluice:plugin/record-lookup", "read this migration's staged records and the target's, by reference id"),
        ("sluice:plugin/log", "log codes and positions, no text"),
        ("sluice:plugin/types", "share the contract's types"),
        ("wasi:clocks", "read a clock that stands still"),
        ("wasi:random", "draw random numbers that are the same each time"),
        ("wasi:filesystem", "nothing: there is no file"),
        ("wasi:sockets", "nothing: every connection is refused"),
        ("wasi:cli/std", "write to nowhere; the end of standard error is kept beside a quarantined record"),
        ("wasi:cli/terminal", "nothing: there is no terminal"),
        ("wasi:cli", "nothing: there are no arguments and no environment"),
        ("wasi:io", "what the other WASI imports need"),
    ];
    let known = MEANINGS.iter().find(|(prefix, _)| import.starts_with(prefix));
    known.map_or("not offered by this host", |(_, meaning)| meaning)
}

/// Why a component cannot be linked, in a sentence.
pub(super) fn link_error(name: &str, error: &wasmtime::Error) -> PluginError {
    let text = format!("{error:#}");
    // `component imports instance `a:b/c`, but a matching implementation was not found in the linker`
    let reason = match text.split('`').nth(1) {
        Some(import) if text.contains("imports") => {
            format!("it imports {import}, which this host does not offer: {}", remedy(import))
        }
        _ => format!("it does not fit the contract sluice:plugin@0.1.0: {text}"),
    };
    PluginError::Refused { name: name.into(), reason }
}
