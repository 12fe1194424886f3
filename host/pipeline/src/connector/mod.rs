//! Steps of a migration into a platform with an API of its own.

mod call_planner;
mod companions;
mod counts;
mod import;
mod plan_document;
mod redact;
mod undo;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

pub use counts::platform_count;
pub use import::platform_import;
pub use plan_document::{PLAN, PlanOptions, platform_plan};
pub use undo::{UndoOptions, platform_undo};

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
