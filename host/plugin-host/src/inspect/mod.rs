//! Inspection of a plugin's file: its world and its imports, before any code in it runs; then its description, and a trial
//! run on an empty object.

pub(crate) mod trial_run;

use std::sync::Arc;

use serde::Serialize;

use crate::engine::{CompiledCode, Engine};
use crate::instance::PluginSource;
use crate::worlds::domain::DomainPlugin;
use crate::worlds::mapper::MapperPlugin;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::{Code, Digest, Name, Tenant, Version, World};
use sluice_plugin_protocol::InspectedComponent;
use trial_run::{try_domain, try_mapper};

/// Result of an inspection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// World that the plugin is built for.
    pub world: World,
    /// Its name.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// Length of the file in bytes.
    pub bytes: usize,
    /// Domain of a domain plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Name>,
    /// Sources of a mapper, in the recommended order of upload.
    pub sources: Vec<SourceInspection>,
    /// Entity types that the plugin produces or validates.
    pub entity_types: Vec<Name>,
    /// The plugin's own codes.
    pub codes: Vec<Code>,
    /// Imports, each with the permission that it stands for.
    pub imports: Vec<ComponentImport>,
    /// Languages and tools that built it, as the file says.
    pub toolchain: Vec<String>,
    /// Limits on this server, unless an approval sets others.
    pub limits: PluginLimits,
    /// Failure on an empty object, if any. A pushed plugin that is `unfit` is refused for this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaks: Option<String>,
    /// True if the failure shows that the plugin would fail on any record.
    #[serde(skip)]
    pub unfit: bool,
}

/// A table of the old system.
#[derive(Clone, Debug, Serialize)]
pub struct SourceInspection {
    /// Its name.
    pub name: Name,
    /// Fields that identify a record.
    pub key: Vec<String>,
    /// Further fields by which its records can be looked up.
    pub lookups: Vec<String>,
}

/// An interface that a plugin imports.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentImport {
    /// Name of the interface, with its version.
    pub import: String,
    /// Clause that says what the interface permits.
    pub allows: &'static str,
}

/// Inspects a plugin's file: compiles it, reads its description, and runs it on an empty object. Returns its code as well,
/// which [`Library::keep_code`](crate::Library::keep_code) keeps once the plugin is accepted.
///
/// `owner` is the tenant that pushed it; `None` stands for the operator.
pub fn inspect(
    engine: &Arc<Engine>,
    name: &str,
    owner: Option<&Tenant>,
    bytes: &[u8],
) -> Result<(Inspection, Arc<CompiledCode>), PluginError> {
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
    let code = engine.compile(name, owner, digest, bytes, false)?;
    let source = PluginSource { owner, digest, bytes, code: code.clone() };
    let component = code.inspected();
    let world = world(component).map_err(refused)?;
    let (title, domain, sources, entity_types, codes, failure) = match world {
        World::Mapper => {
            let plugin = MapperPlugin::of_code(engine, name, source)?;
            let of = &plugin.description;
            let sources = of.sources.iter().map(|source| SourceInspection {
                name: source.name.clone(),
                key: source.key.clone(),
                lookups: source.lookups.clone(),
            });
            let failure = try_mapper(&plugin)?;
            (plugin.title(), None, sources.collect(), of.entity_types.clone(), plugin.codes(), failure)
        }
        World::Domain => {
            let plugin = DomainPlugin::of_code(engine, name, source)?;
            let of = &plugin.description;
            let entity_types = of.entity_types.iter().map(|entity_type| entity_type.name.clone()).collect();
            let failure = try_domain(&plugin)?;
            (plugin.title(), Some(of.domain.clone()), vec![], entity_types, plugin.codes(), failure)
        }
    };
    let inspection = Inspection {
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
        toolchain: component.toolchain.clone(),
        limits: engine.limits.clone(),
        unfit: failure.as_ref().is_some_and(|failure| failure.unfit),
        breaks: failure.map(|failure| failure.message),
    };
    Ok((inspection, code))
}

/// Prefix of the names of the contract's interfaces in a component.
const PACKAGE: &str = "sluice:plugin/";
/// Major and minor version of the contract that this host supports. Patch versions are compatible.
const CONTRACT: (u64, u64) = (0, 1);

/// Returns the major and minor version in a name such as `sluice:plugin/mapping@0.1.0`.
fn contract_version(interface: &str) -> Option<(u64, u64)> {
    let (_, version) = interface.split_once('@')?;
    let mut parts = version.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Returns the world of a component by its exports. Otherwise returns the reason why it is no plugin for this host.
fn world(component: &InspectedComponent) -> Result<World, String> {
    let exports = &component.exports;
    let names = exports.iter().chain(&component.imports).map(String::as_str);
    let ours = names.filter(|name| name.starts_with(PACKAGE));
    let other = ours.filter_map(contract_version).find(|version| *version != CONTRACT);
    if let Some((major, minor)) = other {
        let (ours_major, ours_minor) = CONTRACT;
        let (age, hint) = if (major, minor) > CONTRACT {
            ("newer", "build it with an SDK of that version, or bring the server up to date")
        } else {
            ("older", "build it anew with an SDK of that version")
        };
        return Err(format!(
            "it is made for version {major}.{minor} of the contract, which is {age} than the {ours_major}.{ours_minor} of \
             this host: {hint}"
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

/// Returns the imports of a component.
fn imports(component: &InspectedComponent) -> Vec<ComponentImport> {
    let names = component.imports.iter().cloned();
    names.map(|import| ComponentImport { allows: meaning(&import), import }).collect()
}

/// Returns what an import permits, as a clause.
fn meaning(import: &str) -> &'static str {
    const MEANINGS: &[(&str, &str)] = &[
        ("sluice:plugin/source-lookup", "read this migration's loaded source records, by key"),
        ("sluice:plugin/record-lookup", "read this migration's staged records and the target's, by reference id"),
        ("sluice:plugin/log", "log codes and positions, no text"),
        ("sluice:plugin/types", "share the contract's types"),
        ("wasi:clocks", "read a clock that stands still, without waiting"),
        ("wasi:random", "draw random numbers that are the same each time"),
        ("wasi:filesystem", "nothing: there is no file"),
        ("wasi:sockets", "nothing: every connection is refused"),
        ("wasi:cli/std", "write to nowhere; the beginning is kept beside a quarantined record"),
        ("wasi:cli/terminal", "nothing: there is no terminal"),
        ("wasi:cli", "nothing: there are no arguments and no environment"),
        ("wasi:io", "what the other WASI imports need"),
    ];
    let known = MEANINGS.iter().find(|(prefix, _)| import.starts_with(prefix));
    known.map_or("not offered by this host", |(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_and_minor_versions_are_read() {
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
