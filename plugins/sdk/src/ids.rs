//! Reference ids: derived, so that two tables can point at each other before either is loaded.

use std::fmt::Write;

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A reference id. Serialises as a hyphenated lower-case UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub Uuid);

impl Id {
    /// Its 16 bytes.
    pub fn bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// Reads a UUID as text; anything else is none.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl<'de> serde::Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self)
    }
}

/// The reference id of the record of `entity_type` with this natural key, in this migration:
/// UUIDv5 of the migration's reference id and `entity_type:key`.
pub fn reference_id(migration: &[u8], entity_type: &str, key: impl std::fmt::Display) -> Id {
    let namespace = Uuid::from_slice(migration).unwrap_or(Uuid::nil());
    let mut name = String::with_capacity(entity_type.len() + 24);
    let _ = write!(name, "{entity_type}:{key}");
    Id(Uuid::new_v5(&namespace, name.as_bytes()))
}
