//! Lookups: imports of the component in the sandbox, tables of the harness in `cargo test`.

use crate::bindings::types::{Batch, Found, LookupError};
use crate::{Id, batch};

#[cfg(target_family = "wasm")]
mod host {
    use super::*;
    use crate::bindings::{domain::sluice::plugin::record_lookup, mapper::sluice::plugin::source_lookup};

    /// Calls `source-lookup.find`.
    pub fn find(source: &str, field: &str, keys: &Batch) -> Result<Found, LookupError> {
        source_lookup::find(source, field, keys)
    }
    /// Calls `record-lookup.exist`.
    pub fn exist(entity_type: &str, ids: &[u8]) -> Result<Vec<u8>, LookupError> {
        record_lookup::exist(entity_type, ids)
    }
    /// Calls `record-lookup.read`.
    pub fn read(entity_type: &str, ids: &[u8]) -> Result<Found, LookupError> {
        record_lookup::read(entity_type, ids)
    }
    /// Calls `record-lookup.referring`.
    pub fn referring(entity_type: &str, field: &str, ids: &[u8]) -> Result<Found, LookupError> {
        record_lookup::referring(entity_type, field, ids)
    }
}

#[cfg(not(target_family = "wasm"))]
use crate::harness::lookup_tables as host;

/// Returns the answer of a lookup.
///
/// # Panics
///
/// If the host refuses the lookup: the plugin or the host has failed, and the batch cannot continue.
fn expect_answer<T>(call: &str, name: &str, answer: Result<T, LookupError>) -> T {
    answer.unwrap_or_else(|error| panic!("the host refused the lookup {call} of {name}: {error:?}"))
}

/// Looks up all of `ids`, and splits them in halves while the answer is larger than the host allows. Passes each record
/// to `take`.
fn look_up_split(
    name: &str,
    ids: &[Id],
    ask: &impl Fn(&[u8]) -> Result<Found, LookupError>,
    take: &mut impl FnMut(Id, &[u8]),
) {
    match ask(&pack(ids)) {
        Err(LookupError::AnswerTooLarge) if ids.len() > 1 => {
            let (left, right) = ids.split_at(ids.len() / 2);
            look_up_split(name, left, ask, take);
            look_up_split(name, right, ask, take);
        }
        answer => {
            let found = expect_answer("of records", name, answer);
            for (body, &answer) in batch::unpack(&found.records).zip(&found.answers) {
                take(ids[answer as usize], body);
            }
        }
    }
}

/// Maximum number of ids in one call. The host's default limit is 10,000.
const MAX_IDS: usize = 4_096;

/// Returns the loaded records of `source` whose `field` has one of the values in `keys`.
pub(crate) fn find(source: &str, field: &str, keys: &Batch) -> Found {
    expect_answer("of source records", source, host::find(source, field, keys))
}

/// Returns the ids that exist neither in staging nor in the target.
pub(crate) fn missing(entity_type: &str, ids: &[Id]) -> Vec<Id> {
    let mut missing = vec![];
    for ids in ids.chunks(MAX_IDS) {
        let places = expect_answer("of existence", entity_type, host::exist(entity_type, &pack(ids)));
        missing.extend(ids.iter().zip(places).filter(|&(_, place)| place == 0).map(|(&id, _)| id));
    }
    missing
}

/// Passes the records with these ids to `take`.
pub(crate) fn read(entity_type: &str, ids: &[Id], mut take: impl FnMut(Id, &[u8])) {
    let ask = |packed: &[u8]| host::read(entity_type, packed);
    ids.chunks(MAX_IDS).for_each(|ids| look_up_split(entity_type, ids, &ask, &mut take));
}

/// Passes the imported records whose column `field` refers to one of these ids to `take`.
pub(crate) fn referring(entity_type: &str, field: &str, ids: &[Id], mut take: impl FnMut(Id, &[u8])) {
    let ask = |packed: &[u8]| host::referring(entity_type, field, packed);
    ids.chunks(MAX_IDS).for_each(|ids| look_up_split(entity_type, ids, &ask, &mut take));
}

/// Returns the ids as 16 bytes each, concatenated.
fn pack(ids: &[Id]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.bytes()).collect()
}
