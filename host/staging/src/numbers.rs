//! Streams by name, and the indexes of each: what every record asks for, without making a text to ask with.

use hashbrown::HashMap;

use super::StreamName;
use super::index::Index;

/// The numbers of the streams.
#[derive(Default)]
pub(super) struct Numbers {
    sources: HashMap<String, u16>,
    records: HashMap<String, u16>,
    batches: HashMap<String, u16>,
}

impl Numbers {
    pub fn get(&self, stream: StreamName) -> Option<u16> {
        let (of_kind, name) = match stream {
            StreamName::Source(name) => (&self.sources, name),
            StreamName::Records(name) => (&self.records, name),
            StreamName::Batches(name) => (&self.batches, name),
        };
        of_kind.get(name).copied()
    }

    /// Takes a stream into account, by its name in full.
    pub fn insert(&mut self, text: &str, number: u16) {
        let Some((kind, name)) = text.split_once('/') else { return };
        let of_kind = match kind {
            "source" => &mut self.sources,
            "records" => &mut self.records,
            "batches" => &mut self.batches,
            // Of a later version: nobody here asks for it.
            _ => return,
        };
        of_kind.insert(name.to_owned(), number);
    }
}

/// The field name of an index by an entry's own key.
pub(super) const OWN_KEY: &str = "";

/// A stream's open indexes, each with its field: a handful, which are faster looked through than hashed.
#[derive(Default)]
pub(super) struct Indexes(Vec<(String, Index)>);

impl Indexes {
    pub fn get(&self, field: &str) -> Option<&Index> {
        self.0.iter().find(|(of, _)| of == field).map(|(_, index)| index)
    }

    pub fn get_mut(&mut self, field: &str) -> Option<&mut Index> {
        self.0.iter_mut().find(|(of, _)| of == field).map(|(_, index)| index)
    }

    pub fn add(&mut self, field: &str, index: Index) {
        self.0.push((field.to_owned(), index));
    }

    /// Closes those by fields that are not among these.
    pub fn keep(&mut self, fields: &[String]) {
        self.0.retain(|(field, _)| field == OWN_KEY || fields.contains(field));
    }

    pub fn all(&mut self) -> impl Iterator<Item = &mut Index> {
        self.0.iter_mut().map(|(_, index)| index)
    }
}
