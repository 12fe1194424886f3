//! Which plugins there are, whose they are, and which of them a tenant's migrations may use.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use hashbrown::HashMap;
use jiff::Timestamp;

use sluice_catalog::Store;
use sluice_config::{Config, PluginLimits};
use sluice_connector::Platform;
use sluice_contract::PluginError;
use sluice_keys::PublicKey;
use sluice_model::{Approval, ChosenMapper, Digest, KeptPlugin, Name, Origin, Tenant, World};
use sluice_pipeline::{ConnectedPlatform, Failure, Platforms};
use sluice_plugin_host::{DomainPlugin, Library, PlatformPlugin, Plugins, inspect};

/// Who approved what the operator started the server with.
const SERVER: &str = "server";

/// Which plugins there are.
pub struct Registry {
    config: Arc<Config>,
    store: Arc<Store>,
    library: Arc<Library>,
    /// Digests of the plugins in this very binary, in its order.
    embedded: Vec<(World, Digest)>,
    /// What each tenant may use, until something is pushed, approved or revoked.
    sets: Mutex<HashMap<Tenant, Arc<Plugins>>>,
    /// One component is inspected at a time: compiling takes memory and both processors.
    inspecting: Mutex<()>,
}

/// Why a component is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Its signature is missing, or of no key of the tenant's.
    #[error("the component is not signed with a key of its tenant")]
    Signature,
    /// The tenant has too many.
    #[error("the tenant has as many plugins as it may")]
    TooMany,
    /// It is a domain plugin, and who pushes it does not run the server.
    #[error("domain plugins are the operator's")]
    NotForCustomers,
    /// It cannot be used, or the host failed.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// A component that somebody pushes.
pub struct Pushed<'a> {
    /// The component.
    pub bytes: &'a [u8],
    /// Whose it is to be.
    pub tenant: Tenant,
    /// The client that pushes it.
    pub client: &'a str,
    /// Whether that client runs the server, and may bring domain plugins.
    pub operator: bool,
    /// Its Ed25519 signature.
    pub signature: Option<[u8; 64]>,
}

/// What is signed of a component.
pub fn signed_text(digest: Digest) -> String {
    format!("sluice plugin {digest}")
}

impl Registry {
    /// Takes in what is embedded, and what the operator names.
    pub fn open(config: Arc<Config>, store: Arc<Store>, library: Library, files: &[PathBuf]) -> Result<Self> {
        let mut registry = Self {
            config,
            store,
            library: Arc::new(library),
            embedded: vec![],
            sets: Mutex::default(),
            inspecting: Mutex::default(),
        };
        for (world, name, bytes) in sluice_embedded::plugins() {
            let digest = registry.bring(name, bytes, Origin::Embedded)?;
            registry.embedded.push((world, digest));
        }
        for file in files {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            registry.bring(&file.display().to_string(), &bytes, Origin::Operator)?;
        }
        Ok(registry)
    }

    /// The configured platforms, each with its plugin.
    pub fn platforms(&self) -> Result<Platforms> {
        let mut platforms = Platforms::new();
        for (name, config) in &self.config.platforms {
            let plugin = config.plugin.as_deref().unwrap_or(name);
            let Some(bytes) = sluice_embedded::platform_plugin(plugin) else {
                anyhow::bail!("platforms.{name}: there is no plugin {plugin}");
            };
            let plugin = PlatformPlugin::new(self.library.engine(), plugin, Digest::of(bytes), bytes)?;
            let word = Name::configured(name).context("a platform's name is made of letters, digits and -_.")?;
            let runtime = tokio::runtime::Handle::current();
            let platform = Platform::new(word, config, plugin.description.clone(), runtime)
                .with_context(|| format!("platforms.{name}"))?;
            platforms.insert(name.clone(), Arc::new(ConnectedPlatform { plugin, platform }));
        }
        Ok(platforms)
    }

    /// Keeps a plugin of the operator's for every tenant, approved unless it ever was: a revoked one stays so.
    fn bring(&self, name: &str, bytes: &[u8], origin: Origin) -> Result<Digest> {
        let (digest, now) = (Digest::of(bytes), Timestamp::now());
        let known = self.store.approvals(digest, None)?.iter().any(|approval| approval.tenant.is_none());
        let plugin = if known { None } else { Some(self.inspected(name, bytes, None, now)?) };
        self.library.keep(bytes).context("a component cannot be kept in the data directory")?;
        let Some(plugin) = plugin else { return Ok(digest) };
        self.store.add_plugin(&KeptPlugin { origin, ..plugin })?;
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

    fn inspected(
        &self,
        name: &str,
        bytes: &[u8],
        tenant: Option<Tenant>,
        now: Timestamp,
    ) -> Result<KeptPlugin, Failure> {
        let found = {
            let _one_at_a_time = self.inspecting.lock().unwrap_or_else(PoisonError::into_inner);
            inspect(self.library.engine(), name, bytes)?
        };
        if let (Some(reason), Some(_), true) = (&found.breaks, &tenant, found.unfit) {
            return Err(PluginError::Refused { name: name.into(), reason: reason.clone() }.into());
        }
        Ok(KeptPlugin {
            digest: found.digest,
            tenant,
            world: found.world,
            name: found.name.clone(),
            version: found.version.clone(),
            domain: found.domain.clone(),
            origin: Origin::Pushed,
            client: None,
            pushed_at: now,
            signed_by: None,
            inspection: serde_json::to_string(&found).expect("an inspection is JSON"),
        })
    }

    /// Takes in a component that a client pushes; whether it is new to its tenant. What it may not be is found out
    /// before anything in it runs; then it runs on nothing.
    pub fn push(&self, pushed: &Pushed) -> Result<(KeptPlugin, bool), PushError> {
        let failed = |error| PushError::Failure(Failure::Store(error));
        let Pushed { bytes, ref tenant, client, operator, signature } = *pushed;
        let digest = Digest::of(bytes);
        let signed_by = self.signer(digest, tenant, signature)?;
        if let Some(known) = self.store.plugin(digest, Some(tenant)).map_err(failed)? {
            return Ok((known, false));
        }
        if self.store.count_plugins(tenant).map_err(failed)? >= self.config.registry.plugins_per_tenant {
            return Err(PushError::TooMany);
        }
        let plugin = self.inspected("it", bytes, Some(tenant.clone()), Timestamp::now())?;
        if plugin.world == World::Domain && !operator {
            return Err(PushError::NotForCustomers);
        }
        // Another platform's rules are for all who are on it, once they are approved.
        let tenant = plugin.tenant.filter(|_| plugin.world == World::Mapper);
        self.library.keep(bytes).map_err(|error| PushError::Failure(Failure::Staging(error.into())))?;
        let plugin = KeptPlugin { tenant, client: Some(client.into()), signed_by, ..plugin };
        self.store.add_plugin(&plugin).map_err(failed)?;
        self.sets().clear();
        Ok((plugin, true))
    }

    /// The key of the tenant's that signed a component.
    fn signer(
        &self,
        digest: Digest,
        tenant: &Tenant,
        signature: Option<[u8; 64]>,
    ) -> Result<Option<[u8; 32]>, PushError> {
        let Some(signature) = signature else {
            return if self.config.registry.require_signature { Err(PushError::Signature) } else { Ok(None) };
        };
        let keys = self.store.plugin_keys(Some(tenant)).map_err(Failure::Store)?;
        let text = signed_text(digest);
        let signed = |key: &[u8; 32]| PublicKey(*key).verifies(text.as_bytes(), &signature);
        let mut live = keys.iter().filter(|key| key.revoked_at.is_none()).map(|key| key.key);
        live.find(signed).map(Some).ok_or(PushError::Signature)
    }

    /// Keeps an approval; from now on it counts.
    pub fn approve(&self, approval: &Approval) -> Result<(), Failure> {
        self.store.approve(approval)?;
        self.sets().clear();
        Ok(())
    }

    /// Revokes an approval; `false` where there is none.
    pub fn revoke(&self, digest: Digest, tenant: Option<&Tenant>, by: &str) -> Result<bool, Failure> {
        let revoked = self.store.revoke_approval(digest, tenant, by, Timestamp::now())?;
        self.sets().clear();
        Ok(revoked)
    }

    fn sets(&self) -> MutexGuard<'_, HashMap<Tenant, Arc<Plugins>>> {
        // A panic leaves it as it was: a set is added whole.
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a tenant's migrations may use.
    pub fn of(&self, tenant: &Tenant) -> Result<Arc<Plugins>, Failure> {
        let mut sets = self.sets();
        if let Some(set) = sets.get(tenant) {
            return Ok(set.clone());
        }
        let kept = self.store.plugins_of(tenant)?;
        let mut mappers = BTreeMap::new();
        for plugin in kept.iter().filter(|plugin| plugin.world == World::Mapper) {
            mappers.insert(plugin.digest, self.limits(plugin.digest, tenant)?);
        }
        let set = Arc::new(Plugins::new(self.library.clone(), self.domains(&kept, tenant)?, mappers));
        sets.insert(tenant.clone(), set.clone());
        Ok(set)
    }

    /// The server's limits, as an approval has changed them.
    fn limits(&self, digest: Digest, tenant: &Tenant) -> Result<PluginLimits, Failure> {
        Ok(self.limits_of(self.store.approval(digest, tenant)?.as_ref()))
    }

    /// The server's limits, as this approval changes them.
    pub fn limits_of(&self, approval: Option<&Approval>) -> PluginLimits {
        let own = &self.config.plugin;
        // What was a limit when it was approved, and is none any more, changes nothing.
        approval.and_then(|approval| own.with(&approval.limits)).unwrap_or_else(|| own.clone())
    }

    /// The plugin of each domain: the one that was approved last, and else the embedded one.
    fn domains(&self, kept: &[KeptPlugin], tenant: &Tenant) -> Result<Vec<Arc<DomainPlugin>>, Failure> {
        let mut domains = vec![];
        for (_, digest) in self.embedded.iter().filter(|(world, _)| *world == World::Domain) {
            let embedded = self.library.domain(*digest)?;
            let rivals = kept.iter().filter(|plugin| {
                plugin.world == World::Domain
                    && plugin.origin != Origin::Embedded
                    && plugin.domain.as_deref() == Some(&embedded.description.domain)
            });
            let mut chosen: Option<Approval> = None;
            for rival in rivals {
                let approval = self.store.approval(rival.digest, tenant)?;
                let later = |approval: &Approval| chosen.as_ref().is_none_or(|chosen| approval.at > chosen.at);
                chosen = approval.filter(later).or(chosen);
            }
            domains.push(match chosen {
                Some(Approval { digest, .. }) => self.library.domain(digest)?.limited(self.limits(digest, tenant)?),
                None => embedded,
            });
        }
        Ok(domains)
    }

    /// The mappers that a tenant (none: any) may choose from, the best of each name first: an approved one before
    /// others, the tenant's own before the operator's before what is embedded, the newest before older ones.
    pub fn mappers(&self, tenant: Option<&Tenant>) -> Result<Vec<KeptPlugin>, Failure> {
        let all = sluice_catalog::Page { offset: 0, limit: i64::MAX as u64 };
        let (kept, _) = self.store.plugins(tenant, all)?;
        let mut mappers = vec![];
        for plugin in kept.into_iter().filter(|plugin| plugin.world == World::Mapper) {
            let present = plugin.origin != Origin::Embedded || self.embedded.contains(&(World::Mapper, plugin.digest));
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

    /// The mapper that a tenant means by a name or a digest.
    pub fn choose(&self, tenant: &Tenant, text: &str) -> Result<Result<ChosenMapper, Vec<Name>>, Failure> {
        let chosen = |plugin: KeptPlugin| ChosenMapper { digest: plugin.digest, name: plugin.name };
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

    /// Digests of what this server was started with.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        self.embedded.iter().map(|(_, digest)| *digest)
    }

    /// Whether a plugin is part of this binary.
    pub fn is_embedded(&self, digest: Digest) -> bool {
        self.digests().any(|embedded| embedded == digest)
    }
}
