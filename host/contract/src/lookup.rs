//! Lookups that a plugin may make, as traits that the host's own parts implement.

use sluice_model::Code;

/// Records that answer a lookup, packed as they cross the boundary.
#[derive(Default)]
pub struct Found {
    /// Index of the key that each answers, ascending.
    pub answers: Vec<u32>,
    /// Records end to end.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
}

impl Found {
    /// Adds a record.
    pub fn push(&mut self, answer: u32, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.end(answer);
    }

    /// Adds as a record what was written to the end of `bytes`.
    pub fn end(&mut self, answer: u32) {
        self.ends.push(self.bytes.len() as u32);
        self.answers.push(answer);
    }
}

/// Why a lookup is not answered.
#[derive(Debug)]
pub enum LookupRefusal {
    /// No such source or entity type.
    UnknownName,
    /// It cannot be looked up by this field.
    UnknownField,
    /// The answer would be too large.
    TooLarge,
    /// The host could not read: what failed is in its log.
    Unavailable(Code),
}

/// What a mapper may look up.
pub trait SourceLookup: Send + Sync {
    /// Loaded records of `source` whose `field` has one of `keys`; stops with `TooLarge` beyond `max_bytes`.
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<Found, LookupRefusal>;
}

/// What a domain plugin may look up.
pub trait RecordLookup: Send + Sync {
    /// Where each id is: 0 nowhere, 1 staged, 2 in the target.
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal>;
    /// The records with these ids.
    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<Found, LookupRefusal>;
    /// Imported records whose column refers to one of these ids.
    fn referring(
        &self,
        entity_type: &str,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Found, LookupRefusal>;
}
