//! The library: components by digest, kept as files and compiled when they are first needed.

pub(crate) mod compile_cells;
pub(crate) mod plugins;

use std::io::Write as _;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};

use crate::engine::{CompiledCode, Engine};
use crate::worlds::domain::DomainPlugin;
use crate::worlds::mapper::MapperPlugin;
use compile_cells::CompileCells;
use sluice_contract::PluginError;
use sluice_model::{Digest, Tenant};

/// All components of this server, each under its digest. None is removed, so that every result can be reproduced.
pub struct Library {
    engine: Arc<Engine>,
    files: Dir,
    mappers: CompileCells<(Option<Tenant>, Digest), Arc<MapperPlugin>>,
    domains: CompileCells<Digest, Arc<DomainPlugin>>,
}

/// Returns the name of a component's file.
fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
}

impl Library {
    /// Opens the library in a directory that only the host writes.
    pub fn new(engine: Arc<Engine>, files: Dir) -> Self {
        Self { engine, files, mappers: CompileCells::default(), domains: CompileCells::default() }
    }

    /// Returns the engine that compiles the components.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Keeps a component, durably. Returns its digest.
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
        // The directory is synced, so that the file's name is durable as well.
        self.files.open(".")?.sync_all()?;
        Ok(digest)
    }

    /// Returns an empty file without a name, for a component that arrives. It is gone when it is closed.
    pub fn scratch(&self) -> std::io::Result<std::fs::File> {
        let name = format!("{}.part", uuid::Uuid::new_v4());
        let mut options = OpenOptions::new();
        let file = self.files.open_with(&name, options.read(true).write(true).create_new(true))?;
        self.files.remove_file(&name)?;
        Ok(file.into_std())
    }

    /// Reads the component with this digest. Fails if the file is missing or has other content.
    pub fn component(&self, digest: Digest) -> Result<Vec<u8>, PluginError> {
        let bytes = self.files.read(file_name(digest)).ok();
        bytes.filter(|bytes| Digest::of(bytes) == digest).ok_or(PluginError::Missing(digest))
    }

    /// Keeps the code of a plugin that was inspected, so that its first use does not compile it again.
    pub fn keep_code(&self, owner: Option<&Tenant>, digest: Digest, code: &CompiledCode) {
        self.engine.keep(owner, digest, code);
    }

    /// Returns the mapper with this digest, which `owner` pushed; `None` stands for the operator. Compiles it if necessary,
    /// once; callers of other digests and owners do not wait.
    pub fn mapper(&self, owner: Option<&Tenant>, digest: Digest) -> Result<Arc<MapperPlugin>, PluginError> {
        self.mappers.get_or_create(&(owner.cloned(), digest), || {
            MapperPlugin::of_owner(&self.engine, "mapper", owner, digest, &self.component(digest)?)
        })
    }

    /// Returns the domain plugin with this digest. Compiles it if necessary, once; callers of other digests do not wait.
    pub fn domain(&self, digest: Digest) -> Result<Arc<DomainPlugin>, PluginError> {
        self.domains
            .get_or_create(&digest, || DomainPlugin::new(&self.engine, "domain", digest, &self.component(digest)?))
    }
}
