//! A mapper that calls itself without end at a poisoned record.

use std::hint::black_box;

sluice_guest_kit::on_poison!("deep-recursion", |client| {
    black_box(dive(client.client_id));
});

/// Never reaches its floor. The sum comes after the call, so it is no loop in disguise.
fn dive(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { dive(depth + 1) ^ black_box(depth) }
}
