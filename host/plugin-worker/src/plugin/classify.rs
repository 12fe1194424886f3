//! Causes of failed calls.

use wasmtime::{Trap, WasmBacktrace};

use crate::engine::wasmtime_errors::{exceeded_transfer_limit, is_from_guest, is_out_of_memory};
use crate::plugin::state::StoreState;
use sluice_contract::Cause;
use sluice_plugin_protocol::CallFailure;

/// Maximum number of functions in a message.
const MAX_FRAMES: usize = 12;

/// Returns the cause and the message of a failed call, from wasmtime's error and the state of the store.
pub(crate) fn classify(error: &wasmtime::Error, state: &mut StoreState) -> CallFailure {
    let panic = state.panic.take();
    let output = state.output();
    let cause = if state.limits.denied || is_out_of_memory(error) {
        Cause::OutOfMemory
    } else if state.too_many_calls() {
        Cause::TooManyCalls
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Cause::StackOverflow,
            _ if panic.is_some() => Cause::Panicked,
            Some(_) => Cause::Trapped,
            None if exceeded_transfer_limit(error) => Cause::TooMuchOutput,
            None if is_from_guest(error) => Cause::Trapped,
            None => Cause::BrokeContract,
        }
    };
    let place = || match error.downcast_ref::<WasmBacktrace>() {
        Some(trace) => {
            let frames = trace.frames().iter().take(MAX_FRAMES).filter_map(|frame| frame.func_name());
            let frames: Vec<&str> = frames.collect();
            format!("{}: at {}", error.root_cause(), frames.join(" < "))
        }
        None => format!("{error:#}"),
    };
    let message = panic.or_else(|| (!output.is_empty()).then_some(output)).unwrap_or_else(place);
    CallFailure { cause, message: cut(message) }
}

/// Maximum length of a message in bytes. The server cuts it again.
const MAX_MESSAGE_BYTES: usize = 16 << 10;

/// Returns at most [`MAX_MESSAGE_BYTES`] of a message.
fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    message
}
