//! Narrows a failing batch down to the records that break the plugin, so that the rest goes on.

use std::ops::Range;

use sluice_contract::{PluginError, PluginFailure};

/// A record that broke a plugin.
#[derive(Clone, Debug)]
pub struct Poisoned {
    /// Its position in the batch.
    pub position: u32,
    /// How the plugin broke.
    pub failure: PluginFailure,
}

/// What a call into a plugin comes to when it does not come to a result.
pub(super) enum CallError {
    /// The plugin failed: on a record, perhaps.
    Plugin(PluginFailure),
    /// Something else did, and there is no use in going on.
    Fatal(PluginError),
}

/// Results for parts of a batch, in order, and the records that broke the plugin.
pub(super) struct Isolated<T> {
    pub parts: Vec<(Range<usize>, T)>,
    pub poisoned: Vec<Poisoned>,
}

/// Runs `call` on the whole batch; where it fails, on its halves, and so on down to single records.
/// `call` is told whether the part is the whole, which has the full time limit; `note` of each failure, and
/// whether it was one record's, and may end it all.
pub(super) fn isolate<T>(
    records: usize,
    mut note: impl FnMut(&PluginFailure, bool) -> Result<(), PluginError>,
    mut call: impl FnMut(Range<usize>, bool) -> Result<T, CallError>,
) -> Result<Isolated<T>, PluginError> {
    let mut isolated = Isolated { parts: vec![], poisoned: vec![] };
    let whole = 0..records;
    // A batch of none has nothing that could be blamed.
    let mut open = if records == 0 { vec![] } else { vec![whole] };
    while let Some(part) = open.pop() {
        match call(part.clone(), part.len() == records) {
            Ok(result) => isolated.parts.push((part, result)),
            Err(CallError::Fatal(error)) => return Err(error),
            Err(CallError::Plugin(failure)) => {
                note(&failure, part.len() == 1)?;
                if part.len() == 1 {
                    isolated.poisoned.push(Poisoned { position: part.start as u32, failure });
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
    use sluice_model::{Digest, Title, Version};

    fn failing(cause: Cause) -> CallError {
        let plugin = Title { name: "p".into(), version: Version::declared("1").unwrap() };
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
