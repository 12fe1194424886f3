//! Tables of entities with an index by id and encoded key.

use std::collections::{BTreeMap, HashMap};

/// An entity with an id, which a client may choose, and an encoded key, which the bank assigns.
pub trait BankEntity {
    /// Returns the id.
    fn id(&self) -> &str;
    /// Returns the encoded key.
    fn key(&self) -> &str;
}

/// Entities of one kind, in the order of creation.
pub struct EntityTable<T> {
    entities: BTreeMap<u64, T>,
    index: HashMap<String, u64>,
    last_number: u64,
}

impl<T> Default for EntityTable<T> {
    fn default() -> Self {
        Self { entities: BTreeMap::new(), index: HashMap::new(), last_number: 0 }
    }
}

impl<T: BankEntity> EntityTable<T> {
    /// Returns the entity with this id or encoded key.
    pub fn get(&self, id: &str) -> Option<&T> {
        self.entities.get(self.index.get(id)?)
    }

    /// Returns the entity with this id or encoded key, for modification.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.entities.get_mut(self.index.get(id)?)
    }

    /// Returns true if an id or encoded key is in use.
    pub fn contains(&self, id: &str) -> bool {
        self.index.contains_key(id)
    }

    /// Returns an unused id: a prefix and nine digits.
    pub fn free_id(&self, prefix: &str) -> String {
        let mut number = self.last_number + 1;
        loop {
            let id = format!("{prefix}{number:09}");
            if !self.contains(&id) {
                return id;
            }
            number += 1;
        }
    }

    /// Adds an entity. Its id must be unused.
    pub fn add(&mut self, entity: T) {
        self.last_number += 1;
        self.index.insert(entity.id().to_owned(), self.last_number);
        self.index.insert(entity.key().to_owned(), self.last_number);
        self.entities.insert(self.last_number, entity);
    }

    /// Removes an entity. Its id becomes free.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        let entity = self.entities.remove(self.index.get(id)?)?;
        self.index.remove(entity.id());
        self.index.remove(entity.key());
        Some(entity)
    }

    /// Returns all entities in the order of creation.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entities.values()
    }
}
