//! A mapper that allocates without end at a poisoned record.

use std::hint::black_box;

const MEBIBYTE: usize = 1 << 20;

sluice_guest_kit::on_poison!("memory-bomb", |_| {
    let mut hoard = vec![];
    loop {
        hoard.push(vec![1_u8; MEBIBYTE]);
        black_box(&hoard);
    }
});
