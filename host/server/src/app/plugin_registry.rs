//! Plugin registry: the known plugins, their owners, and the plugins that a tenant's migrations may use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use super::cells::{KeyedCells, KeyedLocks};
use sluice_catalog::Catalog;
use sluice_config::{Config, PluginLimits};
use sluice_connector::Platform;
use sluice_contract::PluginError;
use sluice_keys::PublicKey;
use sluice_model::{Approval, Digest, MapperRef, Name, PluginOrigin, RegisteredPlugin, Tenant, World};
use sluice_pipeline::{ConnectedPlatform, PipelineError, Platforms};
use sluice_plugin_host::{CompiledCode, DomainPlugin, Library, MapperGrant, PlatformPlugin, Plugins, inspect};

/// Approver of the plugins that the operator started the server with.
const SERVER: &str = "server";

/// Registry of the server's plugins.
///
/// No lock is held over more than one tenant while a component is compiled or inspected: a slow plugin of one tenant
/// never holds up another tenant.
pub struct PluginRegistry {
    config: Arc<Config>,
    store: Arc<Catalog>,
    library: Arc<Library>,
    /// Digests of the plugins embedded in the binary, in its order.
    embedded: Vec<(World, Digest)>,
    /// Plugins that each tenant may use. Cleared when a plugin is pushed, approved or revoked.
    sets: KeyedCells<Tenant, Arc<Plugins>>,
    /// One push at a time for each tenant: inspecting takes memory and processors, and the number of plugins is limited.
    pushes: KeyedLocks<Tenant>,
}

/// Reason why a component is refused.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The signature is missing, or does not match a key of the tenant.
    #[error("the component is not signed with a key of its tenant")]
    Signature,
    /// The tenant has the maximum number of plugins.
    #[error("the tenant has the maximum number of plugins")]
    TooMany,
    /// The component is a domain plugin, and the client is not an operator.
    #[error("only an operator may push domain plugins")]
    OperatorOnly,
    /// The component cannot be used, or the host failed.
    #[error(transparent)]
    Failure(#[from] PipelineError),
}

/// A component that a client pushes.
pub struct PluginPush<'a> {
    /// Component's bytes.
    pub bytes: &'a [u8],
    /// Tenant that will own the plugin.
    pub tenant: Tenant,
    /// Id of the client that pushes it.
    pub client: &'a str,
    /// True if the client runs the server, and so may push domain plugins.
    pub operator: bool,
    /// Ed25519 signature of [`signed_text`].
    pub signature: Option<[u8; 64]>,
}

/// Returns the text that a component's signature signs.
pub fn signed_text(digest: Digest) -> String {
    format!("sluice plugin {digest}")
}

impl PluginRegistry {
    /// Registers the embedded plugins and the operator's component files.
    pub fn open(config: Arc<Config>, store: Arc<Catalog>, library: Library, files: &[PathBuf]) -> Result<Self> {
        let mut registry = Self {
            config,
            store,
            library: Arc::new(library),
            embedded: vec![],
            sets: KeyedCells::default(),
            pushes: KeyedLocks::default(),
        };
        for (world, name, bytes) in sluice_embedded::plugins() {
            let digest = registry.register(name, bytes, PluginOrigin::Embedded)?;
            registry.embedded.push((world, digest));
        }
        for file in files {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            registry.register(&file.display().to_string(), &bytes, PluginOrigin::Operator)?;
        }
        Ok(registry)
    }

    /// Returns an empty file without a name, for a component that arrives.
    pub fn scratch(&self) -> std::io::Result<std::fs::File> {
        self.library.scratch()
    }

    /// Kills all plugin workers. Calls that run fail, and none starts any more.
    pub fn close(&self) {
        self.library.engine().close();
    }

    /// Returns the number of plugin workers at work, and their maximum.
    pub fn workers(&self) -> (usize, usize) {
        self.library.engine().workers()
    }

    /// Returns the configured platforms, each with its plugin.
    pub fn platforms(&self) -> Result<Platforms> {
        let mut platforms = Platforms::new();
        for (name, config) in &self.config.platforms {
            let plugin = config.plugin.as_deref().unwrap_or(name);
            let Some(bytes) = sluice_embedded::platform_plugin(plugin) else {
                anyhow::bail!("platforms.{name}: there is no plugin {plugin}");
            };
            let plugin = PlatformPlugin::new(self.library.engine(), plugin, Digest::of(bytes), bytes)?;
            let word =
                Name::from_config(name).context("a platform's name may have letters, digits and the characters -_.")?;
            let runtime = tokio::runtime::Handle::current();
            let platform = Platform::new(word, config, plugin.description.clone(), runtime)
                .with_context(|| format!("platforms.{name}"))?;
            platforms.insert(name.clone(), Arc::new(ConnectedPlatform { plugin, platform }));
        }
        Ok(platforms)
    }

    /// Registers an operator's plugin for every tenant. Approves it unless it had an approval before: a revoked approval
    /// stays revoked.
    fn register(&self, name: &str, bytes: &[u8], origin: PluginOrigin) -> Result<Digest> {
        let (digest, now) = (Digest::of(bytes), Timestamp::now());
        let known = self.store.approvals(digest, None)?.iter().any(|approval| approval.tenant.is_none());
        let plugin = if known { None } else { Some(self.inspect(name, bytes, None, now)?) };
        self.library.keep(bytes).context("cannot write a component to the data directory")?;
        let Some((plugin, code)) = plugin else { return Ok(digest) };
        self.library.keep_code(None, digest, &code);
        self.store.add_plugin(&RegisteredPlugin { origin, ..plugin })?;
        self.store.approve(&Approval {
            digest,
            tenant: None,
            client: SERVER.into(),
            at: now,
            limits: BTreeMap::new(),
            revoked_at: None,
            revoked_by: None,
        })?;
        Ok(digest)
    }

    /// Inspects a component without running it, then runs it on an empty object.
    fn inspect(
        &self,
        name: &str,
        bytes: &[u8],
        tenant: Option<Tenant>,
        now: Timestamp,
    ) -> Result<(RegisteredPlugin, Arc<CompiledCode>), PipelineError> {
        let (found, code) = inspect(self.library.engine(), name, tenant.as_ref(), bytes)?;
        if let (Some(reason), Some(_), true) = (&found.breaks, &tenant, found.unfit) {
            return Err(PluginError::Refused { name: name.into(), reason: reason.clone() }.into());
        }
        let plugin = RegisteredPlugin {
            digest: found.digest,
            tenant,
            world: found.world,
            name: found.name.clone(),
            version: found.version.clone(),
            domain: found.domain.clone(),
            origin: PluginOrigin::Pushed,
            client: None,
            pushed_at: now,
            signed_by: None,
            inspection: serde_json::to_string(&found).expect("an inspection is JSON"),
        };
        Ok((plugin, code))
    }

    /// Stores a component that a client pushes. Returns the plugin, and true if it is new to its tenant.
    ///
    /// The component is refused before any of its code runs if its signature, size or imports do not allow it.
    pub fn push(&self, push: &PluginPush) -> Result<(RegisteredPlugin, bool), PushError> {
        let signed_by = self.signer(Digest::of(push.bytes), &push.tenant, push.signature)?;
        // A known plugin does not wait for another push of the tenant.
        if let Some(known) = self.known(push)? {
            return Ok((known, false));
        }
        self.pushes.with(&push.tenant, || self.push_alone(push, signed_by))
    }

    fn known(&self, push: &PluginPush) -> Result<Option<RegisteredPlugin>, PipelineError> {
        Ok(self.store.plugin(Digest::of(push.bytes), Some(&push.tenant))?)
    }

    /// Stores a component while no other push of its tenant runs.
    fn push_alone(
        &self,
        push: &PluginPush,
        signed_by: Option<[u8; 32]>,
    ) -> Result<(RegisteredPlugin, bool), PushError> {
        let PluginPush { bytes, ref tenant, client, operator, .. } = *push;
        if let Some(known) = self.known(push)? {
            return Ok((known, false));
        }
        if self.store.count_plugins(tenant).map_err(PipelineError::Store)? >= self.config.registry.plugins_per_tenant {
            return Err(PushError::TooMany);
        }
        let (plugin, code) = self.inspect("it", bytes, Some(tenant.clone()), Timestamp::now())?;
        if plugin.world == World::Domain && !operator {
            return Err(PushError::OperatorOnly);
        }
        // A domain plugin has the rules of a platform that all tenants share. It applies to them once it is approved.
        let tenant = plugin.tenant.filter(|_| plugin.world == World::Mapper);
        self.library.keep(bytes).map_err(|error| PipelineError::Staging(error.into()))?;
        self.library.keep_code(tenant.as_ref(), plugin.digest, &code);
        let plugin = RegisteredPlugin { tenant, client: Some(client.into()), signed_by, ..plugin };
        self.store.add_plugin(&plugin).map_err(PipelineError::Store)?;
        self.sets.clear();
        Ok((plugin, true))
    }

    /// Returns the tenant's key that signed a component.
    fn signer(
        &self,
        digest: Digest,
        tenant: &Tenant,
        signature: Option<[u8; 64]>,
    ) -> Result<Option<[u8; 32]>, PushError> {
        let Some(signature) = signature else {
            return if self.config.registry.require_signature { Err(PushError::Signature) } else { Ok(None) };
        };
        let keys = self.store.plugin_keys(Some(tenant)).map_err(PipelineError::Store)?;
        let text = signed_text(digest);
        let signed = |key: &[u8; 32]| PublicKey(*key).verifies(text.as_bytes(), &signature);
        let mut live = keys.iter().filter(|key| key.revoked_at.is_none()).map(|key| key.key);
        live.find(signed).map(Some).ok_or(PushError::Signature)
    }

    /// Stores an approval. It takes effect at once.
    pub fn approve(&self, approval: &Approval) -> Result<(), PipelineError> {
        self.store.approve(approval)?;
        self.sets.clear();
        Ok(())
    }

    /// Revokes an approval. Returns false if there is none.
    pub fn revoke(&self, digest: Digest, tenant: Option<&Tenant>, by: &str) -> Result<bool, PipelineError> {
        let revoked = self.store.revoke_approval(digest, tenant, by, Timestamp::now())?;
        self.sets.clear();
        Ok(revoked)
    }

    /// Returns the plugins that a tenant's migrations may use. Compiles domain plugins that are not compiled yet; only
    /// this tenant waits for that.
    pub fn plugins_of(&self, tenant: &Tenant) -> Result<Arc<Plugins>, PipelineError> {
        self.sets.get_or_try_init(tenant, || {
            let kept = self.store.plugins_of(tenant)?;
            let mut mappers = BTreeMap::new();
            for plugin in kept.iter().filter(|plugin| plugin.world == World::Mapper) {
                let (owner, limits) = (plugin.tenant.clone(), self.limits(plugin.digest, tenant)?);
                mappers.insert(plugin.digest, MapperGrant { owner, limits });
            }
            Ok(Arc::new(Plugins::new(tenant.clone(), self.library.clone(), self.domains(&kept, tenant)?, mappers)))
        })
    }

    /// Returns the server's limits with the changes of a plugin's approval.
    fn limits(&self, digest: Digest, tenant: &Tenant) -> Result<PluginLimits, PipelineError> {
        Ok(self.limits_of(self.store.approval(digest, tenant)?.as_ref()))
    }

    /// Returns the server's limits with the changes of this approval.
    pub fn limits_of(&self, approval: Option<&Approval>) -> PluginLimits {
        let own = &self.config.plugin;
        // An approval may name a limit of an earlier version. It changes nothing. It may be older than a maximum.
        let lowered = |approval: &Approval| own.with(&self.config.approval.maxima.lower(own, &approval.limits));
        approval.and_then(lowered).unwrap_or_else(|| own.clone())
    }

    /// Returns the plugin of each domain: the plugin that was approved last, or the embedded one.
    fn domains(&self, kept: &[RegisteredPlugin], tenant: &Tenant) -> Result<Vec<Arc<DomainPlugin>>, PipelineError> {
        let mut domains = vec![];
        for (_, digest) in self.embedded.iter().filter(|(world, _)| *world == World::Domain) {
            let embedded = self.library.domain(*digest)?;
            let rivals = kept.iter().filter(|plugin| {
                plugin.world == World::Domain
                    && plugin.origin != PluginOrigin::Embedded
                    && plugin.domain.as_deref() == Some(&embedded.description.domain)
            });
            let mut chosen: Option<Approval> = None;
            for rival in rivals {
                let approval = self.store.approval(rival.digest, tenant)?;
                let later = |approval: &Approval| chosen.as_ref().is_none_or(|chosen| approval.at > chosen.at);
                chosen = approval.filter(later).or(chosen);
            }
            domains.push(match chosen {
                Some(Approval { digest, .. }) => {
                    self.library.domain(digest)?.for_tenant(tenant, self.limits(digest, tenant)?)
                }
                None => embedded.for_tenant(tenant, self.config.plugin.clone()),
            });
        }
        Ok(domains)
    }

    /// Returns the mappers that a tenant (none: any tenant) may choose from, the preferred one of each name first.
    ///
    /// Approved mappers come before others, then the tenant's own before the operator's before the embedded ones, then
    /// newer before older ones.
    pub fn mappers(&self, tenant: Option<&Tenant>) -> Result<Vec<RegisteredPlugin>, PipelineError> {
        let all = sluice_catalog::Pagination { offset: 0, limit: i64::MAX as u64 };
        let (kept, _) = self.store.plugins(tenant, all)?;
        let mut mappers = vec![];
        for plugin in kept.into_iter().filter(|plugin| plugin.world == World::Mapper) {
            let present =
                plugin.origin != PluginOrigin::Embedded || self.embedded.contains(&(World::Mapper, plugin.digest));
            let of = tenant.or(plugin.tenant.as_ref());
            let approved = match of {
                Some(tenant) => self.store.approval(plugin.digest, tenant)?.is_some(),
                None => self.store.approvals(plugin.digest, None)?.iter().any(|a| a.revoked_at.is_none()),
            };
            if present {
                mappers.push((approved, plugin));
            }
        }
        mappers.sort_by(|(a_approved, a), (b_approved, b)| {
            (&a.name, b_approved, b.origin).cmp(&(&b.name, a_approved, a.origin))
        });
        Ok(mappers.into_iter().map(|(_, plugin)| plugin).collect())
    }

    /// Returns the mapper that a tenant means by a name or a digest, or the names of all mappers if there is none.
    pub fn choose(&self, tenant: &Tenant, text: &str) -> Result<Result<MapperRef, Vec<Name>>, PipelineError> {
        let chosen = |plugin: RegisteredPlugin| MapperRef { digest: plugin.digest, name: plugin.name };
        if let Some(digest) = Digest::parse(text.strip_prefix("sha256:").unwrap_or(text)) {
            let found = self.store.plugin(digest, Some(tenant))?;
            if let Some(plugin) = found.filter(|plugin| plugin.world == World::Mapper) {
                return Ok(Ok(chosen(plugin)));
            }
        }
        let mappers = self.mappers(Some(tenant))?;
        let mut names: Vec<Name> = mappers.iter().map(|plugin| plugin.name.clone()).collect();
        names.dedup();
        Ok(mappers.into_iter().find(|plugin| plugin.name == *text).map(chosen).ok_or(names))
    }

    /// Returns the digests of the embedded plugins.
    pub fn embedded_digests(&self) -> impl Iterator<Item = Digest> {
        self.embedded.iter().map(|(_, digest)| *digest)
    }

    /// Returns true if a plugin is embedded in this binary.
    pub fn is_embedded(&self, digest: Digest) -> bool {
        self.embedded_digests().any(|embedded| embedded == digest)
    }
}
