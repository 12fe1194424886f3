//! Isolation of failing records: a failing batch is split until only the records on which the plugin fails are left out.

use std::ops::Range;

use crate::instance::position;
use sluice_contract::{PluginError, PluginFailure};

/// A record on which a plugin failed.
#[derive(Clone, Debug)]
pub struct FailedRecord {
    /// Position in the batch.
    pub position: u32,
    /// Failure of the plugin.
    pub failure: PluginFailure,
}

/// Error of a call into a plugin.
pub(crate) enum CallError {
    /// The plugin failed, possibly because of a record.
    Plugin(PluginFailure),
    /// Another error ends the work.
    Fatal(PluginError),
}

/// Results for parts of a batch, and the records on which the plugin failed.
pub(crate) struct IsolationResult<T> {
    /// Results, each with its range of the batch, in order.
    pub parts: Vec<(Range<usize>, T)>,
    /// Records on which the plugin failed.
    pub failed: Vec<FailedRecord>,
}

/// Runs `call` on a batch of `records` records. If it fails, runs it on the halves, and so on down to single records.
///
/// `call` gets true if the part is the whole batch, which has the full time limit. `note` gets each failure, and true if
/// it was a single record's; its error ends the work.
pub(crate) fn isolate<T>(
    records: usize,
    mut note: impl FnMut(&PluginFailure, bool) -> Result<(), PluginError>,
    mut call: impl FnMut(Range<usize>, bool) -> Result<T, CallError>,
) -> Result<IsolationResult<T>, PluginError> {
    let mut isolated = IsolationResult { parts: vec![], failed: vec![] };
    let whole = 0..records;
    // An empty batch has no record to isolate.
    let mut open = if records == 0 { vec![] } else { vec![whole] };
    while let Some(part) = open.pop() {
        match call(part.clone(), part.len() == records) {
            Ok(result) => isolated.parts.push((part, result)),
            Err(CallError::Fatal(error)) => return Err(error),
            Err(CallError::Plugin(failure)) => {
                note(&failure, part.len() == 1)?;
                if part.len() == 1 {
                    isolated.failed.push(FailedRecord { position: position(part.start), failure });
                } else {
                    let middle = part.start + part.len() / 2;
                    open.push(middle..part.end);
                    open.push(part.start..middle);
                }
            }
        }
    }
    Ok(isolated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::usage::PluginUsage;
    use sluice_config::PluginLimits;
    use sluice_contract::{Cause, Confidential};
    use sluice_model::{Digest, PluginTitle, Version};

    fn failing(cause: Cause) -> CallError {
        let plugin = PluginTitle { name: "p".into(), version: Version::from_description("1").unwrap() };
        let (digest, message) = (Digest::of(b""), Confidential::new(""));
        CallError::Plugin(PluginFailure { plugin, digest, cause, message })
    }

    #[test]
    fn failing_records_are_isolated() {
        let cases: &[(usize, &[usize])] =
            &[(0, &[]), (1, &[]), (1, &[0]), (1_000, &[0, 7, 8, 999]), (5, &[0, 1, 2, 3, 4])];
        for (records, failing_positions) in cases {
            let isolated = isolate(
                *records,
                |_, _| Ok(()),
                |part, _| {
                    if failing_positions.iter().any(|position| part.contains(position)) {
                        Err(failing(Cause::Trapped))
                    } else {
                        Ok(())
                    }
                },
            );
            let isolated = isolated.unwrap_or_else(|error| panic!("{error}"));
            let found: Vec<usize> = isolated.failed.iter().map(|failed| failed.position as usize).collect();
            assert_eq!(found, *failing_positions);
            let healthy: usize = isolated.parts.iter().map(|(part, ())| part.len()).sum();
            assert_eq!(healthy + failing_positions.len(), *records);
            assert!(isolated.parts.is_sorted_by_key(|(part, ())| part.start), "in order");
        }
    }

    #[test]
    fn an_empty_batch_has_no_failed_record() {
        let isolated = isolate(0, |_, _| Ok(()), |_, _| Err::<(), _>(failing(Cause::Trapped)));
        assert!(isolated.is_ok_and(|isolated| isolated.failed.is_empty()));
    }

    #[test]
    fn gives_up_on_an_unfit_plugin() {
        for (cause, limit) in [(Cause::Trapped, 1_000), (Cause::TimedOut, 100)] {
            let (mut usage, limits) = (PluginUsage::default(), PluginLimits::default());
            let mut calls = 0;
            let note = |failure: &PluginFailure, alone| usage.note(failure, alone, &limits);
            let isolated = isolate(100_000, note, |_, _| {
                calls += 1;
                Err::<(), _>(failing(cause))
            });
            assert!(matches!(isolated, Err(PluginError::Unfit { .. } | PluginError::UnfitTimeouts { .. })));
            assert!(calls <= limit * 2 + 40, "{cause:?}: {calls} calls");
        }
    }
}
