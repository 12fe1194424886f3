//! A corrected mapper: it maps the records at which the other guests break.

sluice_guest_kit::on_poison!("mended", |_| ());
