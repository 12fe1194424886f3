//! A file of sealed pieces, and damage to it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_staging::piece_properties::check_pieces;

fuzz_target!(|data: &[u8]| check_pieces(data));
