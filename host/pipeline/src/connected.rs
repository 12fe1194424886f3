//! Platforms with an API of their own, each with the plugin that plans its calls.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use sluice_connector::Platform;
use sluice_plugin_host::PlatformPlugin;

/// A configured platform and its plugin.
pub struct ConnectedPlatform {
    /// Plugin that plans the calls.
    pub plugin: Arc<PlatformPlugin>,
    /// Connection, pace and settings.
    pub platform: Platform,
}

impl Deref for ConnectedPlatform {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

/// All configured platforms by name.
pub type Platforms = BTreeMap<String, Arc<ConnectedPlatform>>;
