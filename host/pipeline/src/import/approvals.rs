//! Approvals: only records that approved plugins have made and validated may be imported.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use crate::import::stages::{ImportStage, stages};
use crate::{MigrationContext, PipelineError};
use sluice_contract::EntityType;
use sluice_model::Digest;
use sluice_staging::{StagedBatch, StreamName};

impl MigrationContext {
    /// Checks that a plugin is approved for the migration's tenant at this moment.
    pub(crate) fn check_plugin_approved(&self, digest: Digest) -> Result<(), PipelineError> {
        self.check_approved(&[digest])
    }

    /// Checks that all of these plugins are approved.
    pub(crate) fn check_approved(&self, digests: &[Digest]) -> Result<(), PipelineError> {
        let Some(store) = &self.approvals else { return Ok(()) };
        match store.first_unapproved(digests, &self.migration.tenant)? {
            Some(digest) => Err(PipelineError::NotApproved { digest }),
            None => Ok(()),
        }
    }

    /// Checks that the migration's mapper is approved, if it has made records. A missing approval of the mapper is the
    /// most frequent one, so it is reported before a job begins.
    pub(crate) fn check_mapper_approved(&self) -> Result<(), PipelineError> {
        let Some(mapper) = &self.migration.mapper else { return Ok(()) };
        let uploads = self.store.uploads(self.migration.reference_id)?;
        let used = uploads.iter().any(|upload| upload.mapper == Some(mapper.digest));
        if used { self.check_plugin_approved(mapper.digest) } else { Ok(()) }
    }

    /// Checks that every mapper is approved that has made staged records.
    pub(crate) fn check_mappers_approved(&self) -> Result<(), PipelineError> {
        let mut refused = BTreeMap::new();
        for upload in self.store.uploads(self.migration.reference_id)? {
            let Some(mapper) = upload.mapper else { continue };
            match self.check_plugin_approved(mapper) {
                Err(PipelineError::NotApproved { digest }) => drop(refused.insert(upload.number, digest)),
                other => other?,
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        // The records of an unapproved mapper may have been replaced since.
        for stage in stages(&self.plugins, &self.migration) {
            if let ImportStage::Import(_, EntityType { name, .. }) = stage {
                let uploads = self.uploads_of(&name)?;
                if let Some(digest) = refused.iter().find(|(upload, _)| uploads.contains(*upload)).map(|(_, d)| *d) {
                    return Err(PipelineError::NotApproved { digest });
                }
            }
        }
        Ok(())
    }

    /// Returns the numbers of the uploads that have staged records of an entity type.
    fn uploads_of(&self, entity_type: &str) -> Result<HashSet<u32>, PipelineError> {
        let mut reader = self.area.reader(StreamName::Records(entity_type), 0)?;
        let (mut staged, mut uploads) = (StagedBatch::default(), HashSet::new());
        let limits = &self.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            uploads.extend(staged.entries.iter().map(|entry| entry.upload));
        }
        Ok(uploads)
    }
}
