//! Header fields of tus.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_tus::properties::check_tus;

fuzz_target!(|data: &[u8]| check_tus(data));
