//! The plans of a migration's records for a platform: what all that is done with them has in common.

use uuid::Uuid;

use super::bundles::bundles;
use super::quarantine::{Place, quarantine};
use super::said::{Speaker, keep_logged};
use super::{Desk, Failure, Stop};
use crate::ConnectedPlatform;
use sluice_catalog::{ListedIssue, Phase};
use sluice_contract::{Kind, PlannedEntity};
use sluice_model::{Issue, Progress};
use sluice_plugin_host::PlatformInstance;
use sluice_staging::StreamName;

/// One record's plan.
pub struct RecordPlan {
    /// The record's reference id.
    pub id: [u8; 16],
    /// Number of the upload that brought it.
    pub upload: u32,
    /// The plan.
    pub plan: PlannedEntity,
}

/// Plans all records of a migration, kind by kind.
pub struct Planner<'a> {
    desk: &'a Desk,
    platform: &'a ConnectedPlatform,
    instance: PlatformInstance,
    /// Records that could not be planned.
    pub left_out: u64,
    /// Whether what could not be planned is listed among the issues of the import.
    lists: bool,
}

impl<'a> Planner<'a> {
    /// Prepares to plan for a platform: all records of its kinds are to be gone through.
    pub fn new(
        desk: &'a Desk,
        platform: &'a ConnectedPlatform,
        lists: bool,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        for kind in &platform.plugin.description.kinds {
            progress.expect(desk.area.count(StreamName::Records(&kind.entity_type))?);
        }
        let instance = platform.plugin.instance(desk.context(), &desk.usage);
        Ok(Self { desk, platform, instance, left_out: 0, lists })
    }

    /// Plans the records of a kind; `each` gets the plans of a batch.
    pub fn plan(
        &mut self,
        kind: &Kind,
        progress: &Progress,
        each: &mut dyn FnMut(Vec<RecordPlan>) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let desk = self.desk;
        bundles(desk, kind, progress, &mut |entries, batch| {
            let platform = self.platform;
            let made = self.instance.plan(kind, platform.config.flow, platform.settings(), &batch)?;
            let key = |position: u32| entries[position as usize].key;
            let listed = |position: u32, issue: Issue| ListedIssue {
                stream: kind.entity_type.clone(),
                line: None,
                reference_id: Some(Uuid::from_bytes(key(position))),
                issue,
            };
            let mut issues: Vec<ListedIssue> =
                made.issues.into_iter().map(|(position, issue)| listed(position, issue)).collect();
            let broken = made.poisoned.iter().map(|of| listed(of.position, Issue::error(of.failure.cause.code())));
            issues.extend(broken);
            self.left_out += issues.iter().filter(|listed| listed.issue.stops()).count() as u64;
            if self.lists {
                let most = desk.config.records.listed_issues;
                desk.store.add_issues(desk.migration.reference_id, Phase::Import, &issues, most)?;
                let line = |position: u32| entries[position as usize].ordinal;
                let place =
                    |position: Option<u32>| Place { upload: 0, stream: &kind.entity_type, line: position.map(line) };
                let plugin = &platform.plugin;
                quarantine(&desk.area, (plugin.title(), &plugin.digest), &made.poisoned, &made.undeclared, place)?;
                let place = |position: u32| ("referenceId", Uuid::from_bytes(key(position)).into());
                keep_logged(desk, &made.logged, &Speaker { domain: None, upload: 0, place })?;
            }
            let plans = made.made.into_iter().map(|plan| {
                let entry = &entries[plan.position as usize];
                RecordPlan { id: entry.key, upload: entry.upload, plan }
            });
            each(plans.collect())
        })
    }
}
