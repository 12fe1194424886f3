//! Verification of a migration's directory, read-only: with its key every sealed block, without it every checksum.

use std::path::Path;

use cap_std::fs::OpenOptions;

use crate::StagingError;
use crate::area::{JOURNAL, recover};
use crate::directory::snapshot::MigrationDirectories;
use crate::file_system::if_exists;
use crate::journal::{check_reaches, check_segment_name, committed, read_block, read_sealed, segment_names};
use crate::number::segment_number;
use crate::resumable_upload::{METADATA, UPLOADS, open_metadata, upload_ids};
use crate::sealed::lines::{LIST_SUFFIX, SealedLines};
use crate::streams::StreamState;
use crate::streams::registry::StreamRegistry;
use sluice_keys::Sealer;

/// Summary of a verified directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectorySummary {
    /// Number of blocks in the journal.
    pub blocks: u64,
    /// Number of their entries, including replaced ones, names of streams and tombstones.
    pub entries: u64,
    /// Number of resumable uploads.
    pub uploads: u64,
    /// Number of live entries by stream. `None` without a key, because tombstones and names are sealed.
    pub streams: Option<Vec<(String, u64)>>,
}

impl MigrationDirectories {
    /// Verifies a migration's directory. Fails if anything is damaged or incomplete, or if the journal does not reach the
    /// version `acknowledged`. Passes the number of bytes to `read` as it reads them.
    pub fn verify(
        &self,
        migration: uuid::Uuid,
        key: Option<[u8; 32]>,
        acknowledged: u64,
        read: &mut dyn FnMut(u64),
    ) -> Result<DirectorySummary, StagingError> {
        let Some(home) = self.home(migration)? else { return Ok(DirectorySummary::default()) };
        let sealer = key.map(|key| std::sync::Arc::new(Sealer::new(&key)));
        let mut summary = DirectorySummary::default();
        let (mut streams, mut registry) = (vec![], StreamRegistry::default());
        let (mut segments, mut length) = (0, 0);
        if let Some(journal) = if_exists(home.open_dir(JOURNAL))? {
            let names = segment_names(&journal)?;
            for (number, name) in names.iter().enumerate() {
                check_segment_name(name, number)?;
                let file = journal.open_with(name, OpenOptions::new().read(true))?.into_std();
                let size = file.metadata()?.len();
                let known = (number + 1 == names.len()).then_some(acknowledged);
                let end = committed(&file, segment_number(number), size, known, &mut |header, reference| {
                    match &sealer {
                        Some(sealer) => {
                            read_block(&file, sealer, &reference)?;
                            recover(&mut streams, &mut registry, header, reference, &|| {
                                read_block(&file, sealer, &reference)
                            })?;
                        }
                        None => drop(read_sealed(&file, &reference)?),
                    }
                    summary.blocks += 1;
                    summary.entries += u64::from(header.count);
                    read(u64::from(header.payload_bytes));
                    Ok(())
                })?;
                if end < size {
                    let segment = segment_number(number);
                    return Err(StagingError::Damaged { what: "uncommitted bytes", segment, offset: end });
                }
                (segments, length) = (number + 1, end);
            }
        }
        check_reaches(segments, length, acknowledged)?;
        let uploads = upload_ids(&home)?;
        summary.uploads = uploads.len() as u64;
        if let Some(sealer) = sealer {
            for entry in home.entries()? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let Some(list) = name.strip_suffix(LIST_SUFFIX) else { continue };
                let mut lines = SealedLines::open(&home, sealer.clone(), list)?;
                while lines.as_mut().map(SealedLines::next_line).transpose()?.flatten().is_some() {}
            }
            for id in uploads {
                let metadata = if_exists(home.read(Path::new(UPLOADS).join(id.to_string()).join(METADATA)))?;
                metadata.map(|sealed| open_metadata(&sealer, id, sealed)).transpose()?;
            }
            summary.streams =
                Some(streams.iter().map(|stream: &StreamState| (stream.name.clone(), stream.live())).collect());
        }
        Ok(summary)
    }
}
