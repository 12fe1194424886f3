//! Descriptions and results of plugins.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_contract::properties::check_answers;

fuzz_target!(|data: &[u8]| check_answers(data));
