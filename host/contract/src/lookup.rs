//! Lookups of plugins, as traits that other parts of the host implement.

use sluice_model::Code;

/// Records that answer a lookup, packed in the form that crosses the boundary.
#[derive(Default)]
pub struct LookupAnswer {
    /// Index of the key that each record answers, ascending.
    pub answers: Vec<u32>,
    /// Records, end to end.
    pub bytes: Vec<u8>,
    /// End of each record in `bytes`.
    pub ends: Vec<u32>,
}

impl LookupAnswer {
    /// Adds a record.
    pub fn push(&mut self, answer: u32, body: &[u8]) {
        self.bytes.extend_from_slice(body);
        self.end(answer);
    }

    /// Adds the record that was written to the end of `bytes`.
    pub fn end(&mut self, answer: u32) {
        self.ends.push(self.bytes.len() as u32);
        self.answers.push(answer);
    }
}

/// Reason why a lookup is not answered.
#[derive(Debug)]
pub enum LookupRefusal {
    /// The source or the entity type does not exist.
    UnknownName,
    /// Records cannot be looked up by this field.
    UnknownField,
    /// The answer is too large.
    TooLarge,
    /// The host could not read. The server's log has the error.
    Unavailable(Code),
}

/// Lookups of a mapper.
pub trait SourceLookup: Send + Sync {
    /// Returns the loaded records of `source` whose `field` has one of `keys`. Fails with `TooLarge` beyond `max_bytes`.
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal>;
}

/// Lookups of a domain plugin.
pub trait RecordLookup: Send + Sync {
    /// Returns the location of each id: 0 nowhere, 1 staged, 2 in the target.
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal>;
    /// Returns the records with these ids. Fails with `TooLarge` beyond `max_bytes`.
    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal>;
    /// Returns the imported records whose column refers to one of these ids. Fails with `TooLarge` beyond `max_bytes`.
    fn referring(
        &self,
        entity_type: &str,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<LookupAnswer, LookupRefusal>;
}
