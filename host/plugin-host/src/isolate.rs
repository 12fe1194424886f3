//! Searches a failing batch for the records at which the plugin fails, so that the other records are processed.

use std::ops::Range;

use sluice_contract::{PluginError, PluginFailure};

/// A record at which a plugin failed.
#[derive(Clone, Debug)]
pub struct FailedRecord {
    /// Position of the record in the batch.
    pub position: u32,
    /// The plugin's failure.
    pub failure: PluginFailure,
}

/// Reason why a call into a plugin has no result.
pub(super) enum CallError {
    /// Failure of the plugin, possibly at one record.
    Plugin(PluginFailure),
    /// Failure of anything else. The host does not continue with the batch.
    Fatal(PluginError),
}

/// Results for parts of a batch, in order, and the records at which the plugin failed.
pub(super) struct Isolated<T> {
    /// Results, each with the positions of its part.
    pub parts: Vec<(Range<usize>, T)>,
    /// Records at which the plugin failed, in order.
    pub poisoned: Vec<FailedRecord>,
}

/// Calls `call` on the whole batch. If the call fails, calls it on both halves, and so on down to single records. The
/// second argument of `call` is true for the whole batch, which has the full time limit. `note` receives each failure,
/// with true if the part was a single record. An error of `note` ends the search.
pub(super) fn isolate<T>(
    records: usize,
    mut note: impl FnMut(&PluginFailure, bool) -> Result<(), PluginError>,
    mut call: impl FnMut(Range<usize>, bool) -> Result<T, CallError>,
) -> Result<Isolated<T>, PluginError> {
    let mut isolated = Isolated { parts: vec![], poisoned: vec![] };
    let whole = 0..records;
    // An empty batch has no record at which a plugin could fail.
    let mut open = if records == 0 { vec![] } else { vec![whole] };
    while let Some(part) = open.pop() {
        match call(part.clone(), part.len() == records) {
            Ok(result) => isolated.parts.push((part, result)),
            Err(CallError::Fatal(error)) => return Err(error),
            Err(CallError::Plugin(failure)) => {
                note(&failure, part.len() == 1)?;
                if part.len() == 1 {
                    isolated.poisoned.push(FailedRecord { position: part.start as u32, failure });
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
    use super::super::usage::Tolerance;
    use super::*;
    use sluice_config::PluginLimits;
    use sluice_contract::{Cause, Confidential};
    use sluice_model::{Digest, PluginTitle, Version};

    fn failing(cause: Cause) -> CallError {
        let plugin = PluginTitle { name: "p".into(), version: Version::from_description("1").unwrap() };
        let (digest, message) = (Digest::of(b""), Confidential::new(""));
        CallError::Plugin(PluginFailure { plugin, digest, cause, message })
    }

    #[test]
    fn finds_exactly_the_poisonous() {
        let cases: &[(usize, &[usize])] =
            &[(0, &[]), (1, &[]), (1, &[0]), (1_000, &[0, 7, 8, 999]), (5, &[0, 1, 2, 3, 4])];
        for (records, poison) in cases {
            let isolated = isolate(
                *records,
                |_, _| Ok(()),
                |part, _| {
                    if poison.iter().any(|position| part.contains(position)) {
                        Err(failing(Cause::Trapped))
                    } else {
                        Ok(())
                    }
                },
            );
            let isolated = isolated.unwrap_or_else(|error| panic!("{error}"));
            let found: Vec<usize> = isolated.poisoned.iter().map(|poisoned| poisoned.position as usize).collect();
            assert_eq!(found, *poison);
            let healthy: usize = isolated.parts.iter().map(|(part, ())| part.len()).sum();
            assert_eq!(healthy + poison.len(), *records);
            assert!(isolated.parts.is_sorted_by_key(|(part, ())| part.start), "in order");
        }
    }

    #[test]
    fn nobody_is_blamed_for_an_empty_batch() {
        let isolated = isolate(0, |_, _| Ok(()), |_, _| Err::<(), _>(failing(Cause::Trapped)));
        assert!(isolated.is_ok_and(|isolated| isolated.poisoned.is_empty()));
    }

    #[test]
    fn gives_up_on_an_unfit_plugin() {
        for (cause, limit) in [(Cause::Trapped, 1_000), (Cause::TimedOut, 100)] {
            let (mut tolerance, limits) = (Tolerance::default(), PluginLimits::default());
            let mut calls = 0;
            let note = |failure: &PluginFailure, alone| tolerance.note(failure, alone, &limits);
            let isolated = isolate(100_000, note, |_, _| {
                calls += 1;
                Err::<(), _>(failing(cause))
            });
            assert!(matches!(isolated, Err(PluginError::Unfit { .. } | PluginError::UnfitTimeouts { .. })));
            assert!(calls <= limit * 2 + 40, "{cause:?}: {calls} calls");
        }
    }
}
