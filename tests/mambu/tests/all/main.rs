//! The stand-in over real HTTP.

mod access;
mod caller;
mod faults;
mod idempotency;
mod life;
mod lists;
mod program;
mod rate;
mod refusals;
mod undo;
mod wire;
