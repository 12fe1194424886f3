//! A mapper that writes a million log entries at a poisoned record.

use sluice_guest_kit::sluice_sdk::bindings::mapper::sluice::plugin::log;

/// Number of log entries.
const ENTRIES: u32 = 1_000_000;

sluice_guest_kit::on_poison!("floods-log", |_| {
    for _ in 0..ENTRIES {
        log::entry(log::Level::Info, sluice_guest_kit::GUEST_CODE, None);
    }
});
