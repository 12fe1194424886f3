//! Panics of the command's own parts, such as a task of a server in its process. They make the command fail.

use std::sync::atomic::{AtomicBool, Ordering};

static HAPPENED: AtomicBool = AtomicBool::new(false);

/// Notes every panic from now on. The message of a panic is written as before.
pub fn watch() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        HAPPENED.store(true, Ordering::Relaxed);
        usual(panic);
    }));
}

/// Returns true if a part of the command has panicked.
pub fn happened() -> bool {
    HAPPENED.load(Ordering::Relaxed)
}
