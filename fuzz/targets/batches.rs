//! Batches as they cross the plugin boundary.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_contract::properties::check_batches;

fuzz_target!(|data: &[u8]| check_batches(data));
