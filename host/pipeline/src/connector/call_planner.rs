//! Call planning: the plugin of a platform plans the calls for a migration's records.

use uuid::Uuid;

use super::companions::for_each_bundle;
use crate::ConnectedPlatform;
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::quarantine::{QuarantinePosition, quarantine};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::{ListedIssue, Phase};
use sluice_contract::{PlannedEntity, PlatformKind};
use sluice_model::{Issue, Progress};
use sluice_plugin_host::PlatformInstance;
use sluice_staging::StreamName;

/// The plan of one record.
pub struct RecordPlan {
    /// Reference id of the record.
    pub id: [u8; 16],
    /// Number of the upload that staged the record.
    pub upload: u32,
    /// The plan.
    pub plan: PlannedEntity,
}

/// A planner for all records of a migration, kind by kind.
pub struct CallPlanner<'a> {
    context: &'a MigrationContext,
    platform: &'a ConnectedPlatform,
    instance: PlatformInstance,
    /// Number of records that could not be planned.
    pub skipped: u64,
    /// True if records that could not be planned are listed among the issues of the import.
    lists_issues: bool,
}

impl<'a> CallPlanner<'a> {
    /// Creates a planner for a platform, and adds the records of all its kinds to the expected progress.
    pub fn new(
        context: &'a MigrationContext,
        platform: &'a ConnectedPlatform,
        lists_issues: bool,
        progress: &Progress,
    ) -> Result<Self, PipelineError> {
        for kind in &platform.plugin.description.kinds {
            progress.expect(context.area.count(StreamName::Records(&kind.entity_type))?);
        }
        let instance = platform.plugin.instance(&context.migration.tenant, context.plugin_context(), &context.usage);
        Ok(Self { context, platform, instance, skipped: 0, lists_issues })
    }

    /// Plans the records of a kind, and calls `each` with the plans of a batch.
    pub fn plan(
        &mut self,
        kind: &PlatformKind,
        progress: &Progress,
        each: &mut dyn FnMut(Vec<RecordPlan>) -> Result<(), Interrupt>,
    ) -> Result<(), Interrupt> {
        let context = self.context;
        for_each_bundle(context, kind, progress, &mut |entries, batch| {
            let platform = self.platform;
            let made = self.instance.plan(kind, platform.config.flow, platform.settings(), &batch)?;
            // Records without a plan end here. The caller advances by the others.
            progress.advance((entries.len() as u64).saturating_sub(made.items.len() as u64));
            let key = |position: u32| entries[position as usize].key;
            let listed = |position: u32, issue: Issue| ListedIssue {
                stream: kind.entity_type.clone(),
                line: None,
                upload: None,
                reference_id: Some(Uuid::from_bytes(key(position))),
                issue,
            };
            let mut issues: Vec<ListedIssue> =
                made.issues.into_iter().map(|(position, issue)| listed(position, issue)).collect();
            let failed = made.failed.iter().map(|of| listed(of.position, Issue::error(of.failure.cause.code())));
            issues.extend(failed);
            self.skipped += issues.iter().filter(|listed| listed.issue.is_error()).count() as u64;
            if self.lists_issues {
                let most = context.config.records.listed_issues;
                context.store.add_issues(context.migration.reference_id, Phase::Import, &issues, most)?;
                let line = |position: u32| entries[position as usize].ordinal;
                let place = |position: Option<u32>| QuarantinePosition {
                    upload: 0,
                    stream: &kind.entity_type,
                    line: position.map(line),
                };
                let plugin = &platform.plugin;
                quarantine(&context.area, (plugin.title(), &plugin.digest), &made.failed, &made.undeclared, place)?;
                let place = |position: u32| ("referenceId", Uuid::from_bytes(key(position)).into());
                write_plugin_log(context, &made.logged, &PluginLogOrigin { domain: None, upload: 0, place })?;
            }
            let plans = made.items.into_iter().map(|plan| {
                let entry = &entries[plan.position as usize];
                RecordPlan { id: entry.key, upload: entry.upload, plan }
            });
            each(plans.collect())
        })
    }
}
