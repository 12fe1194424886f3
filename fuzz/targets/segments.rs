//! A staging area, and damage to its files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_staging::properties::check_segments;

fuzz_target!(|data: &[u8]| check_segments(data));
