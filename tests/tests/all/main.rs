//! Tests of Sluice from outside, in one binary: real servers and real guests over HTTP.

mod access;
mod audit;
mod backup;
mod contained;
mod documents;
mod harness;
mod mambu;
mod plugins;
mod records;
mod server;
mod uploads;

/// First eight bytes of a component. Those of a core module differ in the last two.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn every_guest_is_a_component() {
    assert!(!sluice_tests::GUESTS.is_empty());
    for (name, bytes) in sluice_tests::GUESTS {
        assert!(bytes.starts_with(COMPONENT), "{name}");
    }
}
