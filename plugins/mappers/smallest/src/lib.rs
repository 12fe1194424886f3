//! The smallest useful mapper: it maps clients to counterparties.
use sluice_sdk::prelude::*;
reads! { struct Client { client_id: u64, initials: String, name: String, closed: Option<bool> } }
/// The mapper.
pub struct Smallest;
impl Mapper for Smallest {
    fn describe() -> Description {
        let clients = Description::new("smallest", "0.1.0").source("client", &["client_id"]).reads::<Client>();
        clients.produces("counterparties").code("SMALLEST_CLOSED")
    }
    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let Client { client_id, initials, name, closed } = record.parse()?;
        if closed == Some(true) {
            out.skip("SMALLEST_CLOSED");
            return Ok(());
        }
        let id = record.reference_id("counterparties", client_id);
        out.put("counterparties", &json!({"referenceId": id, "type": "person", "initials": initials, "surname": name}));
        Ok(())
    }
}
mapper!(Smallest);
