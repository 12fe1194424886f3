//! Bodies of JSON Lines and sequences.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_framing::properties::check_json;

fuzz_target!(|data: &[u8]| check_json(data));
