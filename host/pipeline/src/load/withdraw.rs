//! Withdrawal of an upload: its records, what was made from them, and their issues go.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::load::UploadSummary;
use crate::{MigrationContext, PipelineError};
use sluice_catalog::CatalogUpload;
use sluice_staging::{StreamName, SupersededEntry, WithdrawnRecords};

/// A reason for which an upload cannot be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithdrawalRefusal {
    /// The migration has no upload with this number.
    Unknown,
    /// The upload mapped staged records again, and brought none.
    Remap,
    /// This later upload to the same source or entity type contains records of the upload unchanged, or may contain
    /// some. Withdrawing the earlier one would remove them as well.
    Confirmed(u32),
}

/// Withdraws an upload. Withdrawing it again removes nothing more. No other upload to the same source or entity type and
/// no job may run.
pub fn withdraw_upload(
    context: &MigrationContext,
    uploads: &[CatalogUpload],
    number: u32,
) -> Result<Result<WithdrawnRecords, WithdrawalRefusal>, PipelineError> {
    let upload = match withdrawable(uploads, number) {
        Ok(upload) => upload,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let streams = match upload.mapper {
        Some(_) => vec![StreamName::Source(&upload.stream)],
        None => vec![StreamName::Records(&upload.stream), StreamName::Refused(&upload.stream)],
    };
    let remaps: BTreeSet<u32> = uploads.iter().filter(|upload| upload.remap).map(|upload| upload.number).collect();
    let mut withdrawn = WithdrawnRecords::default();
    let withdraw = |superseded: Vec<SupersededEntry>| UploadSummary::withdraw_issues(context, superseded);
    for stream in streams {
        let of_stream = context.area.withdraw::<PipelineError>(stream, number, &remaps, withdraw)?;
        withdrawn.records += of_stream.records;
        withdrawn.made += of_stream.made;
    }
    UploadSummary::default().note_change(context, withdrawn.records > 0)?;
    context.area.sync()?;
    let migration = context.migration.reference_id;
    context.store.withdraw_upload(migration, number, context.acknowledged(), Timestamp::now())?;
    Ok(Ok(withdrawn))
}

/// Returns the upload with this number, if it can be withdrawn.
fn withdrawable(uploads: &[CatalogUpload], number: u32) -> Result<&CatalogUpload, WithdrawalRefusal> {
    let upload = uploads.iter().find(|upload| upload.number == number).ok_or(WithdrawalRefusal::Unknown)?;
    if upload.remap {
        return Err(WithdrawalRefusal::Remap);
    }
    let confirms = |later: &&CatalogUpload| {
        let same_stream = later.stream == upload.stream && later.mapper.is_some() == upload.mapper.is_some();
        // It is not known which records an upload contained that did not end.
        let unknown = !matches!(later.ended, Some((_, Ok(_))));
        let open = later.number > number && !later.remap && later.withdrawn_at.is_none();
        same_stream && open && (unknown || later.confirmed.contains(&number))
    };
    match uploads.iter().rfind(confirms) {
        Some(later) => Err(WithdrawalRefusal::Confirmed(later.number)),
        None => Ok(upload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_catalog::UploadEnd;
    use sluice_model::Digest;

    /// An upload can be withdrawn unless a later upload to the same stream depends on it.
    #[test]
    fn later_uploads_protect_earlier_ones() {
        let upload = |number, stream: &str, mapped: bool, confirmed: &[u32], ended: bool| CatalogUpload {
            number,
            stream: stream.into(),
            remap: false,
            mapper: mapped.then(|| Digest::of(b"mapper")),
            started_at: String::new(),
            ended: ended.then(|| (String::new(), Ok(UploadEnd::default()))),
            withdrawn_at: None,
            confirmed: confirmed.to_vec(),
        };
        let mut uploads = vec![
            upload(1, "client", true, &[], true),
            upload(2, "client", true, &[1], true),
            upload(3, "loan", true, &[1], true),
            upload(4, "client", false, &[2], true),
            upload(5, "loan", true, &[], false),
            CatalogUpload { remap: true, ..upload(6, "client", true, &[], true) },
        ];
        let refusal = |uploads: &[CatalogUpload], number| withdrawable(uploads, number).map(|upload| upload.number);
        assert_eq!(refusal(&uploads, 1), Err(WithdrawalRefusal::Confirmed(2)));
        assert_eq!(refusal(&uploads, 2), Ok(2), "another stream of the same name");
        assert_eq!(refusal(&uploads, 3), Err(WithdrawalRefusal::Confirmed(5)), "it is not known what it contained");
        assert_eq!(refusal(&uploads, 5), Ok(5));
        assert_eq!(refusal(&uploads, 6), Err(WithdrawalRefusal::Remap));
        assert_eq!(refusal(&uploads, 7), Err(WithdrawalRefusal::Unknown));
        uploads[1].withdrawn_at = Some(String::new());
        assert_eq!(refusal(&uploads, 1), Ok(1));
    }
}
