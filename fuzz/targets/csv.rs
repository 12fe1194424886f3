//! Tables.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_framing::properties::check_table;

fuzz_target!(|data: &[u8]| check_table(data));
