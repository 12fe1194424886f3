//! Common code of the hostile guests: a correct mapper of the source `client`, which misbehaves at a record whose field
//! `poison` is set.

use sluice_sdk::bindings::mapper::exports::sluice::plugin::mapping::{self, Transformed};
use sluice_sdk::bindings::types::{Batch, Produced};
use sluice_sdk::prelude::*;

pub use sluice_sdk;

reads! {
    /// A client: `{"client_id": 7}`, or poisoned: `{"client_id": 7, "poison": true}`, or `poison` with the name of an
    /// attack.
    pub struct GuestClient {
        /// Key of the client.
        pub client_id: u64,
        /// Misbehaviour of the guest at this record. Null for none.
        #[serde(default)]
        pub poison: serde_json::Value,
    }
}

impl GuestClient {
    /// Returns true if the guest misbehaves at this record.
    pub fn is_poisoned(&self) -> bool {
        self.poison == true
    }

    /// Returns the name of the attack at this record, for a guest with several attacks.
    pub fn attack(&self) -> Option<&str> {
        self.poison.as_str()
    }
}

/// The only code that guests declare.
pub const GUEST_CODE: &str = "GUEST_AGAIN";

/// Returns the description of a guest with this name and the source `client`.
pub fn description(name: &str) -> Description {
    let clients = Description::new(name, "0.1.0").source("client", &["client_id"]).reads::<GuestClient>();
    clients.produces("counterparties").code(GUEST_CODE)
}

/// Returns the counterparty that a correct mapper makes of a client.
pub fn counterparty(id: Id, client: &GuestClient) -> serde_json::Value {
    json!({"referenceId": id, "type": "person", "initials": "C.", "surname": client.client_id.to_string()})
}

/// Puts the counterparty that a correct mapper makes of a client.
pub fn put(client: &GuestClient, record: &Record, out: &mut Output) {
    let id = record.reference_id("counterparties", client.client_id);
    out.put("counterparties", &counterparty(id, client));
}

/// Returns the description of a guest that does not implement [`Mapper`].
pub fn raw_description(name: &str) -> mapping::Description {
    mapping::Description {
        name: name.into(),
        version: "0.1.0".into(),
        sources: vec![mapping::Source {
            name: "client".into(),
            key: vec!["client_id".into()],
            lookups: vec![],
            fields: vec![],
        }],
        entity_types: vec!["counterparties".into()],
        codes: vec![],
    }
}

/// Returns the clients in a batch.
pub fn clients(records: &Batch) -> Vec<GuestClient> {
    let starts = std::iter::once(0).chain(records.ends.iter().copied());
    let bodies = starts.zip(&records.ends).map(|(start, &end)| &records.bytes[start as usize..end as usize]);
    bodies.map(|body| serde_json::from_slice(body).expect("a client in JSON")).collect()
}

/// Returns the result of a correct mapper for these clients. A guest corrupts it afterwards.
pub fn transformed(migration: &[u8], clients: &[GuestClient]) -> Transformed {
    let mut records = sluice_sdk::BatchBuilder::default();
    for client in clients {
        let id = reference_id(migration, "counterparties", client.client_id);
        records.push_json(&counterparty(id, client));
    }
    let origins = (0..clients.len() as u32).collect();
    let produced = Produced { entity_type: "counterparties".into(), records: records.finish(), origins };
    Transformed { produced: vec![produced], skipped: vec![], issues: vec![] }
}

/// Defines a guest that calls `$attack` with each poisoned client before it maps the client.
#[macro_export]
macro_rules! on_poison {
    ($name:literal, $attack:expr) => {
        pub struct Guest;

        impl $crate::sluice_sdk::Mapper for Guest {
            fn describe() -> $crate::sluice_sdk::Description {
                $crate::description($name)
            }

            fn map(
                record: &$crate::sluice_sdk::Record,
                out: &mut $crate::sluice_sdk::Output,
            ) -> Result<(), $crate::sluice_sdk::Finding> {
                let client: $crate::GuestClient = record.parse()?;
                if client.is_poisoned() {
                    let attack: fn(&$crate::GuestClient) = $attack;
                    attack(&client);
                }
                $crate::put(&client, record, out);
                Ok(())
            }
        }

        $crate::sluice_sdk::mapper!(Guest);
    };
}
