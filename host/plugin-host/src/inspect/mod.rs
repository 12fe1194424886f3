//! What a file is before anything in it runs: a component of which world, wanting what; and then a first run on an empty object.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::component::Component;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::mapper::MapperPlugin;
use super::remedy::remedy;
use super::smoke::{try_domain, try_mapper};
use super::toolchain::toolchain;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::{Code, Digest, Name, Version, World};

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
    /// The domain that a domain plugin is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
    /// The sources that a mapper takes, in the order in which they should be uploaded.
    pub sources: Vec<InspectedSource>,
    /// The entity types that it produces, or judges.
    pub entity_types: Vec<Name>,
    /// The codes of its own that it may show.
    pub codes: Vec<Code>,
    /// What it imports, and what that lets it do.
    pub imports: Vec<Import>,
    /// What it says it was made with.
    pub toolchain: Vec<String>,
    /// What it may use on this server, unless an approval says otherwise.
    pub limits: PluginLimits,
    /// How it breaks on an empty object, if it does: told, and a reason to refuse what is pushed if it is unfit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaks: Option<String>,
    /// Whether it breaks so that it could not be let near a record.
    #[serde(skip)]
    pub unfit: bool,
}

/// A table of the old system.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedSource {
    /// Its name.
    pub name: Name,
    /// Fields that identify a record.
    pub key: Vec<String>,
    /// Further fields by which other records look it up.
    pub lookups: Vec<String>,
}

/// An interface that a plugin asks for.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// Its name, with its version.
    pub import: String,
    /// What it lets a plugin do, in words.
    pub allows: &'static str,
}

/// Reads what a plugin's file is, asks it to describe itself, and lets it work on nothing.
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

/// The contract's package, as interfaces are named in a component.
const PACKAGE: &str = "sluice:plugin/";
/// The contract's version that this host speaks, as far as it matters: what is added within it breaks nothing.
const CONTRACT: (u64, u64) = (0, 1);

/// The version in `sluice:plugin/mapping@0.1.0`, as far as it matters.
fn contract_version(interface: &str) -> Option<(u64, u64)> {
    let (_, version) = interface.split_once('@')?;
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The world that a component's exports make, or in a sentence why it is none of ours.
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

fn imports(component: &Component) -> Vec<Import> {
    let ty = component.component_type();
    let names = ty.imports(component.engine()).map(|(name, _)| name.to_owned());
    names.map(|import| Import { allows: meaning(&import), import }).collect()
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
