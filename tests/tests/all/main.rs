//! Sluice from outside, in one binary: real servers, real guests, over HTTP.

mod access;
mod altered;
mod api;
mod approvals;
mod architecture;
mod audit;
mod authoring;
mod backup;
mod bad_records;
mod bad_uploads;
mod berka;
mod canary;
mod clients;
mod compare;
mod compressed;
mod contained;
mod erasure;
mod evidence;
mod hostile;
mod json_suite;
mod lender;
mod lifecycle;
mod mambu;
mod neighbour;
mod planted;
mod plugin_files;
mod plugin_run;
mod privacy;
mod raw;
mod readme;
mod remap;
mod replays;
mod restart;
mod resumable;
mod resumable_life;
mod resumed_by_client;
mod rules;
mod server;
mod side_by_side;
mod staging;
mod streaming;
mod tables;
mod tokens;
mod tolerance;
mod tools;
mod transport;
mod trial;
mod wasi;
mod witness;

/// What a component's first eight bytes are; a core module's differ in the last two.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn every_guest_is_a_component() {
    assert!(!sluice_tests::GUESTS.is_empty());
    for (name, bytes) in sluice_tests::GUESTS {
        assert!(bytes.starts_with(COMPONENT), "{name}");
    }
}
