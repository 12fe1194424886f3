//! What the hostile guests have in common: an honest mapper of the source `client`, which turns on its
//! host at a record whose field `poison` says so.

use sluice_sdk::bindings::mapper::exports::sluice::plugin::mapping::{self, Transformed};
use sluice_sdk::bindings::types::{Batch, Produced};
use sluice_sdk::prelude::*;

pub use sluice_sdk;

reads! {
    /// A client: `{"client_id": 7}`, or `{"client_id": 7, "poison": true}`, or with the name of a trick.
    pub struct Client {
        /// The key.
        pub client_id: u64,
        /// What the guest is to do at this record; null for nothing.
        #[serde(default)]
        pub poison: serde_json::Value,
    }
}

impl Client {
    /// Whether the guest is to turn on its host here.
    pub fn is_poisoned(&self) -> bool {
        self.poison == true
    }

    /// Which of several tricks the guest is to play here.
    pub fn trick(&self) -> Option<&str> {
        self.poison.as_str()
    }
}

/// The one code that guests declare.
pub const AGAIN: &str = "GUEST_AGAIN";

/// A guest with this name and the one source.
pub fn description(name: &str) -> Description {
    let clients = Description::new(name, "0.1.0").source("client", &["client_id"]).reads::<Client>();
    clients.produces("counterparties").code(AGAIN)
}

/// The counterparty that an honest mapper makes of a client.
pub fn counterparty(id: Id, client: &Client) -> serde_json::Value {
    json!({"referenceId": id, "type": "person", "initials": "C.", "surname": client.client_id.to_string()})
}

/// Puts the counterparty that an honest mapper makes of a client.
pub fn put(client: &Client, record: &Record, out: &mut Output) {
    let id = record.reference_id("counterparties", client.client_id);
    out.put("counterparties", &counterparty(id, client));
}

/// The description of [`description`], for a guest without the trait.
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

/// The clients in a batch.
pub fn clients(records: &Batch) -> Vec<Client> {
    let starts = std::iter::once(0).chain(records.ends.iter().copied());
    let bodies = starts.zip(&records.ends).map(|(start, &end)| &records.bytes[start as usize..end as usize]);
    bodies.map(|body| serde_json::from_slice(body).expect("a test writes clients")).collect()
}

/// What an honest mapper answers for these clients, for a guest that then spoils it.
pub fn transformed(migration: &[u8], clients: &[Client]) -> Transformed {
    let mut records = sluice_sdk::BatchBuilder::default();
    for client in clients {
        let id = reference_id(migration, "counterparties", client.client_id);
        records.push_json(&counterparty(id, client));
    }
    let origins = (0..clients.len() as u32).collect();
    let produced = Produced { entity_type: "counterparties".into(), records: records.finish(), origins };
    Transformed { produced: vec![produced], skipped: vec![], issues: vec![] }
}

/// Makes a guest that does `$deed` with each poisoned client before it maps it.
#[macro_export]
macro_rules! on_poison {
    ($name:literal, $deed:expr) => {
        pub struct Guest;

        impl $crate::sluice_sdk::Mapper for Guest {
            fn describe() -> $crate::sluice_sdk::Description {
                $crate::description($name)
            }

            fn map(
                record: &$crate::sluice_sdk::Record,
                out: &mut $crate::sluice_sdk::Output,
            ) -> Result<(), $crate::sluice_sdk::Finding> {
                let client: $crate::Client = record.parse()?;
                if client.is_poisoned() {
                    let deed: fn(&$crate::Client) = $deed;
                    deed(&client);
                }
                $crate::put(&client, record, out);
                Ok(())
            }
        }

        $crate::sluice_sdk::mapper!(Guest);
    };
}
