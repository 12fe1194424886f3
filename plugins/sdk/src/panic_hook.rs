//! The panic hook of a plugin.

/// Installs a panic hook that passes the message of a panic to the host before the trap. The host keeps the message
/// with the quarantined record.
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
