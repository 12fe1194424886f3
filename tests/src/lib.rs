//! The hostile guests, built from `guests/` when this crate is.

pub mod wat;

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The component that was built from `guests/<name>`.
pub fn guest(name: &str) -> &'static [u8] {
    let found = GUESTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no folder guests/{name}")).1
}
