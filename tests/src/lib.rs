//! Components of `guests/`, which the build script compiles, and components of `hostile/`.

pub mod wat;

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// Returns the component that was built from `guests/<name>`.
pub fn guest(name: &str) -> &'static [u8] {
    let found = GUESTS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no folder guests/{name}")).1
}
