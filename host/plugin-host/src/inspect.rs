//! Inspects a plugin's file: its world and imports before any of its code runs, then its description and a trial run on
//! an empty object.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::component::Component;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::import_hints::import_hint;
use super::mapper::MapperPlugin;
use super::toolchain::toolchain;
use super::trial_run::{try_domain, try_mapper};
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::{Code, Digest, Name, Version, World};

/// Facts about a plugin's file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// World of the plugin.
    pub world: World,
    /// Name of the plugin.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub bytes: usize,
    /// Domain of a domain plugin. None for a mapper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
    /// Sources of a mapper, in the order in which they should be uploaded.
    pub sources: Vec<InspectedSource>,
    /// Entity types that a mapper produces or a domain plugin validates.
    pub entity_types: Vec<Name>,
    /// Codes that the plugin declares.
    pub codes: Vec<Code>,
    /// Imports of the component, each with its effect.
    pub imports: Vec<Import>,
    /// Languages and tools that the component names as its producers.
    pub toolchain: Vec<String>,
    /// Limits of the plugin on this server. An approval can set others.
    pub limits: PluginLimits,
    /// Message about the plugin's failure on an empty object, if it fails. If `unfit` is true, the server refuses a
    /// push for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaks: Option<String>,
    /// True if the plugin fails in a way that makes it unusable for any record.
    #[serde(skip)]
    pub unfit: bool,
}

/// A source of a mapper: a table of the old system.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSource {
    /// Name of the source.
    pub name: Name,
    /// Fields that identify a record.
    pub key: Vec<String>,
    /// Further fields by which other records look it up.
    pub lookups: Vec<String>,
}

/// An interface that a plugin imports.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// Name of the interface, with its version.
    pub import: String,
    /// Description of the effect of the import, such as `read a clock that stands still`.
    pub allows: &'static str,
}

/// Reads a plugin's file and its description, and runs the plugin on an empty object.
pub fn inspect(engine: &Arc<Engine>, name: &str, bytes: &[u8]) -> Result<Inspection, PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    if !bytes.starts_with(b"\0asm") {
        return Err(refused("it is not WebAssembly".into()));
    }
    if bytes.get(4..8) == Some(&[1, 0, 0, 0]) {
        return Err(refused(
            "it is a core module, not a component: wrap it, for instance with `wasm-tools component new`".into(),
        ));
    }
    let digest = Digest::of(bytes);
    let compiled = engine.compile(name, digest, bytes)?;
    let component = &compiled.0;
    let world = world(component).map_err(refused)?;
    let (title, domain, sources, entity_types, codes, first) = match world {
        World::Mapper => {
            let plugin = MapperPlugin::of(engine, name, digest, &compiled)?;
            let of = &plugin.description;
            let sources = of.sources.iter().map(|source| InspectedSource {
                name: source.name.clone(),
                key: source.key.clone(),
                lookups: source.lookups.clone(),
            });
            let first = try_mapper(&plugin)?;
            (plugin.title(), None, sources.collect(), of.entity_types.clone(), plugin.codes(), first)
        }
        World::Domain => {
            let plugin = DomainPlugin::of(engine, name, digest, &compiled)?;
            let of = &plugin.description;
            let entity_types = of.entity_types.iter().map(|entity_type| entity_type.name.clone()).collect();
            let first = try_domain(&plugin)?;
            (plugin.title(), Some(of.domain.clone()), vec![], entity_types, plugin.codes(), first)
        }
    };
    Ok(Inspection {
        world,
        name: title.name,
        version: title.version,
        digest,
        bytes: bytes.len(),
        domain,
        sources,
        entity_types,
        codes,
        imports: imports(component),
        toolchain: toolchain(bytes),
        limits: engine.limits.clone(),
        unfit: first.as_ref().is_some_and(|first| first.unfit),
        breaks: first.map(|first| first.how),
    })
}

/// Package of the contract, as a component names its interfaces.
const PACKAGE: &str = "sluice:plugin/";
/// Major and minor version of the contract that this host implements. An addition within a minor version breaks no
/// plugin.
const CONTRACT: (u64, u64) = (0, 1);

/// Returns the major and minor version of an interface's name, such as `sluice:plugin/mapping@0.1.0`.
fn contract_version(interface: &str) -> Option<(u64, u64)> {
    let (_, version) = interface.split_once('@')?;
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Returns the world that a component's exports implement. Returns the reason as a sentence if they implement none.
fn world(component: &Component) -> Result<World, String> {
    let ty = component.component_type();
    let exports: Vec<String> = ty.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let names = exports.iter().map(String::as_str).chain(ty.imports(component.engine()).map(|(name, _)| name));
    let ours = names.filter(|name| name.starts_with(PACKAGE));
    let other = ours.filter_map(contract_version).find(|version| *version != CONTRACT);
    if let Some((major, minor)) = other {
        let (ours_major, ours_minor) = CONTRACT;
        let (age, remedy) = if (major, minor) > CONTRACT {
            ("newer", "build it with an SDK of that version, or bring the server up to date")
        } else {
            ("older", "build it anew with an SDK of that version")
        };
        return Err(format!(
            "it is made for version {major}.{minor} of the contract, which is {age} than the {ours_major}.{ours_minor} of \
             this host: {remedy}"
        ));
    }
    let has = |interface: &str| exports.iter().any(|export| export.starts_with(&format!("{PACKAGE}{interface}@")));
    match (has("mapping"), has("validation"), has("importing")) {
        (true, ..) => Ok(World::Mapper),
        (_, true, true) => Ok(World::Domain),
        (_, true, false) | (_, false, true) => {
            Err("it exports one of sluice:plugin/validation and sluice:plugin/importing: a domain plugin has both"
                .into())
        }
        _ => Err("it exports neither sluice:plugin/mapping@0.1 (a mapper) nor sluice:plugin/validation@0.1 and \
                  importing@0.1 (a domain plugin): build it against the contract in wit/"
            .into()),
    }
}

/// Returns the imports of a component, each with its effect.
fn imports(component: &Component) -> Vec<Import> {
    let ty = component.component_type();
    let names = ty.imports(component.engine()).map(|(name, _)| name.to_owned());
    names.map(|import| Import { allows: meaning(&import), import }).collect()
}

/// Returns the effect of an import, as a clause.
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

/// Returns the error for a component that cannot be linked. Its reason is a sentence.
pub(super) fn link_error(name: &str, error: &wasmtime::Error) -> PluginError {
    let text = format!("{error:#}");
    // Text of wasmtime:
    // `component imports instance `a:b/c`, but a matching implementation was not found in the linker`
    let reason = match text.split('`').nth(1) {
        Some(import) if text.contains("imports") => {
            format!("it imports {import}, which this host does not offer: {}", import_hint(import))
        }
        _ => format!("it does not fit the contract sluice:plugin@0.1.0: {text}"),
    };
    PluginError::Refused { name: name.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_far_as_they_matter() {
        let cases = [
            ("sluice:plugin/mapping@0.1.0", Some((0, 1))),
            ("sluice:plugin/mapping@0.2.0-rc.1", Some((0, 2))),
            ("sluice:plugin/mapping@10.3.7", Some((10, 3))),
            ("sluice:plugin/mapping", None),
        ];
        for (interface, version) in cases {
            assert_eq!(contract_version(interface), version, "{interface}");
        }
    }
}
