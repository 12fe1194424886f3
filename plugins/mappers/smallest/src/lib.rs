//! The smallest useful mapper: clients become counterparties.
use sluice_sdk::prelude::*;
reads! { struct Client { client_id: u64, initials: String, name: String } }
pub struct Smallest;
impl Mapper for Smallest {
    fn describe() -> Description {
        Description::new("smallest", "0.1.0").source("client", &["client_id"]).produces("counterparties")
    }
    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let Client { client_id, initials, name } = record.parse()?;
        let id = record.reference_id("counterparties", client_id);
        out.put("counterparties", &json!({"referenceId": id, "type": "person", "initials": initials, "surname": name}));
        Ok(())
    }
}
mapper!(Smallest);
