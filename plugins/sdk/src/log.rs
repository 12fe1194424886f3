//! What a plugin tells the people who run a migration.

/// Hands a panic's message to the host before the trap, so that it stands beside the quarantined record.
pub fn install_panic_hook() {
    #[cfg(target_family = "wasm")]
    {
        use std::sync::Once;
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            std::panic::set_hook(Box::new(|panic| {
                crate::bindings::mapper::sluice::plugin::log::panicked(&panic.to_string());
            }));
        });
    }
}
