//! What may be imported: only what approved plugins have made and judged.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::order::{Stage, stages};
use super::{Desk, Failure};
use sluice_contract::EntityType;
use sluice_model::Digest;
use sluice_staging::{StagedBatch, StreamName};

impl Desk {
    /// Whether a plugin is approved for the migration's tenant, as it is known at this moment.
    pub fn approved(&self, digest: Digest) -> Result<(), Failure> {
        self.all_approved(&[digest])
    }

    /// Whether all of these are.
    pub(super) fn all_approved(&self, digests: &[Digest]) -> Result<(), Failure> {
        let Some(store) = &self.approvals else { return Ok(()) };
        match store.unapproved(digests, &self.migration.tenant)? {
            Some(digest) => Err(Failure::NotApproved { digest }),
            None => Ok(()),
        }
    }

    /// Whether the migration's mapper is approved, if it has made anything: what is most often forgotten is said
    /// before a job begins.
    pub fn approved_mapper(&self) -> Result<(), Failure> {
        let Some(mapper) = &self.migration.mapper else { return Ok(()) };
        let uploads = self.store.uploads(self.migration.reference_id)?;
        let used = uploads.iter().any(|upload| upload.mapper == Some(mapper.digest));
        if used { self.approved(mapper.digest) } else { Ok(()) }
    }

    /// Whether every mapper is approved that has made something of what is staged.
    pub(super) fn approved_makers(&self) -> Result<(), Failure> {
        let mut refused = BTreeMap::new();
        for upload in self.store.uploads(self.migration.reference_id)? {
            let Some(mapper) = upload.mapper else { continue };
            match self.approved(mapper) {
                Err(Failure::NotApproved { digest }) => drop(refused.insert(upload.number, digest)),
                other => other?,
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        // What such a mapper made may have been replaced since.
        for stage in stages(&self.plugins, &self.migration) {
            if let Stage::Import(_, EntityType { name, .. }) = stage {
                let uploads = self.uploads_of(&name)?;
                if let Some(digest) = refused.iter().find(|(upload, _)| uploads.contains(*upload)).map(|(_, d)| *d) {
                    return Err(Failure::NotApproved { digest });
                }
            }
        }
        Ok(())
    }

    /// Numbers of the uploads that have records of an entity type in staging.
    fn uploads_of(&self, entity_type: &str) -> Result<HashSet<u32>, Failure> {
        let mut reader = self.area.reader(StreamName::Records(entity_type), 0)?;
        let (mut staged, mut uploads) = (StagedBatch::default(), HashSet::new());
        let limits = &self.config.upload;
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            uploads.extend(staged.entries.iter().map(|entry| entry.upload));
        }
        Ok(uploads)
    }
}
