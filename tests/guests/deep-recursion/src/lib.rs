//! A mapper that recurses without end at a poisoned record.

use std::hint::black_box;

sluice_guest_kit::on_poison!("deep-recursion", |client| {
    black_box(recurse(client.client_id));
});

/// Recurses without end. The operation after the call prevents the compiler from turning it into a loop.
fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) ^ black_box(depth) }
}
