//! Reads why a call failed.

use super::state::State;
use sluice_contract::{Cause, Confidential};

/// Reads a failed call's cause from what wasmtime says and what the store has seen.
pub(super) fn classify(error: &wasmtime::Error, state: &mut State) -> (Cause, Confidential) {
    let trap = error.downcast_ref::<wasmtime::Trap>();
    let panic = state.panic.take();
    let stderr = state.stderr();
    let cause = if state.limits.denied {
        Cause::OutOfMemory
    } else if state.too_many_calls() {
        Cause::TooManyCalls
    } else {
        match trap {
            Some(wasmtime::Trap::Interrupt) => Cause::TimedOut,
            Some(wasmtime::Trap::StackOverflow) => Cause::StackOverflow,
            _ if panic.is_some() => Cause::Panicked,
            Some(_) => Cause::Trapped,
            None if format!("{error:#}").contains("fuel") => Cause::TooMuchOutput,
            None if error.downcast_ref::<wasmtime::WasmBacktrace>().is_some() => Cause::Trapped,
            None => Cause::BrokeContract,
        }
    };
    let where_it_was = || match error.downcast_ref::<wasmtime::WasmBacktrace>() {
        Some(trace) => {
            let frames = trace.frames().iter().take(12).filter_map(|frame| frame.func_name());
            let frames: Vec<&str> = frames.collect();
            format!("{}: at {}", error.root_cause(), frames.join(" < "))
        }
        None => format!("{error:#}"),
    };
    let message = panic.or_else(|| (!stderr.is_empty()).then_some(stderr)).unwrap_or_else(where_it_was);
    (cause, Confidential::new(&message))
}
