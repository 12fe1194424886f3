//! Records, through plugins.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_test_properties::check_records;

fuzz_target!(|data: &[u8]| check_records(data));
