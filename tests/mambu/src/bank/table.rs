//! Rows in the order in which they were made, found by id or encoded key.

use std::collections::{BTreeMap, HashMap};

/// What has an id that people gave it and a key that it was given.
pub trait Row {
    fn id(&self) -> &str;
    fn key(&self) -> &str;
}

/// Rows of one kind.
pub struct Table<T> {
    rows: BTreeMap<u64, T>,
    index: HashMap<String, u64>,
    made: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), index: HashMap::new(), made: 0 }
    }
}

impl<T: Row> Table<T> {
    /// By id or encoded key.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.rows.get(self.index.get(id)?)
    }

    /// By id or encoded key.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.get_mut(self.index.get(id)?)
    }

    /// Whether an id or an encoded key is in use.
    pub fn has(&self, id: &str) -> bool {
        self.index.contains_key(id)
    }

    /// An id that is not in use: nine digits after a prefix.
    pub fn free_id(&self, prefix: &str) -> String {
        let mut number = self.made + 1;
        loop {
            let id = format!("{prefix}{number:09}");
            if !self.has(&id) {
                return id;
            }
            number += 1;
        }
    }

    /// Adds a row whose id is not in use.
    pub fn add(&mut self, row: T) {
        self.made += 1;
        self.index.insert(row.id().to_owned(), self.made);
        self.index.insert(row.key().to_owned(), self.made);
        self.rows.insert(self.made, row);
    }

    /// Takes a row away; its id is free again.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        let row = self.rows.remove(self.index.get(id)?)?;
        self.index.remove(row.id());
        self.index.remove(row.key());
        Some(row)
    }

    /// In the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows.values()
    }
}
