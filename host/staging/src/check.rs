//! Whether a migration's directory is whole, only read: with its key every sealed block, without it every checksum.

use std::path::Path;

use cap_std::fs::OpenOptions;

use super::StagingError;
use super::area::{JOURNAL, recover};
use super::copy::Migrations;
use super::journal::{committed, is_segment, reaches, read_block, read_sealed, segment_names};
use super::lines::{LIST, Lines};
use super::numbers::Numbers;
use super::received::{ABOUT, UPLOADS, absent, ids, open_about};
use super::streams::Stream;
use sluice_keys::Sealer;

/// What a migration's directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blocks of the journal, all whole.
    pub blocks: u64,
    /// Their entries, those that were replaced and the journal's own too.
    pub entries: u64,
    /// Uploads in parts.
    pub uploads: u64,
    /// Live entries by stream; none without a key, as deaths and names are sealed.
    pub streams: Option<Vec<(String, u64)>>,
}

impl Migrations {
    /// Checks a migration's directory, in which nothing may be torn, and which is known to have reached the version
    /// `acknowledged`; the bytes that were read are told as it goes on.
    pub fn check(
        &self,
        migration: uuid::Uuid,
        key: Option<[u8; 32]>,
        acknowledged: u64,
        read: &mut dyn FnMut(u64),
    ) -> Result<Checked, StagingError> {
        let Some(home) = self.home(migration)? else { return Ok(Checked::default()) };
        let sealer = key.map(|key| std::sync::Arc::new(Sealer::new(&key)));
        let mut checked = Checked::default();
        let (mut streams, mut numbers) = (vec![], Numbers::default());
        let (mut segments, mut length) = (0, 0);
        if let Some(journal) = absent(home.open_dir(JOURNAL))? {
            let names = segment_names(&journal)?;
            for (number, name) in names.iter().enumerate() {
                is_segment(name, number)?;
                let file = journal.open_with(name, OpenOptions::new().read(true))?.into_std();
                let size = file.metadata()?.len();
                let known = (number + 1 == names.len()).then_some(acknowledged);
                let end = committed(&file, number as u32, size, known, &mut |header, reference| {
                    match &sealer {
                        Some(sealer) => {
                            read_block(&file, sealer, &reference)?;
                            recover(&mut streams, &mut numbers, header, reference, &|| {
                                read_block(&file, sealer, &reference)
                            })?;
                        }
                        None => drop(read_sealed(&file, &reference)?),
                    }
                    checked.blocks += 1;
                    checked.entries += u64::from(header.count);
                    read(u64::from(header.payload_bytes));
                    Ok(())
                })?;
                if end < size {
                    let segment = number as u32;
                    return Err(StagingError::Damaged { what: "what was not committed", segment, offset: end });
                }
                (segments, length) = (number + 1, end);
            }
        }
        reaches(segments, length, acknowledged)?;
        let uploads = ids(&home)?;
        checked.uploads = uploads.len() as u64;
        if let Some(sealer) = sealer {
            for entry in home.entries()? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let Some(list) = name.strip_suffix(LIST) else { continue };
                let mut lines = Lines::open(&home, sealer.clone(), list)?;
                while lines.as_mut().map(Lines::next_line).transpose()?.flatten().is_some() {}
            }
            for id in uploads {
                let about = absent(home.read(Path::new(UPLOADS).join(id.to_string()).join(ABOUT)))?;
                about.map(|sealed| open_about(&sealer, id, sealed)).transpose()?;
            }
            checked.streams =
                Some(streams.iter().map(|stream: &Stream| (stream.name.clone(), stream.live())).collect());
        }
        Ok(checked)
    }
}
