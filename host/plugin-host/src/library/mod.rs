//! Components by their digests: kept as files, compiled when they are first needed.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cap_std::fs::Dir;
use hashbrown::HashMap;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::mapper::MapperPlugin;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// Every component that this server has, each under its digest. None is removed: what was made with one can be made
/// again.
pub struct Library {
    engine: Arc<Engine>,
    files: Dir,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    mappers: HashMap<Digest, Arc<MapperPlugin>>,
    domains: HashMap<Digest, Arc<DomainPlugin>>,
}

fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
}

impl Library {
    /// Components in a directory that only the host writes.
    pub fn new(engine: Arc<Engine>, files: Dir) -> Self {
        Self { engine, files, held: Mutex::default() }
    }

    /// What they are compiled with.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic leaves it as it was: a plugin is added whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a component, durably; its digest.
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
        // The name is not on disk before its directory is.
        self.files.open(".")?.sync_all()?;
        Ok(digest)
    }

    /// The component with this digest, and nothing else that may stand in its file.
    pub fn component(&self, digest: Digest) -> Result<Vec<u8>, PluginError> {
        let bytes = self.files.read(file_name(digest)).ok();
        bytes.filter(|bytes| Digest::of(bytes) == digest).ok_or(PluginError::Missing(digest))
    }

    /// The mapper with this digest.
    pub fn mapper(&self, digest: Digest) -> Result<Arc<MapperPlugin>, PluginError> {
        let mut held = self.held();
        if let Some(mapper) = held.mappers.get(&digest) {
            return Ok(mapper.clone());
        }
        let mapper = MapperPlugin::new(&self.engine, "mapper", digest, &self.component(digest)?)?;
        held.mappers.insert(digest, mapper.clone());
        Ok(mapper)
    }

    /// The domain plugin with this digest.
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
