//! The host's lookups: real imports in the sandbox, the harness's tables in `cargo test`.

use crate::bindings::types::{Batch, Found, LookupError};
use crate::{Id, batch};

#[cfg(target_family = "wasm")]
mod host {
    use super::*;
    use crate::bindings::{domain::sluice::plugin::record_lookup, mapper::sluice::plugin::source_lookup};

    pub fn find(source: &str, field: &str, keys: &Batch) -> Result<Found, LookupError> {
        source_lookup::find(source, field, keys)
    }
    pub fn exist(entity_type: &str, ids: &[u8]) -> Result<Vec<u8>, LookupError> {
        record_lookup::exist(entity_type, ids)
    }
    pub fn read(entity_type: &str, ids: &[u8]) -> Result<Found, LookupError> {
        record_lookup::read(entity_type, ids)
    }
    pub fn referring(entity_type: &str, field: &str, ids: &[u8]) -> Result<Found, LookupError> {
        record_lookup::referring(entity_type, field, ids)
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::harness::tables as host;

/// A refusal here is the plugin's mistake or the host's trouble; either way the batch cannot go on,
/// and the host narrows it down.
fn granted<T>(call: &str, name: &str, answer: Result<T, LookupError>) -> T {
    answer.unwrap_or_else(|error| panic!("lookup {call} of {name} was refused: {error:?}"))
}

/// Asks about all of `ids`, in halves where the answer would be larger than the host gives at once.
/// What is found is handed on record by record.
fn in_parts(
    name: &str,
    ids: &[Id],
    ask: &impl Fn(&[u8]) -> Result<Found, LookupError>,
    take: &mut impl FnMut(Id, &[u8]),
) {
    match ask(&packed(ids)) {
        Err(LookupError::AnswerTooLarge) if ids.len() > 1 => {
            let (left, right) = ids.split_at(ids.len() / 2);
            in_parts(name, left, ask, take);
            in_parts(name, right, ask, take);
        }
        answer => {
            let found = granted("of records", name, answer);
            for (body, &answer) in batch::unpack(&found.records).zip(&found.answers) {
                take(ids[answer as usize], body);
            }
        }
    }
}

/// Ids in one call: below the host's default limit.
const MAX_IDS: usize = 4_096;

/// Loaded records of `source` whose `field` holds one of `keys`.
pub(crate) fn find(source: &str, field: &str, keys: &Batch) -> Found {
    granted("of source records", source, host::find(source, field, keys))
}

/// Those of `ids` that exist neither in staging nor in the target.
pub(crate) fn missing(entity_type: &str, ids: &[Id]) -> Vec<Id> {
    let mut missing = vec![];
    for ids in ids.chunks(MAX_IDS) {
        let places = granted("of existence", entity_type, host::exist(entity_type, &packed(ids)));
        missing.extend(ids.iter().zip(places).filter(|&(_, place)| place == 0).map(|(&id, _)| id));
    }
    missing
}

/// The records with these ids.
pub(crate) fn read(entity_type: &str, ids: &[Id], mut take: impl FnMut(Id, &[u8])) {
    let ask = |packed: &[u8]| host::read(entity_type, packed);
    ids.chunks(MAX_IDS).for_each(|ids| in_parts(entity_type, ids, &ask, &mut take));
}

/// Imported records whose column `field` holds one of these ids.
pub(crate) fn referring(entity_type: &str, field: &str, ids: &[Id], mut take: impl FnMut(Id, &[u8])) {
    let ask = |packed: &[u8]| host::referring(entity_type, field, packed);
    ids.chunks(MAX_IDS).for_each(|ids| in_parts(entity_type, ids, &ask, &mut take));
}

fn packed(ids: &[Id]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.bytes()).collect()
}
