//! A mapper that panics at a poisoned record.

sluice_guest_kit::on_poison!("panics", |client| panic!("cannot map client {}", client.client_id));
