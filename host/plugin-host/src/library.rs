//! A library of components by digest. Components are kept as files and compiled at their first use.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use hashbrown::HashMap;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::mapper::MapperPlugin;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// A library of all components of this server, each under its digest. Components are never removed, so that the output
/// of a component can be reproduced.
pub struct Library {
    engine: Arc<Engine>,
    files: Dir,
    held: Mutex<Held>,
}

/// Compiled components by digest.
#[derive(Default)]
struct Held {
    mappers: HashMap<Digest, Arc<MapperPlugin>>,
    domains: HashMap<Digest, Arc<DomainPlugin>>,
}

/// Returns the file name of a component.
fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
}

impl Library {
    /// Opens a library in a directory that only the host writes.
    pub fn new(engine: Arc<Engine>, files: Dir) -> Self {
        Self { engine, files, held: Mutex::default() }
    }

    /// Returns the engine that compiles the components.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Locks the compiled components.
    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic cannot leave an incomplete entry, because an entry is inserted in one step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a component durably and returns its digest.
    pub fn keep(&self, bytes: &[u8]) -> std::io::Result<Digest> {
        let digest = Digest::of(bytes);
        let file = file_name(digest);
        if !self.files.try_exists(&file)? {
            let unfinished = format!("{file}.{}.new", uuid::Uuid::new_v4());
            let written = self.files.create(&unfinished).and_then(|mut out| {
                out.write_all(bytes)?;
                out.sync_all()?;
                self.files.rename(&unfinished, &self.files, &file)
            });
            if let Err(error) = written {
                let _ = self.files.remove_file(&unfinished);
                return Err(error);
            }
        }
        // The name is durable only after the directory is synced.
        self.files.open(".")?.sync_all()?;
        Ok(digest)
    }

    /// Returns the component with this digest. Fails if the content of the file has another digest.
    pub fn component(&self, digest: Digest) -> Result<Vec<u8>, PluginError> {
        let bytes = self.files.read(file_name(digest)).ok();
        bytes.filter(|bytes| Digest::of(bytes) == digest).ok_or(PluginError::Missing(digest))
    }

    /// Returns the mapper with this digest. Compiles it at its first use.
    pub fn mapper(&self, digest: Digest) -> Result<Arc<MapperPlugin>, PluginError> {
        let mut held = self.held();
        if let Some(mapper) = held.mappers.get(&digest) {
            return Ok(mapper.clone());
        }
        let mapper = MapperPlugin::new(&self.engine, "mapper", digest, &self.component(digest)?)?;
        held.mappers.insert(digest, mapper.clone());
        Ok(mapper)
    }

    /// Returns the domain plugin with this digest. Compiles it at its first use.
    pub fn domain(&self, digest: Digest) -> Result<Arc<DomainPlugin>, PluginError> {
        let mut held = self.held();
        if let Some(domain) = held.domains.get(&digest) {
            return Ok(domain.clone());
        }
        let domain = DomainPlugin::new(&self.engine, "domain", digest, &self.component(digest)?)?;
        held.domains.insert(digest, domain.clone());
        Ok(domain)
    }
}
